/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon's end of p2pnode-exec: starts that program (or connects to the one systemd keeps),
 * hands it tasks, reads what they print, and says how they ended. Everything happens in the
 * caller's sd-event loop; nothing here blocks. If p2pnode-exec dies, its tasks die with it and are
 * reported lost, and it is started again with a growing delay; tasks can be started as soon as
 * exec_is_ready().
 *
 * Callbacks come from the loop, never from inside a function of this header, and may call any of
 * them but exec_free().
 */

#include <systemd/sd-event.h>
#include "exec/message.h"

#define EXEC_TASKS_MAX 1024 /* at once */

enum exec_stream {
    EXEC_STDOUT,
    EXEC_STDERR,
    _EXEC_STREAM_MAX,
};

struct exec_config {
    const char *program;     /* NULL = beside the daemon's own binary, else in libexec */
    const char *socket_path; /* tried first, if not NULL: a p2pnode-exec that systemd keeps */
    bool is_unit;            /* that one or none; so it is, too, once it has been there */
    const char *work_root;   /* of the child: made if missing, its parent being there; emptied */
    bool is_auto;            /* the best level, or */
    enum exec_level level;   /* this one and no weaker */
    bool network;
    const char *const *read; /* absolute paths, NULL-terminated; NULL = none */
    const char *const *write;
    const char *interpreter;    /* of functions; absolute */
    uint32_t workers;           /* warm helpers for them, 0..EXEC_WORKERS_MAX */
    uint32_t jobs_max;          /* of one helper, 1.. */
    usec_t helper_idle_usec;    /* without a function for so long they end */
    const char *const *modules; /* that helpers import, NULL-terminated; NULL = none */
};

/* Borrowed by exec_start() for the call only. */
struct exec_task {
    const char *const *words; /* NULL-terminated; {EXEC_DEMO, NULL} = the built-in demo handler */
    const char *const *environment; /* "KEY=value", NULL-terminated; NULL = none */
    int stdin_fd;                   /* negative = /dev/null; stays the caller's */
    bool is_python;                 /* no words, but the function that job_fd describes */
    int job_fd;                     /* stays the caller's */
    bool has_inputs;                /* then: */
    int inputs_fd;                  /* a bundle for its work directory; may have a standard input */
    const char *const *outs;        /* patterns of results, NULL-terminated; NULL = none, else: */
    int results_fd;                 /* an empty file for the bundle of them */
    uint64_t results_max;           /* bytes; 0 = no limit */
    uint64_t reserve;               /* bytes that they leave free on the disk */
    bool network;
    enum exec_level level; /* at least; EXEC_NONE or 0 = as configured */
    struct exec_limits limits;
};

struct exec_handler {
    /* p2pnode-exec has answered: exec_get_level() and exec_get_missing() hold. May come again. */
    void (*on_ready)(void *data);
    /* It could not be had: exec_get_missing() says why. It is tried again, until on_ready. May come
     * again. */
    void (*on_failed)(void *data);
    /* The command runs. */
    void (*on_started)(uint64_t id, const struct exec_started *started, void *data);
    /* 1..65536 bytes, in the order of each stream. */
    void (*on_output)(uint64_t id, enum exec_stream stream, const void *bytes, size_t size,
                      void *data);
    /* The last call for @id, after all its output. @id is free to be used again. */
    void (*on_exit)(uint64_t id, const struct exec_status *status, void *data);
};

struct exec;

/**
 * exec_new() - the client, and p2pnode-exec on its way
 * @config:  copied
 * @handler: copied; all five are set
 * @data:    borrowed, handed to the handlers
 *
 * Return: 0; -EINVAL for a path that is not absolute and plain, or too many; -EMSGSIZE for too long
 * ones; -ENOMEM; or what sd-event said. A p2pnode-exec that cannot be started is no failure here:
 * it is tried again, and exec_get_missing() says why.
 */
int exec_new(sd_event *event, const struct exec_config *config, const struct exec_handler *handler,
             void *data, struct exec **ret);

/*
 * Ends p2pnode-exec and all its tasks, without callbacks, and waits for that up to three seconds.
 * Accepts NULL, returns NULL.
 */
struct exec *exec_free(struct exec *exec);
DEFINE_CLEANUP(struct exec *, exec_free)

/* Takes over mode, network and paths of @config for tasks started from now on. Return: as
 * exec_new(). */
int exec_configure(struct exec *exec, const struct exec_config *config);

bool exec_is_ready(const struct exec *exec);

/* Whether it could not be had when it was tried last: neither ready nor on its way. */
bool exec_has_failed(const struct exec *exec);

/* Whether it is a unit of its own, which only systemd can start. */
bool exec_is_unit(const struct exec *exec);

/* The level of a task that asks for no more; EXEC_REFUSE while not ready. */
enum exec_level exec_get_level(const struct exec *exec);

/* The best level that a task may ask for; EXEC_REFUSE while not ready. */
enum exec_level exec_get_available(const struct exec *exec);

/* What is not covered, as sentences; NULL-terminated, borrowed until the next on_ready. Never NULL.
 */
const char *const *exec_get_missing(const struct exec *exec);

/**
 * exec_start() - run a command
 * @id: chosen by the caller, 0..EXEC_ID_MAX, not one of a task that has not had its on_exit
 *
 * Return: 0: on_exit will come. -EAGAIN while p2pnode-exec is not ready; -EPERM where the level is
 * EXEC_REFUSE; -EOPNOTSUPP where @task asks for a level that is not to be had; -EEXIST; -EBUSY
 * above EXEC_TASKS_MAX; -EMSGSIZE or -EINVAL for a command that does not fit a message; -EMFILE;
 * -ENOMEM.
 */
int exec_start(struct exec *exec, uint64_t id, const struct exec_task *task);

/**
 * exec_signal() - signal the task's process group, and kill all of the task later
 * @signal_number: 1..64; SIGKILL ends every process of the task
 * @grace_usec:    after which what is left is killed; USEC_INFINITY = never
 *
 * Return: 0; -ESRCH for no such task (it may have ended a moment ago); -EINVAL; -ENOBUFS; -ENOMEM.
 */
int exec_signal(struct exec *exec, uint64_t id, int signal_number, usec_t grace_usec);

/* Stops or goes on reading the task's output: the pipe fills and the task waits. Return: 0, -ESRCH.
 */
int exec_set_reading(struct exec *exec, uint64_t id, bool reading);
