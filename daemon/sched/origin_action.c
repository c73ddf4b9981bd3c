/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include "sched/origin_core.h"

/* What one job has to say is said in this order. */
static const enum origin_action_type order[] = {
    ORIGIN_DENIED,   ORIGIN_ASK,    ORIGIN_LOST,    ORIGIN_MOVED, ORIGIN_COMMIT,
    ORIGIN_ACCEPTED, ORIGIN_PLACED, ORIGIN_ACK,     ORIGIN_SEND,  ORIGIN_QUERY,
    ORIGIN_CANCEL,   ORIGIN_RECALL, ORIGIN_STARTED, ORIGIN_ENDED, ORIGIN_FORGET,
};

void job_tell(struct origin *origin, struct job *job, enum origin_action_type type)
{
    if (list_is_empty(&job->told))
        list_append(&origin->telling, &job->told);
    job->actions |= 1U << type;
}

void job_commit(struct origin *origin, struct job *job, unsigned gates)
{
    job->revision++;
    if (gates) {
        job->gates |= gates;
        job->gate_revision = job->revision;
    }
    /* A new task is saved with its first place: the commit of that follows. */
    if (!job->is_new || job->asked_count == 0)
        job_tell(origin, job, ORIGIN_COMMIT);
}

void origin_committed(struct origin *origin, uint64_t number, uint64_t revision, usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    if (!job)
        return;
    job->committed = MAX(job->committed, MIN(revision, job->revision));
    if (job->committed < job->gate_revision)
        return;
    if (job->disk_wait)
        job_end_disk_wait(origin, job);
    unsigned gates = job->gates;
    job->gates = 0;
    job->untold = 0;
    for (unsigned type = 0; gates >> type; type++)
        if (gates & (1U << type))
            job_tell(origin, job, (enum origin_action_type)type);
    if (gates & (1U << ORIGIN_ACCEPTED)) {
        job->is_new = false;
        job_drop_before(job);
    }
    if (gates & (1U << ORIGIN_ENDED))
        job_release_followers(origin, job);
    if (gates & (1U << ORIGIN_SEND)) {
        job->is_sent = true;
        job_contact(origin, job);
    }
}

void origin_answer(struct origin *origin, enum origin_action_type type, uint64_t number,
                   uint64_t attempt, const struct node_id *node)
{
    if (origin->answers_count == ORIGIN_ANSWERS_MAX)
        return;
    size_t i = (origin->answers_first + origin->answers_count++) % ORIGIN_ANSWERS_MAX;
    origin->answers[i] =
        (struct answer){.type = type, .number = number, .attempt = attempt, .node = *node};
}

static bool next_answer(struct origin *origin, struct origin_action *ret)
{
    if (origin->answers_count == 0)
        return false;
    const struct answer *answer = &origin->answers[origin->answers_first];
    const struct job *job = job_find(origin, answer->number);

    *ret = (struct origin_action){
        .type = answer->type,
        .task = job ? job->task : NULL,
        .number = answer->number,
        .attempt = answer->attempt,
        .node = answer->node,
        .is_self = node_id_is_equal(&answer->node, &origin->config.id),
        .signal = answer->type == ORIGIN_CANCEL ? 9 : 0,
    };
    origin->answers_first = (origin->answers_first + 1) % ORIGIN_ANSWERS_MAX;
    origin->answers_count--;
    return true;
}

static void fill(struct origin *origin, struct job *job, enum origin_action_type type,
                 struct origin_action *ret)
{
    const struct task *task = job->task;
    bool is_ack = type == ORIGIN_ACK;
    bool is_self = node_id_is_equal(is_ack ? &job->ack_node : &task->node, &origin->config.id);

    *ret = (struct origin_action){
        .type = type,
        .task = type == ORIGIN_FORGET ? NULL : task,
        .number = task->number,
        .revision = job->revision,
        .is_again = type == ORIGIN_COMMIT && job->is_again,
        .over = job->over,
        .attempt = is_ack ? job->ack_attempt : task->attempt,
        .node = is_ack ? job->ack_node : task->node,
        .is_self = is_self,
        .lease_usec = type == ORIGIN_SEND && !is_self ? origin->config.lease_usec : 0,
        .signal = task->cancel_signal,
        .grace_usec = task->cancel_grace_usec,
        .text = type == ORIGIN_DENIED ? task->reason : job_get_note(job),
        .inputs = type == ORIGIN_FORGET ? task->spec.in.bundle : 0,
        .has_results = type == ORIGIN_FORGET && task->has_end && task->end.out.size > 0,
    };
    if (type == ORIGIN_COMMIT)
        job->is_again = false;
    if (type == ORIGIN_MOVED) {
        ret->previous = task_format_text(origin->previous, sizeof(origin->previous), "%s",
                                         job_get_previous(job));
        if (job->story)
            job->story->previous[0] = '\0';
    }
}

/* The next of the questions of @job. */
static void fill_question(struct origin *origin, struct job *job, struct origin_action *ret)
{
    size_t i = 0;

    while (i < job->asked_count - 1 && job->asked[i].is_told)
        i++;
    ret->node = job->asked[i].node;
    ret->is_self = node_id_is_equal(&ret->node, &origin->config.id);
    ret->attempt = job->task->attempt + 1;
    job->asked[i].is_told = true;
    for (; i < job->asked_count; i++)
        if (!job->asked[i].is_told)
            job->actions |= 1U << ORIGIN_ASK;
}

/* Whether there was anything: what was to be told may have become untrue meanwhile. */
static bool tell_first(struct origin *origin, struct job *job, struct origin_action *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        unsigned bit = 1U << order[i];
        if (!(job->actions & bit))
            continue;
        job->actions &= ~bit;
        fill(origin, job, order[i], ret);
        if (order[i] == ORIGIN_ASK)
            fill_question(origin, job, ret);
        if (order[i] == ORIGIN_FORGET)
            origin->gone = job;
        return true;
    }
    return false;
}

bool origin_next_action(struct origin *origin, struct origin_action *ret)
{
    if (origin->gone) {
        job_free(origin, origin->gone);
        origin->gone = NULL;
    }
    if (next_answer(origin, ret))
        return true;
    for (;;) {
        struct job *job = list_first(&origin->telling, struct job, told);
        if (!job)
            return false;
        bool is_told = tell_first(origin, job, ret);
        if (job->actions == 0)
            list_remove(&job->told);
        if (is_told)
            return true;
    }
}
