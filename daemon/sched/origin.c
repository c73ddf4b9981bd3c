/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sched/origin_core.h"

static const char *const refusal_names[_ORIGIN_REFUSED_MAX] = {
    [ORIGIN_REFUSED_BUSY] = "busy",
    [ORIGIN_REFUSED_DRAINING] = "draining",
    [ORIGIN_REFUSED_TYPE] = "type",
    [ORIGIN_REFUSED_NO_SPACE] = "no-space",
    [ORIGIN_REFUSED_UNREACHABLE] = "unreachable",
    [ORIGIN_REFUSED_RECALLED] = "recalled",
    [ORIGIN_REFUSED_UNABLE] = "unable",
    [ORIGIN_REFUSED_USER] = "user",
    [ORIGIN_REFUSED_SANDBOX] = "sandbox",
};

const char *origin_refusal_name(enum origin_refusal refusal)
{
    return refusal_names[refusal];
}

int origin_refusal_parse(const char *text)
{
    for (int i = 0; i < _ORIGIN_REFUSED_MAX; i++)
        if (strcmp(text, refusal_names[i]) == 0)
            return i;
    return -EINVAL;
}

int origin_new(const struct origin_config *config, uint64_t seed, usec_t now, uint64_t wall_usec,
               struct origin **ret)
{
    _cleanup_(origin_freep) struct origin *origin = NULL;
    int r;

    if (config->tasks_max == 0 || config->lease_usec < USEC_PER_SEC ||
        config->lease_usec > USEC_PER_DAY || !text_is_node_name(config->name))
        return -EINVAL;
    origin = calloc(1, sizeof(*origin));
    if (!origin)
        return -ENOMEM;
    list_init(&origin->jobs);
    list_init(&origin->active);
    list_init(&origin->waiting);
    list_init(&origin->telling);
    list_init(&origin->unsaved);
    rng_init(&origin->rng, seed);
    table_init(&origin->by_number, sizeof(uint64_t), rng_next(&origin->rng));
    origin->config = *config;
    origin->now = now;
    origin->quiet_usec = usec_add(now, ORIGIN_QUIET_USEC);
    origin->save_again_usec = USEC_INFINITY;
    origin->wall_offset = wall_usec - now;
    r = place_new(rng_next(&origin->rng), &origin->place);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(origin);
    return 0;
}

struct origin *origin_free(struct origin *origin)
{
    if (!origin)
        return NULL;
    list_for_each_safe (link, &origin->jobs)
        job_free(origin, list_entry(link, struct job, link));
    table_done(&origin->by_number);
    heap_done(&origin->timers);
    place_free(origin->place);
    free(origin);
    return NULL;
}

static void advance(struct origin *origin, usec_t now)
{
    origin->now = MAX(origin->now, now);
}

void origin_set_config(struct origin *origin, const struct origin_config *config)
{
    struct origin_config old = origin->config;

    origin->config = *config;
    memcpy(origin->config.name, old.name, sizeof(old.name));
    origin->config.id = old.id;
    origin->config.tasks_max = MAX(config->tasks_max, 1U);
    origin->config.lease_usec = CLAMP(config->lease_usec, USEC_PER_SEC, USEC_PER_DAY);
}

void origin_set_wall(struct origin *origin, uint64_t wall_usec, usec_t now)
{
    advance(origin, now);
    origin->wall_offset = wall_usec - origin->now;
}

/* Nothing is left of it but the word to forget it. */
static void forget(struct origin *origin, struct job *job)
{
    job->is_forgotten = true;
    job->gates = 0;
    job->actions = 0;
    list_remove(&job->told);
    (void)heap_set(&origin->timers, &job->timer, ORIGIN_NEVER);
    job_tell(origin, job, ORIGIN_FORGET);
}

/* Room for one more record: the oldest that has ended makes it. */
static bool make_room(struct origin *origin)
{
    if (origin->by_number.count < origin->config.tasks_max)
        return true;
    list_for_each (link, &origin->jobs) {
        struct job *job = list_entry(link, struct job, link);
        if (task_state_is_final(job->task->state) && !job->is_held && !job->is_forgotten &&
            !job->gates) {
            forget(origin, job);
            return true;
        }
    }
    return false;
}

