/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of placement share: place.c keeps the nodes and judges them, place_choose.c
 * chooses, place_explain.c says why. Nobody else includes this.
 */

#include "base/rng.h"
#include "base/table.h"
#include "sched/place.h"

/* What a report of gossip says about work. */
struct report {
    uint32_t slots, running, queued, load_permille, is_draining; /* without gaps: compared whole */
};

struct node {
    struct place_node public;    /* first: what the outside gets */
    struct report report;        /* the last one: it may come again and again */
    usec_t doubt_usec;           /* so long it is draining, until that says so */
    char *words;                 /* owned: all types and tags */
    const char **lists;          /* owned: pointers into words */
    struct place_limits *limits; /* owned: of each type; NULL = none is known */
};

struct place {
    struct table by_id;  /* of struct node, which it does not own */
    struct node **nodes; /* owned, with what they point to; in order of appearance */
    size_t nodes_count;
    size_t nodes_allocated;
    usec_t doubt_usec; /* the first end of such a time; USEC_INFINITY = there is none */
    struct rng rng;
};

static inline bool place_lacks_cpus(const struct place_facts *facts, const struct task_spec *spec)
{
    return facts->cpus > 0 && spec->cpus_milli > facts->cpus * 1000;
}

/* How well a node fits a task, worst first; from UNFIT_SMALL on it handles the type, and from
 * UNFIT_GONE on it might run the task some day. */
enum fitness {
    UNFIT_OTHER, /* another node than the one the task is pinned to, or without the tag */
    UNFIT_TYPE,
    UNFIT_SMALL,   /* the task wants more CPUs, or slots, than it has */
    UNFIT_USER,    /* it does not run tasks of its user */
    UNFIT_SANDBOX, /* it has not the one that the task asks for */
    UNFIT_GONE,
    UNFIT_SUSPECT,
    UNFIT_DRAINING,
    UNFIT_UNSTABLE,
    UNFIT_UNABLE, /* it tells that it runs tasks, and no slots: there is no sandbox for them */
    FIT_FULL,     /* it would wait in the node's queue */
    FIT_FREE,
};

/* Whether one more such task would begin there at once, by what is known. */
bool place_has_room(const struct place_node *node, const struct task_spec *spec);

/* The load that own attempts and its last report make. */
uint32_t place_load(const struct place_node *node);

enum fitness place_judge(const struct place_node *node, const struct task_spec *spec,
                         const struct place_past *past);

void place_explain_none(const struct place *place, const struct task_spec *spec,
                        const struct place_past *past, char reason[static TASK_REASON_MAX + 1]);
