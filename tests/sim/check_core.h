/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the watch over safety (check.c) and the questions after healing (check_calm.c) have in
 * common.
 */

#include "check.h"
#include "swim/claim.h"

#define TOLD_MAX   256 /* messages that a node may not hear again */
#define SAID_MAX   32  /* broadcasts that are looked after, half of what a node keeps */
#define SAID_BYTES 32
#define BATCH_MAX  32 /* members that are looked at together */

/* What one node held of another when it was last looked at; a crowd has 25 million of them. Both
 * halves of an incarnation are small here. */
struct view {
    uint32_t generation;
    uint32_t counter;
    uint16_t scan; /* in which it was last there */
    enum swim_state state;
    bool is_present;
};

/* What one node has heard, as hashes in a ring. */
struct told {
    uint64_t hashes[TOLD_MAX];
    struct node_id origins[TOLD_MAX];
    size_t count;
};

/* One broadcast. */
struct said {
    char text[SAID_BYTES];
    const struct sim_node *author; /* borrowed */
    usec_t sent_usec;
    bool is_forgotten; /* by its author, who restarted */
    bool *heard;       /* owned, by node */
};

struct check {
    size_t nodes_max;
    struct view *views;            /* owned, [observer * nodes_max + subject] */
    struct swim_incarnation *used; /* owned, the highest that each ever used */
    uint16_t *scans;               /* owned, scans of each observer */
    struct told *told;             /* owned, by observer */
    bool *reached;                 /* owned, by observer */
    struct said said[SAID_MAX];    /* a ring */
    size_t said_count;
    char expected[SWIM_MESSAGE_MAX + 1]; /* the text that is counted */
    char difference[256];
    size_t different_node, different_subject; /* where views differed last */
};

/*
 * The members of @node from place @first on. A crowd's views are gigabytes, and every one of them
 * is somewhere else: what is fetched together is waited for once. Return: how many.
 */
size_t check_fetch(const struct sim_node *node, size_t first,
                   const struct swim_member *ret[static BATCH_MAX]);
