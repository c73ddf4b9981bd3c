/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Seeds: random ones are contacted until the quorum has answered, others in their place where they
 * do not. A name counts as one seed, however many addresses it has. A JOIN brings our record and is
 * answered by a WELCOME with the other's record and digest, upon which we pull its table (sync.h).
 * Later one seed that is not live here and one dead member are contacted every rejoin_interval, for
 * as long as they are listed, so that partitions heal.
 */

#include "base/address.h"
#include "base/id.h"
#include "swim/swim.h"
#include "swim/timer.h"

#define JOIN_EXTRAS_MAX 64
#define JOIN_SLOTS_MAX  (SWIM_SEEDS_MAX + JOIN_EXTRAS_MAX)

struct source;
struct message;

struct seed {
    struct timer timer; /* next attempt */
    struct address address;
    uint64_t entries;  /* of the configuration, that have this address */
    struct node_id id; /* who answered last; null = nobody yet */
    struct node_id at; /* who stood at the address at the last look; null = nobody */
    uint32_t seq;      /* of these attempts */
    uint32_t tries;    /* without an answer */
    bool is_used;
    bool is_extra; /* an address given by hand: contacted once */
    bool has_answered;
    bool is_told; /* as unreachable */
};

struct join {
    struct seed seeds[JOIN_SLOTS_MAX]; /* configured ones and extras in any order */
    bool has_seeds;                    /* swim_set_seeds was called */
    uint32_t entries;                  /* so many are configured; a name is one */
    uint64_t own_entries;              /* those that have our own address */
    bool is_joined;                    /* the quorum has answered, once */
    struct timer rejoin_timer;
};

int join_init(struct swim *swim);

/* The rejoin rounds go on; they stop by themselves when we leave. */
void join_start(struct swim *swim);

void join_set_seeds(struct swim *swim, const struct swim_seed *seeds, size_t count,
                    uint32_t entries);

/* Return: 0, -ENOSPC. */
int join_add_extra(struct swim *swim, const struct address *address);

/* Our address is known now: a seed with that address is ourselves. */
void join_skip_own(struct swim *swim);

/* The machine was away: a quorum of seeds is contacted at once. */
void join_hurry(struct swim *swim);

/* We do not know any more where we are: some members are asked, who say it in their WELCOME. */
void join_ask_around(struct swim *swim);

void join_count(const struct swim *swim, uint32_t *ret_configured, uint32_t *ret_reachable,
                uint32_t *ret_needed);

/* Frames. */
void join_take_join(struct swim *swim, const struct source *source, const struct message *message);
void join_take_welcome(struct swim *swim, const struct source *source,
                       const struct message *message);
