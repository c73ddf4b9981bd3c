/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Storms: the seed chooses the size of everything, the weather, who dies and who sleeps. A storm
 * goes in rounds: trouble, healing, then views have to become equal within their bound, a broadcast
 * has to reach all, and nobody may be suspected while the network is calm.
 *
 * With more than STORM_NODES_MAX nodes it is a crowd (crowd.c): everything at its defaults, all
 * start within seconds, and then live through a bad but ordinary hour.
 */

#include "sim.h"

#define STORM_FAILURE_MAX 600
#define STORM_NODES_MAX   1000 /* more are a crowd */
#define CROWD_NODES_MAX   8000

/* Faults that a plain wire has nothing against, as bits. */
#define STORM_SEALED_ONLY                                                                          \
    (1U << FAULT_BIT_FLIP | 1U << FAULT_REPLAY | 1U << FAULT_TWO_CLUSTERS |                        \
     1U << FAULT_KEY_CHANGE | 1U << FAULT_KEY_CHANGE_CUT)

struct storm_options {
    uint64_t seed;
    size_t nodes_count;
    usec_t duration_usec;
    bool is_sealed;
    FILE *trace; /* borrowed; NULL = silent */
};

/* Flat, so that a child process can pass it through a pipe. */
struct storm_result {
    uint64_t seed;
    uint64_t hash;
    uint64_t steps;
    uint64_t datagrams;
    uint64_t rounds;
    usec_t node_usec;
    usec_t settle_max_usec; /* the longest that views took to become equal */
    uint64_t faults[_FAULT_MAX];
    char failure[STORM_FAILURE_MAX]; /* empty where all invariants held */
};

/* Return: 0 where the storm ran, whatever it found; -ENOMEM. */
int storm_run(const struct storm_options *options, struct storm_result *ret);
