/* SPDX-License-Identifier: MIT */
#include "monitor.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include "emit.h"

#define ANY_SUBSYSTEM (-1)

/* The strings follow the struct in one allocation. */
struct line {
    struct list link;
    struct emit_line shown;
};

struct watcher {
    struct list link;
    struct monitor *monitor; /* borrowed */
    struct call *call;       /* borrowed; gone when on_gone says so */
    int level;
    int subsystem; /* enum subsystem, or ANY_SUBSYSTEM */
    bool is_wire;  /* only what has the text of the wire */
    uint64_t missed;
};

struct monitor {
    sd_event *event; /* borrowed */
    struct list watchers;
    sd_event_source *source; /* while somebody watches; owns the descriptor */
    int wake_fd;
    pthread_mutex_t lock; /* of what follows */
    struct list queue;
    size_t queue_count;
    uint64_t lost;
};

/* What this thread logs while it hands lines on is not handed on, lest it never ends. */
static _Thread_local bool is_handing_on;

static size_t room_for(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **position, const char *text)
{
    if (!text)
        return NULL;
    char *start = *position;
    *position = stpcpy(start, text) + 1;
    return start;
}

/* From any thread. */
static void on_line(const struct emit_line *shown, void *data)
{
    struct monitor *monitor = data;

    if (is_handing_on)
        return;
    struct line *line = malloc(sizeof(*line) + room_for(shown->text) + room_for(shown->line));
    pthread_mutex_lock(&monitor->lock);
    if (!line || monitor->queue_count >= MONITOR_QUEUE_MAX) {
        monitor->lost++;
        free(line);
    } else {
        char *position = (char *)(line + 1);
        line->shown = *shown;
        line->shown.text = copy_text(&position, shown->text);
        line->shown.line = copy_text(&position, shown->line);
        list_append(&monitor->queue, &line->link);
        monitor->queue_count++;
        if (monitor->queue_count == 1)
            (void)eventfd_write(monitor->wake_fd, 1);
    }
    pthread_mutex_unlock(&monitor->lock);
}

static cJSON *render(const struct emit_line *line)
{
    cJSON *json = cJSON_CreateObject();

    json_add_string(json, "type", "log");
    json_add_time(json, "time", line->wall_usec);
    json_add_string(json, "level", level_name(line->level));
    json_add_string(json, "subsystem", line->event ? subsystem_name(line->subsystem) : NULL);
    json_add_string(json, "event", line->event);
    json_add_string(json, "message", line->text);
    json_add_string(json, "line", line->line);
    return json;
}

static bool is_wanted(const struct watcher *watcher, const struct emit_line *line)
{
    if (line->level > watcher->level || (watcher->is_wire && !line->line))
        return false;
    if (line->stays && watcher->call->caller.is_remote)
        return false;
    return watcher->subsystem == ANY_SUBSYSTEM ||
           (line->event && (int)line->subsystem == watcher->subsystem);
}

static void show(struct watcher *watcher, const struct emit_line *line)
{
    if (call_is_congested(watcher->call)) {
        watcher->missed++;
        return;
    }
    if (watcher->missed > 0) {
        cJSON *json = cJSON_CreateObject();
        json_add_string(json, "type", "missed");
        json_add_u64(json, "count", watcher->missed);
        watcher->missed = 0;
        call_notify(watcher->call, json);
    }
    call_notify(watcher->call, render(line));
}

static void hand_on(struct monitor *monitor, struct list *lines, uint64_t lost)
{
    is_handing_on = true;
    list_for_each (watcher, &monitor->watchers)
        list_entry(watcher, struct watcher, link)->missed += lost;
    list_for_each_safe (link, lines) {
        _cleanup_free_ struct line *line = list_entry(link, struct line, link);
        list_remove(link);
        list_for_each_safe (other, &monitor->watchers) {
            struct watcher *watcher = list_entry(other, struct watcher, link);
            if (is_wanted(watcher, &line->shown))
                show(watcher, &line->shown);
        }
    }
    is_handing_on = false;
}

/* Takes all that waits. Return: how many were lost since the last time. */
static uint64_t take_lines(struct monitor *monitor, struct list *ret)
{
    list_init(ret);
    pthread_mutex_lock(&monitor->lock);
    uint64_t lost = monitor->lost;
    monitor->lost = 0;
    monitor->queue_count = 0;
    list_for_each_safe (link, &monitor->queue) {
        list_remove(link);
        list_append(ret, link);
    }
    pthread_mutex_unlock(&monitor->lock);
    return lost;
}

