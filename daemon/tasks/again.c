/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "tasks/internal.h"

#define AGAIN_USEC    USEC_PER_SEC
#define ACCURACY_USEC (10 * USEC_PER_MSEC)

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct tasks *tasks = data;

    if (tasks->is_closed)
        return 0;
    runs_again(tasks);
    commit_drops_again(tasks);
    tasks_pump(tasks);
    return 0;
}

void again_arm(struct tasks *tasks)
{
    int r = 0, enabled = SD_EVENT_OFF;

    if (!tasks->room_timer) {
        r = sd_event_add_time_relative(tasks->event, &tasks->room_timer, CLOCK_MONOTONIC,
                                       AGAIN_USEC, ACCURACY_USEC, on_timer, tasks);
        if (r >= 0)
            (void)sd_event_source_set_description(tasks->room_timer, "tasks-again");
    } else if (sd_event_source_get_enabled(tasks->room_timer, &enabled) == 0) {
        r = sd_event_source_set_time_relative(tasks->room_timer, AGAIN_USEC);
        if (r >= 0)
            r = sd_event_source_set_enabled(tasks->room_timer, SD_EVENT_ONESHOT);
    }
    if (r < 0) {
        log_error_errno(r, "Cannot wait for room on the disk: %m");
        tasks->setup.on_fatal(r, tasks->setup.data);
    }
}

void again_done(struct tasks *tasks)
{
    tasks->room_timer = sd_event_source_disable_unref(tasks->room_timer);
}
