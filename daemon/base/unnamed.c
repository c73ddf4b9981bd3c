/* SPDX-License-Identifier: MIT */
#include "base/unnamed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "base/macro.h"

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

bool unnamed_is_possible(int directory_fd, const char *name)
{
    _cleanup_close_ int fd = unnamed_open(directory_fd, O_WRONLY, 0600);

    return fd >= 0 && unnamed_link(fd, directory_fd, name) == 0 &&
           unlinkat(directory_fd, name, 0) == 0;
}
