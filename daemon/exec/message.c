/* SPDX-License-Identifier: MIT */
#include "exec/message.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/bundle.h"
#include "base/json.h"
#include "base/text.h"

#define SIGNAL_MAX 64

static const char *const level_names[_EXEC_LEVEL_MAX] = {
    [EXEC_REFUSE] = "refuse",         [EXEC_NONE] = "none", [EXEC_LANDLOCK] = "landlock",
    [EXEC_NAMESPACES] = "namespaces", [EXEC_FULL] = "full",
};

const char *exec_level_name(enum exec_level level)
{
    return level_names[level];
}

int exec_level_from_name(const char *name, enum exec_level *ret)
{
    for (size_t i = 0; i < _EXEC_LEVEL_MAX; i++)
        if (strcmp(level_names[i], name) == 0) {
            *ret = (enum exec_level)i;
            return 0;
        }
    return -EINVAL;
}

static void free_strings(char **strings)
{
    for (char **s = strings; s && *s; s++) {
        explicit_bzero(*s, strlen(*s));
        free(*s);
    }
    free(strings);
}

void exec_message_done(struct exec_message *message)
{
    switch (message->type) {
    case EXEC_CONFIGURE:
        free_strings(message->configure.read);
        free_strings(message->configure.write);
        free_strings(message->configure.python.modules);
        free(message->configure.python.interpreter);
        break;
    case EXEC_START:
        free_strings(message->start.words);
        free_strings(message->start.environment);
        free_strings(message->start.outs);
        break;
    case EXEC_HELLO:
        free(message->hello.version);
        free_strings(message->hello.missing);
        break;
    case EXEC_SIGNAL:
    case EXEC_STARTED:
    case EXEC_EXITED:
    case _EXEC_MESSAGE_TYPE_MAX:
        break;
    }
    *message = (struct exec_message){.type = _EXEC_MESSAGE_TYPE_MAX};
}

/* What both ends hold lists to: a sender is told at once what the receiver would not take. */

static bool is_path(const char *path)
{
    if (path[0] != '/' || path[1] == '\0' || strlen(path) >= PATH_MAX)
        return false;
    for (const char *part = path; part; part = strchr(part + 1, '/')) {
        size_t size = strcspn(part + 1, "/");
        if (size == 0 || strncmp(part + 1, "..", size) == 0) /* "//", "/.", "/.." */
            return false;
    }
    return true;
}

/* A path below the work directory, with wildcards. */
static bool is_pattern(const char *text)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "/%s", text) < (int)sizeof(path) && is_path(path);
}

static bool is_variable(const char *text)
{
    const char *equals = strchr(text, '=');

    return equals && equals != text;
}

static bool has_words(const struct exec_start *start)
{
    return start->is_python ? !start->words[0] : start->words[0] && start->words[0][0] != '\0';
}

/* The writers return 0, -EINVAL or -ENOMEM. A key that memory was lacking for is missed by the
 * reader. */

static int add_string(cJSON *json, const char *key, const char *text)
{
    if (!text_is_utf8(text, strlen(text)))
        return -EINVAL;
    json_add_string(json, key, text);
    return 0;
}

static int add_strings(cJSON *json, const char *key, char **strings, size_t max,
                       bool (*is_valid)(const char *))
{
    cJSON *array = cJSON_AddArrayToObject(json, key);

    for (char **s = strings; s && *s; s++) {
        if (!text_is_utf8(*s, strlen(*s)) || (is_valid && !is_valid(*s)) || max-- == 0)
            return -EINVAL;
        if (!cJSON_AddItemToArray(array, cJSON_CreateString(*s)))
            return -ENOMEM;
    }
    return array ? 0 : -ENOMEM;
}

/* What is too large to be written is as good as no limit. */
static void add_limit(cJSON *json, const char *key, uint64_t value)
{
    if (value > 0 && value <= EXEC_ID_MAX)
        json_add_u64(json, key, value);
}

