/* SPDX-License-Identifier: MIT */
#include "sched/task_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/bundle.h"

#define SIGNAL_MAX 64

static const char *const end_names[_TASK_END_MAX] = {
    [TASK_END_EXIT] = "exit",
    [TASK_END_SIGNAL] = "signal",
    [TASK_END_TIMED_OUT] = "timed-out",
    [TASK_END_CANCELLED] = "cancelled",
    [TASK_END_NOT_RUN] = "not-run",
    [TASK_END_STOPPED] = "stopped",
    [TASK_END_NO_RESULTS] = "no-results",
};

static bool add_words(cJSON *json, const char *key, const struct task_words *words)
{
    if (words->count == 0)
        return true;
    cJSON *array = cJSON_AddArrayToObject(json, key);
    if (!array)
        return false;
    for (size_t i = 0; i < words->count; i++) {
        /* A word that is not text stands as an object with its bytes. */
        cJSON *item = text_is_utf8(words->items[i], strlen(words->items[i]))
                          ? cJSON_CreateString(words->items[i])
                          : cJSON_CreateObject();
        if (!item || !cJSON_AddItemToArray(array, item)) {
            cJSON_Delete(item);
            return false;
        }
        if (cJSON_IsObject(item))
            json_add_text_or_base64(item, "word", words->items[i], strlen(words->items[i]));
    }
    return true;
}

/* 0 and "" are defaults and stay out. */
static void add_number(cJSON *json, const char *key, uint64_t value)
{
    if (value > 0)
        json_add_u64(json, key, value);
}

static void add_flag(cJSON *json, const char *key, bool value)
{
    if (value)
        json_add_bool(json, key, true);
}

static void add_text(cJSON *json, const char *key, const char *text)
{
    if (text[0] != '\0')
        json_add_string(json, key, text);
}

static bool add_files(cJSON *json, const char *key, const struct task_files *files)
{
    cJSON *object = files->size > 0 ? cJSON_AddObjectToObject(json, key) : NULL;

    add_number(object, "bundle", files->bundle);
    add_number(object, "size", files->size);
    add_number(object, "bytes", files->bytes);
    add_number(object, "count", files->count);
    return object || files->size == 0;
}

cJSON *task_spec_to_json(const struct task_spec *spec)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    if (!json)
        return NULL;
    json_add_string(json, "type", spec->type);
    add_flag(json, "command", spec->is_command);
    add_flag(json, "confidential", spec->is_confidential);
    add_flag(json, "stdin", spec->has_stdin);
    add_number(json, "type_number", spec->type_number);
    add_text(json, "name", spec->name);
    add_text(json, "user", spec->user);
    add_text(json, "node", spec->node);
    add_text(json, "select", spec->select);
    add_number(json, "timeout_usec", spec->timeout_usec);
    add_number(json, "memory_size", spec->memory_size);
    add_number(json, "cpus_milli", spec->cpus_milli);
    add_text(json, "sandbox", spec->sandbox);
    add_number(json, "slots", spec->slots);
    add_number(json, "retries", spec->retries);
    add_number(json, "retry_delay_usec", spec->retry_delay_usec);
    add_number(json, "retry_on", spec->retry_on);
    add_number(json, "workflow", spec->workflow);
    add_number(json, "step", spec->step);
    if (spec->on_done)
        json_add_string(json, "on_done", spec->on_done);
    if (spec->python && !cJSON_AddItemToObject(json, "python", task_python_to_json(spec->python)))
        return NULL;
    if (!add_words(json, "args", &spec->args) || !add_words(json, "env", &spec->env) ||
        !add_words(json, "outs", &spec->outs) || !add_words(json, "after", &spec->after) ||
        !add_files(json, "in", &spec->in))
        return NULL;
    return TAKE_PTR(json);
}

cJSON *task_end_to_json(const struct task_end *end)
{
    cJSON *json = cJSON_CreateObject();

    if (!json)
        return NULL;
    json_add_string(json, "type", end_names[end->type]);
    json_add_i64(json, "code", end->code);
    add_flag(json, "oom", end->is_oom);
    add_number(json, "run_usec", end->run_usec);
    add_number(json, "memory_peak_size", end->memory_peak_size);
    add_text(json, "text", end->text);
    (void)add_files(json, "out", &end->out);
    return json;
}

