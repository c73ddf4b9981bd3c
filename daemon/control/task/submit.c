/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "remembered.h"

#define PROGRESS_USEC (250 * USEC_PER_MSEC)

/* A submission whose files are being taken in, and that then waits for the disk. */
struct pending {
    struct node *node;     /* borrowed */
    struct call *call;     /* borrowed until gone */
    struct task_spec spec; /* owned */
    struct stage *stage;   /* borrowed until done */
    bool is_dry_run;
    sd_event_source *timer;        /* for progress, while there is a stage */
    struct submission *submission; /* borrowed until done */
};

static void pending_free(struct pending *pending)
{
    sd_event_source_disable_unref(pending->timer);
    task_spec_done(&pending->spec);
    free(pending);
}

/* What is too long for a command line goes as a file. */
static const char *hint_for_words(const char *key)
{
    if (strcmp(key, "argv") == 0 || strcmp(key, "args") == 0)
        return "send them as a file: p2pctl submit --stdin words.txt -- xargs COMMAND";
    return strcmp(key, "env") == 0 ? "send them as a file: p2pctl submit --in settings.env ..."
                                   : NULL;
}

bool read_words(struct call *call, const char *key, struct task_words *words)
{
    const cJSON *array = NULL;

    if (!read_array(call, key, &array))
        return false;
    json_for_each (item, array) {
        int r = task_words_add(words, item->valuestring);
        if (r == -E2BIG) {
            call_fail(call, ERROR_TOO_LARGE, hint_for_words(key),
                      "%s: more than %d words or %d bytes", key, TASK_WORDS_MAX, TASK_WORDS_SIZE);
            return false;
        }
        if (r < 0) {
            fail_memory(call);
            return false;
        }
    }
    return true;
}

/* Copies a text parameter into a fixed field. */
static bool read_field(struct call *call, const char *key, char *target, size_t size)
{
    const char *text = NULL;

    if (!read_string(call, key, &text))
        return false;
    if (text && snprintf(target, size, "%s", text) >= (int)size) {
        call_fail(call, ERROR_USAGE, NULL, "%s: longer than %zu bytes", key, size - 1);
        return false;
    }
    return true;
}

unsigned retry_on_of(const struct config *config)
{
    unsigned flags = 0;

    for (size_t i = 0; i < config->tasks.retry_on.count; i++) {
        int flag = task_retry_on_parse(config->tasks.retry_on.items[i]);
        flags |= flag > 0 ? (unsigned)flag : 0;
    }
    return flags;
}

/* "tag:gpu=1" or "gpu=1": only tags select where a task may run. */
static bool read_select(struct call *call, struct task_spec *spec)
{
    const char *text = NULL, *tag;

    if (!read_string(call, "select", &text))
        return false;
    if (!text)
        return true;
    tag = strncmp(text, "tag:", 4) == 0 ? text + 4 : text;
    if (strncmp(text, "type:", 5) == 0)
        call_fail(call, ERROR_USAGE, "p2pctl members -o +tags",
                  "where a task may run is selected by a tag such as gpu=1, not by a type");
    else if ((tag == text && !strchr(tag, '=')) || *tag == '=' || strlen(tag) > TASK_SELECT_MAX ||
             !*tag)
        call_fail(call, ERROR_USAGE, "p2pctl members -o +tags",
                  "\"%s\" selects no node; a selector looks like tag:gpu=1 or gpu=1", text);
    else {
        strcpy(spec->select, tag);
        return true;
    }
    return false;
}

/* 0 would say what leaving it out does. */
static bool read_memory(struct call *call, struct task_spec *spec)
{
    const char *text = NULL;

    if (!read_string(call, "memory", &text))
        return false;
    if (!text || (text_parse_size(text, &spec->memory_size) >= 0 && spec->memory_size > 0))
        return true;
    call_invalid(call, "memory");
    return false;
}

/* "0" is no limit, which is not the same as none asked for. */
static bool read_timeout(struct call *call, struct task_spec *spec)
{
    usec_t timeout_usec = USEC_INFINITY;

    if (!read_usec(call, "timeout", &timeout_usec))
        return false;
    spec->timeout_usec = timeout_usec == USEC_INFINITY ? 0
                         : timeout_usec == 0           ? TASK_TIMEOUT_NONE
                                                       : timeout_usec;
    return true;
}

