/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "tasks/runs.h"

/* ListWorkflows, ShowWorkflow, ResumeWorkflow, CancelWorkflow: what Run started, and its history.
 */

char *run_id_format(const struct node *node, const struct run *run,
                    char target[static RUN_ID_TEXT_MAX])
{
    struct run_facts facts;

    run_get_facts(run, &facts);
    target[0] = 'w';
    task_id_format(facts.number, node->config->node.name, target + 1);
    return target;
}

usec_t run_elapsed(const struct node *node, const struct run *run)
{
    struct run_facts facts;

    run_get_facts(run, &facts);
    uint64_t end = facts.ended_wall_usec > 0 ? facts.ended_wall_usec : node_wall(node);
    return usec_sub(end, MAX(facts.started_wall_usec, facts.resumed_wall_usec));
}

struct run *find_run(struct node *node, struct call *call, const char *id)
{
    char origin[NODE_NAME_MAX + 1];
    uint64_t number;

    if (task_id_parse(id, "w", &number, origin) < 0) {
        call_fail(call, ERROR_USAGE, "p2pctl workflow list",
                  "\"%s\" is no workflow id; one looks like w7 or w7@lab-01", id);
        return NULL;
    }
    if (pass_to_origin(node, call, origin))
        return NULL;
    struct run *run = runs_find(node->tasks, number);
    if (!run)
        call_fail(call, ERROR_NOT_FOUND, "p2pctl workflow list", "no workflow %s on %s", id,
                  node->config->node.name);
    return run;
}

const struct task **run_find_tasks(struct node *node, const struct run *run, size_t steps)
{
    const struct origin *origin = tasks_get_origin(node->tasks);
    const struct task **tasks = calloc(steps + 1, sizeof(*tasks));
    struct run_facts facts;

    run_get_facts(run, &facts);
    for (const struct task *task = NULL;
         tasks && (task = origin_next(origin, task ? task->number : 0));)
        if (task->spec.workflow == facts.number && task->spec.step < steps)
            tasks[task->spec.step] = task;
    return tasks;
}

/* Its owner's or an administrator's. False: the call has been answered. */
static bool may_change(struct node *node, struct call *call, const struct run *run)
{
    char id[RUN_ID_TEXT_MAX];
    struct run_facts facts;

    run_get_facts(run, &facts);
    if (call->caller.is_admin || strcmp(call->caller.user, facts.options->grammar.user) == 0)
        return true;
    call_fail(call, ERROR_NOT_PERMITTED, NULL, "not permitted: workflow %s belongs to %s",
              run_id_format(node, run, id), facts.options->grammar.user);
    return false;
}

bool run_may_resume(struct node *node, struct call *call, const struct run *run)
{
    return run_get_workflow(run) || may_change(node, call, run);
}

static void fill(const struct node *node, const struct run *run, cJSON *json)
{
    char id[RUN_ID_TEXT_MAX];
    struct run_facts facts;

    run_get_facts(run, &facts);
    json_add_string(json, "id", run_id_format(node, run, id));
    json_add_string(json, "file", facts.options->file);
    json_add_string(json, "user", facts.options->grammar.user);
    json_add_string(json, "state", run_state_name(facts.state));
    json_add_string(json, "order", workflow_order_name(facts.options->workflow.order));
    json_add_bool(json, "keep_going", facts.options->workflow.is_keep_going);
    json_add_u64(json, "total", facts.statistics.total);
    json_add_u64(json, "waiting", facts.statistics.waiting);
    json_add_u64(json, "running", facts.statistics.submitted);
    json_add_u64(json, "succeeded", facts.statistics.succeeded);
    json_add_u64(json, "failed", facts.statistics.failed);
    json_add_u64(json, "skipped", facts.statistics.skipped);
    json_add_time(json, "started", facts.started_wall_usec);
    json_add_time(json, "ended", facts.ended_wall_usec);
    json_add_double(json, "elapsed_s", (double)run_elapsed(node, run) / (double)USEC_PER_SEC);
}

void method_list_workflows(struct node *node, struct call *call)
{
    cJSON *reply = call_new_reply("p2pctl.workflows/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "workflows");
    struct run_facts facts = {0};

    for (struct run *run; (run = runs_next(node->tasks, facts.number));) {
        cJSON *item = cJSON_CreateObject();
        run_get_facts(run, &facts);
        fill(node, run, item);
        cJSON_AddItemToArray(list, item);
    }
    call_reply_list(call, reply, "workflows");
}

/* How a step without a task stands: it waits, was skipped, or its task has been forgotten. */
static const char *state_of(const struct run *run, uint32_t step)
{
    const struct workflow *workflow = run_get_workflow(run);
    enum task_state state;
    uint64_t number;

    if (!workflow)
        return run_get_end(run, step, &state) > 0 ? task_state_name(state) : "skipped";
    switch (workflow_get_step(workflow, step, &number)) {
    case WORKFLOW_WAITING:
        return "waiting";
    case WORKFLOW_SUBMITTED:
        return "pending";
    case WORKFLOW_ENDED:
        return task_state_name(workflow_get_end(workflow, step));
    case WORKFLOW_SKIPPED:
        break;
    }
    return "skipped";
}

static cJSON *new_step(const struct node *node, const struct run *run,
                       const struct workflow_step *step, const struct task *task)
{
    static const char *const keys[] = {"id",   "state",  "node",  "attempt",
                                       "exit", "signal", "run_s", "reason"};
    cJSON *json = cJSON_CreateObject(), *fields = cJSON_CreateObject();
    uint32_t index = step->spec.step;

    json_add_string(json, "task", step->name);
    json_add_u64(json, "step", step->group);
    if (task)
        task_fill(node, task, fields);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        cJSON *value = cJSON_DetachItemFromObjectCaseSensitive(fields, keys[i]);
        cJSON_AddItemToObject(json, keys[i], value ? value : cJSON_CreateNull());
    }
    if (!task) {
        const char *reason = run_get_reason(run, index);
        cJSON_ReplaceItemInObjectCaseSensitive(json, "state",
                                               cJSON_CreateString(state_of(run, index)));
        if (*reason)
            cJSON_ReplaceItemInObjectCaseSensitive(json, "reason", cJSON_CreateString(reason));
    }
    cJSON_Delete(fields);
    return json;
}

