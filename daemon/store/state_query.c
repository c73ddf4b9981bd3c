/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "store/state_core.h"

/* Rows come to a callback of the matching type; -EUCLEAN for a row that cannot be ours. */
typedef int (*row_t)(sqlite3_stmt *statement, void *data);

static int for_each_row(sqlite3_stmt *statement, row_t on_row, void *data)
{
    int r;

    while ((r = database_step(statement)) > 0) {
        r = on_row(statement, data);
        if (r < 0)
            return r;
    }
    return r;
}

static int read_id(sqlite3_stmt *statement, int column, struct node_id *ret)
{
    size_t size;
    const void *data = database_column_bytes(statement, column, &size);

    if (size != sizeof(ret->bytes))
        return -EUCLEAN;
    memcpy(ret->bytes, data, size);
    return 0;
}

static struct state_task read_task(sqlite3_stmt *statement)
{
    return (struct state_task){
        .number = database_column_u64(statement, 0),
        .state = database_column_text(statement, 1),
        .ended_wall_usec = database_column_u64(statement, 2),
        .record = database_column_text(statement, 3),
        .result = database_column_text(statement, 4),
    };
}

static struct state_event read_event(sqlite3_stmt *statement)
{
    return (struct state_event){
        .sequence = database_column_u64(statement, 0),
        .wall_usec = database_column_u64(statement, 1),
        .type = database_column_text(statement, 2),
        .record = database_column_text(statement, 3),
    };
}

struct loader {
    union {
        state_task_t on_task;
        state_workflow_t on_workflow;
        state_result_t on_result;
        state_member_t on_member;
        state_value_t on_value;
        state_drain_t on_drain;
    };
    void *data;
};

static int load(struct state *state, const char *sql, row_t on_row, struct loader *loader)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    int r = database_prepare(state_get_own_database(state), &statement, sql, "");

    return r < 0 ? r : for_each_row(statement, on_row, loader);
}

static int load_task(sqlite3_stmt *statement, void *data)
{
    const struct loader *loader = data;
    struct state_task task = read_task(statement);

    return loader->on_task(&task, loader->data);
}

int state_load_tasks(struct state *state, uint64_t ended_since_wall_usec, state_task_t on_task,
                     void *data)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    struct loader loader = {.on_task = on_task, .data = data};
    int r = database_prepare(state_get_own_database(state), &statement,
                             "SELECT number, state, ended, record, result FROM task "
                             "WHERE ended = 0 OR ended >= ?1 ORDER BY number",
                             "i", MIN(ended_since_wall_usec, (uint64_t)INT64_MAX));

    return r < 0 ? r : for_each_row(statement, load_task, &loader);
}

static int load_workflow(sqlite3_stmt *statement, void *data)
{
    const struct loader *loader = data;
    struct state_workflow workflow = {
        .number = database_column_u64(statement, 0),
        .ended_wall_usec = database_column_u64(statement, 1),
        .record = database_column_text(statement, 2),
    };

    return loader->on_workflow(&workflow, loader->data);
}

int state_load_workflows(struct state *state, state_workflow_t on_workflow, void *data)
{
    struct loader loader = {.on_workflow = on_workflow, .data = data};

    return load(state, "SELECT number, ended, record FROM workflow ORDER BY number", load_workflow,
                &loader);
}

static int load_result(sqlite3_stmt *statement, void *data)
{
    const struct loader *loader = data;
    struct state_result result = {
        .number = database_column_u64(statement, 1),
        .attempt = (uint32_t)database_column_u64(statement, 2),
        .record = database_column_text(statement, 3),
    };
    int r = read_id(statement, 0, &result.origin);

    return r < 0 ? r : loader->on_result(&result, loader->data);
}

int state_load_results(struct state *state, state_result_t on_result, void *data)
{
    struct loader loader = {.on_result = on_result, .data = data};

    return load(
        state,
        "SELECT origin, number, attempt, record FROM result ORDER BY origin, number, attempt",
        load_result, &loader);
}

static int load_member(sqlite3_stmt *statement, void *data)
{
    const struct loader *loader = data;
    struct state_member member = {
        .name = database_column_text(statement, 1),
        .address = database_column_text(statement, 2),
        .gone_wall_usec = database_column_u64(statement, 3),
        .slots = database_column_u64(statement, 4),
    };
    int r = read_id(statement, 0, &member.id);

    member.meta = database_column_bytes(statement, 5, &member.meta_size);

    return r < 0 ? r : loader->on_member(&member, loader->data);
}

