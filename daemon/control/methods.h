/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The methods of org.p2pnode: one table {name, function, who may call it, what becomes of `node`},
 * checked by a test against org.p2pnode.varlink. A method's function is in the file of its noun in
 * one of the folders here.
 */

#include "varlink/call.h"

struct node;

/* Runs a call, here or at the node that its parameters name. Takes the call. @data: the node. */
void methods_dispatch(struct call *call, void *data);

/* The node @to, to which @method was passed on, has answered. @data: the node. */
void methods_on_passed(const struct node_id *to, const char *method, void *data);

/* How calls of the i-th method were answered. */
const struct call_tally *methods_get_tally(size_t i);

/* The i-th method's name, "Status"; NULL at the end of the table. */
const char *methods_get_name(size_t i);
