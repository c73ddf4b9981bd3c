/* SPDX-License-Identifier: MIT */
#include "service/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include "base/address.h"
#include "base/machine.h"
#include "base/text.h"
#include "config/config.h"
#include "console/render.h"

/* What can be seen of a node that does not run: enough to find out why it does not. */

#define TEXT_SIZE 1024

struct look {
    const struct ctl *ctl;
    cJSON *checks;
    const struct config *config; /* NULL where it cannot be read */
    bool is_degraded;
};

static void _printf_(5, 6) add(struct look *look, const char *check, const char *status,
                               const char *fix, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    cJSON *json = cJSON_CreateObject();

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    json_add_string(json, "check", check);
    json_add_string(json, "status", status);
    json_add_string(json, "message", text);
    json_add_string(json, "fix", fix);
    cJSON_AddItemToArray(look->checks, json);
    look->is_degraded |= strcmp(status, "failed") == 0;
}

static void look_at_daemon(struct look *look)
{
    const char *instance = look->ctl->globals.instance;
    char fix[TEXT_SIZE];

    snprintf(fix, sizeof(fix),
             machine_has_systemd() ? "systemctl start p2pnode@%s" : "start it: p2pnode -i %s",
             instance ? instance : "NAME");
    add(look, "daemon", "failed", fix, "%s%s does not run; what needs it was not checked",
        instance ? "p2pnode " : "p2pnode", instance ? instance : "");
}

/* The file of the instance, where one was named. */
static struct config *read_config(struct look *look)
{
    _cleanup_strings_ struct config_strings errors = {0};
    _cleanup_free_ char *path = NULL;
    struct config *config = NULL;
    char fix[TEXT_SIZE];

    if (!look->ctl->globals.instance)
        return NULL;
    if (asprintf(&path, "/etc/p2pnode/%s.conf", look->ctl->globals.instance) < 0) {
        path = NULL;
        return NULL;
    }
    if (config_load(path, environ, &config, &errors) < 0) {
        snprintf(fix, sizeof(fix), "p2pctl config check %.900s", path);
        add(look, "config", "failed", fix, "%s%s", errors.count > 0 ? errors.items[0] : path,
            errors.count > 1 ? " (and more)" : "");
        return NULL;
    }
    for (size_t i = 0; i < config->warnings.count; i++)
        add(look, "config", "warning", NULL, "%.900s", config->warnings.items[i]);
    add(look, "config", "ok", NULL, "%s has no errors", path);
    return config;
}

/* Whether nobody has it. Return: 0 or a negative errno. */
static int try_port(int type, const struct address *address)
{
    struct sockaddr_storage socket_address;
    socklen_t size = address_to_sockaddr(address, &socket_address);
    _cleanup_close_ int fd = socket(socket_address.ss_family, type | SOCK_CLOEXEC, 0);

    return fd < 0 || bind(fd, (const struct sockaddr *)&socket_address, size) < 0 ? -errno : 0;
}

/* Where the node would listen: what is configured, or all of IPv6 and IPv4. */
static void choose_place(const struct look *look, struct address *ret)
{
    const struct config_listen *listen = look->config ? &look->config->listen : NULL;
    uint16_t port = listen ? (uint16_t)listen->port : CONFIG_PORT_DEFAULT;

    if (listen && *listen->address && address_parse(listen->address, port, ret) == 0)
        return;
    *ret = (struct address){.family = 6, .port = port};
    if (try_port(SOCK_DGRAM, ret) == -EAFNOSUPPORT)
        ret->family = 4;
}

static void look_at_ports(struct look *look)
{
    struct address place;
    char fix[TEXT_SIZE];

    choose_place(look, &place);
    if (place.port == 0) {
        add(look, "ports", "ok", NULL, "any free port will do (listen.port)");
        return;
    }
    int udp = try_port(SOCK_DGRAM, &place), tcp = try_port(SOCK_STREAM, &place);
    snprintf(fix, sizeof(fix), "ss -lunpt 'sport = :%u'; or another listen.port", place.port);
    if (udp < 0)
        add(look, "ports", "failed", fix, "udp %u: %s", place.port, strerror(-udp));
    if (tcp < 0)
        add(look, "ports", "failed", fix, "tcp %u: %s", place.port, strerror(-tcp));
    if (udp >= 0 && tcp >= 0)
        add(look, "ports", "ok", NULL, "udp and tcp %u are free", place.port);
}

static void look_at_clock(struct look *look)
{
    struct timex timex = {.modes = 0};

    if (adjtimex(&timex) < 0)
        add(look, "clock", "skipped", NULL, "cannot tell: %s", strerror(errno));
    else if (timex.status & STA_UNSYNC)
        add(look, "clock", "warning",
            machine_has_systemd() ? "timedatectl set-ntp true     (or install chrony)"
                                  : "run chrony here; in a container: on its host",
            "nothing keeps this machine's clock in time");
    else
        add(look, "clock", "ok", NULL, "kept in time");
}

