/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"

static struct run *find(struct tasks *tasks, uint64_t number)
{
    list_for_each (link, &tasks->runs) {
        struct run *run = list_entry(link, struct run, link);
        if (workflow_get_number(run->workflow) == number)
            return run;
    }
    return NULL;
}

static void run_free(struct run *run)
{
    list_remove(&run->link);
    run->tasks->runs_count--;
    workflow_free(run->workflow);
    free(run);
}

void runs_free(struct tasks *tasks)
{
    list_for_each_safe (link, &tasks->runs)
        run_free(list_entry(link, struct run, link));
}

static void submit(struct run *run, const struct workflow_action *action)
{
    struct tasks *tasks = run->tasks;
    char reason[TASK_REASON_MAX + 1];
    uint32_t step = action->step;
    int r = origin_submit(tasks->origin, tasks->next_task, action->spec,
                          run->options.waits_for_types, tasks_now(tasks), reason);

    if (r < 0)
        workflow_refused(run->workflow, step, reason);
    else
        workflow_submitted(run->workflow, step, tasks->next_task++);
}

static void finish(struct run *run)
{
    struct tasks *tasks = run->tasks;
    uint64_t number = workflow_get_number(run->workflow);

    if (run->on_done)
        run->on_done(run, run->data);
    state_delete_workflow(tasks->batch, number);
    run_free(run);
    origin_release_workflow(tasks->origin, number, tasks_now(tasks));
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
    case WORKFLOW_CANCEL:
        (void)origin_cancel(run->tasks->origin, action.number, SIGTERM,
                            run->tasks->config->tasks.kill_grace_usec, tasks_now(run->tasks));
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

    list_for_each_safe (link, &tasks->runs)
        if (act(list_entry(link, struct run, link)))
            has_acted = true;
    return has_acted;
}

void runs_on_task(struct tasks *tasks, const struct task *task)
{
    struct run *run = task->spec.workflow > 0 && task_state_is_final(task->state)
                          ? find(tasks, task->spec.workflow)
                          : NULL;

    if (run)
        workflow_ended(run->workflow, task->spec.step, task->state);
}

void runs_on_refused(struct tasks *tasks, const struct task_spec *spec, const char *reason)
{
    struct run *run = spec->workflow > 0 ? find(tasks, spec->workflow) : NULL;

    if (run)
        workflow_refused(run->workflow, spec->step, reason);
}

/* What a restart needs to go on: the list itself, and how it is to be run. */
static char *format_record(const struct tasks_run_options *options)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    json_add_string(json, "file", options->file);
    json_add_string(json, "text", options->text);
    json_add_string(json, "order", workflow_order_name(options->workflow.order));
    json_add_bool(json, "keep_going", options->workflow.is_keep_going);
    json_add_bool(json, "wait_types", options->waits_for_types);
    json_add_string(json, "user", options->grammar.user);
    json_add_u64(json, "retries", options->grammar.retries);
    json_add_u64(json, "retry_delay_usec", options->grammar.retry_delay_usec);
    json_add_u64(json, "retry_on", options->grammar.retry_on);
    return json_format(json);
}

static int add(struct tasks *tasks, uint64_t number, struct workflow_plan *plan,
               const struct tasks_run_options *options, struct run **ret)
{
    struct run *run;

    if (tasks->runs_count >= RUNS_MAX)
        return -ENOBUFS;
    run = calloc(1, sizeof(*run));
    if (!run)
        return -ENOMEM;
    *run = (struct run){.tasks = tasks, .options = *options};
    /* Texts are the caller's; what is needed of them is in the plan and in the database. */
    run->options.file = run->options.text = NULL;
    run->options.grammar.user = NULL;
    int r = workflow_new(number, &options->workflow, plan, &run->workflow);
    if (r < 0) {
        free(run);
        return r;
    }
    list_append(&tasks->runs, &run->link);
    tasks->runs_count++;
    *ret = run;
    return 0;
}

int tasks_run(struct tasks *tasks, struct workflow_plan *plan,
              const struct tasks_run_options *options, void (*on_done)(struct run *run, void *data),
              void *data, struct run **ret)
{
    _cleanup_free_ char *record = format_record(options);
    int r = record ? add(tasks, tasks->next_workflow, plan, options, ret) : -ENOMEM;

    if (r < 0)
        return r;
    state_put_workflow(
        tasks->batch, &(struct state_workflow){.number = tasks->next_workflow++, .record = record});
    (*ret)->on_done = on_done;
    (*ret)->data = data;
    return 0;
}

void tasks_run_start(struct run *run)
{
    workflow_start(run->workflow);
    tasks_pump(run->tasks);
}

void tasks_run_detach(struct run *run)
{
    run->on_done = NULL;
}

const struct workflow *tasks_run_get_workflow(const struct run *run)
{
    return run->workflow;
}

static int parse_record(const cJSON *json, struct tasks_run_options *ret)
{
    const char *order = "strict";
    uint64_t retries = 0, retry_on = 0;

    if (json_get_string(json, "file", &ret->file) <= 0 ||
        json_get_string(json, "text", &ret->text) <= 0 ||
        json_get_string(json, "order", &order) < 0 ||
        json_get_bool(json, "keep_going", &ret->workflow.is_keep_going) < 0 ||
        json_get_bool(json, "wait_types", &ret->waits_for_types) < 0 ||
        json_get_string(json, "user", &ret->grammar.user) <= 0 ||
        json_get_u64(json, "retries", TASK_RETRIES_MAX, &retries) < 0 ||
        json_get_u64(json, "retry_delay_usec", USEC_PER_DAY, &ret->grammar.retry_delay_usec) < 0 ||
        json_get_u64(json, "retry_on", UINT16_MAX, &retry_on) < 0)
        return -EBADMSG;
    int value = workflow_order_parse(order);
    ret->workflow.order = value < 0 ? WORKFLOW_STRICT : (enum workflow_order)value;
    ret->grammar.retries = (uint32_t)retries;
    ret->grammar.retry_on = (unsigned)retry_on;
    return 0;
}

int runs_restore(const struct state_workflow *stored, void *data)
{
    struct tasks *tasks = data;
    struct tasks_run_options options = {0};
    struct grammar_errors errors = {0};
    _cleanup_json_ cJSON *json = NULL;
    _cleanup_(workflow_plan_freep) struct workflow_plan *plan = NULL;
    struct run *run;
    int r = json_parse(stored->record, strlen(stored->record), &json);

    if (r >= 0)
        r = parse_record(json, &options);
    if (r >= 0)
        r = grammar_parse(options.file, options.text, strlen(options.text), &options.grammar, &plan,
                          &errors);
    grammar_errors_done(&errors);
    if (r >= 0)
        r = add(tasks, stored->number, plan, &options, &run);
    if (r < 0)
        return log_error_errno(r, "Cannot take up workflow %llu from the database: %m",
                               (unsigned long long)stored->number);
    TAKE_PTR(plan);
    origin_hold_workflow(tasks->origin, stored->number, tasks_now(tasks));
    for (const struct task *task = NULL;
         (task = origin_next(tasks->origin, task ? task->number : 0));)
        if (task->spec.workflow == stored->number)
            (void)workflow_restore_step(run->workflow, task->spec.step, task->number, task->state);
    workflow_start(run->workflow);
    return 0;
}
