/* SPDX-License-Identifier: MIT */
#include "base/replace.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "base/macro.h"

static int fill(int fd, const char *data, size_t size, mode_t mode)
{
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0)
            return -errno;
        data += done;
        size -= (size_t)done;
    }
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

int replace_file(const char *path, const void *data, size_t size, mode_t mode)
{
    _cleanup_free_ char *draft = NULL;

    if (asprintf(&draft, "%s.XXXXXX", path) < 0) {
        draft = NULL;
        return -ENOMEM;
    }
    _cleanup_close_ int fd = mkostemp(draft, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fill(fd, data, size, mode);
    if (r >= 0 && rename(draft, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(draft);
    return r;
}
