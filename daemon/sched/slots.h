/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The worker's side: attempts that were accepted here, from this node and from others, their queue,
 * the slots they run in, their time limits and leases. It starts and kills nothing itself: facts
 * and time come in, actions come out, drained by the owner after every call with
 * slots_next_action(); one timer for slots_deadline(). What an action points to is borrowed until
 * the next call.
 *
 * Between users the queue is served in turn (round robin over user@origin) or in order of arrival.
 * With a quantum what has run for so long is paused while another user waits, and goes on when it
 * is its user's turn again; a user's own tasks come one after the other. Limits of time count what
 * runs, not the pauses, and a type's `max` counts the paused ones: they hold what it guards.
 * A type may need several slots, and at most `max` tasks of it run at once; a task that must wait
 * for its type does not hold up those behind it.
 *
 * An attempt that ended stays until its origin has acknowledged it (slots_acked), so that the
 * result survives a broken connection. Ends nobody fetches are dropped after
 * SLOTS_RESULT_KEEP_USEC.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/id.h"
#include "base/macro.h"
#include "base/usec.h"
#include "sched/task.h"

#define SLOTS_TYPES_MAX        64
#define SLOTS_RESULTS_MAX      4096 /* ends that wait for their origin; then the oldest is dropped */
#define SLOTS_RESULT_KEEP_USEC USEC_PER_DAY
#define SLOTS_PAUSED_MAX       64   /* at once: they keep their memory */
#define SLOTS_BACKS_MAX        4096 /* handed back to other nodes, remembered; then the oldest goes */
#define SLOTS_PLACES_MAX       256 /* kept at once; then the oldest is not any more */
#define SLOTS_PLACE_KEEP_USEC  (500 * USEC_PER_MSEC)

struct slots_type {
    char name[TASK_TYPE_MAX + 1];
    uint32_t slots;      /* of one task, 1.. */
    uint32_t max;        /* at once; 0 = no limit */
    usec_t timeout_usec; /* 0 = the default */
};

struct slots_config {
    struct node_id id;   /* of the own node */
    bool has_commands;   /* takes commands from other nodes */
    bool has_python;     /* and functions */
    uint32_t slots;      /* 0.. ; 0 = runs nothing */
    uint32_t queue_max;  /* attempts that wait */
    bool is_fifo;        /* else round robin between users */
    usec_t quantum_usec; /* of round robin; 0 = what runs is never paused */
    usec_t timeout_usec; /* default; 0 = none */
    usec_t kill_grace_usec;
    const struct slots_type *types; /* copied */
    size_t types_count;             /* at most SLOTS_TYPES_MAX */
};

struct slots_key {
    struct node_id origin;
    uint64_t number;
    uint64_t attempt;
};

enum slots_state {
    SLOTS_QUEUED,
    SLOTS_STARTING, /* SLOTS_START was told */
    SLOTS_RUNNING,
    SLOTS_PAUSED, /* its processes are stopped: it waits for its next turn */
    SLOTS_ENDED,  /* waits for the origin's acknowledgement */
};

/* One attempt here. Borrowed; freed when it is dropped. */
struct slots_attempt {
    struct slots_key key;
    uint64_t id; /* of this node, unique since start: the id for p2pnode-exec */
    char origin_name[NODE_NAME_MAX + 1];
    struct task_spec spec; /* owned */
    enum slots_state state;
    usec_t queued_usec, started_usec, ended_usec;
    usec_t timeout_usec; /* that applies; 0 = none */
    struct task_end end; /* where state is SLOTS_ENDED */
    void *userdata;      /* the owner's */
};

