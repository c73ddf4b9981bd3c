/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "tasks/runs.h"

#define WORDS_TEXT_MAX 512
#define STDERR_LINES   10

static double seconds(usec_t usec)
{
    return (double)usec / (double)USEC_PER_SEC;
}

static void add_seconds(cJSON *json, const char *key, bool is_known, usec_t usec)
{
    json_add_double(json, key, is_known ? seconds(usec) : (double)NAN);
}

bool has_ended(const struct node *node, const struct task *task)
{
    return origin_has_ended(tasks_get_origin(node->tasks), task);
}

enum task_state shown_state(const struct node *node, const struct task *task)
{
    if (!task_state_is_final(task->state) || has_ended(node, task))
        return task->state;
    return task->started_wall_usec > 0 ? TASK_RUNNING : TASK_PENDING;
}

/* It did what it was to do, but its output is not what it wrote. */
static const char *describe_loss(const struct node *node, const struct task *task,
                                 char target[static TASK_REASON_MAX + 1])
{
    char loss[TASK_REASON_MAX + 1];

    task_format_text(target, TASK_REASON_MAX + 1, "%s%soutput not whole: %s", task->reason,
                     *task->reason ? "; " : "",
                     task_format_loss(task, node->config->node.name, loss));
    return target;
}

/* Why it waits, or how it ended: one sentence, or NULL. */
static const char *reason_of(const struct node *node, const struct task *task,
                             enum task_state state, char target[static TASK_REASON_MAX + 1])
{
    if (task_state_is_final(task->state) && !task_state_is_final(state))
        return "its end waits for the disk";
    if (task->state == TASK_PENDING && task->has_node)
        return describe_queue(node, task, target);
    if (task->state == TASK_SUCCEEDED && task->cut_error != 0 && !task->spec.python)
        return describe_loss(node, task, target);
    if (*task->reason)
        return task->reason;
    if (task_state_is_final(task->state) && task->state != TASK_SUCCEEDED && task->has_end)
        return task_end_format(&task->end, target);
    return NULL;
}

static void add_end(const struct task *task, enum task_state state, cJSON *json)
{
    bool has_end = task->has_end && task_state_is_final(state);

    if (has_end && task->end.type == TASK_END_EXIT)
        json_add_i64(json, "exit", task->end.code);
    else
        json_add_null(json, "exit");
    if (has_end && task_end_get_signal(&task->end) > 0)
        json_add_i64(json, "signal", task_end_get_signal(&task->end));
    else
        json_add_null(json, "signal");
}

static void add_times(const struct node *node, const struct task *task, enum task_state state,
                      cJSON *json)
{
    uint64_t now = node_wall(node), ended = task_state_is_final(state) ? task->ended_wall_usec : 0;
    bool has_run = task->started_wall_usec > 0;
    uint64_t waited_until = has_run ? task->started_wall_usec : ended > 0 ? ended : now;

    json_add_time(json, "submitted", task->submitted_wall_usec);
    json_add_time(json, "started", task->started_wall_usec);
    json_add_time(json, "ended", ended);
    add_seconds(json, "wait_s", true, usec_sub(waited_until, task->submitted_wall_usec));
    if (ended > 0 && task->has_end)
        add_seconds(json, "run_s", has_run, task->end.run_usec);
    else
        add_seconds(json, "run_s", has_run,
                    usec_sub(ended > 0 ? ended : now, task->started_wall_usec));
}

