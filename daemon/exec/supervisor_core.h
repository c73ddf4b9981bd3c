/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the supervisor share: supervisor_room.c makes the place where a task runs,
 * supervisor_start.c its process, supervisor.c stays with it to its end. Nobody else includes this.
 */

#include <sys/resource.h>
#include <time.h>
#include "exec/request.h"
#include "exec/root.h"

/* Descriptors are closed by whoever goes on after the task, or with the process. */
struct supervisor {
    const struct supervisor_job *job;
    const char *step; /* what is being tried, for the report */
    int control;      /* -EBADF once p2pnode-exec is gone */
    int root_fd;      /* the work root */
    char tmp_name[REQUEST_NAME_MAX + sizeof(ROOT_TMP_SUFFIX)];
    int work_fd; /* the task's directories in it: that of its name, */
    int tmp_fd;  /* and ->tmp_name */
    int stdin_fd;
    int ruleset;
    int failure; /* of a warm task's process: where it tells that it cannot become the task */
    int signals; /* a signalfd for SIGCHLD */
    char **environment;
    char **own_variables; /* its end: what was made here */
    pid_t pid;            /* of the command */
    int wait_status;
    bool is_oom;         /* we killed it, because it used more memory than it may */
    bool is_alone;       /* none of its processes is left */
    bool is_free;        /* nothing of it is, and that was told with its end */
    struct rusage usage; /* of all that were waited for */
    int error;           /* of the command's process before it became the command */
    usec_t begin_usec;
    usec_t end_usec;
};

static inline usec_t supervisor_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_nsec / 1000;
}

/*
 * The environment, the directories, the sandbox's file system and the inputs. Return: 0; or -errno,
 * with ->step saying what failed.
 */
int supervisor_make_room(struct supervisor *supervisor);

/* Starts the task. Return: 0; 1 in the process of a warm task; or -errno, as above. */
int supervisor_start_task(struct supervisor *supervisor);

/* For a process that goes on after the task. */
void supervisor_free_environment(struct supervisor *supervisor);
