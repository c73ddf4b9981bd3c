/* SPDX-License-Identifier: MIT */
#include "tasks/hooks.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/text.h"
#include "base/words.h"

#define ID_FIRST      (UINT64_C(1) << 52) /* above those of attempts, which count from 1 */
#define FIELDS_MAX    24
#define OUTPUT_SIZE   200                   /* of what it says, for the log */
#define RETRY_USEC    (500 * USEC_PER_MSEC) /* while p2pnode-exec is not ready */
#define ACCURACY_USEC (10 * USEC_PER_MSEC)

struct hook {
    struct list link;
    struct hooks *hooks; /* borrowed */
    uint64_t id;
    const char *event;                 /* static */
    char *command;                     /* owned: as base/words cuts it */
    char *environment[FIELDS_MAX + 1]; /* owned */
    size_t fields_count;
    sd_event_source *timeout;
    bool is_over_time;
    char output[OUTPUT_SIZE + 1];
    size_t output_size;
};

static void hook_free(struct hook *hook)
{
    list_remove(&hook->link);
    sd_event_source_disable_unref(hook->timeout);
    for (size_t i = 0; i < hook->fields_count; i++)
        free(hook->environment[i]);
    free(hook->command);
    free(hook);
}

/* "PEER_MEMBER=lab-07". Without memory it is missing. */
static void _printf_(2, 3) add_field(struct hook *hook, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;

    if (hook->fields_count == FIELDS_MAX)
        return;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size >= 0)
        hook->environment[hook->fields_count++] = text;
}

static void add_event(struct hook *hook, const struct journal_event *event)
{
    add_field(hook, "PEER_EVENT=%s", event->type);
    add_field(hook, "PEER_NODE=%s", event->node);
    add_field(hook, "PEER_MESSAGE=%s", event->message);
    if (event->line)
        add_field(hook, "PEER_LINE=%s", event->line);
    for (const struct journal_field *field = event->fields; field->name; field++)
        if (field->is_number)
            add_field(hook, "PEER_%s=%" PRIu64, field->name, field->number);
        else
            add_field(hook, "PEER_%s=%s", field->name, field->text);
}

/* --- Running --- */

static int on_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct hook *hook = data;

    hook->is_over_time = true;
    (void)exec_signal(*hook->hooks->exec, hook->id, SIGTERM, HOOKS_GRACE_USEC);
    return 0;
}

/* Return: as exec_start. */
static int start(struct hook *hook)
{
    struct hooks *hooks = hook->hooks;
    _cleanup_free_ char **words = NULL;
    int r = words_split(hook->command, &words);

    if (r < 0)
        return r;
    r = exec_start(*hooks->exec, hook->id,
                   &(struct exec_task){.words = (const char *const *)words,
                                       .environment = (const char *const *)hook->environment,
                                       .stdin_fd = -EBADF,
                                       .network = hooks->config->sandbox.network,
                                       .level = EXEC_NONE});
    if (r < 0)
        return r;
    (void)sd_event_add_time_relative(hooks->event, &hook->timeout, CLOCK_MONOTONIC,
                                     HOOKS_TIMEOUT_USEC, USEC_PER_SEC, on_timeout, hook);
    return 0;
}

static void wake(struct hooks *hooks, usec_t delay_usec)
{
    (void)sd_event_source_set_time_relative(hooks->timer, delay_usec);
    (void)sd_event_source_set_enabled(hooks->timer, SD_EVENT_ONESHOT);
}

/* At the first one, and all others together once the queue is empty again. */
static void tell_dropped(struct hooks *hooks)
{
    bool is_over = hooks->queued_count == 0;

    if (hooks->dropped_count > 0 && (is_over || !hooks->is_dropping)) {
        log_warning("%llu hooks were not run: events come faster than their commands end",
                    (unsigned long long)hooks->dropped_count);
        hooks->dropped_count = 0;
        hooks->is_dropping = true;
    }
    if (is_over)
        hooks->is_dropping = false;
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct hooks *hooks = data;
    struct hook *hook;

    tell_dropped(hooks);
    while (hooks->running_count < HOOKS_RUNNING_MAX &&
           (hook = list_first(&hooks->queue, struct hook, link))) {
        int r = *hooks->exec ? start(hook) : -EAGAIN;
        if (r == -EAGAIN || r == -EBUSY) {
            wake(hooks, RETRY_USEC);
            break;
        }
        list_remove(&hook->link);
        hooks->queued_count--;
        if (r < 0) {
            log_line_errno(LOG_WARNING | LOG_STAYS, r, "Cannot run the hook for %s, %s: %m",
                           hook->event, hook->command);
            hook_free(hook);
            continue;
        }
        list_append(&hooks->running, &hook->link);
        hooks->running_count++;
    }
    return 0;
}

static struct hook *find(const struct hooks *hooks, uint64_t id)
{
    list_for_each (link, &hooks->running) {
        struct hook *hook = list_entry(link, struct hook, link);
        if (hook->id == id)
            return hook;
    }
    return NULL;
}

