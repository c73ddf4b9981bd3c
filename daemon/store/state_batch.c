/* SPDX-License-Identifier: MIT */
#include "store/state_core.h"

#include <stdarg.h>
#include <string.h>

int state_batch_new(struct state_batch **ret)
{
    struct state_batch *batch = calloc(1, sizeof(*batch));

    if (!batch)
        return -ENOMEM;
    list_init(&batch->link);
    list_init(&batch->changes);
    list_init(&batch->afters);
    *ret = batch;
    return 0;
}

int state_drops_new(struct state_batch **ret)
{
    int r = state_batch_new(ret);

    if (r >= 0)
        (*ret)->is_drops = true;
    return r;
}

void state_changes_free(struct list *changes)
{
    list_for_each_safe (link, changes) {
        list_remove(link);
        free(list_entry(link, struct state_change, link));
    }
}

static void tell(struct state_batch *batch, int r)
{
    list_for_each_safe (link, &batch->afters) {
        struct state_after *after = list_entry(link, struct state_after, link);
        list_remove(link);
        after->done(r, after->data);
        free(after);
    }
}

struct state_batch *state_batch_free(struct state_batch *batch)
{
    if (!batch)
        return NULL;
    tell(batch, -ECANCELED);
    state_changes_free(&batch->changes);
    list_remove(&batch->link);
    free(batch);
    return NULL;
}

bool state_batch_is_empty(const struct state_batch *batch)
{
    return list_is_empty(&batch->changes) && list_is_empty(&batch->afters) && !batch->is_incomplete;
}

void state_batch_after(struct state_batch *batch, state_done_t done, void *data)
{
    struct state_after *after = malloc(sizeof(*after));

    if (!after) {
        batch->is_incomplete = true;
        return;
    }
    *after = (struct state_after){.done = done, .data = data};
    list_append(&batch->afters, &after->link);
}

void state_batch_finish(struct state_batch *batch)
{
    tell(batch, batch->result);
    state_batch_free(batch);
}

static struct state_change *new_change(const struct state_change_value *values, size_t size)
{
    struct state_change *change = malloc(sizeof(*change) + size);

    if (!change)
        return NULL;
    *change = (struct state_change){0};
    uint8_t *target = change->bytes;
    for (size_t i = 0; i < STATE_CHANGE_VALUES_MAX; i++) {
        change->values[i] = values[i];
        if (!values[i].data)
            continue;
        change->values[i].data = target;
        memcpy(target, values[i].data, values[i].size);
        target += values[i].size;
    }
    return change;
}

/* The arguments are those of database_prepare; their bytes are copied. Return: the change, or NULL
 * without memory. */
static struct state_change *record(struct state_batch *batch, const char *sql, const char *format,
                                   ...)
{
    struct state_change_value values[STATE_CHANGE_VALUES_MAX] = {0};
    size_t size = 0;
    va_list arguments;

    va_start(arguments, format);
    for (size_t i = 0; format[i]; i++) {
        struct state_change_value *value = &values[i];
        if (format[i] == 'i') {
            value->number = va_arg(arguments, uint64_t);
        } else if (format[i] == 't') {
            value->data = va_arg(arguments, const char *);
            value->size = value->data ? strlen(value->data) : 0;
        } else {
            const void *data = va_arg(arguments, const void *);
            value->size = va_arg(arguments, size_t);
            value->data = data ? data : "";
        }
        size += value->size;
    }
    va_end(arguments);
    struct state_change *change = new_change(values, size);
    if (!change) {
        batch->is_incomplete = true;
        return NULL;
    }
    change->sql = sql;
    change->format = format;
    list_append(&batch->changes, &change->link);
    batch->size += sizeof(*change) + size;
    return change;
}

void state_put_id(struct state_batch *batch, const struct node_id *id)
{
    record(batch, "INSERT OR REPLACE INTO meta(key, value) VALUES('node_id', ?1)", "b", id->bytes,
           sizeof(id->bytes));
}

