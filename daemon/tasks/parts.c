/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "tasks/runs.h"

#define TASKS_MAX        1000000
#define HELPER_IDLE_USEC (60 * USEC_PER_SEC)
#define ASK_USEC         (50 * USEC_PER_MSEC)

static void fill_origin_config(const struct tasks *tasks, struct origin_config *ret)
{
    const struct config_tasks *config = &tasks->config->tasks;

    *ret = (struct origin_config){.id = tasks->start->id,
                                  .tasks_max = TASKS_MAX,
                                  .lease_usec = config->lease_usec,
                                  .rebalance_after_usec = config->rebalance_after_usec,
                                  .ask_usec = ASK_USEC,
                                  .keep_usec = config->keep_usec,
                                  .keep_failed_usec = config->keep_failed_usec};
    snprintf(ret->name, sizeof(ret->name), "%s", tasks->config->node.name);
}

int parts_make_origin(struct tasks *tasks, uint64_t seed, uint64_t wall_usec)
{
    struct origin_config config;

    fill_origin_config(tasks, &config);
    return origin_new(&config, seed, tasks_now(tasks), wall_usec, &tasks->origin);
}

static uint32_t count_slots(const struct config_tasks *config)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (!config->enabled)
        return 0;
    return config->slots > 0 ? config->slots : (uint32_t)MAX(cpus, 1L);
}

/* @types: room for what @ret borrows. */
static void fill_slots_config(const struct tasks *tasks,
                              struct slots_type types[static SLOTS_TYPES_MAX],
                              struct slots_config *ret)
{
    const struct config_tasks *config = &tasks->config->tasks;
    size_t count = MIN(config->types_count, (size_t)SLOTS_TYPES_MAX);

    for (size_t i = 0; i < count; i++) {
        const usec_t timeout_usec = config->types[i].timeout_usec;
        types[i] = (struct slots_type){.slots = config->types[i].slots,
                                       .max = config->types[i].max,
                                       .timeout_usec = timeout_usec == CONFIG_UNSET ? 0
                                                       : timeout_usec == 0 ? TASK_TIMEOUT_NONE
                                                                           : timeout_usec};
        snprintf(types[i].name, sizeof(types[i].name), "%s", config->types[i].name);
    }
    *ret = (struct slots_config){.id = tasks->start->id,
                                 .has_commands = config->allow_commands,
                                 .has_python = config->allow_python,
                                 .slots = count_slots(config),
                                 .queue_max = config->queue_max,
                                 .is_fifo = config->scheduler == CONFIG_FIFO,
                                 .quantum_usec = config->quantum_usec,
                                 .timeout_usec = config->timeout_usec,
                                 .kill_grace_usec = config->kill_grace_usec,
                                 .types = types,
                                 .types_count = count};
}

int parts_make_slots(struct tasks *tasks, uint64_t seed)
{
    struct slots_type types[SLOTS_TYPES_MAX];
    struct slots_config config;

    fill_slots_config(tasks, types, &config);
    return slots_new(&config, seed, tasks_now(tasks), &tasks->slots);
}

static enum exec_level level_of(enum config_sandbox mode)
{
    switch (mode) {
    case CONFIG_SANDBOX_FULL:
        return EXEC_FULL;
    case CONFIG_SANDBOX_NAMESPACES:
        return EXEC_NAMESPACES;
    case CONFIG_SANDBOX_LANDLOCK:
        return EXEC_LANDLOCK;
    default:
        return EXEC_NONE;
    }
}

/* A NULL-terminated view of a list of the configuration; the caller frees the array. */
static const char **view(const struct config_strings *strings)
{
    const char **items = calloc(strings->count + 1, sizeof(*items));

    for (size_t i = 0; items && i < strings->count; i++)
        items[i] = strings->items[i];
    return items;
}

int parts_make_exec(struct tasks *tasks)
{
    const struct config_sandbox_rules *sandbox = &tasks->config->sandbox;
    const struct config_python *python = &tasks->config->python;
    _cleanup_free_ const char **modules = view(&python->modules);
    _cleanup_free_ const char **read = view(&sandbox->read), **write = view(&sandbox->write);
    _cleanup_free_ char *work_root = NULL;

    if (!tasks->config->tasks.enabled && !hooks_are_wanted(tasks->config))
        return 0;
    if (!read || !write || !modules || asprintf(&work_root, "%s/work", tasks->setup.state_dir) < 0)
        return -ENOMEM;
    const struct exec_config config = {.socket_path = tasks->setup.exec_socket_path,
                                       .is_unit = tasks->setup.is_exec_unit,
                                       .work_root = work_root,
                                       .is_auto = sandbox->mode == CONFIG_SANDBOX_AUTO,
                                       .level = level_of(sandbox->mode),
                                       .network = sandbox->network,
                                       .read = read,
                                       .write = write,
                                       .interpreter = python->interpreter,
                                       .workers = python->workers,
                                       .jobs_max = python->max_jobs,
                                       .helper_idle_usec = HELPER_IDLE_USEC,
                                       .modules = modules};
    if (tasks->exec)
        return exec_configure(tasks->exec, &config);
    return exec_new(tasks->event, &config, &worker_exec_handler, tasks, &tasks->exec);
}

