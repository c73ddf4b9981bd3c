/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The process that holds one task: forked from p2pnode-exec or by a keeper, it makes the task's
 * directories and sandbox, runs the command as its child, passes signals on, kills whatever the
 * command leaves behind, reports how it ended, and removes the directories. It is the first process
 * of the task's pid namespace or, without one, the reaper of all its descendants, so that nothing
 * escapes it. It dies with p2pnode-exec.
 */

#include <sys/types.h>
#include "exec/fence.h"

#define SUPERVISOR_EXTRA_MAX 2

/* From the supervisor, over @control: at most one STARTED, with the wall_usec for which it has run
 * already, then exactly one ENDED; and from a keeper, when nothing is left of the task, FREE, which
 * is_free stands for. */
enum supervisor_report_kind {
    SUPERVISOR_STARTED,
    SUPERVISOR_ENDED,
    SUPERVISOR_FREE,
};

struct supervisor_report {
    enum supervisor_report_kind kind;
    bool is_free; /* with ENDED */
    struct exec_status status;
};

/* To the supervisor. SIGKILL ends all of the task, others go to the command's process group. */
struct supervisor_order {
    int signal;
};

/* Everything is borrowed: the fork copies it. */
struct supervisor_job {
    const struct fence *fence;
    const struct exec_start *start;
    char *const *words;    /* the command; NULL = this process goes on as the task, a warm one */
    enum exec_level level; /* EXEC_NONE and up */
    int group_fd;          /* of its control group, at EXEC_FULL; 0 = none */
    bool network;
    int control; /* SOCK_SEQPACKET, the supervisor's end */
    int stdio[3];
    int inputs_fd;                   /* a bundle, or negative */
    int results_fd;                  /* an empty file, or negative */
    int extra[SUPERVISOR_EXTRA_MAX]; /* further descriptors of the command: 3, 4 */
    size_t extra_count;
    uid_t uid; /* outside of the user namespace */
    gid_t gid;
    const char *work_root; /* absolute; p2pnode-exec's current directory */
    const char *name;      /* of the task's directories in it (exec/root.h) */
    bool is_followed;      /* this very process takes another task after it */
    int root_fd; /* of a keeper: the work root, and the private root is prepared; 0 = no */
};

/* Sets the descriptors of @job: those that came with its start message, which stay whose they are.
 */
void supervisor_set_fds(struct supervisor_job *job, const int *fds);

/**
 * supervisor_start() - fork the process
 *
 * The current directory must be @job->work_root, and the process single-threaded. @job->control,
 * @job->stdio and @job->extra stay the caller's, to be closed. Return: 0 with *@ret_pid, a child to
 * be waited for; or what clone3 said, which may be that namespaces are not allowed.
 */
int supervisor_start(const struct supervisor_job *job, pid_t *ret_pid);

/*
 * The first half of that: forks, in new namespaces where @level is such. With @is_sibling the new
 * process is a child of our parent. Return: 0 in the new process; its number; or -errno.
 */
pid_t supervisor_fork(enum exec_level level, bool network, bool is_sibling);

/*
 * The second half, in the new process: holds the task and never returns but, without @job->words,
 * in the process of the task itself, fenced in: with its environment, never freed.
 */
char **supervisor_run(const struct supervisor_job *job);

/*
 * What that consists of, for a process that holds tasks one after another. First, once: signals are
 * blocked, what belongs to nobody in @job is closed, and orphans come to this process.
 */
void supervisor_set_up(const struct supervisor_job *job);

/*
 * Then the task: returns NULL when nothing is left of it but descriptors, with *@ret_is_free where
 * that was told, or what supervisor_run() returns.
 */
char **supervisor_hold(const struct supervisor_job *job, bool *ret_is_free);

/* Closes all descriptors but 0 to 2 and those of @job. */
void supervisor_close_others(const struct supervisor_job *job);

/* Tells over @control that the task cannot run: what was being tried, and a negative errno. */
void supervisor_report_failure(int control, const char *step, int error);