/* What runs here when the task has ended is a command of this node: it has to run any. */
static bool read_on_done(struct node *node, struct call *call, struct task_spec *spec)
{
    const char *text = NULL;

    if (!read_string(call, "on_done", &text))
        return false;
    if (text && !node->config->tasks.enabled) {
        call_fail(call, ERROR_NOT_PERMITTED, "p2pctl config show tasks.enabled",
                  "not permitted: %s runs no tasks, so no command when one is done",
                  node->config->node.name);
        return false;
    }
    spec->on_done = text ? strdup(text) : NULL;
    if (text && !spec->on_done)
        fail_memory(call);
    return !text || spec->on_done;
}

static bool read_cpus(struct call *call, struct task_spec *spec)
{
    const char *text = NULL;

    if (!read_string(call, "cpus", &text))
        return false;
    if (!text || (text_parse_milli(text, &spec->cpus_milli) >= 0 && spec->cpus_milli > 0))
        return true;
    call_invalid(call, "cpus");
    return false;
}

bool check_json_args(struct call *call, const struct task_words *args)
{
    for (size_t i = 0; i < args->count; i++)
        if (!json_is_value(text_skip_name(args->items[i]))) {
            call_fail(call, ERROR_USAGE, "a text stands in quotes of its own: '\"text\"'",
                      "argument %zu is no JSON: %.64s", i + 1, args->items[i]);
            return false;
        }
    size_t again = task_words_find_repeated(args);
    if (again == SIZE_MAX)
        return true;
    call_fail(call, ERROR_USAGE, NULL, "argument %zu gives a name a second value: %.64s", again + 1,
              args->items[again]);
    return false;
}

static bool read_python(struct call *call, struct task_spec *spec)
{
    const cJSON *object = NULL;
    int r;

    if (json_get_object(call->parameters, "python", &object) == 0)
        return true;
    r = object ? task_python_from_json(object, &spec->python) : -EBADMSG;
    if (r == -ENOMEM) {
        fail_memory(call);
        return false;
    }
    if (r < 0) {
        call_fail(call, ERROR_USAGE, NULL,
                  "python: not an object of the texts file, function and code");
        return false;
    }
    return check_json_args(call, &spec->args);
}

static bool read_spec(struct node *node, struct call *call, struct task_spec *spec)
{
    uint64_t retries = node->config->tasks.retries;
    const cJSON *argv = NULL;

    spec->retry_delay_usec = node->config->tasks.retry_delay_usec;
    spec->retry_on = retry_on_of(node->config);
    snprintf(spec->user, sizeof(spec->user), "%.64s", call->caller.user);
    if (!read_array(call, "argv", &argv) ||
        !read_field(call, "type", spec->type, sizeof(spec->type)) ||
        !read_u64(call, "number", TASK_TYPE_NUMBER_MAX, &spec->type_number) ||
        !read_words(call, argv ? "argv" : "args", &spec->args) ||
        !read_words(call, "env", &spec->env) || !read_words(call, "out", &spec->outs) ||
        !read_after(node, call, &spec->after) ||
        !read_field(call, "run_on", spec->node, sizeof(spec->node)) || !read_select(call, spec) ||
        !read_bool(call, "confidential", &spec->is_confidential) || !read_timeout(call, spec) ||
        !read_memory(call, spec) || !read_cpus(call, spec) ||
        !read_field(call, "sandbox", spec->sandbox, sizeof(spec->sandbox)) ||
        !read_u64(call, "retries", TASK_RETRIES_MAX, &retries) ||
        !read_usec(call, "retry_delay", &spec->retry_delay_usec) ||
        !read_field(call, "name", spec->name, sizeof(spec->name)) ||
        !read_on_done(node, call, spec))
        return false;
    spec->retries = (uint32_t)retries;
    if (!read_python(call, spec))
        return false;
    if ((argv != NULL) + (*spec->type != '\0') + (spec->python != NULL) > 1) {
        call_fail(call, ERROR_USAGE, "p2pctl submit -h",
                  "give a task type, a command or a function, only one of them");
        return false;
    }
    if (spec->python)
        strcpy(spec->type, TASK_TYPE_PYTHON);
    if (argv) {
        spec->is_command = true;
        strcpy(spec->type, TASK_TYPE_COMMAND);
    }
    return true;
}

bool need_node(const struct node *node, struct call *call, const char *name)
{
    struct state_member unheard;

    if (node_find_member(node, name) || remembered_find(node, name, &unheard))
        return true;
    call_fail(call, ERROR_NOT_FOUND, "p2pctl members", "no node is called \"%s\"", name);
    return false;
}

bool check_node_of(struct node *node, struct call *call, const struct task_spec *spec)
{
    if (spec->is_confidential && *spec->node && strcmp(spec->node, node->config->node.name) != 0) {
        call_fail(call, ERROR_CONFIDENTIAL, "leave out the node, or that it is confidential",
                  "a confidential task never leaves %s, but is to run on %s",
                  node->config->node.name, spec->node);
        return false;
    }
    return !*spec->node || need_node(node, call, spec->node);
}

