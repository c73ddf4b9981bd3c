/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Lifeguard's experiment (arXiv:1707.00788v2, section V): some of many nodes are starved of CPU,
 * alternately blocked and running, and healthy nodes that are held for dead are counted, at all
 * nodes and at healthy ones. Once as the daemon is, once with Lifeguard's parts taken out of the
 * same core (swim_config's is_plain): no local health, suspicions that last the minimum from the
 * first, and nothing else that guards against the accuser's own slowness.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/usec.h"

/*
 * Prints two tables, one for each way to be starved, of @nodes_count nodes that suffer for @span
 * each, @runs_count seeds a row. Return: 0 where Lifeguard was not worse in any row, plain SWIM
 * made mistakes in both tables, and no healthy node held another for dead with Lifeguard; 1 where
 * that is not so; -ENOMEM; -EIO where an invariant broke, which is told on stderr.
 */
int lifeguard_run(size_t nodes_count, uint64_t runs_count, uint64_t seed, usec_t span);
