/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of Run share: run.c tells a client how a list fares, run_list.c begins a new one.
 */

#include "control/methods_internal.h"
#include "control/task/run_users.h"
#include "tasks/runs.h"

/* The first object of the stream, as far as the caller may hear of the steps; @id NULL: nothing is
 * to be run. @users: what other nodes said of them, or NULL. */
cJSON *run_new_plan(struct node *node, const struct call *call, const struct workflow_plan *plan,
                    const struct run_users *users, const char *id);

/* The last one. */
cJSON *run_new_end(const struct node *node, const struct run *run);

/* The client looks on from now on, until the run or the client ends. */
void run_look_on(struct node *node, struct call *call, struct run *run);

/*
 * The answer to whoever begins a list, or takes one up, waits until that is on the disk. Then the
 * list starts, whether somebody still waits for the answer or not.
 */
struct run_starting;
/* @is_again: what has become of its steps before is told. NULL without memory. */
struct run_starting *run_starting_new(struct node *node, struct call *call, bool is_detached,
                                      bool is_again);
/* It is not to begin: the call is the caller's again. */
void run_starting_free(struct run_starting *starting);
/* For runs_add() and run_resume(), with a struct run_starting that it takes over. */
void run_on_saved(int r, struct run *run, void *data);

/* Run with a text. Takes the call. run_list.c */
void run_start_list(struct node *node, struct call *call, bool is_detached);
