/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "sched/origin_core.h"

struct job *job_new(struct origin *origin, struct task *task)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->task = task;
    list_init(&job->active);
    list_init(&job->wait);
    list_init(&job->told);
    list_init(&job->unsaved);
    list_init(&job->after);
    list_init(&job->followers);
    job->lease_end_usec = job->query_usec = job->rebalance_usec = USEC_INFINITY;
    /* It stays in the heap from here on, so that moving it cannot fail. */
    if (heap_set(&origin->timers, &job->timer, ORIGIN_NEVER) < 0) {
        free(job);
        return NULL;
    }
    if (table_insert(&origin->by_number, &task->number, job) < 0) {
        heap_remove(&origin->timers, &job->timer);
        free(job);
        return NULL;
    }
    /* Numbers grow, but a restore may come in any order. */
    struct list *where = origin->jobs.previous;
    while (where != &origin->jobs &&
           list_entry(where, struct job, link)->task->number > task->number)
        where = where->previous;
    list_insert_before(where->next, &job->link);
    if (!task_state_is_final(task->state))
        list_append(&origin->active, &job->active);
    origin->states[task->state]++;
    return job;
}

void job_stop_waiting(struct origin *origin, struct job *job)
{
    if (list_is_empty(&job->wait))
        return;
    list_remove(&job->wait);
    origin->waiting_count--;
    origin->wake = MIN(origin->wake, origin->waiting_count);
}

void job_free(struct origin *origin, struct job *job)
{
    job_stop_waiting(origin, job);
    job_release_followers(origin, job);
    list_remove(&job->after);
    list_remove(&job->link);
    list_remove(&job->active);
    list_remove(&job->told);
    list_remove(&job->unsaved);
    heap_remove(&origin->timers, &job->timer);
    (void)table_remove(&origin->by_number, &job->task->number);
    origin->states[job->task->state]--;
    task_free(job->task);
    free(job->story);
    free(job->refusers);
    free(job->disk_wait);
    task_free(job->before);
    free(job);
}

struct job *job_find(const struct origin *origin, uint64_t number)
{
    struct job *job = table_find(&origin->by_number, &number);

    return job && !job->is_forgotten ? job : NULL;
}

bool job_is_current(const struct job *job, uint64_t attempt, const struct node_id *node)
{
    const struct task *task = job->task;

    return task->has_node && job->is_sent && task->attempt == attempt &&
           node_id_is_equal(&task->node, node);
}

void job_set_state(struct origin *origin, struct job *job, enum task_state state)
{
    origin->states[job->task->state]--;
    origin->states[state]++;
    job->task->state = state;
    job_tell_followers(job);
}

static bool is_self(const struct origin *origin, const struct job *job)
{
    return node_id_is_equal(&job->task->node, &origin->config.id);
}

/* Whether nothing of the attempt can still be alive but for its lease. */
static bool is_gone(const struct origin *origin, const struct job *job)
{
    const struct place_node *node = place_find(origin->place, &job->task->node);

    return !node || node->facts.state == PLACE_DEAD || node->facts.state == PLACE_LEFT ||
           node->facts.generation != job->task->node_generation;
}

void job_arm(struct origin *origin, struct job *job)
{
    usec_t next = ORIGIN_NEVER;

    if (!job->task->has_node || !job->is_sent)
        return; /* the timer is that of the wait, or the commit comes first */
    next = MIN(next, job->query_usec);
    next = MIN(next, job->rebalance_usec);
    if (is_gone(origin, job))
        next = MIN(next, job->lease_end_usec);
    (void)heap_set(&origin->timers, &job->timer, next);
}

void job_contact(struct origin *origin, struct job *job)
{
    usec_t lease = origin->config.lease_usec;

    job->query_delay_usec = ORIGIN_QUERY_FIRST;
    if (is_self(origin, job)) {
        job->lease_end_usec = origin->now;
        job->query_usec = USEC_INFINITY;
    } else {
        job->lease_end_usec = usec_add(origin->now, lease + lease / 3);
        job->query_usec = usec_add(origin->now, lease);
    }
    job_arm(origin, job);
}

