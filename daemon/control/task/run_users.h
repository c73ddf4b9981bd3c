/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whom the other nodes run the types of a list for. A list that is not permitted is refused before
 * it begins, as a task is; but the nodes that are to run its steps are asked for places only when
 * those have their turn.
 */

#include "control/methods_internal.h"
#include "sched/workflow.h"

#define RUN_USERS_NODES_MAX 256 /* that are asked; more are taken to permit it */

struct run_users;

/* @users is the callee's. */
typedef void (*run_users_t)(struct run_users *users, void *data);

/*
 * Asks the nodes that do a type of @plan for some users alone. @done is called later, once, when
 * all have answered or a moment is over: who has not answered permits it. Return: 1 where it will
 * be, 0 where there is nobody to ask, -ENOMEM.
 */
int run_users_ask(struct node *node, struct call *call, const struct workflow_plan *plan,
                  run_users_t done, void *data);
struct run_users *run_users_free(struct run_users *users);
DEFINE_CLEANUP(struct run_users *, run_users_free)

/* Whether the node @id has said that it does not run @type for the user. @users: or NULL. */
bool run_users_has(const struct run_users *users, const struct node_id *id, const char *type);

/* Those nodes. Return: how many. */
size_t run_users_find(const struct run_users *users, const char *type,
                      struct place_refuser ret[static RUN_USERS_NODES_MAX]);
