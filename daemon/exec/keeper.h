/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A process that holds tasks one after another, so that most tasks need no new one, and no new
 * sandbox from its foundation: forking, the user and net namespaces and the private root are most
 * of what a small task costs. Below level namespaces it is the supervisor itself. From there up it
 * is the first process of namespaces that hold what tasks may not change anyway, and forks a
 * supervisor for each task, with mount, pid and ipc namespaces of the task's own.
 *
 * p2pnode-exec has one socket to it, the control socket of each of its tasks in turn:
 * SUPERVISOR_FREE tells that nothing is left of the last task, whatever it tried, and only then the
 * next one is sent (exec/request.h). A keeper whose supervisor was killed ends, and so does each
 * after KEEPER_TASKS_MAX tasks; it dies with p2pnode-exec.
 */

#include <sys/types.h>
#include "exec/request.h"

#define KEEPER_TASKS_MAX 1000

/* Whether keepers can hold @job: a command, below level full. Functions have warm helpers, which
 * have to forget a task with its process: what is in their memory is in that of the next. */
bool keeper_can_hold(const struct supervisor_job *job);

/* Starts one with its first task; otherwise as supervisor_start(). */
int keeper_start(const struct supervisor_job *job, pid_t *ret_pid);
