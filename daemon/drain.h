/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether this node takes tasks: an administrator says so, and the database keeps it over a
 * restart. While draining nothing is taken, what was queued has gone back to its origins, and what
 * runs ends by itself, or is ended at a deadline. The slots (sched/) do that; this is the word to
 * them. That a node drains while it stops is another matter, which nobody remembers.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>
#include "base/usec.h"
#include "store/state.h"

#define DRAIN_REASON_MAX 255 /* bytes */

struct node;

/* Part of the node; zeroed at its start. */
struct drain {
    bool is_on;
    char reason[DRAIN_REASON_MAX + 1]; /* "" = none was given */
    sd_event_source *timer;            /* owned; when what runs is ended, or NULL */
};

/* At start: reads what the last run was told. Before the tasks are made. Return: 0 or what the
 * database said. */
int drain_load(struct node *node);
/* And does it, once there are tasks. */
void drain_take_up(struct node *node);

/**
 * drain_save() - makes the word durable; drain_set() follows in @done where that worked
 * @reason: printable, at most DRAIN_REASON_MAX bytes; NULL = takes tasks again
 * @done:   called once with what became of it; from within where the database takes nothing now
 */
void drain_save(struct node *node, const char *reason, state_done_t done, void *data);

/* Drains for @reason, or for NULL takes tasks again and forgets a deadline. */
void drain_set(struct node *node, const char *reason);

/* Ends what runs here after @delay_usec, unless tasks are taken again before: TERM, then KILL.
 * Return: 0, or what sd-event said. */
int drain_kill_after(struct node *node, usec_t delay_usec);
void drain_done(struct drain *drain);
