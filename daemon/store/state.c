/* SPDX-License-Identifier: MIT */
#include "store/state.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include "base/rest.h"
#include "base/table.h"
#include "store/state_core.h"
#include "store/state_room.h"

#define USEC_PER_SECOND 1000000
#define DROPS_MAX       64 /* deletes in one transaction on a full disk */
#define DROPS_STEP      8  /* where these are too many, one part in so many */
#define EVENTS_SLACK    8  /* one part in so many of the history may be more than is kept */

static const char *const migrations[] = {
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT INTO meta(key, value) VALUES('generation', 0), ('next_task', 1), ('next_workflow', 1);"
    "CREATE TABLE task(number INTEGER PRIMARY KEY, state TEXT NOT NULL, ended INTEGER NOT NULL,"
    " record TEXT NOT NULL, result TEXT NOT NULL);"
    "CREATE INDEX task_by_end ON task(ended);"
    "CREATE TABLE workflow(number INTEGER PRIMARY KEY, ended INTEGER NOT NULL, record TEXT NOT "
    "NULL);"
    "CREATE TABLE result(origin BLOB NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " record TEXT NOT NULL, PRIMARY KEY(origin, number, attempt));"
    "CREATE TABLE output(origin BLOB NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " data BLOB NOT NULL, PRIMARY KEY(origin, number, attempt));"
    "CREATE TABLE member(id BLOB PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL);"
    "CREATE TABLE value(key TEXT PRIMARY KEY, data BLOB NOT NULL, version INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, modified INTEGER NOT NULL, owner TEXT NOT NULL);"
    "CREATE TABLE event(sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, type TEXT NOT NULL,"
    " record TEXT NOT NULL);",
    /* Rows from before have none. */
    "ALTER TABLE value ADD COLUMN sum INTEGER;"
    "ALTER TABLE member ADD COLUMN gone INTEGER;"
    "ALTER TABLE member ADD COLUMN slots INTEGER;"
    "ALTER TABLE member ADD COLUMN meta BLOB;",
    NULL,
};

/* The running transaction: the lane's while state.is_running. */
struct group {
    struct list batches;
    bool has_run; /* the batches have their results */
    int failure;  /* fatal, or 0 */
};

struct state {
    sqlite3 *database;     /* owned */
    struct worker *worker; /* borrowed */
    uint64_t events_max;
    uint64_t events_count; /* that there are; the lane's */
    bool has_counted;      /* else nobody knows */
    int lock_fd;
    struct state_statements statements; /* owned; the lane's with the connection */
    struct group group;
    struct state_room room; /* the lane's, as the next */
    struct list drops;      /* changes that could not be saved: deletes */
    struct list pending;    /* batches that wait for the next transaction */
    size_t pending_size;    /* bytes of both */
    size_t pending_count;
    bool is_running;
    bool is_shared;   /* the lane has had the connection: it is not ours any more */
    bool has_no_lane; /* the worker is being freed */
    int failure;      /* fatal, or 0: as the loop knows it */
};

/* sum_of(COLUMN...) in SQL, where it is no work of the loop: finds what a disk changed. */
static void sum_of(sqlite3_context *context, int count, sqlite3_value **values)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++) {
        const void *data = sqlite3_value_blob(values[i]); /* of a number, its digits */
        sum = table_hash((const uint64_t[]){sum, (uint64_t)i}, data,
                         (size_t)sqlite3_value_bytes(values[i]));
    }
    sqlite3_result_int64(context, (sqlite3_int64)sum);
}

static int lock_directory(const char *directory, char *message, int *ret)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/state.lock", directory);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        snprintf(message, STATE_MESSAGE_MAX, "cannot open %.900s: %s", path, strerror(errno));
        return -errno;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = errno == EWOULDBLOCK ? -EBUSY : -errno;
        snprintf(message, STATE_MESSAGE_MAX, "state directory %.900s is in use by another p2pnode",
                 directory);
        return r;
    }
    *ret = TAKE_FD(fd);
    return 0;
}

