/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The curve of speed against false deaths, from which the shipped suspicion_mult and suspicion_max
 * are chosen: for each pair of them how long after a kill all hold the node for dead, and how many
 * healthy nodes are held for dead by anybody, under loss, beside starved nodes, and where the
 * network falls apart for some seconds.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * Prints the table for @nodes_count nodes, @runs_count seeds a cell from @seed on.
 * Return: 0; -ENOMEM; -EIO where an invariant broke on the way, which is told on stderr.
 */
int curve_run(size_t nodes_count, uint64_t runs_count, uint64_t seed);
