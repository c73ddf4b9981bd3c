/* SPDX-License-Identifier: MIT */
#include "tasks/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/words.h"
#include "exec/command.h"

static const struct config_type *find_type(const struct tasks *tasks, const char *name)
{
    const struct config_tasks *config = &tasks->config->tasks;

    for (size_t i = 0; i < config->types_count; i++)
        if (strcmp(config->types[i].name, name) == 0)
            return &config->types[i];
    return NULL;
}

/* tasks.types, users: whoever submitted it, wherever. */
static bool may_use(const struct config_type *type, const char *user)
{
    return !type || type->users.count == 0 || config_strings_contain(&type->users, user);
}

bool command_permits(const struct tasks *tasks, enum task_kind kind, const char *type,
                     const char *user)
{
    return kind != TASK_TYPED || !user || may_use(find_type(tasks, type), user);
}

bool tasks_permit(const struct tasks *tasks, const char *type, const char *user)
{
    return may_use(find_type(tasks, type), user);
}

int command_check_spec(const struct task_spec *spec, void *data)
{
    const struct tasks *tasks = data;
    const enum task_kind kind = task_spec_get_kind(spec);

    if (!command_permits(tasks, kind, spec->type, spec->user))
        return -EACCES;
    return slots_get_reached_max(tasks->slots, spec->type, kind) > 0 ? -EBUSY : 0;
}

static int fill_words(const struct tasks *tasks, const struct task_spec *spec,
                      struct command *command)
{
    const struct config_type *type =
        task_spec_get_kind(spec) == TASK_TYPED ? find_type(tasks, spec->type) : NULL;
    const char *text = type && *type->command ? type->command : EXEC_DEMO;
    size_t count = 0;

    if (spec->python) { /* the job says it all */
        command->words = calloc(1, sizeof(*command->words));
        return command->words ? 0 : -ENOMEM;
    }
    if (!spec->is_command && !type)
        return -ENOENT;
    if (!may_use(type, spec->user))
        return -EACCES;
    int handler = spec->is_command ? 0 : words_split(text, &command->handler);
    if (handler < 0)
        return handler;
    command->words = calloc((size_t)handler + spec->args.count + 2, sizeof(*command->words));
    if (!command->words)
        return -ENOMEM;
    for (int i = 0; i < handler; i++)
        command->words[count++] = command->handler[i];
    if (!spec->is_command) {
        snprintf(command->number, sizeof(command->number), "%" PRIu64, spec->type_number);
        command->words[count++] = command->number;
    }
    for (size_t i = 0; i < spec->args.count; i++)
        command->words[count++] = spec->args.items[i];
    return 0;
}

/* Where results go to is no business of p2pnode-exec. */
static int fill_outs(const struct task_spec *spec, struct command *command)
{
    for (size_t i = 0; i < spec->outs.count; i++) {
        size_t size;
        (void)task_out_split(spec->outs.items[i], &size);
        command->outs[i] = strndup(spec->outs.items[i], size);
        if (!command->outs[i])
            return -ENOMEM;
    }
    return 0;
}

struct command *command_free(struct command *command)
{
    if (!command)
        return NULL;
    for (size_t i = 0; command->outs[i]; i++)
        free(command->outs[i]);
    free(command->words);
    free(command->handler);
    free(command);
    return NULL;
}

static void add_variable(struct command *command, size_t *count, const char *format, ...)
    _printf_(3, 4);
static void add_variable(struct command *command, size_t *count, const char *format, ...)
{
    char *text = command->variables[*count];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(command->variables[0]), format, arguments);
    va_end(arguments);
    command->environment[(*count)++] = text;
}

static bool has_path(const struct task_words *env)
{
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], "PATH=", 5) == 0)
            return true;
    return false;
}

/* What cli.md §3 promises; the directories are added by p2pnode-exec. */
static void fill_environment(const struct tasks *tasks, const struct slots_attempt *attempt,
                             struct command *command)
{
    const struct task_spec *spec = &attempt->spec;
    char id[TASK_ID_TEXT_MAX];
    size_t count = 0;

    task_id_format(attempt->key.number, attempt->origin_name, id);
    add_variable(command, &count, "P2P_TASK_ID=%s", id);
    add_variable(command, &count, "P2P_TASK_TYPE=%s", spec->type);
    add_variable(command, &count, "P2P_TASK_NUM=%" PRIu64,
                 task_spec_get_kind(spec) == TASK_TYPED ? spec->type_number : attempt->key.number);
    add_variable(command, &count, "P2P_TASK_ATTEMPT=%" PRIu64, attempt->key.attempt);
    if (spec->workflow > 0)
        add_variable(command, &count, "P2P_WORKFLOW_ID=w%" PRIu64 "@%s", spec->workflow,
                     attempt->origin_name);
    add_variable(command, &count, "P2P_NODE=%s", tasks->config->node.name);
    add_variable(command, &count, "P2P_ORIGIN=%s", attempt->origin_name);
    add_variable(command, &count, "P2P_CLUSTER=%s", tasks->config->node.cluster);
    if (!has_path(&spec->env))
        add_variable(command, &count, "PATH=%s", COMMAND_PATH);
    for (size_t i = 0; i < spec->env.count; i++)
        command->environment[count++] = spec->env.items[i];
    command->environment[count] = NULL;
}

int command_new(const struct tasks *tasks, const struct slots_attempt *attempt,
                struct command **ret)
{
    _cleanup_(command_freep) struct command *command = calloc(1, sizeof(*command));
    int r = command ? fill_words(tasks, &attempt->spec, command) : -ENOMEM;

    if (r >= 0)
        r = fill_outs(&attempt->spec, command);
    if (r < 0)
        return r;
    fill_environment(tasks, attempt, command);
    *ret = TAKE_PTR(command);
    return 0;
}

uint64_t command_get_memory(const struct tasks *tasks, const struct task_spec *spec)
{
    const struct config_type *type =
        task_spec_get_kind(spec) == TASK_TYPED ? find_type(tasks, spec->type) : NULL;

    if (spec->memory_size > 0)
        return spec->memory_size;
    return type && type->memory_size > 0 ? type->memory_size : tasks->config->tasks.memory_size;
}