void method_show_workflow(struct node *node, struct call *call)
{
    _cleanup_(workflow_plan_freep) struct workflow_plan *plan = NULL;
    const char *id = NULL;
    struct run *run;

    if (!need_string(call, "id", &id) || !(run = find_run(node, call, id)))
        return;
    int r = run_parse(run, &plan);
    if (r < 0) {
        call_fail(call, error_from_errno(r), NULL, "cannot read the list of %s: %s", id,
                  strerror(-r));
        return;
    }
    _cleanup_free_ const struct task **tasks = run_find_tasks(node, run, plan->steps_count);
    cJSON *reply = call_new_reply("p2pctl.workflow/1");
    fill(node, run, reply);
    cJSON *steps = cJSON_AddArrayToObject(reply, "steps");
    for (size_t i = 0; tasks && i < plan->steps_count; i++)
        if (may_hear_of(call, &plan->steps[i].spec))
            cJSON_AddItemToArray(steps, new_step(node, run, &plan->steps[i], tasks[i]));
    call_reply_list(call, reply, "steps");
}

static cJSON *new_reply(const struct node *node, const struct run *run)
{
    cJSON *reply = call_new_reply("p2pctl.workflow/1");

    fill(node, run, reply);
    return reply;
}

/* The answer, until what it tells is on the disk. */
struct taken_up {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed; NULL = nobody waits for the answer any more */
};

static void on_saved(int r, struct run *run, void *data)
{
    struct taken_up *taken_up = data;

    if (r >= 0)
        run_start(run);
    if (taken_up->call && r >= 0)
        call_reply(taken_up->call, new_reply(taken_up->node, run));
    else if (taken_up->call)
        call_fail(taken_up->call, error_from_errno(r), NULL, "the list cannot be saved: %s",
                  strerror(-r));
    free(taken_up);
}

static void resume(struct node *node, struct call *call, struct run *run, const char *id,
                   bool repeats_failed)
{
    struct taken_up *taken_up = malloc(sizeof(*taken_up));

    if (!taken_up)
        return fail_memory(call);
    *taken_up = (struct taken_up){.node = node, .call = call};
    int r = run_resume(run, repeats_failed, on_saved, taken_up);
    if (r >= 0) {
        call_hold(call, &taken_up->call);
        return;
    }
    free(taken_up);
    struct run_facts facts;
    char hint[256];
    run_get_facts(run, &facts);
    snprintf(hint, sizeof(hint),
             r == -EALREADY ? "look on: p2pctl workflow show -f %s"
                            : "to run what failed again: p2pctl workflow resume --failed %s",
             id);
    if (r == -EALREADY)
        call_fail(call, ERROR_CONFLICT, hint, "workflow %s goes on already", id);
    else if (r == -ENOENT)
        call_fail(call, ERROR_CONFLICT,
                  repeats_failed || facts.statistics.failed == 0 ? NULL : hint,
                  "nothing of workflow %s is left to run", id);
    else
        call_fail(call, error_from_errno(r), NULL, "cannot take up %s: %s", id, strerror(-r));
}

void method_resume_workflow(struct node *node, struct call *call)
{
    bool repeats_failed = false;
    const char *id = NULL;
    struct run *run;

    if (!need_string(call, "id", &id) || !read_bool(call, "failed", &repeats_failed) ||
        !(run = find_run(node, call, id)) || !may_change(node, call, run))
        return;
    node_refresh_loads(node);
    resume(node, call, run, id, repeats_failed);
}

void method_cancel_workflow(struct node *node, struct call *call)
{
    usec_t grace = node->config->tasks.kill_grace_usec;
    const char *id = NULL, *signal_name = "TERM";
    struct run *run;

    if (!need_string(call, "id", &id) || !read_string(call, "signal", &signal_name) ||
        !read_usec(call, "grace", &grace))
        return;
    int signal = signal_of(signal_name);
    if (signal < 0) {
        call_invalid(call, "signal");
        return;
    }
    run = find_run(node, call, id);
    if (!run || !may_change(node, call, run))
        return;
    (void)run_cancel(run, signal, grace);
    reply_settled(node, call, new_reply(node, run), "cancelled, but not on the disk");
}
