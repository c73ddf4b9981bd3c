/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A task's directory with "work" and "tmp" in it, which a keeper has for one task after another
 * where each leaves it as it was made: to make and remove three directories for each is a sixth of
 * what it does for a small task. Only for tasks without a sandbox, which reach each other's anyway:
 * of one in a sandbox somebody else may have been given a descriptor.
 */

#include <stdbool.h>
#include <sys/stat.h>

enum place_part {
    PLACE_TOP,
    PLACE_WORK,
    PLACE_TMP,
    _PLACE_PART_MAX,
};

struct place {
    char *name; /* in the work root; owned; NULL = there is none */
    int fds[_PLACE_PART_MAX];
    struct stat made[_PLACE_PART_MAX];
    int flags[_PLACE_PART_MAX]; /* FS_IOC_GETFLAGS */
};

/* Begins to keep what has just been made. @fds: borrowed, as long as it is kept. Without memory it
 * is not kept. */
void place_keep(struct place *place, const char *name, const int fds[static _PLACE_PART_MAX]);

/* Whether all of it is in @root_fd as it was made, but for times: the same empty directories, with
 * nothing beside them, the same rights and no attributes. */
bool place_is_as_made(const struct place *place, int root_fd);

/* The end of that: whoever removes the directory closes the descriptors, too. */
void place_forget(struct place *place);

/* Removes a directory that is as it was made, and forgets it. Harmless where there is none. */
void place_remove(struct place *place, int root_fd);
