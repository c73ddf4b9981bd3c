/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "sched/origin_core.h"

/*
 * Where an attempt goes. Gossip is old, so the best of the sample are asked how busy they are
 * at this moment; each keeps a place for the attempt meanwhile, which others that ask are told. The
 * best one gets it. Who does not answer in time counts by what gossip says, behind one that did.
 */

/* The choice is made: from the commit on, the attempt is under way there. */
static void assign(struct origin *origin, struct job *job, const struct place_node *node,
                   const char *reason)
{
    struct task *task = job->task;

    task->attempt++;
    task->tries++;
    task->cut_error = 0;
    task->is_cut_here = false;
    task->has_node = true;
    task->node = node->facts.id;
    task->node_generation = node->facts.generation;
    memcpy(task->node_name, node->facts.name, sizeof(task->node_name));
    task_format_text(task->reason, sizeof(task->reason), "%s", reason);
    if (task->tries > 1)
        (void)task_add_timeline(task, origin_wall(origin), "attempt %u placed on %s: %s",
                                task->tries, task->node_name, reason);
    else
        (void)task_add_timeline(task, origin_wall(origin), "placed on %s: %s", task->node_name,
                                reason);
    job->is_sent = job->is_accepted = job->is_doubtful = job->is_recalled = false;
    job->is_unheard = false;
    job->is_sure = true;
    job->rules = node->facts.rules;
    job->type_max = 0;
    place_debit(origin->place, &task->node);
    const char *previous = job_get_previous(job);
    if (*previous && strcmp(previous, task->node_name) != 0) {
        origin->statistics.moved++;
        job_tell(origin, job, ORIGIN_MOVED);
    }
    job_commit(origin, job, 1U << ORIGIN_PLACED | 1U << ORIGIN_SEND);
}

struct place_past job_get_past(const struct job *job)
{
    return (struct place_past){.avoid = job->has_avoid ? &job->avoid : NULL,
                               .refusers = job->refusers,
                               .refusers_count = job->refusers_count};
}

void job_forget_refusers(struct job *job)
{
    free(TAKE_PTR(job->refusers));
    job->refusers_count = 0;
}

bool job_add_refuser(struct job *job, const struct place_refuser *refuser)
{
    struct place_refuser *refusers;
    bool is_full = job->refusers_count == ORIGIN_REFUSERS_MAX;

    refusers = is_full ? job->refusers
                       : reallocarray(job->refusers, job->refusers_count + 1, sizeof(*refusers));
    if (!refusers)
        return false;
    job->refusers = refusers;
    if (is_full)
        memmove(refusers, refusers + 1, --job->refusers_count * sizeof(*refusers));
    refusers[job->refusers_count++] = *refuser;
    return !is_full;
}

/* Nobody can run it. Who submitted it hears that at once, if it is not known elsewhere
 * yet; a step of a list fails. */
static void deny(struct origin *origin, struct job *job, const char *why)
{
    struct task *task = job->task;
    bool is_unknown = job->is_new && task->spec.workflow == 0;

    if (!is_unknown)
        job_finish(origin, job, TASK_FAILED);
    task_format_text(task->reason, sizeof(task->reason), "%s", why);
    job->untold++;
    (void)task_add_timeline(task, origin_wall(origin), "%s", task->reason);
    if (is_unknown)
        job_tell(origin, job, ORIGIN_DENIED);
}

static void wait_for_node(struct origin *origin, struct job *job, const char *reason)
{
    struct task *task = job->task;

    if (job->is_new)
        job_commit(origin, job, 0);
    if (job->is_restored && origin->now < origin->quiet_usec) {
        (void)heap_set(&origin->timers, &job->timer, origin->quiet_usec);
    } else if (strcmp(task->reason, reason) != 0) {
        task_format_text(task->reason, sizeof(task->reason), "%s", reason);
        (void)task_add_timeline(task, origin_wall(origin), "waiting: %s", reason);
    }
    if (list_is_empty(&job->wait)) {
        list_append(&origin->waiting, &job->wait);
        origin->waiting_count++;
    }
}

/* Whether nobody is to hear "accepted" before @node has said that it runs it for its user. */
static bool is_up_to_users(const struct job *job, const struct place_node *node)
{
    return job->is_new && !node->facts.is_self &&
           place_get_limits(node, &job->task->spec).is_for_some;
}

static struct question make_question(const struct place_node *node)
{
    return (struct question){
        .node = node->facts.id, .generation = node->facts.generation, .rules = node->facts.rules};
}

/* Asks those that have not answered a moment ago. Return: whether there is anybody to ask. */
static bool ask(struct origin *origin, struct job *job, const struct place_best *found)
{
    size_t unknown = 0;

    if (origin->config.ask_usec == 0 ||
        (found->count == 1 && !is_up_to_users(job, found->nodes[0])))
        return false;
    for (size_t i = 0; i < found->count; i++) {
        bool is_fresh = place_is_fresh(found->nodes[i], &job->task->spec, origin->now);
        struct question *question = &job->asked[i];
        *question = make_question(found->nodes[i]);
        question->is_told = question->is_answered = question->is_willing = is_fresh;
        unknown += !is_fresh;
    }
    if (unknown == 0)
        return false;
    job->asked_count = found->count;
    job->sampled = found->sampled;
    (void)heap_set(&origin->timers, &job->timer, usec_add(origin->now, origin->config.ask_usec));
    job_tell(origin, job, ORIGIN_ASK);
    return true;
}