void state_put_task(struct state_batch *batch, const struct state_task *task)
{
    record(batch,
           "INSERT OR REPLACE INTO task(number, state, ended, record, result) VALUES(?1, ?2, ?3, "
           "?4, ?5)",
           "ititt", task->number, task->state, task->ended_wall_usec, task->record, task->result);
    /* Once for all of them. */
    if (batch->last_task)
        batch->last_task->values[0].number = MAX(batch->last_task->values[0].number, task->number);
    else
        batch->last_task =
            record(batch, "UPDATE meta SET value = ?1 + 1 WHERE key = 'next_task' AND value <= ?1",
                   "i", task->number);
}

void state_update_task(struct state_batch *batch, uint64_t number, const char *state,
                       uint64_t ended_wall_usec, const char *result)
{
    record(batch, "UPDATE task SET state = ?2, ended = ?3, result = ?4 WHERE number = ?1", "itit",
           number, state, ended_wall_usec, result);
}

void state_delete_task(struct state_batch *batch, uint64_t number)
{
    record(batch, "DELETE FROM task WHERE number = ?1", "i", number);
}

void state_put_workflow(struct state_batch *batch, const struct state_workflow *workflow)
{
    record(batch, "INSERT OR REPLACE INTO workflow(number, ended, record) VALUES(?1, ?2, ?3)",
           "iit", workflow->number, workflow->ended_wall_usec, workflow->record);
    record(batch, "UPDATE meta SET value = ?1 + 1 WHERE key = 'next_workflow' AND value <= ?1", "i",
           workflow->number);
}

void state_delete_workflow(struct state_batch *batch, uint64_t number)
{
    record(batch, "DELETE FROM workflow WHERE number = ?1", "i", number);
}

void state_put_result(struct state_batch *batch, const struct state_result *result)
{
    record(batch,
           "INSERT OR REPLACE INTO result(origin, number, attempt, record) VALUES(?1, ?2, ?3, ?4)",
           "biit", result->origin.bytes, sizeof(result->origin.bytes), result->number,
           (uint64_t)result->attempt, result->record);
}

void state_delete_result(struct state_batch *batch, const struct node_id *origin, uint64_t number,
                         uint32_t attempt)
{
    record(batch, "DELETE FROM result WHERE origin = ?1 AND number = ?2 AND attempt = ?3", "bii",
           origin->bytes, sizeof(origin->bytes), number, (uint64_t)attempt);
}

void state_put_members(struct state_batch *batch, const struct state_member *members, size_t count)
{
    record(batch, "DELETE FROM member", "");
    for (size_t i = 0; i < count; i++)
        record(batch,
               "INSERT OR REPLACE INTO member(id, name, address, gone, slots, meta) VALUES(?1, ?2, "
               "?3, ?4, ?5, ?6)",
               "bttiib", members[i].id.bytes, sizeof(members[i].id.bytes), members[i].name,
               members[i].address, members[i].gone_wall_usec, members[i].slots, members[i].meta,
               members[i].meta_size);
}

void state_put_value(struct state_batch *batch, const struct state_value *value)
{
    record(batch,
           "INSERT OR REPLACE INTO value(key, data, version, expires, modified, owner, sum) "
           "VALUES(?1, ?2, ?3, ?4, ?5, ?6, sum_of(?1, ?2, ?3, ?4, ?5, ?6))",
           "tbiiit", value->key, value->data, value->size, value->version, value->expires_wall_usec,
           value->modified_wall_usec, value->owner);
}

void state_delete_value(struct state_batch *batch, const char *key, uint64_t version)
{
    record(batch, "DELETE FROM value WHERE key = ?1 AND version <= ?2", "ti", key, version);
}

void state_clear_values(struct state_batch *batch)
{
    record(batch, "DELETE FROM value", "");
}

void state_put_versions(struct state_batch *batch, uint64_t versions)
{
    record(batch, "UPDATE meta SET value = ?1 WHERE key = 'versions'", "i", versions);
}

void state_put_event(struct state_batch *batch, const struct state_event *event)
{
    record(batch,
           "INSERT OR REPLACE INTO event(sequence, time, type, record) VALUES(?1, ?2, ?3, ?4)",
           "iitt", event->sequence, event->wall_usec, event->type, event->record);
    batch->events_count++;
}

