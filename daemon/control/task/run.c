/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>
#include "base/table.h"
#include "control/task/run.h"
#include "control/task/stranded.h"
#include "tasks/runs.h"

#define COMMAND_TEXT_MAX 512

/* A client that looks on while a list runs; when it goes away, the list goes on. */
struct onlooker {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    uint64_t number;   /* of the run */
    struct tasks_watch watch;
    struct run_watch run_watch;
    struct stranded stranded;
};

static void onlooker_free(struct onlooker *onlooker)
{
    list_remove(&onlooker->watch.link);
    list_remove(&onlooker->run_watch.link);
    stranded_end(&onlooker->stranded);
    free(onlooker);
}

static void on_gone(struct call *call _unused_, void *data)
{
    onlooker_free(data);
}

static void fail_unsaved(struct call *call, int r)
{
    call_fail(call, error_from_errno(r), NULL, "the list cannot be saved: %s", strerror(-r));
}

/* A step without a task: the origin never took it, or has forgotten it. */
static cJSON *new_taskless(const char *name, enum task_state state, const char *reason)
{
    static const char *const empty[] = {"exit", "signal", "reason", "started", "run_s"};
    cJSON *json = cJSON_CreateObject();

    json_add_string(json, "type", "task");
    json_add_null(json, "id");
    json_add_string(json, "state", task_state_name(state));
    json_add_null(json, "node");
    json_add_u64(json, "attempt", 0);
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
        if (reason && strcmp(empty[i], "reason") == 0)
            json_add_string(json, "reason", reason);
        else
            json_add_null(json, empty[i]);
    json_add_string(json, "task", name);
    json_add_u64(json, "in_bytes", 0);
    json_add_u64(json, "out_bytes", 0);
    return json;
}

/* What a task of a list is told as. */
static void tell_task(const struct node *node, struct call *call, const struct task *task,
                      const char *name)
{
    static const char *const keys[] = {"id",     "state",  "node",    "attempt", "exit",
                                       "signal", "reason", "started", "run_s"};

    if (!may_hear_of(call, &task->spec))
        return;
    cJSON *fields = cJSON_CreateObject(), *json = cJSON_CreateObject();
    task_fill(node, task, fields);
    json_add_string(json, "type", "task");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        cJSON_AddItemToObject(json, keys[i],
                              cJSON_DetachItemFromObjectCaseSensitive(fields, keys[i]));
    json_add_string(json, "task", name);
    json_add_u64(json, "in_bytes", task->spec.in.bytes);
    json_add_u64(json, "out_bytes", task->has_end ? task->end.out.bytes : 0);
    cJSON_Delete(fields);
    call_notify(call, json);
}

static void on_task(const struct task *task, void *data)
{
    struct onlooker *onlooker = data;
    struct run *run = task->spec.workflow == onlooker->number
                          ? runs_find(onlooker->node->tasks, onlooker->number)
                          : NULL;

    if (!run || !run_get_workflow(run))
        return;
    const struct workflow_plan *plan = workflow_get_plan(run_get_workflow(run));
    tell_task(onlooker->node, onlooker->call, task, plan->steps[task->spec.step].name);
}

static const struct task *find_stranded(void *data)
{
    const struct onlooker *onlooker = data;
    const struct origin *origin = tasks_get_origin(onlooker->node->tasks);
    const struct task *task = NULL;

    while ((task = origin_next_stranded(origin, task)))
        if (task->spec.workflow == onlooker->number && may_hear_of(onlooker->call, &task->spec))
            return task;
    return NULL;
}

static void tell_stranded(const struct task *task, void *data)
{
    struct onlooker *onlooker = data;
    struct run *run = runs_find(onlooker->node->tasks, onlooker->number);
    char id[TASK_ID_TEXT_MAX];

    if (!run || !run_get_workflow(run))
        return;
    const struct workflow_plan *plan = workflow_get_plan(run_get_workflow(run));
    cJSON *json = cJSON_CreateObject();
    json_add_string(json, "type", "waiting");
    json_add_string(json, "id",
                    task_id_format(task->number, onlooker->node->config->node.name, id));
    json_add_string(json, "task", plan->steps[task->spec.step].name);
    json_add_string(json, "reason", task->reason);
    call_notify(onlooker->call, json);
}

