/* SPDX-License-Identifier: MIT */

/*
 * What no key can say alone: relations between values. A rule is broken only by what somebody
 * wrote: a default gives way (a shorter probe_interval takes the default of probe_timeout along,
 * and a quota below that of files.file_max bounds files by itself).
 */

#include "config/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/address.h"
#include "base/machine.h"
#include "config/programs.h"

#define UNIT_DIR "/etc/p2pnode/"

static const char *origin_of(const struct load *load, const char *path)
{
    return config_origin(load->config, (size_t)load_find_key(path));
}

static bool is_set(const struct load *load, const char *path)
{
    return strcmp(origin_of(load, path), "default") != 0;
}

static void break_rule(struct load *load, const char *path, const char *text)
{
    load_complain(load, origin_of(load, path), "%s: %s", path, text);
}

static void check_times(struct load *load)
{
    struct config_membership *membership = &load->config->membership;
    usec_t max_usec = membership->probe_interval_usec / 2;

    if (membership->probe_timeout_usec <= max_usec)
        return;
    if (is_set(load, "membership.probe_timeout"))
        break_rule(load, "membership.probe_timeout",
                   "has to be at most half of membership.probe_interval");
    else
        membership->probe_timeout_usec = max_usec;
}

static void check_sizes(struct load *load)
{
    const struct config *config = load->config;

    if (is_set(load, "files.file_max") && config->files.file_size_max > config->files.quota_size)
        break_rule(load, "files.file_max", "has to be at most files.quota");
    if (is_set(load, "mem.value_max") && config->mem.value_size_max > config->mem.limit_size)
        break_rule(load, "mem.value_max", "has to be at most mem.limit");
}

static void check_security(struct load *load)
{
    struct config_security *security = &load->config->security;

    if (security->encrypt || !security->tls)
        return;
    if (is_set(load, "security.tls"))
        break_rule(load, "security.tls", "needs security.encrypt: both use the key ring");
    else
        security->tls = false;
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

static void warn_of_program(const struct program_trouble *trouble, void *data)
{
    struct load *load = data;

    load_warn(load, origin_of(load, trouble->key), "%s: %s", trouble->key, trouble->message);
}

/* A file in /etc is that of the unit, where there are units. */
static void check_programs(struct load *load, const char *path)
{
    bool is_unit = path && strncmp(path, UNIT_DIR, strlen(UNIT_DIR)) == 0 && machine_has_systemd();

    (void)load_succeeds(load, programs_check(load->config, is_unit, warn_of_program, load));
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
        break_rule(load, "listen.advertise", "is IPv6, but listen.address is IPv4");
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

void load_check(struct load *load, const char *path)
{
    if (load->is_out_of_memory)
        return;
    check_times(load);
    check_sizes(load);
    check_security(load);
    check_types(load);
    check_programs(load, path);
    check_place(load, "log.file", load->config->log.file);
    check_place(load, "metrics.textfile", load->config->metrics.textfile);
    check_addresses(load);
    check_seeds(load);
}
