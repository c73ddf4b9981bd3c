/* SPDX-License-Identifier: MIT */
#pragma once

/* A file that is written beside its target, and takes its place whole or not at all. */

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

struct part {
    char *path;        /* owned; NULL = nothing to remove */
    int fd;            /* owned */
    bool is_resumable; /* it stays where it is not kept, for the next part_open_again() */
    char *other;       /* owned; what an earlier one left and somebody had, or NULL */
};

#define PART_NONE ((struct part){NULL, -EBADF, false, NULL})
#define PART_MODE ((mode_t)0600) /* until it has all that it is to have */

/* What a new file of the user is denied. */
mode_t part_get_umask(void);

/* @mode: permissions before the umask. Return: 0, or the exit code after telling. */
int part_open(const char *target, mode_t mode, struct part *part);

/*
 * The same for what may be long: with what an earlier one left of the target, if nobody else works
 * on that; the daemon may have to notice first that nobody does. Only for its owner until it is
 * kept. part->is_resumable says whether it has the name by which the next one finds it.
 */
int part_open_again(const char *target, struct part *part);

/*
 * Makes it durable and visible. @hint: how to have replaced what is there by now, which stays; NULL
 * = it is replaced. Return: as above.
 */
int part_keep(struct part *part, const char *target, const char *hint);

/* Makes it visible; whoever has many syncs them all before. @hint and return: as above. */
int part_rename(struct part *part, const char *target, const char *hint);

/* That @target is there, and how it is replaced. Return: the exit code. */
int part_fail_exists(const char *target, const char *hint);

/* Removes it unless it was kept, or is resumable and long. */
void part_done(struct part *part);
