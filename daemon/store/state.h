/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The state database, state.db: who this node is, its generation, the tasks and workflows that it
 * owns, what it finished for others and nobody has acknowledged yet, the last known members, stored
 * values and the event history. It knows tables and transactions, not what a record means: records
 * are JSON text of floor 4. Task output beside it is store/output, files are store/files.
 *
 * One writer. The loop collects changes in a batch and hands it over; the commits lane of
 * base/worker writes it in one durable transaction (SQLite, WAL, synchronous=FULL). While a
 * transaction is under way further batches wait, and the next transaction takes all of them: many
 * batches, few fsyncs. What comes back comes back in the loop and in the order of the commits.
 * Reads happen at the start, synchronously, and later as queries on the same lane.
 *
 * Life cycle: state_open, state_start, state_load_*, then commits and queries; at the end
 * worker_free, then state_free, which writes what was still waiting. Whoever gave an after-function
 * outlives the state. Everything here belongs to the loop's thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/id.h"
#include "base/macro.h"
#include "base/worker.h"

#define STATE_FILE           "state.db"
#define STATE_MESSAGE_MAX    2048
#define STATE_PENDING_MAX    ((size_t)64 * 1024 * 1024) /* bytes of batches that wait for the disk */
#define STATE_ROWS_MAX       10000                      /* rows of one query */
#define STATE_GLOBS_MAX      32                         /* types of one event query */
#define STATE_VERSIONS_AHEAD UINT64_C(1000000) /* versions of values that a start may give away */

struct state;

/**
 * state_open() - opens state.db in @directory, or makes it where there is none
 * @directory:  exists and is ours; held under a lock (state.lock) until state_free
 * @worker:     borrowed: freed before the state is
 * @events_max: the event history keeps so many, at least 1, and for a while an eighth more
 * @message:    on failure, a sentence for the operator: what is wrong and what to do
 *
 * A damaged database is refused with the way to salvage it; it is never replaced by an empty one,
 * nor is one that has lost its content. Older schemas are migrated in one transaction.
 *
 * Return: 0; -EBUSY where another process holds the directory; -EUCLEAN where the database is
 * damaged; -ENOTSUP where a newer version wrote it; -ENOSPC, -EIO, -ENOMEM, or what opening said.
 */
int state_open(const char *directory, struct worker *worker, uint64_t events_max,
               char message[static STATE_MESSAGE_MAX], struct state **ret);

/* Writes the batches that still wait, calls their after-functions, closes. Returns NULL. */
/*
 * Gives back the memory that past work has left behind: pages of the database, on the commits lane,
 * so nothing waits for it; then, by rest_heap(), what malloc keeps. Return: 0, or what
 * worker_submit() says.
 */
int state_rest(struct state *state);

struct state *state_free(struct state *state);
DEFINE_CLEANUP(struct state *, state_free)

struct state_start {
    struct node_id id; /* random, made at the first start */
    uint64_t generation;
    uint64_t previous_generation; /* of the start before; 0 = there was none */
    uint64_t next_task; /* above every number ever put, also of tasks deleted since; from 1 */
    uint64_t next_workflow;
    uint64_t next_event;
    uint64_t versions;          /* no version of a value that is lost or removed is above it */
    uint64_t versions_reserved; /* STATE_VERSIONS_AHEAD above that and above those of the values
                                   that are there: before this returns, all up to it are taken to
                                   have been given */
};

/**
 * state_start() - begins a new generation of this node
 * @wall_usec: the wall clock
 *
 * Generation = max(stored + 1, wall-clock seconds), durable before this returns, hence before the
 * first packet. Call once. Return: 0, -ENOSPC, -EIO, -EUCLEAN.
 */
int state_start(struct state *state, uint64_t wall_usec, struct state_start *ret);

/* --- What is stored. Texts and bytes are borrowed in both directions, for the call. --- */

