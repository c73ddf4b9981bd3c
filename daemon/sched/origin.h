/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tasks that were submitted here: their life from "submitted" to their end, wherever they run.
 * Placement, leases, retries, cancelling and reallocation; no socket, no database, no clock. Facts
 * and time come in, actions come out: the owner drains origin_next_action() after every call and
 * arms one timer for origin_deadline(). What an action points to is borrowed until the next call of
 * any function of this header.
 *
 * Durability: ORIGIN_COMMIT asks the owner to save a record (task_to_json); origin_committed()
 * tells that it is on disk. Nobody hears "accepted", no attempt goes out, no result is acknowledged
 * and no end told before the commit it rests on. Each commit has a revision; a later one includes
 * the earlier.
 *
 * At least once: an attempt is {origin, number, attempt}. Only the end of the current attempt
 * counts; a worker that reports another is told to forget it. A task moves when its node is gone
 * (dead, left, forgotten or started anew) *and* its lease is over, or when the node itself says
 * that it has no such attempt. With retries 0 it never runs twice: it becomes unknown instead.
 *
 * The lease: a worker asks for renewal every third of it (origin_renewed); its own lease counts
 * from the moment it asked, the origin's from the moment it heard, so the worker's always ends
 * first. The origin waits a third of the lease longer still, which covers the first offer's way to
 * the worker.
 *
 * The own node is a node like others: ORIGIN_SEND with is_self goes to the local slots.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/id.h"
#include "base/macro.h"
#include "base/usec.h"
#include "sched/place.h"
#include "sched/task.h"

#define ORIGIN_DELAY_MAX_USEC (5 * USEC_PER_MIN) /* between two attempts */

struct origin_config {
    char name[NODE_NAME_MAX + 1]; /* of the own node */
    struct node_id id;
    uint32_t tasks_max;          /* records, ended ones included; 1.. */
    usec_t lease_usec;           /* 1s.. */
    usec_t rebalance_after_usec; /* 0 = never */
    usec_t ask_usec;  /* nodes that are asked have so long; 0 = nobody is before it is placed */
    usec_t keep_usec; /* of succeeded and cancelled tasks */
    usec_t keep_failed_usec;
};

/* Why a worker did not take an attempt. */
enum origin_refusal {
    ORIGIN_REFUSED_BUSY,        /* its queue is full */
    ORIGIN_REFUSED_DRAINING,    /* also: handed back from its queue */
    ORIGIN_REFUSED_TYPE,        /* it does not handle the type (any more), or no commands */
    ORIGIN_REFUSED_NO_SPACE,    /* its disk is full */
    ORIGIN_REFUSED_UNREACHABLE, /* nothing of the offer has left this node */
    ORIGIN_REFUSED_RECALLED,    /* handed back on ORIGIN_RECALL */
    ORIGIN_REFUSED_UNABLE,      /* nothing can run there: it has no sandbox */
    ORIGIN_REFUSED_USER,        /* it does not run the type for the task's user */
    ORIGIN_REFUSED_SANDBOX,     /* it has not the sandbox that the task asks for */
    _ORIGIN_REFUSED_MAX,
};

const char *origin_refusal_name(enum origin_refusal refusal); /* "no-space" */
int origin_refusal_parse(const char *text);                   /* the value, or -EINVAL */

