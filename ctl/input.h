/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading whole small inputs: a task list, a value. */

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/**
 * input_read() - all of a file
 * @path:  "-" = stdin
 * @max:   bytes; more is a failure,
 * @hint:  and what to do then; NULL for none
 *
 * Return: 0 with *@ret, NUL-terminated beyond @ret_size and owned by the caller; or the exit code.
 */
int input_read(const char *path, size_t max, const char *hint, uint8_t **ret, size_t *ret_size);

/*
 * Whether what @fd has open is a regular file that ends where it says: files of /proc have a
 * content, but no size; those of /sys have less than they say. Return: 1, 0, or what reading said.
 */
int input_has_true_size(int fd, const struct stat *status);

/* Who knows how much there may be. */
struct input_limit {
    int (*ask)(void *data, size_t *ret_max); /* Return: 0, or the exit code after telling */
    void *data;
    const char *hint; /* where it is more; or NULL */
};

/* The same for what is seldom large: the limit is asked for where there is more than @max. */
int input_read_asking(const char *path, size_t max, const struct input_limit *limit, uint8_t **ret,
                      size_t *ret_size);
