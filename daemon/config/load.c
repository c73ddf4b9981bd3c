/* SPDX-License-Identifier: MIT */
#include "config/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERRORS_MAX     200
#define HOST_NAME_SIZE 256

/* Adds "@where: text" to @lines, of which there are so many at most. */
static void _printf_(4, 0) add_line(struct load *load, struct config_strings *lines,
                                    const char *where, const char *format, va_list arguments)
{
    _cleanup_free_ char *text = NULL, *line = NULL;

    if (lines->count >= ERRORS_MAX)
        return;
    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
        load->is_out_of_memory = true;
        return;
    }
    if (asprintf(&line, "%s: %s", where, text) < 0) {
        line = NULL;
        load->is_out_of_memory = true;
        return;
    }
    (void)load_succeeds(load, strings_add(lines, line));
    if (lines->count == ERRORS_MAX - 1)
        (void)load_succeeds(load, strings_add(lines, lines == load->errors
                                                         ? "more errors are not shown"
                                                         : "more warnings are not shown"));
}

void load_complain(struct load *load, const char *where, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_line(load, load->errors, where, format, arguments);
    va_end(arguments);
}

void load_warn(struct load *load, const char *where, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_line(load, &load->config->warnings, where, format, arguments);
    va_end(arguments);
}

void load_complain_value(struct load *load, const char *where, const char *name,
                         const struct key *key, const char *got)
{
    _cleanup_free_ char *wanted = NULL;

    if (!load_succeeds(load, value_describe(key, &wanted)))
        return;
    if (got)
        load_complain(load, where, "%s: %s, not \"%.100s\"", name, wanted, got);
    else
        load_complain(load, where, "%s: %s", name, wanted);
}

bool load_succeeds(struct load *load, int r)
{
    if (r == -ENOMEM)
        load->is_out_of_memory = true;
    return r == 0;
}

void load_set_origin(struct load *load, size_t index, const char *origin)
{
    char *copy = strdup(origin);

    if (!copy) {
        load->is_out_of_memory = true;
        return;
    }
    free(load->config->origins.items[index]);
    load->config->origins.items[index] = copy;
}

int load_find_key(const char *path)
{
    for (size_t i = 0; i < config_keys_length; i++)
        if (strcmp(config_keys[i].path, path) == 0)
            return (int)i;
    return -ENOENT;
}

/* Defaults are part of the program: one that does not parse is a programmer's error. */
static void set_standards(struct load *load, const struct key *keys, size_t length, void *object)
{
    for (size_t i = 0; i < length; i++)
        if (keys[i].type != KEY_TYPES && keys[i].type != KEY_HOOKS)
            (void)load_succeeds(load, value_set(&keys[i], object, keys[i].standard));
}

struct config_type *load_add_type(struct load *load)
{
    struct config_tasks *tasks = &load->config->tasks;
    struct config_type *types =
        reallocarray(tasks->types, tasks->types_count + 1, sizeof(*tasks->types));

    if (!types) {
        load->is_out_of_memory = true;
        return NULL;
    }
    tasks->types = types;
    struct config_type *type = &types[tasks->types_count++];
    *type = (struct config_type){0};
    set_standards(load, config_type_keys + 1, config_type_keys_length - 1, type);
    return type;
}

struct config_hook *load_add_hook(struct load *load)
{
    struct config *config = load->config;
    struct config_hook *hooks =
        reallocarray(config->hooks, config->hooks_count + 1, sizeof(*config->hooks));

    if (!hooks) {
        load->is_out_of_memory = true;
        return NULL;
    }
    config->hooks = hooks;
    hooks[config->hooks_count] = (struct config_hook){0};
    return &hooks[config->hooks_count++];
}

/* The default of node.name. A host without a usable name has to be told one. */
static void name_node(struct load *load)
{
    char host[HOST_NAME_SIZE] = "";
    const char *name = load->config->node.name;
    int index = load_find_key("node.name");

    if (load->is_out_of_memory || (name && *name))
        return;
    (void)gethostname(host, sizeof(host) - 1);
    host[strcspn(host, ".")] = '\0';
    if (*host && load_succeeds(load, value_set(&config_keys[index], load->config, host)))
        return;
    load_complain(load, config_origin(load->config, (size_t)index),
                  "node.name: the host name \"%.63s\" cannot be a node's name; write one", host);
}

/* seeds and the lines of seeds_file; load_seeds_file has put the latter into all_seeds already. */
static void gather_seeds(struct load *load)
{
    struct config *config = load->config;
    struct config_strings from_file = config->all_seeds;

    config->all_seeds = (struct config_strings){0};
    for (size_t i = 0; i < config->seeds.count; i++)
        if (!config_strings_contain(&config->all_seeds, config->seeds.items[i]))
            (void)load_succeeds(load, strings_add(&config->all_seeds, config->seeds.items[i]));
    for (size_t i = 0; i < from_file.count; i++)
        if (!config_strings_contain(&config->all_seeds, from_file.items[i]))
            (void)load_succeeds(load, strings_add(&config->all_seeds, from_file.items[i]));
    config_strings_done(&from_file);
    if (config->all_seeds.count > CONFIG_LIST_MAX)
        load_complain(load, config_origin(config, (size_t)load_find_key("seeds_file")),
                      "seeds_file: more than %d seeds together with \"seeds\"", CONFIG_LIST_MAX);
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    for (size_t i = 0; i < config_keys_length; i++)
        value_clear(&config_keys[i], config);
    config_strings_done(&config->all_seeds);
    config_strings_done(&config->origins);
    config_strings_done(&config->warnings);
    free(config);
    return NULL;
}

int config_load(const char *path, char *const *environment, struct config **ret,
                struct config_strings *errors)
{
    _cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
    struct load load = {.config = config, .errors = errors};

    if (!config)
        return -ENOMEM;
    for (size_t i = 0; i < config_keys_length; i++)
        (void)load_succeeds(&load, strings_add(&config->origins, "default"));
    set_standards(&load, config_keys, config_keys_length, config);
    if (load.is_out_of_memory)
        return -ENOMEM;
    if (path)
        load_file(&load, path);
    if (environment)
        load_environment(&load, environment);
    if (config->seeds_file && *config->seeds_file)
        load_seeds_file(&load);
    name_node(&load);
    gather_seeds(&load);
    load_check(&load, path);
    if (load.is_out_of_memory)
        return -ENOMEM;
    if (errors->count > 0)
        return -EINVAL;
    *ret = TAKE_PTR(config);
    return 0;
}
