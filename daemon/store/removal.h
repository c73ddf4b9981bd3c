/* SPDX-License-Identifier: MIT */
#pragma once

/* A file that goes when its record has: what the record names is there as long as the record is. */

#include "store/state.h"

#define REMOVAL_NAME_MAX 255 /* bytes */

/*
 * Unlinks @name in @directory_fd, which stays open as long as @state, on the lane of commits once
 * @batch is durable. No memory, or a batch that fails: the file stays; whoever keeps such files
 * sweeps at its start what has no record.
 */
void removal_after(struct state *state, struct state_batch *batch, int directory_fd,
                   const char *name);
