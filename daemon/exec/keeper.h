/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A process that holds tasks one after another, so that most tasks need no new one, and no new
 * sandbox from its foundation: forking, the user and net namespaces and the private root are most
 * of what a small task costs. Below level namespaces it is the supervisor itself. From there up it
 * is the first process of namespaces that hold what tasks may not change anyway, and starts a
 * supervisor for each task, with mount, pid and ipc namespaces of the task's own: of a command in
 * the keeper's memory, which waits for it, so nothing is copied, and nothing may be left there.
 *
 * One that a warm helper forked (exec/warm.h) holds functions: the process of each task is a fork
 * of it, so nothing of a task may stay in its memory. What came with a task is overwritten after
 * it, and files of tasks, which would pass through its buffers, are for supervisors that end with
 * the task.
 *
 * p2pnode-exec has one socket to it, the control socket of each of its tasks in turn:
 * SUPERVISOR_FREE tells that nothing is left of the last task, whatever it tried, and only then the
 * next one is sent (exec/request.h). A keeper whose supervisor was killed ends, and so does each
 * after KEEPER_TASKS_MAX tasks; it dies with p2pnode-exec.
 */

#include <sys/types.h>
#include "exec/request.h"

#define KEEPER_TASKS_MAX 1000

/* Whether keepers can hold @job: below level full, and no function with files where the keeper is
 * the supervisor itself. */
bool keeper_can_hold(const struct supervisor_job *job);

/*
 * Holds tasks, in a new process of supervisor_fork(). @request is what the first one came with, if
 * it came so; it is forgotten with it and used for the next ones. Returns only in the process of a
 * function, as supervisor_run() does.
 */
char **keeper_run(const struct supervisor_job *first, struct request *request);

/* Starts one for commands with its first task; otherwise as supervisor_start(). */
int keeper_start(const struct supervisor_job *job, pid_t *ret_pid);