/* What is wrong with what was asked for, beyond its form. False: the call has been answered. */
static bool check_spec(struct node *node, struct call *call, const struct task_spec *spec)
{
    char reason[TASK_REASON_MAX + 1];

    if (!task_is_label(spec->name)) {
        call_fail(call, ERROR_USAGE, NULL,
                  "a name is at most %d bytes of printable text, and nothing that cannot be seen",
                  TASK_NAME_MAX);
        return false;
    }
    if (task_spec_check(spec, reason) < 0) {
        call_fail(call, ERROR_USAGE, "p2pctl submit -h", "%s", reason);
        return false;
    }
    for (size_t i = 0; i < spec->env.count; i++)
        if (strncmp(spec->env.items[i], "P2P_", 4) == 0) {
            call_fail(call, ERROR_USAGE, NULL,
                      "env: \"%.64s\": names that begin with P2P_ are set by p2pnode",
                      spec->env.items[i]);
            return false;
        }
    return check_node_of(node, call, spec);
}

static cJSON *new_reply(const struct task_spec *spec)
{
    cJSON *reply = call_new_reply("p2pctl.submit/1");

    json_add_null(reply, "id");
    json_add_string(reply, "type", spec->type);
    if (task_spec_get_kind(spec) == TASK_TYPED)
        json_add_u64(reply, "number", spec->type_number);
    else
        json_add_null(reply, "number");
    return reply;
}

static void dry_run(struct node *node, struct call *call, const struct task_spec *spec)
{
    _cleanup_free_ struct place_verdict *verdicts = NULL;
    char reason[TASK_REASON_MAX + 1] = "";
    size_t count = 0;
    int r = place_explain(origin_get_place(tasks_get_origin(node->tasks)), spec, &verdicts, &count,
                          reason);

    if (r < 0) {
        fail_memory(call);
        return;
    }
    cJSON *reply = new_reply(spec);
    json_add_null(reply, "state");
    json_add_string(reply, "node", r > 0 ? verdicts[0].node : NULL);
    json_add_bool(reply, "confidential", spec->is_confidential);
    json_add_string(reply, "reason", reason);
    cJSON *list = cJSON_AddArrayToObject(reply, "candidates");
    for (size_t i = 0; i < count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "name", verdicts[i].node);
        json_add_double(item, "load",
                        verdicts[i].is_known ? verdicts[i].load_permille / 1000.0 : (double)NAN);
        json_add_double(item, "free", verdicts[i].is_known ? verdicts[i].free_slots : (double)NAN);
        json_add_string(item, "verdict", verdicts[i].text);
        cJSON_AddItemToArray(list, item);
    }
    call_reply(call, reply);
}

/* Before the task is submitted: then there is none. */
static void on_gone_early(struct call *call _unused_, void *data)
{
    struct pending *pending = data;

    tasks_stage_cancel(pending->stage);
    pending_free(pending);
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct pending *pending = data;

    tasks_submit_forget(pending->submission);
    pending_free(pending);
}

static void on_submitted(int r, const struct task *task, const char *reason, void *data)
{
    struct pending *pending = data;
    struct call *call = pending->call;
    char id[TASK_ID_TEXT_MAX];

    if (r < 0) {
        tasks_drop_files(pending->node->tasks, &pending->spec.in);
        if (r == -EACCES)
            fail_forbidden(call, reason);
        else
            call_fail(call, error_from_errno(r), NULL, "%s", reason);
        pending_free(pending);
        return;
    }
    cJSON *reply = new_reply(&task->spec);
    cJSON_ReplaceItemInObjectCaseSensitive(
        reply, "id",
        cJSON_CreateString(task_id_format(task->number, pending->node->config->node.name, id)));
    json_add_string(reply, "state", task_state_name(task->state));
    json_add_string(reply, "node", task->has_node ? task->node_name : NULL);
    json_add_bool(reply, "confidential", task->spec.is_confidential);
    json_add_string(reply, "reason", *task->reason ? task->reason : NULL);
    json_add_null(reply, "candidates");
    call_reply(call, reply);
    pending_free(pending);
}

static void submit(struct pending *pending)
{
    struct node *node = pending->node;
    struct call *call = pending->call;
    char reason[TASK_REASON_MAX + 1] = "";

    int r = tasks_submit(node->tasks, &pending->spec, false, on_submitted, pending, reason,
                         &pending->submission);
    if (r >= 0) {
        call_on_gone(call, on_gone, pending);
        return;
    }
    tasks_drop_files(node->tasks, &pending->spec.in);
    fail_submit(node, call, &pending->spec, r, reason);
    pending_free(pending);
}

