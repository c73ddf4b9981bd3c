/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Threads for what blocks, and for nothing else: database commits, file transfers, name look-ups.
 * Each lane has its own threads and queue, so that a slow disk never delays a name and a long
 * transfer never delays a commit. A job runs on a thread and then comes back: its done function
 * runs in the loop, in the order of completion, when the owner of the worker calls
 * worker_dispatch().
 */

#include <stddef.h>
#include "base/macro.h"

enum worker_lane {
    WORKER_COMMITS, /* one thread: order of submission is order of execution */
    WORKER_FILES,   /* several threads, started when needed; nicer than the loop by 5, which is
                     * to be on time while they hash and encrypt */
    WORKER_NAMES,   /* one thread */
    _WORKER_LANE_MAX,
};

struct worker;

/* Runs on a thread; must touch nothing that the loop touches but @data. */
typedef void (*worker_run_t)(void *data);
/* Runs in the loop; owns @data again. */
typedef void (*worker_done_t)(void *data);

/*
 * @files_threads: at most so many threads on the files lane, 1..64. @queue_max: jobs waiting per
 * lane. All signals are blocked in the threads. Return: 0, -ENOMEM, or what eventfd said.
 */
int worker_new(size_t files_threads, size_t queue_max, struct worker **ret);

/* Waits for running jobs, drops queued ones by calling only their done functions. Returns NULL. */
struct worker *worker_free(struct worker *worker);
DEFINE_CLEANUP(struct worker *, worker_free)

/* So many threads on the files lane at most from now on, as of worker_new; those that there are
 * stay. Return: 0, -ENOMEM. */
int worker_set_files_threads(struct worker *worker, size_t files_threads);

/* Readable when worker_dispatch has something to do. Owned by the worker. */
int worker_get_fd(const struct worker *worker);

/*
 * Return: 0; -EBUSY where the lane's queue is full; -ENOMEM; -EAGAIN where no thread could be
 * started; -ECANCELED from a done function that worker_free calls.
 */
int worker_submit(struct worker *worker, enum worker_lane lane, worker_run_t run,
                  worker_done_t done, void *data);

/*
 * A job that need not leave the loop but has to wait for its next turn: @run and then @done are
 * called by worker_dispatch(), in its order with the finished jobs; by worker_free() only @done.
 * Return: 0, -ENOMEM, -ECANCELED from a done function that worker_free calls.
 */
int worker_post(struct worker *worker, worker_run_t run, worker_done_t done, void *data);

/* Calls the done functions of finished jobs. */
void worker_dispatch(struct worker *worker);
