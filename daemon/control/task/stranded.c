/* SPDX-License-Identifier: MIT */
#include "control/task/stranded.h"

#include <string.h>
#include "base/usec.h"
#include "node.h"

#define INTERVAL_USEC  USEC_PER_SEC
#define TIMER_ACCURACY (10 * USEC_PER_MSEC)

static int on_timer(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct stranded *stranded = data;
    const struct task *task = stranded->find(stranded->data);

    (void)sd_event_source_set_time_relative(source, INTERVAL_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    if (!task || strcmp(task->reason, stranded->told) == 0)
        return 0;
    task_format_text(stranded->told, sizeof(stranded->told), "%s", task->reason);
    stranded->tell(task, stranded->data); /* with which all may be gone */
    return 0;
}

void stranded_begin(struct stranded *stranded)
{
    (void)sd_event_add_time_relative(stranded->node->event, &stranded->timer, CLOCK_MONOTONIC,
                                     INTERVAL_USEC, TIMER_ACCURACY, on_timer, stranded);
}

void stranded_end(struct stranded *stranded)
{
    stranded->timer = sd_event_source_disable_unref(stranded->timer);
}