/* With files or without. */
static void go_on(struct pending *pending)
{
    if (!pending->is_dry_run) {
        submit(pending);
        return;
    }
    dry_run(pending->node, pending->call, &pending->spec);
    pending_free(pending);
}

static void on_staged(int r, const struct task_files *files, const char *reason, void *data)
{
    struct pending *pending = data;
    struct call *call = pending->call;

    call_on_gone(call, NULL, NULL);
    pending->timer = sd_event_source_disable_unref(pending->timer);
    if (r < 0) {
        enum error_code code = r == -EINVAL ? ERROR_USAGE : error_from_errno(r);
        call_fail(call, code, r == -EFBIG ? "p2pctl config show tasks.result_max" : NULL, "%s",
                  *reason ? reason : strerror(-r));
        pending_free(pending);
        return;
    }
    pending->spec.in = *files;
    go_on(pending);
}

static int on_progress(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct pending *pending = data;
    struct stage_progress progress;
    cJSON *json = cJSON_CreateObject();

    tasks_stage_get_progress(pending->stage, &progress);
    json_add_string(json, "type", "progress");
    json_add_string(json, "name", progress.name);
    json_add_u64(json, "done_bytes", progress.done_bytes);
    json_add_u64(json, "total_bytes", progress.total_bytes);
    (void)sd_event_source_set_time_relative(source, PROGRESS_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    call_notify(pending->call, json); /* with which all may be gone */
    return 0;
}

/* With files they come first: a task is accepted when all of it is here. Takes over what the
 * specification and the inputs own. */
static void stage_and_submit(struct node *node, struct call *call, struct task_spec *spec,
                             struct inputs *inputs, bool is_dry_run)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    size_t bad = 0;

    if (!pending) {
        fail_memory(call);
        return;
    }
    *pending =
        (struct pending){.node = node, .call = call, .spec = *spec, .is_dry_run = is_dry_run};
    *spec = (struct task_spec){0};
    if (inputs->count == 0) {
        go_on(pending);
        return;
    }
    pending->spec.has_stdin = inputs->has_stdin;
    int r = tasks_stage(node->tasks, inputs->sources, inputs->count, is_dry_run, on_staged, pending,
                        &bad, &pending->stage);
    if (r < 0) {
        fail_inputs(call, r, inputs, bad);
        pending_free(pending);
        return;
    }
    call_on_gone(call, on_gone_early, pending);
    if (call->wants_more)
        (void)sd_event_add_time_relative(node->event, &pending->timer, CLOCK_MONOTONIC,
                                         PROGRESS_USEC, USEC_PER_MSEC, on_progress, pending);
}

/* A queue that others have filled takes some more of those who have little in it: an eighth in all.
 */
static bool has_share(struct node *node, const char *user, uint32_t pending)
{
    const uint32_t queue_max = node->config->tasks.queue_max, share = MAX(queue_max / 8, 1U);

    return pending < queue_max + share &&
           origin_has_fewer_pending(tasks_get_origin(node->tasks), user, share);
}

/* Whether there is room in the queue; else the call has been answered. */
static bool check_queue(struct node *node, struct call *call, const char *user)
{
    struct origin_statistics statistics;

    origin_get_statistics(tasks_get_origin(node->tasks), &statistics);
    if (statistics.pending < node->config->tasks.queue_max ||
        has_share(node, user, statistics.pending))
        return true;
    call_fail(call, ERROR_BUSY,
              "see what waits: p2pctl task list -s pending\nthe limit is: p2pctl config show "
              "tasks.queue_max",
              "the queue of %s is full: %u tasks wait", node->config->node.name,
              statistics.pending);
    return false;
}

void method_submit(struct node *node, struct call *call)
{
    _cleanup_(task_spec_done) struct task_spec spec = {0};
    _cleanup_(inputs_done) struct inputs inputs = {.count = 0};
    char reason[TASK_REASON_MAX + 1] = "";
    bool is_dry_run = false;

    if (!read_spec(node, call, &spec) || !read_bool(call, "dry_run", &is_dry_run) ||
        !read_inputs(call, &inputs) || !check_spec(node, call, &spec))
        return;
    node_refresh_loads(node);
    int r = origin_check(tasks_get_origin(node->tasks), &spec, false, reason);
    if (r < 0)
        fail_submit(node, call, &spec, r, reason);
    else if (check_queue(node, call, spec.user))
        stage_and_submit(node, call, &spec, &inputs, is_dry_run);
}