/* Nodes that took part in the run. */
static uint64_t count_nodes(const struct node *node, uint64_t workflow)
{
    const struct origin *origin = tasks_get_origin(node->tasks);
    struct table seen;
    uint64_t count;

    table_init(&seen, sizeof(struct node_id), node->start.generation);
    for (const struct task *task = NULL; (task = origin_next(origin, task ? task->number : 0));)
        if (task->spec.workflow == workflow && *task->node_name)
            (void)table_insert(&seen, &task->node, (void *)(uintptr_t)1);
    count = seen.count;
    table_done(&seen);
    return count;
}

cJSON *run_new_end(const struct node *node, const struct run *run)
{
    struct run_facts facts;
    char id[RUN_ID_TEXT_MAX];
    cJSON *json = cJSON_CreateObject();

    run_get_facts(run, &facts);
    json_add_string(json, "type", "end");
    json_add_string(json, "id", run_id_format(node, run, id));
    json_add_u64(json, "total", facts.statistics.total);
    json_add_u64(json, "succeeded", facts.statistics.succeeded);
    json_add_u64(json, "failed", facts.statistics.failed);
    json_add_u64(json, "skipped", facts.statistics.skipped);
    if (facts.state != RUN_RUNNING) {
        json_add_u64(json, "nodes", count_nodes(node, facts.number));
        json_add_u64(json, "elapsed_ms", run_elapsed(node, run) / USEC_PER_MSEC);
        json_add_u64(json, "exit", facts.state == RUN_SUCCEEDED ? 0 : 1);
    } else {
        json_add_null(json, "nodes");
        json_add_null(json, "elapsed_ms");
        json_add_null(json, "exit");
    }
    return json;
}

/* Steps that the origin never took have no task that could tell. */
static void tell_refused(const struct onlooker *onlooker, const struct workflow *workflow)
{
    const struct workflow_plan *plan = workflow_get_plan(workflow);

    for (uint32_t i = 0; i < plan->steps_count; i++) {
        const char *reason = workflow_get_reason(workflow, i);
        if (*reason && may_hear_of(onlooker->call, &plan->steps[i].spec))
            call_notify(onlooker->call, new_taskless(plan->steps[i].name, TASK_FAILED, reason));
    }
}

static void on_done(int r, struct run *run, void *data)
{
    struct onlooker *onlooker = data;
    struct call *call = onlooker->call;

    if (r < 0) {
        onlooker_free(onlooker);
        fail_unsaved(call, r);
        return;
    }
    tell_refused(onlooker, run_get_workflow(run));
    cJSON *end = run_new_end(onlooker->node, run);
    onlooker_free(onlooker);
    call_reply(call, end);
}

static bool has_type(const cJSON *types, const char *name)
{
    json_for_each (type, types)
        if (strcmp(cJSON_GetObjectItemCaseSensitive(type, "name")->valuestring, name) == 0)
            return true;
    return false;
}

/* Whether the node does not run it for its user, as far as that is known. */
static bool is_refused(const struct place_facts *facts, const struct task_spec *spec,
                       const struct run_users *users)
{
    return facts->check ? facts->check(spec, facts->check_data) == -EACCES
                        : task_spec_get_kind(spec) == TASK_TYPED &&
                              run_users_has(users, &facts->id, spec->type);
}

/* Who does the steps; those that are no typed tasks have "cmd" and "python" as their types. */
static void add_types(struct node *node, const struct call *call, const struct workflow_plan *plan,
                      const struct run_users *users, cJSON *json)
{
    const struct place *place = origin_get_place(tasks_get_origin(node->tasks));
    cJSON *types = cJSON_AddArrayToObject(json, "types");

    for (size_t i = 0; i < plan->steps_count; i++) {
        const struct task_spec *spec = &plan->steps[i].spec;
        if (has_type(types, spec->type) || !may_hear_of(call, spec))
            continue;
        cJSON *type = cJSON_CreateObject();
        json_add_string(type, "name", spec->type);
        cJSON *nodes = cJSON_AddArrayToObject(type, "nodes");
        size_t at = 0;
        for (const struct place_node *other; (other = place_next(place, &at));)
            if (other->facts.state == PLACE_ALIVE && place_handles(&other->facts, spec) &&
                !is_refused(&other->facts, spec, users))
                cJSON_AddItemToArray(nodes, cJSON_CreateString(other->facts.name));
        cJSON_AddItemToArray(types, type);
    }
}

/* The words of a command, as a shell would take them; nothing for a task without any. */
static void add_command(const struct task_spec *spec, cJSON *json)
{
    _cleanup_free_ char *text = NULL, *call = NULL;

    if (spec->args.count > 0)
        text = task_words_format(&spec->args, COMMAND_TEXT_MAX);
    if (spec->python && asprintf(&call, "python %s:%s%s%s", spec->python->file,
                                 spec->python->function, text ? " " : "", text ? text : "") < 0)
        call = NULL;
    json_add_string(json, "command", call ? call : text);
}

