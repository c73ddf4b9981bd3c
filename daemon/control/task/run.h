/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of Run share: run.c tells a client how a list fares, run_list.c begins a new one.
 */

#include "control/methods_internal.h"
#include "tasks/runs.h"

/* The first object of the stream, as far as the caller may hear of the steps; @id NULL: nothing is
 * to be run. */
cJSON *run_new_plan(struct node *node, const struct call *call, const struct workflow_plan *plan,
                    const char *id);

/* The last one. */
cJSON *run_new_end(const struct node *node, const struct run *run);

/* The client looks on from now on, until the run or the client ends. */
void run_look_on(struct node *node, struct call *call, struct run *run);

/* Run with a text. Takes the call. run_list.c */
void run_start_list(struct node *node, struct call *call, bool is_detached);