enum slots_action_type {
    SLOTS_START,    /* run attempt (id); then slots_started or slots_exited */
    SLOTS_PAUSE,    /* stop all processes of attempt */
    SLOTS_CONTINUE, /* let them go on */
    SLOTS_KILL,     /* send `signal` to all processes of attempt */
    SLOTS_STARTED,  /* tell the origin */
    SLOTS_RENEW,    /* ask the origin for a renewal; its answer: slots_renewed(…, asked_usec) */
    SLOTS_REPORT,   /* tell the origin how attempt ended (attempt->end); until slots_acked */
    SLOTS_HANDBACK, /* tell the origin that attempt was not run: refusal `reason`; it is dropped
                       after */
    SLOTS_DROPPED,  /* last word on attempt: free what hangs on userdata */
};

enum slots_handback {
    SLOTS_HANDBACK_DRAINING,
    SLOTS_HANDBACK_RECALLED, /* also: its lease was over before it was its turn */
    SLOTS_HANDBACK_TYPE,     /* a reload took its type away */
    SLOTS_HANDBACK_NO_SPACE, /* the disk has no room for its input files */
    SLOTS_HANDBACK_UNABLE,   /* nothing can run here */
    SLOTS_HANDBACK_USER,     /* a reload took its type from its user */
    SLOTS_HANDBACK_SANDBOX,  /* the one that it asks for is not to be had here */
};

struct slots_action {
    enum slots_action_type type;
    struct slots_attempt *attempt;
    int signal;
    usec_t asked_usec; /* of SLOTS_RENEW */
    enum slots_handback reason;
};

struct slots;

/* @seed: of its hash tables. Return: 0; -EINVAL; -ENOMEM. */
int slots_new(const struct slots_config *config, uint64_t seed, usec_t now, struct slots **ret);
struct slots *slots_free(struct slots *slots);
DEFINE_CLEANUP(struct slots *, slots_free)

/* The configuration was reloaded: running attempts go on, queued ones of vanished types are handed
 * back. */
int slots_set_config(struct slots *slots, const struct slots_config *config, usec_t now);

/**
 * slots_offer() - an attempt from an origin
 * @spec:       copied
 * @lease_usec: 0 = none (the own node)
 *
 * Return: 0 accepted; 1 it is here already (a repeated offer); -EBUSY the queue is full; -ESHUTDOWN
 * draining; -ENODEV nothing can run here; -ENOENT no such type here, or no commands; -EPERM a
 * confidential task of another node; -ESTALE the origin was told before that this attempt is not
 * here (any more): it comes too late; -EINVAL the specification; -ENOMEM.
 */
int slots_offer(struct slots *slots, const struct slots_key *key, const char *origin_name,
                const struct task_spec *spec, usec_t lease_usec, usec_t now);

struct slots_load {
    uint32_t slots, used; /* used: slots taken */
    uint32_t running, queued, unacked;
    uint32_t load_permille; /* (running + queued) / slots, or the machine's where that is higher */
    bool is_draining;
};

/* What an origin wants a place for. */
struct slots_wish {
    char type[TASK_TYPE_MAX + 1];
    enum task_kind kind;
};

/**
 * slots_ask() - an origin asks how busy this node is, before it places an attempt
 * @ret: with the places that are kept for others; filled in also where this fails
 *
 * A place is kept for it, that is, others that ask are told of it, for SLOTS_PLACE_KEEP_USEC, until
 * its offer or slots_release(). Return: 0; -EBUSY, -ESHUTDOWN, -ENODEV or -ENOENT, as its offer
 * would get now; -ENOMEM.
 */
int slots_ask(struct slots *slots, const struct slots_key *key, const struct slots_wish *wish,
              usec_t now, struct slots_load *ret);
void slots_release(struct slots *slots, const struct slots_key *key);

/*
 * A result from before this start that no origin has acknowledged; SLOTS_REPORT follows.
 * Return: 0, -EEXIST, -ENOMEM.
 */
int slots_restore(struct slots *slots, const struct slots_key *key, const char *origin_name,
                  const struct task_spec *spec, const struct task_end *end, usec_t now);

