/* SPDX-License-Identifier: MIT */
#include "base/disk.h"

#include <sys/statvfs.h>

bool disk_has_no_inodes(int fd)
{
    struct statvfs status;

    /* Where a file system makes them as it needs them, there are none of both. */
    return fstatvfs(fd, &status) == 0 && status.f_files > 0 && status.f_favail == 0;
}