/* As one in @state. */
static void fill(const struct node *node, const struct task *task, enum task_state state,
                 cJSON *json)
{
    const char *origin = node->config->node.name;
    char id[TASK_ID_TEXT_MAX], workflow[TASK_ID_TEXT_MAX + 1] = "w", name[TASK_NAME_MAX + 1];
    char reason[TASK_REASON_MAX + 1];

    task_spec_format_name(&task->spec, name);
    json_add_string(json, "id", task_id_format(task->number, origin, id));
    json_add_string(json, "name", strcmp(name, "-") == 0 ? NULL : name);
    json_add_string(json, "type", task->spec.type);
    json_add_string(json, "state", task_state_name(state));
    bool is_somewhere = task->has_node || task_state_is_final(task->state);
    json_add_string(json, "node", is_somewhere && *task->node_name ? task->node_name : NULL);
    json_add_string(json, "user", task->spec.user);
    json_add_u64(json, "attempt", task->tries);
    add_end(task, state, json);
    add_times(node, task, state, json);
    json_add_string(json, "reason", reason_of(node, task, state, reason));
    json_add_string(json, "output_lost",
                    task->cut_error ? task_format_loss(task, origin, reason) : NULL);
    task_id_format(task->spec.workflow, origin, workflow + 1);
    json_add_string(json, "workflow", task->spec.workflow > 0 ? workflow : NULL);
    json_add_bool(json, "confidential", task->spec.is_confidential);
}

void task_fill(const struct node *node, const struct task *task, cJSON *json)
{
    fill(node, task, shown_state(node, task), json);
}

bool may_hear_of(const struct call *call, const struct task_spec *spec)
{
    return !(spec->is_confidential && call->caller.is_remote);
}

const struct task *next_task(const struct node *node, const struct call *call,
                             const struct task *task)
{
    const struct origin *origin = tasks_get_origin(node->tasks);

    do
        task = origin_next(origin, task ? task->number : 0);
    while (task && !may_hear_of(call, &task->spec));
    return task;
}

bool pass_to_origin(struct node *node, struct call *call, const char *origin)
{
    if (!*origin || strcmp(origin, node->config->node.name) == 0)
        return false;
    if (call->caller.is_remote) {
        call_fail(call, ERROR_USAGE, "ask for the tasks of each node by themselves, without -N",
                  "%s was asked about what was submitted on %s", node->config->node.name, origin);
        return true;
    }
    const struct swim_member *member = node_find_member(node, origin);
    if (!member || member->state == SWIM_DEAD || member->state == SWIM_LEFT)
        call_fail(call, member ? ERROR_UNREACHABLE : ERROR_NOT_FOUND, "p2pctl members",
                  "cannot ask %s, where the task was submitted: %s", origin,
                  member ? "it is dead or has left" : "no node is called so");
    else
        remote_forward(node->remote, member, call);
    return true;
}

const struct task *find_task(struct node *node, struct call *call, const char *id)
{
    char origin[NODE_NAME_MAX + 1];
    uint64_t number;

    if (task_id_parse(id, "", &number, origin) < 0) {
        call_fail(call, ERROR_USAGE, "p2pctl task list",
                  "\"%s\" is no task id; one looks like 42 or 42@lab-01", id);
        return NULL;
    }
    if (pass_to_origin(node, call, origin))
        return NULL;
    const struct task *task = origin_find(tasks_get_origin(node->tasks), number);
    if (!task || !may_hear_of(call, &task->spec)) {
        call_fail(call, ERROR_NOT_FOUND, "p2pctl task list", "no task %s on %s", id,
                  node->config->node.name);
        return NULL;
    }
    return task;
}

/* --- ShowTask --- */

/* Its place in its list: "step 8 of 11". */
static void add_step(const struct node *node, const struct task *task, cJSON *json)
{
    struct run *run = task->spec.workflow > 0 ? runs_find(node->tasks, task->spec.workflow) : NULL;
    struct run_facts facts;

    if (!run) {
        json_add_null(json, "step");
        json_add_null(json, "steps");
        return;
    }
    run_get_facts(run, &facts);
    json_add_u64(json, "step", task->spec.step + UINT64_C(1));
    json_add_u64(json, "steps", facts.statistics.total);
}

