/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A warm helper: a process with an interpreter in it that waits for work, so that a task need not
 * start one. It belongs to p2pnode-exec, runs nothing of any task, and knows none: it forks
 * supervisors, or keepers (exec/keeper.h), children of p2pnode-exec like all of them, which make
 * the same sandbox by the same code and fork the task's own process inside. So tasks share nothing
 * but the memory of a helper that has only imported modules.
 *
 * The two ends are of one build. p2pnode-exec sends the configuration, as it got it; the helper
 * answers when it is ready. Then requests (exec/request.h) and answers take turns; with a request
 * comes the supervisor's control socket.
 */

#include <sys/types.h>
#include "exec/supervisor.h"

struct warm_answer {
    pid_t pid; /* of the supervisor; 0 in the first answer; or -errno */
};

/* What the interpreter wants to be told of around a fork. */
struct warm_hooks {
    void (*before)(void);
    void (*after_in_parent)(void);
    void (*after_in_child)(void);
};

/*
 * Serves @socket_fd with the current directory as work root. Ends the process when p2pnode-exec is
 * gone; returns only in the process of a task, with its environment, never freed.
 */
char **warm_serve(int socket_fd, const struct warm_hooks *hooks);
