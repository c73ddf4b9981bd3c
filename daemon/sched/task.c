/* SPDX-License-Identifier: MIT */
#include "sched/task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/words.h"

#define TIMELINE_HEAD      8 /* entries of the beginning that a long timeline keeps */
#define TIMELINE_TEXT_SIZE 256

static const char *const state_names[_TASK_STATE_MAX] = {
    [TASK_PENDING] = "pending", [TASK_RUNNING] = "running",     [TASK_SUCCEEDED] = "succeeded",
    [TASK_FAILED] = "failed",   [TASK_TIMED_OUT] = "timed-out", [TASK_CANCELLED] = "cancelled",
    [TASK_LOST] = "lost",       [TASK_UNKNOWN] = "unknown",
};

static const char *const kind_names[_TASK_KIND_MAX] = {
    [TASK_TYPED] = "typed", [TASK_COMMAND] = "command", [TASK_PYTHON] = "python"};

const char *task_kind_name(enum task_kind kind)
{
    return kind_names[kind];
}

int task_kind_parse(const char *text)
{
    for (int i = 0; i < _TASK_KIND_MAX; i++)
        if (strcmp(text, kind_names[i]) == 0)
            return i;
    return -EINVAL;
}

const char *task_state_name(enum task_state state)
{
    return state_names[state];
}

int task_state_parse(const char *text)
{
    for (int i = 0; i < _TASK_STATE_MAX; i++)
        if (strcmp(text, state_names[i]) == 0)
            return i;
    return -EINVAL;
}

bool task_state_is_final(enum task_state state)
{
    return state != TASK_PENDING && state != TASK_RUNNING;
}

int task_retry_on_parse(const char *text)
{
    static const char *const names[] = {"node-lost", "no-space", "unreachable", "exit"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(text, names[i]) == 0)
            return 1 << i;
    return -EINVAL;
}

void task_spec_done(struct task_spec *spec)
{
    spec->python = task_python_free(spec->python);
    task_words_done(&spec->args);
    task_words_done(&spec->env);
    task_words_done(&spec->outs);
    task_words_done(&spec->after);
    free(spec->on_done);
    spec->on_done = NULL;
}

int task_spec_copy(const struct task_spec *spec, struct task_spec *ret)
{
    _cleanup_(task_words_done) struct task_words args = {0}, env = {0}, outs = {0};
    _cleanup_(task_python_freep) struct task_python *python = NULL;
    _cleanup_free_ char *on_done = spec->on_done ? strdup(spec->on_done) : NULL;
    struct task_words after;
    int r;

    if (spec->on_done && !on_done)
        return -ENOMEM;
    if (spec->python) {
        r = task_python_new(spec->python->file, spec->python->function, spec->python->code,
                            &python);
        if (r < 0)
            return r;
    }
    r = task_words_copy(&spec->args, &args);
    if (r >= 0)
        r = task_words_copy(&spec->env, &env);
    if (r >= 0)
        r = task_words_copy(&spec->outs, &outs);
    if (r >= 0)
        r = task_words_copy(&spec->after, &after);
    if (r < 0)
        return r;
    *ret = *spec;
    ret->python = TAKE_PTR(python);
    ret->args = args;
    ret->env = env;
    ret->outs = outs;
    ret->after = after;
    ret->on_done = TAKE_PTR(on_done);
    args = env = outs = (struct task_words){0};
    return 0;
}

static bool is_printable(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);

    if (size > max || !text_is_utf8(text, size))
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

bool task_is_label(const char *text)
{
    return strnlen(text, TASK_NAME_MAX + 1) <= TASK_NAME_MAX &&
           (*text == '\0' || text_is_name(text));
}

const char *task_out_split(const char *out, size_t *ret_glob_size)
{
    const char *equals = strchr(out, '=');

    *ret_glob_size = equals ? (size_t)(equals - out) : strlen(out);
    return equals ? equals + 1 : "";
}

/* A path below the work directory, with wildcards or without. */
static bool is_glob(const char *glob, size_t size)
{
    if (size == 0 || size > TASK_GLOB_MAX)
        return false;
    for (size_t i = 0, part; i <= size; i += part + 1) {
        for (part = 0; i + part < size && glob[i + part] != '/';)
            part++;
        if (part == 0 || (part == 1 && glob[i] == '.') ||
            (part == 2 && strncmp(glob + i, "..", 2) == 0))
            return false;
    }
    return true;
}