enum origin_action_type {
    ORIGIN_COMMIT,   /* save task; then origin_committed(task->number, revision) */
    ORIGIN_ACCEPTED, /* tell the client of origin_submit or origin_retry: it is on disk */
    ORIGIN_DENIED,   /* tell the client of origin_submit that nobody runs it for its user, as `text`
                        says; then origin_take_back() */
    ORIGIN_ASK,      /* ask `node` how busy it is, and to keep a place for `attempt` a moment */
    ORIGIN_RELEASE,  /* tell `node` that the place kept for `attempt` is not needed */
    ORIGIN_PLACED,   /* for events only: an attempt was placed, which is on disk; reason is
                        task->reason */
    ORIGIN_SEND,     /* offer task->attempt to `node`, with lease_usec */
    ORIGIN_QUERY,    /* ask `node` what became of `attempt` */
    ORIGIN_CANCEL,   /* tell `node` to end `attempt`: signal, grace_usec */
    ORIGIN_RECALL,   /* ask `node` to hand `attempt` back if it has not started it */
    ORIGIN_ACK, /* tell `node` that `attempt` is settled here: it may forget it (also stale ones) */
    ORIGIN_STARTED, /* for clients and events */
    ORIGIN_MOVED,   /* for events: it was on `previous`, and is no more: text = "lab-07 dead" */
    ORIGIN_LOST,    /* for events: the attempt is given up: text = "lab-09 dead" */
    ORIGIN_ENDED,   /* for clients and events: task is final, and on disk */
    ORIGIN_FORGET,  /* drop the record and all that is kept for `number`; task is NULL */
};

struct origin_action {
    enum origin_action_type type;
    const struct task *task; /* NULL where the record is gone */
    uint64_t number;
    uint64_t revision; /* of ORIGIN_COMMIT */
    bool is_again;     /* of ORIGIN_COMMIT: it failed before, and is to take no other one down */
    uint64_t over;     /* of ORIGIN_COMMIT: the last attempt that is over, 0 = none: the record is
                          that of its end, so its output is to be kept with it */
    uint64_t attempt;
    struct node_id node;
    bool is_self;
    usec_t lease_usec; /* of ORIGIN_SEND; 0 = none is needed (the own node) */
    int signal;
    usec_t grace_usec;
    const char *text;
    const char *previous; /* of ORIGIN_MOVED: the name of a node */
    uint64_t inputs;      /* of ORIGIN_FORGET: the bundle of its input files, 0 = none */
    bool has_results;     /* of ORIGIN_FORGET: those of `attempt` are kept */
};

struct origin;

/**
 * origin_new() - without tasks
 * @seed:      of its randomness
 * @now:       monotonic; an earlier time than before counts as the latest one, here and in all
 * calls
 * @wall_usec: wall clock at @now
 *
 * Return: 0; -EINVAL where @config is out of the ranges above; -ENOMEM.
 */
int origin_new(const struct origin_config *config, uint64_t seed, usec_t now, uint64_t wall_usec,
               struct origin **ret);
struct origin *origin_free(struct origin *origin);
DEFINE_CLEANUP(struct origin *, origin_free)

/* The configuration was reloaded (name and id do not change). */
void origin_set_config(struct origin *origin, const struct origin_config *config);
void origin_set_wall(struct origin *origin, uint64_t wall_usec, usec_t now);

/**
 * origin_restore() - a record from the database, at start
 * @task: taken over on success only
 *
 * An attempt that was under way stays valid; its worker is asked until it answers, or until it is
 * gone and one lease from now is over. One of the own node is lost, or goes back to the queue where
 * @has_begun is false, which says that it is known not to have begun. Return: 0; -EEXIST; -ENOBUFS;
 * -ENOMEM.
 */
int origin_restore(struct origin *origin, struct task *task, bool has_begun, usec_t now);

/**
 * origin_submit() - a new task
 * @number:  from the database's counter; above all earlier ones
 * @spec:    copied
 * @may_wait: take it though no node handles its type
 * @reason:  a sentence for the user on failure
 *
 * ORIGIN_COMMIT and then ORIGIN_ACCEPTED follow, once it is settled where it goes: the best
 * nodes are asked first (ORIGIN_ASK), for ask_usec at most, and so one commit holds both.
 *
 * Return: 0; -EINVAL (the specification; also confidential and pinned elsewhere: -EPERM); -ENOENT
 * (no node handles it); -EACCES (but none runs it for its user); -ENOBUFS (tasks_max tasks that
 * have not ended); -EEXIST; -ENOMEM.
 */
int origin_submit(struct origin *origin, uint64_t number, const struct task_spec *spec,
                  bool may_wait, usec_t now, char reason[static TASK_REASON_MAX + 1]);

