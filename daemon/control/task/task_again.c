/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>
#include "base/table.h"
#include "tasks/runs.h"

/* RetryTask and CleanTasks: what can be done with tasks that have ended. */

struct retry {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed; NULL = nobody waits for the answer any more */
    cJSON *reply;      /* owned */
    cJSON *list;       /* in the reply */
    size_t pending, failed;
    int error;      /* of the last that failed */
    bool is_asking; /* more of them are still to be asked for */
};

static void retry_free(struct retry *retry)
{
    cJSON_Delete(retry->reply);
    free(retry);
}

static void finish(struct retry *retry)
{
    struct call *call = retry->call;

    if (retry->pending > 0 || retry->is_asking)
        return;
    if (call && retry->failed > 0)
        call_fail(call, error_from_errno(retry->error), NULL,
                  "%zu of %zu tasks cannot be saved, and stay as they were: %s", retry->failed,
                  retry->failed + (size_t)cJSON_GetArraySize(retry->list), strerror(-retry->error));
    else if (call)
        call_reply(call, TAKE_PTR(retry->reply));
    retry_free(retry);
}

static void on_saved(int r, const struct task *task, const char *reason _unused_, void *data)
{
    struct retry *retry = data;
    cJSON *item = r >= 0 ? cJSON_CreateObject() : NULL;

    retry->pending--;
    if (r < 0) {
        retry->failed++;
        retry->error = r;
    }
    if (item) {
        task_fill(retry->node, task, item);
        cJSON_AddItemToArray(retry->list, item);
    }
    finish(retry);
}

/* Of a workflow that goes on, what becomes of a task is its own business. */
static bool is_in_run(const struct node *node, const struct task *task)
{
    const struct run *run =
        task->spec.workflow > 0 ? runs_find(node->tasks, task->spec.workflow) : NULL;

    return run && run_get_workflow(run);
}

/* Whether every task of the list can be run again: nothing is begun else. */
static bool check_listed(struct node *node, struct call *call, const cJSON *ids, const char *run_on)
{
    json_for_each (id, ids) {
        const struct task *task = find_own_task(node, call, id->valuestring);
        if (!task)
            return false;
        if (!has_ended(node, task)) {
            bool is_unsaved = task_state_is_final(task->state);
            char hint[256];
            snprintf(hint, sizeof(hint), "p2pctl task wait %s%s%s", id->valuestring,
                     is_unsaved ? "" : "\nor end it: p2pctl task cancel ",
                     is_unsaved ? "" : id->valuestring);
            call_fail(call, ERROR_CONFLICT, hint, "task %s has not ended%s", id->valuestring,
                      is_unsaved ? ": its end waits for the disk" : "");
            return false;
        }
        if (is_in_run(node, task)) {
            call_fail(call, ERROR_CONFLICT, NULL, "task %s is a step of a workflow that goes on",
                      id->valuestring);
            return false;
        }
        if (run_on && task->spec.is_confidential && strcmp(run_on, node->config->node.name) != 0) {
            call_fail(call, ERROR_CONFIDENTIAL, NULL, "confidential task %s never leaves %s",
                      id->valuestring, node->config->node.name);
            return false;
        }
    }
    return true;
}

static bool is_failed(const struct node *node, const struct call *call, const struct task *task)
{
    return has_ended(node, task) && task->state != TASK_SUCCEEDED &&
           task->state != TASK_CANCELLED && may_change_task(call, task);
}

static void ask(struct retry *retry, uint64_t number, const char *run_on,
                const struct task_words *args)
{
    struct submission *submission;

    if (tasks_retry(retry->node->tasks, number, run_on, args, on_saved, retry, &submission) >= 0)
        retry->pending++;
}

/* The other words, for the one task of the list. False: the call has been answered. */
static bool read_args(struct node *node, struct call *call, struct task_words *args, bool *ret_has)
{
    const cJSON *array = NULL, *ids = NULL;
    char reason[TASK_REASON_MAX + 1];

    if (!read_array(call, "args", &array) || !read_array(call, "ids", &ids))
        return false;
    if (!array)
        return true;
    if (cJSON_GetArraySize(ids) != 1) {
        call_invalid(call, "args");
        return false;
    }
    const struct task *task = find_own_task(node, call, ids->child->valuestring);
    if (!task || !read_words(call, "args", args) ||
        (task->spec.python && !check_json_args(call, args)))
        return false;
    struct task_spec changed = task->spec; /* for the check: it owns nothing */
    changed.args = *args;
    if (task_spec_check(&changed, reason) < 0) {
        call_fail(call, ERROR_USAGE, NULL, "%s", reason);
        return false;
    }
    *ret_has = true;
    return true;
}