bool task_is_out(const char *out)
{
    size_t size;
    const char *directory = task_out_split(out, &size);

    return is_glob(out, size) && is_printable(directory, TASK_GLOB_MAX) &&
           is_printable(out, 2 * TASK_GLOB_MAX);
}

static const char *check_files(const struct task_spec *spec)
{
    if (spec->in.size > TASK_NUMBER_MAX || spec->in.count > TASK_FILES_MAX ||
        spec->outs.count > TASK_FILES_MAX)
        return "at most 64 files go with a task, and 64 patterns of results";
    if ((spec->in.count > 0 || spec->has_stdin) && spec->in.size == 0)
        return "there is no bundle of its files";
    for (size_t i = 0; i < spec->outs.count; i++)
        if (!task_is_out(spec->outs.items[i]))
            return "a pattern of results is a path below the work directory, without \"..\", and "
                   "perhaps =DIR";
    return NULL;
}

static const char *check_words(const struct task_spec *spec)
{
    for (size_t i = 0; spec->python && i < spec->args.count; i++)
        if (!text_is_utf8(spec->args.items[i], strlen(spec->args.items[i])))
            return "the arguments of a function are JSON";
    if (spec->is_command && spec->args.count == 0)
        return "a command needs at least one word";
    if (spec->is_command && spec->args.items[0][0] == '\0')
        return "the first word of a command is empty";
    if (spec->args.count > TASK_WORDS_MAX || task_words_size(&spec->args) > TASK_WORDS_SIZE)
        return "too many or too long arguments: at most 1024 words and 64 KiB";
    if (spec->env.count > TASK_WORDS_MAX || task_words_size(&spec->env) > TASK_WORDS_SIZE)
        return "the environment is too large: at most 1024 entries and 64 KiB";
    for (size_t i = 0; i < spec->env.count; i++)
        if (!task_word_is_variable(spec->env.items[i]))
            return "an environment entry is KEY=VALUE, with letters, digits and _ in KEY";
    return NULL;
}

int task_after_parse(const char *text, uint64_t *ret_number, enum task_after_condition *ret)
{
    static const char *const names[] = {"", ":ok", ":any", ":failed"};
    static const enum task_after_condition conditions[] = {TASK_AFTER_OK, TASK_AFTER_OK,
                                                           TASK_AFTER_ANY, TASK_AFTER_FAILED};
    size_t size = strspn(text, "0123456789");
    uint64_t number = 0;

    for (size_t i = 0; i < size && number <= TASK_NUMBER_MAX; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    if (number == 0 || number > TASK_NUMBER_MAX)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(text + size, names[i]) == 0) {
            *ret_number = number;
            *ret = conditions[i];
            return 0;
        }
    return -EINVAL;
}

static bool is_after(const struct task_words *words)
{
    enum task_after_condition condition;
    uint64_t number;

    for (size_t i = 0; i < words->count; i++)
        if (task_after_parse(words->items[i], &number, &condition) < 0)
            return false;
    return words->count <= TASK_AFTER_MAX;
}

/* A task may ask for more than its node is configured to give, not for less. */
static bool is_sandbox(const char *text)
{
    static const char *const levels[] = {"", "landlock", "namespaces", "full"};

    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (strcmp(text, levels[i]) == 0)
            return true;
    return false;
}

static bool is_command(const char *text)
{
    _cleanup_free_ char **words = NULL;

    return is_printable(text, TASK_ON_DONE_MAX) && words_split(text, &words) > 0;
}

