/* SPDX-License-Identifier: MIT */
#include "exec/children.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"

#define PARENT_FIELD   4 /* of /proc/PID/stat, from 1 */
#define RESIDENT_FIELD 24

static const char *skip_fields(const char *text, int count)
{
    for (; text && count > 0; count--) {
        text = strchr(text, ' ');
        text += text ? 1 : 0;
    }
    return text;
}

bool children_read(pid_t pid, struct child_status *ret)
{
    char path[64], line[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (size <= 0)
        return false;
    line[size] = '\0';
    /* The name, the second field, may hold anything, a parenthesis too. */
    const char *parent = skip_fields(strrchr(line, ')'), PARENT_FIELD - 2);
    const char *resident = skip_fields(parent, RESIDENT_FIELD - PARENT_FIELD);
    if (!resident)
        return false;
    ret->parent = (pid_t)strtol(parent, NULL, 10);
    ret->resident = strtoull(resident, NULL, 10) * (unsigned long long)sysconf(_SC_PAGESIZE);
    return true;
}

size_t children_kill(bool (*is_kept)(pid_t pid, void *data), void *data)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    size_t count = 0;

    while (proc && (entry = readdir(proc))) {
        struct child_status status;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || !children_read(pid, &status) || status.parent != getpid() ||
            (is_kept && is_kept(pid, data)))
            continue;
        /* A child's number is not used again before we have waited for it. */
        if (kill(pid, SIGKILL) == 0)
            count++;
    }
    if (proc)
        (void)closedir(proc);
    return count;
}
