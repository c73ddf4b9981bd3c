/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which numbers of one author have been seen: the highest and the 63 below it, of one generation.
 * What is older than that counts as seen. This is the messages' uniqueness, in 24 bytes per member.
 */

#include <stdbool.h>
#include <stdint.h>

struct window {
    uint64_t generation;
    uint64_t top;  /* highest number seen; 0 = none */
    uint64_t seen; /* bit i: top - i was seen */
};

/* Whether the window tells new numbers from seen ones there: not in an earlier life, nor below it.
 */
static inline bool window_covers(const struct window *window, uint64_t generation, uint64_t number)
{
    return generation > window->generation || (generation == window->generation &&
                                               (number > window->top || window->top - number < 64));
}

/* Takes note of @number (from 1 on). Return: whether it is new. */
static inline bool window_add(struct window *window, uint64_t generation, uint64_t number)
{
    if (number == 0 || generation < window->generation)
        return false;
    if (generation > window->generation)
        *window = (struct window){.generation = generation};
    if (number > window->top) {
        uint64_t step = number - window->top;
        window->seen = step < 64 ? window->seen << step | 1 : 1;
        window->top = number;
        return true;
    }
    uint64_t back = window->top - number;
    if (back >= 64 || window->seen >> back & 1)
        return false;
    window->seen |= UINT64_C(1) << back;
    return true;
}
