/* SPDX-License-Identifier: MIT */
#include "swim/probe.h"

#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

#define RTT_MAX_USEC (10 * USEC_PER_MIN) /* what is longer is no round trip */
#define LOSS_WEIGHT  16                  /* a request counts for so much of those before it */

static struct probe *probe_free(struct swim *swim, struct probe *probe)
{
    list_remove(&probe->link);
    timer_done(&swim->timers, &probe->timer);
    swim->probes.counts[probe->kind]--;
    free(probe);
    return NULL;
}

void probes_done(struct swim *swim)
{
    list_for_each_safe (link, &swim->probes.active)
        probe_free(swim, list_entry(link, struct probe, link));
}

/* --- Local health and round-trip times --- */

void probe_raise_health(struct swim *swim)
{
    if (swim->probes.health < PROBE_HEALTH_MAX && !swim->config.is_plain)
        swim->probes.health++;
}

/* LHA-Probe: a duration, stretched by what we think of ourselves. */
static usec_t stretch(const struct swim *swim, usec_t usec)
{
    return usec * (swim->probes.health + 1);
}

void probe_measure(struct member *member, usec_t rtt_usec)
{
    usec_t smoothed = member->shown.rtt_usec, variance = member->rtt_variance_usec;

    rtt_usec = CLAMP(rtt_usec, (usec_t)1, RTT_MAX_USEC);
    if (smoothed == 0) {
        smoothed = rtt_usec;
        variance = rtt_usec / 2;
    } else {
        usec_t error = smoothed > rtt_usec ? smoothed - rtt_usec : rtt_usec - smoothed;
        variance = (3 * variance + error) / 4;
        smoothed = MAX((7 * smoothed + rtt_usec) / 8, (usec_t)1);
    }
    member->shown.rtt_usec = (uint32_t)smoothed;
    member->rtt_variance_usec = (uint32_t)variance;
}

/* Its requests before @answered came to nothing; at sent_count: all of them. */
static void measure_loss(struct probe *probe, uint32_t answered)
{
    uint16_t *loss = &probe->target->shown.loss_permille;

    for (uint32_t i = 0; i < answered; i++)
        *loss = (uint16_t)(*loss + (1000 - *loss + LOSS_WEIGHT - 1) / LOSS_WEIGHT);
    if (answered < probe->sent_count)
        *loss = (uint16_t)(*loss - (*loss + LOSS_WEIGHT - 1) / LOSS_WEIGHT);
}

usec_t probe_timeout(const struct swim *swim, const struct member *member)
{
    usec_t limit = swim->config.probe_timeout_usec;

    if (member->shown.rtt_usec == 0)
        return limit;
    usec_t timeout = member->shown.rtt_usec + 4 * member->rtt_variance_usec;
    return CLAMP(timeout, MIN(PROBE_RTO_MIN_USEC, limit), limit);
}

/* --- One probe --- */

static void tell_ping(struct swim *swim, const struct probe *probe, usec_t rtt_usec)
{
    struct swim_event *event = event_add(swim, SWIM_EVENT_PING, probe->target);

    event->token = probe->token;
    event->rtt_usec = rtt_usec;
}

static void send_request(struct swim *swim, struct probe *probe)
{
    const struct swim_member *target = &probe->target->shown;
    struct message message = {.type = MESSAGE_PING};
    uint32_t i = probe->sent_count++;

    probe->sent_usec[i] = swim->now;
    probe->wall_usec[i] = core_wall(swim);
    message.seq = probe->seq + i;
    message.wall_usec = probe->wall_usec[i];
    packet_send_message(swim, &target->address, &target->id, &message);
    struct swim_event *event = event_add(swim, SWIM_EVENT_LIVENESS_REQUEST, probe->target);
    event->is_outgoing = true;
    event->wall_usec = message.wall_usec;
}

static void ask_helpers(struct swim *swim, struct probe *probe)
{
    struct message message = {.type = MESSAGE_ASK};
    struct member *helpers[SWIM_HELPERS_MAX];

    probe->is_helped = true;
    message.seq = probe->seq + probe->requests_max;
    message.id = probe->target->shown.id;
    probe->helpers_count =
        members_sample(swim, swim->config.indirect_probes, probe->target, helpers);
    for (size_t i = 0; i < probe->helpers_count; i++) {
        probe->helpers[i] = helpers[i]->shown.id;
        packet_send_message(swim, &helpers[i]->shown.address, &probe->helpers[i], &message);
    }
}

