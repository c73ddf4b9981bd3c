/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The private root of a task at level namespaces: a tmpfs that holds the configured paths
 * read-only, a few devices, the task's two directories and a /proc of its own. To be called by the
 * first process of new user, pid and mount namespaces, before it has started anything.
 */

#include <stdbool.h>
#include <sys/types.h>
#include "exec/fence.h"

#define ROOT_WORK  "/task" /* the work directory as the task sees it */
#define ROOT_TMP   "/tmp"
#define ROOT_STAGE "root" /* where the root is put together, in the current directory */

/* The two directories of a task lie side by side: the second is called as the first, and this. */
#define ROOT_TMP_SUFFIX ".tmp"

/*
 * Maps the user and group that the process had outside, and none else. Return: 0; or -errno, with
 * *@step saying in a constant text what failed.
 */
int root_map_user(uid_t uid, gid_t gid, const char **step);

/*
 * Makes and enters the root of the task @name. The current directory is the task's second one, and
 * holds but the directory ROOT_STAGE (empty). Afterwards it is the new "/"; where that fails,
 * ROOT_STAGE is empty again. Return: as above.
 */
int root_enter(const struct fence *fence, const char *name, const char **step);

/*
 * The same in two halves, so that several tasks, one after another, need the first only once: each
 * then has the second in mount and pid namespaces of its own, which a child is made with. The
 * second costs a fraction of both.
 */

/* Whether that can be: no configured path lies in one of the task's directories. */
bool root_can_prepare(const struct fence *fence);

/*
 * Makes and enters the root without what is a task's own. The current directory holds the directory
 * ROOT_STAGE (empty). @root_fd: of the work root. Return: as above.
 */
int root_prepare(const struct fence *fence, int root_fd, const char **step);

/* Adds what is: the two directories of @name in the work root, which is not to be seen any more,
 * and /proc. Return: as above. */
int root_take(const char *name, const char **step);

/* Takes away what is mounted in the task's own directories, so that they can be removed. */
void root_leave(void);
