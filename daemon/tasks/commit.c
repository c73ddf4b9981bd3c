/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include "base/log.h"

/*
 * What tasks change goes to the database as one batch per turn of the loop: all that was ready to
 * be read in that turn is read first. Each commit is a visit of the lane and a sync of the disk,
 * so sixteen tasks that are submitted together are to cost one, and not sixteen. Where many are
 * under way, two commits are GAP_USEC apart for the same reason; where few are, nobody waits.
 * Deletes are a batch of their own: they are to succeed on a disk that is full.
 */
#define RETRY_USEC    (20 * USEC_PER_MSEC)
#define GAP_USEC      (2 * USEC_PER_MSEC)
#define FEW           4 /* tasks under way */
#define ACCURACY_USEC ((usec_t)50)

static void come_again(struct tasks *tasks, usec_t when_usec)
{
    tasks->again_usec = when_usec;
    (void)sd_event_source_set_time(tasks->again_timer, when_usec);
    (void)sd_event_source_set_enabled(tasks->again_timer, SD_EVENT_ONESHOT);
}

static void on_dropped(int r, void *data)
{
    struct tasks *tasks = data;

    if (r >= 0 || tasks->is_closed)
        return;
    if (r == -EIO || r == -EUCLEAN) {
        tasks->setup.on_fatal(r, tasks->setup.data);
        return;
    }
    tasks->has_drops_left = true;
    again_arm(tasks);
}

/* Hears of the batch, however often it is handed over. */
static void watch_drops(struct tasks *tasks)
{
    if (!tasks->is_watching_drops)
        state_batch_after(tasks->drops, on_dropped, tasks);
    tasks->is_watching_drops = true;
}

void commit_drops_again(struct tasks *tasks)
{
    if (!tasks->has_drops_left)
        return;
    tasks->has_drops_left = false;
    watch_drops(tasks);
}

static bool is_empty(const struct state_batch *batch)
{
    return !batch || state_batch_is_empty(batch);
}

/* Return: whether @batch is with the state, and there is a new one; else it is to stay. */
static bool hand_over(struct tasks *tasks, struct state_batch **batch,
                      int (*new_batch)(struct state_batch **ret))
{
    if (is_empty(*batch))
        return true;
    int r = state_commit(tasks->state, batch);
    if (r == -EBUSY || r == -EAGAIN) {
        come_again(tasks, usec_add(tasks->commit_usec, RETRY_USEC));
        return false;
    }
    if (r < 0)
        log_error_errno(r, "Cannot save the state of tasks: %m");
    else
        r = new_batch(batch);
    if (r < 0)
        tasks->setup.on_fatal(r, tasks->setup.data);
    return r >= 0;
}

void commit_now(struct tasks *tasks)
{
    if (commit_is_done(tasks))
        return;
    tasks->commit_usec = tasks_now(tasks);
    tasks->again_usec = 0;
    if (!hand_over(tasks, &tasks->batch, state_batch_new) || is_empty(tasks->drops))
        return;
    watch_drops(tasks);
    if (hand_over(tasks, &tasks->drops, state_drops_new))
        tasks->is_watching_drops = false;
}

bool commit_is_done(const struct tasks *tasks)
{
    return is_empty(tasks->batch) && is_empty(tasks->drops);
}

void commit_soon(struct tasks *tasks)
{
    const usec_t due = usec_add(tasks->commit_usec, GAP_USEC);
    struct origin_statistics statistics;

    if (commit_is_done(tasks) || tasks->again_usec > 0)
        return;
    origin_get_statistics(tasks->origin, &statistics);
    if (statistics.pending + statistics.running > FEW && tasks_now(tasks) < due)
        come_again(tasks, due);
    else
        (void)sd_event_source_set_enabled(tasks->turn_end, SD_EVENT_ONESHOT);
}

/* It has the priority of what it waits for: that is before it, and nothing that comes later. */
static int on_turn_end(sd_event_source *source _unused_, void *data)
{
    commit_now(data);
    return 0;
}

static int on_again_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct tasks *tasks = data;

    tasks->again_usec = 0;
    commit_now(tasks);
    return 0;
}

int commit_init(struct tasks *tasks)
{
    int r = state_batch_new(&tasks->batch);

    if (r >= 0)
        r = state_drops_new(&tasks->drops);
    if (r >= 0)
        r = sd_event_add_defer(tasks->event, &tasks->turn_end, on_turn_end, tasks);
    if (r >= 0)
        r = sd_event_add_time(tasks->event, &tasks->again_timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              ACCURACY_USEC, on_again_timer, tasks);
    if (r < 0)
        return r;
    (void)sd_event_source_set_enabled(tasks->turn_end, SD_EVENT_OFF);
    (void)sd_event_source_set_enabled(tasks->again_timer, SD_EVENT_OFF);
    (void)sd_event_source_set_description(tasks->turn_end, "tasks-turn-end");
    (void)sd_event_source_set_description(tasks->again_timer, "tasks-commit");
    return 0;
}

void commit_abandon(struct tasks *tasks)
{
    struct state_batch *left = tasks->batch, *drops = tasks->drops;

    if (!is_empty(left) && state_batch_new(&tasks->batch) >= 0)
        state_batch_free(left);
    if (!is_empty(drops) && state_drops_new(&tasks->drops) >= 0)
        state_batch_free(drops);
    tasks->is_watching_drops = false;
}

void commit_done(struct tasks *tasks)
{
    sd_event_source_disable_unref(tasks->turn_end);
    sd_event_source_disable_unref(tasks->again_timer);
    state_batch_free(tasks->batch);
    state_batch_free(tasks->drops);
}
