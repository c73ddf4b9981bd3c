/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the state's own files share: the batch as a list of recorded statements, and the connection.
 * The connection belongs to the loop's thread until the first job of the commits lane, to the lane
 * while a job runs, and to the loop's thread again when the worker is gone.
 */

#include "base/list.h"
#include "store/database.h"
#include "store/state.h"

#define STATE_CHANGE_VALUES_MAX 7

struct state_change_value {
    uint64_t number;
    const void *data; /* into the change's own bytes; NULL = SQL's NULL */
    size_t size;
};

/* One recorded statement. @sql and @format are literals. */
struct state_change {
    struct list link;
    const char *sql;
    const char *format; /* as of database_prepare */
    struct state_change_value values[STATE_CHANGE_VALUES_MAX];
    uint8_t bytes[];
};

struct state_after {
    struct list link;
    state_done_t done;
    void *data; /* borrowed */
};

struct state_batch {
    struct list link; /* in the state's pending list, or in the running group */
    struct list changes;
    struct list afters;
    size_t size; /* bytes of all changes */
    size_t events_count;
    struct state_change *last_task; /* of changes: the highest number of its tasks, or NULL */
    bool is_incomplete;             /* there was no memory for a change */
    bool is_drops;                  /* of state_drops_new() */
    int result;
};

#define STATE_STATEMENTS_MAX 24

/* Statements that were prepared, to be used again: parsing costs more than most of them do. */
struct state_statements {
    struct {
        const char *sql; /* a literal: the same text is the same pointer */
        sqlite3_stmt *statement;
    } items[STATE_STATEMENTS_MAX];
    size_t count;
};

/*
 * One that is ready to be bound. Borrowed until the next call; to be reset after its last step.
 * Return: 0 or what SQLite said.
 */
int state_statements_get(struct state_statements *statements, sqlite3 *database, const char *sql,
                         sqlite3_stmt **ret);

/* Prepares, steps to the end, resets: of a statement without values and rows. */
int state_statements_run(struct state_statements *statements, sqlite3 *database, const char *sql);
void state_statements_done(struct state_statements *statements);

/* Applies the changes inside an open transaction. Return: 0 or what SQLite said. */
int state_batch_apply(const struct state_batch *batch, struct state_statements *statements,
                      sqlite3 *database);

/* Frees changes that no batch has. */
void state_changes_free(struct list *changes);

/* Calls the after-functions with the batch's result and frees it. */
void state_batch_finish(struct state_batch *batch);

/* The output of an attempt as a blob; for store/output. */
void state_put_output(struct state_batch *batch, const struct node_id *origin, uint64_t number,
                      uint32_t attempt, const void *data, size_t size);
void state_delete_output(struct state_batch *batch, const struct node_id *origin, uint64_t number,
                         uint32_t attempt);

/*
 * On the commits lane only. *@ret is the caller's. Return: 0, -ENOENT, -EIO, -EUCLEAN, -ENOMEM.
 */
int state_read_output(struct state *state, const struct node_id *origin, uint64_t number,
                      uint32_t attempt, uint8_t **ret, size_t *ret_size);

/* The connection and the worker, for the files of this folder: on the lane. */
sqlite3 *state_get_database(struct state *state);

/* The connection in the loop's thread: before the first commit and nowhere else. */
sqlite3 *state_get_own_database(struct state *state);

struct worker *state_get_worker(struct state *state);

/* False when the worker is gone or going: what is left is then done at once, by whoever finds it.
 */
bool state_has_lane(const struct state *state);
