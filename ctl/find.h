/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which daemons run on this machine: the control sockets in the run directories. A socket counts as
 * running where somebody accepts connections on it.
 */

#include <stddef.h>
#include <stdbool.h>

#define FIND_PATH_MAX      108 /* of sun_path */
#define FIND_INSTANCES_MAX 64

struct instance {
    char name[64];
    char path[FIND_PATH_MAX];
};

struct instances {
    struct instance items[FIND_INSTANCES_MAX];
    size_t count;
};

/* A connected socket. Return: the descriptor; negative errno of socket() or connect(). */
int find_connect(const char *path);

/* All that run, by name. */
void find_running(struct instances *ret);

/*
 * The socket of @name: the one that exists, or where it would be. Return: 0; -ENAMETOOLONG; -EINVAL
 * for a name that cannot be one.
 */
int find_path(const char *name, char target[static FIND_PATH_MAX]);

/* "seed, node2": the names of @instances without @except (NULL: all), for a message. */
void find_list(const struct instances *instances, const char *except, char *target, size_t size);