static int on_wake(sd_event_source *source _unused_, int fd, uint32_t events _unused_, void *data)
{
    struct monitor *monitor = data;
    struct list lines;
    eventfd_t count;

    (void)eventfd_read(fd, &count);
    uint64_t lost = take_lines(monitor, &lines);
    hand_on(monitor, &lines, lost);
    return 0;
}

/* --- Who watches --- */

/* Listens as far as the most curious wants, or not at all. */
static void listen_in(struct monitor *monitor)
{
    int level = -1;

    list_for_each (link, &monitor->watchers)
        level = MAX(level, list_entry(link, struct watcher, link)->level);
    if (level >= 0) {
        emit_set_tap(on_line, monitor, level);
        return;
    }
    emit_set_tap(NULL, NULL, level);
    struct list lines;
    (void)take_lines(monitor, &lines);
    hand_on(monitor, &lines, 0);
    monitor->source = sd_event_source_disable_unref(monitor->source);
    monitor->wake_fd = -EBADF;
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct watcher *watcher = data;
    struct monitor *monitor = watcher->monitor;

    list_remove(&watcher->link);
    free(watcher);
    listen_in(monitor);
}

static int open_wake(struct monitor *monitor)
{
    _cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (monitor->source)
        return 0;
    if (fd < 0)
        return -errno;
    int r = sd_event_add_io(monitor->event, &monitor->source, fd, EPOLLIN, on_wake, monitor);
    if (r < 0)
        return r;
    (void)sd_event_source_set_priority(monitor->source, SD_EVENT_PRIORITY_IDLE);
    monitor->wake_fd = TAKE_FD(fd);
    return sd_event_source_set_io_fd_own(monitor->source, true);
}

/* Return: whether it was understood; else the call is answered. */
static bool read_wishes(struct call *call, struct watcher *ret)
{
    const char *level = "debug", *subsystem = NULL;

    ret->subsystem = ANY_SUBSYSTEM;
    if (json_get_string(call->parameters, "level", &level) < 0 || level_parse(level) < 0) {
        call_invalid(call, "level");
        return false;
    }
    ret->level = level_parse(level);
    if (json_get_bool(call->parameters, "wire", &ret->is_wire) < 0) {
        call_invalid(call, "wire");
        return false;
    }
    int r = json_get_string(call->parameters, "subsystem", &subsystem);
    for (int i = 0; subsystem && i < _SUBSYSTEM_MAX; i++)
        if (strcmp(subsystem_name((enum subsystem)i), subsystem) == 0)
            ret->subsystem = i;
    if (r < 0 || (subsystem && ret->subsystem == ANY_SUBSYSTEM)) {
        call_invalid(call, "subsystem");
        return false;
    }
    return true;
}

void monitor_serve(struct monitor *monitor, struct call *call)
{
    struct watcher wishes = {.monitor = monitor, .call = call};

    if (!call->wants_more) {
        call_fail_as(call, "org.varlink.service.ExpectedMore", cJSON_CreateObject());
        return;
    }
    if (!read_wishes(call, &wishes))
        return;
    struct watcher *watcher = malloc(sizeof(*watcher));
    if (!watcher || open_wake(monitor) < 0) {
        free(watcher);
        call_fail(call, ERROR_INTERNAL, NULL, "no memory or descriptors to watch with");
        return;
    }
    *watcher = wishes;
    list_append(&monitor->watchers, &watcher->link);
    call_on_gone(call, on_gone, watcher);
    listen_in(monitor);
}

int monitor_new(sd_event *event, struct monitor **ret)
{
    struct monitor *monitor = calloc(1, sizeof(*monitor));

    if (!monitor)
        return -ENOMEM;
    *monitor =
        (struct monitor){.event = event, .wake_fd = -EBADF, .lock = PTHREAD_MUTEX_INITIALIZER};
    list_init(&monitor->watchers);
    list_init(&monitor->queue);
    *ret = monitor;
    return 0;
}

struct monitor *monitor_free(struct monitor *monitor)
{
    if (!monitor)
        return NULL;
    list_for_each_safe (link, &monitor->watchers) {
        list_remove(link);
        free(list_entry(link, struct watcher, link));
    }
    listen_in(monitor);
    free(monitor);
    return NULL;
}
