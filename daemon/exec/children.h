/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * All children of this process, also those that came to it because their own parent died: found by
 * looking through /proc.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Kills those children of this process that @is_kept (may be NULL) does not keep. Return: how many.
 */
size_t children_kill(bool (*is_kept)(pid_t pid, void *data), void *data);
