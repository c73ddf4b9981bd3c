/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include <errno.h>
#include <string.h>
#include "sched/origin_core.h"

/*
 * Records that could not be saved. What nobody has been told of is taken back; all else is
 * committed again and again, until there is room for it.
 */

/* Return: 0, -ENOMEM. */
static int copy_task(const struct task *task, struct task **ret)
{
    _cleanup_(task_freep) struct task *copy = malloc(sizeof(*copy));

    if (!copy)
        return -ENOMEM;
    *copy = *task;
    copy->spec = (struct task_spec){0};
    copy->timeline_count = 0;
    copy->timeline = calloc(task->timeline_count + 1, sizeof(*copy->timeline));
    if (!copy->timeline || task_spec_copy(&task->spec, &copy->spec) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < task->timeline_count; i++) {
        copy->timeline[i].wall_usec = task->timeline[i].wall_usec;
        copy->timeline[i].text = strdup(task->timeline[i].text);
        copy->timeline_count++;
        if (!copy->timeline[i].text)
            return -ENOMEM;
    }
    *ret = TAKE_PTR(copy);
    return 0;
}

int job_keep_before(struct job *job)
{
    return copy_task(job->task, &job->before);
}

void job_drop_before(struct job *job)
{
    job->before = task_free(job->before);
}

void job_end_disk_wait(struct origin *origin, struct job *job)
{
    struct disk_wait *wait = TAKE_PTR(job->disk_wait);

    list_remove(&job->unsaved);
    /* What happened to it meanwhile has a reason of its own. */
    if (wait && job->task->state == TASK_PENDING && strcmp(job->task->reason, wait->told) == 0) {
        memcpy(job->task->reason, wait->own, sizeof(wait->own));
        job_commit(origin, job, 0);
    }
    free(wait);
}

/* Ended as it had, before it was to run again. */
static void end_again(struct origin *origin, struct job *job)
{
    job_detach(origin, job);
    job_stop_asking(origin, job);
    job_stop_waiting(origin, job);
    list_remove(&job->after);
    list_remove(&job->active);
    list_remove(&job->told);
    list_remove(&job->unsaved);
    free(TAKE_PTR(job->disk_wait));
    job->actions = job->gates = 0;
    job_set_state(origin, job, job->before->state);
    /* Its number is a key where it stands. */
    struct task tried = *job->task;
    *job->task = *job->before;
    *job->before = tried;
    job_drop_before(job);
    job_release_followers(origin, job);
    job_keep_ended(origin, job);
    /* A later commit may have had room. */
    job_commit(origin, job, 0);
}

int origin_take_back(struct origin *origin, uint64_t number, usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    if (!job || (!job->is_new && !job->before))
        return -ENOENT;
    if (job->before) {
        end_again(origin, job);
        return 0;
    }
    if (job->task->has_node)
        place_credit(origin->place, &job->task->node, job->is_accepted);
    job_free(origin, job);
    return 0;
}

size_t origin_count_untold(const struct origin *origin, const struct task *task)
{
    const struct job *job =
        task_state_is_final(task->state) ? job_find(origin, task->number) : NULL;

    return job && (job->gates & (1U << ORIGIN_ENDED)) ? MIN(job->untold, task->timeline_count) : 0;
}

static void save_later(struct origin *origin, struct job *job, usec_t delay_usec)
{
    if (list_is_empty(&job->unsaved))
        list_append(&origin->unsaved, &job->unsaved);
    job->save_again_usec = usec_add(origin->now, delay_usec);
    origin->save_again_usec = MIN(origin->save_again_usec, job->save_again_usec);
}

void origin_uncommitted(struct origin *origin, uint64_t number, const char *why, usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    if (!job)
        return;
    bool is_told = job->gates & (1U << ORIGIN_ACCEPTED | 1U << ORIGIN_SEND) &&
                   job->task->state == TASK_PENDING;
    /* Without memory it waits all the same. */
    if (is_told && !job->disk_wait && (job->disk_wait = malloc(sizeof(*job->disk_wait)))) {
        struct disk_wait *wait = job->disk_wait;
        memcpy(wait->own, job->task->reason, sizeof(wait->own));
        task_format_text(job->task->reason, sizeof(job->task->reason), "%s", why);
        memcpy(wait->told, job->task->reason, sizeof(wait->told));
    }
    save_later(origin, job, USEC_PER_SEC);
}

void origin_delayed(struct origin *origin, uint64_t number, usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    if (job)
        save_later(origin, job, ORIGIN_BUSY_DELAY);
}

bool origin_has_ended(const struct origin *origin, const struct task *task)
{
    const struct job *job =
        task_state_is_final(task->state) ? job_find(origin, task->number) : NULL;

    return job && !(job->gates & (1U << ORIGIN_ENDED));
}

void origin_save_again(struct origin *origin)
{
    if (origin->now < origin->save_again_usec)
        return;
    origin->save_again_usec = USEC_INFINITY;
    list_for_each_safe (link, &origin->unsaved) {
        struct job *job = list_entry(link, struct job, unsaved);
        if (job->save_again_usec > origin->now) {
            origin->save_again_usec = MIN(origin->save_again_usec, job->save_again_usec);
            continue;
        }
        job->save_again_usec = USEC_INFINITY;
        if (!job->disk_wait)
            list_remove(&job->unsaved);
        if (job->is_forgotten)
            continue;
        job->is_again = true;
        job_tell(origin, job, ORIGIN_COMMIT);
    }
}
