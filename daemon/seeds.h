/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The configured seeds as addresses. Names are looked up on a thread, as they may take long, and
 * anew each time it is asked for: a seed that moved is found (consul#22753: names resolved once,
 * and its former address asked for ever). A name that cannot be resolved keeps the addresses it
 * had, so that a resolver that fails takes no seed away. A name counts as one seed, whatever the
 * number of its addresses, and also while it has none.
 */

#include "base/macro.h"
#include "base/worker.h"
#include "config/config.h"
#include "swim/swim.h"

#define SEEDS_PER_NAME_MAX 8 /* addresses of one name that count */

struct seeds;

/* As swim_set_seeds; within seeds_look_up with what needs no looking up. */
typedef void (*seeds_found_t)(const struct swim_seed *seeds, size_t count, uint32_t entries,
                              void *data);

/* @configured, @worker: borrowed. Return: 0, -ENOMEM. */
int seeds_new(const struct config_strings *configured, struct worker *worker,
              seeds_found_t on_found, void *data, struct seeds **ret);
struct seeds *seeds_free(struct seeds *seeds);
DEFINE_CLEANUP(struct seeds *, seeds_free)

/* The list is another now: what a look-up under way finds is out of date, and another follows it.
 */
void seeds_expire(struct seeds *seeds);

/* Nothing where a look-up is under way. Return: whether there are names, worth another one later.
 */
bool seeds_look_up(struct seeds *seeds);