static int write_python(const struct exec_python *python, cJSON *json)
{
    if (!is_path(python->interpreter) || python->workers > EXEC_WORKERS_MAX ||
        python->jobs_max == 0)
        return -EINVAL;
    json_add_u64(json, "workers", python->workers);
    json_add_u64(json, "jobs_max", python->jobs_max);
    json_add_u64(json, "idle", python->idle_usec);
    int r = add_string(json, "interpreter", python->interpreter);
    return r < 0 ? r : add_strings(json, "modules", python->modules, EXEC_PATHS_MAX, NULL);
}

static int write_configure(const struct exec_message *message, cJSON *json)
{
    const struct exec_configure *configure = &message->configure;
    int r;

    if (!configure->is_auto && configure->level == EXEC_REFUSE)
        return -EINVAL;
    json_add_string(json, "mode", configure->is_auto ? "auto" : exec_level_name(configure->level));
    json_add_bool(json, "network", configure->network);
    r = write_python(&configure->python, json);
    if (r == 0)
        r = add_strings(json, "read", configure->read, EXEC_PATHS_MAX, is_path);
    return r < 0 ? r : add_strings(json, "write", configure->write, EXEC_PATHS_MAX, is_path);
}

static int write_start(const struct exec_message *message, cJSON *json)
{
    const struct exec_start *start = &message->start;
    int r;

    if (!has_words(start) || start->level == EXEC_REFUSE ||
        start->limits.cpus_milli > EXEC_CPUS_MAX * 1000)
        return -EINVAL;
    json_add_bool(json, "python", start->is_python);
    json_add_bool(json, "network", start->network);
    json_add_string(json, "sandbox", exec_level_name(start->level));
    add_limit(json, "memory", start->limits.memory_bytes);
    add_limit(json, "file_size", start->limits.file_size_bytes);
    add_limit(json, "processes", start->limits.processes);
    add_limit(json, "cpus", start->limits.cpus_milli);
    add_limit(json, "timeout", start->limits.timeout_usec);
    add_limit(json, "grace", start->limits.grace_usec);
    json_add_bool(json, "inputs", start->has_inputs);
    add_limit(json, "results_max", start->results_max);
    add_limit(json, "reserve", start->reserve);
    r = add_strings(json, "words", start->words, EXEC_WORDS_MAX, NULL);
    if (r == 0)
        r = add_strings(json, "environment", start->environment, EXEC_WORDS_MAX, is_variable);
    return r < 0 ? r : add_strings(json, "outs", start->outs, EXEC_OUTS_MAX, is_pattern);
}

static int write_signal(const struct exec_message *message, cJSON *json)
{
    if (message->signal.number < 1 || message->signal.number > SIGNAL_MAX)
        return -EINVAL;
    json_add_i64(json, "number", message->signal.number);
    if (message->signal.grace_usec <= EXEC_ID_MAX)
        json_add_u64(json, "grace", message->signal.grace_usec);
    return 0;
}

static int write_hello(const struct exec_message *message, cJSON *json)
{
    const struct exec_hello *hello = &message->hello;
    int r = add_string(json, "version", hello->version);

    if (r < 0)
        return r;
    json_add_string(json, "level", exec_level_name(hello->level));
    json_add_string(json, "available", exec_level_name(hello->available));
    return add_strings(json, "missing", hello->missing, EXEC_MISSING_MAX, NULL);
}

static int write_started(const struct exec_message *message, cJSON *json)
{
    json_add_u64(json, "pid", message->started.pid);
    json_add_u64(json, "wall", message->started.wall_usec);
    return 0;
}

static int write_exited(const struct exec_message *message, cJSON *json)
{
    const struct exec_status *status = &message->exited;

    if (status->error != 0) {
        json_add_i64(json, "error", -(int64_t)status->error);
        return add_string(json, "reason", status->reason);
    }
    if (status->signal != 0)
        json_add_i64(json, "signal", status->signal);
    else
        json_add_i64(json, "code", status->code);
    json_add_bool(json, "timed_out", status->timed_out);
    json_add_bool(json, "oom", status->is_oom);
    json_add_u64(json, "pid", status->pid);
    json_add_u64(json, "wall", status->wall_usec);
    json_add_u64(json, "user", status->user_usec);
    json_add_u64(json, "system", status->system_usec);
    json_add_u64(json, "memory_peak", status->memory_peak_bytes);
    if (status->results.error != 0)
        json_add_i64(json, "results_error", -(int64_t)status->results.error);
    if (status->results.count > 0) {
        json_add_u64(json, "results", status->results.count);
        json_add_u64(json, "results_size", status->results.size);
        json_add_u64(json, "results_bytes", status->results.bytes);
    }
    return status->results.note[0] ? add_string(json, "note", status->results.note) : 0;
}