/* Requests are 1, 2, 4 ... timeouts apart, or closer, so that all of them fit into the interval. */
static void arm(struct swim *swim, struct probe *probe)
{
    usec_t time = probe->end_usec;

    if (probe->sent_count < probe->requests_max || !probe->is_helped) {
        usec_t timeout = stretch(swim, probe_timeout(swim, probe->target));
        usec_t wait = timeout * ((UINT64_C(1) << probe->sent_count) - 1);
        usec_t share = (probe->end_usec - probe->start_usec) * probe->sent_count /
                       MAX(probe->requests_max, 2U);
        time = MIN(time, probe->start_usec + MIN(wait, share));
    }
    timer_set(&swim->timers, &probe->timer, time);
}

/* Memberlist's reading of "missed nack": helpers that keep silent accuse us, not the target. */
static void judge_health(struct swim *swim, const struct probe *probe)
{
    size_t answered = (size_t)__builtin_popcount(probe->nacks);

    if (probe->helpers_count == 0)
        probe_raise_health(swim);
    for (size_t i = answered; i < probe->helpers_count; i++)
        probe_raise_health(swim);
}

static void fail(struct swim *swim, struct probe *probe)
{
    struct evidence evidence = {.start_usec = probe->start_usec,
                                .through_count = probe->helpers_count};
    struct member *target = probe->target;
    bool is_whole =
        (probe->sent_count == probe->requests_max && probe->is_helped) || swim->config.is_plain;

    if (probe->kind == PROBE_PING) {
        tell_ping(swim, probe, USEC_INFINITY);
        probe_free(swim, probe);
        return;
    }
    swim->probes.failed_count++;
    measure_loss(probe, probe->sent_count);
    judge_health(swim, probe);
    memcpy(evidence.through, probe->helpers, sizeof(evidence.through));
    probe_free(swim, probe);
    /* A probe that we were too slow to carry out says nothing about its target; nor does one in a
     * rush, where all are. */
    if (is_whole && swim->now >= swim->probes.grace_end_usec && !rush_spares(swim, target))
        view_accuse(swim, target, &evidence);
}

static void on_timer(struct swim *swim, struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);

    if (swim->now >= probe->end_usec) {
        fail(swim, probe);
        return;
    }
    if (probe->sent_count < probe->requests_max)
        send_request(swim, probe);
    if (!probe->is_helped)
        ask_helpers(swim, probe);
    arm(swim, probe);
}

static int start(struct swim *swim, struct member *target, enum probe_kind kind, uint64_t token)
{
    struct probe *probe = calloc(1, sizeof(*probe));

    if (!probe)
        return -ENOMEM;
    if (timer_init(&swim->timers, &probe->timer, on_timer) < 0) {
        free(probe);
        return -ENOMEM;
    }
    probe->kind = kind;
    probe->target = target;
    probe->token = token;
    probe->requests_max = kind == PROBE_PING ? 1 : swim->config.max_missed;
    probe->is_helped = kind == PROBE_PING;
    probe->seq = swim->seq;
    swim->seq += probe->requests_max + 1;
    probe->start_usec = swim->now;
    probe->end_usec =
        swim->now + (kind == PROBE_PING ? swim->config.probe_interval_usec
                                        : stretch(swim, swim->config.probe_interval_usec));
    list_append(&swim->probes.active, &probe->link);
    swim->probes.counts[kind]++;
    send_request(swim, probe);
    arm(swim, probe);
    return 0;
}

int probe_ping(struct swim *swim, struct member *member, uint64_t token)
{
    if (swim->probes.counts[PROBE_PING] >= PROBE_PINGS_MAX)
        return -ENOBUFS;
    return start(swim, member, PROBE_PING, token);
}

/* --- Rounds --- */

static bool is_probed(const struct swim *swim, const struct member *member)
{
    list_for_each (link, &swim->probes.active) {
        const struct probe *probe = list_entry(link, struct probe, link);
        if (probe->target == member && probe->kind != PROBE_PING)
            return true;
    }
    return false;
}

static void on_round(struct swim *swim, struct timer *timer)
{
    struct member *target = NULL;

    timer_set(&swim->timers, timer, TIMER_NEVER);
    if (swim->members.live_count == 0 || swim->self->shown.state != SWIM_ALIVE)
        return;
    timer_set(&swim->timers, timer, swim->now + stretch(swim, swim->config.probe_interval_usec));
    if (rush_is_on(swim)) {
        sync_with_any(swim);
        return;
    }
    target = members_next(swim);
    if (is_probed(swim, target))
        return;
    swim->probes.rounds_count++;
    swim->probes.round_usec = swim->now;
    (void)start(swim, target, PROBE_ROUND, 0);
}

void probe_wake(struct swim *swim)
{
    struct timer *timer = &swim->probes.round_timer;

    /* Nodes that start together do not probe in step. */
    if (!timer_is_armed(timer))
        timer_set(&swim->timers, timer,
                  swim->now + rng_below(&swim->rng, swim->config.probe_interval_usec) + 1);
}

