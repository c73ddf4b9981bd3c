/* SPDX-License-Identifier: MIT */
#include "emit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "base/text.h"
#include "output.h"

#define FIELDS_MAX   24
#define MESSAGE_SIZE 256 /* of most: longer ones are allocated */

/* Only the loop's thread reads and writes this. */
static struct {
    char node[NODE_NAME_MAX + 1];
    int levels[_SUBSYSTEM_MAX];
    journal_observer_t observer;
    void *observer_data;
} state;

/* What diagnostics, which come from any thread, need. */
static struct {
    pthread_mutex_t lock;
    int level; /* of the log */
    emit_tap_t tap;
    void *tap_data;
    int tap_level;
} taps = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO, .tap_level = -1};

/* A record for journald: "NAME=value" strings. */
struct record {
    char *texts[FIELDS_MAX]; /* owned */
    struct iovec fields[FIELDS_MAX];
    int count;
};

static void record_done(struct record *record)
{
    for (int i = 0; i < record->count; i++)
        free(record->texts[i]);
}

/* Without memory the field is missing; the line itself is more important. */
static void _printf_(2, 3) record_add(struct record *record, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;

    if (record->count == FIELDS_MAX)
        return;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    record->texts[record->count] = text;
    record->fields[record->count++] = (struct iovec){.iov_base = text, .iov_len = (size_t)size};
}

/* No control character, and nothing that is not UTF-8, gets into a line, a field or JSON. */
static char *clean(char *text)
{
    return text ? text_mask_controls(text) : NULL;
}

static uint64_t wall_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void record_field(struct record *record, const struct journal_field *field)
{
    if (field->is_number) {
        record_add(record, "PEER_%s=%" PRIu64, field->name, field->number);
        return;
    }
    _cleanup_free_ char *text = clean(strdup(field->text));
    if (text)
        record_add(record, "PEER_%s=%s", field->name, text);
}

/* Return: the level of the log. */
static int tap_line(const struct emit_line *line)
{
    pthread_mutex_lock(&taps.lock);
    int level = taps.level;
    if (taps.tap && line->level <= taps.tap_level)
        taps.tap(line, taps.tap_data);
    pthread_mutex_unlock(&taps.lock);
    return level;
}

static void set_levels(int level, int tap_level)
{
    taps.level = level;
    taps.tap_level = tap_level;
    log_set_level(MAX(level, tap_level));
}

void emit_set_tap(emit_tap_t tap, void *data, int level)
{
    pthread_mutex_lock(&taps.lock);
    taps.tap = tap;
    taps.tap_data = data;
    set_levels(taps.level, level);
    pthread_mutex_unlock(&taps.lock);
}

/* Most events are for the history alone: what goes to the log is made where it is wanted. */
static void write_event(enum event event, int level, const char *message, const char *line,
                        const struct journal_field *fields)
{
    const struct event_info *info = event_get_info(event);
    _cleanup_(record_done) struct record record = {0};

    if (level > state.levels[info->subsystem])
        return;
    if (output_wants_fields()) {
        record_add(&record, "MESSAGE=%s", message);
        record_add(&record, "MESSAGE_ID=%s", info->message_id);
        record_add(&record, "PRIORITY=%d", level);
        record_add(&record, "SYSLOG_IDENTIFIER=p2pnode");
        record_add(&record, "PEER_EVENT=%s", info->name);
        record_add(&record, "PEER_NODE=%s", state.node);
        for (; fields->name; fields++)
            if (fields->is_number || fields->text)
                record_field(&record, fields);
        if (line)
            record_add(&record, "PEER_LINE=%s", line);
    }
    output_write(level, message, line ? line : message, record.fields, record.count);
}

static bool is_confidential(const struct journal_field *fields)
{
    for (; fields->name; fields++)
        if (fields->is_number && strcmp(fields->name, "CONFIDENTIAL") == 0)
            return true;
    return false;
}

/* Fields as the observer is to see them; most texts are clean and stay where they are. */
struct clean_fields {
    struct journal_field fields[FIELDS_MAX + 1];
    char *copies[FIELDS_MAX]; /* owned */
    size_t count;
};

static void clean_fields_done(struct clean_fields *clean_fields)
{
    for (size_t i = 0; i < clean_fields->count; i++)
        free(clean_fields->copies[i]);
}