static bool add_timeline(cJSON *json, const struct task *task)
{
    cJSON *array = cJSON_AddArrayToObject(json, "timeline");

    if (!array)
        return false;
    for (size_t i = 0; i < task->timeline_count; i++) {
        cJSON *item = cJSON_CreateObject();
        if (!item || !cJSON_AddItemToArray(array, item)) {
            cJSON_Delete(item);
            return false;
        }
        json_add_u64(item, "wall_usec", task->timeline[i].wall_usec);
        json_add_string(item, "text", task->timeline[i].text);
    }
    return true;
}

static void add_node(cJSON *json, const struct task *task)
{
    char id[NODE_ID_TEXT_MAX];

    add_flag(json, "has_node", task->has_node);
    json_add_string(json, "node", node_id_format(&task->node, id));
    add_number(json, "node_generation", task->node_generation);
    add_text(json, "node_name", task->node_name);
}

cJSON *task_to_json(const struct task *task)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    if (!json)
        return NULL;
    json_add_u64(json, "number", task->number);
    json_add_string(json, "state", task_state_name(task->state));
    add_number(json, "attempt", task->attempt);
    add_number(json, "tries", task->tries);
    add_number(json, "tries_max", task->tries_max);
    add_node(json, task);
    if (task->is_cancelled) {
        json_add_bool(json, "cancelled", true);
        json_add_i64(json, "cancel_signal", task->cancel_signal);
        add_number(json, "cancel_grace_usec", task->cancel_grace_usec);
        add_flag(json, "withdrawn", task->is_withdrawn);
    }
    add_number(json, "submitted_wall_usec", task->submitted_wall_usec);
    add_number(json, "started_wall_usec", task->started_wall_usec);
    add_number(json, "ended_wall_usec", task->ended_wall_usec);
    add_number(json, "cut_error", (uint64_t)task->cut_error);
    add_flag(json, "cut_here", task->is_cut_here);
    add_text(json, "reason", task->reason);
    cJSON *spec = task_spec_to_json(&task->spec);
    cJSON *end = task->has_end ? task_end_to_json(&task->end) : NULL;
    if (!cJSON_AddItemToObject(json, "spec", spec) ||
        (task->has_end && !cJSON_AddItemToObject(json, "end", end)) || !add_timeline(json, task)) {
        if (!cJSON_GetObjectItemCaseSensitive(json, "spec"))
            cJSON_Delete(spec);
        if (!cJSON_GetObjectItemCaseSensitive(json, "end"))
            cJSON_Delete(end);
        return NULL;
    }
    return TAKE_PTR(json);
}

/* A sticky reader of members: after the first error nothing counts. */
struct source {
    const cJSON *json; /* borrowed */
    bool is_bad;
};

static uint64_t get_number(struct source *source, const char *key, uint64_t max)
{
    uint64_t value = 0;

    if (json_get_u64(source->json, key, max, &value) < 0)
        source->is_bad = true;
    return value;
}

static int get_signed(struct source *source, const char *key, int min, int max)
{
    int64_t value = 0;

    if (json_get_i64(source->json, key, min, max, &value) < 0)
        source->is_bad = true;
    return (int)value;
}

static bool get_flag(struct source *source, const char *key)
{
    bool value = false;

    if (json_get_bool(source->json, key, &value) < 0)
        source->is_bad = true;
    return value;
}

static void get_text(struct source *source, const char *key, char *target, size_t size)
{
    const char *text = "";

    if (json_get_string(source->json, key, &text) < 0 || strlen(text) >= size)
        source->is_bad = true;
    else
        memcpy(target, text, strlen(text) + 1);
}

static int add_word(struct task_words *words, const cJSON *item)
{
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t size;

    if (cJSON_IsString(item))
        return task_words_add(words, item->valuestring);
    if (!cJSON_IsObject(item))
        return -EBADMSG;
    int r = json_get_bytes(item, "word", &bytes, &size);
    if (r < 0)
        return r == -ENOMEM ? r : -EBADMSG;
    if (r == 0 || memchr(bytes, '\0', size))
        return -EBADMSG;
    return task_words_add(words, (const char *)bytes);
}

static int get_words(struct source *source, const char *key, struct task_words *words)
{
    const cJSON *array = NULL;

    if (json_get_array(source->json, key, &array) < 0)
        return -EBADMSG;
    json_for_each (item, array) {
        int r = add_word(words, item);
        if (r < 0)
            return r == -ENOMEM ? r : -EBADMSG;
    }
    return 0;
}

