/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The steps by which a process that is about to become a task gives up what it may do: limits,
 * privileges, file system, system calls, descriptors. None allocates, and none can be undone.
 */

#include "exec/fence.h"

/*
 * The ruleset for a task of @level, EXEC_LANDLOCK and up, with its directories @work_fd and
 * @tmp_fd; at level namespaces the process is in its private root already. Return: a descriptor, or
 * -errno.
 */
int confine_prepare(const struct fence *fence, enum exec_level level, int work_fd, int tmp_fd);

/*
 * @ruleset is that of confine_prepare(), or negative at EXEC_NONE. Closes all descriptors from
 * @first_closed on, last of all. Return: 0; or -errno, with *@step saying in a constant text what
 * failed.
 */
int confine_enter(const struct fence *fence, enum exec_level level, bool network,
                  const struct exec_limits *limits, int ruleset, unsigned first_closed,
                  const char **step);
