/* SPDX-License-Identifier: MIT */

/* Overrides from the environment: P2PNODE_ and the path in capitals with "_" for dots. */

#include "config/load.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"

#define PREFIX       "P2PNODE_"
#define VARIABLE_MAX 64

static void format_variable(const struct key *key, char variable[static VARIABLE_MAX])
{
    size_t length = (size_t)snprintf(variable, VARIABLE_MAX, PREFIX "%s", key->path);

    for (size_t i = 0; i < length; i++)
        variable[i] = variable[i] == '.' ? '_' : (char)toupper((unsigned char)variable[i]);
}

char *config_variable(size_t index)
{
    char variable[VARIABLE_MAX];

    format_variable(&config_keys[index], variable);
    return strdup(variable);
}

/* "a,b": types with the built-in handler. */
static void set_types(struct load *load, const char *variable, const struct key *key,
                      const char *value)
{
    _cleanup_free_ char *copy = strdup(value);
    char *rest = copy;

    value_clear(key, load->config);
    if (!copy)
        load->is_out_of_memory = true;
    for (char *name; rest && *value && (name = strsep(&rest, ","));) {
        if (load->config->tasks.types_count >= key->max) {
            load_complain(load, "environment", "%s: too many types", variable);
            return;
        }
        struct config_type *type = load_add_type(load);
        int r = type ? value_set(&config_type_keys[0], type, name) : -ENOMEM;
        if (r == -EINVAL)
            load_complain_value(load, "environment", variable, &config_type_keys[0], name);
        else
            (void)load_succeeds(load, r);
    }
}

static void set_key(struct load *load, size_t index, const char *variable, const char *value)
{
    const struct key *key = &config_keys[index];
    char origin[VARIABLE_MAX + 8];

    snprintf(origin, sizeof(origin), "env %s", variable);
    load_set_origin(load, index, origin);
    if (key->type == KEY_HOOKS) {
        load_complain(load, "environment", "%s: hooks are set in the file only", variable);
        return;
    }
    if (key->type == KEY_TYPES) {
        set_types(load, variable, key, value);
        return;
    }
    int r = value_set(key, load->config, value);
    if (r == -E2BIG)
        load_complain(load, "environment", "%s: more than %d entries", variable, (int)key->max);
    else if (r == -EINVAL || r == -ERANGE)
        load_complain_value(load, "environment", variable, key, value);
    else
        (void)load_succeeds(load, r);
}

/* Whether @name starts with PREFIX and the name of a section: it was meant for this program. */
static bool is_ours(const char *name)
{
    char variable[VARIABLE_MAX];

    for (size_t i = 0; i < config_keys_length; i++) {
        const char *dot = strchr(config_keys[i].path, '.');
        size_t length = dot ? strlen(PREFIX) + (size_t)(dot - config_keys[i].path) + 1 : 0;

        format_variable(&config_keys[i], variable);
        if (dot && strncmp(name, variable, length) == 0)
            return true;
    }
    return false;
}

static void complain_unknown(struct load *load, const char *name)
{
    char variables[128][VARIABLE_MAX];
    const char *words[129] = {NULL};
    /* What names no section may be another program's. */
    void (*tell)(struct load * load, const char *where, const char *format, ...) _printf_(3, 4) =
        is_ours(name) ? load_complain : load_warn;

    if (strcmp(name, PREFIX "SOCKET") == 0 || strcmp(name, PREFIX "INSTANCE") == 0)
        return; /* p2pctl's */
    for (size_t i = 0; i < MIN(config_keys_length, ARRAY_SIZE(variables)); i++) {
        format_variable(&config_keys[i], variables[i]);
        words[i] = variables[i];
    }
    const char *closest = text_closest(name, words);
    if (closest)
        tell(load, "environment", "unknown variable %.100s; did you mean %s?", name, closest);
    else
        tell(load, "environment", "unknown variable %.100s", name);
}

void load_environment(struct load *load, char *const *environment)
{
    char name[2 * VARIABLE_MAX], variable[VARIABLE_MAX];

    for (; *environment; environment++) {
        const char *equals = strchr(*environment, '=');
        size_t length = equals ? (size_t)(equals - *environment) : 0, i;

        if (!equals || length >= sizeof(name) || strncmp(*environment, PREFIX, strlen(PREFIX)) != 0)
            continue;
        memcpy(name, *environment, length);
        name[length] = '\0';
        for (i = 0; i < config_keys_length; i++) {
            format_variable(&config_keys[i], variable);
            if (strcmp(name, variable) == 0)
                break;
        }
        if (i < config_keys_length)
            set_key(load, i, variable, equals + 1);
        else
            complain_unknown(load, name);
    }
}
