/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>
#include "control/task/tail.h"
#include "control/task/stranded.h"

#define WAIT_IDS_MAX    4096
#define HINT_MAX        256
#define CONGESTED_RETRY (20 * USEC_PER_MSEC)
#define TIMER_ACCURACY  USEC_PER_MSEC
#define PROGRESS_USEC   (250 * USEC_PER_MSEC)

/* --- TaskLogs --- */

/*
 * One reader of a task's output. It reads an attempt to its end; with follow and no attempt asked
 * for, it then waits for the next one, until the task itself has ended.
 */
struct logs {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct tasks_watch watch;
    struct output_read *read; /* borrowed, while one is under way */
    sd_event_source *timer;   /* while the client is behind */
    uint64_t number;
    uint64_t attempt; /* that is read; 0 = none so far */
    uint64_t cursor;
    uint64_t passed[3]; /* bytes of each stream of this attempt that were read */
    bool is_follow;
    bool is_one_attempt;
    bool is_attempt_done; /* the current attempt's output was read to its end */
    bool is_cut;
    int error; /* why what is kept of this attempt cannot be read; 0 = it can */
    bool streams[3];
    struct stranded stranded;  /* with follow */
    sd_event_source *progress; /* with follow, while its files may be on their way */
    bool has_tail; /* what there is is held back for `lines`, until all of it was read */
    struct tail tail;
};

static void logs_free(struct logs *logs)
{
    list_remove(&logs->watch.link);
    stranded_end(&logs->stranded);
    sd_event_source_disable_unref(logs->progress);
    if (logs->read)
        output_cancel(logs->read);
    sd_event_source_disable_unref(logs->timer);
    tail_done(&logs->tail);
    free(logs);
}

static void on_logs_gone(struct call *call _unused_, void *data)
{
    logs_free(data);
}

static const struct task *logs_task(const struct logs *logs)
{
    return origin_find(tasks_get_origin(logs->node->tasks), logs->number);
}

/* Whether its latest attempt has begun: before, there is no output of it. */
static bool has_begun(const struct task *task)
{
    return task->state == TASK_RUNNING || task_state_is_final(task->state);
}

static void send_piece(const struct output_piece *piece, void *data)
{
    struct logs *logs = data;
    cJSON *json = cJSON_CreateObject();

    json_add_string(json, "type", "output");
    json_add_string(json, "stream", piece->stream == OUTPUT_STDOUT ? "stdout" : "stderr");
    json_add_time(json, "time", piece->wall_usec);
    json_add_u64(json, "attempt", logs->attempt);
    json_add_u64(json, "offset", piece->offset);
    json_add_text_or_base64(json, "data", piece->data, piece->size);
    call_notify(logs->call, json);
}

/* Sends of what was held back the last lines; from now on nothing is. */
static void send_tail(struct logs *logs)
{
    if (!logs->has_tail)
        return;
    logs->has_tail = false;
    tail_flush(&logs->tail, send_piece, logs);
}

static void add_unreadable(cJSON *fields, int error)
{
    char text[256];

    snprintf(text, sizeof(text), "what is kept of it cannot be read: %s", strerror(-error));
    json_add_string(fields, "output_lost", text);
}

static void end_logs(struct logs *logs)
{
    const struct task *task = logs_task(logs);
    struct call *call = logs->call;
    cJSON *fields = cJSON_CreateObject(), *end = cJSON_CreateObject();
    static const char *const keys[] = {"id",    "state",  "node",    "exit",       "signal",
                                       "run_s", "reason", "attempt", "output_lost"};

    send_tail(logs);
    if (task)
        task_fill(logs->node, task, fields);
    if (logs->error < 0 || (task && task->attempt != logs->attempt))
        cJSON_DeleteItemFromObjectCaseSensitive(fields, "output_lost");
    if (logs->error < 0)
        add_unreadable(fields, logs->error);
    json_add_string(end, "type", "end");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        cJSON *value = cJSON_DetachItemFromObjectCaseSensitive(fields, keys[i]);
        cJSON_AddItemToObject(end, keys[i], value ? value : cJSON_CreateNull());
    }
    json_add_bool(end, "cut",
                  logs->is_cut ||
                      cJSON_IsString(cJSON_GetObjectItemCaseSensitive(end, "output_lost")));
    cJSON_Delete(fields);
    logs_free(logs);
    call_reply(call, end);
}

