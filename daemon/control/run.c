/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>
#include "base/table.h"

/* A client that looks on while its list runs; when it goes away, the list goes on. */
struct onlooker {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct run *run;   /* borrowed until done */
    struct tasks_watch watch;
    usec_t started_usec;
};

static void onlooker_free(struct onlooker *onlooker)
{
    list_remove(&onlooker->watch.link);
    free(onlooker);
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct onlooker *onlooker = data;

    tasks_run_detach(onlooker->run);
    onlooker_free(onlooker);
}

static uint64_t number_of(const struct run *run)
{
    return workflow_get_number(tasks_run_get_workflow(run));
}

static void on_task(const struct task *task, void *data)
{
    struct onlooker *onlooker = data;
    const struct workflow_plan *plan;
    static const char *const keys[] = {"id",   "state",  "node",  "attempt",
                                       "exit", "signal", "reason"};

    if (task->spec.workflow != number_of(onlooker->run))
        return;
    plan = workflow_get_plan(tasks_run_get_workflow(onlooker->run));
    cJSON *fields = cJSON_CreateObject(), *json = cJSON_CreateObject();
    task_fill(onlooker->node, task, fields);
    json_add_string(json, "type", "task");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        cJSON_AddItemToObject(json, keys[i],
                              cJSON_DetachItemFromObjectCaseSensitive(fields, keys[i]));
    json_add_string(json, "task", plan->steps[task->spec.step].name);
    cJSON_Delete(fields);
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

static cJSON *new_end(const struct node *node, const struct workflow *workflow, bool has_ended,
                      usec_t elapsed)
{
    struct workflow_statistics statistics;
    char id[TASK_ID_TEXT_MAX + 1] = "w";
    cJSON *json = cJSON_CreateObject();

    workflow_get_statistics(workflow, &statistics);
    task_id_format(workflow_get_number(workflow), node->config->node.name, id + 1);
    json_add_string(json, "type", "end");
    json_add_string(json, "id", id);
    json_add_u64(json, "total", statistics.total);
    json_add_u64(json, "succeeded", statistics.succeeded);
    json_add_u64(json, "failed", statistics.failed);
    if (has_ended) {
        bool is_fine = statistics.succeeded == statistics.total;
        json_add_u64(json, "nodes", count_nodes(node, workflow_get_number(workflow)));
        json_add_u64(json, "elapsed_ms", elapsed / USEC_PER_MSEC);
        json_add_u64(json, "exit", is_fine ? 0 : 1);
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
        if (!*reason)
            continue;
        cJSON *json = cJSON_CreateObject();
        json_add_string(json, "type", "task");
        json_add_null(json, "id");
        json_add_string(json, "state", "failed");
        json_add_null(json, "node");
        json_add_u64(json, "attempt", 0);
        json_add_null(json, "exit");
        json_add_null(json, "signal");
        json_add_string(json, "reason", reason);
        json_add_string(json, "task", plan->steps[i].name);
        call_notify(onlooker->call, json);
    }
}

static void on_done(struct run *run, void *data)
{
    struct onlooker *onlooker = data;
    struct call *call = onlooker->call;
    const struct workflow *workflow = tasks_run_get_workflow(run);

    tell_refused(onlooker, workflow);
    cJSON *end =
        new_end(onlooker->node, workflow, true, node_now(onlooker->node) - onlooker->started_usec);
    call_on_gone(call, NULL, NULL);
    onlooker_free(onlooker);
    call_reply(call, end);
}

static void add_types(struct node *node, const struct workflow_plan *plan, cJSON *json)
{
    const struct place *place = origin_get_place(tasks_get_origin(node->tasks));
    cJSON *types = cJSON_AddArrayToObject(json, "types");

    for (size_t i = 0; i < plan->steps_count; i++) {
        const char *name = plan->steps[i].spec.type;
        bool is_known = false;
        json_for_each (type, types)
            is_known =
                is_known ||
                strcmp(cJSON_GetObjectItemCaseSensitive(type, "name")->valuestring, name) == 0;
        if (is_known || plan->steps[i].spec.is_command)
            continue;
        cJSON *type = cJSON_CreateObject();
        json_add_string(type, "name", name);
        cJSON *nodes = cJSON_AddArrayToObject(type, "nodes");
        size_t at = 0;
        for (const struct place_node *other; (other = place_next(place, &at));)
            for (size_t j = 0; j < other->facts.types_count; j++)
                if (other->facts.state == PLACE_ALIVE && strcmp(other->facts.types[j], name) == 0)
                    cJSON_AddItemToArray(nodes, cJSON_CreateString(other->facts.name));
        cJSON_AddItemToArray(types, type);
    }
}

static cJSON *new_plan(struct node *node, const struct workflow_plan *plan, const char *id)
{
    cJSON *json = cJSON_CreateObject();

    json_add_string(json, "type", "plan");
    json_add_string(json, "id", id);
    cJSON *tasks = cJSON_AddArrayToObject(json, "tasks");
    for (size_t i = 0; i < plan->steps_count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "task", plan->steps[i].name);
        json_add_string(item, "type", plan->steps[i].spec.type);
        json_add_u64(item, "number", plan->steps[i].spec.type_number);
        json_add_u64(item, "step", plan->steps[i].group);
        cJSON_AddItemToArray(tasks, item);
    }
    add_types(node, plan, json);
    json_add_u64(json, "total", plan->steps_count);
    return json;
}

