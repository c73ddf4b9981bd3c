/* SPDX-License-Identifier: MIT */
#include "exec/message.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/bundle.h"
#include "base/bytes.h"
#include "base/text.h"

#define SIGNAL_MAX 64
#define ERROR_MAX  4095
#define SIZE_MOST  ((size_t)1024) /* of nearly all messages */

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

static bool is_version(const char *text)
{
    return strlen(text) <= NODE_NAME_MAX;
}

static bool has_words(const struct exec_start *start)
{
    return start->is_python ? !start->words[0] : start->words[0] && start->words[0][0] != '\0';
}

/* --- One description of each message, for who writes it and for who reads it --- */

struct codec {
    struct writer *writer; /* NULL: it is read */
    struct reader *reader;
    int error; /* the first */
};

static void fail(struct codec *codec, int error)
{
    if (codec->error == 0)
        codec->error = error;
}

static void require(struct codec *codec, bool holds)
{
    if (!holds)
        fail(codec, codec->writer ? -EINVAL : -EBADMSG);
}

static void code_u64(struct codec *codec, uint64_t min, uint64_t max, uint64_t *value)
{
    if (codec->writer)
        writer_u64(codec->writer, *value);
    else
        *value = reader_u64(codec->reader);
    require(codec, *value >= min && *value <= max);
}

static void code_u32(struct codec *codec, uint32_t min, uint32_t max, uint32_t *value)
{
    uint64_t wide = *value;

    code_u64(codec, min, max, &wide);
    *value = (uint32_t)wide;
}

/* None is negative. */
static void code_int(struct codec *codec, unsigned min, unsigned max, int *value)
{
    uint64_t wide = (uint64_t)*value;

    code_u64(codec, min, max, &wide);
    *value = (int)wide;
}

/* Negative errnos, or 0 where @min is that. */
static void code_error(struct codec *codec, unsigned min, int *value)
{
    int error = -*value;

    code_int(codec, min, ERROR_MAX, &error);
    *value = codec->error == 0 ? -error : 0;
}

static void code_bool(struct codec *codec, bool *value)
{
    uint64_t wide = *value;

    code_u64(codec, false, true, &wide);
    *value = wide != 0;
}

static void code_level(struct codec *codec, enum exec_level min, enum exec_level *value)
{
    uint64_t wide = *value;

    code_u64(codec, min, _EXEC_LEVEL_MAX - 1, &wide);
    *value = (enum exec_level)wide;
}

/* What is too large is as good as none. */
static void code_limit(struct codec *codec, uint64_t none, uint64_t *value)
{
    if (codec->writer && *value > EXEC_ID_MAX)
        *value = none;
    code_u64(codec, 0, UINT64_MAX, value);
    require(codec, *value <= EXEC_ID_MAX || *value == none);
}

static void code_usec(struct codec *codec, usec_t *value)
{
    code_u64(codec, 0, EXEC_ID_MAX, value);
}

/* Into room of its own. */
static void code_buffer(struct codec *codec, char *target, size_t target_size)
{
    if (codec->writer)
        writer_string16(codec->writer, target);
    else
        reader_string16(codec->reader, target, target_size);
    require(codec, text_is_utf8(target, strlen(target)));
}

static void read_text(struct codec *codec, char **text)
{
    const size_t size = reader_u16(codec->reader);
    const char *data = (const char *)reader_bytes(codec->reader, size);

    require(codec, data && !memchr(data, '\0', size));
    *text = strndup(data ? data : "", size);
    if (!*text)
        fail(codec, -ENOMEM);
}

/* One that is read is the message's to free. */
static void code_text(struct codec *codec, bool (*is_valid)(const char *), char **text)
{
    if (codec->writer)
        writer_string16(codec->writer, *text);
    else
        read_text(codec, text);
    require(codec, *text && text_is_utf8(*text, strlen(*text)) && (!is_valid || is_valid(*text)));
}