/* Whether one like it was found to have no place in this turn: nodes have not changed since. */
static bool is_nowhere(const struct origin *origin, const struct job *job)
{
    const struct nowhere *nowhere = origin->nowhere;

    return nowhere && nowhere->spec && job->refusers_count == 0 &&
           place_is_alike(nowhere->spec, &job->task->spec);
}

void job_place(struct origin *origin, struct job *job)
{
    char reason[TASK_REASON_MAX + 1];
    struct place_best found;

    (void)heap_set(&origin->timers, &job->timer, ORIGIN_NEVER);
    if (job_follow(origin, job))
        return;
    if (is_nowhere(origin, job)) {
        wait_for_node(origin, job, origin->nowhere->reason);
        return;
    }
    const struct place_past past = job_get_past(job);
    place_choose_best(origin->place, &job->task->spec, &past, &found, reason);
    /* That the own node does not is said before it is taken. Later only the answers of others
     * count: those that could run it may not be known yet, and what was accepted waits for those
     * that left as well. */
    const bool is_accepted = !job->is_new || job->task->spec.workflow > 0;
    if (found.count == 0 && past.refusers_count > 0 &&
        place_is_forbidden(origin->place, &job->task->spec, &past, is_accepted)) {
        deny(origin, job, reason);
        return;
    }
    if (found.count == 0) {
        if (origin->nowhere && past.refusers_count == 0) {
            origin->nowhere->spec = &job->task->spec;
            memcpy(origin->nowhere->reason, reason, sizeof(reason));
        }
        wait_for_node(origin, job, reason);
        return;
    }
    job_stop_waiting(origin, job);
    if (ask(origin, job, &found))
        return;
    place_explain_unheard(origin->place, found.nodes[0], &job->task->spec, found.sampled, reason);
    assign(origin, job, found.nodes[0], reason);
}

void origin_place_waiting(struct origin *origin)
{
    struct nowhere nowhere = {.spec = NULL};

    origin->nowhere = &nowhere;
    for (size_t i = 0; i < ORIGIN_BATCH_MAX && origin->wake > 0; i++) {
        struct job *job = list_first(&origin->waiting, struct job, wait);
        origin->wake--;
        list_remove(&job->wait);
        list_append(&origin->waiting, &job->wait);
        job_place(origin, job);
    }
    origin->nowhere = NULL;
}

/* The places that are kept for it are not needed, but the one at @but (NULL = none is). */
static void end_question(struct origin *origin, struct job *job, const struct place_node *but)
{
    for (size_t i = 0; i < job->asked_count; i++) {
        const struct question *question = &job->asked[i];
        bool is_kept = question->is_told && question->is_willing &&
                       !(but && node_id_is_equal(&but->facts.id, &question->node));
        if (is_kept)
            origin_answer(origin, ORIGIN_RELEASE, job->task->number, job->task->attempt + 1,
                          &question->node);
    }
    job->asked_count = 0;
    job->actions &= ~(1U << ORIGIN_ASK);
}

void job_stop_asking(struct origin *origin, struct job *job)
{
    end_question(origin, job, NULL);
}

static bool has_room(const struct question *question, const struct place_node *node)
{
    return !question->is_at_max && place_free_slots(node) > 0;
}

/* Answers before gossip, then who begins at once. */
static bool is_better(const struct question *a, const struct place_node *a_node,
                      const struct question *b, const struct place_node *b_node,
                      const struct task_spec *spec)
{
    if (a->is_answered != b->is_answered)
        return a->is_answered;
    if (has_room(a, a_node) != has_room(b, b_node))
        return has_room(a, a_node);
    return place_is_better(a_node, b_node, spec);
}

static struct question *find_question(struct job *job, const struct node_id *node)
{
    for (size_t i = 0; i < job->asked_count; i++)
        if (node_id_is_equal(&job->asked[i].node, node))
            return &job->asked[i];
    return NULL;
}

/* The best of those asked that would have it; or NULL. */
static const struct place_node *find_best(const struct origin *origin, const struct job *job)
{
    const struct place_past past = job_get_past(job);
    const struct place_node *best = NULL;
    const struct question *best_question = NULL;

    for (size_t i = 0; i < job->asked_count; i++) {
        const struct question *question = &job->asked[i];
        const struct place_node *node = place_find(origin->place, &question->node);
        if (!node || !place_fits(node, &job->task->spec, &past) ||
            (question->is_answered && !question->is_willing))
            continue;
        if (!best || is_better(question, node, best_question, best, &job->task->spec)) {
            best = node;
            best_question = question;
        }
    }
    return best;
}

