/* SPDX-License-Identifier: MIT */
#include "tasks/runs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "tasks/internal.h"
#include "tasks/runs_core.h"

const char *run_state_name(enum run_state state)
{
    static const char *const names[] = {[RUN_RUNNING] = "running",
                                        [RUN_SUCCEEDED] = "succeeded",
                                        [RUN_FAILED] = "failed",
                                        [RUN_CANCELLED] = "cancelled"};

    return names[state];
}

struct run *runs_find(struct tasks *tasks, uint64_t number)
{
    return table_find(&tasks->runs_by_number, &number);
}

struct run *runs_next(struct tasks *tasks, uint64_t after)
{
    struct run *run = after > 0 ? runs_find(tasks, after) : NULL;
    struct list *next = run ? run->link.next : tasks->runs.next;

    return next == &tasks->runs ? NULL : list_entry(next, struct run, link);
}

void run_get_facts(const struct run *run, struct run_facts *ret)
{
    *ret = (struct run_facts){.number = run->number,
                              .state = RUN_RUNNING,
                              .options = &run->options,
                              .statistics = run->statistics,
                              .started_wall_usec = run->started_wall_usec,
                              .resumed_wall_usec = run->resumed_wall_usec,
                              .ended_wall_usec = run->ended_wall_usec};
    if (run->ended_wall_usec == 0)
        workflow_get_statistics(run->workflow, &ret->statistics);
    else if (run->statistics.succeeded == run->statistics.total)
        ret->state = RUN_SUCCEEDED;
    else
        ret->state = run->statistics.is_cancelled ? RUN_CANCELLED : RUN_FAILED;
}

const struct workflow *run_get_workflow(const struct run *run)
{
    return run->workflow;
}

int run_get_end(const struct run *run, uint32_t step, enum task_state *ret)
{
    int state = step < run->statistics.total ? run_letter_parse(run->steps[step]) : -EINVAL;

    if (state < 0)
        return 0;
    *ret = (enum task_state)state;
    return 1;
}

uint64_t run_get_bundle(const struct run *run)
{
    return run->options.inputs.bundle;
}

void run_watch(struct run *run, struct run_watch *watch)
{
    list_append(&run->watches, &watch->link);
}

void run_tell_done(struct run *run, int r)
{
    list_for_each_safe (link, &run->watches) {
        struct run_watch *watch = list_entry(link, struct run_watch, link);
        list_remove(link);
        watch->on_done(r, run, watch->data);
    }
}

/* --- Life --- */

void run_free(struct run *run)
{
    list_remove(&run->link);
    list_remove(&run->active);
    list_for_each_safe (link, &run->watches)
        list_remove(link);
    if (table_find(&run->tasks->runs_by_number, &run->number) == run)
        (void)table_remove(&run->tasks->runs_by_number, &run->number);
    if (run->workflow)
        run->tasks->runs_count--;
    run_supplies_free(run);
    workflow_free(run->workflow);
    run_done(run);
    free(run);
}

void runs_free(struct tasks *tasks)
{
    list_for_each_safe (link, &tasks->runs)
        run_free(list_entry(link, struct run, link));
    table_done(&tasks->runs_by_number);
}

struct run *run_new(struct tasks *tasks, uint64_t number)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    run->tasks = tasks;
    run->number = number;
    list_init(&run->link);
    list_init(&run->active);
    list_init(&run->watches);
    list_init(&run->supplies);
    return run;
}

int run_enlist(struct run *run)
{
    struct tasks *tasks = run->tasks;
    int r = table_insert(&tasks->runs_by_number, &run->number, run);

    if (r >= 0)
        list_append(&tasks->runs, &run->link);
    return r;
}

int run_activate(struct run *run, struct workflow_plan *plan)
{
    struct tasks *tasks = run->tasks;
    int r = tasks->runs_count < RUNS_MAX ? 0 : -ENOBUFS;

    if (r >= 0)
        r = workflow_new(run->number, &run->options.workflow, plan, &run->workflow);
    if (r < 0)
        return r;
    list_append(&tasks->active_runs, &run->active);
    tasks->runs_count++;
    run->ended_wall_usec = 0;
    run->cancel_signal = SIGTERM;
    run->cancel_grace_usec = tasks->config->tasks.kill_grace_usec;
    return 0;
}

void run_deactivate(struct run *run)
{
    run->workflow = workflow_free(run->workflow);
    list_remove(&run->active);
    run->tasks->runs_count--;
}

void run_forget(struct run *run)
{
    struct tasks *tasks = run->tasks;

    state_delete_workflow(tasks->drops, run->number);
    tasks_drop_files(tasks, &run->options.inputs);
    run_free(run);
}

int runs_forget(struct tasks *tasks, uint64_t number)
{
    struct run *run = runs_find(tasks, number);

    if (!run)
        return -ENOENT;
    if (run->workflow)
        return -EBUSY;
    run_forget(run);
    return 0;
}

/* Drops the history that is too old, or too much: the oldest ends first. */
static void prune(struct tasks *tasks)
{
    uint64_t wall = tasks_wall(tasks);
    size_t count = 0, size = 0;

    for (struct list *link = tasks->runs.previous, *before; link != &tasks->runs; link = before) {
        struct run *run = list_entry(link, struct run, link);
        before = link->previous;
        if (run->workflow)
            continue;
        bool is_fine =
            run->statistics.succeeded == run->statistics.total || run->statistics.is_cancelled;
        usec_t keep =
            is_fine ? tasks->config->tasks.keep_usec : tasks->config->tasks.keep_failed_usec;
        count++;
        size += strlen(run->options.text) + run->statistics.total;
        if (count <= RUNS_KEPT_MAX && size <= RUNS_KEPT_SIZE &&
            wall < usec_add(run->ended_wall_usec, keep))
            continue;
        run_forget(run);
    }
}

