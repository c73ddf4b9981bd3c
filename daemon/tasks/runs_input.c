/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "tasks/internal.h"
#include "tasks/runs_core.h"

/*
 * The files of the steps of a run: those that came with the list, stored ones, and results of steps
 * before them. They are collected when the step's turn has come, a few steps at a time.
 */

#define SUPPLIES_MAX 8 /* of one run, at the same time */

struct supply {
    struct list link;        /* in run->supplies, in the order of their turns */
    struct run *run;         /* borrowed */
    struct stage *stage;     /* borrowed; NULL: has yet to begin */
    struct run_code *code;   /* borrowed; while it is being read */
    struct task_files files; /* collected, and waiting for the code */
    uint32_t step;
    bool is_short; /* there was no room for it: it waits */
};

static void supply_free(struct supply *supply)
{
    list_remove(&supply->link);
    if (supply->stage && !supply->run->tasks->is_closed) /* then they are gone already */
        tasks_stage_cancel(supply->stage);
    if (supply->code && !supply->run->tasks->is_closed)
        run_code_cancel(supply->code);
    free(supply);
}

void run_supplies_free(struct run *run)
{
    list_for_each_safe (link, &run->supplies)
        supply_free(list_entry(link, struct supply, link));
}

static void fail(struct supply *supply, const char *reason)
{
    struct run *run = supply->run;
    uint32_t step = supply->step;

    supply_free(supply);
    workflow_refused(run->workflow, step, reason);
}

static void begin_next(struct run *run);

static const struct workflow_step *step_of(const struct supply *supply)
{
    return &workflow_get_plan(supply->run->workflow)->steps[supply->step];
}

/* Everything is there but for what @reason says. */
static void finish(struct supply *supply, const char *reason, char *code)
{
    struct run *run = supply->run;
    const struct task_files files = supply->files;
    const uint32_t step = supply->step;
    struct workflow_statistics statistics;

    workflow_get_statistics(run->workflow, &statistics);
    if (!reason && statistics.is_cancelled)
        reason = "cancelled";
    if (reason) {
        tasks_drop_files(run->tasks, &files);
        fail(supply, reason);
    } else {
        supply_free(supply);
        run_submit(run, step, &files, code);
    }
    begin_next(run);
    tasks_pump(run->tasks);
}

static void on_code(int r, char *code, void *data)
{
    struct supply *supply = data;
    char reason[TASK_REASON_MAX + 1];

    supply->code = NULL;
    if (r == -EFBIG)
        snprintf(reason, sizeof(reason), "its Python code is larger than 256 KiB");
    else
        snprintf(reason, sizeof(reason), "its Python code cannot be read: %s", strerror(-r));
    finish(supply, r < 0 ? reason : NULL, code);
}

/* Others may fit. */
static void wait_for_room(struct supply *supply, const char *reason)
{
    struct run *run = supply->run;

    supply->is_short = true;
    workflow_explain(run->workflow, supply->step, reason);
    again_arm(run->tasks);
    begin_next(run);
}

static int read_code(struct supply *supply)
{
    return run_code_load(supply->run, step_of(supply)->code, on_code, supply, &supply->code);
}

static void on_staged(int r, const struct task_files *files, const char *reason, void *data)
{
    struct supply *supply = data;

    supply->stage = NULL;
    if (r >= 0)
        supply->files = *files;
    if (r == -ENOSPC || r == -EDQUOT)
        wait_for_room(supply, reason);
    else if (r < 0)
        finish(supply, reason, NULL);
    else if (!step_of(supply)->has_code)
        finish(supply, NULL, NULL);
    else if ((r = read_code(supply)) < 0)
        on_code(r, NULL, supply);
}

/* Where the inputs of a step come from. @places: room for the names of those that came with the
 * list. */
static void find_sources(const struct run *run, const struct workflow_step *step,
                         struct stage_source *sources, char places[][12])
{
    for (size_t i = 0; i < step->inputs_count; i++) {
        const struct workflow_input *input = &step->inputs[i];
        sources[i] = (struct stage_source){.name = input->name, .fd = -EBADF};
        switch (input->type) {
        case WORKFLOW_INPUT_LOCAL:
            snprintf(places[i], sizeof(places[i]), "%u", input->index);
            sources[i].result = places[i];
            sources[i].bundle = run->options.inputs.bundle;
            break;
        case WORKFLOW_INPUT_STORED:
            sources[i].stored = input->source;
            break;
        case WORKFLOW_INPUT_RESULT:
            sources[i].result = input->source;
            (void)workflow_get_step(run->workflow, input->index, &sources[i].task);
            break;
        }
    }
}

/* Return: as tasks_stage(); -ENOENT where a task whose result is wanted is not known any more. */
static int begin(struct supply *supply)
{
    const struct run *run = supply->run;
    const struct workflow_step *step = step_of(supply);
    struct stage_source sources[TASK_FILES_MAX];
    char places[TASK_FILES_MAX][12];
    size_t bad = 0;

    if (step->inputs_count == 0)
        return read_code(supply);
    find_sources(run, step, sources, places);
    for (size_t i = 0; i < step->inputs_count; i++)
        if (step->inputs[i].type == WORKFLOW_INPUT_RESULT && sources[i].task == 0)
            return -ENOENT;
    return tasks_stage(run->tasks, sources, step->inputs_count, false, on_staged, supply, &bad,
                       &supply->stage);
}

/* Begins with those whose turn it is, as far as there is room. */
static void begin_next(struct run *run)
{
    char reason[TASK_REASON_MAX + 1];
    size_t count = 0;

    list_for_each_safe (link, &run->supplies) {
        struct supply *supply = list_entry(link, struct supply, link);
        int r = 0;
        if (supply->is_short)
            continue;
        if (count++ >= SUPPLIES_MAX)
            return;
        if (!supply->stage && !supply->code)
            r = begin(supply);
        if (r == -EBUSY && count > 1)
            return;                        /* one of ours that ends makes room */
        if (r == -EBUSY || r == -EAGAIN) { /* others have all there is */
            supply->is_short = true;
            again_arm(run->tasks);
            return;
        }
        if (r == -EINVAL)
            snprintf(reason, sizeof(reason), "two of its files have the same name");
        else if (r == -ENOENT)
            snprintf(reason, sizeof(reason), "a task whose result it needs is not known any more");
        else
            snprintf(reason, sizeof(reason), "its files cannot be collected: %s", strerror(-r));
        if (r < 0) {
            count--;
            fail(supply, reason);
        }
    }
}

void run_supply(struct run *run, uint32_t step)
{
    struct supply *supply = calloc(1, sizeof(*supply));

    if (!supply) {
        workflow_refused(run->workflow, step, "out of memory");
        return;
    }
    *supply = (struct supply){.run = run, .step = step};
    list_append(&run->supplies, &supply->link);
    begin_next(run);
}

void run_supply_again(struct run *run)
{
    struct workflow_statistics statistics;
    bool is_due = false;

    if (!run->workflow)
        return;
    workflow_get_statistics(run->workflow, &statistics);
    list_for_each_safe (link, &run->supplies) {
        struct supply *supply = list_entry(link, struct supply, link);
        is_due = is_due || supply->is_short;
        if (supply->is_short && statistics.is_cancelled)
            fail(supply, "cancelled");
        else
            supply->is_short = false;
    }
    if (is_due)
        begin_next(run);
}