int probes_init(struct swim *swim)
{
    list_init(&swim->probes.active);
    return timer_init(&swim->timers, &swim->probes.round_timer, on_round);
}

/* --- Verification --- */

/* Who is to verify the accusation of @member: those whose hash with it is lowest. */
static uint64_t draw_lot(uint64_t hash, uint64_t accused)
{
    uint64_t x = member_mix(hash ^ accused);

    return x ^ x >> 27;
}

/* One more than are needed: the first accuser may be among them. */
static bool is_chosen(const struct swim *swim, const struct member *member)
{
    uint64_t accused = member_hash(member);
    uint64_t own = draw_lot(member_hash_id(&swim->self->shown.id), accused);
    size_t ahead = 0;

    order_for_each(&swim->members.all, entry)
    {
        ahead += draw_lot(entry->hash, accused) < own && entry->member != member &&
                 entry->member->shown.turn > 0;
        if (ahead > member_suspicion(member)->confirmations_max)
            return false;
    }
    return true;
}

void probe_verify(struct swim *swim, struct member *member)
{
    if (swim->probes.counts[PROBE_VERIFY] < PROBE_VERIFIES_MAX && !is_probed(swim, member) &&
        swim->self->shown.state == SWIM_ALIVE && !rush_spares(swim, member) &&
        is_chosen(swim, member))
        (void)start(swim, member, PROBE_VERIFY, 0);
}

/* --- Ends --- */

void probe_forget(struct swim *swim, struct member *member)
{
    list_for_each_safe (link, &swim->probes.active) {
        struct probe *probe = list_entry(link, struct probe, link);
        if (probe->target != member)
            continue;
        if (probe->kind == PROBE_PING)
            tell_ping(swim, probe, USEC_INFINITY);
        probe_free(swim, probe);
    }
}

void probe_excuse(struct swim *swim)
{
    swim->probes.grace_end_usec = usec_add(swim->now, swim->config.probe_interval_usec);
    list_for_each_safe (link, &swim->probes.active) {
        struct probe *probe = list_entry(link, struct probe, link);
        if (probe->kind != PROBE_PING)
            probe_free(swim, probe);
    }
    suspicion_postpone_all(swim);
}

static void succeed(struct swim *swim, struct probe *probe)
{
    if (probe->kind != PROBE_PING && swim->probes.health > 0)
        swim->probes.health--;
    probe_free(swim, probe);
}

static struct probe *find(struct swim *swim, uint32_t seq, uint32_t *ret_request)
{
    list_for_each (link, &swim->probes.active) {
        struct probe *probe = list_entry(link, struct probe, link);
        uint32_t request = seq - probe->seq;
        if (request < probe->sent_count ||
            (request == probe->requests_max && probe->helpers_count > 0)) {
            *ret_request = request;
            return probe;
        }
    }
    return NULL;
}

bool probe_take_ack(struct swim *swim, const struct source *source, const struct message *message)
{
    uint32_t request;
    struct probe *probe = find(swim, message->seq, &request);

    if (!probe || request >= probe->sent_count ||
        !node_id_is_equal(&probe->target->shown.id, source->id))
        return false;
    usec_t rtt = swim->now - probe->sent_usec[request];
    probe_measure(probe->target, rtt);
    measure_loss(probe, request);
    struct swim_event *event = event_add(swim, SWIM_EVENT_LIVENESS_REPLY, probe->target);
    event->wall_usec = probe->wall_usec[request];
    event->rtt_usec = rtt;
    if (probe->kind == PROBE_PING)
        tell_ping(swim, probe, rtt);
    succeed(swim, probe);
    return true;
}

/* The helper @source of a probe, or -1. */
static int helper_of(const struct probe *probe, const struct source *source)
{
    for (size_t i = 0; i < probe->helpers_count; i++)
        if (node_id_is_equal(&probe->helpers[i], source->id))
            return (int)i;
    return -1;
}

void probe_take_relayed(struct swim *swim, const struct source *source,
                        const struct message *message)
{
    uint32_t request;
    struct probe *probe = find(swim, message->seq, &request);

    if (!probe || request != probe->requests_max || helper_of(probe, source) < 0)
        return;
    measure_loss(probe, probe->sent_count);
    if (member_suspicion(probe->target))
        suspicion_refresh(swim, probe->target);
    succeed(swim, probe);
}

void probe_take_nack(struct swim *swim, const struct source *source, const struct message *message)
{
    uint32_t request;
    struct probe *probe = find(swim, message->seq, &request);
    int helper = probe && request == probe->requests_max ? helper_of(probe, source) : -1;

    if (helper >= 0)
        probe->nacks |= 1U << helper;
}