int parts_reload(struct tasks *tasks)
{
    struct slots_type types[SLOTS_TYPES_MAX];
    struct slots_config slots;
    struct origin_config origin;

    fill_origin_config(tasks, &origin);
    origin_set_config(tasks->origin, &origin);
    fill_slots_config(tasks, types, &slots);
    int r = slots_set_config(tasks->slots, &slots, tasks_now(tasks));
    return r < 0 ? r : parts_make_exec(tasks);
}

/* Whether it was the own one in this process' life. */
static bool is_former(const struct tasks *tasks, const struct node_id *id)
{
    return !node_id_is_null(id) && node_id_is_equal(id, &tasks->setup.former);
}

/* The attempt under way of a task that is restored. What was here under the former id is not to be
 * asked for at the node that has the id now. */
static bool has_begun(const struct tasks *tasks, struct task *task)
{
    bool was_former = is_former(tasks, &task->node);
    struct slots_key key = {.origin = was_former ? task->node : tasks->start->id,
                            .number = task->number,
                            .attempt = task->attempt};

    if (was_former && !task_state_is_final(task->state))
        task->node = tasks->start->id;
    return !begun_has_not(tasks->begun, &key, task->node_generation);
}

/* Those of other nodes may be asked for at any time, own ones only after another kill of this
 * daemon, before it is on the disk what became of them. */
static bool is_begun_wanted(const struct slots_key *key, void *data)
{
    const struct tasks *tasks = data;
    const struct task *task = origin_find(tasks->origin, key->number);

    return (!node_id_is_equal(&key->origin, &tasks->start->id) &&
            !is_former(tasks, &key->origin)) ||
           (task && task->attempt == key->attempt);
}

static int restore_task(const struct state_task *stored, void *data)
{
    struct tasks *tasks = data;
    _cleanup_json_ cJSON *json = NULL;
    _cleanup_(task_freep) struct task *task = NULL;
    int r = json_parse(stored->record, strlen(stored->record), &json);

    if (r >= 0)
        r = task_from_json(json, &task);
    if (r >= 0)
        r = origin_restore(tasks->origin, task, has_begun(tasks, task), tasks_now(tasks));
    if (r < 0)
        return log_line_errno(LOG_ERR | LOG_STAYS, r,
                              "Cannot take up task %llu from the database: %m",
                              (unsigned long long)stored->number);
    TAKE_PTR(task);
    return 0;
}

static bool is_output_known(const struct output_key *key, void *data)
{
    const struct tasks *tasks = data;
    struct slots_key slot = {.origin = key->origin, .number = key->number, .attempt = key->attempt};

    return node_id_is_null(&key->origin) ? origin_find(tasks->origin, key->number) != NULL
                                         : slots_find(tasks->slots, &slot) != NULL;
}

/* The bundles of all tasks' inputs, to be looked up by number. */
struct known {
    const struct tasks *tasks;
    struct table inputs;
};

static bool is_bundle_known(const struct bundles_key *key, void *data)
{
    const struct known *known = data;
    struct slots_key slot = {.origin = key->origin, .number = key->number, .attempt = key->attempt};
    const struct task *task;

    if (key->kind == BUNDLES_IN)
        return table_find(&known->inputs, &key->number) != NULL;
    if (!node_id_is_null(&key->origin))
        return slots_find(known->tasks->slots, &slot) != NULL;
    task = origin_find(known->tasks->origin, key->number);
    return task && task->attempt == key->attempt && task->has_end && task->end.out.size > 0;
}

/* What a crash has left behind in files that no record knows. */
static int sweep(struct tasks *tasks)
{
    struct known known = {.tasks = tasks};
    uint64_t run_number = 0;
    int r = output_store_sweep(tasks->outputs, is_output_known, tasks);

    if (r < 0)
        return r;
    table_init(&known.inputs, sizeof(uint64_t), tasks->start->generation);
    for (const struct task *task = NULL;
         r >= 0 && (task = origin_next(tasks->origin, task ? task->number : 0));)
        if (task->spec.in.bundle > 0)
            r = table_insert(&known.inputs, &task->spec.in.bundle, (void *)(uintptr_t)task);
    for (struct run *run; r >= 0 && (run = runs_next(tasks, run_number));) {
        struct run_facts facts;
        run_get_facts(run, &facts);
        run_number = facts.number;
        if (run_get_bundle(run) > 0)
            r = table_insert(&known.inputs, &facts.options->inputs.bundle, run);
    }
    if (r >= 0)
        r = bundles_sweep(tasks->bundles, is_bundle_known, &known);
    table_done(&known.inputs);
    return r;
}

int parts_restore(struct tasks *tasks)
{
    /* All of them: what is too old is forgotten, but what a list still needs. */
    int r = state_load_tasks(tasks->state, 0, restore_task, tasks);

    if (r >= 0)
        r = state_load_results(tasks->state, worker_restore, tasks);
    if (r >= 0)
        r = state_load_workflows(tasks->state, runs_restore, tasks);
    if (r >= 0)
        runs_catch_up(tasks);
    begun_sweep(tasks->begun, is_begun_wanted, tasks);
    return r < 0 ? r : sweep(tasks);
}