static void add_needs(const struct call *call, const struct workflow_plan *plan, size_t step,
                      cJSON *json)
{
    cJSON *needs = cJSON_AddArrayToObject(json, "needs");

    for (size_t i = 0; i < plan->steps[step].needs_count; i++) {
        const struct workflow_step *other = &plan->steps[plan->steps[step].needs[i]];
        if (may_hear_of(call, &other->spec))
            cJSON_AddItemToArray(needs, cJSON_CreateString(other->name));
    }
}

/* The stored files that steps take in: they have to be there when their turn comes. */
static void add_stored(const struct workflow_plan *plan, cJSON *json)
{
    cJSON *stored = cJSON_AddArrayToObject(json, "stored");

    for (size_t i = 0; i < plan->steps_count; i++)
        for (size_t j = 0; j < plan->steps[i].inputs_count; j++) {
            const struct workflow_input *input = &plan->steps[i].inputs[j];
            if (input->type != WORKFLOW_INPUT_STORED)
                continue;
            cJSON *item = cJSON_CreateObject();
            json_add_string(item, "task", plan->steps[i].name);
            json_add_string(item, "name", input->source);
            cJSON_AddItemToArray(stored, item);
        }
}

cJSON *run_new_plan(struct node *node, const struct call *call, const struct workflow_plan *plan,
                    const struct run_users *users, const char *id)
{
    cJSON *json = cJSON_CreateObject();

    json_add_string(json, "type", "plan");
    json_add_string(json, "id", id);
    cJSON *tasks = cJSON_AddArrayToObject(json, "tasks");
    for (size_t i = 0; i < plan->steps_count; i++) {
        if (!may_hear_of(call, &plan->steps[i].spec))
            continue;
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "task", plan->steps[i].name);
        json_add_string(item, "type", plan->steps[i].spec.type);
        json_add_u64(item, "number", plan->steps[i].spec.type_number);
        json_add_u64(item, "step", plan->steps[i].group);
        add_command(&plan->steps[i].spec, item);
        add_needs(call, plan, i, item);
        json_add_u64(item, "out", plan->steps[i].spec.outs.count);
        cJSON_AddItemToArray(tasks, item);
    }
    add_types(node, call, plan, users, json);
    cJSON *inputs = cJSON_AddArrayToObject(json, "inputs");
    /* Which files go along with a list is asked at one's own node alone. */
    for (size_t i = 0; i < plan->locals.count && !call->caller.is_remote; i++)
        cJSON_AddItemToArray(inputs, cJSON_CreateString(plan->locals.items[i]));
    if (!id && !call->caller.is_remote)
        add_stored(plan, json);
    json_add_u64(json, "total", plan->steps_count);
    return json;
}

/* Whether what a task of @step says is of this time: it may be about to be run again. */
static bool is_current(const struct run *run, uint32_t step)
{
    const struct workflow *workflow = run_get_workflow(run);
    enum workflow_step_state state;
    enum task_state end;
    uint64_t number;

    if (!workflow)
        return run_get_end(run, step, &end) > 0;
    state = workflow_get_step(workflow, step, &number);
    return state == WORKFLOW_SUBMITTED || state == WORKFLOW_ENDED;
}

/* What has become of each step so far, for whoever comes later. */
static void tell_steps(struct node *node, struct call *call, const struct run *run,
                       const struct workflow_plan *plan)
{
    _cleanup_free_ const struct task **tasks = run_find_tasks(node, run, plan->steps_count);
    enum task_state state;

    for (uint32_t i = 0; tasks && i < plan->steps_count; i++) {
        const char *name = plan->steps[i].name;
        if (!is_current(run, i) || !may_hear_of(call, &plan->steps[i].spec))
            continue;
        /* What somebody has run once more counts when it has ended. */
        if (tasks[i] && (run_get_workflow(run) || has_ended(node, tasks[i])))
            tell_task(node, call, tasks[i], name);
        else if (run_get_end(run, i, &state) > 0)
            call_notify(call, new_taskless(name, state, NULL));
    }
}

