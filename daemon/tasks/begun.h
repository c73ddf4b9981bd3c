/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which attempts may have begun here, over a kill of this daemon. What is not among them has not
 * begun, and so costs its task no attempt, not even one that must not run twice.
 *
 * Each attempt is written to a small file before p2pnode-exec gets it, without a sync: the page
 * cache outlives a killed process. It does not outlive the machine, so a file of another boot says
 * nothing; neither does one that misses a start of this node, nor a copy. A place in the file is
 * used again once the origin has the end of its attempt on its disk.
 */

#include <stdint.h>
#include "sched/slots.h"
#include "store/state.h"

#define BEGUN_FILE "begun"
#define BEGUN_MAX  4096 /* attempts that nobody has asked for since, as of killed daemons */

struct begun;

/**
 * begun_open() - reads what the daemon before left behind, and goes on with it
 * @former: the id that this process has lost to another node; null = none
 *
 * Where the file cannot be had, nothing is known then and later. Return: 0, -ENOMEM.
 */
int begun_open(const char *directory, const struct state_start *start, const struct node_id *former,
               struct begun **ret);
struct begun *begun_free(struct begun *begun);
DEFINE_CLEANUP(struct begun *, begun_free)

/* Before it begins. Return: its place, for begun_release(), or negative where there is none;
 * -EUCLEAN: it must not begin, as the next start would take it for one that has not. */
int begun_add(struct begun *begun, const struct slots_key *key);

/* Its origin has its end on the disk, or it did not begin after all: nobody asks for it any more.
 */
void begun_release(struct begun *begun, int place);

/* It is over here, but its origin may ask for it still. */
void begun_keep(struct begun *begun, int place);

/* Whether an attempt that was offered to this @generation of the node, and is not here, has not
 * begun: that is known. */
bool begun_has_not(const struct begun *begun, const struct slots_key *key, uint64_t generation);

/* Forgets those of former daemons of which @is_wanted says false. */
void begun_sweep(struct begun *begun, bool (*is_wanted)(const struct slots_key *key, void *data),
                 void *data);
