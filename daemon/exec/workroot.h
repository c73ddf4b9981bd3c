/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where p2pnode-exec lives and as whom: the directory for the tasks' directories, and the user
 * without rights that it becomes where root started it.
 */

#include "base/macro.h"

/**
 * workroot_enter() - give up root, and make the work root the current directory
 * @path: made if missing, in a directory that is there. If it is there, it belongs to the user that
 * tasks run as, or to root and is empty; what earlier tasks left in it is removed.
 *
 * Started by root, the process becomes user p2pnode-task, or nobody where that is missing. Return:
 * 0 with the absolute path in *@ret, to be freed by the caller; -EPERM for a directory of somebody
 * else; -EWOULDBLOCK where another p2pnode-exec uses it; -EACCES where the user cannot reach it;
 * -ESRCH where neither user exists; or what the system said.
 */
int workroot_enter(const char *path, char **ret);