/* The client looks on from now on, until the run or the client ends. */
void run_look_on(struct node *node, struct call *call, struct run *run)
{
    struct onlooker *onlooker = calloc(1, sizeof(*onlooker));
    struct run_facts facts;

    run_get_facts(run, &facts);
    if (!onlooker) {
        fail_memory(call);
        return;
    }
    *onlooker = (struct onlooker){.node = node,
                                  .call = call,
                                  .number = facts.number,
                                  .watch = {.on_task = on_task, .data = onlooker},
                                  .run_watch = {.on_done = on_done, .data = onlooker}};
    onlooker->stranded = (struct stranded){
        .node = node, .find = find_stranded, .tell = tell_stranded, .data = onlooker};
    stranded_begin(&onlooker->stranded);
    tasks_watch(node->tasks, &onlooker->watch);
    run_watch(run, &onlooker->run_watch);
    call_on_gone(call, on_gone, onlooker);
}

/* --- Until it is on the disk --- */

struct run_starting {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed; NULL = nobody waits for the answer any more */
    bool is_detached;
    bool is_again;
};

struct run_starting *run_starting_new(struct node *node, struct call *call, bool is_detached,
                                      bool is_again)
{
    struct run_starting *starting = malloc(sizeof(*starting));

    if (!starting)
        return NULL;
    *starting = (struct run_starting){
        .node = node, .call = call, .is_detached = is_detached, .is_again = is_again};
    call_hold(call, &starting->call);
    return starting;
}

void run_starting_free(struct run_starting *starting)
{
    if (starting->call)
        call_on_gone(starting->call, NULL, NULL);
    free(starting);
}

void run_on_saved(int r, struct run *run, void *data)
{
    struct run_starting starting = *(struct run_starting *)data;
    struct node *node = starting.node;
    struct call *call = starting.call;
    char id[RUN_ID_TEXT_MAX];

    run_starting_free(data);
    if (call && r < 0) {
        fail_unsaved(call, r);
    } else if (call) {
        const struct workflow_plan *plan = workflow_get_plan(run_get_workflow(run));
        call_notify(call, run_new_plan(node, call, plan, NULL, run_id_format(node, run, id)));
        if (starting.is_again && !starting.is_detached)
            tell_steps(node, call, run, plan);
        if (starting.is_detached)
            call_reply(call, run_new_end(node, run));
        else
            run_look_on(node, call, run);
    }
    if (r >= 0)
        run_start(run);
}

/* Looks on where it runs, or tells how it ended. */
static void attach(struct node *node, struct call *call, struct run *run, bool is_detached)
{
    _cleanup_(workflow_plan_freep) struct workflow_plan *plan = NULL;
    char id[RUN_ID_TEXT_MAX];
    int r = run_parse(run, &plan);

    if (r < 0) {
        call_fail(call, error_from_errno(r), NULL, "cannot take up %s: %s",
                  run_id_format(node, run, id), strerror(-r));
        return;
    }
    call_notify(call, run_new_plan(node, call, plan, NULL, run_id_format(node, run, id)));
    if (!is_detached)
        tell_steps(node, call, run, plan);
    if (is_detached || !run_get_workflow(run))
        call_reply(call, run_new_end(node, run));
    else
        run_look_on(node, call, run);
}

/* Goes on with a list that stopped, or looks on where it runs. */
static void resume(struct node *node, struct call *call, struct run *run, bool is_detached)
{
    bool repeats_failed = false, is_attaching = false;
    char id[RUN_ID_TEXT_MAX];

    if (!read_bool(call, "failed", &repeats_failed) || !read_bool(call, "attach", &is_attaching) ||
        (!is_attaching && !run_may_resume(node, call, run)))
        return;
    node_refresh_loads(node);
    if (is_attaching)
        return attach(node, call, run, is_detached);
    struct run_starting *starting = run_starting_new(node, call, is_detached, true);
    if (!starting)
        return fail_memory(call);
    int r = run_resume(run, repeats_failed, run_on_saved, starting);
    if (r >= 0)
        return;
    run_starting_free(starting);
    if (r == -EALREADY || r == -ENOENT)
        attach(node, call, run, is_detached);
    else
        call_fail(call, error_from_errno(r), NULL, "cannot take up %s: %s",
                  run_id_format(node, run, id), strerror(-r));
}

void method_run(struct node *node, struct call *call)
{
    bool is_detached = false;
    const char *id = NULL;

    if (!read_bool(call, "detach", &is_detached) || !read_string(call, "resume", &id))
        return;
    if (!call->wants_more) {
        call_invalid(call, "more");
        return;
    }
    struct run *run = id ? find_run(node, call, id) : NULL;
    if (run)
        resume(node, call, run, is_detached);
    else if (!id)
        run_start_list(node, call, is_detached);
}
