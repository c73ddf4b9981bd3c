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

/*
 * Pipes of runs that began a moment ago are not watched: most tasks are short, and at their end all
 * is read anyway. What a task says before is in its pipe, and heard of within RUN_YOUNG_USEC.
 */
#define RUN_YOUNG_USEC (10 * USEC_PER_MSEC)

struct exec_runs {
    sd_event *event;        /* borrowed */
    struct list young;      /* of struct exec_run, the oldest first */
    sd_event_source *timer; /* owned: for the oldest */
};

/* Return: 0 or what sd-event said. exec_runs_done() is harmless on what was zeroed. */
int exec_runs_init(struct exec_runs *runs, sd_event *event);
void exec_runs_done(struct exec_runs *runs);

struct exec_run_stream {
    struct exec_run *run; /* borrowed: holds us */
    int fd;               /* owned; -EBADF at the end */
    sd_event_source *source;
};

struct exec_run_handler {
    void (*on_started)(struct exec_run *run, const struct exec_started *started);
    void (*on_output)(struct exec_run *run, enum exec_stream stream, const void *bytes,
                      size_t size);
    /* The run is over; the handler frees it. */
    void (*on_over)(struct exec_run *run);
};

struct exec_run {
    struct list link;       /* in runs.young */
    struct exec_runs *runs; /* borrowed */
    usec_t watch_usec;      /* when it is not young any more */
    uint64_t id;
    void *owner;                            /* borrowed */
    const struct exec_run_handler *handler; /* borrowed */
    struct exec_run_stream streams[_EXEC_STREAM_MAX];
    sd_event_source *grace; /* owned; for a pipe that somebody still holds after the end; or NULL */
    bool is_paused;
    bool has_started;
    bool has_status;
    struct exec_status status;
};

/*
 * @ret_fds are the writing ends for the task, owned by the caller. Return: 0; -EMFILE; -ENFILE;
 * -ENOMEM.
 */
int exec_run_new(struct exec_runs *runs, uint64_t id, const struct exec_run_handler *handler,
                 void *owner, struct exec_run **ret, int ret_fds[static _EXEC_STREAM_MAX]);
struct exec_run *exec_run_free(struct exec_run *run);
DEFINE_CLEANUP(struct exec_run *, exec_run_free)

/* The task runs. */
void exec_run_begin(struct exec_run *run, const struct exec_started *started);

/*
 * The task has ended; what it printed may still be in the pipes, and is told from within. Return:
 * whether the run is over with that: then the caller goes on, and on_over() is not called.
 */
bool exec_run_end(struct exec_run *run, const struct exec_status *status);

void exec_run_set_reading(struct exec_run *run, bool reading);