void job_detach(struct origin *origin, struct job *job)
{
    struct task *task = job->task;

    if (!task->has_node)
        return;
    job_stop_asking(origin, job);
    place_credit(origin->place, &task->node, job->is_accepted);
    task->has_node = false;
    job->is_sent = job->is_accepted = job->is_held_up = false;
    job->lease_end_usec = job->query_usec = job->rebalance_usec = USEC_INFINITY;
    job->gates &= ~(1U << ORIGIN_PLACED | 1U << ORIGIN_SEND);
    job->actions &= ~(1U << ORIGIN_PLACED | 1U << ORIGIN_SEND | 1U << ORIGIN_QUERY |
                      1U << ORIGIN_CANCEL | 1U << ORIGIN_RECALL | 1U << ORIGIN_STARTED);
    (void)heap_set(&origin->timers, &job->timer, ORIGIN_NEVER);
    if (task->state == TASK_RUNNING)
        job_set_state(origin, job, TASK_PENDING);
}

void job_wait(struct origin *origin, struct job *job, usec_t delay_usec)
{
    if (delay_usec > 0)
        (void)heap_set(&origin->timers, &job->timer, usec_add(origin->now, delay_usec));
    else
        job_place(origin, job);
}

/* The delay doubled with each step, at most @max, from three quarters to five quarters of it. */
static usec_t back_off(struct origin *origin, usec_t first, uint32_t step, usec_t max)
{
    usec_t delay = MIN(first, max);

    while (step-- > 0 && delay < max)
        delay = MIN(delay * 2, max);
    delay = delay * 3 / 4 + rng_below(&origin->rng, delay / 2 + 1);
    return MIN(delay, max);
}

void job_wait_after_refusal(struct origin *origin, struct job *job)
{
    uint32_t pauses = job->refusals - MIN(job->refusals, (uint32_t)ORIGIN_REFUSALS_FREE);

    job_wait(origin, job,
             pauses == 0 ? 0 : back_off(origin, ORIGIN_REFUSAL_DELAY, pauses, ORIGIN_REFUSAL_MAX));
}

static struct story *make_story(struct job *job)
{
    if (!job->story)
        job->story = calloc(1, sizeof(*job->story));
    return job->story;
}

/* Where it was is told with its next place. */
static void tell_previous(struct job *job)
{
    struct story *story = make_story(job);

    if (story)
        memcpy(story->previous, job->task->node_name, sizeof(story->previous));
}

static void tell_note(struct job *job, const char *note)
{
    struct story *story = make_story(job);

    if (story)
        task_format_text(story->note, sizeof(story->note), "%s", note);
}

static void avoid_node(struct job *job)
{
    job->avoid = job->task->node;
    job->has_avoid = true;
}

/* The end of a task whose last attempt did not say how it ended. */
static void give_up(struct origin *origin, struct job *job, enum task_state state)
{
    job_finish(origin, job, state);
    job->untold++;
    (void)task_add_timeline(job->task, origin_wall(origin), "%s", task_state_name(state));
}

/* Away from a node where it did not run. @how: "not taken by" */
static void bring_back(struct origin *origin, struct job *job, const char *how, const char *why)
{
    struct task *task = job->task;

    job->untold++;
    (void)task_add_timeline(task, origin_wall(origin), "%s %s: %s", how, task->node_name, why);
    if (job->is_accepted)
        tell_previous(job);
    job_detach(origin, job);
    task_format_text(task->reason, sizeof(task->reason), "%s %s: %s", how, task->node_name, why);
    tell_note(job, why);
    if (task->tries <= 1) /* it has run nowhere yet */
        task->node_name[0] = '\0';
}

void job_not_begun(struct origin *origin, struct job *job, const char *why)
{
    bring_back(origin, job, "not begun on", why);
    if (job->task->is_cancelled) {
        give_up(origin, job, TASK_CANCELLED);
        return;
    }
    job->task->tries--;
    job_commit(origin, job, 0);
    job->refusals++;
    job_wait_after_refusal(origin, job);
}

