/* SPDX-License-Identifier: MIT */
#include "exec/spares.h"

#define TIMER_ACCURACY_USEC (100 * USEC_PER_MSEC)

static usec_t now_of(const struct spares *spares)
{
    usec_t now = 0;

    (void)sd_event_now(spares->event, CLOCK_MONOTONIC, &now);
    return now;
}

static void detach(struct spares *spares, struct exec_child *child)
{
    list_remove(&child->link);
    spares->count--;
}

static void end(struct spares *spares, struct exec_child *child)
{
    exec_child_abandon(child);
    spares->on_ended(child, spares->data);
}

/* They end in the order in which they were put here: the last used is the first. */
static int on_timer(sd_event_source *source, uint64_t now_usec, void *data)
{
    struct spares *spares = data;

    while (!list_is_empty(&spares->list)) {
        struct exec_child *oldest = list_entry(spares->list.previous, struct exec_child, link);
        usec_t due = usec_add(oldest->free_usec, SPARES_IDLE_USEC);
        if (due > now_usec) {
            (void)sd_event_source_set_time(source, due);
            (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
            break;
        }
        detach(spares, oldest);
        end(spares, oldest);
    }
    return 0;
}

int spares_init(struct spares *spares, sd_event *event,
                void (*on_ended)(struct exec_child *child, void *data), void *data)
{
    int r;

    *spares = (struct spares){.event = event, .on_ended = on_ended, .data = data};
    list_init(&spares->list);
    r = sd_event_add_time_relative(event, &spares->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_USEC,
                                   on_timer, spares);
    return r < 0 ? r : sd_event_source_set_enabled(spares->timer, SD_EVENT_OFF);
}

void spares_done(struct spares *spares)
{
    if (!spares->event)
        return;
    spares->timer = sd_event_source_disable_unref(spares->timer);
    list_for_each_safe (link, &spares->list) {
        struct exec_child *child = list_entry(link, struct exec_child, link);
        detach(spares, child);
        exec_child_free(child);
    }
}

void spares_put(struct spares *spares, struct exec_child *child)
{
    if (spares->count == SPARES_MAX) {
        end(spares, child);
        return;
    }
    child->free_usec = now_of(spares);
    if (list_is_empty(&spares->list)) {
        (void)sd_event_source_set_time(spares->timer, usec_add(child->free_usec, SPARES_IDLE_USEC));
        (void)sd_event_source_set_enabled(spares->timer, SD_EVENT_ONESHOT);
    }
    list_prepend(&spares->list, &child->link);
    spares->count++;
}

struct exec_child *spares_take(struct spares *spares, const struct supervisor_job *job)
{
    list_for_each (link, &spares->list) {
        struct exec_child *child = list_entry(link, struct exec_child, link);
        if (!exec_child_fits(child, job))
            continue;
        detach(spares, child);
        return child;
    }
    return NULL;
}

void spares_end(struct spares *spares)
{
    list_for_each_safe (link, &spares->list) {
        struct exec_child *child = list_entry(link, struct exec_child, link);
        detach(spares, child);
        end(spares, child);
    }
}

struct exec_child *spares_find(const struct spares *spares, pid_t pid)
{
    list_for_each (link, &spares->list) {
        struct exec_child *child = list_entry(link, struct exec_child, link);
        if (child->pid == pid)
            return child;
    }
    return NULL;
}

void spares_forget(struct spares *spares, struct exec_child *child)
{
    detach(spares, child);
    exec_child_free(child);
}
