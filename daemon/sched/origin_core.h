/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the origin share: origin.c has the calls of its owner, origin_job.c the life of
 * one task, origin_place.c where its attempts go, origin_attempt.c what workers say about them,
 * origin_action.c what is to be done, origin_unsaved.c what becomes of a record that could not be
 * saved. Nobody else includes this.
 *
 * A job is a task with what is not worth saving. It waits for a node (no attempt; in `waiting`, or
 * until its timer), asks two for a place (asked_count), is under way (task->has_node), or done.
 * Pending actions are bits of the job, so telling the owner never needs memory; only answers about
 * attempts that are not current have a small ring of their own, whose overflow is harmless because
 * workers ask again.
 */

#include "base/heap.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/table.h"
#include "sched/origin.h"

#define ORIGIN_ANSWERS_MAX   256
#define ORIGIN_BATCH_MAX     256 /* waiting tasks that one tick tries to place */
#define ORIGIN_QUERY_FIRST   (USEC_PER_SEC / 2)
#define ORIGIN_NEVER         (USEC_INFINITY - 1) /* a timer that is kept in the heap, but not due */
#define ORIGIN_REFUSALS_FREE 2 /* so many nodes are tried one after the other without a pause */
#define ORIGIN_REFUSAL_DELAY (100 * USEC_PER_MSEC)
#define ORIGIN_REFUSAL_MAX   (5 * USEC_PER_SEC)
#define ORIGIN_NOTE_MAX      159
#define ORIGIN_REFUSERS_MAX  256 /* nodes remembered by a task; then the oldest is asked again */
#define ORIGIN_QUIET_USEC    (5 * USEC_PER_SEC)   /* after the start, until others are known */
#define ORIGIN_BUSY_DELAY    (20 * USEC_PER_MSEC) /* where the way to the disk takes no more */

/* Of a task that left a node, or was not taken by one. Without memory it is not told. */
struct story {
    char previous[NODE_NAME_MAX + 1]; /* the node that had it before, where that is to be told */
    char note[ORIGIN_NOTE_MAX + 1];   /* why it left there */
};

/* The reason of a task that waits for the disk, and its own, which it gets back. */
struct disk_wait {
    char told[TASK_REASON_MAX + 1];
    char own[TASK_REASON_MAX + 1];
};

/* A node that is asked how busy it is, before an attempt is placed. */
struct question {
    struct node_id node;
    uint64_t generation; /* of the node when it was asked, */
    uint16_t rules;      /* which its answer is not older than */
    bool is_told;        /* ORIGIN_ASK was */
    bool is_answered;
    bool is_willing;
    bool is_user_refused;
    bool is_at_max;
};

struct job {
    struct task *task;     /* owned */
    struct list link;      /* in origin->jobs, by number */
    struct list active;    /* in origin->active while the task is not final */
    struct list wait;      /* in origin->waiting */
    struct list told;      /* in origin->telling while there are actions */
    struct list after;     /* in the followers of the job that it waits for */
    struct list followers; /* jobs that wait for the end of this one */
    struct heap_entry timer;

    unsigned actions;   /* bits of enum origin_action_type that are to be told */
    unsigned gates;     /* those that wait for the commit of gate_revision */
    uint64_t revision;  /* of the record in memory */
    uint64_t committed; /* of the record on disk */
    uint64_t gate_revision;

    bool is_held;      /* by its workflow */
    bool is_forgotten; /* only ORIGIN_FORGET is left */
    bool is_new;       /* nobody has heard "accepted" */
    bool is_restored;  /* why it waits may be that the others are not known yet: not told for now */

    /* Of a commit that may fail, or did. */
    struct list unsaved;         /* in origin->unsaved: its last commit failed */
    usec_t save_again_usec;      /* of one there; USEC_INFINITY = it is being tried */
    bool is_again;               /* it is to be committed once more */
    struct disk_wait *disk_wait; /* owned; while it waits for the disk before it is taken or sent */
    size_t untold;       /* entries of its timeline that tell of an end that may not be saved */
    struct task *before; /* owned; what it was before a user asked for it again */

    /* The attempt that is to be placed, or the next one of one that waits in a queue. */
    struct question asked[PLACE_BEST_MAX];
    size_t asked_count; /* 0 = nobody is asked now */
    size_t sampled;

    /* The attempt under way. */
    bool is_sent;
    bool is_accepted;
    bool is_doubtful;  /* the connection it went out on is gone */
    bool is_recalled;  /* ORIGIN_RECALL was told */
    bool is_unheard;   /* its lease is over, and it is asked for in vain */
    bool is_held_up;   /* its end, by what is its reason */
    bool is_sure;      /* offered since our start: the node's word about it is complete */
    uint16_t rules;    /* of the node when it was placed there; only where is_sure */
    uint32_t type_max; /* why it is queued there: so many of its type run at once; 0 = not so */
    usec_t lease_end_usec;
    usec_t query_usec;
    usec_t query_delay_usec;
    usec_t rebalance_usec;

    /* The last attempt. */
    bool has_avoid;
    bool has_no_space; /* it was refused for that, which some nodes know only when it is to start */
    struct node_id avoid;
    struct place_refuser *refusers; /* owned; said that they cannot run it */
    size_t refusers_count;
    uint32_t refusals; /* in a row */
    uint64_t over;     /* the last attempt that is over; 0 = none since our start */
    uint64_t ack_attempt;
    struct node_id ack_node;
    struct story *story; /* owned; NULL for the many that stay where they were placed */
};

