/* SPDX-License-Identifier: MIT */
#pragma once

/* What transfers.c (their connections and ends), transfers_turns.c and transfers_ask.c (those of
 * clients here) share. */

#include "base/list.h"
#include "transfer/file_job.h"
#include "transfer/links.h"
#include "transfer/transfers.h"

#define TRANSFERS_WAITING_MAX 256 /* transfers that wait for their turn, each direction */

/* One transfer: asked for here (own), or a connection of another node that is served. */
struct transfer {
    struct list link;
    struct transfers *transfers; /* borrowed */
    struct file_job *job;        /* owned; touched by its thread between submit and done */
    struct transfer_place place;
    struct transfer_handler handler;
    void *data;            /* borrowed */
    char *lost;            /* owned: why the other node is given up, of an own one; or NULL */
    char *user;            /* owned: who asked, of an own one; NULL = nobody in particular */
    struct stream *stream; /* owned until the job takes it */
    usec_t told_usec;      /* when the other node heard last that it waits */
    uint64_t moved;        /* bytes, when it was last seen to have made progress, */
    usec_t moved_usec;     /* and when that was */
    bool is_own;
    bool is_running;
    bool is_still; /* no progress of late: its place is for others, only its thread is not */
    bool is_on_thread;
    bool is_cancelled; /* nobody waits */
};

struct transfers {
    struct transfers_config config;
    sd_event *event;
    sd_event_source *timer; /* for progress, and to begin what waits */
    sd_event_source *expiry;
    struct list own;
    struct list served;
    size_t own_count, served_count; /* all, waiting ones included */
    size_t own_running, served_running;
    struct file_paces paces;
    bool is_hashing;         /* a thread does files_hash_next() */
    bool has_failed_to_hash; /* it did, one of them or all; that thread's while it is_hashing */
    atomic_bool is_stopping;
    struct links *links; /* owned; NULL while stopping */
};

/* Closes and forgets it; no thread may have it. */
void transfer_free(struct transfer *transfer);

/* Notes which of them make progress. */
void transfers_look(struct transfers *transfers);

/*
 * Whether one that waits may begin. Of those that make progress at most transfers_max run in each
 * direction, and between here and here, of which no user has all; another node of which none runs
 * gets one beyond. Of all there are so many as there are threads.
 */
bool transfer_has_turn(const struct transfer *transfer);

/* What waits gets its turn from the timer, so that nobody is called from within his own call. */
void transfers_wake(struct transfers *transfers, usec_t delay_usec);
