/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include <string.h>
#include "sched/origin_core.h"

/*
 * Tasks that wait for other tasks. A job waits for one at a time, in the list `followers` of that
 * job; when the end of that is on the disk, it is placed with the next tick, and looks for the next
 * one to wait for.
 * What is fulfilled is struck out of the record.
 */

static const char *text_of(enum task_after_condition condition)
{
    return condition == TASK_AFTER_FAILED ? "succeeded" : "did not succeed";
}

enum task_after_verdict origin_judge_after(const struct origin *origin, const struct task *task,
                                           enum task_after_condition condition)
{
    if (!origin_has_ended(origin, task))
        return TASK_AFTER_WAITS;
    if (condition == TASK_AFTER_ANY)
        return TASK_AFTER_FULFILLED;
    return (task->state == TASK_SUCCEEDED) == (condition == TASK_AFTER_OK) ? TASK_AFTER_FULFILLED
                                                                           : TASK_AFTER_NEVER;
}

/* A reason is told to all who ask, also to other nodes, which hear nothing of a confidential task.
 */
static bool may_name(const struct job *job, const struct task *other)
{
    return !other->spec.is_confidential || job->task->spec.is_confidential;
}

static void describe(struct job *job, const struct task *other)
{
    char *reason = job->task->reason;
    enum task_state state = other->state;

    if (task_state_is_final(state)) /* nobody is to hear of that before it is on the disk */
        state = other->started_wall_usec > 0 ? TASK_RUNNING : TASK_PENDING;

    if (may_name(job, other))
        task_format_text(reason, sizeof(job->task->reason), "after %llu (%s)",
                         (unsigned long long)other->number, task_state_name(state));
    else
        task_format_text(reason, sizeof(job->task->reason), "after a task of its own node");
}

static void follow(struct origin *origin, struct job *job, struct job *other)
{
    job_stop_waiting(origin, job);
    list_append(&other->followers, &job->after);
    describe(job, other->task);
    (void)task_add_timeline(job->task, origin_wall(origin), "waiting: %s", job->task->reason);
}

/* @other: NULL = it is gone, and with it whether it may be named. */
static void never(struct origin *origin, struct job *job, const struct task *other,
                  enum task_after_condition condition)
{
    char *reason = job->task->reason;

    if (!other)
        task_format_text(reason, sizeof(job->task->reason),
                         "was to run after a task that is not known any more");
    else if (may_name(job, other))
        task_format_text(reason, sizeof(job->task->reason), "was to run after %llu, which %s",
                         (unsigned long long)other->number, text_of(condition));
    else
        task_format_text(reason, sizeof(job->task->reason),
                         "was to run after a task of its own node, which %s", text_of(condition));
    job->untold++;
    (void)task_add_timeline(job->task, origin_wall(origin), "cancelled: %s", job->task->reason);
    job_finish(origin, job, TASK_CANCELLED);
}

bool job_follow(struct origin *origin, struct job *job)
{
    struct task_words *words = &job->task->spec.after;

    while (words->count > 0) {
        enum task_after_condition condition = TASK_AFTER_OK;
        uint64_t number = 0;
        (void)task_after_parse(words->items[words->count - 1], &number, &condition);
        struct job *other = job_find(origin, number);
        switch (other ? origin_judge_after(origin, other->task, condition) : TASK_AFTER_NEVER) {
        case TASK_AFTER_WAITS:
            follow(origin, job, other);
            return true;
        case TASK_AFTER_NEVER:
            never(origin, job, other ? other->task : NULL, condition);
            return true;
        case TASK_AFTER_FULFILLED:
            free(words->items[--words->count]);
            words->items[words->count] = NULL;
            break;
        }
    }
    return false;
}

void job_tell_followers(struct job *job)
{
    list_for_each (link, &job->followers)
        describe(list_entry(link, struct job, after), job->task);
}

void job_release_followers(struct origin *origin, struct job *job)
{
    list_for_each_safe (link, &job->followers) {
        struct job *follower = list_entry(link, struct job, after);
        list_remove(link);
        list_prepend(&origin->waiting, &follower->wait);
        origin->waiting_count++;
        origin->wake++;
    }
}
