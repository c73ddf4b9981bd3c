/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where a task runs: the nodes as their gossip describes them, and the one placement algorithm. Up
 * to PLACE_SAMPLE_MAX candidates are drawn at random, each with the weight of its free slots, and
 * the least loaded of them are the choice, ties by chance, so that many origins with the same old
 * news do not all choose the same node.
 *
 * Gossip is old. So the best PLACE_BEST_MAX are asked how busy they are (origin_place.c), and the
 * best by their answers is taken; and each node's load is corrected by what this origin itself did
 * since the last report: that is taken as counting the attempts the node had accepted from us when
 * it arrived; those that are under way beyond that are debited, those that ended since are
 * credited.
 *
 * Deviation: design/protocol.md samples eight and asks two. With several origins that makes the
 * same nodes popular; asking three of four waits less (tests/bench/bench_sched.c; figures in
 * PROTOCOL.md).
 *
 * Owned by struct origin; nobody else keeps nodes for placement.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/id.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/usec.h"
#include "sched/task.h"

#define PLACE_NODES_MAX  8192
#define PLACE_TYPES_MAX  64
#define PLACE_TAGS_MAX   32
#define PLACE_SAMPLE_MAX 4
#define PLACE_BEST_MAX   3
#define PLACE_FRESH_USEC (10 * USEC_PER_MSEC) /* an answer is believed without asking again, */
#define PLACE_HOLD_USEC  (2 * USEC_PER_SEC)   /* and rather than old gossip that is repeated */
#define PLACE_MAX_TOLD   127                  /* gossip tells no larger `max` of a type */
#define PLACE_PYTHON_MAX 15                   /* bytes of "3.11" */

enum place_state {
    PLACE_ALIVE,
    PLACE_SUSPECT,
    PLACE_DEAD,
    PLACE_LEFT,
};

/* What is in the way of a type at a node, beside its slots. */
struct place_limits {
    bool is_for_some; /* it is run for some users alone */
    uint32_t max;     /* so many of it at once; 0 = not known, or no limit */
};

/* What gossip says about a node. */
struct place_facts {
    struct node_id id;
    char name[NODE_NAME_MAX + 1];
    uint64_t generation; /* of its last start */
    uint16_t rules;      /* another number as soon as it may take what it refused for good */
    enum place_state state;
    bool is_self;
    bool is_draining;
    bool is_unstable;
    bool has_tasks;                    /* runs tasks at all */
    bool has_commands;                 /* takes commands from other nodes */
    bool has_python;                   /* takes functions from other nodes */
    char python[PLACE_PYTHON_MAX + 1]; /* version of its interpreter; "" = it has none */
    uint32_t cpus;                     /* that tasks may use; 0 = not known */
    uint32_t load_permille;
    uint32_t slots;
    uint32_t running;
    uint32_t queued;
    usec_t rtt_usec;
    const char *const *types;          /* borrowed during the call; copied */
    size_t types_count;                /* at most PLACE_TYPES_MAX; more are ignored */
    const struct place_limits *limits; /* of each type, borrowed and copied as they; or NULL */
    const char *const *tags;
    size_t tags_count;
    /* Of the own node: 0; -EACCES where it does not run tasks of this user; -EBUSY where so many of
     * its type run that one more would wait. NULL: that is not known. */
    int (*check)(const struct task_spec *spec, void *data);
    void *check_data; /* borrowed */
};

/* What became of a task before: where it is not to go now. */
struct place_past {
    const struct node_id
        *avoid; /* just refused or lost it; only where there is no other; or NULL */
    const struct place_refuser *refusers; /* cannot run it, by what they said of themselves */
    size_t refusers_count;
};

enum place_refusal {
    PLACE_NOT_FOR_USER,
    PLACE_NO_SANDBOX, /* not the one that it asks for */
};

struct place_refuser {
    enum place_refusal why;
    struct node_id id;
    uint64_t generation; /* a start may have changed that, */
    uint16_t rules;      /* or a reload */
};

/* A node as it is kept. Borrowed from the place until it is removed. */
struct place_node {
    struct place_facts facts;   /* types and tags owned by the node */
    uint32_t under_way;         /* own attempts there */
    uint32_t accepted;          /* of those, the ones the node has accepted */
    uint32_t accepted_reported; /* `accepted` when the last report came */
    bool has_answered;
    usec_t answered_usec; /* when it last said itself how busy it is */
};

/* How busy a node says it is, when it is asked. */
struct place_answer {
    bool is_willing;      /* it would take the attempt that was asked for */
    bool is_user_refused; /* it does not run tasks of its user */
    bool is_at_max;       /* of its type no more run there now, whatever slots are free */
    uint32_t slots;
    uint32_t running;
    uint32_t queued; /* with places kept for others */
    uint32_t load_permille;
};

/* The best of a sample, best first. Borrowed as place_find(). */
struct place_best {
    const struct place_node *nodes[PLACE_BEST_MAX];
    size_t count;
    size_t sampled;
};

/* What one candidate is told in `submit --dry-run`. */
struct place_verdict {
    char node[NODE_NAME_MAX + 1];
    bool is_known; /* load, free slots and rtt mean something */
    bool is_chosen;
    uint32_t load_permille; /* corrected */
    uint32_t free_slots;    /* corrected */
    usec_t rtt_usec;
    char text[64]; /* "chosen: least load of 3", "ok", "no free slot", "suspect" */
};

