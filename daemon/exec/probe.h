/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What this kernel and its administrator allow, found out by doing it: /bin/true is run in each
 * level, best first, exactly as a task would be.
 */

#include "exec/fence.h"
#include "exec/group.h"

struct probe {
    enum exec_level available;       /* the best level that works; EXEC_NONE at least */
    enum exec_level level;           /* what the configuration makes of it */
    char *missing[EXEC_MISSING_MAX]; /* owned; sentences, the first missing_count are set */
    size_t missing_count;
};

/*
 * @work_root is absolute and the current directory. Blocks for a few milliseconds, and for some
 * seconds where /bin/true hangs. Return: 0 or -ENOMEM.
 */
int probe_init(struct probe *probe, const struct fence *fence, const struct groups *groups,
               const char *work_root);
void probe_done(struct probe *probe);