bool hooks_on_output(struct hooks *hooks, uint64_t id, const void *bytes, size_t size)
{
    struct hook *hook = find(hooks, id);

    if (!hook)
        return id >= ID_FIRST;
    size_t taken = MIN(size, OUTPUT_SIZE - hook->output_size);
    memcpy(hook->output + hook->output_size, bytes, taken);
    hook->output_size += taken;
    return true;
}

/* The log is the only one that hears of it, and of this node alone: what a hook says may be of a
 * confidential task. */
static void tell_end(struct hook *hook, const struct exec_status *status)
{
    while (hook->output_size > 0 && hook->output[hook->output_size - 1] == '\n')
        hook->output_size--;
    hook->output[hook->output_size] = '\0';
    const char *said = hook->output_size > 0 ? "; it said: " : "";
    text_mask_controls(hook->output);
    if (hook->is_over_time)
        log_line(LOG_WARNING | LOG_STAYS,
                 "The hook for %s, %s, took longer than %llu s and was ended%s%s", hook->event,
                 hook->command, (unsigned long long)(HOOKS_TIMEOUT_USEC / USEC_PER_SEC), said,
                 hook->output);
    else if (status->error != 0)
        log_line(LOG_WARNING | LOG_STAYS, "The hook for %s, %s, did not run: %s", hook->event,
                 hook->command, status->reason);
    else if (status->signal != 0)
        log_line(LOG_WARNING | LOG_STAYS, "The hook for %s, %s, was ended by signal %d%s%s",
                 hook->event, hook->command, status->signal, said, hook->output);
    else if (status->code != 0)
        log_line(LOG_WARNING | LOG_STAYS, "The hook for %s, %s, failed with %d%s%s", hook->event,
                 hook->command, status->code, said, hook->output);
    else
        log_line(LOG_DEBUG | LOG_STAYS, "The hook for %s, %s, has run%s%s", hook->event,
                 hook->command, said, hook->output);
}

bool hooks_on_exit(struct hooks *hooks, uint64_t id, const struct exec_status *status)
{
    struct hook *hook = find(hooks, id);

    if (!hook)
        return id >= ID_FIRST;
    tell_end(hook, status);
    hook_free(hook);
    hooks->running_count--;
    if (hooks->queued_count > 0 || hooks->dropped_count > 0)
        wake(hooks, 0);
    return true;
}

/* --- What is wanted --- */

bool hooks_are_wanted(const struct config *config)
{
    return config->hooks_count > 0 || *config->messages.handler || *config->tasks.on_done;
}

void hooks_add(struct hooks *hooks, const char *command, const struct journal_event *event)
{
    struct hook *hook = hooks->queued_count < HOOKS_QUEUE_MAX ? calloc(1, sizeof(*hook)) : NULL;

    if (hook) {
        list_init(&hook->link);
        hook->command = strdup(command);
    }
    if (!hook || !hook->command) {
        free(hook);
        hooks->dropped_count++;
        wake(hooks, 0);
        return;
    }
    hook->hooks = hooks;
    hook->id = ID_FIRST + hooks->next_id++;
    hook->event = event->type;
    add_event(hook, event);
    list_append(&hooks->queue, &hook->link);
    hooks->queued_count++;
    wake(hooks, 0);
}

void hooks_hear(struct hooks *hooks, const struct journal_event *event)
{
    const struct config *config = hooks->config;

    for (size_t i = 0; i < config->hooks_count; i++)
        if (strcmp(config->hooks[i].event, event->type) == 0)
            hooks_add(hooks, config->hooks[i].command, event);
    if (*config->messages.handler && event->event == EVENT_MESSAGE)
        hooks_add(hooks, config->messages.handler, event);
    if (*config->tasks.on_done && event->event == EVENT_TASK_ENDED)
        hooks_add(hooks, config->tasks.on_done, event);
}

int hooks_init(struct hooks *hooks, sd_event *event, const struct config *config,
               struct exec *const *exec)
{
    *hooks = (struct hooks){.event = event, .config = config, .exec = exec};
    list_init(&hooks->queue);
    list_init(&hooks->running);
    int r = sd_event_add_time(event, &hooks->timer, CLOCK_MONOTONIC, USEC_INFINITY, ACCURACY_USEC,
                              on_timer, hooks);
    if (r < 0)
        return r;
    (void)sd_event_source_set_enabled(hooks->timer, SD_EVENT_OFF);
    (void)sd_event_source_set_description(hooks->timer, "hooks");
    return 0;
}

void hooks_done(struct hooks *hooks)
{
    if (!hooks->event)
        return;
    list_for_each_safe (link, &hooks->queue)
        hook_free(list_entry(link, struct hook, link));
    list_for_each_safe (running, &hooks->running)
        hook_free(list_entry(running, struct hook, link));
    sd_event_source_disable_unref(hooks->timer);
}
