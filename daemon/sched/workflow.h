/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A task list that runs: which step may be submitted when, when to stop, how it went. It knows no
 * node and no database: the owner submits what it asks for to the origin and tells how those tasks
 * fare.
 *
 * A step is ready when it is its group's turn (the order) and every step that it needs has ended
 * well. What a failure means, a step says itself (on_fail), else the options do: the list stops
 * (steps that run may end, no further one starts, the rest is skipped); or those that need it are
 * skipped and the others go on; or the list goes on as if it had ended well. It is counted always.
 *
 * Nothing of it needs saving but its text and options: after a restart the plan is parsed again and
 * the records of its tasks (spec.workflow, spec.step) are told with workflow_restore_step(). A list
 * that has ended can be taken up again in the same way: steps that ended then are told with
 * workflow_settle_step() where they are to stay as they are, with workflow_repeat_step() where they
 * are to run again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "base/usec.h"
#include "sched/grammar.h"
#include "sched/task.h"

#define WORKFLOW_WINDOW_MAX 1000 /* steps that are submitted and have not ended, at most */

enum workflow_order {
    WORKFLOW_STRICT, /* a group starts when the one before has ended */
    WORKFLOW_TYPE,   /* the same, but only among steps of one type: types do not wait for each other
                      */
    WORKFLOW_FREE,   /* everything at once */
};

/* "strict" "type" "free". Return: the value, or -EINVAL. */
int workflow_order_parse(const char *text);
const char *workflow_order_name(enum workflow_order order);

struct workflow_options {
    enum workflow_order order;
    bool is_keep_going;
};

enum workflow_step_state {
    WORKFLOW_WAITING,
    WORKFLOW_SUBMITTED, /* the origin has it, or is about to */
    WORKFLOW_ENDED,
    WORKFLOW_SKIPPED,
};

enum workflow_action_type {
    WORKFLOW_SUBMIT, /* submit spec; then workflow_submitted or workflow_refused */
    WORKFLOW_REPEAT, /* run task `number` again, or submit spec where it is gone; then as above */
    WORKFLOW_CANCEL, /* cancel task `number` */
    WORKFLOW_DONE,   /* all is said: statistics are final; the last action */
};

struct workflow_action {
    enum workflow_action_type type;
    uint32_t step;
    uint64_t number;
    const struct task_spec *spec; /* borrowed from the workflow; workflow number filled in */
};

struct workflow_statistics {
    uint32_t total, waiting, submitted, succeeded, failed, skipped;
    bool is_done;
    bool is_cancelled;
};

struct workflow;

/* @plan is taken over on success only. @number: "w7" is 7, 1... Return: 0, -ENOMEM. */
int workflow_new(uint64_t number, const struct workflow_options *options,
                 struct workflow_plan *plan, struct workflow **ret);
struct workflow *workflow_free(struct workflow *workflow);
DEFINE_CLEANUP(struct workflow *, workflow_free)

/* A record of an earlier run of the daemon; before workflow_start(). Return: 0, -EINVAL, -EEXIST.
 */
int workflow_restore_step(struct workflow *workflow, uint32_t step, uint64_t number,
                          enum task_state state);

/*
 * The same for a step that ended before the list was taken up again: it stays as it is, and stops
 * nothing; those that need it and could not have it are skipped.
 */
int workflow_settle_step(struct workflow *workflow, uint32_t step, uint64_t number,
                         enum task_state state);

/* The step is to run again when its turn comes: as task @number, or as a new one (0). */
int workflow_repeat_step(struct workflow *workflow, uint32_t step, uint64_t number);

/* Begins, or goes on after a restart. */
void workflow_start(struct workflow *workflow);

/* The origin took it as task @number; or did not, which ends the step as failed with @reason. */
void workflow_submitted(struct workflow *workflow, uint32_t step, uint64_t number);
void workflow_refused(struct workflow *workflow, uint32_t step, const char *reason);

/* What holds up a step that is to be submitted, for whoever looks on, until it is. */
void workflow_explain(struct workflow *workflow, uint32_t step, const char *reason);

/* The task of @step is final. Unknown and repeated ones are ignored. */
void workflow_ended(struct workflow *workflow, uint32_t step, enum task_state state);

/* Cancels what runs, skips the rest. */
void workflow_cancel(struct workflow *workflow);

bool workflow_next_action(struct workflow *workflow, struct workflow_action *ret);

uint64_t workflow_get_number(const struct workflow *workflow);
const struct workflow_plan *workflow_get_plan(const struct workflow *workflow);
/* *@ret_number: of its task; 0 = not known. */
enum workflow_step_state workflow_get_step(const struct workflow *workflow, uint32_t step,
                                           uint64_t *ret_number);

/* How a step that has ended did. */
enum task_state workflow_get_end(const struct workflow *workflow, uint32_t step);

/* Why the origin did not take @step, or has not yet; "" where it did. */
const char *workflow_get_reason(const struct workflow *workflow, uint32_t step);
void workflow_get_statistics(const struct workflow *workflow, struct workflow_statistics *ret);
