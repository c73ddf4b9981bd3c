/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file that gets its name when it is whole: until then nobody sees it, and nothing of it outlives
 * its descriptor. Where it gets it, one lock of one directory is taken, and no name is given up.
 */

#include <stddef.h>
#include <sys/types.h>

/* On the file system of that directory. Return: a descriptor, or a negative errno. */
int unnamed_open(int directory_fd, int access, mode_t mode);

/* Return: 0, -EEXIST, what else linkat says. The file changes by that, too, so that a sync of the
 * directory alone does not make it durable. */
int unnamed_link(int fd, int directory_fd, const char *name);

/* How many may be there at once, at most @max, of the descriptors that this process may have. 0
 * where it is not possible, tried with @name: not all file systems have it, and a rule of the
 * system may be against it. */
size_t unnamed_count_max(int directory_fd, const char *name, size_t max);