static void take_piece(struct logs *logs, const struct output_piece *piece)
{
    struct output_piece placed = *piece;

    if (piece->stream == OUTPUT_CUT) {
        logs->is_cut = true;
        return;
    }
    placed.offset = logs->passed[piece->stream];
    logs->passed[piece->stream] += piece->size;
    if (!logs->has_tail || tail_add(&logs->tail, &placed) < 0)
        send_piece(&placed, logs);
}

static void read_logs(struct logs *logs);

static int on_congestion_over(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct logs *logs = data;

    logs->timer = sd_event_source_disable_unref(logs->timer);
    read_logs(logs);
    return 0;
}

/* Nothing more comes of this attempt: the next one, or the end. */
static void finish_attempt(struct logs *logs)
{
    const struct task *task = logs_task(logs);

    logs->is_attempt_done = true;
    bool is_final = !task || has_ended(logs->node, task);
    if (logs->is_one_attempt || (!logs->is_follow && (!task || task->attempt == logs->attempt)) ||
        (is_final && (!task || task->attempt == logs->attempt))) {
        end_logs(logs);
        return;
    }
    if (task && task->attempt > logs->attempt && has_begun(task)) {
        logs->attempt = task->attempt;
        logs->error = 0;
        logs->cursor = 0;
        memset(logs->passed, 0, sizeof(logs->passed));
        logs->is_attempt_done = false;
        read_logs(logs);
    } else if (logs->is_follow) {
        send_tail(logs);
    } else {
        end_logs(logs);
    }
}

static void on_logs_chunk(int r, const struct output_chunk *chunk, void *data)
{
    struct logs *logs = data;

    logs->read = NULL;
    if (r < 0) {
        logs->error = r == -ENOENT ? 0 : r;
        finish_attempt(logs);
        return;
    }
    for (size_t i = 0; i < chunk->count; i++)
        take_piece(logs, &chunk->pieces[i]);
    bool is_waiting = chunk->count == 0 && chunk->next == logs->cursor;
    logs->cursor = chunk->next;
    if (is_waiting)
        send_tail(logs);
    if (chunk->is_end || (!logs->is_follow && is_waiting))
        finish_attempt(logs);
    else
        read_logs(logs);
}

static void read_logs(struct logs *logs)
{
    struct output_key key = {.number = logs->number, .attempt = (uint32_t)logs->attempt};
    struct output_query query = {.cursor = logs->cursor,
                                 .streams = {false, logs->streams[1], logs->streams[2]},
                                 .is_following = logs->is_follow && !logs->has_tail};

    if (call_is_congested(logs->call)) {
        (void)sd_event_add_time_relative(logs->node->event, &logs->timer, CLOCK_MONOTONIC,
                                         CONGESTED_RETRY, TIMER_ACCURACY, on_congestion_over, logs);
        return;
    }
    if (output_read(logs->node->outputs, &key, &query, on_logs_chunk, logs, &logs->read) < 0) {
        struct call *call = logs->call;
        logs_free(logs);
        call_fail(call, ERROR_BUSY, NULL, "too many read task output at once");
    }
}

/* The task moved on while its reader waited for that. */
static void on_logs_task(const struct task *task, void *data)
{
    struct logs *logs = data;

    if (task->number != logs->number || logs->read || logs->timer)
        return;
    if (logs->attempt == 0 && has_begun(task)) {
        logs->attempt = task->attempt;
        read_logs(logs);
    } else if (logs->is_attempt_done || has_ended(logs->node, task)) {
        finish_attempt(logs);
    }
}

static const struct task *find_stranded_log(void *data)
{
    const struct logs *logs = data;

    return origin_is_stranded(tasks_get_origin(logs->node->tasks), logs->number) ? logs_task(logs)
                                                                                 : NULL;
}

static void tell_stranded_log(const struct task *task, void *data)
{
    struct logs *logs = data;
    cJSON *json = cJSON_CreateObject();
    char id[TASK_ID_TEXT_MAX];

    json_add_string(json, "type", "waiting");
    json_add_string(json, "id", task_id_format(task->number, logs->node->config->node.name, id));
    json_add_string(json, "reason", task->reason);
    call_notify(logs->call, json);
}

