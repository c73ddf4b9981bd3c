/* SPDX-License-Identifier: MIT */
#pragma once

/* What a disk has left beside bytes. */

#include <stdbool.h>

/* Whether the disk of what @fd has open has room for no further file, however small. */
bool disk_has_no_inodes(int fd);
