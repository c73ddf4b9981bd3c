/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Control groups (cgroup v2) of tasks. Where the group that p2pnode-exec was started in is
 * delegated to its user, as systemd does by Delegate=, p2pnode-exec moves into a group of its own
 * below that, and each task gets one beside it, with limits that the kernel keeps for all of its
 * processes together. A supervisor is never in its task's group: it outlives what it limits.
 */

#include <stdint.h>
#include "exec/message.h"

/* What is needed of the kernel, all at once. */
#define GROUP_CONTROLLERS "cpu memory pids"

struct groups {
    int fd;           /* of the delegated group, owned; negative = there is none */
    char reason[192]; /* why there is none */
};

/*
 * Finds the group of this process and takes it in use; for a process that has no children yet.
 * Never fails: without a group, ->reason says why.
 */
void groups_open(struct groups *groups);

/* The same with the directory @path of a group. */
void groups_open_at(struct groups *groups, const char *path);

void groups_done(struct groups *groups);

/* Removes the groups of tasks that have ended. */
void groups_sweep(const struct groups *groups);

/*
 * A group for one task, called GROUP_TASK_PREFIX and more. Return: a descriptor; or -errno, with
 * nothing left behind.
 */
int group_new(const struct groups *groups, const char *name, const struct exec_limits *limits);

/* Kills what is in it and removes it; what cannot go yet goes with groups_sweep(). */
void group_remove(const struct groups *groups, const char *name);

/* Writes what @limits say into the files of the group @fd. Return: 0 or -errno. */
int group_limit(int fd, const struct exec_limits *limits);

/* Moves this process into the group. Return: 0 or -errno. */
int group_join(int fd);

/* Stops all processes of the group, or lets them go on. Return: 0 or -errno. */
int group_freeze(int fd, bool is_frozen);

/* Kills all processes of the group, frozen ones too. Return: 0 or -errno. */
int group_kill(int fd);

/* Whether processes of the group were killed for want of memory. */
bool group_has_run_out(int fd);

/* The most memory that the group ever used, bytes; 0 where this kernel does not tell. */
uint64_t group_get_peak(int fd);