static void add_command(const struct node *node, const struct task *task, cJSON *json)
{
    char text[WORDS_TEXT_MAX] = "";
    size_t used = 0;

    if (task->spec.python) {
        int size = snprintf(text, sizeof(text), "python %s:%s", task->spec.python->file,
                            task->spec.python->function);
        used = (size_t)CLAMP(size, 0, (int)sizeof(text) - 1);
    }
    if (task_spec_get_kind(&task->spec) == TASK_TYPED) {
        const char *handler = tasks_get_handler(node->tasks, task->spec.type);
        /* Only the nodes that do a type know its command. */
        int size = snprintf(text, sizeof(text), "handler %s%s%s %llu", task->spec.type,
                            handler ? ": " : "", handler ? handler : "",
                            (unsigned long long)task->spec.type_number);
        used = (size_t)CLAMP(size, 0, (int)sizeof(text) - 1);
    }
    for (size_t i = 0; i < task->spec.args.count && used < sizeof(text) - 1; i++) {
        int size = snprintf(text + used, sizeof(text) - used, "%s%s", used > 0 ? " " : "",
                            task->spec.args.items[i]);
        used += (size_t)MAX(size, 0);
    }
    /* What was cut may have been cut inside of a character. */
    while (used >= sizeof(text) && *text && !text_is_utf8(text, strlen(text)))
        text[strlen(text) - 1] = '\0';
    json_add_string(json, "command", text);
    cJSON *args = cJSON_AddArrayToObject(json, "args");
    for (size_t i = 0; i < task->spec.args.count; i++)
        cJSON_AddItemToArray(args, cJSON_CreateString(task->spec.args.items[i]));
}

/* What the type takes is known of this node only. */
static uint64_t count_slots(const struct node *node, const struct task *task)
{
    const struct config *config = node->config;
    uint64_t slots = MAX(task->spec.slots, 1U);

    if (!node_id_is_equal(&task->node, &node->start.id))
        return slots;
    for (size_t i = 0; i < config->tasks.types_count; i++)
        if (strcmp(config->tasks.types[i].name, task->spec.type) == 0)
            slots = MAX(slots, (uint64_t)config->tasks.types[i].slots);
    return slots;
}

static void add_size(cJSON *json, const char *key, uint64_t size)
{
    if (size > 0)
        json_add_u64(json, key, size);
    else
        json_add_null(json, key);
}

static void add_limits(const struct node *node, const struct task *task, cJSON *json)
{
    cJSON *limits = cJSON_AddObjectToObject(json, "limits");
    usec_t timeout =
        task->spec.timeout_usec > 0 ? task->spec.timeout_usec : node->config->tasks.timeout_usec;
    const struct exec *exec = tasks_get_exec(node->tasks);

    add_seconds(limits, "timeout_s", timeout > 0 && timeout != TASK_TIMEOUT_NONE, timeout);
    add_size(limits, "memory_bytes", task->spec.memory_size);
    add_size(limits, "peak_bytes", task->has_end ? task->end.memory_peak_size : 0);
    json_add_double(limits, "cpus",
                    task->spec.cpus_milli > 0 ? task->spec.cpus_milli / 1000.0 : (double)NAN);
    json_add_u64(limits, "slots", count_slots(node, task));
    const char *sandbox = task->spec.sandbox[0] != '\0' ? task->spec.sandbox : NULL;
    if (exec && node_id_is_equal(&task->node, &node->start.id))
        sandbox = exec_level_name(exec_get_level(exec));
    json_add_string(limits, "sandbox", sandbox);
    json_add_u64(limits, "retries", task->spec.retries);
    json_add_u64(limits, "attempts", task->tries_max);
}

static void add_timeline(const struct node *node, const struct task *task, cJSON *json)
{
    cJSON *timeline = cJSON_AddArrayToObject(json, "timeline");
    size_t count = task->timeline_count - origin_count_untold(tasks_get_origin(node->tasks), task);

    for (size_t i = 0; i < count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_time(item, "time", task->timeline[i].wall_usec);
        json_add_string(item, "text", task->timeline[i].text);
        cJSON_AddItemToArray(timeline, item);
    }
}