/* Whether origin_submit() would take it now, but for room. Return: 0; as there. */
int origin_check(struct origin *origin, const struct task_spec *spec, bool may_wait,
                 char reason[static TASK_REASON_MAX + 1]);

/* What the end of @task means for one that waits for it; one that is not on the disk is none. */
enum task_after_verdict {
    TASK_AFTER_WAITS,
    TASK_AFTER_FULFILLED,
    TASK_AFTER_NEVER,
};
enum task_after_verdict origin_judge_after(const struct origin *origin, const struct task *task,
                                           enum task_after_condition condition);

/*
 * The commit failed: what was asked for is taken back as if it had never been, a new task or, of
 * origin_retry(), that it runs again. Only before ORIGIN_ACCEPTED. Return: 0, -ENOENT.
 */
int origin_take_back(struct origin *origin, uint64_t number, usec_t now);

void origin_committed(struct origin *origin, uint64_t number, uint64_t revision, usec_t now);

/*
 * The commit of a task that is not taken back failed: ORIGIN_COMMIT follows again within a second.
 * One that has not been accepted yet, or is to be sent, waits for that, and has @why as its reason.
 */
void origin_uncommitted(struct origin *origin, uint64_t number, const char *why, usec_t now);

/* It could not be tried, as too much is on its way to the disk: ORIGIN_COMMIT follows in moments.
 */
void origin_delayed(struct origin *origin, uint64_t number, usec_t now);

/* Facts about nodes, the own one included. Return: 0, -ENOSPC, -ENOMEM. */
int origin_set_node(struct origin *origin, const struct place_facts *facts, usec_t now);
void origin_remove_node(struct origin *origin, const struct node_id *id, usec_t now);
struct place *origin_get_place(struct origin *origin);

/* The answer to ORIGIN_ASK. */
void origin_answered(struct origin *origin, uint64_t number, uint64_t attempt,
                     const struct node_id *node, const struct place_answer *answer, usec_t now);

/* There will be none. */
void origin_unanswered(struct origin *origin, uint64_t number, uint64_t attempt,
                       const struct node_id *node, usec_t now);

/*
 * What workers say about an attempt. Unknown tasks and old attempts have no effect, but that
 * origin_ended answers with ORIGIN_ACK, and origin_accepted and origin_started with ORIGIN_CANCEL
 * (signal 9), so that the worker stops wasting itself.
 */
void origin_accepted(struct origin *origin, uint64_t number, uint64_t attempt,
                     const struct node_id *node, usec_t now);
/* With it: so many of its type run there at once, which is why it waits; 0 = that is not why. What
 * gossip says since of that node's `max` counts more. */
void origin_note_max(struct origin *origin, uint64_t number, uint64_t attempt,
                     const struct node_id *node, uint32_t max, usec_t now);
uint32_t origin_get_max(const struct origin *origin, uint64_t number);
/* Whether the node that has it has not been heard of for a lease, as its reason says. */
bool origin_is_unheard(const struct origin *origin, uint64_t number);
void origin_refused(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, enum origin_refusal refusal, usec_t now);
/* @ago_usec: so long ago, where the origin was away and only hears of it now. */
void origin_started(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, usec_t ago_usec, usec_t now);
/* It was paused for other users, or goes on. */
void origin_paused(struct origin *origin, uint64_t number, uint64_t attempt,
                   const struct node_id *node, bool is_paused, usec_t now);
void origin_ended(struct origin *origin, uint64_t number, uint64_t attempt,
                  const struct node_id *node, const struct task_end *end, usec_t now);

/*
 * Output of the attempt is lost, and why: an errno, EFBIG where it is above its limit, which only
 * counts where it is the result of a function. Here, or where the attempt runs. The first reason
 * stays. A function whose result is lost fails, unless it has ended already.
 */
void origin_cut(struct origin *origin, uint64_t number, uint64_t attempt, int error, bool is_here,
                usec_t now);

/*
 * Something holds up the end of a task that has a node, and the owner knows what: it becomes the
 * task's reason, for lists, until something else happens.
 */
