/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include "base/log.h"

/*
 * What tasks change goes to the database as one batch per turn of the loop: all that was ready to
 * be read in that turn is read first. Each commit is a visit of the lane and a sync of the disk,
 * so sixteen tasks that are submitted together are to cost one, and not sixteen.
 */
#define RETRY_USEC    (20 * USEC_PER_MSEC)
#define ACCURACY_USEC USEC_PER_MSEC

void commit_now(struct tasks *tasks)
{
    if (!tasks->batch || state_batch_is_empty(tasks->batch))
        return;
    int r = state_commit(tasks->state, &tasks->batch);
    if (r == -EBUSY || r == -EAGAIN) {
        (void)sd_event_source_set_time_relative(tasks->retry_timer, RETRY_USEC);
        (void)sd_event_source_set_enabled(tasks->retry_timer, SD_EVENT_ONESHOT);
        return;
    }
    if (r < 0) {
        log_error_errno(r, "Cannot save the state of tasks: %m");
        tasks->setup.on_fatal(r, tasks->setup.data);
        return;
    }
    r = state_batch_new(&tasks->batch);
    if (r < 0)
        tasks->setup.on_fatal(r, tasks->setup.data);
}

void commit_soon(struct tasks *tasks)
{
    if (tasks->batch && !state_batch_is_empty(tasks->batch))
        (void)sd_event_source_set_enabled(tasks->turn_end, SD_EVENT_ONESHOT);
}

/* It has the priority of what it waits for: that is before it, and nothing that comes later. */
static int on_turn_end(sd_event_source *source _unused_, void *data)
{
    commit_now(data);
    return 0;
}

static int on_retry_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    commit_now(data);
    return 0;
}

int commit_init(struct tasks *tasks)
{
    int r = state_batch_new(&tasks->batch);

    if (r >= 0)
        r = sd_event_add_defer(tasks->event, &tasks->turn_end, on_turn_end, tasks);
    if (r >= 0)
        r = sd_event_add_time(tasks->event, &tasks->retry_timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              ACCURACY_USEC, on_retry_timer, tasks);
    if (r < 0)
        return r;
    (void)sd_event_source_set_enabled(tasks->turn_end, SD_EVENT_OFF);
    (void)sd_event_source_set_enabled(tasks->retry_timer, SD_EVENT_OFF);
    (void)sd_event_source_set_description(tasks->turn_end, "tasks-turn-end");
    (void)sd_event_source_set_description(tasks->retry_timer, "tasks-commit");
    return 0;
}

void commit_done(struct tasks *tasks)
{
    sd_event_source_disable_unref(tasks->turn_end);
    sd_event_source_disable_unref(tasks->retry_timer);
    state_batch_free(tasks->batch);
}