int state_load_members(struct state *state, state_member_t on_member, void *data)
{
    struct loader loader = {.on_member = on_member, .data = data};

    return load(state, "SELECT id, name, address, gone, slots, meta FROM member ORDER BY id",
                load_member, &loader);
}

static int load_value(sqlite3_stmt *statement, void *data)
{
    const struct loader *loader = data;
    struct state_value value = {
        .key = database_column_text(statement, 0),
        .version = database_column_u64(statement, 2),
        .expires_wall_usec = database_column_u64(statement, 3),
        .modified_wall_usec = database_column_u64(statement, 4),
        .owner = database_column_text(statement, 5),
        .is_damaged = database_column_u64(statement, 6) != 0,
    };

    value.data = database_column_bytes(statement, 1, &value.size);
    return loader->on_value(&value, loader->data);
}

static int load_drain(sqlite3_stmt *statement, void *data)
{
    const struct loader *loader = data;

    return loader->on_drain(database_column_text(statement, 0), loader->data);
}

int state_load_drain(struct state *state, state_drain_t on_drain, void *data)
{
    struct loader loader = {.on_drain = on_drain, .data = data};

    return load(state, "SELECT value FROM meta WHERE key = 'drain'", load_drain, &loader);
}

int state_load_values(struct state *state, state_value_t on_value, void *data)
{
    struct loader loader = {.on_value = on_value, .data = data};

    return load(state,
                "SELECT key, data, version, expires, modified, owner, sum IS NOT NULL AND sum <> "
                "sum_of(key, data, version, expires, modified, owner) FROM value ORDER BY key",
                load_value, &loader);
}

int state_read_output(struct state *state, const struct node_id *origin, uint64_t number,
                      uint32_t attempt, uint8_t **ret, size_t *ret_size)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    size_t size;
    int r = database_prepare(
        state_get_database(state), &statement,
        "SELECT data FROM output WHERE origin = ?1 AND number = ?2 AND attempt = ?3", "bii",
        origin->bytes, sizeof(origin->bytes), number, (uint64_t)attempt);

    if (r == 0)
        r = database_step(statement);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    const void *data = database_column_bytes(statement, 0, &size);
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, size);
    *ret = copy;
    *ret_size = size;
    return 0;
}

/* --- Queries: the lane collects copies of the rows, the loop shows and frees them. --- */

struct query {
    struct state *state; /* borrowed */
    struct state_task_query task_query;
    struct state_event_query event_query;
    char *texts[STATE_GLOBS_MAX]; /* owned: the state, or the types, asked for */
    size_t texts_count;
    state_tasks_done_t on_tasks; /* one of the two */
    state_events_done_t on_events;
    void *data;
    struct state_task *tasks; /* owned, as are their texts, newest first until they are shown */
    struct state_event *events;
    size_t count;
    int result;
};

static void free_rows(struct query *query)
{
    for (size_t i = 0; i < query->count; i++)
        if (query->on_tasks) {
            free((char *)(uintptr_t)query->tasks[i].state);
            free((char *)(uintptr_t)query->tasks[i].record);
            free((char *)(uintptr_t)query->tasks[i].result);
        } else {
            free((char *)(uintptr_t)query->events[i].type);
            free((char *)(uintptr_t)query->events[i].record);
        }
    free(query->tasks);
    free(query->events);
}

static struct query *query_free(struct query *query)
{
    if (!query)
        return NULL;
    free_rows(query);
    for (size_t i = 0; i < query->texts_count; i++)
        free(query->texts[i]);
    free(query);
    return NULL;
}
DEFINE_CLEANUP(struct query *, query_free)

static int keep_task(sqlite3_stmt *statement, void *data)
{
    struct query *query = data;
    struct state_task *task = &query->tasks[query->count];

    *task = read_task(statement);
    task->state = strdup(task->state);
    task->record = strdup(task->record);
    task->result = strdup(task->result);
    query->count++;
    return task->state && task->record && task->result ? 0 : -ENOMEM;
}

static int keep_event(sqlite3_stmt *statement, void *data)
{
    struct query *query = data;
    struct state_event *event = &query->events[query->count];

    *event = read_event(statement);
    event->type = strdup(event->type);
    event->record = strdup(event->record);
    query->count++;
    return event->type && event->record ? 0 : -ENOMEM;
}