/* The readers return 0, -EBADMSG or -ENOMEM, and may leave a half-filled message to
 * exec_message_done(). */

static bool get_number(const cJSON *json, const char *key, uint64_t max, uint64_t *ret)
{
    return json_get_u64(json, key, max, ret) == 1;
}

/* Optional; absent leaves *@ret as it is. */
static bool get_limit(const cJSON *json, const char *key, uint64_t *ret)
{
    return json_get_u64(json, key, EXEC_ID_MAX, ret) >= 0;
}

static bool get_level(const cJSON *json, const char *key, enum exec_level *ret)
{
    const char *name = NULL;

    return json_get_string(json, key, &name) == 1 && exec_level_from_name(name, ret) == 0;
}

static int get_strings(const cJSON *json, const char *key, size_t max,
                       bool (*is_valid)(const char *), char ***ret)
{
    const cJSON *array = NULL;
    size_t count = 0;

    if (json_get_array(json, key, &array) != 1)
        return -EBADMSG;
    json_for_each (item, array) {
        if (!cJSON_IsString(item) || (is_valid && !is_valid(item->valuestring)) || ++count > max)
            return -EBADMSG;
    }
    char **strings = calloc(count + 1, sizeof(*strings));
    if (!strings)
        return -ENOMEM;
    *ret = strings;
    json_for_each (item, array) {
        *strings = strdup(item->valuestring);
        if (!*strings)
            return -ENOMEM;
        strings++;
    }
    return 0;
}

static int read_python(const cJSON *json, struct exec_python *python)
{
    const char *interpreter = NULL;
    uint64_t workers, jobs_max;

    if (json_get_string(json, "interpreter", &interpreter) != 1 || !is_path(interpreter) ||
        !get_number(json, "workers", EXEC_WORKERS_MAX, &workers) ||
        !get_number(json, "jobs_max", UINT32_MAX, &jobs_max) || jobs_max == 0 ||
        !get_number(json, "idle", EXEC_ID_MAX, &python->idle_usec))
        return -EBADMSG;
    python->workers = (uint32_t)workers;
    python->jobs_max = (uint32_t)jobs_max;
    python->interpreter = strdup(interpreter);
    if (!python->interpreter)
        return -ENOMEM;
    return get_strings(json, "modules", EXEC_PATHS_MAX, NULL, &python->modules);
}

static int read_configure(const cJSON *json, struct exec_message *message)
{
    struct exec_configure *configure = &message->configure;
    const char *mode = NULL;
    int r;

    if (json_get_string(json, "mode", &mode) != 1 ||
        json_get_bool(json, "network", &configure->network) != 1)
        return -EBADMSG;
    configure->is_auto = strcmp(mode, "auto") == 0;
    configure->level = EXEC_NONE;
    if (!configure->is_auto &&
        (exec_level_from_name(mode, &configure->level) < 0 || configure->level == EXEC_REFUSE))
        return -EBADMSG;
    r = read_python(json, &configure->python);
    if (r == 0)
        r = get_strings(json, "read", EXEC_PATHS_MAX, is_path, &configure->read);
    return r < 0 ? r : get_strings(json, "write", EXEC_PATHS_MAX, is_path, &configure->write);
}

