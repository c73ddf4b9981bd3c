/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A call that the daemon makes to itself, where one method is made of others. It is answered like
 * any other, at once or later.
 */

#include "varlink/call.h"

struct node;

/* @reply: the parameters, or NULL where the call failed; borrowed. The inner call is gone then. */
typedef void (*inner_done_t)(const cJSON *reply, void *data);

struct inner; /* until it is answered */

/*
 * Calls @method ("org.p2pnode.Status") with @parameters (taken over) as @caller. @done may be
 * called from within; @data is borrowed. Return: 0, with *@ret NULL where it has been answered;
 * -ENOMEM.
 */
int inner_call(struct node *node, const char *method, cJSON *parameters,
               const struct caller *caller, inner_done_t done, void *data, struct inner **ret);

/* @done will not be called. */
void inner_cancel(struct inner *inner);