int state_open(const char *directory, struct worker *worker, uint64_t events_max,
               char message[static STATE_MESSAGE_MAX], struct state **ret)
{
    char path[4096];

    assert(events_max > 0);
    _cleanup_(state_freep) struct state *state = calloc(1, sizeof(*state));
    if (!state)
        return -ENOMEM;
    *state = (struct state){.worker = worker, .events_max = events_max, .lock_fd = -EBADF};
    state->room.directory_fd = -EBADF;
    list_init(&state->drops);
    list_init(&state->pending);
    list_init(&state->group.batches);
    if (strlen(directory) > 3900) {
        snprintf(message, STATE_MESSAGE_MAX, "the path of the state directory is too long");
        return -ENAMETOOLONG;
    }
    int r = lock_directory(directory, message, &state->lock_fd);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s/%s", directory, STATE_FILE);
    r = state_room_open(&state->room, directory);
    if (r < 0) {
        snprintf(message, STATE_MESSAGE_MAX, "cannot open %.900s: %s", directory, strerror(-r));
        return r;
    }
    r = database_open(path, migrations, message, &state->database);
    if (r >= 0)
        r = database_errno(sqlite3_create_function(state->database, "sum_of", -1,
                                                   SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sum_of,
                                                   NULL, NULL));
    if (r < 0)
        return r;
    state_room_watch(&state->room, state->database);
    *ret = TAKE_PTR(state);
    return 0;
}

sqlite3 *state_get_database(struct state *state)
{
    return state->database;
}

sqlite3 *state_get_own_database(struct state *state)
{
    /* Two threads in one connection write over each other's pages of the log. */
    assert(!state->is_shared);
    return state->database;
}

bool state_has_lane(const struct state *state)
{
    return !state->has_no_lane;
}

struct worker *state_get_worker(struct state *state)
{
    return state->worker;
}

/* A random (version 4) UUID, from the kernel. */
static int make_id(struct node_id *ret)
{
    struct node_id id;

    if (getrandom(id.bytes, sizeof(id.bytes), 0) != (ssize_t)sizeof(id.bytes))
        return -EIO;
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    *ret = id;
    return 0;
}

static int load_id(sqlite3 *database, struct node_id *ret)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    size_t size;
    int r =
        database_prepare(database, &statement, "SELECT value FROM meta WHERE key = 'node_id'", "");

    if (r == 0)
        r = database_step(statement);
    if (r < 0)
        return r;
    if (r == 0) {
        r = make_id(ret);
        return r < 0 ? r
                     : database_run(database, "INSERT INTO meta(key, value) VALUES('node_id', ?1)",
                                    "b", ret->bytes, sizeof(ret->bytes));
    }
    const void *data = database_column_bytes(statement, 0, &size);
    if (size != sizeof(ret->bytes))
        return -EUCLEAN;
    memcpy(ret->bytes, data, size);
    return 0;
}

static int start(sqlite3 *database, uint64_t wall_usec, struct state_start *ret)
{
    uint64_t stored = 0, last_event = 0, last_version = 0;
    int r = load_id(database, &ret->id);

    if (r == 0)
        r = database_get_u64(database, "SELECT value FROM meta WHERE key = 'generation'", &stored);
    if (r == 0)
        r = database_get_u64(database, "SELECT value FROM meta WHERE key = 'next_task'",
                             &ret->next_task);
    if (r == 0)
        r = database_get_u64(database, "SELECT value FROM meta WHERE key = 'next_workflow'",
                             &ret->next_workflow);
    /* A database from before versions were kept knows those of its values, at least. */
    if (r == 0)
        r = database_execute(database, "INSERT OR IGNORE INTO meta(key, value) "
                                       "SELECT 'versions', ifnull(max(version), 0) FROM value");
    if (r == 0)
        r = database_get_u64(database, "SELECT value FROM meta WHERE key = 'versions'",
                             &ret->versions);
    /* A value that is there may have a far higher one: it goes on from that. */
    if (r == 0)
        r = database_get_u64(database, "SELECT ifnull(max(version), 0) FROM value", &last_version);
    ret->versions_reserved = MAX(ret->versions, last_version) + STATE_VERSIONS_AHEAD;
    if (r == 0)
        r = database_run(database, "UPDATE meta SET value = ?1 WHERE key = 'versions'", "i",
                         ret->versions_reserved);
    if (r == 0)
        r = database_get_u64(database, "SELECT ifnull(max(sequence), 0) FROM event", &last_event);
    if (r < 0)
        return r == -ENOENT ? -EUCLEAN : r;
    ret->previous_generation = stored;
    ret->generation = MAX(stored + 1, wall_usec / USEC_PER_SECOND);
    ret->next_event = last_event + 1;
    return database_run(database, "UPDATE meta SET value = ?1 WHERE key = 'generation'", "i",
                        ret->generation);
}