/* An attempt from before the restart. Of the own node nothing survived. */
static void resume(struct origin *origin, struct job *job, bool has_begun)
{
    struct task *task = job->task;

    job->is_sent = true;
    job->is_accepted = task->state == TASK_RUNNING;
    place_debit(origin->place, &task->node);
    if (job->is_accepted)
        place_accept(origin->place, &task->node);
    job_contact(origin, job);
    if (node_id_is_equal(&task->node, &origin->config.id)) {
        if (has_begun || job->is_accepted)
            job_lose(origin, job, "this node was restarted");
        else
            job_not_begun(origin, job, "this node was restarted");
        return;
    }
    job->query_usec = origin->now;
    job_arm(origin, job);
}

void job_keep_ended(struct origin *origin, struct job *job)
{
    const struct task *task = job->task;
    uint64_t wall = origin_wall(origin);
    usec_t age = wall - MIN(wall, task->ended_wall_usec);
    usec_t keep = task->state == TASK_SUCCEEDED || task->state == TASK_CANCELLED
                      ? origin->config.keep_usec
                      : origin->config.keep_failed_usec;

    (void)heap_set(&origin->timers, &job->timer,
                   MIN(usec_add(origin->now, usec_sub(keep, age)), ORIGIN_NEVER));
}

int origin_restore(struct origin *origin, struct task *task, bool has_begun, usec_t now)
{
    struct job *job;

    advance(origin, now);
    if (table_find(&origin->by_number, &task->number))
        return -EEXIST;
    if (origin->by_number.count >= origin->config.tasks_max && task_state_is_final(task->state))
        return -ENOBUFS;
    job = job_new(origin, task);
    if (!job)
        return -ENOMEM;
    if (task_state_is_final(task->state))
        job_keep_ended(origin, job);
    else if (task->has_node)
        resume(origin, job, has_begun);
    else if (task->is_cancelled)
        job_finish(origin, job, TASK_CANCELLED);
    else {
        job->is_restored = true;
        job_place(origin, job);
    }
    return 0;
}

int origin_check(struct origin *origin, const struct task_spec *spec, bool may_wait,
                 char reason[static TASK_REASON_MAX + 1])
{
    int r = task_spec_check(spec, reason);

    if (r < 0)
        return r;
    if (spec->is_confidential && spec->node[0] != '\0' &&
        strcmp(spec->node, origin->config.name) != 0) {
        (void)snprintf(reason, TASK_REASON_MAX + 1,
                       "a confidential task never leaves its node, so it cannot run on %s",
                       spec->node);
        return -EPERM;
    }
    if (!may_wait && !place_has_handler(origin->place, spec)) {
        (void)place_choose(origin->place, spec, NULL, reason);
        return place_is_forbidden(origin->place, spec, NULL, false) ? -EACCES : -ENOENT;
    }
    return 0;
}

int origin_submit(struct origin *origin, uint64_t number, const struct task_spec *spec,
                  bool may_wait, usec_t now, char reason[static TASK_REASON_MAX + 1])
{
    _cleanup_(task_freep) struct task *task = NULL;
    struct job *job;
    int r;

    advance(origin, now);
    r = origin_check(origin, spec, may_wait, reason);
    if (r < 0)
        return r;
    (void)snprintf(reason, TASK_REASON_MAX + 1, "out of memory");
    if (table_find(&origin->by_number, &number))
        return -EEXIST;
    if (!make_room(origin)) {
        (void)snprintf(reason, TASK_REASON_MAX + 1, "%u tasks wait or run already",
                       origin->config.tasks_max);
        return -ENOBUFS;
    }
    task = calloc(1, sizeof(*task));
    if (!task)
        return -ENOMEM;
    r = task_spec_copy(spec, &task->spec);
    if (r < 0)
        return r;
    task->number = number;
    task->tries_max = spec->retries + 1;
    task->submitted_wall_usec = origin_wall(origin);
    job = job_new(origin, task);
    if (!job)
        return -ENOMEM;
    (void)TAKE_PTR(task);
    reason[0] = '\0';
    job->is_held = spec->workflow != 0;
    job->is_new = true;
    (void)task_add_timeline(job->task, job->task->submitted_wall_usec, "submitted");
    job_place(origin, job);
    job_commit(origin, job, 1U << ORIGIN_ACCEPTED);
    return 0;
}

/* Looks again at every attempt there; a node that is back is asked. */
static void check_node(struct origin *origin, const struct node_id *id, bool is_back)
{
    list_for_each_safe (link, &origin->active) {
        struct job *job = list_entry(link, struct job, active);
        if (!job->task->has_node || !node_id_is_equal(&job->task->node, id))
            continue;
        if (is_back)
            job->query_usec = origin->now;
        job_check(origin, job);
    }
}