int runs_add(struct tasks *tasks, struct workflow_plan *plan, const struct run_options *options,
             run_saved_t done, void *data)
{
    struct run *run;
    int r;

    prune(tasks);
    run = run_new(tasks, tasks->next_workflow);
    if (!run)
        return -ENOMEM;
    r = run_set_options(run, options);
    if (r >= 0)
        r = run_enlist(run);
    if (r >= 0)
        r = run_activate(run, plan);
    if (r < 0) {
        run_free(run);
        return r;
    }
    tasks->next_workflow++;
    run->started_wall_usec = tasks_wall(tasks);
    run_save_first(run, &(struct run_past){0}, done, data);
    return 0;
}

void run_start(struct run *run)
{
    workflow_start(run->workflow);
    tasks_pump(run->tasks);
}

int run_parse(const struct run *run, struct workflow_plan **ret)
{
    const struct run_options *options = &run->options;
    struct grammar_errors errors = {0};
    int r = grammar_parse(options->file, options->text, strlen(options->text), &options->grammar,
                          ret, &errors);

    grammar_errors_done(&errors);
    return r == -EINVAL ? -EBADMSG : r;
}

/* --- Acting --- */

/*
 * Somebody handled every type when the list began. Where that node is away now, or nobody is known
 * yet because we have just started, the step waits: its reason tells for whom.
 */
void run_submit(struct run *run, uint32_t step, const struct task_files *files, char *code)
{
    struct tasks *tasks = run->tasks;
    struct task_spec spec = workflow_get_plan(run->workflow)->steps[step].spec;
    struct task_python python = {0};
    char reason[TASK_REASON_MAX + 1];

    if (code) {
        python = *spec.python;
        python.code = code;
        spec.python = &python;
    }
    spec.in = *files;
    int r = origin_submit(tasks->origin, tasks->next_task, &spec, true, tasks_now(tasks), reason);

    if (r < 0)
        workflow_refused(run->workflow, step, reason);
    else
        workflow_submitted(run->workflow, step, tasks->next_task++);
    if (r < 0)
        tasks_drop_files(tasks, files);
}

static void submit(struct run *run, const struct workflow_action *action)
{
    const struct workflow_step *step = &workflow_get_plan(run->workflow)->steps[action->step];

    if (step->inputs_count > 0 || step->has_code)
        run_supply(run, action->step);
    else
        run_submit(run, action->step, &(struct task_files){0}, NULL);
}

/* The task of an earlier try runs again, or a new one where that is not known any more. */
static void repeat(struct run *run, const struct workflow_action *action)
{
    struct tasks *tasks = run->tasks;
    int r = origin_retry(tasks->origin, action->number, NULL, NULL, tasks_now(tasks));

    if (r == 0 || r == -EBUSY) /* busy: somebody has it run again already */
        workflow_submitted(run->workflow, action->step, action->number);
    else
        submit(run, action);
}

static void finish(struct run *run)
{
    struct tasks *tasks = run->tasks;

    if (run_keep_steps(run) < 0) {
        tasks->setup.on_fatal(-ENOMEM, tasks->setup.data);
        return;
    }
    workflow_get_statistics(run->workflow, &run->statistics);
    run->ended_wall_usec = tasks_wall(tasks);
    run_save(run);
    run_tell_done(run, 0);
    run_deactivate(run);
    origin_release_workflow(tasks->origin, run->number, tasks_now(tasks));
    prune(tasks);
}

/* Return: whether the run asked for anything. It may be gone then. */
static bool act(struct run *run)
{
    struct workflow_action action;

    if (!workflow_next_action(run->workflow, &action))
        return false;
    switch (action.type) {
    case WORKFLOW_SUBMIT:
        submit(run, &action);
        break;
    case WORKFLOW_REPEAT:
        repeat(run, &action);
        break;
    case WORKFLOW_CANCEL:
        (void)origin_cancel(run->tasks->origin, action.number, run->cancel_signal,
                            run->cancel_grace_usec, tasks_now(run->tasks));
        break;
    case WORKFLOW_DONE:
        finish(run);
        break;
    }
    return true;
}

bool runs_act(struct tasks *tasks)
{
    bool has_acted = false;

    list_for_each_safe (link, &tasks->active_runs)
        if (act(list_entry(link, struct run, active)))
            has_acted = true;
    return has_acted;
}

void runs_on_task(struct tasks *tasks, const struct task *task)
{
    struct run *run = task->spec.workflow > 0 ? runs_find(tasks, task->spec.workflow) : NULL;

    if (!run || !origin_has_ended(tasks->origin, task))
        return;
    if (run->workflow)
        workflow_ended(run->workflow, task->spec.step, task->state);
    else if (run_set_end(run, task->spec.step, task->state))
        run_save(run);
}

int run_cancel(struct run *run, int signal, usec_t grace_usec)
{
    if (!run->workflow)
        return -EALREADY;
    run->cancel_signal = signal;
    run->cancel_grace_usec = grace_usec;
    run->statistics.is_cancelled = true;
    run_save(run);
    workflow_cancel(run->workflow);
    tasks_pump(run->tasks);
    return 0;
}
