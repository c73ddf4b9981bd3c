/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "base/log.h"

#define TIMER_ACCURACY_USEC USEC_PER_MSEC

static usec_t read_clock(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_nsec / 1000;
}

usec_t tasks_now(const struct tasks *tasks)
{
    uint64_t now = 0;

    (void)sd_event_now(tasks->event, CLOCK_MONOTONIC, &now);
    return now;
}

uint64_t tasks_wall(const struct tasks *tasks _unused_)
{
    return read_clock(CLOCK_REALTIME);
}

void tasks_tell_watchers(struct tasks *tasks, const struct task *task)
{
    list_for_each_safe (link, &tasks->watches) {
        struct tasks_watch *watch = list_entry(link, struct tasks_watch, link);
        watch->on_task(task, watch->data);
    }
    runs_on_task(tasks, task);
}

/* The own load as others and the own placement see it. */
static void tell_load(struct tasks *tasks)
{
    struct slots_load now;
    struct swim_load load;

    slots_get_load(tasks->slots, &now);
    load =
        (struct swim_load){.load_permille = (uint16_t)MIN(now.load_permille, (uint32_t)UINT16_MAX),
                           .running = (uint16_t)MIN(now.running, (uint32_t)UINT16_MAX),
                           .queued = (uint16_t)MIN(now.queued, (uint32_t)UINT16_MAX),
                           .slots = (uint16_t)MIN(now.slots, (uint32_t)UINT16_MAX),
                           .cpu_percent = (uint8_t)MIN(tasks->machine.load_permille / 10, 255U),
                           .memory_percent = (uint8_t)tasks->machine.memory_percent,
                           .draining = now.is_draining};
    if (load.load_permille == tasks->load.load_permille && load.running == tasks->load.running &&
        load.queued == tasks->load.queued && load.slots == tasks->load.slots &&
        load.cpu_percent == tasks->load.cpu_percent &&
        load.memory_percent == tasks->load.memory_percent && load.draining == tasks->load.draining)
        return;
    tasks->load = load;
    tasks->setup.on_load(&load, tasks->setup.data);
}

