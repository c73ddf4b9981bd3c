/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What becomes of a datagram between two nodes: lost, late, twice, in another order, cut off,
 * damaged or repeated long after. It only decides; sim.c carries. Its randomness is its own stream,
 * so that a change in what the cores draw does not change the weather.
 */

#include "sim.h"

#define LINK_COPIES_MAX 3

struct link {
    struct rng rng;
    usec_t latency_min_usec;
    usec_t latency_max_usec;
    usec_t late_max_usec; /* a datagram that is reordered comes up to so much later */
    double loss;          /* all in 0..1 */
    double duplication;
    double reordering;
    double flips;
    double replays;
    usec_t *slow_usec; /* owned, by node: added to everything that it sends or gets */
    bool *cuts;        /* owned, [source * nodes_max + target] */
    size_t nodes_max;
    bool has_cuts; /* spares a look at them */
};

/* What to do with one datagram. */
struct link_fate {
    usec_t delays_usec[LINK_COPIES_MAX];
    size_t copies; /* 0 = lost */
    bool is_flipped;
    bool is_replayed; /* an older one of the same sender comes along */
};

/* Return: 0, or -ENOMEM. */
int link_new(uint64_t seed, size_t nodes_max, struct link **ret);
struct link *link_free(struct link *link);
DEFINE_CLEANUP(struct link *, link_free)

/* Back to a healthy network: 0.2 to 2 ms, nothing lost, nothing cut. */
void link_heal(struct link *link);

void link_cut(struct link *link, size_t source, size_t target, bool is_cut);
bool link_is_cut(const struct link *link, size_t source, size_t target);
void link_heal_cuts(struct link *link);

/* Splits: nodes whose bit in @sides differs do not hear each other. */
void link_partition(struct link *link, const bool *sides, size_t count);

/* Draws the fate of one datagram and counts the faults in @sim. */
struct link_fate link_send(struct link *link, struct sim *sim, size_t source, size_t target);

/* Flips one to eight bits of one byte of @data. */
void link_flip(struct link *link, uint8_t *data, size_t size);
