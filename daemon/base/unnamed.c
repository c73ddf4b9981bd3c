/* SPDX-License-Identifier: MIT */
#include "base/unnamed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/macro.h"

#define LIMIT_SHARE 4 /* the rest is for all else */

int unnamed_open(int directory_fd, int access, mode_t mode)
{
    int fd = openat(directory_fd, ".", access | O_TMPFILE | O_CLOEXEC, mode);

    return fd < 0 ? -errno : fd;
}

int unnamed_link(int fd, int directory_fd, const char *name)
{
    char path[sizeof("/proc/self/fd/") + 10];

    if (linkat(fd, "", directory_fd, name, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    /* Before Linux 6.10 that takes a capability. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, directory_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static bool is_possible(int directory_fd, const char *name)
{
    _cleanup_close_ int fd = unnamed_open(directory_fd, O_WRONLY, 0600);

    return fd >= 0 && unnamed_link(fd, directory_fd, name) == 0 &&
           unlinkat(directory_fd, name, 0) == 0;
}

size_t unnamed_count_max(int directory_fd, const char *name, size_t max)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || !is_possible(directory_fd, name))
        return 0;
    return (size_t)MIN(limit.rlim_cur / LIMIT_SHARE, (rlim_t)max);
}
