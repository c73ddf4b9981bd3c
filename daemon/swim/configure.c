/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "swim/core.h"

/* What a reload changes in a core that runs. */

/* The newest stay. Without memory all are forgotten, and the member counts as stable. */
static void resize_flaps(struct care *care, size_t before, size_t after)
{
    usec_t *flaps = calloc(after, sizeof(*flaps));

    for (size_t i = 0; flaps && i < MIN(before, after); i++) {
        size_t newest = 0;
        for (size_t j = 1; j < before; j++)
            if (care->flaps[j] > care->flaps[newest])
                newest = j;
        flaps[i] = care->flaps[newest];
        care->flaps[newest] = 0;
    }
    free(care->flaps);
    care->flaps = flaps;
}

static void apply_to_member(struct swim *swim, struct member *member, size_t flaps_before)
{
    struct care *care = member_care(member);

    if (!care)
        return;
    if (care->flaps && flaps_before != swim->config.unstable_flaps)
        resize_flaps(care, flaps_before, swim->config.unstable_flaps);
    if (member->shown.state >= SWIM_DEAD)
        timer_set(&swim->timers, &care->timer,
                  usec_add(member->shown.changed_usec, swim->config.dead_retention_usec));
    view_count_flaps(swim, member);
}

/* What comes at intervals is not waited for longer than the new one. */
static void hurry(struct swim *swim, struct timer *timer, usec_t interval_usec)
{
    if (timer_is_armed(timer))
        timer_set(&swim->timers, timer,
                  MIN(timer->entry.time_usec, usec_add(swim->now, interval_usec)));
}

int swim_set_config(struct swim *swim, const struct swim_config *config, usec_t now)
{
    struct swim_config before = swim->config;

    core_begin(swim, now);
    if (!core_config_is_valid(config))
        return -EINVAL;
    int r = swim_set_packet_size(swim, config->packet_size_max);
    if (r < 0)
        return r;
    swim->config = *config;
    order_for_each(&swim->members.all, entry)
        apply_to_member(swim, entry->member, before.unstable_flaps);
    order_for_each(&swim->members.forgotten, entry)
        apply_to_member(swim, entry->member, before.unstable_flaps);
    hurry(swim, &swim->probes.round_timer, config->probe_interval_usec);
    hurry(swim, &swim->sync.round_timer, config->sync_interval_usec);
    hurry(swim, &swim->join.rejoin_timer, config->rejoin_interval_usec);
    if (config->message_interval_usec == before.message_interval_usec &&
        config->message_count == before.message_count)
        return 0;
    timer_set(&swim->timers, &swim->gossip.heartbeat_timer, TIMER_NEVER);
    gossip_start(swim);
    return 0;
}
