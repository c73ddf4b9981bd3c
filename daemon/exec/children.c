/* SPDX-License-Identifier: MIT */
#include "exec/children.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"

/* Return: the parent of process @pid, or 0. */
static pid_t get_parent(const char *pid)
{
    char path[64], line[512];
    int parent = 0;

    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (size <= 0)
        return 0;
    line[size] = '\0';
    /* The name before it may hold anything, a parenthesis too. */
    const char *end = strrchr(line, ')');
    if (!end || sscanf(end, ") %*c %d", &parent) != 1)
        return 0;
    return parent;
}

size_t children_kill(bool (*is_kept)(pid_t pid, void *data), void *data)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    size_t count = 0;

    while (proc && (entry = readdir(proc))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || get_parent(entry->d_name) != getpid() || (is_kept && is_kept(pid, data)))
            continue;
        /* A child's number is not used again before we have waited for it. */
        if (kill(pid, SIGKILL) == 0)
            count++;
    }
    if (proc)
        (void)closedir(proc);
    return count;
}
