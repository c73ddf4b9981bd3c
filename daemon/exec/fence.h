/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What all sandboxes of one configuration share, prepared once so that a task costs little: the
 * paths as open descriptors, the kernel's Landlock, the seccomp programs. Made anew for each
 * configuration; a task that runs keeps the copy it was forked with.
 */

#include "exec/filter.h"
#include "exec/landlock.h"
#include "exec/message.h"

#define FENCE_PATHS_MAX (16 + 2 * EXEC_PATHS_MAX)

struct fence_path {
    const char *path; /* borrowed: a constant, or of the fence's configuration */
    int fd;           /* owned, O_PATH */
    enum landlock_right right;
};

struct fence {
    struct exec_configure configure; /* owned */
    int landlock_abi;                /* or -errno */
    struct fence_path *paths;        /* owned; those that exist */
    size_t paths_count;
    struct filter filters[_FILTER_KIND_MAX];
};

/*
 * @configure is taken over on success. Return: 0; -ENOMEM; -EMFILE; or what libseccomp said.
 */
int fence_new(struct exec_configure *configure, struct fence **ret);
struct fence *fence_free(struct fence *fence);
DEFINE_CLEANUP(struct fence *, fence_free)

/* The program for a task of @level, EXEC_LANDLOCK and up. */
const struct filter *fence_get_filter(const struct fence *fence, enum exec_level level,
                                      bool network);