void method_retry_task(struct node *node, struct call *call)
{
    const cJSON *ids = NULL;
    const char *run_on = NULL;
    _cleanup_(task_words_done) struct task_words args = {0};
    bool all_failed = false, has_args = false;

    if (!read_args(node, call, &args, &has_args) || !read_array(call, "ids", &ids) ||
        !read_bool(call, "all_failed", &all_failed) || !read_string(call, "run_on", &run_on))
        return;
    if ((ids != NULL) == all_failed)
        return call_invalid(call, "ids");
    if (run_on && !need_node(node, call, run_on))
        return;
    if (!check_listed(node, call, ids, run_on))
        return;
    struct retry *retry = calloc(1, sizeof(*retry));
    if (!retry)
        return fail_memory(call);
    *retry = (struct retry){.node = node, .call = call, .is_asking = true};
    retry->reply = call_new_reply("p2pctl.tasks/1");
    retry->list = cJSON_AddArrayToObject(retry->reply, "tasks");
    call_hold(call, &retry->call);
    json_for_each (id, ids) {
        const struct task *task = find_task(node, call, id->valuestring);
        ask(retry, task->number, run_on, has_args ? &args : NULL);
    }
    for (const struct task *task = NULL; all_failed && (task = next_task(node, call, task));)
        if (is_failed(node, call, task) && !is_in_run(node, task))
            ask(retry, task->number, run_on, NULL);
    retry->is_asking = false;
    finish(retry);
}

/* --- CleanTasks --- */

/* What is to be dropped, of whom, and what became of it. */
struct clean {
    struct node *node;       /* borrowed */
    const struct call *call; /* borrowed */
    int state;               /* only tasks in it; -1 = all */
    usec_t older_usec;
    bool is_dry_run;
    struct table listed; /* of workflows that keep a task in the list */
    uint64_t tasks, held, workflows;
};

static bool is_old(const struct clean *clean, uint64_t ended_wall_usec)
{
    return usec_sub(node_wall(clean->node), ended_wall_usec) >= clean->older_usec;
}

static bool is_meant(const struct clean *clean, const struct task *task)
{
    return has_ended(clean->node, task) && may_change_task(clean->call, task) &&
           (clean->state < 0 || (int)task->state == clean->state) &&
           is_old(clean, task->ended_wall_usec);
}

/* Of a workflow that has not ended all tasks stay. Return: whether this one goes. */
static bool clean_task(struct clean *clean, const struct task *task)
{
    if (!is_meant(clean, task))
        return false;
    bool goes = clean->is_dry_run ? !is_in_run(clean->node, task)
                                  : tasks_forget(clean->node->tasks, task->number) >= 0;
    clean->tasks += goes;
    clean->held += !goes;
    return goes;
}

static int clean_tasks(struct clean *clean)
{
    struct origin *origin = tasks_get_origin(clean->node->tasks);
    uint64_t next = 0;

    for (const struct task *task; (task = origin_next(origin, next));) {
        next = task->number;
        if (clean_task(clean, task) || task->spec.workflow == 0)
            continue;
        int r = table_insert(&clean->listed, &task->spec.workflow, (void *)(uintptr_t)1);
        if (r < 0 && r != -EEXIST)
            return r;
    }
    return 0;
}

/* Those that have ended go when none of their tasks is listed any more. */
static void clean_workflows(struct clean *clean)
{
    struct run_facts facts = {0};

    for (struct run *run; (run = runs_next(clean->node->tasks, facts.number));) {
        run_get_facts(run, &facts);
        bool is_own = clean->call->caller.is_admin ||
                      strcmp(clean->call->caller.user, facts.options->grammar.user) == 0;
        if (facts.state == RUN_RUNNING || !is_own || !is_old(clean, facts.ended_wall_usec) ||
            table_find(&clean->listed, &facts.number))
            continue;
        clean->workflows++;
        if (!clean->is_dry_run)
            (void)runs_forget(clean->node->tasks, facts.number);
    }
}

void method_clean_tasks(struct node *node, struct call *call)
{
    struct clean clean = {.node = node, .call = call, .state = -1};
    const char *state = NULL;

    if (!read_string(call, "state", &state) || !read_usec(call, "older", &clean.older_usec) ||
        !read_bool(call, "dry_run", &clean.is_dry_run))
        return;
    if (state)
        clean.state = task_state_parse(state);
    if (state && (clean.state < 0 || !task_state_is_final((enum task_state)clean.state)))
        return call_invalid(call, "state");
    table_init(&clean.listed, sizeof(uint64_t), node->start.generation);
    int r = clean_tasks(&clean);
    if (r >= 0)
        clean_workflows(&clean);
    table_done(&clean.listed);
    if (r < 0)
        return fail_memory(call);
    cJSON *reply = call_new_reply("p2pctl.task-clean/1");
    json_add_u64(reply, "cleaned", clean.tasks);
    json_add_u64(reply, "held", clean.held);
    json_add_u64(reply, "workflows", clean.workflows);
    if (clean.is_dry_run)
        call_reply(call, reply);
    else
        reply_dropped(node, call, reply);
}
