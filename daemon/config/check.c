/* SPDX-License-Identifier: MIT */

/*
 * What no key can say alone: relations between values. A rule is broken only by what somebody
 * wrote: a default gives way (a quota below the default of files.file_max bounds files by itself).
 */

#include "config/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/address.h"
#include "base/words.h"

static const char *origin_of(const struct load *load, const char *path)
{
    return config_origin(load->config, (size_t)load_find_key(path));
}

static bool is_set(const struct load *load, const char *path)
{
    return strcmp(origin_of(load, path), "default") != 0;
}

/* Told where @path was written, or else where @other was, which made the default wrong. */
static void break_rule(struct load *load, const char *path, const char *other, const char *text)
{
    load_complain(load, origin_of(load, is_set(load, path) ? path : other), "%s: %s", path, text);
}

static void check_times(struct load *load)
{
    const struct config_membership *membership = &load->config->membership;

    if (membership->probe_timeout_usec > membership->probe_interval_usec / 2)
        break_rule(load, "membership.probe_timeout", "membership.probe_interval",
                   "has to be at most half of membership.probe_interval");
}

static void check_sizes(struct load *load)
{
    const struct config *config = load->config;

    if (is_set(load, "files.file_max") && config->files.file_size_max > config->files.quota_size)
        break_rule(load, "files.file_max", "files.quota", "has to be at most files.quota");
    if (is_set(load, "mem.value_max") && config->mem.value_size_max > config->mem.limit_size)
        break_rule(load, "mem.value_max", "mem.limit", "has to be at most mem.limit");
}

static void check_security(struct load *load)
{
    const struct config_security *security = &load->config->security;

    if (!security->encrypt && security->tls && is_set(load, "security.tls"))
        break_rule(load, "security.tls", "security.encrypt",
                   "needs security.encrypt: both use the key ring");
}

static void check_types(struct load *load)
{
    const struct config_tasks *tasks = &load->config->tasks;

    for (size_t i = 0; i < tasks->types_count; i++)
        for (size_t j = 0; j < i; j++)
            if (tasks->types[i].name && tasks->types[j].name &&
                strcmp(tasks->types[i].name, tasks->types[j].name) == 0)
                load_complain(load, origin_of(load, "tasks.types"),
                              "tasks.types: type \"%s\" is there twice", tasks->types[i].name);
}

static bool is_below(const char *path, const struct config_strings *places)
{
    for (size_t i = 0; i < places->count; i++) {
        const char *place = places->items[i];
        size_t size = strlen(place);
        while (size > 0 && place[size - 1] == '/')
            size--;
        if (strncmp(path, place, size) == 0 && (path[size] == '/' || path[size] == '\0'))
            return true;
    }
    return false;
}

int config_find_unseen(const struct config *config, const struct config_type *type, char **ret)
{
    const struct config_sandbox_rules *sandbox = &config->sandbox;
    _cleanup_free_ char **words = NULL;
    char *path;

    if (!config->tasks.enabled || sandbox->mode == CONFIG_SANDBOX_NONE || !type->command)
        return 0;
    int r = words_split(type->command, &words);
    if (r <= 0 || *words[0] != '/' || is_below(words[0], &sandbox->read) ||
        is_below(words[0], &sandbox->write))
        return r == -ENOMEM ? r : 0;
    path = strdup(words[0]);
    if (!path)
        return -ENOMEM;
    *ret = path;
    return 1;
}

/* A handler that no task finds would be told by the log of each task only. */
static void check_handlers(struct load *load)
{
    const struct config_tasks *tasks = &load->config->tasks;

    for (size_t i = 0; i < tasks->types_count; i++) {
        _cleanup_free_ char *path = NULL;
        int r = config_find_unseen(load->config, &tasks->types[i], &path);
        if (r == 1)
            load_warn(load, origin_of(load, "tasks.types"),
                      "tasks.types: type \"%s\": tasks do not see %.200s: it is in neither "
                      "sandbox.read nor sandbox.write",
                      tasks->types[i].name ? tasks->types[i].name : "", path);
        else
            (void)load_succeeds(load, r);
    }
}

/* A file that is made when it is written has to have a place. */
static void check_place(struct load *load, const char *key, const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[LOAD_WHERE_MAX];
    struct stat status;

    if (!slash || slash == path)
        return;
    snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
    if (stat(directory, &status) < 0 && (errno == ENOENT || errno == ENOTDIR))
        load_warn(load, origin_of(load, key), "%s: there is no directory %.200s", key, directory);
}

/* Who listens on IPv4 alone cannot be reached at an IPv6 address. */
static void check_addresses(struct load *load)
{
    struct address address, advertised;

    if (address_parse(load->config->listen.address, 0, &address) == 0 && address.family == 4 &&
        address_parse(load->config->listen.advertise, 0, &advertised) == 0 &&
        advertised.family == 6)
        break_rule(load, "listen.advertise", "listen.address",
                   "is IPv6, but listen.address is IPv4");
}

static void check_seeds(struct load *load)
{
    const struct config *config = load->config;
    uint32_t quorum = config->membership.seed_quorum;
    size_t count = config->all_seeds.count;

    if (config->seeds_file && *config->seeds_file && count == 0)
        load_warn(load, origin_of(load, "seeds_file"), "seeds_file: there is no seed in it");
    if (quorum != CONFIG_QUORUM_ALL && quorum > count && count > 0)
        load_warn(load, origin_of(load, "membership.seed_quorum"),
                  "membership.seed_quorum: %u, but there are %zu seeds: it is that many", quorum,
                  count);
}

void load_check(struct load *load)
{
    if (load->is_out_of_memory)
        return;
    check_times(load);
    check_sizes(load);
    check_security(load);
    check_types(load);
    check_handlers(load);
    check_place(load, "log.file", load->config->log.file);
    check_place(load, "metrics.textfile", load->config->metrics.textfile);
    check_addresses(load);
    check_seeds(load);
}