static const char *check_spec(const struct task_spec *spec)
{
    const char *fixed = spec->is_command ? TASK_TYPE_COMMAND
                        : spec->python   ? TASK_TYPE_PYTHON
                                         : NULL;

    if (spec->is_command && spec->python)
        return "a task is a command or a function, not both";
    if (fixed ? strcmp(spec->type, fixed) != 0 : !text_is_type_name(spec->type))
        return "a task type is 1 to 32 letters";
    if (spec->type_number > TASK_NUMBER_MAX || spec->workflow > TASK_NUMBER_MAX)
        return "the number is too large";
    if (!is_printable(spec->name, TASK_NAME_MAX))
        return "a name is at most 63 bytes of printable text";
    if (!is_printable(spec->user, TASK_USER_MAX))
        return "a user name is at most 64 bytes of printable text";
    if (spec->node[0] != '\0' && !text_is_node_name(spec->node))
        return "a node name is 1 to 63 of A-Z a-z 0-9 . _ -";
    if (!is_printable(spec->select, TASK_SELECT_MAX) ||
        (spec->select[0] != '\0' && (!strchr(spec->select, '=') || spec->select[0] == '=')))
        return "a tag to select by is KEY=VALUE";
    if (spec->retries > TASK_RETRIES_MAX)
        return "at most 1000 retries";
    if (spec->slots > TASK_SLOTS_MAX)
        return "at most 1024 slots";
    if (spec->cpus_milli > 0 &&
        (spec->cpus_milli < TASK_CPUS_MIN || spec->cpus_milli > TASK_CPUS_MAX * 1000))
        return "a limit of CPUs is 0.01 to 1024";
    if (!is_after(&spec->after))
        return "a task waits for at most 64 others, given as NUMBER[:ok|any|failed]";
    if (spec->timeout_usec > TASK_NUMBER_MAX || spec->retry_delay_usec > TASK_NUMBER_MAX ||
        spec->memory_size > TASK_NUMBER_MAX)
        return "the limit is too large";
    if (spec->retry_on >= TASK_RETRY_EXIT << 1)
        return "unknown reason to retry";
    if (!is_sandbox(spec->sandbox))
        return "a sandbox is landlock, namespaces or full";
    if (spec->on_done && !is_command(spec->on_done))
        return "what is run when it is done is a command of at most 4096 bytes, with every quote "
               "closed";
    fixed = spec->python ? task_python_check(spec->python) : NULL;
    if (!fixed)
        fixed = check_words(spec);
    return fixed ? fixed : check_files(spec);
}

int task_spec_check(const struct task_spec *spec, char reason[static TASK_REASON_MAX + 1])
{
    const char *text = check_spec(spec);

    if (!text)
        return 0;
    (void)snprintf(reason, TASK_REASON_MAX + 1, "%s", text);
    return -EINVAL;
}

enum task_kind task_spec_get_kind(const struct task_spec *spec)
{
    return spec->is_command ? TASK_COMMAND : spec->python ? TASK_PYTHON : TASK_TYPED;
}

char *task_spec_format_name(const struct task_spec *spec, char target[static TASK_NAME_MAX + 1])
{
    if (spec->name[0] != '\0')
        (void)snprintf(target, TASK_NAME_MAX + 1, "%s", spec->name);
    else if (spec->is_command)
        (void)snprintf(target, TASK_NAME_MAX + 1, "-");
    else if (spec->python)
        task_format_text(target, TASK_NAME_MAX + 1, "%s", spec->python->function);
    else
        (void)snprintf(target, TASK_NAME_MAX + 1, "%s%" PRIu64, spec->type, spec->type_number);
    return target;
}

char *task_format_run(usec_t run_usec, char target[static 32])
{
    unsigned seconds = (unsigned)(run_usec / USEC_PER_SEC % 60);
    unsigned hundredths = (unsigned)(run_usec % USEC_PER_SEC / (USEC_PER_SEC / 100));

    if (run_usec >= USEC_PER_MIN)
        return text_format_usec(run_usec / USEC_PER_SEC * USEC_PER_SEC, target);
    if (run_usec < USEC_PER_SEC)
        (void)snprintf(target, 32, "%ums", (unsigned)(run_usec / USEC_PER_MSEC));
    else if (hundredths == 0)
        (void)snprintf(target, 32, "%us", seconds);
    else if (hundredths % 10 == 0)
        (void)snprintf(target, 32, "%u.%us", seconds, hundredths / 10);
    else
        (void)snprintf(target, 32, "%u.%02us", seconds, hundredths);
    return target;
}

int task_end_get_signal(const struct task_end *end)
{
    switch (end->type) {
    case TASK_END_SIGNAL:
    case TASK_END_TIMED_OUT:
    case TASK_END_CANCELLED:
        return end->code;
    default:
        return 0;
    }
}

char *task_end_format(const struct task_end *end, char target[static TASK_REASON_MAX + 1])
{
    size_t size = TASK_REASON_MAX + 1;
    char duration[32];
    int used = 0;

    switch (end->type) {
    case TASK_END_EXIT:
        used =
            snprintf(target, size, end->is_oom ? "out of memory (exit %d)" : "exit %d", end->code);
        break;
    case TASK_END_SIGNAL:
        used = snprintf(target, size, end->is_oom ? "out of memory (signal %d)" : "signal %d",
                        end->code);
        break;
    case TASK_END_TIMED_OUT: /* it ran longer: the limit, and then until it gave in */
        return task_format_text(target, size, "timed out after %s",
                                *end->text ? end->text : task_format_run(end->run_usec, duration));
    case TASK_END_CANCELLED:
        used = snprintf(target, size, "cancelled");
        break;
    case TASK_END_NOT_RUN:
        used = snprintf(target, size, "cannot start");
        break;
    case TASK_END_STOPPED:
        used = snprintf(target, size, "stopped by its node");
        break;
    case TASK_END_NO_RESULTS:
        used = snprintf(target, size, "exit 0, but its results are lost");
        break;
    case _TASK_END_MAX:
        target[0] = '\0';
        break;
    }
    if (end->text[0] != '\0')
        task_format_text(target + used, size - (size_t)used, ": %s", end->text);
    return target;
}

