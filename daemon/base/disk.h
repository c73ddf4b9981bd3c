/* SPDX-License-Identifier: MIT */
#pragma once

/* What a disk refuses beside bytes that it has not. */

#include <errno.h>
#include <stdbool.h>

/* Whether the disk of what @fd has open has room for no further file, however small. */
bool disk_has_no_inodes(int fd);

/* What stands for the EFBIG of a write, where EFBIG is beyond a limit of the configuration. */
#define DISK_FILE_LIMIT EOVERFLOW
#define DISK_FILE_LIMIT_TEXT                                                                       \
    "more than a file may have there by a limit of the process or the file system"
