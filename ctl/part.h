/* SPDX-License-Identifier: MIT */
#pragma once

/* A file that is written beside its target, and takes its place whole or not at all. */

#include <errno.h>
#include <sys/types.h>

struct part {
    char *path; /* owned; NULL = nothing to remove */
    int fd;     /* owned */
};

#define PART_NONE ((struct part){NULL, -EBADF})

/* @mode: permissions before the umask. Return: 0, or the exit code after telling. */
int part_open(const char *target, mode_t mode, struct part *part);

/* Makes it durable and visible. Return: as above. */
int part_keep(struct part *part, const char *target);

/* Removes it unless it was kept. */
void part_done(struct part *part);