static int try_start(sqlite3 *database, uint64_t wall_usec, struct state_start *ret)
{
    struct state_start result = {0};
    int r = database_execute(database, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    r = start(database, wall_usec, &result);
    if (r == 0)
        r = database_execute(database, "COMMIT");
    if (r < 0) {
        (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
        return r;
    }
    *ret = result;
    return 0;
}

int state_start(struct state *state, uint64_t wall_usec, struct state_start *ret)
{
    int r = try_start(state->database, wall_usec, ret);

    /* The log of the run before may be what has filled the disk. */
    if (r == -ENOSPC) {
        state_room_give(&state->room, state->database);
        r = try_start(state->database, wall_usec, ret);
    }
    return r;
}

static bool is_fatal(int r)
{
    return r < 0 && r != -ENOSPC && r != -ENOMEM && r != -EBUSY;
}

/* From the old end, and some at once: the newest events_max are many to go by. */
static int drop_events(struct state *state)
{
    uint64_t slack = state->has_counted ? state->events_max / EVENTS_SLACK : 0;
    int r = 0;

    if (!state->has_counted)
        r = database_get_u64(state->database, "SELECT count(*) FROM event", &state->events_count);
    state->has_counted = r == 0;
    if (r < 0 || state->events_count <= state->events_max + slack)
        return r;
    r = database_run(state->database,
                     "DELETE FROM event WHERE sequence < "
                     "(SELECT sequence FROM event ORDER BY sequence LIMIT 1 OFFSET ?1)",
                     "i", state->events_count - state->events_max);
    state->events_count = state->events_max;
    return r;
}

/* One transaction over the batches from @first up to, and without, @end. */
static int commit_range(struct state *state, struct list *first, const struct list *end)
{
    int r = state_statements_run(&state->statements, state->database, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    for (struct list *link = first; link != end && r == 0; link = link->next) {
        const struct state_batch *batch = list_entry(link, struct state_batch, link);
        r = state_batch_apply(batch, &state->statements, state->database);
        state->events_count += batch->events_count;
    }
    if (r == 0)
        r = drop_events(state);
    if (r == 0)
        r = state_statements_run(&state->statements, state->database, "COMMIT");
    if (r < 0) {
        (void)sqlite3_exec(state->database, "ROLLBACK", NULL, NULL, NULL);
        state->has_counted = false;
    }
    return r;
}

static void move_all(struct list *source, struct list *target)
{
    list_for_each_safe (link, source) {
        list_remove(link);
        list_append(target, link);
    }
}

/* Up to @count_max of the changes, which leave the list where that succeeds. */
static int commit_some_drops(struct state *state, size_t count_max)
{
    struct state_batch part = {.size = 0};
    struct list range;
    size_t count = 0;

    list_init(&range);
    list_init(&part.changes);
    list_append(&range, &part.link);
    list_for_each_safe (link, &state->drops) {
        if (count++ == count_max)
            break;
        list_remove(link);
        list_append(&part.changes, link);
    }
    int r = commit_range(state, range.next, &range);
    if (r == 0)
        state_changes_free(&part.changes);
    else
        move_all(&part.changes, &state->drops);
    return r;
}

/*
 * What is deleted is overwritten, so a transaction of many takes more of the log than one of few:
 * the log begins anew in between.
 */
static int commit_drops(struct state *state)
{
    size_t count_max = DROPS_MAX;
    int r = 0;

    while (r == 0 && !list_is_empty(&state->drops)) {
        r = commit_some_drops(state, count_max);
        if (r != -ENOSPC)
            continue;
        state_room_give(&state->room, state->database);
        r = commit_some_drops(state, count_max);
        if (r == -ENOSPC && count_max > 1) {
            count_max /= DROPS_STEP;
            r = 0;
        }
    }
    return r;
}

/* What cannot be deleted now stays to be deleted with the next such batch; who holds the lock has
 * been waited for. */
static int commit_or_keep(struct state *state, struct state_batch *batch, int r)
{
    move_all(&batch->changes, &state->drops);
    return r == -EBUSY ? r : commit_drops(state);
}

/*
 * Gives every batch of the group its result. A group that does not fit on the disk is tried again
 * one by one, so that a large batch takes no small one down with it.
 */
static void commit_group(struct state *state)
{
    struct list *group = &state->group.batches;
    int r = state->group.failure;

    if (r == 0)
        r = commit_range(state, group->next, group);
    bool is_single = group->next->next == group;
    list_for_each (link, group) {
        struct state_batch *batch = list_entry(link, struct state_batch, link);
        if (batch->is_drops && !is_fatal(r) && (r < 0 || !list_is_empty(&state->drops)))
            batch->result = commit_or_keep(state, batch, r);
        else if ((r == -ENOSPC || r == -ENOMEM) && !is_single)
            batch->result = commit_range(state, link, link->next);
        else
            batch->result = r;
        if (is_fatal(batch->result))
            r = batch->result;
    }
    if (r == 0)
        state_room_reserve(&state->room);
    if (is_fatal(r))
        state->group.failure = r;
    state->group.has_run = true;
}

static void on_run(void *data)
{
    commit_group(data);
}

static void on_done(void *data);

static int run_pending(struct state *state)
{
    if (state->is_running || state->has_no_lane || list_is_empty(&state->pending))
        return 0;
    move_all(&state->pending, &state->group.batches);
    state->group.has_run = false;
    int r = worker_submit(state->worker, WORKER_COMMITS, on_run, on_done, state);
    if (r == 0) {
        state->is_running = state->is_shared = true;
        return 0;
    }
    move_all(&state->group.batches, &state->pending);
    /* The worker is being freed: what waits is left to state_free. */
    state->has_no_lane = r == -ECANCELED;
    return state->has_no_lane ? 0 : r;
}

/* Calls the after-functions of @batches, which may commit again. */
static void finish(struct state *state, struct list *batches)
{
    list_for_each_safe (link, batches) {
        struct state_batch *batch = list_entry(link, struct state_batch, link);
        if (is_fatal(batch->result))
            state->failure = batch->result;
        state->pending_size -= batch->size;
        state->pending_count--;
        list_remove(link);
        state_batch_finish(batch);
    }
}

static void fail_pending(struct state *state, int r)
{
    struct list failed;

    list_init(&failed);
    move_all(&state->pending, &failed);
    list_for_each (link, &failed)
        list_entry(link, struct state_batch, link)->result = r;
    finish(state, &failed);
}

static void on_done(void *data)
{
    struct state *state = data;
    struct list finished;

    state->is_running = false;
    list_init(&finished);
    if (!state->group.has_run) {
        /* The worker is being freed: state_free writes these, and what came after them. */
        state->has_no_lane = true;
        move_all(&state->pending, &state->group.batches);
        move_all(&state->group.batches, &state->pending);
        return;
    }
    move_all(&state->group.batches, &finished);
    finish(state, &finished);
    int r = run_pending(state);
    if (r < 0)
        fail_pending(state, r);
}

int state_commit(struct state *state, struct state_batch **batch)
{
    if ((*batch)->is_incomplete)
        return -ENOMEM;
    if (state->failure < 0)
        return state->failure;
    if (state->pending_size > 0 && state->pending_size + (*batch)->size > STATE_PENDING_MAX)
        return -EBUSY;
    list_append(&state->pending, &(*batch)->link);
    int r = run_pending(state);
    if (r < 0) {
        list_remove(&(*batch)->link);
        return r;
    }
    state->pending_size += (*batch)->size;
    state->pending_count++;
    *batch = NULL;
    return 0;
}

size_t state_pending_count(const struct state *state)
{
    return state->pending_count;
}

static void run_rest(void *data)
{
    struct state *state = data;

    state_statements_done(&state->statements);
    (void)sqlite3_db_release_memory(state->database);
}

static void rest_done(void *data _unused_)
{
    rest_heap();
}

int state_rest(struct state *state)
{
    return worker_submit(state->worker, WORKER_COMMITS, run_rest, rest_done, state);
}

struct state *state_free(struct state *state)
{
    struct list finished;

    if (!state)
        return NULL;
    assert(!state->is_running);
    state->has_no_lane = true;
    list_init(&finished);
    while (!list_is_empty(&state->pending)) {
        move_all(&state->pending, &state->group.batches);
        commit_group(state);
        move_all(&state->group.batches, &finished);
        finish(state, &finished);
    }
    if (state->database && state->group.failure == 0)
        (void)commit_drops(state);
    state_changes_free(&state->drops);
    state_statements_done(&state->statements);
    database_close(state->database);
    state_room_close(&state->room);
    close_fd(state->lock_fd);
    free(state);
    return NULL;
}
