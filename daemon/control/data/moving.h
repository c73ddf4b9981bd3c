/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A transfer that a client began at this node: what file_move.c knows of it while it is under way,
 * and how far it is, for whoever looks at the node.
 */

#include "base/list.h"
#include "control/methods_internal.h"
#include "transfer/transfers.h"

struct moving {
    struct list link;          /* of the node's */
    struct node *node;         /* borrowed */
    struct call *call;         /* borrowed until gone; NULL = nobody waits, and it goes on */
    struct transfer *transfer; /* borrowed until its end */
    bool is_put;
    bool is_brief;                   /* of many it says only what p2pctl shows */
    bool may_search;                 /* no node was named for what is wanted: others may have it */
    char place[NODE_NAME_MAX + 1];   /* the other end */
    char name[FILES_NAME_MAX + 1];   /* of the first */
    char stored[FILES_NAME_MAX + 1]; /* of the own store, what is put; "" = a client's */
    size_t count;                    /* of files */
    bool is_told;                    /* that this node stops before its end */
    /* How far it is, for whoever looks at the node: */
    uint64_t done;
    uint64_t total; /* FILES_SIZE_UNKNOWN until it is known */
    double rate;    /* bytes per second, smoothed; 0 = not known yet */
    usec_t progress_usec;
};

/* At @place, NULL = here; in the node's list. NULL without memory: the call has been answered. */
struct moving *moving_new(struct node *node, struct call *call, const char *place, const char *name,
                          bool is_put);

/* Takes it out of the node's list. Returns NULL. */
struct moving *moving_free(struct moving *moving);
DEFINE_CLEANUP(struct moving *, moving_free)

/* Whether the other end is this node's store. */
bool moving_is_here(const struct moving *moving);

/* Whether it goes on from where it is when it is asked for again, as far as it is known. */
bool moving_is_resumable(const struct moving *moving);

/* Adds "files": what became of each of many. */
void moving_fill_list(cJSON *reply, const struct moving *moving, const struct transfer_end *end);

/* At its end: what was stored here, what is damaged, and what failed where nobody waits. */
void moving_tell_journal(const struct moving *moving, const struct transfer_end *end);

/* This node stops: what of @node's nobody waits for, and has not ended, is told. */
void moving_tell_stop(struct node *node);

/* Four times a second, as the handler of the transfer hears of it. */
void moving_note(struct moving *moving, const struct transfer_progress *progress);
