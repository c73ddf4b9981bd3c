/* SPDX-License-Identifier: MIT */
#pragma once

/* How our own programs are started: nothing of the starter's goes with them but what is listed. */

#include <sys/types.h>

#define SPAWN_FDS_MAX 4

/**
 * spawn_program() - start a program in a session of its own
 * @path: absolute
 * @words: its arguments, the first one being its name; NULL-terminated
 * @environment: NULL-terminated
 * @fds: descriptors that become its 3, 4, ...; the caller's
 * @fds_count: 0..SPAWN_FDS_MAX
 *
 * Its input and output are /dev/null, its errors go where ours go; no other descriptor is open, no
 * signal blocked or ignored. Return: 0 with *@ret_pid, a child to be waited for; or -errno.
 */
int spawn_program(const char *path, char *const *words, char *const *environment, const int *fds,
                  size_t fds_count, pid_t *ret_pid);
