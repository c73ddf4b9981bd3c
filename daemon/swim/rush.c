/* SPDX-License-Identifier: MIT */
#include "swim/rush.h"

#include "swim/core.h"

#define SPAN_MIN_USEC    USEC_PER_SEC
#define SPAN_MEMBER_USEC (4 * USEC_PER_MSEC) /* the more there are, the longer it takes */
#define RUSH_MAX_USEC    USEC_PER_MIN        /* who comes for longer does not rush */
#define AFTER_USEC       USEC_PER_MIN

static usec_t span_of(const struct swim *swim)
{
    return SPAN_MIN_USEC + swim->members.live_count * SPAN_MEMBER_USEC;
}

static bool are_many(const struct swim *swim)
{
    const struct rush *rush = &swim->rush;
    usec_t age = swim->now - rush->span_usec, span = span_of(swim);
    size_t count = age < span ? rush->count + rush->before : age < 2 * span ? rush->count : 0;

    return count >= RUSH_MIN && count >= swim->members.live_count / RUSH_SHARE;
}

void rush_count(struct swim *swim)
{
    struct rush *rush = &swim->rush;
    bool were_many = are_many(swim);
    usec_t age = swim->now - rush->span_usec, span = span_of(swim);

    if (age >= span) {
        rush->before = age < 2 * span ? rush->count : 0;
        rush->count = 0;
        rush->span_usec = swim->now;
    }
    rush->count++;
    if (!are_many(swim))
        return;
    if (!were_many)
        rush->began_usec = swim->now;
    rush->last_usec = swim->now;
}

void rush_expect(struct swim *swim, uint32_t count)
{
    swim->rush.expected = count;
    swim->rush.expected_usec = swim->now;
}

/* Whether we have just come to a crowd, and hardly know it. */
static bool is_new_here(const struct swim *swim)
{
    const struct rush *rush = &swim->rush;

    return rush->expected > GOSSIP_CROWD && swim->members.live_count < rush->expected / 4 * 3 &&
           swim->now - rush->expected_usec < RUSH_MAX_USEC;
}

bool rush_is_on(const struct swim *swim)
{
    if (swim->config.is_plain)
        return false;
    if (!gossip_is_crowd(swim))
        return is_new_here(swim);
    return is_new_here(swim) || swim->rumors.lives_count >= RUSH_LIVES ||
           (are_many(swim) && swim->now - swim->rush.began_usec < RUSH_MAX_USEC);
}

bool rush_spares(const struct swim *swim, const struct member *member)
{
    return rush_is_on(swim) ||
           (member->shown.is_seed && gossip_is_crowd(swim) && swim->rush.last_usec > 0 &&
            swim->now - swim->rush.last_usec < AFTER_USEC && !swim->config.is_plain);
}
