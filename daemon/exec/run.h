/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One task as the daemon sees it: the reading ends of its stdout and stderr, and how it ended. It
 * is over when both are read to their ends and its status is known, whichever comes last.
 */

#include <systemd/sd-event.h>
#include "base/list.h"
#include "exec/client.h"

struct exec_run;

struct exec_run_stream {
    struct exec_run *run; /* borrowed: holds us */
    int fd;               /* owned; -EBADF at the end */
    sd_event_source *source;
};

struct exec_run_handler {
    void (*on_output)(struct exec_run *run, enum exec_stream stream, const void *bytes,
                      size_t size);
    /* The run is over; the handler frees it. */
    void (*on_over)(struct exec_run *run);
};

struct exec_run {
    struct list link; /* the owner's */
    uint64_t id;
    void *owner;                            /* borrowed */
    const struct exec_run_handler *handler; /* borrowed */
    struct exec_run_stream streams[_EXEC_STREAM_MAX];
    sd_event_source *grace; /* owned; for a pipe that somebody still holds after the end */
    bool is_paused;
    bool has_status;
    struct exec_status status;
};

/*
 * @ret_fds are the writing ends for the task, owned by the caller. Return: 0; -EMFILE; -ENOMEM; or
 * what sd-event said.
 */
int exec_run_new(sd_event *event, uint64_t id, const struct exec_run_handler *handler, void *owner,
                 struct exec_run **ret, int ret_fds[static _EXEC_STREAM_MAX]);
struct exec_run *exec_run_free(struct exec_run *run);
DEFINE_CLEANUP(struct exec_run *, exec_run_free)

/*
 * The task has ended; what it printed may still be in the pipes. Return: whether the run is over
 * already; then the caller may do at once what on_over would soon do.
 */
bool exec_run_end(struct exec_run *run, const struct exec_status *status);

void exec_run_set_reading(struct exec_run *run, bool reading);
