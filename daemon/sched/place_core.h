/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the two files of placement share: place.c keeps the nodes and chooses, place_explain.c says
 * why. Nobody else includes this.
 */

#include "base/rng.h"
#include "base/table.h"
#include "sched/place.h"

struct node {
    struct place_node public; /* first: what the outside gets */
    char *words;              /* owned: all types and tags */
    const char **lists;       /* owned: pointers into words */
};

struct place {
    struct table by_id;  /* of struct node, which it does not own */
    struct node **nodes; /* owned, with what they point to; in order of appearance */
    size_t nodes_count;
    size_t nodes_allocated;
    struct rng rng;
};

/* How well a node fits a task, worst first; from UNFIT_GONE on it handles the type. */
enum fitness {
    UNFIT_OTHER, /* another node than the one the task is pinned to, or without the tag */
    UNFIT_TYPE,
    UNFIT_GONE,
    UNFIT_SUSPECT,
    UNFIT_DRAINING,
    UNFIT_UNSTABLE,
    FIT_FULL, /* it would wait in the node's queue */
    FIT_FREE,
};

/* The slots that own attempts and its last report leave free, and the load they make. */
uint32_t place_free_slots(const struct place_node *node);
uint32_t place_load(const struct place_node *node);

enum fitness place_judge(const struct place_node *node, const struct task_spec *spec);

/* The node for one more task, or NULL, with the sentence about it. */
struct node *place_choose_for(struct place *place, const struct task_spec *spec,
                              const struct node_id *avoid, size_t *ret_sampled,
                              char reason[static TASK_REASON_MAX + 1]);
void place_explain_choice(const struct place_node *node, const struct task_spec *spec,
                          size_t sampled, char reason[static TASK_REASON_MAX + 1]);
void place_explain_none(const struct place *place, const struct task_spec *spec,
                        char reason[static TASK_REASON_MAX + 1]);
