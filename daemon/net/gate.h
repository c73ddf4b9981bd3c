/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How many connections may be open at once, in all and with one node. A stream or conn that came
 * from the listener holds a ticket for as long as it lives; it may be given back from a worker
 * thread.
 */

#include <stddef.h>
#include "base/id.h"
#include "base/macro.h"

struct gate;

/* @total_max 1..65600, @peer_max 1..@total_max. Return: 0, -EINVAL, -ENOMEM. */
int gate_new(size_t total_max, size_t peer_max, struct gate **ret);
/* All tickets must be back. Returns NULL. */
struct gate *gate_free(struct gate *gate);
DEFINE_CLEANUP(struct gate *, gate_free)

/*
 * Other limits from now on, ranges as above; tickets that are out stay good. Return: 0, -EINVAL,
 * -ENOMEM.
 */
int gate_set_limits(struct gate *gate, size_t total_max, size_t peer_max);

/* Return: a ticket >= 0 for somebody not yet known, or -EMFILE where all are taken. */
int gate_enter(struct gate *gate);

/* The ticket's holder is @id. Return: 0, or -EUSERS where @id has peer_max others. */
int gate_identify(struct gate *gate, int ticket, const struct node_id *id);

void gate_leave(struct gate *gate, int ticket);
size_t gate_get_count(struct gate *gate);
