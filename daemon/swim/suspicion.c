/* SPDX-License-Identifier: MIT */
#include "swim/suspicion.h"

#include <math.h>
#include <stdlib.h>
#include "swim/core.h"

usec_t suspicion_timeout(usec_t min_usec, usec_t max_usec, size_t confirmations,
                         size_t confirmations_max)
{
    if (confirmations >= confirmations_max || max_usec <= min_usec)
        return min_usec;
    double share = log((double)confirmations + 1) / log((double)confirmations_max + 1);
    usec_t timeout = max_usec - (usec_t)((double)(max_usec - min_usec) * share);
    return CLAMP(timeout, min_usec, max_usec);
}

usec_t suspicion_min(const struct swim *swim)
{
    double scale = log10((double)members_alive_count(&swim->members) + 1);

    return (usec_t)((double)swim->config.suspicion_mult * MAX(scale, 1.0) *
                    (double)swim->config.probe_interval_usec);
}

int suspicion_begin(struct swim *swim, struct member *member, usec_t start_usec)
{
    struct suspicion *suspicion = calloc(1, sizeof(*suspicion));
    /* Everybody but this node, the suspect and the first accuser could confirm. */
    size_t others = usec_sub(members_alive_count(&swim->members), 2);

    if (!suspicion || member_take_care(swim, member) < 0) {
        free(suspicion);
        return -ENOMEM;
    }
    suspicion->start_usec = start_usec;
    suspicion->confirmations_max = MIN(others, (size_t)SUSPICION_CONFIRMATIONS);
    member_care(member)->suspicion = suspicion;
    freeze_count_suspect(swim);
    if (swim->freeze.is_on)
        suspicion_extend(swim, member);
    return 0;
}

bool suspicion_confirm(struct swim *swim, struct member *member, const struct node_id *accuser)
{
    struct suspicion *suspicion = member_suspicion(member);

    if (core_is_self(swim, accuser))
        suspicion->is_own = true;
    if (node_id_is_equal(accuser, &member->shown.id) ||
        suspicion->accusers_count > suspicion->confirmations_max)
        return false;
    for (size_t i = 0; i < suspicion->accusers_count; i++)
        if (node_id_is_equal(&suspicion->accusers[i], accuser))
            return false;
    suspicion->accusers[suspicion->accusers_count++] = *accuser;
    return true;
}

void suspicion_arm(struct swim *swim, struct member *member)
{
    const struct suspicion *suspicion = member_suspicion(member);
    usec_t min_usec = suspicion_min(swim);
    usec_t timeout = suspicion_timeout(min_usec, swim->config.suspicion_max * min_usec,
                                       suspicion->accusers_count - 1, suspicion->confirmations_max);
    usec_t deadline = usec_add(suspicion->start_usec, timeout + suspicion->extra_usec);

    if (suspicion->refreshed_usec > 0)
        deadline = MAX(deadline, usec_add(suspicion->refreshed_usec, min_usec));
    timer_set(&swim->timers, &member_care(member)->timer, MAX(deadline, swim->now));
}

void suspicion_extend(struct swim *swim, struct member *member)
{
    struct suspicion *suspicion = member_suspicion(member);

    suspicion->extra_usec = suspicion_min(swim);
    if (suspicion->accusers_count > 0) /* else it has just begun, and is not armed yet */
        suspicion_arm(swim, member);
}

void suspicion_refresh(struct swim *swim, struct member *member)
{
    member_suspicion(member)->refreshed_usec = swim->now;
    suspicion_arm(swim, member);
}

void suspicion_postpone_all(struct swim *swim)
{
    usec_t deadline = usec_add(swim->now, swim->config.probe_interval_usec);

    for (size_t i = 0; i < swim->members.live_count; i++) {
        struct member *member = swim->members.live[i];
        if (member_suspicion(member) && member_care(member)->timer.entry.time_usec < deadline)
            timer_set(&swim->timers, &member_care(member)->timer, deadline);
    }
}