static void code_strings(struct codec *codec, uint32_t max, bool (*is_valid)(const char *),
                         char ***strings)
{
    uint32_t count = 0;

    while (codec->writer && *strings && (*strings)[count])
        count++;
    code_u32(codec, 0, max, &count);
    if (codec->error != 0)
        return;
    if (!codec->writer) {
        *strings = calloc((size_t)count + 1, sizeof(**strings));
        if (!*strings)
            return fail(codec, -ENOMEM);
    }
    for (uint32_t i = 0; i < count && codec->error == 0; i++)
        code_text(codec, is_valid, &(*strings)[i]);
}

static void code_configure(struct codec *codec, struct exec_message *message)
{
    struct exec_configure *configure = &message->configure;
    struct exec_python *python = &configure->python;

    code_bool(codec, &configure->is_auto);
    if (configure->is_auto)
        configure->level = EXEC_NONE;
    else
        code_level(codec, EXEC_NONE, &configure->level);
    code_bool(codec, &configure->network);
    code_u32(codec, 0, EXEC_WORKERS_MAX, &python->workers);
    code_u32(codec, 1, UINT32_MAX, &python->jobs_max);
    code_usec(codec, &python->idle_usec);
    code_text(codec, is_path, &python->interpreter);
    code_strings(codec, EXEC_PATHS_MAX, NULL, &python->modules);
    code_strings(codec, EXEC_PATHS_MAX, is_path, &configure->read);
    code_strings(codec, EXEC_PATHS_MAX, is_path, &configure->write);
}

static void code_limits(struct codec *codec, struct exec_limits *limits)
{
    code_limit(codec, 0, &limits->memory_bytes);
    code_limit(codec, 0, &limits->file_size_bytes);
    code_limit(codec, 0, &limits->processes);
    code_u32(codec, 0, EXEC_CPUS_MAX * 1000, &limits->cpus_milli);
    code_limit(codec, 0, &limits->timeout_usec);
    code_limit(codec, 0, &limits->grace_usec);
}

static void code_start(struct codec *codec, struct exec_message *message)
{
    struct exec_start *start = &message->start;

    code_bool(codec, &start->is_python);
    code_bool(codec, &start->network);
    code_level(codec, EXEC_NONE, &start->level);
    code_limits(codec, &start->limits);
    code_bool(codec, &start->has_inputs);
    code_limit(codec, 0, &start->results_max);
    code_limit(codec, 0, &start->reserve);
    code_strings(codec, EXEC_WORDS_MAX, NULL, &start->words);
    code_strings(codec, EXEC_WORDS_MAX, is_variable, &start->environment);
    code_strings(codec, EXEC_OUTS_MAX, is_pattern, &start->outs);
    require(codec, codec->error == 0 && has_words(start));
}

static void code_signal(struct codec *codec, struct exec_message *message)
{
    code_int(codec, 1, SIGNAL_MAX, &message->signal.number);
    code_limit(codec, USEC_INFINITY, &message->signal.grace_usec);
}

static void code_hello(struct codec *codec, struct exec_message *message)
{
    struct exec_hello *hello = &message->hello;

    code_text(codec, is_version, &hello->version);
    code_level(codec, EXEC_REFUSE, &hello->level);
    code_level(codec, EXEC_NONE, &hello->available);
    code_strings(codec, EXEC_MISSING_MAX, NULL, &hello->missing);
}

static void code_started(struct codec *codec, struct exec_message *message)
{
    code_u64(codec, 0, INT32_MAX, &message->started.pid);
    code_usec(codec, &message->started.wall_usec);
}

static void code_results(struct codec *codec, struct exec_results *results)
{
    code_error(codec, 0, &results->error);
    code_u32(codec, 0, BUNDLE_FILES_MAX, &results->count);
    code_u64(codec, 0, EXEC_ID_MAX, &results->size);
    code_u64(codec, 0, EXEC_ID_MAX, &results->bytes);
    code_buffer(codec, results->note, sizeof(results->note));
    require(codec, (results->count > 0) == (results->size > 0));
}

enum ending {
    ENDING_CODE,
    ENDING_SIGNAL,
    ENDING_ERROR,
};

