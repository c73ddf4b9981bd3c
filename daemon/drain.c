/* SPDX-License-Identifier: MIT */
#include "drain.h"

#include <stdio.h>
#include "base/log.h"
#include "journal.h"
#include "node.h"

#define TIMER_ACCURACY_USEC USEC_PER_MSEC

static int note(const char *reason, void *data)
{
    struct drain *drain = data;

    drain->is_on = true;
    snprintf(drain->reason, sizeof(drain->reason), "%s", reason);
    return 0;
}

int drain_load(struct node *node)
{
    int r = state_load_drain(node->state, note, &node->drain);

    return r < 0 ? log_error_errno(r, "Cannot see whether this node is to take tasks: %m") : 0;
}

/* Tells the log and the slots. */
static void apply(struct node *node)
{
    const struct drain *drain = &node->drain;

    if (drain->is_on)
        journal_drain(*drain->reason ? drain->reason : NULL);
    if (node->stop_step == NODE_STOP_NONE)
        tasks_set_draining(node->tasks, drain->is_on);
}

void drain_take_up(struct node *node)
{
    if (node->drain.is_on)
        apply(node);
}

void drain_save(struct node *node, const char *reason, state_done_t done, void *data)
{
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;
    int r = state_batch_new(&batch);

    if (r < 0) {
        done(r, data);
        return;
    }
    state_put_drain(batch, reason);
    state_batch_after(batch, done, data);
    r = state_commit(node->state, &batch);
    if (r < 0)
        log_debug_errno(r, "Cannot save whether this node takes tasks: %m");
}

void drain_set(struct node *node, const char *reason)
{
    struct drain *drain = &node->drain;

    if (reason) {
        (void)note(reason, drain);
    } else {
        drain->timer = sd_event_source_disable_unref(drain->timer);
        drain->reason[0] = '\0';
        if (drain->is_on)
            journal_undrain();
        drain->is_on = false;
    }
    apply(node);
}

static int on_deadline(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct node *node = data;

    node->drain.timer = sd_event_source_disable_unref(node->drain.timer);
    log_notice("The deadline of the drain is over: ending what still runs");
    tasks_evict(node->tasks);
    return 0;
}

int drain_kill_after(struct node *node, usec_t delay_usec)
{
    struct drain *drain = &node->drain;

    drain->timer = sd_event_source_disable_unref(drain->timer);
    return sd_event_add_time_relative(node->event, &drain->timer, CLOCK_MONOTONIC, delay_usec,
                                      TIMER_ACCURACY_USEC, on_deadline, node);
}

void drain_done(struct drain *drain)
{
    drain->timer = sd_event_source_disable_unref(drain->timer);
}
