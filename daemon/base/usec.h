/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Time is microseconds in 64 bits. A usec_t is either a duration or a point on a monotonic clock
 * that the caller chose; the pure cores never ask which. Wall-clock times carry "wall" in their
 * names.
 */

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC  ((usec_t)1000000)
#define USEC_PER_MIN  (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MIN)
#define USEC_PER_DAY  (24 * USEC_PER_HOUR)

/* The wall-clock time of a file. That of 1970 or before is the first one that is not 0, which
 * stands for none. */
static inline uint64_t usec_of_file(const struct timespec *modified)
{
    uint64_t usec = modified->tv_sec < 0 ? 0
                                         : (uint64_t)modified->tv_sec * USEC_PER_SEC +
                                               (uint64_t)modified->tv_nsec / 1000;

    return usec > 0 ? usec : 1;
}

/* Saturating sum: never wraps past USEC_INFINITY. */
static inline usec_t usec_add(usec_t a, usec_t b)
{
    return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

/* Difference that is 0 where b is later than a. */
static inline usec_t usec_sub(usec_t a, usec_t b)
{
    return a > b ? a - b : 0;
}
