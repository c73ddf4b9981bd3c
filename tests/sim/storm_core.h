/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What storms (storm.c) and crowds (crowd.c) have in common: the seed's draws, and the calm after
 * the trouble (storm_calm.c), in which everything that was promised has to come true.
 */

#include "storm.h"

#define STORM_POLL_USEC       (USEC_PER_SEC / 2)
#define STORM_BROADCAST_BYTES 24
#define UNDO_MAX              64 /* faults that last at the same time */

/* A fault that ends by itself before the round does. */
struct undo {
    struct heap_entry entry;
    enum sim_fault fault;
    size_t node;
};

struct storm {
    struct sim *sim; /* owned */
    struct rng rng;
    struct heap undos;
    struct undo pool[UNDO_MAX];
    uint32_t kinds; /* faults of this round, as bits */
    usec_t gap_usec;
    usec_t end_usec;
    uint64_t messages_count;
    struct storm_result *result; /* borrowed */
};

bool storm_draw(struct storm *storm, double probability);
usec_t storm_draw_between(struct storm *storm, usec_t least, usec_t most);
double storm_draw_share(struct storm *storm, double least, double most);

/* A random node in @state, or NULL. */
struct sim_node *storm_draw_node(struct storm *storm, enum sim_state state);

/* Waits until all views are equal. */
void storm_settle(struct storm *storm);

/* Waits until everybody has heard what was said to all meanwhile. */
void storm_catch_up(struct storm *storm);

/* A message to all, and some time in which nothing may happen. */
void storm_rest(struct storm *storm);

/* Sums up what happened. */
void storm_collect(struct storm *storm);

/* The storm of thousands: see crowd.c. Return: 0, -ENOMEM. */
int crowd_run(struct storm *storm, const struct storm_options *options);
