/* SPDX-License-Identifier: MIT */
#include "swim/gossip.h"

#include "swim/core.h"

#define SPACING_SHARE   20 /* of the interval */
#define SPACING_MEMBERS 64
#define PARTNERS        24 /* that each of them has then */
#define FANOUT_MAX      64
#define RUSH_FILL       16 /* rumors that fill a packet, about */

usec_t gossip_spacing(const struct swim *swim)
{
    size_t crowd = MAX(swim->members.live_count / SPACING_MEMBERS, (size_t)1);

    if (rush_is_on(swim))
        return swim->config.gossip_interval_usec * (swim->probes.health + 1);
    if (gossip_is_crowd(swim))
        crowd *= swim->probes.health + 1;
    return MAX(swim->config.gossip_interval_usec / SPACING_SHARE * crowd, (usec_t)1);
}

void gossip_wake(struct swim *swim, bool is_urgent)
{
    struct gossip *gossip = &swim->gossip;
    usec_t time = usec_add(swim->now, swim->config.gossip_interval_usec);

    if (swim->members.live_count == 0)
        return;
    if (is_urgent)
        time = MAX(swim->now,
                   gossip->round_usec > 0 ? gossip->round_usec + gossip_spacing(swim) : swim->now);
    if (!timer_is_armed(&gossip->timer) || time < gossip->timer.entry.time_usec)
        timer_set(&swim->timers, &gossip->timer, time);
}

static void send_rumors(struct swim *swim, const struct member *member)
{
    struct draft draft;

    packet_begin(swim, &draft, &member->shown.address, &member->shown.id);
    size_t before = draft.writer.position;
    rumor_fill(swim, &draft);
    if (draft.writer.position > before)
        packet_send_bare(&draft);
}

bool gossip_is_crowd(const struct swim *swim)
{
    return swim->members.live_count > GOSSIP_CROWD;
}

/*
 * In a crowd a node gossips with about PARTNERS others, chosen by both ids so that they choose
 * each other. News travel a random graph of that degree as fast as a full one, and nobody has to
 * prove itself to everybody (a sealed session is a handshake) while a large lab starts.
 */
static bool is_partner(const struct swim *swim, uint64_t own, uint64_t hash)
{
    return hash != own && member_mix(own ^ hash) < UINT64_MAX / swim->members.live_count * PARTNERS;
}

/* Looks for partners again, where somebody has come or gone since. */
static void find_partners(struct swim *swim)
{
    struct partners *partners = &swim->gossip.partners;
    uint64_t own = member_hash_id(&swim->self->shown.id);

    if (partners->version == swim->members.all.version)
        return;
    partners->version = swim->members.all.version;
    partners->count = 0;
    order_for_each(&swim->members.all, entry)
    {
        if (partners->count < GOSSIP_PARTNERS_MAX && is_partner(swim, own, entry->hash))
            partners->members[partners->count++] = entry->member;
    }
}

size_t gossip_draw(struct swim *swim, size_t count, struct member **ret)
{
    struct partners *partners = &swim->gossip.partners;
    size_t alive = 0;

    if (!gossip_is_crowd(swim))
        return members_sample(swim, count, NULL, ret);
    find_partners(swim);
    for (size_t i = 0; i < MIN(count, partners->count); i++) {
        size_t drawn = i + (size_t)rng_below(&swim->rng, partners->count - i);
        struct member *member = partners->members[drawn];
        partners->members[drawn] = partners->members[i];
        partners->members[i] = member;
        if (member->shown.turn > 0)
            ret[alive++] = member;
    }
    return alive > 0 ? alive : members_sample(swim, count, NULL, ret);
}

