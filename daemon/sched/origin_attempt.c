/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include <errno.h>
#include <stdio.h>
#include "base/disk.h"
#include "sched/origin_core.h"

/* What workers say about attempts. Everything here may come late, twice, or from a liar. */

/* The job that the word is about, or NULL for one that is not, or no more, under way there. */
static struct job *find_current(struct origin *origin, uint64_t number, uint64_t attempt,
                                const struct node_id *node, usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    return job && job_is_current(job, attempt, node) ? job : NULL;
}

static void note_accepted(struct origin *origin, struct job *job)
{
    struct task *task = job->task;

    if (job->is_unheard)
        task->reason[0] = '\0';
    job->is_unheard = false;
    if (!job->is_accepted) {
        job->is_accepted = true;
        job->refusals = job->has_no_space ? job->refusals : 0;
        place_accept(origin->place, &task->node);
        if (origin->config.rebalance_after_usec > 0 && task->spec.node[0] == '\0' &&
            task->state == TASK_PENDING)
            job->rebalance_usec = usec_add(origin->now, origin->config.rebalance_after_usec);
    }
    if (task->is_cancelled)
        job_tell(origin, job, ORIGIN_CANCEL);
    job_contact(origin, job);
}

void origin_accepted(struct origin *origin, uint64_t number, uint64_t attempt,
                     const struct node_id *node, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);

    if (job)
        note_accepted(origin, job);
    else
        origin_answer(origin, ORIGIN_CANCEL, number, attempt, node);
}

void origin_note_max(struct origin *origin, uint64_t number, uint64_t attempt,
                     const struct node_id *node, uint32_t max, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);

    if (job)
        job->type_max = max;
}

bool origin_is_unheard(const struct origin *origin, uint64_t number)
{
    const struct job *job = job_find(origin, number);

    return job && job->is_unheard;
}

uint32_t origin_get_max(const struct origin *origin, uint64_t number)
{
    const struct job *job = job_find(origin, number);

    if (!job || job->type_max == 0)
        return 0;
    const struct place_node *node = place_find(origin->place, &job->task->node);
    const uint32_t told = node ? place_get_limits(node, &job->task->spec).max : 0;
    const bool is_known =
        told > 0 || (node && node->facts.limits && job->type_max <= PLACE_MAX_TOLD);
    return is_known ? told : job->type_max;
}

void origin_started(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, usec_t ago_usec, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);

    if (!job) {
        origin_answer(origin, ORIGIN_CANCEL, number, attempt, node);
        return;
    }
    job->rebalance_usec = USEC_INFINITY;
    job_stop_asking(origin, job);
    if (job->task->state != TASK_RUNNING) {
        job_set_state(origin, job, TASK_RUNNING);
        job->has_no_space = false;
        job->refusals = 0;
        job->task->reason[0] = '\0'; /* why it waited, or was placed there */
        job->task->started_wall_usec = job_wall_before(origin, job, ago_usec);
        job_tell_start(origin, job);
        job_tell(origin, job, ORIGIN_STARTED);
    }
    note_accepted(origin, job);
}

/* Said for people alone, so it is not saved: after a restart a worker that has something to say
 * says it. */
void origin_paused(struct origin *origin, uint64_t number, uint64_t attempt,
                   const struct node_id *node, bool is_paused, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);

    if (job)
        task_format_text(job->task->reason, sizeof(job->task->reason), "%s",
                         is_paused ? "paused" : "");
}

void origin_refused(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, enum origin_refusal refusal, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);

    if (job)
        job_refuse(origin, job, refusal);
}

bool origin_is_saved(const struct origin *origin, uint64_t number)
{
    const struct job *job = job_find(origin, number);

    return !job || job->committed >= job->revision;
}

void origin_ended(struct origin *origin, uint64_t number, uint64_t attempt,
                  const struct node_id *node, const struct task_end *end, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);

    if (job) {
        job_end(origin, job, end);
        return;
    }
    job = job_find(origin, number);
    /* The same end again, before it is on disk: the acknowledgement will follow by itself. */
    if (job && (job->gates & (1U << ORIGIN_ACK)) && job->ack_attempt == attempt)
        return;
    /* Nothing is settled before what is known of it is on disk: it is told again. */
    if (!origin_is_saved(origin, number))
        return;
    origin->statistics.stale++;
    origin_answer(origin, ORIGIN_ACK, number, attempt, node);
}