/* Return: whether it is known not to be tried there again. */
static bool note_refuser(struct job *job, enum origin_refusal refusal)
{
    const bool is_sandbox = refusal == ORIGIN_REFUSED_SANDBOX;
    const struct place_refuser refuser = {.why = is_sandbox ? PLACE_NO_SANDBOX : PLACE_NOT_FOR_USER,
                                          .id = job->avoid,
                                          .generation = job->task->node_generation,
                                          .rules = job->rules};

    return (is_sandbox || refusal == ORIGIN_REFUSED_USER) && job->is_sure &&
           job_add_refuser(job, &refuser);
}

void job_refuse(struct origin *origin, struct job *job, enum origin_refusal refusal)
{
    static const char *const texts[_ORIGIN_REFUSED_MAX] = {
        [ORIGIN_REFUSED_BUSY] = "its queue is full",
        [ORIGIN_REFUSED_DRAINING] = "it is draining",
        [ORIGIN_REFUSED_TYPE] = "it does not handle the type",
        [ORIGIN_REFUSED_NO_SPACE] = "its disk is full",
        [ORIGIN_REFUSED_UNREACHABLE] = "it cannot be reached",
        [ORIGIN_REFUSED_RECALLED] = "it did not begin within its lease",
        [ORIGIN_REFUSED_UNABLE] = "it is unable to run tasks",
        [ORIGIN_REFUSED_USER] = "it does not run that for its user",
        [ORIGIN_REFUSED_SANDBOX] = "it has not the sandbox that is asked for",
    };
    struct task *task = job->task;
    const char *text = refusal == ORIGIN_REFUSED_RECALLED && job->is_recalled
                           ? "another node is freer"
                           : texts[refusal];
    bool is_fatal =
        (refusal == ORIGIN_REFUSED_NO_SPACE && !(task->spec.retry_on & TASK_RETRY_NO_SPACE)) ||
        (refusal == ORIGIN_REFUSED_UNREACHABLE && !(task->spec.retry_on & TASK_RETRY_UNREACHABLE));

    job->has_no_space = refusal == ORIGIN_REFUSED_NO_SPACE;
    bring_back(origin, job, "not taken by", text);
    avoid_node(job);
    if (refusal == ORIGIN_REFUSED_DRAINING)
        place_take_draining(origin->place, &job->avoid, origin->now);
    if (task->is_cancelled || is_fatal) {
        give_up(origin, job, task->is_cancelled ? TASK_CANCELLED : TASK_FAILED);
        return;
    }
    task->tries--;
    job_commit(origin, job, 0);
    /* Each node says so once, so nothing is to be waited for. */
    if (!note_refuser(job, refusal))
        job->refusals++;
    job_wait_after_refusal(origin, job);
}

/* Another try after the back-off, or not: whether there is one. */
static bool retry(struct origin *origin, struct job *job)
{
    struct task *task = job->task;

    if (task->tries >= task->tries_max)
        return false;
    avoid_node(job);
    job->refusals = 0;
    task->end.out = (struct task_files){0}; /* of the attempt that counts no more */
    tell_previous(job);
    job_commit(origin, job, 0);
    job_wait(origin, job,
             back_off(origin, task->spec.retry_delay_usec, task->tries - 1, ORIGIN_DELAY_MAX_USEC));
    return true;
}

void job_lose(struct origin *origin, struct job *job, const char *why)
{
    struct task *task = job->task;

    job->over = task->attempt;
    tell_note(job, why);
    job->untold++;
    (void)task_add_timeline(task, origin_wall(origin), "lost: %s", why);
    task_format_text(task->reason, sizeof(task->reason), "attempt %u lost: %s", task->tries, why);
    origin->statistics.lost++;
    job_tell(origin, job, ORIGIN_LOST);
    job_detach(origin, job);
    if (task->is_cancelled)
        give_up(origin, job, TASK_CANCELLED);
    else if (task->spec.retries == 0)
        give_up(origin, job, TASK_UNKNOWN);
    else if (!(task->spec.retry_on & TASK_RETRY_NODE_LOST) || !retry(origin, job))
        give_up(origin, job, TASK_LOST);
}