void origin_explain(struct origin *origin, uint64_t number, const char *reason, usec_t now);

/* The answer to ORIGIN_QUERY: the node has no such attempt, and will not take it any more.
 * @has_begun: as of origin_restore(). */
void origin_missing(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, bool has_begun, usec_t now);

/* Whether all that is known of this task is on disk. */
bool origin_is_saved(const struct origin *origin, uint64_t number);

/* A worker asks for a renewal. Return: whether it has it; otherwise it must stop the attempt. */
bool origin_renewed(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, usec_t now);

/* The connection over which the offer went out is gone; what became of the attempt is asked for. */
void origin_disconnected(struct origin *origin, const struct node_id *node, usec_t now);

/*
 * No connection to the node could be made, there is no other, and what was waiting for one is
 * dropped: offers that have not been over any connection go elsewhere, as if refused with
 * ORIGIN_REFUSED_UNREACHABLE.
 */
void origin_unreachable(struct origin *origin, const struct node_id *node, usec_t now);

/**
 * origin_cancel() - ends a task
 * @signal: sent first; @grace_usec later KILL follows
 *
 * Return: 0; -ENOENT; -EALREADY where it has ended.
 */
int origin_cancel(struct origin *origin, uint64_t number, int signal, usec_t grace_usec,
                  usec_t now);

/*
 * The same task again, with as many retries as it had; @node NULL = where it was asked to run, else
 * pinned there ("" = anywhere); @args NULL = as it was, else copied. Return: 0; -ENOENT; -EBUSY
 * while it has not ended, or its end is not on the disk; -EPERM for a confidential task and another
 * node; -EINVAL for words that it cannot have; -ENOMEM.
 */
int origin_retry(struct origin *origin, uint64_t number, const char *node,
                 const struct task_words *args, usec_t now);

/* Drops an ended task from the list. Return: 0; -ENOENT; -EBUSY while it has not ended or is held.
 */
int origin_forget(struct origin *origin, uint64_t number, usec_t now);

/*
 * Tasks of a workflow are kept, whatever their age, from their submission until the workflow has
 * ended and is released. After a restart nothing is held: the owner holds again those that have not
 * ended.
 */
void origin_hold_workflow(struct origin *origin, uint64_t workflow, usec_t now);
void origin_release_workflow(struct origin *origin, uint64_t workflow, usec_t now);

void origin_tick(struct origin *origin, usec_t now);
bool origin_next_action(struct origin *origin, struct origin_action *ret);

/* When origin_tick wants to be called next; USEC_INFINITY = never. */
usec_t origin_deadline(const struct origin *origin);

/* The tasks in order of their numbers; @after 0 = the first. NULL at the end. */
const struct task *origin_find(const struct origin *origin, uint64_t number);
const struct task *origin_next(const struct origin *origin, uint64_t after);

/* Whether it has ended and its end is on the disk: before, nobody is to hear of that. */
bool origin_has_ended(const struct origin *origin, const struct task *task);

/* Whether fewer than @max tasks of @user are pending: looks at those that have not ended. */
bool origin_has_fewer_pending(const struct origin *origin, const char *user, uint32_t max);

/* So many entries at the end of its timeline tell of an end that nobody is to hear of yet. */
size_t origin_count_untold(const struct origin *origin, const struct task *task);

/*
 * Those that no node can take now, or does, or the disk, as their reasons say; not those that wait
 * for another task, or for their next attempt. In no order; @after NULL = the first. NULL at the
 * end.
 */
const struct task *origin_next_stranded(const struct origin *origin, const struct task *after);
bool origin_is_stranded(const struct origin *origin, uint64_t number);

struct origin_statistics {
    uint32_t tasks;   /* all records */
    uint32_t pending; /* by state */
    uint32_t running;
    uint64_t lost; /* attempts given up since start */
    uint64_t moved;
    uint64_t stale; /* ends of old attempts */
};
void origin_get_statistics(const struct origin *origin, struct origin_statistics *ret);
