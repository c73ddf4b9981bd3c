/* SPDX-License-Identifier: MIT */
#include "base/stdfd.h"

#include <fcntl.h>
#include "base/macro.h"

/* A path alone has no content. The directory is for where nobody made devices; a task must not
 * inherit a way to it, so it ends with this program. */
static int open_path(void)
{
    int fd = open("/dev/null", O_PATH | O_NOCTTY);

    return fd < 0 ? open("/", O_PATH | O_CLOEXEC) : fd;
}

int stdfd_hold(void)
{
    /* In this order each gets the lowest free number, which is its own. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open_path() < 0)
            return -errno;
    return 0;
}
