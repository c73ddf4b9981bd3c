/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The private root of a task at level namespaces: a tmpfs that holds the configured paths
 * read-only, a few devices, the task's two directories and a /proc of its own. To be called by the
 * first process of new user, pid and mount namespaces, before it has started anything.
 */

#include <sys/types.h>
#include "exec/fence.h"

#define ROOT_WORK "/task" /* the work directory as the task sees it */
#define ROOT_TMP  "/tmp"

/*
 * Maps the user and group that the process had outside, and none else. Return: 0; or -errno, with
 * *@step saying in a constant text what failed.
 */
int root_map_user(uid_t uid, gid_t gid, const char **step);

/*
 * Makes and enters the root. The current directory holds the directories "root" (empty), "work" and
 * "tmp". Afterwards it is the new "/". Return: as above.
 */
int root_enter(const struct fence *fence, const char **step);

/* Takes away what is mounted in the task's own directories, so that they can be removed. */
void root_leave(void);
