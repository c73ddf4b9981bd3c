/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The warm helpers of p2pnode-exec (exec/warm.h): started with the first function, asked in turn,
 * replaced after so many tasks, and gone when none was asked for a minute. Where none is ready, or
 * none can be had, the caller starts an interpreter: nothing here is needed for a task to run.
 */

#include <systemd/sd-event.h>
#include "exec/supervisor.h"

struct helpers;

/* @fence: borrowed, its configuration says how many helpers. Return: 0, -ENOMEM; what sd-event
 * said; -errno where there is no room for the text that interpreters run. */
int helpers_new(sd_event *event, const struct fence *fence, struct helpers **ret);

/* They end, and are to be waited for. Accepts NULL, returns NULL. */
struct helpers *helpers_free(struct helpers *helpers);
DEFINE_CLEANUP(struct helpers *, helpers_free)

/* Whether a function can be run in a warm interpreter: some variables only count where one starts.
 */
bool helpers_can_run(const struct exec_start *start);

/**
 * helpers_start() - a supervisor with an interpreter in it
 * @job: of a function; without words
 * @fds: the exec_message_fds() descriptors of its start message; the caller's
 *
 * Waits up to a second for a helper that does not answer, which is its end. Return: 0 with
 * *@ret_pid, a child of this process, and *@ret_helper, the helper; -EAGAIN where none is ready;
 * -ENOMEM.
 */
int helpers_start(struct helpers *helpers, const struct supervisor_job *job, const int *fds,
                  pid_t *ret_helper, pid_t *ret_pid);

/* A keeper of the helper @pid is to have a further task, which counts as one of the helper's.
 * Return: whether it may: the helper is there, and has not done its share. */
bool helpers_use(struct helpers *helpers, pid_t pid);

bool helpers_has(const struct helpers *helpers, pid_t pid);

/* A child was waited for. Return: whether it was a helper. */
bool helpers_forget(struct helpers *helpers, pid_t pid);

/* The words that start an interpreter as the task itself, and the text that it reads at descriptor
 * 4; borrowed. */
char *const *helpers_get_words(const struct helpers *helpers, bool reads_environment);
int helpers_get_text_fd(const struct helpers *helpers);
