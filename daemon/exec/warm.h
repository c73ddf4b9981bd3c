/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A warm helper: a process with an interpreter in it that waits for work, so that a task need not
 * start one. It belongs to p2pnode-exec, runs nothing of any task, and knows none: for each it
 * forks a supervisor, a child of p2pnode-exec like all of them, which makes the same sandbox by the
 * same code and forks the task's own process inside. So tasks share nothing but the memory of a
 * helper that has only imported modules.
 *
 * The two ends are of one build. p2pnode-exec sends the configuration, as it got it; the helper
 * answers when it is ready. Then requests and answers take turns. Everything is one message of a
 * SOCK_SEQPACKET socket; a request is struct warm_request and the text of its start message, with
 * the supervisor's control socket and the message's own descriptors.
 */

#include <sys/types.h>
#include "exec/supervisor.h"

#define WARM_NAME_MAX 32
#define WARM_FDS_MAX  (1 + EXEC_FDS_MAX)

struct warm_request {
    enum exec_level level;
    bool network;
    char name[WARM_NAME_MAX]; /* of the task's directory */
};

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