enum task_state task_end_get_state(const struct task_end *end)
{
    switch (end->type) {
    case TASK_END_EXIT:
        return end->code == 0 ? TASK_SUCCEEDED : TASK_FAILED;
    case TASK_END_TIMED_OUT:
        return TASK_TIMED_OUT;
    case TASK_END_CANCELLED:
        return TASK_CANCELLED;
    case TASK_END_STOPPED:
        return TASK_LOST;
    case TASK_END_SIGNAL:
    case TASK_END_NOT_RUN:
    case TASK_END_NO_RESULTS:
    case _TASK_END_MAX:
        break;
    }
    return TASK_FAILED;
}

/* Length of the well-formed character at @text, 0 where there is none. */
static size_t character_size(const char *text)
{
    for (size_t size = 1; size <= 4 && text[size - 1] != '\0'; size++)
        if (text_is_utf8(text, size))
            return size;
    return 0;
}

static void clean_text(char *text, bool is_cut)
{
    while (*text) {
        size_t size = character_size(text);
        if (size > 0 && ((unsigned char)*text < 0x20 || *text == 0x7f))
            *text = '?';
        if (size == 0 && is_cut && strlen(text) < 4) {
            *text = '\0';
            return;
        }
        if (size == 0)
            *text = '?';
        text += MAX(size, (size_t)1);
    }
}

static void _printf_(3, 0)
    format_text(char *target, size_t size, const char *format, va_list arguments)
{
    int needed = vsnprintf(target, size, format, arguments);

    clean_text(target, needed >= (int)size);
}

char *task_format_text(char *target, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    format_text(target, size, format, arguments);
    va_end(arguments);
    return target;
}

/* Appends as much of @text as there is room for; the rest of the words is left out then. */
static size_t append(char *target, size_t used, size_t size_max, const char *text, size_t size)
{
    size_t fits = MIN(size, size_max - used);

    memcpy(target + used, text, fits);
    return used + fits;
}

char *task_words_format(const struct task_words *words, size_t size_max)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_@%+=:,./-";
    char *target = malloc(size_max + 1);
    size_t used = 0;

    for (size_t i = 0; target && i < words->count; i++) {
        const char *word = words->items[i];
        bool is_quoted = !*word || word[strspn(word, plain)] != '\0';
        used = append(target, used, size_max, " ", i > 0);
        used = append(target, used, size_max, "'", is_quoted);
        for (; *word; word++)
            used = *word == '\'' ? append(target, used, size_max, "'\\''", 4)
                                 : append(target, used, size_max, word, 1);
        used = append(target, used, size_max, "'", is_quoted);
    }
    if (target) {
        target[used] = '\0';
        clean_text(target, used == size_max);
    }
    return target;
}

struct task *task_free(struct task *task)
{
    if (!task)
        return NULL;
    task_spec_done(&task->spec);
    for (size_t i = 0; i < task->timeline_count; i++)
        free(task->timeline[i].text);
    free(task->timeline);
    free(task);
    return NULL;
}

/* The entry after the beginning goes, so that the newest fits. */
static void drop_middle(struct task *task)
{
    struct task_timeline *gap = task->timeline + TIMELINE_HEAD;

    free(gap->text);
    task->timeline_count--;
    memmove(gap, gap + 1, (task->timeline_count - TIMELINE_HEAD) * sizeof(*gap));
}

int task_add_timeline(struct task *task, uint64_t wall_usec, const char *format, ...)
{
    char text[TIMELINE_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    format_text(text, sizeof(text), format, arguments);
    va_end(arguments);

    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    if (task->timeline_count == TASK_TIMELINE_MAX) {
        drop_middle(task);
    } else {
        struct task_timeline *timeline =
            reallocarray(task->timeline, task->timeline_count + 1, sizeof(*timeline));
        if (!timeline) {
            free(copy);
            return -ENOMEM;
        }
        task->timeline = timeline;
    }
    task->timeline[task->timeline_count++] =
        (struct task_timeline){.wall_usec = wall_usec, .text = copy};
    return 0;
}