void state_put_drain(struct state_batch *batch, const char *reason)
{
    if (reason)
        record(batch, "INSERT OR REPLACE INTO meta(key, value) VALUES('drain', ?1)", "t", reason);
    else
        record(batch, "DELETE FROM meta WHERE key = 'drain'", "");
}

void state_put_output(struct state_batch *batch, const struct node_id *origin, uint64_t number,
                      uint32_t attempt, const void *data, size_t size)
{
    record(batch,
           "INSERT OR REPLACE INTO output(origin, number, attempt, data) VALUES(?1, ?2, ?3, ?4)",
           "biib", origin->bytes, sizeof(origin->bytes), number, (uint64_t)attempt, data, size);
}

void state_delete_output(struct state_batch *batch, const struct node_id *origin, uint64_t number,
                         uint32_t attempt)
{
    record(batch, "DELETE FROM output WHERE origin = ?1 AND number = ?2 AND attempt = ?3", "bii",
           origin->bytes, sizeof(origin->bytes), number, (uint64_t)attempt);
}

static int apply_change(const struct state_change *change, sqlite3_stmt *statement)
{
    int code = SQLITE_OK;

    errno = 0;
    for (int i = 0; code == SQLITE_OK && change->format[i]; i++) {
        const struct state_change_value *value = &change->values[i];
        if (change->format[i] == 'i')
            code = sqlite3_bind_int64(statement, i + 1, (sqlite3_int64)value->number);
        else if (!value->data)
            code = sqlite3_bind_null(statement, i + 1);
        else if (change->format[i] == 't')
            code = sqlite3_bind_text64(statement, i + 1, value->data, value->size, SQLITE_STATIC,
                                       SQLITE_UTF8);
        else
            code = sqlite3_bind_blob64(statement, i + 1, value->data, value->size, SQLITE_STATIC);
    }
    if (code != SQLITE_OK)
        return database_errno(code);
    int r = database_step(statement);
    return r > 0 ? 0 : r;
}

int state_statements_get(struct state_statements *statements, sqlite3 *database, const char *sql,
                         sqlite3_stmt **ret)
{
    size_t i = 0;

    while (i < statements->count && statements->items[i].sql != sql)
        i++;
    if (i == statements->count) {
        sqlite3_stmt *statement = NULL;
        errno = 0;
        int r = database_errno(
            sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
        if (r < 0)
            return r;
        /* The last one makes room: there are fewer kinds than that. */
        i = MIN(i, (size_t)STATE_STATEMENTS_MAX - 1);
        if (i < statements->count)
            (void)sqlite3_finalize(statements->items[i].statement);
        statements->items[i].sql = sql;
        statements->items[i].statement = statement;
        statements->count = i + 1;
    }
    *ret = statements->items[i].statement;
    return 0;
}

int state_statements_run(struct state_statements *statements, sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement;
    int r = state_statements_get(statements, database, sql, &statement);

    if (r < 0)
        return r;
    errno = 0;
    r = database_step(statement);
    (void)sqlite3_reset(statement);
    return r > 0 ? 0 : r;
}

void state_statements_done(struct state_statements *statements)
{
    for (size_t i = 0; i < statements->count; i++)
        (void)sqlite3_finalize(statements->items[i].statement);
    statements->count = 0;
}

static int apply_changes(const struct list *changes, struct state_statements *statements,
                         sqlite3 *database)
{
    list_for_each (link, changes) {
        const struct state_change *change = list_entry(link, struct state_change, link);
        sqlite3_stmt *statement;
        int r = state_statements_get(statements, database, change->sql, &statement);
        if (r == 0) {
            r = apply_change(change, statement);
            (void)sqlite3_reset(statement);
            (void)sqlite3_clear_bindings(statement);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

int state_batch_apply(const struct state_batch *batch, struct state_statements *statements,
                      sqlite3 *database)
{
    return apply_changes(&batch->changes, statements, database);
}