/* How an end that is a failure reads: "exit 1; last of 3 attempts". */
static void describe_end(const struct job *job, const char *end)
{
    struct task *task = job->task;

    if (task->state != TASK_SUCCEEDED && task->tries_max > 1 && task->tries >= task->tries_max)
        task_format_text(task->reason, sizeof(task->reason), "%s; last of %u attempts", end,
                         task->tries);
    else if (task->state != TASK_SUCCEEDED)
        task_format_text(task->reason, sizeof(task->reason), "%s", end);
    else if (task->tries > 1 && *job_get_note(job))
        task_format_text(task->reason, sizeof(task->reason), "attempt %u; before: %s", task->tries,
                         job_get_note(job));
    else
        task_format_text(task->reason, sizeof(task->reason), "%s", task->end.text);
}

static bool may_retry(const struct task *task, const struct task_end *end)
{
    switch (end->type) {
    case TASK_END_EXIT:
    case TASK_END_SIGNAL:
        return (task->spec.retry_on & TASK_RETRY_EXIT) && task_end_get_state(end) == TASK_FAILED;
    case TASK_END_NOT_RUN:
    case TASK_END_NO_RESULTS:
        return end->code == ENOSPC && (task->spec.retry_on & TASK_RETRY_NO_SPACE);
    case TASK_END_TIMED_OUT:
    case TASK_END_CANCELLED:
    case TASK_END_STOPPED:
    case _TASK_END_MAX:
        break;
    }
    return false;
}

/* A task that was stopped in the queue never began. */
static bool has_run(const struct task_end *end)
{
    return end->type == TASK_END_EXIT || end->type == TASK_END_SIGNAL ||
           end->type == TASK_END_NO_RESULTS || end->run_usec > 0;
}

uint64_t job_wall_before(const struct origin *origin, const struct job *job, usec_t ago_usec)
{
    uint64_t wall = origin_wall(origin);

    return MAX(wall - MIN(wall, ago_usec), MIN(wall, job->task->submitted_wall_usec));
}

/* The last entry of the timeline goes where it belongs by its time: it may have been heard of late.
 * Return: how many it is from the end, 1.. */
static size_t put_last_in_order(const struct origin *origin, struct task *task)
{
    struct task_timeline *entry = task->timeline + task->timeline_count - 1;

    for (; entry > task->timeline && entry[-1].wall_usec > entry->wall_usec &&
           entry[-1].wall_usec <= origin_wall(origin);
         entry--) {
        struct task_timeline late = *entry;
        *entry = entry[-1];
        entry[-1] = late;
    }
    return (size_t)(task->timeline + task->timeline_count - entry);
}

void job_tell_start(const struct origin *origin, struct job *job)
{
    struct task *task = job->task;

    if (task_add_timeline(task, task->started_wall_usec, "started on %s", task->node_name) >= 0)
        (void)put_last_in_order(origin, task);
}

/* Whoever was told that it is cancelled finds it so, whatever it did before it heard of that. */
static void take_end(const struct origin *origin, struct job *job, const struct task_end *end)
{
    struct task *task = job->task;

    task->end = *end;
    task->has_end = true;
    task_format_text(task->end.text, sizeof(task->end.text), "%s", end->text);
    if (task->is_withdrawn) {
        task->end = (struct task_end){.type = TASK_END_CANCELLED, .run_usec = end->run_usec};
    } else if (task->spec.python && task->cut_error != 0 && end->type == TASK_END_EXIT &&
               end->code == 0) {
        task->end.type = TASK_END_NO_RESULTS;
        task->end.code = task->cut_error;
        (void)task_format_loss(task, origin->config.name, task->end.text);
    }
}