/**
 * slots_query() - an origin asks what became of an attempt
 *
 * So it is there: SLOTS_RENEW follows for one that goes on.
 *
 * Return: the attempt; NULL where it is not here, and then an offer of it that is still on its way
 * will be refused (-ESTALE).
 */
struct slots_attempt *slots_query(struct slots *slots, const struct slots_key *key, usec_t now);

/* Whether one that is not here went back without having begun: @ret is why. Its origin may not have
 * heard it. */
bool slots_was_handed_back(const struct slots *slots, const struct slots_key *key,
                           enum slots_handback *ret);

/* What p2pnode-exec says; unknown ids are ignored. It started @ago_usec ago; @end is
 * TASK_END_EXIT, _SIGNAL or _NOT_RUN. */
void slots_started(struct slots *slots, uint64_t id, usec_t ago_usec, usec_t now);
void slots_exited(struct slots *slots, uint64_t id, const struct task_end *end, usec_t now);

/*
 * Attempt @id, which SLOTS_START told to run and which did not begin, goes back to its origin.
 * Return: 0; -ESRCH where it is not starting, or is to be killed: then only slots_exited() helps.
 */
int slots_hand_back(struct slots *slots, uint64_t id, enum slots_handback reason, usec_t now);

/*
 * Attempt @id, which SLOTS_KILL is about, has not begun. It goes back to its origin where this node
 * has reasons of its own to stop it; else it has ended.
 */
void slots_not_begun(struct slots *slots, uint64_t id, usec_t now);

/* What origins say; unknown attempts are ignored. */
void slots_cancel(struct slots *slots, const struct slots_key *key, int signal, usec_t grace_usec,
                  usec_t now);
void slots_recall(struct slots *slots, const struct slots_key *key, usec_t now);
void slots_acked(struct slots *slots, const struct slots_key *key, usec_t now);
void slots_renewed(struct slots *slots, const struct slots_key *key, bool is_granted,
                   usec_t asked_usec, usec_t now);

/*
 * The connection to @origin is back: ends that it has not acknowledged are reported again, and the
 * leases of what is still here are to be renewed at once.
 */
void slots_connected(struct slots *slots, const struct node_id *origin, usec_t now);

/* While draining nothing is taken, what is queued goes back, what runs ends by itself. */
/* How busy the machine itself is: its load average per core, 1000 = as much as it has. Counts in
 * steps of a quarter, coarser where it is overloaded, for it is never twice the same. */
void slots_set_machine_load(struct slots *slots, uint32_t load_permille);

void slots_set_draining(struct slots *slots, bool is_draining, usec_t now);

/*
 * While nothing can run here (there is no sandbox), there are no slots and nothing is taken, and
 * what is queued goes back. What was told to start and cannot is for slots_hand_back().
 */
void slots_set_able(struct slots *slots, bool is_able, usec_t now);

/* Ends what runs by TERM, then KILL, as stopped by this node: its origins place it anew. */
void slots_evict(struct slots *slots, usec_t now);

/* Ends everything: what is queued is handed back, what runs gets TERM, then KILL. */
void slots_stop(struct slots *slots, usec_t now);

void slots_tick(struct slots *slots, usec_t now);
bool slots_next_action(struct slots *slots, struct slots_action *ret);
usec_t slots_deadline(const struct slots *slots);

struct slots_attempt *slots_find(const struct slots *slots, const struct slots_key *key);
struct slots_attempt *slots_find_id(const struct slots *slots, uint64_t id);

/* Walks all attempts: start with *i = 0; NULL at the end. Nothing may be called meanwhile. */
struct slots_attempt *slots_next(const struct slots *slots, size_t *i);

void slots_get_load(const struct slots *slots, struct slots_load *ret);

/* The `max` of this type where so many of it run; 0 where one more may. */
uint32_t slots_get_reached_max(const struct slots *slots, const char *type, enum task_kind kind);

/* Free slots for one more task of @type, counting its `max`: for `p2pctl types`. */
uint32_t slots_get_free(const struct slots *slots, const char *type);