/* Why no node takes such a task. */
struct nowhere {
    const struct task_spec *spec; /* borrowed; NULL = not known of any */
    char reason[TASK_REASON_MAX + 1];
};

struct answer {
    enum origin_action_type type;
    uint64_t number;
    uint64_t attempt;
    struct node_id node;
};

struct origin {
    struct origin_config config;
    struct place *place; /* owned */
    struct table by_number;
    struct list jobs; /* owned */
    struct list active;
    struct list waiting;
    struct list telling;
    struct list unsaved;
    struct heap timers;
    struct rng rng;
    usec_t now;
    usec_t quiet_usec;      /* until then */
    uint64_t wall_offset;   /* wall = now + offset, modulo 2^64 */
    usec_t save_again_usec; /* when the first of those is to be committed again */
    size_t wake;            /* how many of the waiting are to be tried */
    size_t waiting_count;
    struct nowhere *nowhere; /* borrowed; while those are tried */
    struct answer answers[ORIGIN_ANSWERS_MAX];
    size_t answers_first, answers_count;
    char previous[NODE_NAME_MAX + 1]; /* of the last ORIGIN_MOVED */
    struct job *gone;                 /* freed with the next call: told as forgotten */
    uint32_t states[_TASK_STATE_MAX];
    struct origin_statistics statistics;
};

static inline uint64_t origin_wall(const struct origin *origin)
{
    return origin->now + origin->wall_offset;
}

static inline const char *job_get_previous(const struct job *job)
{
    return job->story ? job->story->previous : "";
}

static inline const char *job_get_note(const struct job *job)
{
    return job->story ? job->story->note : "";
}

/* origin_job.c */
struct job *job_new(struct origin *origin, struct task *task);
void job_free(struct origin *origin, struct job *job);
struct job *job_find(const struct origin *origin, uint64_t number);
bool job_is_current(const struct job *job, uint64_t attempt, const struct node_id *node);
void job_stop_waiting(struct origin *origin, struct job *job);
void job_wait_after_refusal(struct origin *origin, struct job *job);
void job_wait(struct origin *origin, struct job *job, usec_t delay_usec);
void job_contact(struct origin *origin, struct job *job);
void job_refuse(struct origin *origin, struct job *job, enum origin_refusal refusal);
/* It is known not to have begun there, so that was no attempt. */
void job_not_begun(struct origin *origin, struct job *job, const char *why);
void job_lose(struct origin *origin, struct job *job, const char *why);
void job_end(struct origin *origin, struct job *job, const struct task_end *end);
void job_finish(struct origin *origin, struct job *job, enum task_state state);
/* The wall clock so long ago, but not before the task was submitted: a worker may say anything. */
uint64_t job_wall_before(const struct origin *origin, const struct job *job, usec_t ago_usec);
/* In the timeline, where it was: something else may have been heard of before. */
void job_tell_start(const struct origin *origin, struct job *job);
void job_check(struct origin *origin, struct job *job);
void job_arm(struct origin *origin, struct job *job);
void job_set_state(struct origin *origin, struct job *job, enum task_state state);
/* Back to a task without a node. */
void job_detach(struct origin *origin, struct job *job);
/* An ended one is forgotten when its time is over. */
void job_keep_ended(struct origin *origin, struct job *job);

/* origin_place.c */
struct place_past job_get_past(const struct job *job);
/* It was refused for good. @refuser: with what was known of it before it said so, as what it says
 * may be overtaken by its next rules. Return: whether that is remembered, in place of nothing else.
 */
bool job_add_refuser(struct job *job, const struct place_refuser *refuser);
void job_forget_refusers(struct job *job);
void job_place(struct origin *origin, struct job *job);
/* The next of those that are to be tried, some at a time. */
void origin_place_waiting(struct origin *origin);
/* The question is over, whoever has answered. */
void job_settle(struct origin *origin, struct job *job);
/* Asks others whether it would begin there at once, while it waits in the queue of its node. */
void job_look_for_room(struct origin *origin, struct job *job);
void job_stop_asking(struct origin *origin, struct job *job);
/* @node, if it is asked, will not answer. */
void job_expect_no_answer(struct origin *origin, struct job *job, const struct node_id *node);

/* origin_after.c */
/* Whether it waits for another task, or never can run because of one: then it is not to be placed
 * now. */
bool job_follow(struct origin *origin, struct job *job);
/* Its state changed: so did the reason of those that wait for it. */
void job_tell_followers(struct job *job);
/* Its end is on the disk, or it is gone: those that wait for it look again. */
void job_release_followers(struct origin *origin, struct job *job);

/* origin_action.c */
void job_tell(struct origin *origin, struct job *job, enum origin_action_type type);

/* The record changed; @gates are told once it is on disk. */
void job_commit(struct origin *origin, struct job *job, unsigned gates);
void origin_answer(struct origin *origin, enum origin_action_type type, uint64_t number,
                   uint64_t attempt, const struct node_id *node);

/* origin_unsaved.c */
/* Keeps what the task is now, for origin_take_back(). Return: 0, -ENOMEM. */
int job_keep_before(struct job *job);
/* What was kept is needed no more: the record is on the disk. */
void job_drop_before(struct job *job);
/* It is on the disk, for which it may have waited. */
void job_end_disk_wait(struct origin *origin, struct job *job);
void origin_save_again(struct origin *origin);