int origin_set_node(struct origin *origin, const struct place_facts *facts, usec_t now)
{
    const struct place_node *node = place_find(origin->place, &facts->id);
    bool is_changed =
        !node || node->facts.state != facts->state || node->facts.generation != facts->generation;
    int r;

    advance(origin, now);
    r = place_set_node(origin->place, facts, origin->now);
    if (r < 0)
        return r;
    /* What is worse gives what waits another reason, or none to wait. */
    if (r > 0 || is_changed)
        origin->wake = origin->waiting_count;
    if (is_changed)
        check_node(origin, &facts->id, facts->state == PLACE_ALIVE && !facts->is_self);
    return 0;
}

void origin_remove_node(struct origin *origin, const struct node_id *id, usec_t now)
{
    struct node_id copy = *id;

    advance(origin, now);
    place_remove_node(origin->place, &copy);
    origin->wake = origin->waiting_count;
    check_node(origin, &copy, false);
}

void origin_explain(struct origin *origin, uint64_t number, const char *reason, usec_t now)
{
    struct job *job = job_find(origin, number);

    advance(origin, now);
    if (!job || !job->task->has_node)
        return;
    job->is_held_up = true;
    task_format_text(job->task->reason, sizeof(job->task->reason), "%s", reason);
}

struct place *origin_get_place(struct origin *origin)
{
    return origin->place;
}

int origin_cancel(struct origin *origin, uint64_t number, int signal, usec_t grace_usec, usec_t now)
{
    struct job *job = job_find(origin, number);

    advance(origin, now);
    if (!job)
        return -ENOENT;
    if (task_state_is_final(job->task->state))
        return -EALREADY;
    job->task->is_cancelled = true;
    job->task->is_withdrawn |= job->task->state == TASK_PENDING;
    job->task->cancel_signal = signal;
    job->task->cancel_grace_usec = grace_usec;
    job->untold++;
    (void)task_add_timeline(job->task, origin_wall(origin), "cancelled by a user");
    if (!job->task->has_node || !job->is_sent) {
        job->task->reason[0] = '\0';
        job_finish(origin, job, TASK_CANCELLED);
        return 0;
    }
    job_commit(origin, job, 0);
    job_tell(origin, job, ORIGIN_CANCEL);
    return 0;
}

/* Return: 0, -EINVAL, -ENOMEM. */
static int set_args(struct task *task, const struct task_words *args)
{
    struct task_spec changed = task->spec; /* for the check: it owns nothing */
    struct task_words copy = {0};
    char reason[TASK_REASON_MAX + 1];

    changed.args = *args;
    int r = task_spec_check(&changed, reason);
    for (size_t i = 0; r >= 0 && i < args->count; i++)
        r = task_words_add(&copy, args->items[i]);
    if (r < 0) {
        task_words_done(&copy);
        return r;
    }
    task_words_done(&task->spec.args);
    task->spec.args = copy;
    return 0;
}

int origin_retry(struct origin *origin, uint64_t number, const char *node,
                 const struct task_words *args, usec_t now)
{
    struct job *job = job_find(origin, number);
    struct task *task;

    advance(origin, now);
    if (!job)
        return -ENOENT;
    task = job->task;
    if (!origin_has_ended(origin, task))
        return -EBUSY;
    if (node && task->spec.is_confidential && node[0] != '\0' &&
        strcmp(node, origin->config.name) != 0)
        return -EPERM;
    int r = job_keep_before(job);
    if (r >= 0 && args)
        r = set_args(task, args);
    if (r < 0) {
        job_drop_before(job);
        return r;
    }
    if (node)
        task_format_text(task->spec.node, sizeof(task->spec.node), "%s", node);
    task_words_done(&task->spec.after); /* who asks for it now does not want to wait */
    task->tries_max = task->tries + 1 + task->spec.retries;
    task->is_cancelled = task->is_withdrawn = task->has_end = task->is_cut_here = false;
    task->cut_error = 0;
    task->started_wall_usec = task->ended_wall_usec = 0;
    job->has_avoid = false;
    job_forget_refusers(job);
    free(job->story);
    job->story = NULL;
    job->refusals = 0;
    list_append(&origin->active, &job->active);
    job_set_state(origin, job, TASK_PENDING);
    (void)task_add_timeline(task, origin_wall(origin), "to run again%s, asked for by a user",
                            args ? " with other words" : "");
    job_commit(origin, job, 1U << ORIGIN_ACCEPTED);
    job_place(origin, job);
    return 0;
}

