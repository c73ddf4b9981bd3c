/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Getting hold of a p2pnode-exec: the one that systemd keeps behind a socket, or a child of our
 * own.
 */

#include <stdbool.h>
#include <sys/types.h>

/*
 * @socket_path (may be NULL) is tried first; where nobody listens, and @may_spawn, @program (NULL =
 * the usual places) is started. It gets no environment, no descriptor but the socket and stderr,
 * and a session of its own, so that a Ctrl-C for the daemon is not one for the tasks. Return: 0
 * with *@ret_fd, and *@ret_pid a child to be waited for or 0 where there is none; or -errno, of the
 * connection where there is to be no child.
 */
int launch_exec(const char *socket_path, bool may_spawn, const char *program, const char *work_root,
                int *ret_fd, pid_t *ret_pid);
