/* SPDX-License-Identifier: MIT */
#include "part.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/macro.h"
#include "failure.h"

void part_done(struct part *part)
{
    if (part->path)
        unlink(part->path);
    free(part->path);
    close_fd(part->fd);
    *part = PART_NONE;
}

static int tell(const char *target, int error)
{
    return fail(error_from_errno(-error), strerror(error), NULL, "cannot write %s", target);
}

int part_open(const char *target, mode_t mode, struct part *part)
{
    const char *slash = strrchr(target, '/');
    char *path = NULL;
    mode_t mask;

    if (asprintf(&path, "%.*s.p2pctl.XXXXXX", slash ? (int)(slash - target) + 1 : 0, target) < 0)
        return fail_memory();
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        int r = tell(target, errno);
        free(path);
        return r;
    }
    part->path = path;
    part->fd = fd;
    mask = umask(0);
    umask(mask);
    (void)fchmod(fd, mode & ~mask);
    return 0;
}

int part_keep(struct part *part, const char *target)
{
    if (fsync(part->fd) < 0 || rename(part->path, target) < 0)
        return tell(target, errno);
    free(part->path);
    part->path = NULL;
    return 0;
}