/* The end of stderr has to be read: the answer waits for it. */
struct show {
    struct node *node;        /* borrowed */
    struct call *call;        /* borrowed until gone */
    cJSON *reply;             /* owned */
    struct output_read *read; /* borrowed */
    struct output_key key;
    uint64_t cursor;
    char tail[4096]; /* the last bytes of stderr */
    size_t tail_size;
};

static void show_free(struct show *show)
{
    cJSON_Delete(show->reply);
    free(show);
}

static void on_show_gone(struct call *call _unused_, void *data)
{
    struct show *show = data;

    output_cancel(show->read);
    show_free(show);
}

static void keep_tail(struct show *show, const uint8_t *data, size_t size)
{
    size_t keep = MIN(size, sizeof(show->tail));
    size_t before = MIN(show->tail_size, sizeof(show->tail) - keep);

    memmove(show->tail, show->tail + show->tail_size - before, before);
    memcpy(show->tail + before, data + size - keep, keep);
    show->tail_size = before + keep;
}

static void add_stderr_tail(struct show *show)
{
    cJSON *list = cJSON_AddArrayToObject(show->reply, "stderr_tail");
    size_t end = show->tail_size, lines = 0, start;

    while (end > 0 && lines < STDERR_LINES) {
        if (show->tail[end - 1] == '\n')
            end--;
        for (start = end; start > 0 && show->tail[start - 1] != '\n'; start--)
            ;
        _cleanup_free_ char *line = strndup(show->tail + start, end - start);
        if (line && text_is_utf8(line, strlen(line)))
            cJSON_InsertItemInArray(list, 0, cJSON_CreateString(line));
        end = start;
        lines++;
    }
}

static void show_on(struct show *show);

static void on_show_chunk(int r, const struct output_chunk *chunk, void *data)
{
    struct show *show = data;

    for (size_t i = 0; r >= 0 && i < chunk->count; i++)
        if (chunk->pieces[i].stream == OUTPUT_STDERR)
            keep_tail(show, chunk->pieces[i].data, chunk->pieces[i].size);
    if (r >= 0 && !chunk->is_end && chunk->next != show->cursor) {
        show->cursor = chunk->next;
        show_on(show);
        return;
    }
    add_stderr_tail(show);
    call_reply(show->call, TAKE_PTR(show->reply));
    show_free(show);
}

static void show_on(struct show *show)
{
    struct output_query query = {.cursor = show->cursor, .streams = {[OUTPUT_STDERR] = true}};

    if (output_read(show->node->outputs, &show->key, &query, on_show_chunk, show, &show->read) >= 0)
        return;
    call_fail(show->call, ERROR_BUSY, NULL, "too much is being read from the disk");
    show_free(show);
}

void method_show_task(struct node *node, struct call *call)
{
    const char *id = NULL;
    const struct task *task;

    if (!need_string(call, "id", &id) || !(task = find_task(node, call, id)))
        return;
    struct show *show = calloc(1, sizeof(*show));
    if (!show) {
        fail_memory(call);
        return;
    }
    *show = (struct show){.node = node,
                          .call = call,
                          .reply = call_new_reply("p2pctl.task/1"),
                          .key = {.number = task->number, .attempt = (uint32_t)task->attempt}};
    task_fill(node, task, show->reply);
    add_step(node, task, show->reply);
    add_command(node, task, show->reply);
    add_limits(node, task, show->reply);
    cJSON *files = cJSON_AddObjectToObject(show->reply, "files");
    const struct task_files *out = &task->end.out;
    bool has_out = task->has_end && has_ended(node, task);
    json_add_u64(files, "in", task->spec.in.count);
    json_add_u64(files, "in_bytes", task->spec.in.bytes);
    json_add_u64(files, "out", has_out ? out->count : 0);
    json_add_u64(files, "out_bytes", has_out ? out->bytes : 0);
    add_timeline(node, task, show->reply);
    call_on_gone(call, on_show_gone, show);
    show_on(show);
}

/* --- CancelTask --- */

int signal_of(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"TERM", SIGTERM}, {"KILL", SIGKILL}, {"INT", SIGINT},   {"HUP", SIGHUP},
                   {"QUIT", SIGQUIT}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"CONT", SIGCONT}};

    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (strcmp(signals[i].name, name) == 0)
            return signals[i].number;
    return -EINVAL;
}