struct state_task {
    uint64_t number;
    const char *state;        /* one of the contract's task states */
    uint64_t ended_wall_usec; /* 0 = not ended */
    const char *record;       /* JSON: what was asked for */
    const char *result;       /* JSON: what became of it; "" = nothing yet */
};

struct state_workflow {
    uint64_t number;
    uint64_t ended_wall_usec; /* 0 = not ended */
    const char *record;       /* JSON */
};

/* What this node finished for @origin, kept until the origin acknowledges it. */
struct state_result {
    struct node_id origin;
    uint64_t number;
    uint32_t attempt;
    const char *record; /* JSON */
};

struct state_member {
    struct node_id id;
    const char *name;
    const char *address;
    uint64_t gone_wall_usec; /* since when it is dead; 0 = it is not */
    uint64_t slots;
    const void *meta; /* what it says of itself: read, any bytes */
    size_t meta_size;
};

struct state_value {
    const char *key;
    const void *data;
    size_t size;
    uint64_t version;
    uint64_t expires_wall_usec; /* 0 = never */
    uint64_t modified_wall_usec;
    const char *owner;
    bool is_damaged; /* read: it is not what was stored */
};

struct state_event {
    uint64_t sequence; /* rising; from state_start.next_event */
    uint64_t wall_usec;
    const char *type;
    const char *record; /* JSON */
};

/*
 * Loading, at the start only: before the first commit or query. Rows come in the order of their
 * number or key. A callback that returns a negative value ends the load, which returns that value.
 * Return: 0, -EIO, -EUCLEAN, -ENOMEM, or what the callback said.
 */
typedef int (*state_task_t)(const struct state_task *task, void *data);
typedef int (*state_workflow_t)(const struct state_workflow *workflow, void *data);
typedef int (*state_result_t)(const struct state_result *result, void *data);
typedef int (*state_member_t)(const struct state_member *member, void *data);
typedef int (*state_value_t)(const struct state_value *value, void *data);
typedef int (*state_drain_t)(const char *reason, void *data);

/* Every task that has not ended, and those that ended at @ended_since_wall_usec or later. */
int state_load_tasks(struct state *state, uint64_t ended_since_wall_usec, state_task_t on_task,
                     void *data);
int state_load_workflows(struct state *state, state_workflow_t on_workflow, void *data);
int state_load_results(struct state *state, state_result_t on_result, void *data);
int state_load_members(struct state *state, state_member_t on_member, void *data);
int state_load_values(struct state *state, state_value_t on_value, void *data);
/* Called where this node was told to take no tasks, with the reason; "" = none was given. */
int state_load_drain(struct state *state, state_drain_t on_drain, void *data);

/* --- Batches --- */

struct state_batch;

/* Return: 0, -ENOMEM. */
int state_batch_new(struct state_batch **ret);
/*
 * A batch of nothing but deletes. On a full disk it gets space that is kept for it; what fails even
 * so, as its after-functions hear by -ENOSPC, -EBUSY or -ENOMEM, is tried again with the next such
 * batch.
 */
int state_drops_new(struct state_batch **ret);
/* Without a commit: forgets the changes, and tells the after-functions -ECANCELED. Returns NULL. */
struct state_batch *state_batch_free(struct state_batch *batch);
DEFINE_CLEANUP(struct state_batch *, state_batch_free)

bool state_batch_is_empty(
    const struct state_batch *batch); /* neither changes nor after-functions */

/*
 * Changes take effect in the order they were added. They copy what they are given; without memory
 * the batch remembers that, and state_commit refuses it.
 */
void state_put_id(struct state_batch *batch,
                  const struct node_id *id); /* in force from the next start */
void state_put_task(struct state_batch *batch, const struct state_task *task);
/* The same without the record, for a task that has been put. */
void state_update_task(struct state_batch *batch, uint64_t number, const char *state,
                       uint64_t ended_wall_usec, const char *result);