int origin_forget(struct origin *origin, uint64_t number, usec_t now)
{
    struct job *job = job_find(origin, number);

    advance(origin, now);
    if (!job)
        return -ENOENT;
    if (!task_state_is_final(job->task->state) || job->is_held || job->gates)
        return -EBUSY;
    forget(origin, job);
    return 0;
}

static void set_held(struct origin *origin, uint64_t workflow, bool is_held)
{
    list_for_each (link, &origin->jobs) {
        struct job *job = list_entry(link, struct job, link);
        if (job->task->spec.workflow == workflow)
            job->is_held = is_held;
    }
}

void origin_hold_workflow(struct origin *origin, uint64_t workflow, usec_t now)
{
    advance(origin, now);
    set_held(origin, workflow, true);
}

void origin_release_workflow(struct origin *origin, uint64_t workflow, usec_t now)
{
    advance(origin, now);
    set_held(origin, workflow, false);
}

/* What a timer of the job means depends on where the job is. */
static void on_timer(struct origin *origin, struct job *job)
{
    struct task *task = job->task;

    if (!task_state_is_final(task->state)) {
        if (task->has_node)
            job_check(origin, job);
        else if (job->asked_count > 0)
            job_settle(origin, job);
        else
            job_place(origin, job);
    } else if (job->is_held || job->gates) {
        (void)heap_set(&origin->timers, &job->timer, usec_add(origin->now, USEC_PER_HOUR));
    } else {
        forget(origin, job);
    }
}

void origin_tick(struct origin *origin, usec_t now)
{
    advance(origin, now);
    while (heap_deadline(&origin->timers) <= origin->now) {
        struct heap_entry *first = heap_first(&origin->timers);
        struct job *job = CONTAINER_OF(first, struct job, timer);
        (void)heap_set(&origin->timers, first, ORIGIN_NEVER);
        on_timer(origin, job);
    }
    origin_save_again(origin);
    if (place_tick(origin->place, origin->now))
        origin->wake = origin->waiting_count;
    origin_place_waiting(origin);
}

usec_t origin_deadline(const struct origin *origin)
{
    usec_t first = heap_deadline(&origin->timers);

    if (origin->wake > 0)
        return origin->now;
    first = MIN(first, MIN(origin->save_again_usec, place_deadline(origin->place)));
    return first >= ORIGIN_NEVER ? USEC_INFINITY : first;
}

const struct task *origin_find(const struct origin *origin, uint64_t number)
{
    const struct job *job = job_find(origin, number);

    return job ? job->task : NULL;
}

const struct task *origin_next(const struct origin *origin, uint64_t after)
{
    const struct job *job = after > 0 ? table_find(&origin->by_number, &after) : NULL;

    for (struct list *link = job ? job->link.next : origin->jobs.next; link != &origin->jobs;
         link = link->next) {
        const struct job *next = list_entry(link, struct job, link);
        if (next->task->number > after && !next->is_forgotten)
            return next->task;
    }
    return NULL;
}

bool origin_has_fewer_pending(const struct origin *origin, const char *user, uint32_t max)
{
    uint32_t count = 0;

    list_for_each (link, &origin->active) {
        const struct task *task = list_entry(link, struct job, active)->task;
        count += task->state == TASK_PENDING && strcmp(task->spec.user, user) == 0;
        if (count >= max)
            return false;
    }
    return max > 0;
}

/* Also in the pauses between nodes that do not take it, and while its end is held up. */
static bool is_stranded(const struct job *job)
{
    const bool is_refused = !task_state_is_final(job->task->state) && !job->task->has_node &&
                            job->asked_count == 0 && job->refusals > ORIGIN_REFUSALS_FREE;

    return !list_is_empty(&job->wait) || job->disk_wait || is_refused || job->is_held_up;
}

const struct task *origin_next_stranded(const struct origin *origin, const struct task *after)
{
    const struct job *last = after ? job_find(origin, after->number) : NULL;
    struct list *link = last ? last->active.next : origin->active.next;

    if (last && list_is_empty(&last->active))
        return NULL;
    for (; link != &origin->active; link = link->next) {
        const struct job *job = list_entry(link, struct job, active);
        if (is_stranded(job))
            return job->task;
    }
    return NULL;
}

bool origin_is_stranded(const struct origin *origin, uint64_t number)
{
    const struct job *job = job_find(origin, number);

    return job && is_stranded(job);
}

void origin_get_statistics(const struct origin *origin, struct origin_statistics *ret)
{
    *ret = origin->statistics;
    ret->tasks = (uint32_t)origin->by_number.count;
    ret->pending = origin->states[TASK_PENDING];
    ret->running = origin->states[TASK_RUNNING];
}