static void code_exited(struct codec *codec, struct exec_message *message)
{
    struct exec_status *status = &message->exited;
    uint32_t ending = status->error != 0    ? ENDING_ERROR
                      : status->signal != 0 ? ENDING_SIGNAL
                                            : ENDING_CODE;

    code_u32(codec, ENDING_CODE, ENDING_ERROR, &ending);
    if (!codec->writer)
        *status = (struct exec_status){.code = ending == ENDING_CODE ? 0 : -1};
    if (ending == ENDING_ERROR) {
        code_error(codec, 1, &status->error);
        code_buffer(codec, status->reason, sizeof(status->reason));
        return;
    }
    if (ending == ENDING_SIGNAL)
        code_int(codec, 1, SIGNAL_MAX, &status->signal);
    else
        code_int(codec, 0, UINT8_MAX, &status->code);
    code_bool(codec, &status->timed_out);
    code_bool(codec, &status->is_oom);
    code_u64(codec, 0, INT32_MAX, &status->pid);
    code_usec(codec, &status->wall_usec);
    code_usec(codec, &status->user_usec);
    code_usec(codec, &status->system_usec);
    code_u64(codec, 0, EXEC_ID_MAX, &status->memory_peak_bytes);
    code_results(codec, &status->results);
}

static void code_message(struct codec *codec, struct exec_message *message)
{
    static const struct {
        bool has_id;
        void (*code)(struct codec *codec, struct exec_message *message);
    } types[_EXEC_MESSAGE_TYPE_MAX] = {
        [EXEC_CONFIGURE] = {false, code_configure}, [EXEC_START] = {true, code_start},
        [EXEC_SIGNAL] = {true, code_signal},        [EXEC_HELLO] = {false, code_hello},
        [EXEC_STARTED] = {true, code_started},      [EXEC_EXITED] = {true, code_exited}};
    uint32_t type = message->type;

    code_u32(codec, 0, _EXEC_MESSAGE_TYPE_MAX - 1, &type);
    if (codec->error != 0)
        return;
    message->type = (enum exec_message_type)type;
    if (types[type].has_id)
        code_u64(codec, 0, EXEC_ID_MAX, &message->id);
    types[type].code(codec, message);
}

size_t exec_start_fds(const struct exec_start *start)
{
    return 3 + (size_t)start->has_inputs + (size_t)start->is_python +
           (start->outs && start->outs[0] ? 1 : 0);
}

size_t exec_message_fds(const struct exec_message *message)
{
    return message->type == EXEC_START ? exec_start_fds(&message->start) : 0;
}

/* Return: as exec_message_encode(), of which @size is the limit. */
static int encode(const struct exec_message *message, size_t size, void **ret, size_t *ret_size)
{
    struct exec_message copy = *message; /* of which only the copy of a limit changes */
    _cleanup_free_ void *data = malloc(size);
    struct writer writer = writer_into(data, size);
    struct codec codec = {.writer = &writer};

    if (!data)
        return -ENOMEM;
    code_message(&codec, &copy);
    if (codec.error != 0)
        return codec.error;
    if (!writer_ok(&writer))
        return -EMSGSIZE;
    *ret = TAKE_PTR(data);
    *ret_size = writer.position;
    return 0;
}

int exec_message_encode(const struct exec_message *message, void **ret, size_t *ret_size)
{
    int r = encode(message, SIZE_MOST, ret, ret_size);

    return r == -EMSGSIZE ? encode(message, EXEC_MESSAGE_MAX, ret, ret_size) : r;
}

int exec_message_decode(const void *data, size_t size, struct exec_message *ret)
{
    struct exec_message message;
    struct reader reader = reader_from(data, size);
    struct codec codec = {.reader = &reader};

    if (size > EXEC_MESSAGE_MAX)
        return -EMSGSIZE;
    memset(&message, 0, sizeof(message)); /* all of the union */
    message.type = _EXEC_MESSAGE_TYPE_MAX;
    code_message(&codec, &message);
    require(&codec, reader_done(&reader));
    if (codec.error != 0) {
        exec_message_done(&message);
        return codec.error;
    }
    *ret = message;
    return 0;
}