void state_delete_task(struct state_batch *batch, uint64_t number);
void state_put_workflow(struct state_batch *batch, const struct state_workflow *workflow);
void state_delete_workflow(struct state_batch *batch, uint64_t number);
void state_put_result(struct state_batch *batch, const struct state_result *result);
void state_delete_result(struct state_batch *batch, const struct node_id *origin, uint64_t number,
                         uint32_t attempt);
/* Replaces the whole snapshot. */
void state_put_members(struct state_batch *batch, const struct state_member *members, size_t count);
void state_put_value(struct state_batch *batch, const struct state_value *value);
/* Unless it has a version above this one meanwhile. */
void state_delete_value(struct state_batch *batch, const char *key, uint64_t version);
void state_clear_values(struct state_batch *batch);
/* What state_start.versions is to say next time. */
void state_put_versions(struct state_batch *batch, uint64_t versions);
void state_put_event(struct state_batch *batch, const struct state_event *event);
/* That this node takes no tasks, and why; NULL = it does. */
void state_put_drain(struct state_batch *batch, const char *reason);

/*
 * Called in the loop when the batch is durable (@r 0) or has failed, once, in the order they were
 * added.
 * - -ENOSPC: the disk is full. Nothing of this batch is stored; others may be. New work is refused;
 * what ended is put again later, from memory.
 * - -EIO: a write or an fsync failed: what the disk holds is not known. Fatal: this and every later
 * commit fails so; end the process and start it again.
 * - -EUCLEAN: the database turned out to be damaged. Fatal in the same way.
 * - -EBUSY: another program held the database for a minute, or the lane is full. -ENOMEM, -EAGAIN.
 * - -ECANCELED: the batch was freed.
 */
typedef void (*state_done_t)(int r, void *data);
void state_batch_after(struct state_batch *batch, state_done_t done, void *data);

/**
 * state_commit() - hands a batch to the disk
 * @batch: taken, and set to NULL, where this returns 0
 *
 * Return: 0; -EBUSY where more than STATE_PENDING_MAX bytes or the lane's queue wait already: keep
 * the batch and come again; -EAGAIN where no thread could be started; -ENOMEM where there is no
 * memory, or there was none when the batch was filled: free it. -EIO or -EUCLEAN after a fatal
 * failure.
 */
int state_commit(struct state *state, struct state_batch **batch);

/* Batches that were taken and have not come back. */
size_t state_pending_count(const struct state *state);

/* --- Queries, on the commits lane. Batches that still wait are not seen. --- */

struct state_task_query {
    uint64_t
        ended_from_wall_usec; /* ended at that time or later; 0 and up: only ended tasks match */
    uint64_t ended_until_wall_usec; /* ended before; UINT64_MAX = no limit */
    const char *state;              /* NULL = any */
    size_t limit;                   /* the newest so many, 1..STATE_ROWS_MAX */
};

struct state_event_query {
    uint64_t after_sequence; /* 0 = from the oldest */
    uint64_t since_wall_usec;
    const char *const *types; /* globs, NULL-terminated, at most STATE_GLOBS_MAX; NULL = all */
    size_t limit;             /* the newest so many, 1..STATE_ROWS_MAX */
};

/*
 * @r 0 with rows in rising order, borrowed for the call; or -EIO, -EUCLEAN, -ENOMEM; -ECANCELED
 * where the program ends first. Called once, in the loop.
 */
typedef void (*state_tasks_done_t)(int r, const struct state_task *tasks, size_t count, void *data);
typedef void (*state_events_done_t)(int r, const struct state_event *events, size_t count,
                                    void *data);

/* Return: 0; -EINVAL where the query is out of its ranges; -EBUSY, -EAGAIN, -ENOMEM. */
int state_query_tasks(struct state *state, const struct state_task_query *query,
                      state_tasks_done_t done, void *data);
int state_query_events(struct state *state, const struct state_event_query *query,
                       state_events_done_t done, void *data);
