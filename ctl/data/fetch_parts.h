/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Many files that come into one directory, each under its name only when all of them are whole.
 * Until then they have none where the file system can do that, so that nothing of them outlives
 * this process; or a hidden one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FETCH_PARTS_NAME_MAX 40

struct fetch_part {
    int fd; /* owned; -EBADF = it is not open */
    bool has_name;
};

struct fetch_parts {
    int directory_fd;         /* borrowed */
    uint32_t mark;            /* in their names */
    size_t first;             /* number of the first one now: so many were there before */
    struct fetch_part *parts; /* owned array */
    size_t unnamed_left;      /* that may be open without a name */
};

/* Up to @max at once. Return: 0, or a negative errno. */
int fetch_parts_init(struct fetch_parts *parts, int directory_fd, size_t max);
void fetch_parts_done(struct fetch_parts *parts);

/* Part @i, of permissions before the umask. Return: a descriptor, which is lent until
 * fetch_parts_written() or _drop(); or a negative errno. */
int fetch_parts_open(struct fetch_parts *parts, size_t i, mode_t mode);
void fetch_parts_written(struct fetch_parts *parts, size_t i);

/* Gives it its name, which nothing may have. Return: 0, or a negative errno: it is there still. */
int fetch_parts_take_name(struct fetch_parts *parts, size_t i, const char *name);

/* Leaves it under a hidden name, which the caller has then. Return: 0, or a negative errno. */
int fetch_parts_hide(struct fetch_parts *parts, size_t i, char name[static FETCH_PARTS_NAME_MAX]);

/* Removes it, if it is there. */
void fetch_parts_drop(struct fetch_parts *parts, size_t i);
