/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One task as p2pnode-exec sees it: its supervisor process, the socket to it, and the timer that
 * ends what does not end by itself. Whoever owns it waits for the process. Where that is a keeper,
 * the next task can be given to it when it is free.
 */

#include <systemd/sd-event.h>
#include "base/list.h"
#include "exec/supervisor.h"

struct exec_child {
    struct list link; /* the owner's */
    uint64_t id;
    uint64_t serial; /* what its directory and its control group are called by; the owner's */
    void *owner;     /* borrowed */
    /* Called from the loop, for each report; in that of SUPERVISOR_FREE the owner may do with the
     * child what it likes. */
    void (*on_report)(struct exec_child *child, const struct supervisor_report *report);
    pid_t pid;                /* of the supervisor */
    int control;              /* owned */
    sd_event_source *reports; /* owned */
    sd_event_source *timer;   /* owned */
    int step;                 /* what the timer does next */
    usec_t timeout_usec;      /* 0 = none */
    usec_t grace_usec;
    bool timed_out;
    bool ended;       /* the task; its supervisor is cleaning up */
    bool is_retired;  /* it gets no further task */
    bool is_private;  /* namespaces are part of what it keeps; */
    bool has_network; /* but not this one */
    bool is_python;   /* holds functions; */
    pid_t helper;     /* the warm helper that forked it, or 0; the owner's */
    usec_t free_usec; /* when it became free; the owner's */
};

/* Starts a supervisor for @job, as supervisor_start() does; @data is the caller's. */
typedef int (*exec_child_start_t)(struct supervisor_job *job, void *data, pid_t *ret_pid);

/*
 * Starts the supervisor by @start; of @job, which is borrowed for the call, the control socket is
 * made here. The caller sets owner and on_report. Return: 0; -EMFILE, -ENOMEM; what sd-event or
 * @start said.
 */
int exec_child_new(sd_event *event, uint64_t id, struct supervisor_job *job,
                   exec_child_start_t start, void *data, struct exec_child **ret);

/* Whether it could hold @job, were it free. */
bool exec_child_fits(const struct exec_child *child, const struct supervisor_job *job);

/*
 * The next task, for one that is free; @fds are those of its start message. Return: 0; or why its
 * process cannot be reached.
 */
int exec_child_give(struct exec_child *child, uint64_t id, const struct supervisor_job *job,
                    const int *fds);

/* Accepts NULL, returns NULL. The supervisor notices, kills its task and ends. */
struct exec_child *exec_child_free(struct exec_child *child);
DEFINE_CLEANUP(struct exec_child *, exec_child_free)

/* Signals the task; what is left of it after @grace_usec is killed, unless that is USEC_INFINITY.
 */
void exec_child_signal(struct exec_child *child, int number, usec_t grace_usec);

/* Hands over at once what has been reported: before its process is forgotten. */
void exec_child_take_reports(struct exec_child *child);

/* As exec_child_free(), but the process stays to be waited for. */
void exec_child_abandon(struct exec_child *child);
