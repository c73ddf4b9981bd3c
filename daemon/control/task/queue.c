/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>

const char *describe_queue(const struct node *node, const struct task *task,
                           char target[static TASK_REASON_MAX + 1])
{
    const struct place_node *other =
        place_find(origin_get_place(tasks_get_origin(node->tasks)), &task->node);
    const struct origin *origin = tasks_get_origin(node->tasks);
    uint32_t max = origin_get_max(origin, task->number);
    uint64_t sent;

    /* Its disk is full, or it is gone for now. */
    if (origin_is_stranded(origin, task->number) || origin_is_unheard(origin, task->number))
        snprintf(target, TASK_REASON_MAX + 1, "%s", task->reason);
    else if (other && other->facts.state == PLACE_DEAD)
        snprintf(target, TASK_REASON_MAX + 1, "%s is dead; waits until its lease is over",
                 task->node_name);
    else if (tasks_get_sent(node->tasks, task, &sent))
        snprintf(target, TASK_REASON_MAX + 1, "its files are on their way to %s: %.0f%%",
                 task->node_name, 100.0 * (double)sent / (double)task->spec.in.size);
    else if (max > 0)
        snprintf(target, TASK_REASON_MAX + 1,
                 "queued on %s, where at most %u task%s of type %s run%s at once (max)",
                 task->node_name, max, PLURAL(max), task->spec.type, max == 1 ? "s" : "");
    else if (other && other->facts.slots > 0 && other->facts.running > 0)
        snprintf(target, TASK_REASON_MAX + 1, "queued on %s: %u task%s running on %u slot%s",
                 task->node_name, other->facts.running, PLURAL(other->facts.running),
                 other->facts.slots, PLURAL(other->facts.slots));
    else
        snprintf(target, TASK_REASON_MAX + 1, "queued on %s", task->node_name);
    return target;
}