static void clean_fields_init(struct clean_fields *ret, const struct journal_field *fields)
{
    ret->count = 0;
    for (; fields->name && ret->count < FIELDS_MAX; fields++) {
        char *copy = NULL;
        if (!fields->is_number && !fields->text)
            continue;
        ret->fields[ret->count] = *fields;
        if (!fields->is_number && !text_is_printable(fields->text)) {
            copy = clean(strdup(fields->text));
            if (!copy)
                continue;
            ret->fields[ret->count].text = copy;
        }
        ret->copies[ret->count++] = copy;
    }
    ret->fields[ret->count].name = NULL;
}

static void observe(enum event event, int level, uint64_t wall_usec, const char *message,
                    const char *line, const struct journal_field *fields)
{
    if (!state.observer)
        return;
    _cleanup_(clean_fields_done) struct clean_fields clean_fields;
    clean_fields_init(&clean_fields, fields);
    const struct journal_event seen = {
        .event = event,
        .type = event_get_info(event)->name,
        .level = level,
        .wall_usec = wall_usec,
        .node = state.node,
        .message = message,
        .fields = clean_fields.fields,
        .line = line,
        .is_confidential = is_confidential(fields),
    };
    state.observer(&seen, state.observer_data);
}

void emit(enum event event, int level, const char *line, const struct journal_field *fields,
          const char *format, ...)
{
    _cleanup_free_ char *allocated = NULL;
    char text[MESSAGE_SIZE], *message = text;
    uint64_t wall_usec = wall_now();
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    if (size >= (int)sizeof(text)) {
        size = vasprintf(&allocated, format, again);
        allocated = message = size < 0 ? NULL : allocated;
    }
    va_end(again);
    va_end(arguments);
    if (size < 0)
        return;
    clean(message);
    write_event(event, level, message, line, fields);
    (void)tap_line(&(struct emit_line){.level = level,
                                       .subsystem = event_get_info(event)->subsystem,
                                       .event = event_get_info(event)->name,
                                       .wall_usec = wall_usec,
                                       .text = message,
                                       .line = line,
                                       .stays = is_confidential(fields)});
    observe(event, level, wall_usec, message, line, fields);
}

/* Diagnostics of base/log: a line without a name. */
static void on_log(int how, const char *text, void *data _unused_)
{
    _cleanup_(record_done) struct record record = {0};
    _cleanup_free_ char *copy = clean(strdup(text));
    int level = LOG_PRI(how);

    if (!copy ||
        level >
            tap_line(&(struct emit_line){
                .level = level, .wall_usec = wall_now(), .text = copy, .stays = how & LOG_STAYS}))
        return;
    record_add(&record, "MESSAGE=%s", copy);
    record_add(&record, "PRIORITY=%d", level);
    record_add(&record, "SYSLOG_IDENTIFIER=p2pnode");
    output_write(level, copy, copy, record.fields, record.count);
}

int emit_open(const struct config *config)
{
    struct output_trouble trouble;
    enum subsystem subsystem;
    int level;

    snprintf(state.node, sizeof(state.node), "%s", config->node.name);
    for (size_t i = 0; i < _SUBSYSTEM_MAX; i++)
        state.levels[i] = (int)config->log.level;
    for (size_t i = 0; i < config->log.subsystems.count; i++)
        if (subsystem_parse(config->log.subsystems.items[i], &subsystem, &level) == 0)
            state.levels[subsystem] = level;
    int r = output_open(&config->log);
    pthread_mutex_lock(&taps.lock);
    set_levels((int)config->log.level, taps.tap_level);
    pthread_mutex_unlock(&taps.lock);
    log_set_sink(on_log, NULL);
    output_get_trouble(&trouble);
    if (trouble.missing)
        log_warning("log.target: there is no %s; the log goes to %s", trouble.missing,
                    trouble.instead);
    if (r < 0)
        log_error_errno(r, "Cannot open %s (log.file): %m", config->log.file);
    return r;
}

void emit_close(void)
{
    log_set_sink(NULL, NULL);
    state.observer = NULL;
    output_close();
}

void emit_set_observer(journal_observer_t observer, void *data)
{
    state.observer = observer;
    state.observer_data = data;
}

const char *emit_get_node(void)
{
    return state.node;
}
