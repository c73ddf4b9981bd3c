/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Runs of task lists: those that go on, and the history of those that have ended. Their text and
 * options are in the database, so a restarted daemon goes on, and a list that stopped can be taken
 * up again. The history goes as that of tasks does (tasks.keep, tasks.keep_failed), the oldest
 * first where it becomes too much.
 */

#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "sched/workflow.h"

#define RUNS_MAX       1024                       /* that go on at the same time */
#define RUNS_KEPT_MAX  4096                       /* that have ended */
#define RUNS_KEPT_SIZE ((size_t)16 * 1024 * 1024) /* bytes of their texts */

struct tasks;
struct run;

enum run_state {
    RUN_RUNNING,
    RUN_SUCCEEDED,
    RUN_FAILED, /* something failed, or was not run because of that */
    RUN_CANCELLED,
};

const char *run_state_name(enum run_state state);

/* Texts are copied. */
struct run_options {
    struct workflow_options workflow;
    struct grammar_options grammar;
    const char *file;     /* its name */
    const char *text;     /* what the plan was parsed from: a restart parses it again */
    bool waits_for_types; /* a type that nobody handles yet is waited for */
    struct task_files
        inputs; /* plan->locals, each called by its place there; the run's from now on */
};

struct run_facts {
    uint64_t number; /* "w7" is 7 */
    enum run_state state;
    const struct run_options *options; /* borrowed */
    struct workflow_statistics statistics;
    uint64_t started_wall_usec;
    uint64_t resumed_wall_usec; /* 0 = never */
    uint64_t ended_wall_usec;   /* 0 = it goes on */
};

/*
 * @r 0: the list is on the disk, and run_start() may be called. Else it is not, and there is no
 * such run (@run is NULL), or it has ended as before: -ENOSPC, -EBUSY, -ENOMEM; -ECANCELED where
 * the node ends first. Called once, never from within.
 */
typedef void (*run_saved_t)(int r, struct run *run, void *data);

/*
 * @plan: taken over on success, as @options->inputs are. Nothing happens before run_start().
 * Return: 0, and @done will be called; -ENOBUFS above RUNS_MAX; -ENOMEM.
 */
int runs_add(struct tasks *tasks, struct workflow_plan *plan, const struct run_options *options,
             run_saved_t done, void *data);
void run_start(struct run *run);

/* NULL where there is none. Borrowed until the loop turns. */
struct run *runs_find(struct tasks *tasks, uint64_t number);

/* In the order of their numbers; @after 0 = the first. NULL at the end. */
struct run *runs_next(struct tasks *tasks, uint64_t after);

void run_get_facts(const struct run *run, struct run_facts *ret);

/* While it goes on; NULL once it has ended. */
/* Why a step waits, or failed without ever being a task; "" where there is nothing to say. */
const char *run_get_reason(const struct run *run, uint32_t step);
const struct workflow *run_get_workflow(const struct run *run);

/* Its list, parsed again: owned by the caller. Return: 0, -ENOMEM, -EBADMSG. */
int run_parse(const struct run *run, struct workflow_plan **ret);

/* The bundle of its inputs, 0 where there is none. */
uint64_t run_get_bundle(const struct run *run);

/* How @step of a run that has ended did. Return: 1; 0 where it was not run. */
int run_get_end(const struct run *run, uint32_t step, enum task_state *ret);

/* Drops a run that has ended from the history; its tasks stay. tasks_settle_drops()
 * follows.
 * Return: 0, -ENOENT, -EBUSY. */
int runs_forget(struct tasks *tasks, uint64_t number);

/*
 * Takes up a run that has ended: what was not run is run now; what failed stays as it is, or is run
 * again too. Return: 0, and @done will be called; -EALREADY where it goes on; -ENOENT where nothing
 * is left to do; -ENOBUFS; -ENOMEM; -EBADMSG.
 */
int run_resume(struct run *run, bool repeats_failed, run_saved_t done, void *data);

/* What runs gets @signal and, @grace_usec later, KILL; the rest is skipped. Return: 0, -EALREADY.
 */
int run_cancel(struct run *run, int signal, usec_t grace_usec);

/*
 * Its owner embeds it, and removes it. Told once, when the run ends, or with @r < 0 when it cannot
 * be saved, and so never was, or has ended as before; gone from the list then.
 */
struct run_watch {
    struct list link;
    void (*on_done)(int r, struct run *run, void *data);
    void *data;
};
void run_watch(struct run *run, struct run_watch *watch);