static int read_start(const cJSON *json, struct exec_message *message)
{
    struct exec_start *start = &message->start;
    uint64_t cpus = 0;
    int r;

    if (json_get_bool(json, "network", &start->network) != 1 ||
        json_get_bool(json, "python", &start->is_python) != 1 ||
        !get_level(json, "sandbox", &start->level) || start->level == EXEC_REFUSE ||
        !get_limit(json, "memory", &start->limits.memory_bytes) ||
        !get_limit(json, "file_size", &start->limits.file_size_bytes) ||
        !get_limit(json, "processes", &start->limits.processes) ||
        json_get_u64(json, "cpus", EXEC_CPUS_MAX * 1000, &cpus) < 0 ||
        !get_limit(json, "timeout", &start->limits.timeout_usec) ||
        !get_limit(json, "grace", &start->limits.grace_usec) ||
        json_get_bool(json, "inputs", &start->has_inputs) != 1 ||
        !get_limit(json, "results_max", &start->results_max) ||
        !get_limit(json, "reserve", &start->reserve))
        return -EBADMSG;
    start->limits.cpus_milli = (uint32_t)cpus;
    r = get_strings(json, "words", EXEC_WORDS_MAX, NULL, &start->words);
    if (r < 0)
        return r;
    if (!has_words(start))
        return -EBADMSG;
    r = get_strings(json, "environment", EXEC_WORDS_MAX, is_variable, &start->environment);
    return r < 0 ? r : get_strings(json, "outs", EXEC_OUTS_MAX, is_pattern, &start->outs);
}

static int read_signal(const cJSON *json, struct exec_message *message)
{
    int64_t number = 0;

    message->signal.grace_usec = USEC_INFINITY;
    if (json_get_i64(json, "number", 1, SIGNAL_MAX, &number) != 1 ||
        !get_limit(json, "grace", &message->signal.grace_usec))
        return -EBADMSG;
    message->signal.number = (int)number;
    return 0;
}

static int read_hello(const cJSON *json, struct exec_message *message)
{
    struct exec_hello *hello = &message->hello;
    const char *version = NULL;

    if (json_get_string(json, "version", &version) != 1 || strlen(version) > NODE_NAME_MAX ||
        !get_level(json, "level", &hello->level) ||
        !get_level(json, "available", &hello->available) || hello->available == EXEC_REFUSE)
        return -EBADMSG;
    hello->version = strdup(version);
    if (!hello->version)
        return -ENOMEM;
    return get_strings(json, "missing", EXEC_MISSING_MAX, NULL, &hello->missing);
}

static int read_started(const cJSON *json, struct exec_message *message)
{
    return get_number(json, "pid", INT32_MAX, &message->started.pid) &&
                   get_number(json, "wall", EXEC_ID_MAX, &message->started.wall_usec)
               ? 0
               : -EBADMSG;
}

static int read_results(const cJSON *json, struct exec_results *ret)
{
    uint64_t count = 0;
    int64_t error = 0;
    const char *text = "";

    if (json_get_i64(json, "results_error", 1, 4095, &error) < 0 ||
        json_get_u64(json, "results", BUNDLE_FILES_MAX, &count) < 0 ||
        !get_limit(json, "results_size", &ret->size) ||
        !get_limit(json, "results_bytes", &ret->bytes) || (count > 0) != (ret->size > 0) ||
        json_get_string(json, "note", &text) < 0 || strlen(text) >= sizeof(ret->note))
        return -EBADMSG;
    ret->error = -(int)error;
    ret->count = (uint32_t)count;
    snprintf(ret->note, sizeof(ret->note), "%s", text);
    return 0;
}

static int read_exited(const cJSON *json, struct exec_message *message)
{
    struct exec_status *status = &message->exited;
    int64_t code = -1, number = 0, error = 0;
    const char *reason = NULL;
    int has_error = json_get_i64(json, "error", 1, 4095, &error);
    int has_signal = json_get_i64(json, "signal", 1, SIGNAL_MAX, &number);
    int has_code = json_get_i64(json, "code", 0, 255, &code);

    if (has_error < 0 || has_signal < 0 || has_code < 0 || has_error + has_signal + has_code != 1)
        return -EBADMSG;
    *status = (struct exec_status){.code = (int)code, .signal = (int)number, .error = -(int)error};
    if (has_error) {
        if (json_get_string(json, "reason", &reason) != 1 ||
            strlen(reason) >= sizeof(status->reason))
            return -EBADMSG;
        snprintf(status->reason, sizeof(status->reason), "%s", reason);
        return 0;
    }
    if (json_get_bool(json, "timed_out", &status->timed_out) != 1 ||
        json_get_bool(json, "oom", &status->is_oom) < 0 ||
        !get_number(json, "pid", INT32_MAX, &status->pid) ||
        !get_number(json, "wall", EXEC_ID_MAX, &status->wall_usec) ||
        !get_number(json, "user", EXEC_ID_MAX, &status->user_usec) ||
        !get_number(json, "system", EXEC_ID_MAX, &status->system_usec) ||
        !get_number(json, "memory_peak", EXEC_ID_MAX, &status->memory_peak_bytes))
        return -EBADMSG;
    return read_results(json, &status->results);
}