static int on_progress(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct logs *logs = data;
    const struct task *task = logs_task(logs);
    cJSON *json;
    uint64_t sent;

    if (!task || task->state != TASK_PENDING)
        return 0;
    (void)sd_event_source_set_time_relative(source, PROGRESS_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    if (!task->has_node || !tasks_get_sent(logs->node->tasks, task, &sent))
        return 0;
    json = cJSON_CreateObject();
    json_add_string(json, "type", "progress");
    json_add_string(json, "node", task->node_name);
    json_add_u64(json, "done_bytes", sent);
    json_add_u64(json, "total_bytes", task->spec.in.size);
    call_notify(logs->call, json); /* with which all may be gone */
    return 0;
}

static void begin_notices(struct logs *logs, const struct task *task)
{
    logs->stranded = (struct stranded){
        .node = logs->node, .find = find_stranded_log, .tell = tell_stranded_log, .data = logs};
    stranded_begin(&logs->stranded);
    if (task->spec.in.size > 0)
        (void)sd_event_add_time_relative(logs->node->event, &logs->progress, CLOCK_MONOTONIC,
                                         PROGRESS_USEC, TIMER_ACCURACY, on_progress, logs);
}

static bool choose_streams(struct call *call, bool streams[static 3])
{
    const char *stream = NULL;

    if (!read_string(call, "stream", &stream))
        return false;
    streams[OUTPUT_STDOUT] = !stream || strcmp(stream, "stdout") == 0;
    streams[OUTPUT_STDERR] = !stream || strcmp(stream, "stderr") == 0;
    if (streams[OUTPUT_STDOUT] || streams[OUTPUT_STDERR])
        return true;
    call_invalid(call, "stream");
    return false;
}

void method_task_logs(struct node *node, struct call *call)
{
    struct logs draft = {.node = node, .call = call};
    uint64_t lines = UINT64_MAX;
    const char *id = NULL;
    const struct task *task;

    if (!need_string(call, "id", &id) || !read_bool(call, "follow", &draft.is_follow) ||
        !read_u64(call, "lines", UINT32_MAX, &lines) ||
        !read_u64(call, "attempt", UINT32_MAX, &draft.attempt) ||
        !choose_streams(call, draft.streams))
        return;
    if (!call->wants_more)
        return call_invalid(call, "more");
    task = find_task(node, call, id);
    if (!task)
        return;
    if (draft.attempt > task->attempt) {
        char hint[HINT_MAX];
        snprintf(hint, sizeof(hint), "p2pctl task show %s", id);
        call_fail(call, ERROR_NOT_FOUND, hint, "task %s has had no attempt %llu", id,
                  (unsigned long long)draft.attempt);
        return;
    }
    struct logs *logs = malloc(sizeof(*logs));
    if (!logs)
        return fail_memory(call);
    *logs = draft;
    logs->number = task->number;
    logs->is_one_attempt = draft.attempt > 0;
    if (!logs->is_one_attempt && (has_begun(task) || !draft.is_follow))
        logs->attempt = task->attempt;
    logs->has_tail = lines != UINT64_MAX;
    tail_init(&logs->tail, lines);
    logs->watch = (struct tasks_watch){.on_task = on_logs_task, .data = logs};
    tasks_watch(node->tasks, &logs->watch);
    call_on_gone(call, on_logs_gone, logs);
    if (logs->is_follow && !has_ended(node, task))
        begin_notices(logs, task);
    if (logs->attempt > 0)
        read_logs(logs);
    else if (!logs->is_follow || has_ended(node, task))
        end_logs(logs);
}

/* --- WaitTask --- */

struct wait_item {
    uint64_t number;
    bool is_reached; /* it had the state that is waited for, also when it has another one now */
};

struct wait {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct tasks_watch watch;
    struct stranded stranded;
    sd_event_source *timer;
    bool is_any;
    int state; /* that is waited for; -1 = any final one */
    size_t count;
    struct wait_item items[];
};

static void wait_free(struct wait *wait)
{
    list_remove(&wait->watch.link);
    stranded_end(&wait->stranded);
    sd_event_source_disable_unref(wait->timer);
    free(wait);
}

static void on_wait_gone(struct call *call _unused_, void *data)
{
    wait_free(data);
}

static const struct task *wait_task(const struct wait *wait, size_t i)
{
    return origin_find(tasks_get_origin(wait->node->tasks), wait->items[i].number);
}

/* Also of one that has run and ended before anybody looked. */
static bool has_state(const struct node *node, const struct task *task, int state)
{
    if (state < 0)
        return has_ended(node, task);
    return (int)shown_state(node, task) == state ||
           (state == TASK_RUNNING && task->started_wall_usec > 0 && has_ended(node, task));
}

static void note(struct wait *wait, size_t i)
{
    const struct task *task = wait_task(wait, i);

    if (task && has_state(wait->node, task, wait->state))
        wait->items[i].is_reached = true;
}

/* Whether there is nothing more to wait for: a task that has ended changes no more. */
static bool is_over(const struct wait *wait)
{
    size_t reached = 0, settled = 0;

    for (size_t i = 0; i < wait->count; i++) {
        const struct task *task = wait_task(wait, i);
        reached += wait->items[i].is_reached;
        settled += wait->items[i].is_reached || !task || has_ended(wait->node, task);
    }
    return settled == wait->count || (wait->is_any && reached > 0);
}

/* Answers if what is waited for is there. Return: whether it was. */
static bool check_wait(struct wait *wait)
{
    struct call *call = wait->call;

    if (!is_over(wait))
        return false;
    cJSON *reply = call_new_reply("p2pctl.tasks/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "tasks");
    for (size_t i = 0; i < wait->count; i++) {
        const struct task *task = wait_task(wait, i);
        cJSON *item = task ? cJSON_CreateObject() : NULL;
        if (!item)
            continue;
        task_fill(wait->node, task, item);
        json_add_bool(item, "reached", wait->items[i].is_reached);
        cJSON_AddItemToArray(list, item);
    }
    wait_free(wait);
    call_reply(call, reply);
    return true;
}

static void on_wait_task(const struct task *task, void *data)
{
    struct wait *wait = data;

    for (size_t i = 0; i < wait->count; i++)
        if (wait->items[i].number == task->number) {
            note(wait, i);
            (void)check_wait(wait);
            return;
        }
}

static int on_wait_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct wait *wait = data;
    struct call *call = wait->call;

    wait_free(wait);
    call_fail(call, ERROR_TIMEOUT, "p2pctl task list",
              "the time is over, and what was waited for did not happen");
    return 0;
}

static const struct task *find_stranded_wait(void *data)
{
    const struct wait *wait = data;

    for (size_t i = 0; i < wait->count; i++)
        if (origin_is_stranded(tasks_get_origin(wait->node->tasks), wait->items[i].number))
            return wait_task(wait, i);
    return NULL;
}

static void tell_stranded_wait(const struct task *task, void *data)
{
    struct wait *wait = data;
    cJSON *reply = call_new_reply("p2pctl.tasks/1"), *item = cJSON_CreateObject();

    task_fill(wait->node, task, item);
    json_add_bool(item, "reached", false);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(reply, "tasks"), item);
    call_notify(wait->call, reply);
}

