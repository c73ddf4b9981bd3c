/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The other members over a restart of this node: where they are, and what they last said of
 * themselves. Who comes back to some of them hears nothing of what the dead can do, or nothing of
 * them at all: tasks that wait for them are told the same as before. Such a member counts as dead
 * until something is heard of it, and is dropped when it comes back, is forgotten or leaves, or
 * when membership.dead_retention is over.
 */

#include <stddef.h>
#include "record.h"
#include "store/state.h"
#include "swim/swim.h"

struct node;

/* At start, after list_init(&node->remembered): reads them, and the core asks them to let it join.
 * Return: 0 or what the database said. */
int remembered_load(struct node *node);
/* And tells the tasks of them, once there are tasks. */
void remembered_take_up(struct node *node);
/* Drops who is gone for too long. */
void remembered_tick(struct node *node);
/* What is to be loaded at the next start. Return: 0, or what state_commit() said. */
int remembered_save(struct node *node);

/* It is not to be remembered any more; nothing where it is not. */
void remembered_drop(struct node *node, const struct node_id *id);
void remembered_done(struct node *node);

/* One called @name that nothing has been heard of since our start. Borrowed until it is dropped.
 * Return: whether there is one. */
bool remembered_find(const struct node *node, const char *name, struct state_member *ret);

/* As node_get_record(), for one that is gone with what it said before our start. */
int remembered_get_record(const struct node *node, const struct swim_member *member,
                          struct record *ret);
/* What the core says of @member, with that, is told to the tasks. */
void remembered_tell_tasks(struct node *node, const struct swim_member *member);
