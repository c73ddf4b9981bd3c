/* SPDX-License-Identifier: MIT */
#include "swim/load.h"

#include <string.h>
#include "swim/core.h"

static void on_timer(struct swim *swim, struct timer *timer)
{
    timer_set(&swim->timers, timer, TIMER_NEVER);
    swim->load.spread_usec = swim->now;
    if (swim->self->shown.state == SWIM_ALIVE)
        rumor_spread_load(swim, swim->self);
}

int load_init(struct swim *swim)
{
    return timer_init(&swim->timers, &swim->load.timer, on_timer);
}

/* How busy the machine itself is changes all the time: acknowledgements tell of it soon enough. */
static bool is_noticeable(const struct swim_load *a, const struct swim_load *b)
{
    return a->running != b->running || a->queued != b->queued || a->slots != b->slots ||
           a->draining != b->draining;
}

static bool is_same(const struct swim_load *a, const struct swim_load *b)
{
    return !is_noticeable(a, b) && a->load_permille == b->load_permille &&
           a->cpu_percent == b->cpu_percent && a->memory_percent == b->memory_percent;
}

void load_set(struct swim *swim, const struct swim_load *load)
{
    struct swim_load *own = &swim->self->shown.load;
    usec_t due = swim->load.spread_usec > 0
                     ? usec_add(swim->load.spread_usec, swim->config.load_interval_usec)
                     : swim->now;

    if (is_same(load, own))
        return;
    bool is_news = is_noticeable(load, own);
    /* Who stops taking work says so at once. */
    if (load->draining != own->draining)
        due = swim->now;
    *own = *load;
    swim->self->load_version = ++swim->load.version;
    swim->load.changes++;
    if (is_news && (!timer_is_armed(&swim->load.timer) || due < swim->load.timer.entry.time_usec))
        timer_set(&swim->timers, &swim->load.timer, MAX(due, swim->now));
}

bool load_take(struct swim *swim, struct member *member, uint64_t generation, uint32_t version,
               const struct swim_load *load)
{
    if (member->shown.is_self || !state_is_live(member->shown.state) ||
        generation != member->shown.incarnation.generation || version <= member->load_version)
        return false;
    member->load_version = version;
    member->shown.load = *load;
    swim->load.changes++;
    return true;
}
