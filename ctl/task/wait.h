/* SPDX-License-Identifier: MIT */
#pragma once

/* Waiting for tasks to end: `task wait`, and `submit --wait`. */

#include <cjson/cJSON.h>
#include "ctl.h"

/* What is waited for. All borrowed. */
struct wait {
    const char *const *ids;
    size_t count;
    bool is_any;         /* one of them is enough */
    const char *state;   /* or NULL: that they have ended */
    const char *timeout; /* a duration, or NULL */
    bool is_elsewhere;   /* -N says whom to ask, and not where a task runs */
};

/**
 * wait_for_tasks() - until what is waited for is there
 * @ret:  the reply of WaitTask, owned by the caller
 *
 * A task that no node can take now is told on stderr, once, with the reason. A daemon that goes
 * away meanwhile is waited for.
 *
 * Return: 0; CLIENT_INTERRUPTED; or the exit code after telling.
 */
int wait_for_tasks(struct ctl *ctl, const struct wait *wait, cJSON **ret);

/*
 * Says on stderr for what @id, a task or a workflow, waits: @task of it where that is not "", and
 * @reason. Nothing with --quiet or --json.
 */
void wait_tell(const struct ctl *ctl, const char *id, const char *task, const char *reason);