char *task_format_loss(const struct task *task, const char *origin,
                       char target[static TASK_REASON_MAX + 1])
{
    const char *where = task->is_cut_here ? origin : task->node_name;

    if (task->cut_error == 0)
        *target = '\0';
    else if (task->cut_error == EFBIG)
        (void)snprintf(target, TASK_REASON_MAX + 1, "longer than tasks.output_max");
    else if (task->cut_error == DISK_FILE_LIMIT)
        (void)snprintf(target, TASK_REASON_MAX + 1, "%s on %s", DISK_FILE_LIMIT_TEXT, where);
    else if (task->cut_error == ENOSPC || task->cut_error == EDQUOT)
        (void)snprintf(target, TASK_REASON_MAX + 1, "no space left on %s", where);
    else
        (void)snprintf(target, TASK_REASON_MAX + 1, "cannot be kept on %s: error %d", where,
                       task->cut_error);
    return target;
}

/* Of a function that had succeeded, for all who have heard of it. */
static void tell_lost_result(const struct origin *origin, struct job *job)
{
    struct task *task = job->task;
    char why[TASK_REASON_MAX + 1];

    job->untold++;
    task_format_text(task->reason, sizeof(task->reason), "its result is lost: %s",
                     task_format_loss(task, origin->config.name, why));
    (void)task_add_timeline(task, origin_wall(origin), "%s", task->reason);
}

void origin_cut(struct origin *origin, uint64_t number, uint64_t attempt, int error, bool is_here,
                usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    if (!job || job->task->attempt != attempt || job->task->cut_error != 0 ||
        (error == EFBIG && !job->task->spec.python))
        return;
    job->task->cut_error = error;
    job->task->is_cut_here = is_here;
    if (job->task->spec.python && job->task->state == TASK_SUCCEEDED)
        tell_lost_result(origin, job);
    job_commit(origin, job, 0);
}

void origin_missing(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, bool has_begun, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);
    const struct place_node *known = place_find(origin->place, node);
    char why[ORIGIN_NOTE_MAX + 1];

    if (!job)
        return;
    /* A node that runs since before the offer and does not know it never had it. */
    if (job->is_sure && !job->is_accepted && known &&
        known->facts.generation == job->task->node_generation) {
        job_refuse(origin, job, ORIGIN_REFUSED_UNREACHABLE);
        return;
    }
    if (!has_begun && job->task->state != TASK_RUNNING) {
        bool is_restarted = known && known->facts.generation != job->task->node_generation;
        job_not_begun(origin, job, is_restarted ? "it was restarted" : "it never had it");
        return;
    }
    task_format_text(why, sizeof(why), "%s does not have it any more", job->task->node_name);
    job_lose(origin, job, why);
}

bool origin_renewed(struct origin *origin, uint64_t number, uint64_t attempt,
                    const struct node_id *node, usec_t now)
{
    struct job *job = find_current(origin, number, attempt, node, now);

    if (job)
        note_accepted(origin, job);
    return job != NULL;
}

void origin_disconnected(struct origin *origin, const struct node_id *node, usec_t now)
{
    origin->now = MAX(origin->now, now);
    if (node_id_is_equal(node, &origin->config.id))
        return;
    list_for_each_safe (link, &origin->active) {
        struct job *job = list_entry(link, struct job, active);
        job_expect_no_answer(origin, job, node);
        if (!job->task->has_node || !job->is_sent || !node_id_is_equal(&job->task->node, node))
            continue;
        job->is_doubtful = true;
        /* Questions that find no connection come ever less often. */
        job->query_usec = MIN(job->query_usec, usec_add(origin->now, job->query_delay_usec));
        job_arm(origin, job);
    }
}

void origin_unreachable(struct origin *origin, const struct node_id *node, usec_t now)
{
    origin->now = MAX(origin->now, now);
    if (node_id_is_equal(node, &origin->config.id))
        return;
    list_for_each_safe (link, &origin->active) {
        struct job *job = list_entry(link, struct job, active);
        job_expect_no_answer(origin, job, node);
        if (job_is_current(job, job->task->attempt, node) && job->is_sure && !job->is_accepted &&
            !job->is_doubtful)
            job_refuse(origin, job, ORIGIN_REFUSED_UNREACHABLE);
    }
}