static void on_round(struct swim *swim, struct timer *timer)
{
    struct member *targets[FANOUT_MAX];
    size_t fanout = MIN((size_t)swim->config.gossip_fanout, (size_t)FANOUT_MAX);

    timer_set(&swim->timers, timer, TIMER_NEVER);
    if (swim->members.live_count == 0 || rumors_count(&swim->rumors) == 0)
        return;
    swim->gossip.round_usec = swim->now;
    if (rush_is_on(swim)) {
        size_t packets = rumors_count(&swim->rumors) / RUSH_FILL;
        fanout = CLAMP(packets, (size_t)1, fanout);
    } else if (!rumors_are_fresh(&swim->rumors)) {
        size_t drawn = 1 + (size_t)rng_below(&swim->rng, swim->members.live_count);
        fanout = MIN(fanout, drawn);
    }
    size_t count = gossip_draw(swim, fanout, targets);
    for (size_t i = 0; i < count; i++)
        send_rumors(swim, targets[i]);
    if (rumors_count(&swim->rumors) > 0)
        gossip_wake(swim, rumors_are_fresh(&swim->rumors));
}

/* --- Heartbeats --- */

static void tell_heartbeat(struct swim *swim, const struct member *member,
                           const struct message *message)
{
    struct swim_event *event = event_add(swim, SWIM_EVENT_GOSSIP, member);

    event->origin = message->id;
    event->address = message->address;
    event->wall_usec = message->wall_usec;
    event->number = message->number;
    event->is_outgoing = member->shown.is_self;
}

static void on_heartbeat(struct swim *swim, struct timer *timer)
{
    const struct swim_config *config = &swim->config;
    struct gossip *gossip = &swim->gossip;
    const struct swim_member *own = &swim->self->shown;
    bool is_over = config->message_count > 0 && gossip->heartbeats_count >= config->message_count;
    size_t others = swim->members.live_count;

    if (is_over || own->state != SWIM_ALIVE) {
        timer_set(&swim->timers, timer, TIMER_NEVER);
        return;
    }
    timer_set(&swim->timers, timer, usec_add(swim->now, config->message_interval_usec));
    /* Alone, or while we do not know our address, there is nothing to say and nobody to hear it. */
    if (others == 0 || address_is_wildcard(&own->address))
        return;
    /* Everybody's reach everybody: a crowd takes turns, or it would do nothing else. */
    if (gossip_is_crowd(swim) &&
        rng_below(&swim->rng, others * others) >= GOSSIP_CROWD * GOSSIP_CROWD)
        return;
    struct message message = {.type = MESSAGE_HEARTBEAT};
    message.id = own->id;
    message.incarnation = own->incarnation;
    message.number = ++gossip->heartbeats_count;
    message.wall_usec = core_wall(swim);
    message.address = own->address;
    tell_heartbeat(swim, swim->self, &message);
    rumor_spread_text(swim, &message, false);
}

void gossip_take_heartbeat(struct swim *swim, const struct message *message)
{
    struct member *member = member_find(swim, &message->id);

    if (!member || member->shown.is_self ||
        message->incarnation.generation != member->shown.incarnation.generation)
        return;
    if (member_take_extra(member) < 0 ||
        !window_add(&member->extra->heartbeats, message->incarnation.generation, message->number)) {
        swim->gossip_duplicates++;
        return;
    }
    tell_heartbeat(swim, member, message);
    rumor_spread_text(swim, message, false);
}

int gossip_init(struct swim *swim)
{
    struct gossip *gossip = &swim->gossip;
    int r = timer_init(&swim->timers, &gossip->timer, on_round);

    if (r < 0)
        return r;
    r = timer_init(&swim->timers, &gossip->heartbeat_timer, on_heartbeat);
    if (r < 0)
        return r;
    gossip_start(swim);
    return 0;
}

void gossip_start(struct swim *swim)
{
    if (swim->config.message_interval_usec > 0)
        timer_set(
            &swim->timers, &swim->gossip.heartbeat_timer,
            usec_add(swim->now, 1 + rng_below(&swim->rng, swim->config.message_interval_usec)));
}
