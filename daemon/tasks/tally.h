/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What became of the tasks of this origin since it was started, by type: results, how long they
 * waited and how long they ran. For metrics only; types beyond TALLY_TYPES_MAX share the last
 * entry, so that whoever invents types does not fill a time series database.
 */

#include "base/histogram.h"
#include "sched/task.h"

#define TALLY_TYPES_MAX 64
#define TALLY_OTHER     "other"

struct tally_type {
    char name[TASK_TYPE_MAX + 1];
    uint64_t results[_TASK_STATE_MAX]; /* by the state it ended in */
    struct histogram wait;             /* from submission to the start, where it was taken once */
    struct histogram run;              /* of the attempt that ended it */
};

struct tally {
    struct tally_type *types; /* owned; NULL before the first task */
    size_t count;
};

void tally_done(struct tally *tally);
/* @task has started, or has ended. Without memory it is not counted. */
void tally_start(struct tally *tally, const struct task *task);
void tally_end(struct tally *tally, const struct task *task);