struct place;

int place_new(uint64_t seed, struct place **ret); /* 0, -ENOMEM */
struct place *place_free(struct place *place);
DEFINE_CLEANUP(struct place *, place_free)

/**
 * place_set_node() - a node appeared or something about it changed
 *
 * Return: 1 where work may now go where it could not before; 0 otherwise; -ENOMEM; -ENOSPC above
 * PLACE_NODES_MAX nodes.
 */
int place_set_node(struct place *place, const struct place_facts *facts, usec_t now);
void place_remove_node(struct place *place, const struct node_id *id);
const struct place_node *place_find(const struct place *place, const struct node_id *id);
const struct place_node *place_find_name(const struct place *place, const char *name);

/* Walks in order of appearance: start with *i = 0; NULL at the end. */
const struct place_node *place_next(const struct place *place, size_t *i);

/* Keeps count of own attempts at a node; unknown nodes are ignored. */
void place_debit(struct place *place, const struct node_id *id);
void place_accept(struct place *place, const struct node_id *id);
void place_credit(struct place *place, const struct node_id *id, bool was_accepted);

/* What a node that was asked says; it counts more than the gossip before it. */
void place_take_answer(struct place *place, const struct node_id *id,
                       const struct place_answer *answer, usec_t now);

/* It has refused an attempt because it is draining, or was told to drain; its gossip may not have
 * said so yet, or no more: so that counts for PLACE_HOLD_USEC, or until it says so. */
void place_take_draining(struct place *place, const struct node_id *id, usec_t now);

/* Return: whether work may go again where it could not go for such a time. */
bool place_tick(struct place *place, usec_t now);
usec_t place_deadline(const struct place *place); /* of place_tick(); USEC_INFINITY = none */

/* The slots that own attempts and its last report leave free. */
uint32_t place_free_slots(const struct place_node *node);

/* What is in the way of such tasks there; nothing where that is not known. */
struct place_limits place_get_limits(const struct place_node *node, const struct task_spec *spec);

/* Whether it has answered a moment ago, and would answer the same for such a task. */
bool place_is_fresh(const struct place_node *node, const struct task_spec *spec, usec_t now);

/* Whether one more such task is better off at @a than at @b. */
bool place_is_better(const struct place_node *a, const struct place_node *b,
                     const struct task_spec *spec);

/* Whether such a node takes tasks of this type, commands, or functions. */
bool place_handles(const struct place_facts *facts, const struct task_spec *spec);

/* Whether @node would take one more such task, by what is known. @past: NULL = none. */
bool place_fits(const struct place_node *node, const struct task_spec *spec,
                const struct place_past *past);

/* Whether both fit the same nodes, and a reason why none takes them is the same, where none has
 * refused either. */
bool place_is_alike(const struct task_spec *a, const struct task_spec *b);

/* "load 0.08, least of 3": why @node is taken. */
void place_explain_choice(const struct place *place, const struct place_node *node,
                          const struct task_spec *spec, size_t sampled,
                          char reason[static TASK_REASON_MAX + 1]);

/* The same of a node that has not said whether it would: "…, if it runs that for user1". */
void place_explain_unheard(const struct place *place, const struct place_node *node,
                           const struct task_spec *spec, size_t sampled,
                           char reason[static TASK_REASON_MAX + 1]);

/* As place_choose(), the best ones. @reason: why nowhere, where there is none. */
void place_choose_best(struct place *place, const struct task_spec *spec,
                       const struct place_past *past, struct place_best *ret,
                       char reason[static TASK_REASON_MAX + 1]);

/**
 * place_choose() - the node for one more attempt
 * @past:   NULL = none
 * @reason: why there ("load 0.08, least of 3"), or why nowhere
 *          ("the only node for type c, lab-05, is draining")
 *
 * Return: the node; NULL where none accepts it now.
 */
const struct place_node *place_choose(struct place *place, const struct task_spec *spec,
                                      const struct place_past *past,
                                      char reason[static TASK_REASON_MAX + 1]);

/**
 * place_explain() - what would happen, without doing it
 * @ret:   array owned by the caller (free); the chosen one first, then by load; nodes that do not
 * handle the type are left out unless the task is pinned to them
 *
 * Return: 1 where a node would be chosen, 0 where none (then @reason says why), -ENOMEM.
 */
int place_explain(struct place *place, const struct task_spec *spec, struct place_verdict **ret,
                  size_t *ret_count, char reason[static TASK_REASON_MAX + 1]);

/* Whether a listed node that is not dead or left could ever run it: else it is a "no-handler"
 * error. */
bool place_has_handler(const struct place *place, const struct task_spec *spec);

/* Whether nobody could ever run it only because it asks for more CPUs or slots than there are.
 */
bool place_is_too_small(const struct place *place, const struct task_spec *spec);

/* Whether all who could ever run it have refused it for good, by what is known. @counts_left: those
 * that left might come back, and so could. */
bool place_is_forbidden(const struct place *place, const struct task_spec *spec,
                        const struct place_past *past, bool counts_left);
