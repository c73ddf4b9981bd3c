/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Deadlines with a function. A timer stays in the heap from timer_init to timer_done, disarmed ones
 * at the far end of time, so that arming one needs no memory and cannot fail. The heap borrows its
 * timers; each is a field of the object that it is about, found again with CONTAINER_OF.
 */

#include "base/heap.h"
#include "base/macro.h"

struct swim;
struct timer;

typedef void (*timer_run_t)(struct swim *swim, struct timer *timer);

struct timer {
    struct heap_entry entry;
    timer_run_t run;
};

#define TIMER_NEVER (USEC_INFINITY - 1)

/* Return: 0, -ENOMEM. The timer is disarmed. */
static inline int timer_init(struct heap *timers, struct timer *timer, timer_run_t run)
{
    timer->run = run;
    timer->entry.place = 0;
    return heap_set(timers, &timer->entry, TIMER_NEVER);
}

static inline void timer_done(struct heap *timers, struct timer *timer)
{
    heap_remove(timers, &timer->entry);
}

/* @time_usec at or past TIMER_NEVER disarms. */
static inline void timer_set(struct heap *timers, struct timer *timer, usec_t time_usec)
{
    (void)heap_set(timers, &timer->entry, MIN(time_usec, TIMER_NEVER));
}

static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->entry.place > 0 && timer->entry.time_usec < TIMER_NEVER;
}