/* Return: whether there are any that were not known. */
static bool note_refusers(struct job *job)
{
    bool is_news = false;

    for (size_t i = 0; i < job->asked_count; i++) {
        const struct question *question = &job->asked[i];
        const struct place_refuser refuser = {.why = PLACE_NOT_FOR_USER,
                                              .id = question->node,
                                              .generation = question->generation,
                                              .rules = question->rules};
        if (question->is_user_refused && job_add_refuser(job, &refuser))
            is_news = true;
    }
    return is_news;
}

void job_settle(struct origin *origin, struct job *job)
{
    bool has_new_refusers = note_refusers(job);
    const struct place_node *best = find_best(origin, job);
    const bool has_answered = best && find_question(job, &best->facts.id)->is_answered;
    char reason[TASK_REASON_MAX + 1];
    struct task *task = job->task;

    end_question(origin, job, best);
    (void)heap_set(&origin->timers, &job->timer, ORIGIN_NEVER);
    if (best) {
        (has_answered ? place_explain_choice : place_explain_unheard)(
            origin->place, best, &task->spec, job->sampled, reason);
        assign(origin, job, best, reason);
        return;
    }
    if (has_new_refusers) {
        job_place(origin, job);
        return;
    }
    task_format_text(task->reason, sizeof(task->reason), "%s",
                     "the nodes that were asked do not take it now");
    job_commit(origin, job, 0);
    job->refusals = MAX(job->refusals, (uint32_t)ORIGIN_REFUSALS_FREE) + 1;
    job_wait_after_refusal(origin, job);
}

/* It waits in the queue of its node, and others were asked whether they have room for it: with the
 * first one that has, it is called back. */
static void check_room(struct origin *origin, struct job *job)
{
    bool is_known = true;

    for (size_t i = 0; i < job->asked_count; i++) {
        const struct question *question = &job->asked[i];
        const struct place_node *node = place_find(origin->place, &question->node);
        is_known = is_known && question->is_answered;
        if (!node || !question->is_answered || !question->is_willing || !has_room(question, node))
            continue;
        end_question(origin, job, node);
        job->is_recalled = true;
        job_tell(origin, job, ORIGIN_RECALL);
        return;
    }
    if (is_known)
        end_question(origin, job, NULL);
}

void job_look_for_room(struct origin *origin, struct job *job)
{
    char reason[TASK_REASON_MAX + 1];
    struct place_past past = job_get_past(job);
    struct place_best found;

    end_question(origin, job, NULL);
    past.avoid = &job->task->node;
    place_choose_best(origin->place, &job->task->spec, &past, &found, reason);
    for (size_t i = 0; i < found.count; i++) {
        const struct node_id *id = &found.nodes[i]->facts.id;
        if (!node_id_is_equal(id, past.avoid) && place_free_slots(found.nodes[i]) > 0)
            job->asked[job->asked_count++] = make_question(found.nodes[i]);
    }
    if (job->asked_count > 0)
        job_tell(origin, job, ORIGIN_ASK);
}

/* Settled early where there is nothing more to learn: all have answered, or the own node, which was
 * the best by gossip, has a free slot. */
static void check_answers(struct origin *origin, struct job *job)
{
    if (job->task->has_node) {
        check_room(origin, job);
        return;
    }
    const struct question *first = &job->asked[0];
    const struct place_node *node = place_find(origin->place, &first->node);
    bool is_known = true;

    for (size_t i = 0; i < job->asked_count; i++)
        is_known = is_known && job->asked[i].is_answered;
    if (is_known || (node && node->facts.is_self && first->is_willing && has_room(first, node)))
        job_settle(origin, job);
}

void origin_answered(struct origin *origin, uint64_t number, uint64_t attempt,
                     const struct node_id *node, const struct place_answer *answer, usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    place_take_answer(origin->place, node, answer, origin->now);
    struct question *question =
        job && attempt == job->task->attempt + 1 ? find_question(job, node) : NULL;
    if (question) {
        question->is_answered = true;
        question->is_willing = answer->is_willing && !answer->is_user_refused;
        question->is_user_refused = answer->is_user_refused;
        question->is_at_max = answer->is_at_max;
        check_answers(origin, job);
    } else if (answer->is_willing && !(job && job_is_current(job, attempt, node))) {
        origin_answer(origin, ORIGIN_RELEASE, number, attempt, node);
    }
}

void origin_unanswered(struct origin *origin, uint64_t number, uint64_t attempt,
                       const struct node_id *node, usec_t now)
{
    struct job *job = job_find(origin, number);

    origin->now = MAX(origin->now, now);
    if (job && attempt == job->task->attempt + 1)
        job_expect_no_answer(origin, job, node);
}

void job_expect_no_answer(struct origin *origin, struct job *job, const struct node_id *node)
{
    struct question *question = find_question(job, node);

    if (!question || question->is_answered)
        return;
    question->is_answered = true;
    question->is_willing = false;
    check_answers(origin, job);
}