void tasks_pump(struct tasks *tasks)
{
    struct origin_action origin_action;
    struct slots_action slots_action;
    bool has_acted = true;

    if (tasks->is_pumping || tasks->is_closed)
        return;
    tasks->is_pumping = true;
    while (has_acted) {
        has_acted = false;
        while (origin_next_action(tasks->origin, &origin_action)) {
            owner_act(tasks, &origin_action);
            has_acted = true;
        }
        while (slots_next_action(tasks->slots, &slots_action)) {
            worker_act(tasks, &slots_action);
            has_acted = true;
        }
        if (runs_act(tasks))
            has_acted = true;
    }
    tasks->is_pumping = false;
    tell_load(tasks);
    commit_soon(tasks);

    usec_t deadline = MIN(origin_deadline(tasks->origin), slots_deadline(tasks->slots));
    (void)sd_event_source_set_time(tasks->timer, deadline);
    (void)sd_event_source_set_enabled(tasks->timer,
                                      deadline == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

void tasks_pump_soon(struct tasks *tasks)
{
    (void)sd_event_source_set_time(tasks->timer, tasks_now(tasks));
    (void)sd_event_source_set_enabled(tasks->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct tasks *tasks = data;

    origin_set_wall(tasks->origin, tasks_wall(tasks), tasks_now(tasks));
    origin_tick(tasks->origin, tasks_now(tasks));
    slots_tick(tasks->slots, tasks_now(tasks));
    tasks_pump(tasks);
    return 0;
}

/* --- Life --- */

static int make_timers(struct tasks *tasks)
{
    int r = sd_event_add_time(tasks->event, &tasks->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              TIMER_ACCURACY_USEC, on_timer, tasks);

    if (r >= 0)
        r = machine_watch(tasks);
    if (r < 0)
        return r;
    (void)sd_event_source_set_enabled(tasks->timer, SD_EVENT_OFF);
    (void)sd_event_source_set_description(tasks->timer, "tasks");
    return 0;
}

int tasks_new(sd_event *event, const struct tasks_setup *setup, uint64_t wall_usec,
              struct tasks **ret)
{
    _cleanup_(tasks_freep) struct tasks *tasks = calloc(1, sizeof(*tasks));
    uint64_t seed;
    int r;

    if (!tasks)
        return -ENOMEM;
    *tasks = (struct tasks){.event = sd_event_ref(event),
                            .config = setup->config,
                            .start = setup->start,
                            .state = setup->state,
                            .outputs = setup->outputs,
                            .bundles = setup->bundles,
                            .peers = setup->peers,
                            .setup = *setup,
                            .next_task = setup->start->next_task,
                            .next_workflow = setup->start->next_workflow};
    list_init(&tasks->watches);
    list_init(&tasks->submissions);
    list_init(&tasks->runs);
    list_init(&tasks->held);
    list_init(&tasks->stages);
    list_init(&tasks->pulls);
    list_init(&tasks->collects);
    list_init(&tasks->servings);
    list_init(&tasks->active_runs);
    table_init(&tasks->runs_by_number, sizeof(uint64_t), setup->start->generation);
    table_init(&tasks->inflows, 2 * sizeof(uint64_t), setup->start->generation);
    tasks->exec_socket_path = setup->exec_socket_path ? strdup(setup->exec_socket_path) : NULL;
    if (setup->exec_socket_path && !tasks->exec_socket_path)
        return -ENOMEM;
    tasks->setup.exec_socket_path = tasks->exec_socket_path;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return -EIO;
    output_store_watch(tasks->outputs, owner_on_cut, tasks);
    r = parts_make_origin(tasks, seed, wall_usec);
    if (r >= 0)
        r = parts_make_slots(tasks, seed);
    if (r >= 0)
        r = begun_open(setup->state_dir, setup->start, &setup->former, &tasks->begun);
    if (r >= 0)
        r = commit_init(tasks);
    if (r >= 0)
        r = make_timers(tasks);
    if (r >= 0)
        r = keep_init(tasks);
    if (r >= 0)
        r = hooks_init(&tasks->hooks, event, tasks->config, &tasks->exec);
    if (r < 0)
        return r;
    slots_set_draining(tasks->slots, setup->is_draining, tasks_now(tasks));
    tell_load(tasks);
    tasks_set_member(tasks, setup->self, setup->record);
    r = parts_restore(tasks);
    if (r >= 0)
        r = parts_make_exec(tasks);
    if (r < 0)
        return r;
    tasks_pump(tasks);
    *ret = TAKE_PTR(tasks);
    return 0;
}

int tasks_reload(struct tasks *tasks)
{
    int r = parts_reload(tasks);

    tasks_pump(tasks);
    return r;
}

void tasks_close(struct tasks *tasks)
{
    tasks->exec = exec_free(tasks->exec);
    tasks_save(tasks);
    tasks->is_closed = true;
    commit_abandon(tasks);
    supplies_close(tasks);
    collects_close(tasks);
    stages_close(tasks);
}

struct tasks *tasks_free(struct tasks *tasks)
{
    size_t i = 0;

    if (!tasks)
        return NULL;
    exec_free(tasks->exec);
    runs_free(tasks);
    inflows_free(tasks);
    tally_done(&tasks->tally);
    free(tasks->exec_socket_path);
    hooks_done(&tasks->hooks);
    keep_done(tasks);
    pulls_free(tasks);
    collects_free(tasks);
    servings_free(tasks);
    list_for_each_safe (link, &tasks->submissions)
        tasks_submit_forget(list_entry(link, struct submission, link));
    for (const struct slots_attempt *attempt;
         tasks->slots && (attempt = slots_next(tasks->slots, &i));)
        free(attempt->userdata);
    sd_event_source_disable_unref(tasks->timer);
    sd_event_source_disable_unref(tasks->machine_timer);
    commit_done(tasks);
    again_done(tasks);
    slots_free(tasks->slots);
    origin_free(tasks->origin);
    begun_free(tasks->begun);
    sd_event_unref(tasks->event);
    free(tasks);
    return NULL;
}

/* --- From the other parts --- */

void tasks_on_lost(struct tasks *tasks, const struct node_id *id)
{
    outflow_stop(tasks, id);
    serve_stop(tasks, id);
    origin_disconnected(tasks->origin, id, tasks_now(tasks));
    tasks_pump(tasks);
}

void tasks_on_unreachable(struct tasks *tasks, const struct node_id *id)
{
    origin_unreachable(tasks->origin, id, tasks_now(tasks));
    tasks_pump(tasks);
}

void tasks_on_connected(struct tasks *tasks, const struct node_id *id)
{
    slots_connected(tasks->slots, id, tasks_now(tasks));
    tasks_pump(tasks);
}

void tasks_on_drained(struct tasks *tasks, const struct node_id *id)
{
    outflow_go_on(tasks, id);
    serve_go_on(tasks);
}

void tasks_set_draining(struct tasks *tasks, bool is_draining)
{
    slots_set_draining(tasks->slots, is_draining, tasks_now(tasks));
    tasks_pump(tasks);
}

void tasks_evict(struct tasks *tasks)
{
    slots_evict(tasks->slots, tasks_now(tasks));
    tasks_pump(tasks);
}

void tasks_stop(struct tasks *tasks)
{
    slots_stop(tasks->slots, tasks_now(tasks));
    tasks_pump(tasks);
}

bool tasks_are_stopped(const struct tasks *tasks)
{
    struct slots_load load;

    slots_get_load(tasks->slots, &load);
    return load.running == 0 && load.queued == 0;
}

bool tasks_are_reported(const struct tasks *tasks)
{
    struct slots_load load;

    slots_get_load(tasks->slots, &load);
    return load.unacked == 0;
}

void tasks_save(struct tasks *tasks)
{
    tasks_pump(tasks);
    commit_now(tasks);
    keep_flush(tasks);
}

bool tasks_are_saved(const struct tasks *tasks)
{
    return commit_is_done(tasks) && keep_is_done(tasks);
}

/* A task of this node has ended: its own command for that. */
static void run_on_done(struct tasks *tasks, const struct journal_event *event)
{
    char origin[NODE_NAME_MAX + 1];
    const char *id = journal_event_text(event, "TASK");
    uint64_t number;

    if (!id || task_id_parse(id, "", &number, origin) < 0)
        return;
    const struct task *task = origin_find(tasks->origin, number);
    if (task && task->spec.on_done)
        hooks_add(&tasks->hooks, task->spec.on_done, event);
}

void tasks_hear(struct tasks *tasks, const struct journal_event *event)
{
    if (tasks->is_closed)
        return;
    hooks_hear(&tasks->hooks, event);
    if (event->event == EVENT_TASK_ENDED)
        run_on_done(tasks, event);
}

/* --- For control --- */

int tasks_submit(struct tasks *tasks, const struct task_spec *spec, bool may_wait,
                 tasks_submitted_t done, void *data, char reason[static TASK_REASON_MAX + 1],
                 struct submission **ret)
{
    struct submission *submission = calloc(1, sizeof(*submission));
    int r;

    if (!submission) {
        snprintf(reason, TASK_REASON_MAX + 1, "out of memory");
        return -ENOMEM;
    }
    r = origin_submit(tasks->origin, tasks->next_task, spec, may_wait, tasks_now(tasks), reason);
    if (r < 0) {
        free(submission);
        return r;
    }
    *submission = (struct submission){.number = tasks->next_task++, .done = done, .data = data};
    list_append(&tasks->submissions, &submission->link);
    if (ret)
        *ret = submission;
    tasks_pump(tasks);
    return 0;
}

void tasks_submit_forget(struct submission *submission)
{
    list_remove(&submission->link);
    free(submission);
}

struct origin *tasks_get_origin(struct tasks *tasks)
{
    return tasks->origin;
}

uint64_t tasks_get_last(const struct tasks *tasks)
{
    return tasks->next_task - 1;
}

const struct slots *tasks_get_slots(const struct tasks *tasks)
{
    return tasks->slots;
}

const struct exec *tasks_get_exec(const struct tasks *tasks)
{
    return tasks->exec;
}

int tasks_cancel(struct tasks *tasks, uint64_t number, int signal, usec_t grace_usec)
{
    int r = origin_cancel(tasks->origin, number, signal, grace_usec, tasks_now(tasks));

    tasks_pump(tasks);
    return r;
}

int tasks_forget(struct tasks *tasks, uint64_t number)
{
    return origin_forget(tasks->origin, number, tasks_now(tasks));
}

static void settle(struct tasks *tasks, struct state_batch *batch, state_done_t done, void *data)
{
    if (tasks->is_closed || !batch) {
        done(-ECANCELED, data);
        return;
    }
    state_batch_after(batch, done, data);
    tasks_pump(tasks);
}

void tasks_settle(struct tasks *tasks, state_done_t done, void *data)
{
    settle(tasks, tasks->batch, done, data);
}

void tasks_settle_drops(struct tasks *tasks, state_done_t done, void *data)
{
    settle(tasks, tasks->drops, done, data);
}

/* Waits for the commit of task @number. */
static struct submission *add_submission(struct tasks *tasks, uint64_t number,
                                         tasks_submitted_t done, void *data)
{
    struct submission *submission = calloc(1, sizeof(*submission));

    if (!submission)
        return NULL;
    *submission = (struct submission){.number = number, .done = done, .data = data};
    list_append(&tasks->submissions, &submission->link);
    return submission;
}

int tasks_retry(struct tasks *tasks, uint64_t number, const char *node,
                const struct task_words *args, tasks_submitted_t done, void *data,
                struct submission **ret)
{
    const struct task *task = origin_find(tasks->origin, number);
    struct submission *submission = add_submission(tasks, number, done, data);

    if (!submission)
        return -ENOMEM;
    if (task && task->has_end && task->end.out.size > 0)
        submission->results = (uint32_t)task->attempt;
    int r = origin_retry(tasks->origin, number, node, args, tasks_now(tasks));
    if (r < 0) {
        tasks_submit_forget(submission);
        return r;
    }
    *ret = submission;
    tasks_pump(tasks);
    return 0;
}

const char *tasks_get_handler(const struct tasks *tasks, const char *type)
{
    const struct config_tasks *config = &tasks->config->tasks;

    for (size_t i = 0; i < config->types_count; i++)
        if (strcmp(config->types[i].name, type) == 0)
            return *config->types[i].command ? config->types[i].command : "built-in demo";
    return NULL;
}

void tasks_watch(struct tasks *tasks, struct tasks_watch *watch)
{
    list_append(&tasks->watches, &watch->link);
}

void tasks_unwatch(struct tasks_watch *watch)
{
    list_remove(&watch->link);
}

const struct tally *tasks_get_tally(const struct tasks *tasks)
{
    return &tasks->tally;
}

void tasks_count_ended(const struct tasks *tasks, uint64_t wall_usec, uint64_t *ret_succeeded,
                       uint64_t *ret_failed)
{
    uint64_t since = usec_sub(wall_usec, USEC_PER_DAY);

    *ret_succeeded = *ret_failed = 0;
    for (const struct task *task = NULL;
         (task = origin_next(tasks->origin, task ? task->number : 0));) {
        if (!task_state_is_final(task->state) || task->ended_wall_usec < since)
            continue;
        if (task->state == TASK_SUCCEEDED)
            (*ret_succeeded)++;
        else if (task->state != TASK_CANCELLED)
            (*ret_failed)++;
    }
}