/* All ids of one origin. False: the call has been answered, or passed on. */
static bool read_ids(struct node *node, struct call *call, const cJSON *ids, struct wait *wait)
{
    json_for_each (id, ids) {
        const struct task *task = find_task(node, call, id->valuestring);
        if (!task)
            return false;
        wait->items[wait->count].number = task->number;
        note(wait, wait->count++);
    }
    return true;
}

void method_wait_task(struct node *node, struct call *call)
{
    const cJSON *ids = NULL;
    const char *state = NULL;
    usec_t timeout = USEC_INFINITY;
    bool is_any = false;

    if (!read_array(call, "ids", &ids) || !read_bool(call, "any", &is_any) ||
        !read_string(call, "state", &state) || !read_usec(call, "timeout", &timeout))
        return;
    int count = cJSON_GetArraySize(ids);
    if (count == 0 || count > WAIT_IDS_MAX)
        return call_invalid(call, "ids");
    if (state && task_state_parse(state) < 0)
        return call_invalid(call, "state");
    struct wait *wait = calloc(1, sizeof(*wait) + (size_t)count * sizeof(wait->items[0]));
    if (!wait)
        return fail_memory(call);
    wait->node = node;
    wait->call = call;
    wait->is_any = is_any;
    wait->state = state ? task_state_parse(state) : -1;
    if (!read_ids(node, call, ids, wait)) {
        free(wait);
        return;
    }
    wait->watch = (struct tasks_watch){.on_task = on_wait_task, .data = wait};
    tasks_watch(node->tasks, &wait->watch);
    call_on_gone(call, on_wait_gone, wait);
    if (check_wait(wait))
        return;
    wait->stranded = (struct stranded){
        .node = node, .find = find_stranded_wait, .tell = tell_stranded_wait, .data = wait};
    if (call->wants_more)
        stranded_begin(&wait->stranded);
    if (timeout != USEC_INFINITY)
        (void)sd_event_add_time_relative(node->event, &wait->timer, CLOCK_MONOTONIC, timeout,
                                         TIMER_ACCURACY, on_wait_timeout, wait);
}
