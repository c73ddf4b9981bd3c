/* SPDX-License-Identifier: MIT */
#include "swim/freeze.h"

#include "swim/core.h"

static bool is_within_window(const struct swim *swim)
{
    return swim->now - swim->freeze.deaths_usec < suspicion_min(swim);
}

static bool is_due(const struct swim *swim)
{
    const struct freeze *freeze = &swim->freeze;
    size_t deaths = is_within_window(swim) ? freeze->deaths_count : 0;
    size_t count = freeze->suspects_count + deaths;
    size_t lab = members_alive_count(&swim->members) + deaths;

    return freeze->suspects_count > 0 && count >= FREEZE_SUSPECTS_MIN &&
           count >= lab / FREEZE_SHARE;
}

static void update(struct swim *swim)
{
    bool is_on = is_due(swim);

    if (is_on == swim->freeze.is_on)
        return;
    swim->freeze.is_on = is_on;
    event_add(swim, SWIM_EVENT_FREEZE, NULL)->count =
        is_on ? (uint32_t)swim->freeze.suspects_count : 0;
    for (size_t i = 0; is_on && i < swim->members.live_count; i++)
        if (member_suspicion(swim->members.live[i]))
            suspicion_extend(swim, swim->members.live[i]);
}

void freeze_count_suspect(struct swim *swim)
{
    swim->freeze.suspects_count++;
    update(swim);
}

void freeze_drop_suspect(struct swim *swim, bool is_dead)
{
    struct freeze *freeze = &swim->freeze;

    freeze->suspects_count--;
    if (is_dead && !is_within_window(swim)) {
        freeze->deaths_usec = swim->now;
        freeze->deaths_count = 0;
    }
    freeze->deaths_count += is_dead;
    update(swim);
}

void freeze_drop_death(struct swim *swim)
{
    if (swim->freeze.deaths_count > 0)
        swim->freeze.deaths_count--;
    update(swim);
}
