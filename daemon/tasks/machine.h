/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How busy the machine is, with whatever else runs on it: part of the load that others see, and of
 * the own placement.
 */

#include <stdint.h>

struct tasks;

struct machine {
    uint32_t load_permille;  /* one-minute load average per core; 1000 = as much as it has */
    uint32_t memory_percent; /* that is not available to a new program, 0..100 */
};

/* Looks now and then, from the next turn of the loop on. Return: 0, or what sd-event says. */
int machine_watch(struct tasks *tasks);