#define KEYS(...) ((const char *const[]){"type", __VA_ARGS__, NULL})

static const struct {
    const char *name;
    bool has_id;
    int (*write)(const struct exec_message *message, cJSON *json);
    int (*read)(const cJSON *json, struct exec_message *message);
    const char *const *keys;
} types[_EXEC_MESSAGE_TYPE_MAX] = {
    [EXEC_CONFIGURE] = {"configure", false, write_configure, read_configure,
                        KEYS("mode", "network", "read", "write", "interpreter", "workers",
                             "jobs_max", "idle", "modules")},
    [EXEC_START] = {"start", true, write_start, read_start,
                    KEYS("id", "python", "network", "sandbox", "memory", "file_size", "processes",
                         "cpus", "timeout", "grace", "words", "environment", "inputs", "outs",
                         "results_max", "reserve")},
    [EXEC_SIGNAL] = {"signal", true, write_signal, read_signal, KEYS("id", "number", "grace")},
    [EXEC_HELLO] = {"hello", false, write_hello, read_hello,
                    KEYS("version", "level", "available", "missing")},
    [EXEC_STARTED] = {"started", true, write_started, read_started, KEYS("id", "pid", "wall")},
    [EXEC_EXITED] = {"exited", true, write_exited, read_exited,
                     KEYS("id", "code", "signal", "error", "reason", "timed_out", "oom", "pid",
                          "wall", "user", "system", "memory_peak", "results", "results_size",
                          "results_bytes", "results_error", "note")},
};

size_t exec_start_fds(const struct exec_start *start)
{
    return 3 + (size_t)start->has_inputs + (size_t)start->is_python +
           (start->outs && start->outs[0] ? 1 : 0);
}

size_t exec_message_fds(const struct exec_message *message)
{
    return message->type == EXEC_START ? exec_start_fds(&message->start) : 0;
}

int exec_message_encode(const struct exec_message *message, char **ret, size_t *ret_size)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    int r;

    if (!json)
        return -ENOMEM;
    json_add_string(json, "type", types[message->type].name);
    if (types[message->type].has_id)
        json_add_u64(json, "id", message->id);
    r = types[message->type].write(message, json);
    if (r < 0)
        return r;
    _cleanup_free_ char *text = json_format(json);
    if (!text)
        return -ENOMEM;
    size_t size = strlen(text);
    if (size > EXEC_MESSAGE_MAX)
        return -EMSGSIZE;
    *ret = TAKE_PTR(text);
    *ret_size = size;
    return 0;
}

int exec_message_decode(const char *data, size_t size, struct exec_message *ret)
{
    struct exec_message message = {0};
    _cleanup_secret_json_ cJSON *json = NULL;
    const char *name = NULL;
    size_t type = 0;
    int r;

    if (size > EXEC_MESSAGE_MAX)
        return -EMSGSIZE;
    r = json_parse(data, size, &json);
    if (r < 0)
        return r == -ENOMEM ? r : -EBADMSG;
    if (json_get_string(json, "type", &name) != 1)
        return -EBADMSG;
    while (type < _EXEC_MESSAGE_TYPE_MAX && strcmp(types[type].name, name) != 0)
        type++;
    if (type == _EXEC_MESSAGE_TYPE_MAX || json_unknown_key(json, types[type].keys))
        return -EBADMSG;
    message.type = (enum exec_message_type)type;
    if (types[type].has_id && !get_number(json, "id", EXEC_ID_MAX, &message.id))
        return -EBADMSG;
    r = types[type].read(json, &message);
    if (r < 0) {
        exec_message_done(&message);
        return r;
    }
    *ret = message;
    return 0;
}
