/* SPDX-License-Identifier: MIT */
#include "exec/group.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "exec/server.h"

#define OWN_GROUP       "exec" /* of p2pnode-exec and the supervisors */
#define CPU_PERIOD_USEC 100000
#define TEXT_SIZE       4096 /* of what is read of a group's files */

static void close_streamp(FILE **stream)
{
    if (*stream)
        (void)fclose(*stream);
}

static int write_text(int fd, const char *name, const char *text)
{
    _cleanup_close_ int file = openat(fd, name, O_WRONLY | O_CLOEXEC);

    if (file < 0 || write(file, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

static int _printf_(3, 4) write_format(int fd, const char *name, const char *format, ...)
{
    char text[64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return write_text(fd, name, text);
}

/* Return: 0 with the beginning of the file as text; or -errno. */
static int read_text(int fd, const char *name, char ret[static TEXT_SIZE])
{
    _cleanup_close_ int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, ret, TEXT_SIZE - 1);

    if (size < 0)
        return -errno;
    ret[size] = '\0';
    return 0;
}

/* "memory" in "cpu io memory pids\n". */
static bool has_word(const char *text, const char *word)
{
    const size_t size = strlen(word);

    for (const char *at = text; (at = strstr(at, word)); at += size)
        if ((at == text || at[-1] == ' ') && strchr(" \n", at[size]))
            return true;
    return false;
}

/* The directory of our group, as the one hierarchy of version 2 is mounted. */
static int find_path(char ret[static PATH_MAX])
{
    char group[TEXT_SIZE], line[TEXT_SIZE], mount[TEXT_SIZE];
    _cleanup_(close_streamp) FILE *mounts = fopen("/proc/self/mountinfo", "re");
    int r = read_text(AT_FDCWD, "/proc/self/cgroup", group);
    char *own = r < 0 ? NULL : strncmp(group, "0::/", 4) == 0 ? group : strstr(group, "\n0::/");

    if (!own || !mounts)
        return r < 0 ? r : -ENOENT;
    own = strchr(own, '/');
    own[strcspn(own, "\n")] = '\0';
    while (fgets(line, sizeof(line), mounts))
        if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s / %4095s", mount) == 1 &&
            mount[0] == '/') {
            if (snprintf(ret, PATH_MAX, "%s%s", mount, own) >= PATH_MAX)
                return -ENAMETOOLONG;
            return 0;
        }
    return -ENOENT;
}

/* Whether this process is alone in its group: the kernel shares out a group only where no process
 * is left in it, and the others are not ours to move. */
static bool is_alone(int fd)
{
    char text[TEXT_SIZE], own[16];

    if (read_text(fd, "cgroup.procs", text) < 0)
        return false;
    snprintf(own, sizeof(own), "%d\n", (int)getpid());
    return strcmp(text, own) == 0;
}

static int _printf_(2, 3) refuse(struct groups *groups, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(groups->reason, sizeof(groups->reason), format, arguments);
    va_end(arguments);
    return -ENOTSUP;
}

static int check(struct groups *groups, int fd)
{
    static const char *const wanted[] = {"cpu", "memory", "pids"};
    char controllers[TEXT_SIZE];

    if (read_text(fd, "cgroup.controllers", controllers) < 0)
        return refuse(groups, "no control groups of version 2");
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (!has_word(controllers, wanted[i]))
            return refuse(groups, "its control group has no controller %s", wanted[i]);
    if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0 ||
        faccessat(fd, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
        faccessat(fd, "cgroup.subtree_control", W_OK, AT_EACCESS) < 0)
        return refuse(groups, "its control group is not delegated to it");
    if (!is_alone(fd))
        return refuse(groups, "other processes are in its control group");
    return 0;
}

/* Moves this process out of the way, and shares the controllers out. */
static int share_out(struct groups *groups, int fd)
{
    _cleanup_close_ int own = -EBADF;
    int r = mkdirat(fd, OWN_GROUP, 0755) < 0 && errno != EEXIST ? -errno : 0;

    if (r == 0) {
        own = openat(fd, OWN_GROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = own < 0 ? -errno : group_join(own);
    }
    if (r == 0)
        r = write_text(fd, "cgroup.subtree_control", "+cpu +memory +pids");
    return r < 0 ? refuse(groups, "its control group cannot be shared out: %s", strerror(-r)) : 0;
}

void groups_open_at(struct groups *groups, const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *groups = (struct groups){.fd = -EBADF};
    if (fd < 0) {
        refuse(groups, "%.100s: %s", path, strerror(errno));
        return;
    }
    if (check(groups, fd) < 0 || share_out(groups, fd) < 0)
        return;
    groups->fd = TAKE_FD(fd);
    groups_sweep(groups);
}

void groups_open(struct groups *groups)
{
    char path[PATH_MAX];

    if (find_path(path) == 0) {
        groups_open_at(groups, path);
        return;
    }
    *groups = (struct groups){.fd = -EBADF};
    refuse(groups, "no control groups of version 2");
}

void groups_done(struct groups *groups)
{
    groups->fd = close_fd(groups->fd);
}

void group_remove(const struct groups *groups, const char *name)
{
    if (unlinkat(groups->fd, name, AT_REMOVEDIR) == 0 || errno != EBUSY)
        return;
    /* Something is left in it, though its supervisor has ended: it was killed. */
    _cleanup_close_ int fd = openat(groups->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)group_kill(fd);
    (void)unlinkat(groups->fd, name, AT_REMOVEDIR);
}

void groups_sweep(const struct groups *groups)
{
    struct dirent *entry;
    int copy = openat(groups->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    if (!dir) {
        close_fd(copy);
        return;
    }
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, SERVER_TASK_PREFIX, strlen(SERVER_TASK_PREFIX)) == 0)
            group_remove(groups, entry->d_name);
    (void)closedir(dir);
}

int group_limit(int fd, const struct exec_limits *limits)
{
    int r = 0;

    if (limits->memory_bytes > 0) {
        r = write_format(fd, "memory.max", "%" PRIu64, limits->memory_bytes);
        if (r == 0) {
            r = write_text(fd, "memory.swap.max", "0");
            r = r == -ENOENT ? 0 : r; /* this kernel does not account for swap */
        }
    }
    if (r == 0)
        r = write_text(fd, "memory.oom.group", "1");
    if (r == 0 && limits->processes > 0)
        r = write_format(fd, "pids.max", "%" PRIu64, limits->processes);
    if (r == 0 && limits->cpus_milli > 0)
        r = write_format(fd, "cpu.max", "%" PRIu64 " %d",
                         (uint64_t)limits->cpus_milli * (CPU_PERIOD_USEC / 1000), CPU_PERIOD_USEC);
    return r;
}

int group_new(const struct groups *groups, const char *name, const struct exec_limits *limits)
{
    _cleanup_close_ int fd = -EBADF;
    int r;

    if (mkdirat(groups->fd, name, 0755) < 0)
        return -errno;
    fd = openat(groups->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = fd < 0 ? -errno : group_limit(fd, limits);
    if (r < 0) {
        (void)unlinkat(groups->fd, name, AT_REMOVEDIR);
        return r;
    }
    return TAKE_FD(fd);
}

int group_join(int fd)
{
    return write_text(fd, "cgroup.procs", "0");
}

int group_freeze(int fd, bool is_frozen)
{
    return write_text(fd, "cgroup.freeze", is_frozen ? "1" : "0");
}

int group_kill(int fd)
{
    return write_text(fd, "cgroup.kill", "1");
}

bool group_has_run_out(int fd)
{
    char text[TEXT_SIZE];
    const char *count;

    if (read_text(fd, "memory.events", text) < 0)
        return false;
    count = strstr(text, "oom_kill ");
    return count && strtoull(count + strlen("oom_kill "), NULL, 10) > 0;
}

uint64_t group_get_peak(int fd)
{
    char text[TEXT_SIZE];

    return read_text(fd, "memory.peak", text) < 0 ? 0 : strtoull(text, NULL, 10);
}
