/* SPDX-License-Identifier: MIT */
#include "swim/rush.h"

#include "swim/core.h"

#define SPAN_MIN_USEC    USEC_PER_SEC
#define SPAN_MEMBER_USEC (4 * USEC_PER_MSEC) /* the more there are, the longer it takes */
#define RUSH_MAX_USEC    USEC_PER_MIN        /* who comes for longer does not rush */
#define AFTER_USEC       USEC_PER_MIN
#define PAUSE_USEC       (10 * USEC_PER_SEC) /* without a reason, and the next one is a new rush */

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

/* Numbers that are now above their limit and now below do not make one rush after the other. */
static void go_on(struct rush_spell *spell, usec_t now)
{
    if (spell->last_usec == 0 || now - spell->last_usec >= PAUSE_USEC)
        spell->began_usec = now;
    spell->last_usec = now;
}

void rush_count(struct swim *swim)
{
    struct rush *rush = &swim->rush;
    usec_t age = swim->now - rush->span_usec, span = span_of(swim);

    if (age >= span) {
        rush->before = age < 2 * span ? rush->count : 0;
        rush->count = 0;
        rush->span_usec = swim->now;
    }
    rush->count++;
    if (are_many(swim))
        go_on(&rush->many, swim->now);
}

void rush_count_life(struct swim *swim)
{
    if (swim->rumors.lives_count >= RUSH_LIVES)
        go_on(&swim->rush.lives, swim->now);
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
    const struct rush *rush = &swim->rush;
    return is_new_here(swim) ||
           (swim->rumors.lives_count >= RUSH_LIVES &&
            swim->now - rush->lives.began_usec < RUSH_MAX_USEC) ||
           (are_many(swim) && swim->now - rush->many.began_usec < RUSH_MAX_USEC);
}

bool rush_spares(const struct swim *swim, const struct member *member)
{
    return rush_is_on(swim) ||
           (member->shown.is_seed && gossip_is_crowd(swim) && swim->rush.many.last_usec > 0 &&
            swim->now - swim->rush.many.last_usec < AFTER_USEC && !swim->config.is_plain);
}