void job_end(struct origin *origin, struct job *job, const struct task_end *end)
{
    struct task *task = job->task;
    char text[TASK_REASON_MAX + 1], duration[32];
    uint64_t wall = job_wall_before(origin, job, end->ago_usec);

    job->over = job->ack_attempt = task->attempt;
    job->ack_node = task->node;
    take_end(origin, job, end);
    if (task->state == TASK_PENDING && has_run(end)) {
        task->started_wall_usec =
            job_wall_before(origin, job, usec_add(end->ago_usec, end->run_usec));
        job_tell_start(origin, job);
        job->untold++;
    }
    /* The start was heard of later than it was, by what it took to tell it. */
    wall = MAX(wall, task->started_wall_usec);
    (void)task_end_format(&task->end, text);
    job->untold++;
    if (task_add_timeline(task, wall, "%s%s on %s after %s",
                          task_end_get_state(&task->end) == TASK_SUCCEEDED ? "succeeded, " : "",
                          text, task->node_name, task_format_run(end->run_usec, duration)) >= 0)
        job->untold = MAX(job->untold, put_last_in_order(origin, task));
    job_commit(origin, job, 1U << ORIGIN_ACK);
    if (task->end.type == TASK_END_STOPPED) {
        job_lose(origin, job, text);
        return;
    }
    if (!task->is_cancelled && may_retry(task, &task->end) && task->tries < task->tries_max) {
        char note[ORIGIN_NOTE_MAX + 1];
        tell_note(job, task_format_text(note, sizeof(note), "%s on %s", text, task->node_name));
        task_format_text(task->reason, sizeof(task->reason), "attempt %u: %s", task->tries,
                         job_get_note(job));
        job_detach(origin, job);
        (void)retry(origin, job);
        return;
    }
    job_detach(origin, job);
    job_finish(origin, job, task_end_get_state(&task->end));
    /* A workflow compares it with when it was resumed: so there it is when it was heard of, as what
     * ended before and is heard of after is of this try. The timeline has the true time. */
    if (task->spec.workflow == 0)
        task->ended_wall_usec = wall;
    describe_end(job, text);
}

void job_finish(struct origin *origin, struct job *job, enum task_state state)
{
    struct task *task = job->task;
    usec_t keep = state == TASK_SUCCEEDED || state == TASK_CANCELLED
                      ? origin->config.keep_usec
                      : origin->config.keep_failed_usec;

    job_detach(origin, job);
    job_stop_asking(origin, job);
    job_stop_waiting(origin, job);
    list_remove(&job->after);
    list_remove(&job->active);
    job_set_state(origin, job, state);
    task->ended_wall_usec = origin_wall(origin);
    if (state == TASK_LOST && task->tries_max > 1 && task->tries >= task->tries_max)
        task_format_text(task->reason, sizeof(task->reason), "%s; last of %u attempts",
                         job_get_note(job), task->tries);
    (void)heap_set(&origin->timers, &job->timer, MIN(usec_add(origin->now, keep), ORIGIN_NEVER));
    job_commit(origin, job, 1U << ORIGIN_ENDED);
}

static void query(struct origin *origin, struct job *job)
{
    usec_t limit = MAX(origin->config.lease_usec / 3, ORIGIN_QUERY_FIRST);

    if (origin->now >= job->lease_end_usec) {
        task_format_text(job->task->reason, sizeof(job->task->reason), "no contact with %s",
                         job->task->node_name);
        job->is_unheard = true;
    }
    job->query_usec = usec_add(origin->now, job->query_delay_usec);
    job->query_delay_usec = MIN(job->query_delay_usec * 2, limit);
    job_tell(origin, job, ORIGIN_QUERY);
}

void job_check(struct origin *origin, struct job *job)
{
    char why[ORIGIN_NOTE_MAX + 1];
    const struct place_node *node = place_find(origin->place, &job->task->node);

    if (!job->is_sent)
        return;
    if (is_gone(origin, job) && origin->now >= job->lease_end_usec) {
        const char *how = !node                             ? "not seen any more"
                          : node->facts.state == PLACE_LEFT ? "left"
                          : node->facts.state == PLACE_DEAD ? "dead"
                                                            : "started again";
        task_format_text(why, sizeof(why), "%s %s", job->task->node_name, how);
        job_lose(origin, job, why);
        return;
    }
    if (origin->now >= job->query_usec)
        query(origin, job);
    if (origin->now >= job->rebalance_usec) {
        job->rebalance_usec = usec_add(origin->now, origin->config.rebalance_after_usec);
        job_look_for_room(origin, job);
    }
    job_arm(origin, job);
}
