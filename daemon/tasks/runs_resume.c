/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "base/log.h"
#include "tasks/internal.h"
#include "tasks/runs_core.h"

/* Taking a list up: after a restart, or where it stopped. */

/* Tells the workflow what became of the step of @task. */
static void take_up_task(struct run *run, const struct task *task)
{
    bool has_ended = origin_has_ended(run->tasks->origin, task);
    bool is_old = run->steps && task->spec.step < run->statistics.total && has_ended &&
                  task->ended_wall_usec <= run->resumed_wall_usec;

    /* An end that is not on the disk comes when it is. */
    if (!is_old)
        (void)workflow_restore_step(run->workflow, task->spec.step, task->number,
                                    has_ended ? task->state : TASK_PENDING);
    else if (run_letter_parse(run->steps[task->spec.step]) < 0)
        (void)workflow_repeat_step(run->workflow, task->spec.step, task->number);
    else
        (void)workflow_settle_step(run->workflow, task->spec.step, task->number, task->state);
}

static void take_up(struct run *run)
{
    struct tasks *tasks = run->tasks;

    origin_hold_workflow(tasks->origin, run->number, tasks_now(tasks));
    for (const struct task *task = NULL;
         (task = origin_next(tasks->origin, task ? task->number : 0));)
        if (task->spec.workflow == run->number)
            take_up_task(run, task);
    /* Records of tasks may be gone; what the list itself remembers is enough. */
    for (uint32_t i = 0; run->steps && i < run->statistics.total; i++) {
        int state = run_letter_parse(run->steps[i]);
        if (state >= 0)
            (void)workflow_settle_step(run->workflow, i, 0, (enum task_state)state);
    }
}

/* A step that ended after "now", by a clock that was set back, belongs to the past all the same. */
static uint64_t find_moment(struct tasks *tasks, uint64_t workflow)
{
    uint64_t moment = tasks_wall(tasks);

    for (const struct task *task = NULL;
         (task = origin_next(tasks->origin, task ? task->number : 0));)
        if (task->spec.workflow == workflow)
            moment = MAX(moment, task->ended_wall_usec);
    return moment;
}

/* What the cancel of the list ended is to run again, and what failed where that is wanted. Return:
 * whether anything is left to do. */
static bool mark_steps(struct run *run, bool repeats_failed)
{
    bool is_left = false;

    for (uint32_t i = 0; i < run->statistics.total; i++) {
        int state = run_letter_parse(run->steps[i]);
        if (state >= 0 && state != TASK_SUCCEEDED &&
            (repeats_failed || (run->statistics.is_cancelled && state == TASK_CANCELLED)))
            run->steps[i] = RUN_LETTER_NOT_RUN;
        is_left = is_left || run->steps[i] == RUN_LETTER_NOT_RUN;
    }
    return is_left;
}

/* What a run that has ended was. Return: 0, -ENOMEM. */
static int keep_past(const struct run *run, struct run_past *ret)
{
    *ret = (struct run_past){.steps = strdup(run->steps),
                             .statistics = run->statistics,
                             .ended_wall_usec = run->ended_wall_usec,
                             .resumed_wall_usec = run->resumed_wall_usec};
    return ret->steps ? 0 : -ENOMEM;
}

void run_end_again(struct run *run, struct run_past *past)
{
    if (run->workflow)
        run_deactivate(run);
    free(run->steps);
    run->steps = TAKE_PTR(past->steps);
    run->statistics = past->statistics;
    run->ended_wall_usec = past->ended_wall_usec;
    run->resumed_wall_usec = past->resumed_wall_usec;
    origin_release_workflow(run->tasks->origin, run->number, tasks_now(run->tasks));
}

/* The plan of what is left. */
static int activate_again(struct run *run)
{
    _cleanup_(workflow_plan_freep) struct workflow_plan *plan = NULL;
    int r = run_parse(run, &plan);

    if (r >= 0 && plan->steps_count != run->statistics.total)
        r = -EBADMSG;
    if (r >= 0)
        r = run_activate(run, plan);
    if (r >= 0)
        TAKE_PTR(plan);
    return r;
}

int run_resume(struct run *run, bool repeats_failed, run_saved_t done, void *data)
{
    struct run_past past;
    int r;

    if (run->workflow)
        return -EALREADY;
    r = keep_past(run, &past);
    if (r < 0)
        return r;
    r = mark_steps(run, repeats_failed) ? activate_again(run) : -ENOENT;
    if (r < 0) {
        run_end_again(run, &past);
        return r;
    }
    run->resumed_wall_usec = find_moment(run->tasks, run->number);
    run->statistics.is_cancelled = false;
    take_up(run);
    run_save_first(run, &past, done, data);
    return 0;
}

/* The list goes on; @run is as its record says. */
static int restore_active(struct run *run)
{
    _cleanup_(workflow_plan_freep) struct workflow_plan *plan = NULL;
    int r = run_parse(run, &plan);

    if (r >= 0 && run->steps && plan->steps_count != run->statistics.total)
        r = -EBADMSG;
    if (r >= 0)
        r = run_activate(run, plan);
    if (r < 0)
        return r;
    TAKE_PTR(plan);
    take_up(run);
    workflow_start(run->workflow);
    if (run->statistics.is_cancelled)
        workflow_cancel(run->workflow);
    return 0;
}

/* A list that cannot be taken up stays in the database: no reason for a node not to start. */
int runs_restore(const struct state_workflow *stored, void *data)
{
    struct tasks *tasks = data;
    struct run *run = run_new(tasks, stored->number);
    int r = run ? run_record_parse(stored->record, run) : -ENOMEM;

    if (r >= 0)
        r = run_enlist(run);
    if (r >= 0 && run->ended_wall_usec == 0)
        r = restore_active(run);
    if (r >= 0)
        return 0;
    if (run)
        run_free(run);
    log_error_errno(r, "Cannot take up workflow %llu from the database: %m",
                    (unsigned long long)stored->number);
    return r == -ENOMEM ? r : 0;
}

void runs_catch_up(struct tasks *tasks)
{
    for (const struct task *task = NULL;
         (task = origin_next(tasks->origin, task ? task->number : 0));) {
        const struct run *run =
            task->spec.workflow > 0 ? runs_find(tasks, task->spec.workflow) : NULL;
        if (run && !run->workflow)
            runs_on_task(tasks, task);
    }
}