static void fail_grammar(struct call *call, const char *file, const struct grammar_errors *errors)
{
    cJSON *parameters = cJSON_CreateObject();
    char message[512];

    snprintf(message, sizeof(message), "%.255s: %zu error%s, nothing was started", file,
             errors->count, errors->count == 1 ? "" : "s");
    json_add_string(parameters, "message", message);
    json_add_null(parameters, "hint");
    cJSON *details = cJSON_AddArrayToObject(parameters, "details");
    for (size_t i = 0; i < errors->lines_count; i++)
        cJSON_AddItemToArray(details, cJSON_CreateString(errors->lines[i]));
    call_fail_as(call, error_get_varlink(ERROR_USAGE), parameters);
}

/* Every type has somebody, unless that is waited for. False: the call has been answered. */
static bool check_types(struct node *node, struct call *call, const struct workflow_plan *plan,
                        const char *file)
{
    const struct place *place = origin_get_place(tasks_get_origin(node->tasks));
    char hint[512];

    for (size_t i = 0; i < plan->steps_count; i++) {
        if (place_has_handler(place, &plan->steps[i].spec))
            continue;
        snprintf(hint, sizeof(hint),
                 "see who does what: p2pctl types\nto wait until one appears: p2pctl run "
                 "--wait-types %.255s",
                 file);
        fail_no_handler(node, call, plan->steps[i].spec.type, hint);
        return false;
    }
    return true;
}

static bool read_options(struct node *node, struct call *call, struct tasks_run_options *options)
{
    const char *order = "strict";
    uint64_t retries = node->config->tasks.retries;

    options->file = "tasks.txt";
    if (!need_string(call, "text", &options->text) || !read_string(call, "file", &options->file) ||
        !read_string(call, "order", &order) ||
        !read_bool(call, "keep_going", &options->workflow.is_keep_going) ||
        !read_u64(call, "retries", TASK_RETRIES_MAX, &retries) ||
        !read_bool(call, "wait_types", &options->waits_for_types))
        return false;
    int value = workflow_order_parse(order);
    if (value < 0) {
        call_invalid(call, "order");
        return false;
    }
    options->workflow.order = (enum workflow_order)value;
    options->grammar =
        (struct grammar_options){.retries = (uint32_t)retries,
                                 .retry_delay_usec = node->config->tasks.retry_delay_usec,
                                 .retry_on = retry_on_of(node->config),
                                 .user = call->caller.user};
    return true;
}

/* Starts the run, with the client looking on or not. */
static void start(struct node *node, struct call *call, struct workflow_plan **plan,
                  const struct tasks_run_options *options, bool is_detached)
{
    struct onlooker *onlooker = calloc(1, sizeof(*onlooker));
    char id[TASK_ID_TEXT_MAX + 1] = "w";
    struct run *run;
    int r = onlooker ? tasks_run(node->tasks, *plan, options, is_detached ? NULL : on_done,
                                 onlooker, &run)
                     : -ENOMEM;

    if (r < 0) {
        free(onlooker);
        call_fail(call, error_from_errno(r), NULL, "cannot start the list: %s", strerror(-r));
        return;
    }
    TAKE_PTR(*plan);
    task_id_format(number_of(run), node->config->node.name, id + 1);
    call_notify(call, new_plan(node, workflow_get_plan(tasks_run_get_workflow(run)), id));
    if (is_detached) {
        free(onlooker);
        call_reply(call, new_end(node, tasks_run_get_workflow(run), false, 0));
        tasks_run_start(run);
        return;
    }
    *onlooker = (struct onlooker){.node = node,
                                  .call = call,
                                  .run = run,
                                  .watch = {.on_task = on_task, .data = onlooker},
                                  .started_usec = node_now(node)};
    tasks_watch(node->tasks, &onlooker->watch);
    call_on_gone(call, on_gone, onlooker);
    tasks_run_start(run);
}

static void show_plan(struct node *node, struct call *call, const struct workflow_plan *plan)
{
    cJSON *end = cJSON_CreateObject();
    static const char *const empty[] = {"id", "succeeded", "failed", "nodes", "elapsed_ms", "exit"};

    call_notify(call, new_plan(node, plan, NULL));
    json_add_string(end, "type", "end");
    json_add_u64(end, "total", plan->steps_count);
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
        json_add_null(end, empty[i]);
    call_reply(call, end);
}

void method_run(struct node *node, struct call *call)
{
    struct tasks_run_options options = {0};
    struct grammar_errors errors = {0};
    _cleanup_(workflow_plan_freep) struct workflow_plan *plan = NULL;
    bool is_detached = false, is_dry_run = false;

    if (!read_options(node, call, &options) || !read_bool(call, "detach", &is_detached) ||
        !read_bool(call, "dry_run", &is_dry_run))
        return;
    if (!call->wants_more)
        return call_invalid(call, "more");
    node_refresh_loads(node);
    int r = grammar_parse(options.file, options.text, strlen(options.text), &options.grammar, &plan,
                          &errors);
    if (r == -EINVAL)
        fail_grammar(call, options.file, &errors);
    else if (r < 0)
        fail_memory(call);
    else if (is_dry_run)
        show_plan(node, call, plan);
    else if (options.waits_for_types || check_types(node, call, plan, options.file))
        start(node, call, &plan, &options, is_detached);
    grammar_errors_done(&errors);
}
