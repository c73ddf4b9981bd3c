/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <string.h>
#include "base/log.h"

/*
 * How attempts of other nodes ended here, kept until their origins have acknowledged it, over a
 * restart too. Most acknowledgements come within moments, so an end is held in memory for
 * HELD_USEC: what is acknowledged by then never touches the disk, and the rest is written together.
 * The report to the origin does not wait for that. So what a kill within those moments can take is
 * an end whose report was lost as well: as if the node had been killed that much earlier, while the
 * task ran.
 *
 * The batches are its own: ends that do not fit on the disk are tried again, each by itself, and
 * take nothing else down with them.
 */
#define HELD_USEC     (3 * USEC_PER_MSEC)
#define RETRY_USEC    USEC_PER_SEC
#define BUSY_USEC     (20 * USEC_PER_MSEC) /* where the lane takes no more */
#define ACCURACY_USEC USEC_PER_MSEC
#define BATCH_MAX     64 /* ends in one batch */

/* An end on its way to the disk. */
struct keeping {
    struct tasks *tasks; /* borrowed */
    struct job *job;     /* borrowed; NULL = nobody wants it any more */
};

/* One that comes too early does no harm: it looks for what is due, and then for the next. So it is
 * not set for each end anew. */
static void arm(struct tasks *tasks)
{
    const struct job *first = list_first(&tasks->held, struct job, held);

    if (!first || tasks->keep_usec <= first->keep_usec)
        return;
    tasks->keep_usec = first->keep_usec;
    (void)sd_event_source_set_time(tasks->keep_timer, tasks->keep_usec);
    (void)sd_event_source_set_enabled(tasks->keep_timer, SD_EVENT_ONESHOT);
}

/* In the order in which they are due: new ones before those that are tried again. */
static void hold(struct job *job, usec_t delay_usec)
{
    struct tasks *tasks = job->tasks;
    struct list *where = job->is_refused ? &tasks->held : tasks->held.next;

    job->keep_usec = usec_add(tasks_now(tasks), delay_usec);
    while (where != &tasks->held &&
           list_entry(where, struct job, held)->keep_usec <= job->keep_usec)
        where = where->next;
    list_insert_before(where, &job->held);
    arm(tasks);
}

static void on_kept(int r, void *data)
{
    struct keeping *keeping = data;
    struct tasks *tasks = keeping->tasks;
    struct job *job = keeping->job;

    free(keeping);
    const bool is_busy = r == -ECANCELED; /* it was not even taken */
    if (!is_busy && r < 0 && r != tasks->keep_error)
        log_warning_errno(r, "Cannot keep how tasks of other nodes ended: %m");
    if (!is_busy)
        tasks->keep_error = r;
    if (!job)
        return;
    job->keeping = NULL;
    job->is_kept = r >= 0;
    job->is_refused = r < 0 && !is_busy;
    if (r < 0 && !tasks->is_closed)
        hold(job, is_busy ? BUSY_USEC : RETRY_USEC);
}

static char *format(const struct tasks *tasks, const struct slots_attempt *attempt)
{
    const usec_t ago_usec = usec_sub(tasks_now(tasks), attempt->ended_usec);
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    cJSON_AddItemToObject(json, "spec", task_spec_to_json(&attempt->spec));
    cJSON_AddItemToObject(json, "end", task_end_to_json(&attempt->end));
    json_add_string(json, "origin", attempt->origin_name);
    json_add_u64(json, "ended_wall_usec", usec_sub(tasks_wall(tasks), ago_usec));
    return json_format(json);
}

/* Return: 0, or a negative errno with nothing of it in the batch. */
static int put(struct job *job, struct state_batch *batch)
{
    const struct slots_attempt *attempt = job->attempt;
    _cleanup_free_ struct keeping *keeping = malloc(sizeof(*keeping));
    _cleanup_free_ char *text = format(job->tasks, attempt);

    if (!keeping || !text)
        return -ENOMEM;
    int r = job->output ? output_finish(job->output, batch) : 0;
    if (r < 0)
        return r;
    state_put_result(batch, &(struct state_result){.origin = attempt->key.origin,
                                                   .number = attempt->key.number,
                                                   .attempt = (uint32_t)attempt->key.attempt,
                                                   .record = text});
    *keeping = (struct keeping){.tasks = job->tasks, .job = job};
    job->keeping = keeping;
    job->is_kept = true;
    state_batch_after(batch, on_kept, TAKE_PTR(keeping));
    return 0;
}

/* Those that are due at @due_usec, as far as one batch takes them. Return: as state_commit(). */
static int write_some(struct tasks *tasks, usec_t due_usec)
{
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;
    bool is_alone = false, is_busy = false;
    struct job *job;
    int r = state_batch_new(&batch);

    if (r < 0)
        return r;
    for (size_t count = 0; count < BATCH_MAX && !is_alone && !is_busy; count++) {
        job = list_first(&tasks->held, struct job, held);
        if (!job || job->keep_usec > due_usec || (count > 0 && job->is_refused))
            break;
        is_alone = job->is_refused;
        list_remove(&job->held);
        r = put(job, batch);
        is_busy = r == -EBUSY || r == -EAGAIN;
        if (r < 0) {
            job->is_refused = !is_busy;
            hold(job, is_busy ? BUSY_USEC : RETRY_USEC);
        }
    }
    r = state_batch_is_empty(batch) ? 0 : state_commit(tasks->state, &batch);
    return r == 0 && is_busy ? -EBUSY : r;
}

static void write_due(struct tasks *tasks, usec_t due_usec)
{
    const struct job *job;
    int r = 0;

    /* What could not be written meanwhile is due later. */
    while ((job = list_first(&tasks->held, struct job, held)) && job->keep_usec <= due_usec &&
           r == 0)
        r = write_some(tasks, due_usec);
    if (r < 0 && r != -EBUSY && r != -EAGAIN)
        tasks->setup.on_fatal(r, tasks->setup.data);
    arm(tasks);
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct tasks *tasks = data;

    tasks->keep_usec = USEC_INFINITY;
    write_due(tasks, tasks_now(tasks));
    return 0;
}

int keep_init(struct tasks *tasks)
{
    tasks->keep_usec = USEC_INFINITY;
    int r = sd_event_add_time(tasks->event, &tasks->keep_timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              ACCURACY_USEC, on_timer, tasks);

    if (r < 0)
        return r;
    (void)sd_event_source_set_description(tasks->keep_timer, "tasks-keep");
    return sd_event_source_set_enabled(tasks->keep_timer, SD_EVENT_OFF);
}

void keep_done(struct tasks *tasks)
{
    sd_event_source_disable_unref(tasks->keep_timer);
}

void keep_end(struct job *job)
{
    if (job->is_kept || !list_is_empty(&job->held))
        return;
    if (job->output)
        output_seal(job->output);
    hold(job, HELD_USEC);
}

void keep_drop(struct job *job)
{
    const struct slots_key *key = &job->attempt->key;

    list_remove(&job->held);
    if (job->keeping)
        job->keeping->job = NULL;
    if (job->is_kept)
        state_delete_result(job->tasks->drops, &key->origin, key->number, (uint32_t)key->attempt);
}

bool keep_is_done(const struct tasks *tasks)
{
    list_for_each (link, &tasks->held)
        if (!list_entry(link, struct job, held)->is_refused)
            return false;
    return true;
}

void keep_flush(struct tasks *tasks)
{
    /* All that is held; what is refused now is due later. */
    write_due(tasks, tasks_now(tasks) + RETRY_USEC - 1);
}