static int select_tasks(struct query *query)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    const struct state_task_query *task_query = &query->task_query;

    query->tasks = calloc(task_query->limit, sizeof(*query->tasks));
    if (!query->tasks)
        return -ENOMEM;
    int r =
        database_prepare(state_get_database(query->state), &statement,
                         "SELECT number, state, ended, record, result FROM task WHERE ended > 0 "
                         "AND ended >= ?1 AND ended < ?2 AND (?3 IS NULL OR state = ?3) "
                         "ORDER BY number DESC LIMIT ?4",
                         "iiti", MIN(task_query->ended_from_wall_usec, (uint64_t)INT64_MAX),
                         MIN(task_query->ended_until_wall_usec, (uint64_t)INT64_MAX),
                         query->texts[0], (uint64_t)task_query->limit);
    return r < 0 ? r : for_each_row(statement, keep_task, query);
}

static int select_events(struct query *query)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    char sql[256 + STATE_GLOBS_MAX * 24];
    const struct state_event_query *event_query = &query->event_query;
    size_t size = (size_t)snprintf(sql, sizeof(sql),
                                   "SELECT sequence, time, type, record FROM event "
                                   "WHERE sequence > ?1 AND time >= ?2 AND (%s",
                                   query->texts_count == 0 ? "1" : "0");

    query->events = calloc(event_query->limit, sizeof(*query->events));
    if (!query->events)
        return -ENOMEM;
    for (size_t i = 0; i < query->texts_count; i++)
        size += (size_t)snprintf(sql + size, sizeof(sql) - size, " OR type GLOB ?%zu", i + 4);
    snprintf(sql + size, sizeof(sql) - size, ") ORDER BY sequence DESC LIMIT ?3");
    int r = database_prepare(state_get_database(query->state), &statement, sql, "iii",
                             MIN(event_query->after_sequence, (uint64_t)INT64_MAX),
                             MIN(event_query->since_wall_usec, (uint64_t)INT64_MAX),
                             (uint64_t)event_query->limit);
    for (size_t i = 0; i < query->texts_count && r == 0; i++)
        r = database_errno(
            sqlite3_bind_text(statement, (int)i + 4, query->texts[i], -1, SQLITE_STATIC));
    return r < 0 ? r : for_each_row(statement, keep_event, query);
}

static void on_run(void *data)
{
    struct query *query = data;

    query->result = query->on_tasks ? select_tasks(query) : select_events(query);
}

static void on_done(void *data)
{
    _cleanup_(query_freep) struct query *query = data;
    size_t shown = query->result == 0 ? query->count : 0;

    for (size_t i = 0; i < query->count / 2; i++) {
        size_t other = query->count - 1 - i;
        if (query->on_tasks) {
            struct state_task task = query->tasks[i];
            query->tasks[i] = query->tasks[other];
            query->tasks[other] = task;
        } else {
            struct state_event event = query->events[i];
            query->events[i] = query->events[other];
            query->events[other] = event;
        }
    }
    if (query->on_tasks)
        query->on_tasks(query->result, query->tasks, shown, query->data);
    else
        query->on_events(query->result, query->events, shown, query->data);
}

static int submit(struct query *query)
{
    query->result = -ECANCELED;
    return worker_submit(state_get_worker(query->state), WORKER_COMMITS, on_run, on_done, query);
}

static int add_text(struct query *query, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    query->texts[query->texts_count++] = copy;
    return 0;
}

int state_query_tasks(struct state *state, const struct state_task_query *query,
                      state_tasks_done_t done, void *data)
{
    _cleanup_(query_freep) struct query *job = calloc(1, sizeof(*job));

    if (query->limit == 0 || query->limit > STATE_ROWS_MAX)
        return -EINVAL;
    if (!job)
        return -ENOMEM;
    job->state = state;
    job->task_query = *query;
    job->on_tasks = done;
    job->data = data;
    int r = query->state ? add_text(job, query->state) : 0;
    if (r == 0)
        r = submit(job);
    if (r < 0)
        return r;
    (void)TAKE_PTR(job);
    return 0;
}

int state_query_events(struct state *state, const struct state_event_query *query,
                       state_events_done_t done, void *data)
{
    _cleanup_(query_freep) struct query *job = calloc(1, sizeof(*job));
    int r = 0;

    if (query->limit == 0 || query->limit > STATE_ROWS_MAX)
        return -EINVAL;
    if (!job)
        return -ENOMEM;
    job->state = state;
    job->event_query = *query;
    job->on_events = done;
    job->data = data;
    for (const char *const *type = query->types; type && *type && r == 0; type++)
        r = job->texts_count < STATE_GLOBS_MAX ? add_text(job, *type) : -EINVAL;
    if (r == 0)
        r = submit(job);
    if (r < 0)
        return r;
    (void)TAKE_PTR(job);
    return 0;
}