static void look_at_key(struct look *look)
{
    const char *configured = look->config ? look->config->security.keyring : "keys";
    const char *path = *configured == '/' ? configured : "/etc/p2pnode/keys";
    char fix[TEXT_SIZE];
    struct stat status;

    if (look->config && !look->config->security.encrypt) {
        add(look, "key", "warning", "set security.encrypt = true on all nodes",
            "security.encrypt is off: everyone can read and forge");
    } else if (stat(path, &status) < 0) {
        snprintf(fix, sizeof(fix),
                 "copy it from another node; for the first one: (umask 077; "
                 "p2pctl keys gen > %.500s)",
                 path);
        add(look, "key", "failed", fix, "no key ring: %s: %s", path, strerror(errno));
    } else if (status.st_mode & 077) {
        snprintf(fix, sizeof(fix), "chmod 600 %.900s", path);
        add(look, "key", "failed", fix, "others may read %s", path);
    } else {
        add(look, "key", "ok", NULL, "%s is for its owner alone", path);
    }
}

/* The number in a file of /proc/sys; -1 where it is not there. */
static long read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    long number = -1;

    if (!file)
        return -1;
    if (fscanf(file, "%ld", &number) != 1)
        number = -1;
    fclose(file);
    return number;
}

static void look_at_sandbox(struct look *look)
{
    size_t wrong = 0;

    if (read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0 ||
        read_number("/proc/sys/user/max_user_namespaces") == 0) {
        add(look, "sandbox", "warning",
            "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000",
            "user namespaces are switched off: level landlock at best");
        wrong++;
    }
    if (read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") > 0) {
        add(look, "sandbox", "warning", "load the AppArmor profile p2pnode-exec of the package",
            "AppArmor restricts user namespaces");
        wrong++;
    }
    if (access("/sys/fs/cgroup/cgroup.controllers", R_OK) < 0) {
        add(look, "sandbox", "warning", "boot with systemd.unified_cgroup_hierarchy=1",
            "no cgroup v2 alone: level namespaces at best, memory is watched, not limited as a "
            "whole");
        wrong++;
    }
    if (wrong == 0)
        add(look, "sandbox", "ok", NULL, "user namespaces and cgroup v2 are there");
}

static void look_at_disk(struct look *look)
{
    const char *place = "/var/lib/p2pnode";
    struct statvfs disk;
    char text[RENDER_TEXT_MAX];

    if (statvfs(place, &disk) < 0)
        place = "/var/lib";
    if (statvfs(place, &disk) < 0) {
        add(look, "disk", "skipped", NULL, "%s: %s", place, strerror(errno));
        return;
    }
    double left = (double)disk.f_bavail * (double)disk.f_frsize;
    double reserve = look->config ? (double)look->config->files.reserve_size : 0;
    bool is_full = left <= reserve || disk.f_bavail == 0;
    add(look, "disk", is_full ? "failed" : "ok",
        is_full ? "free some space, or lower files.reserve" : NULL, "%s free at %s",
        render_size(left, text), place);
}

static void look_at_python(struct look *look)
{
    const char *path = look->config ? look->config->python.interpreter : "/usr/bin/python3";
    _cleanup_free_ char *target = realpath(path, NULL);

    if (access(path, X_OK) < 0)
        add(look, "python", "warning", "apt install python3; or set python.interpreter",
            "no Python task could run here: %s: %s", path, strerror(errno));
    else
        add(look, "python", "ok", NULL, "%s is %s", path, target ? target : path);
}

cJSON *doctor_look(const struct ctl *ctl)
{
    static const struct {
        const char *check;
        void (*run)(struct look *look);
    } rows[] = {{"ports", look_at_ports},     {"clock", look_at_clock}, {"key", look_at_key},
                {"sandbox", look_at_sandbox}, {"disk", look_at_disk},   {"python", look_at_python}};
    struct look look = {.ctl = ctl, .checks = cJSON_CreateArray()};
    cJSON *answer = cJSON_CreateObject();

    look_at_daemon(&look);
    _cleanup_(config_freep) struct config *config = read_config(&look);
    look.config = config;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (doctor_wants(ctl, rows[i].check))
            rows[i].run(&look);
    if (doctor_wants(ctl, "cluster"))
        add(&look, "cluster", "skipped", NULL, "only the daemon can tell");
    json_add_string(answer, "schema", "p2pctl.doctor/1");
    json_add_string(answer, "health", look.is_degraded ? "degraded" : "ok");
    cJSON_AddItemToObject(answer, "checks", look.checks);
    return answer;
}