static void get_files(struct source *source, const char *key, struct task_files *ret)
{
    struct source inner = {0};

    if (json_get_object(source->json, key, &inner.json) < 0)
        source->is_bad = true;
    if (!inner.json)
        return;
    ret->bundle = get_number(&inner, "bundle", TASK_NUMBER_MAX);
    ret->size = get_number(&inner, "size", TASK_NUMBER_MAX);
    ret->bytes = get_number(&inner, "bytes", TASK_NUMBER_MAX);
    ret->count = (uint32_t)get_number(&inner, "count", BUNDLE_FILES_MAX);
    if (inner.is_bad || ret->size == 0)
        source->is_bad = true;
}

static int get_on_done(const struct source *source, char **ret)
{
    const char *text = NULL;

    if (json_get_string(source->json, "on_done", &text) < 0)
        return -EBADMSG;
    if (!text)
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

static int get_python(const struct source *source, struct task_python **ret)
{
    const cJSON *object = NULL;
    int r = json_get_object(source->json, "python", &object);

    if (r <= 0)
        return r < 0 ? -EBADMSG : 0;
    return task_python_from_json(object, ret);
}

int task_spec_from_json(const cJSON *json, struct task_spec *ret)
{
    _cleanup_(task_spec_done) struct task_spec spec = {0};
    struct source source = {.json = json};
    char reason[TASK_REASON_MAX + 1];
    int r;

    get_text(&source, "type", spec.type, sizeof(spec.type));
    spec.is_command = get_flag(&source, "command");
    spec.is_confidential = get_flag(&source, "confidential");
    spec.has_stdin = get_flag(&source, "stdin");
    spec.type_number = get_number(&source, "type_number", TASK_NUMBER_MAX);
    get_text(&source, "name", spec.name, sizeof(spec.name));
    get_text(&source, "user", spec.user, sizeof(spec.user));
    get_text(&source, "node", spec.node, sizeof(spec.node));
    get_text(&source, "select", spec.select, sizeof(spec.select));
    spec.timeout_usec = get_number(&source, "timeout_usec", TASK_NUMBER_MAX);
    spec.memory_size = get_number(&source, "memory_size", TASK_NUMBER_MAX);
    spec.cpus_milli = (uint32_t)get_number(&source, "cpus_milli", UINT32_MAX);
    get_text(&source, "sandbox", spec.sandbox, sizeof(spec.sandbox));
    spec.slots = (uint32_t)get_number(&source, "slots", TASK_SLOTS_MAX);
    spec.retries = (uint32_t)get_number(&source, "retries", TASK_RETRIES_MAX);
    spec.retry_delay_usec = get_number(&source, "retry_delay_usec", TASK_NUMBER_MAX);
    spec.retry_on = (unsigned)get_number(&source, "retry_on", UINT32_MAX);
    spec.workflow = get_number(&source, "workflow", TASK_NUMBER_MAX);
    spec.step = (uint32_t)get_number(&source, "step", UINT32_MAX);
    r = get_on_done(&source, &spec.on_done);
    if (r < 0)
        return r;
    r = get_python(&source, &spec.python);
    if (r < 0)
        return r;
    r = get_words(&source, "args", &spec.args);
    if (r < 0)
        return r;
    r = get_words(&source, "env", &spec.env);
    if (r < 0)
        return r;
    r = get_words(&source, "outs", &spec.outs);
    if (r < 0)
        return r;
    r = get_words(&source, "after", &spec.after);
    if (r < 0)
        return r;
    get_files(&source, "in", &spec.in);
    if (source.is_bad || task_spec_check(&spec, reason) < 0)
        return -EBADMSG;
    *ret = spec;
    spec = (struct task_spec){0};
    return 0;
}

int task_end_from_json(const cJSON *json, struct task_end *ret)
{
    struct source source = {.json = json};
    struct task_end end = {.type = _TASK_END_MAX};
    const char *name = "";

    (void)json_get_string(json, "type", &name);
    for (int i = 0; i < _TASK_END_MAX; i++)
        if (strcmp(name, end_names[i]) == 0)
            end.type = (enum task_end_type)i;
    end.code = get_signed(&source, "code", 0, INT32_MAX);
    end.is_oom = get_flag(&source, "oom");
    end.run_usec = get_number(&source, "run_usec", TASK_NUMBER_MAX);
    end.memory_peak_size = get_number(&source, "memory_peak_size", TASK_NUMBER_MAX);
    get_text(&source, "text", end.text, sizeof(end.text));
    get_files(&source, "out", &end.out);
    if (source.is_bad || end.type == _TASK_END_MAX)
        return -EBADMSG;
    if (end.type == TASK_END_EXIT && end.code > 255)
        return -EBADMSG;
    if (end.type == TASK_END_SIGNAL && end.code < 1)
        return -EBADMSG;
    if (task_end_get_signal(&end) > SIGNAL_MAX)
        return -EBADMSG;
    *ret = end;
    task_format_text(ret->text, sizeof(ret->text), "%s", end.text);
    return 0;
}

static int get_timeline(const cJSON *json, struct task *task)
{
    const cJSON *array = NULL;

    if (json_get_array(json, "timeline", &array) < 0)
        return -EBADMSG;
    json_for_each (item, array) {
        struct source source = {.json = item};
        const char *text = NULL;
        uint64_t wall_usec;
        if (!cJSON_IsObject(item) || json_get_string(item, "text", &text) <= 0)
            return -EBADMSG;
        wall_usec = get_number(&source, "wall_usec", TASK_NUMBER_MAX);
        if (source.is_bad)
            return -EBADMSG;
        int r = task_add_timeline(task, wall_usec, "%s", text);
        if (r < 0)
            return r;
    }
    return 0;
}

static int get_parts(struct source *source, struct task *task)
{
    const cJSON *spec = NULL, *end = NULL;
    const char *id = "", *state = "";
    int r;

    if (json_get_object(source->json, "spec", &spec) <= 0 ||
        json_get_object(source->json, "end", &end) < 0 ||
        json_get_string(source->json, "node", &id) < 0 ||
        json_get_string(source->json, "state", &state) < 0)
        return -EBADMSG;
    r = task_state_parse(state);
    if (r < 0 || node_id_parse(id, &task->node) < 0)
        return -EBADMSG;
    task->state = (enum task_state)r;
    r = task_spec_from_json(spec, &task->spec);
    if (r < 0)
        return r;
    task->has_end = end != NULL;
    if (end) {
        r = task_end_from_json(end, &task->end);
        if (r < 0)
            return r;
    }
    return get_timeline(source->json, task);
}

int task_from_json(const cJSON *json, struct task **ret)
{
    _cleanup_(task_freep) struct task *task = calloc(1, sizeof(*task));
    struct source source = {.json = json};
    int r;

    if (!task)
        return -ENOMEM;
    r = get_parts(&source, task);
    if (r < 0)
        return r;
    task->number = get_number(&source, "number", TASK_NUMBER_MAX);
    task->attempt = get_number(&source, "attempt", TASK_NUMBER_MAX);
    task->tries = (uint32_t)get_number(&source, "tries", UINT32_MAX);
    task->tries_max = (uint32_t)get_number(&source, "tries_max", UINT32_MAX);
    task->has_node = get_flag(&source, "has_node");
    task->node_generation = get_number(&source, "node_generation", TASK_NUMBER_MAX);
    get_text(&source, "node_name", task->node_name, sizeof(task->node_name));
    task->is_cancelled = get_flag(&source, "cancelled");
    task->is_withdrawn = get_flag(&source, "withdrawn");
    task->cancel_signal = get_signed(&source, "cancel_signal", 0, SIGNAL_MAX);
    task->cancel_grace_usec = get_number(&source, "cancel_grace_usec", TASK_NUMBER_MAX);
    task->submitted_wall_usec = get_number(&source, "submitted_wall_usec", TASK_NUMBER_MAX);
    task->started_wall_usec = get_number(&source, "started_wall_usec", TASK_NUMBER_MAX);
    task->ended_wall_usec = get_number(&source, "ended_wall_usec", TASK_NUMBER_MAX);
    task->cut_error = get_signed(&source, "cut_error", 0, INT32_MAX);
    task->is_cut_here = get_flag(&source, "cut_here");
    get_text(&source, "reason", task->reason, sizeof(task->reason));
    if (source.is_bad || task->number == 0)
        return -EBADMSG;
    *ret = TAKE_PTR(task);
    return 0;
}
