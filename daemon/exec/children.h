/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * All children of this process, also those that came to it because their own parent died: found by
 * looking through /proc.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

/* Kills those children of this process that @is_kept (may be NULL) does not keep. Return: how many.
 */
size_t children_kill(bool (*is_kept)(pid_t pid, void *data), void *data);

struct child_status {
    pid_t parent;
    uint64_t resident; /* bytes of memory, shared ones and those of files too */
};

/* What /proc tells of process @pid. Return: false where there is none. */
bool children_read(pid_t pid, struct child_status *ret);
