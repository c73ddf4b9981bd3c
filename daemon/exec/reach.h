/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A work root below a directory that only root may enter, as the state directory of a p2pnode that
 * runs as root is: made reachable for the user that tasks run as, without opening that directory to
 * anybody.
 */

#include <sys/types.h>

/**
 * reach_for() - make an absolute path enterable for @uid, in a mount namespace of this process
 * @path: of a directory, without links
 *
 * Where a directory above it keeps @uid out, an empty one is mounted over that, which holds nothing
 * but the way to @path: so the task also sees nothing else of what is kept from it. Where none
 * does, nothing happens. Needs root. Return: 0; -EPERM where mounting is not allowed; or what the
 * system said.
 */
int reach_for(const char *path, uid_t uid, gid_t gid);