bool may_change_task(const struct call *call, const struct task *task)
{
    return may_hear_of(call, &task->spec) &&
           (call->caller.is_admin || strcmp(call->caller.user, task->spec.user) == 0);
}

const struct task *find_own_task(struct node *node, struct call *call, const char *id)
{
    const struct task *task = find_task(node, call, id);

    if (!task || may_change_task(call, task))
        return task;
    call_fail(call, ERROR_NOT_PERMITTED, NULL, "not permitted: task %s belongs to %s", id,
              task->spec.user);
    return NULL;
}

struct cancel {
    int signal;
    usec_t grace_usec;
    uint64_t *numbers; /* owned */
    size_t count;
};

static void cancel_done(struct cancel *cancel)
{
    free(cancel->numbers);
}

/* The tasks that are meant. False: the call has been answered. */
static bool choose_listed(struct node *node, struct call *call, const cJSON *ids,
                          struct cancel *cancel)
{
    json_for_each (id, ids) {
        const struct task *task = find_own_task(node, call, id->valuestring);
        char hint[256];
        if (!task)
            return false;
        if (task_state_is_final(task->state) && !has_ended(node, task)) {
            snprintf(hint, sizeof(hint), "p2pctl task wait %s", id->valuestring);
            call_fail(call, ERROR_CONFLICT, hint,
                      "task %s is not to be cancelled any more: its end waits for the disk",
                      id->valuestring);
            return false;
        }
        cancel->numbers[cancel->count++] = task->number;
    }
    return true;
}

static void choose_matching(struct node *node, struct call *call, const char *type,
                            struct cancel *cancel)
{
    for (const struct task *task = NULL; (task = next_task(node, call, task));)
        if (!task_state_is_final(task->state) && (!type || strcmp(type, task->spec.type) == 0) &&
            may_change_task(call, task))
            cancel->numbers[cancel->count++] = task->number;
}

void method_cancel_task(struct node *node, struct call *call)
{
    _cleanup_(cancel_done) struct cancel cancel = {
        .signal = SIGTERM, .grace_usec = node->config->tasks.kill_grace_usec};
    const cJSON *ids = NULL;
    const char *type = NULL, *signal_name = "TERM";
    struct origin_statistics statistics;
    bool all = false;

    if (!read_array(call, "ids", &ids) || !read_bool(call, "all", &all) ||
        !read_string(call, "type", &type) || !read_string(call, "signal", &signal_name) ||
        !read_usec(call, "grace", &cancel.grace_usec))
        return;
    cancel.signal = signal_of(signal_name);
    if (cancel.signal < 0)
        return call_invalid(call, "signal");
    if (!ids && !all && !type)
        return call_invalid(call, "ids");
    origin_get_statistics(tasks_get_origin(node->tasks), &statistics);
    cancel.numbers =
        calloc(statistics.tasks + (size_t)cJSON_GetArraySize(ids) + 1, sizeof(*cancel.numbers));
    if (!cancel.numbers)
        return fail_memory(call);
    if (!ids)
        choose_matching(node, call, type, &cancel);
    else if (!choose_listed(node, call, ids, &cancel))
        return;
    cJSON *reply = call_new_reply("p2pctl.tasks/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "tasks");
    for (size_t i = 0; i < cancel.count; i++) {
        int r = tasks_cancel(node->tasks, cancel.numbers[i], cancel.signal, cancel.grace_usec);
        const struct task *task = origin_find(tasks_get_origin(node->tasks), cancel.numbers[i]);
        cJSON *item = task ? cJSON_CreateObject() : NULL;
        if (item) { /* as it is when that is told */
            fill(node, task, r < 0 ? shown_state(node, task) : task->state, item);
            cJSON_AddItemToArray(list, item);
        }
    }
    reply_settled(node, call, reply, "cancelled, but not on the disk");
}
