/* SPDX-License-Identifier: MIT */
#include "swim/swim.h"

#include <stdlib.h>
#include <string.h>
#include "swim/core.h"
#include "swim/receive.h"
#include "swim/refute.h"

#define PACKET_SIZE_DEFAULT 1326 /* a datagram of 1400 bytes, less what the seal adds */
#define UNSTABLE_FLAPS_MAX  1000
#define COMPANY_SIZE        168 /* of what goes with our record in a WELCOME to a suspect */

void swim_config_default(struct swim_config *ret)
{
    *ret = (struct swim_config){
        .probe_interval_usec = USEC_PER_SEC,
        .probe_timeout_usec = 500 * USEC_PER_MSEC,
        .indirect_probes = 3,
        .max_missed = 3,
        .suspicion_mult = 2,
        .suspicion_max = 6,
        .seed_quorum = 0,
        .unstable_flaps = 5,
        .unstable_window_usec = 10 * USEC_PER_MIN,
        .dead_retention_usec = 24 * USEC_PER_HOUR,
        .rejoin_interval_usec = 30 * USEC_PER_SEC,
        .gossip_interval_usec = 200 * USEC_PER_MSEC,
        .gossip_fanout = 4,
        .sync_interval_usec = 30 * USEC_PER_SEC,
        .message_interval_usec = 5 * USEC_PER_SEC,
        .message_count = 10,
        .load_interval_usec = 2 * USEC_PER_SEC,
        .retransmit_mult = 4,
        .packet_size_max = PACKET_SIZE_DEFAULT,
    };
}

bool core_config_is_valid(const struct swim_config *config)
{
    return config->probe_interval_usec > 1 && config->probe_timeout_usec > 0 &&
           config->probe_timeout_usec <= config->probe_interval_usec / 2 &&
           config->indirect_probes <= SWIM_HELPERS_MAX && config->max_missed >= 1 &&
           config->max_missed <= PROBE_REQUESTS_MAX && config->suspicion_mult >= 1 &&
           config->suspicion_max >= 1 && config->suspicion_max <= 20 &&
           config->unstable_flaps >= 1 && config->unstable_flaps <= UNSTABLE_FLAPS_MAX &&
           config->unstable_window_usec > 0 && config->dead_retention_usec > 0 &&
           config->rejoin_interval_usec > 0 && config->gossip_interval_usec > 0 &&
           config->gossip_fanout >= 1 && config->sync_interval_usec > 0 &&
           config->load_interval_usec > 0 && config->retransmit_mult >= 1 &&
           config->packet_size_max >= SWIM_PACKET_MIN && config->packet_size_max <= SWIM_PACKET_MAX;
}

static bool self_is_valid(const struct swim_self *self)
{
    return !node_id_is_null(&self->id) && text_is_node_name(self->name) &&
           (self->address.family == 4 || self->address.family == 6) && self->address.port > 0;
}

static int add_self(struct swim *swim, const struct swim_self *self)
{
    struct swim_incarnation incarnation = {.generation = self->generation};
    int r = member_add(swim, &self->id, &swim->self);

    if (r < 0)
        return r;
    struct swim_member *shown = &swim->self->shown;
    shown->is_self = true;
    shown->is_seed = self->is_seed;
    shown->address = self->address;
    r = member_set_text(swim, swim->self, self->name, NULL, 0);
    if (r < 0)
        return r;
    member_set_state(swim, swim->self, SWIM_ALIVE, &incarnation);
    swim->is_address_learned = address_is_wildcard(&self->address);
    return 0;
}

static int init_parts(struct swim *swim)
{
    int (*const parts[])(struct swim *) = {
        rumors_init, probes_init, relays_init, gossip_init,
        load_init,   sync_init,   join_init,   leave_init,
    };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        int r = parts[i](swim);
        if (r < 0)
            return r;
    }
    return 0;
}

int swim_new(const struct swim_config *config, const struct swim_self *self, uint64_t seed,
             usec_t now, uint64_t wall_usec, struct swim **ret)
{
    _cleanup_(swim_freep) struct swim *swim = NULL;
    int r;

    if (!core_config_is_valid(config) || !self_is_valid(self))
        return -EINVAL;
    swim = calloc(1, sizeof(*swim));
    if (!swim)
        return -ENOMEM;
    swim->config = *config;
    swim->now = MAX(now, (usec_t)1);
    swim->wall_usec = wall_usec;
    swim->wall_at_usec = swim->now;
    rng_init(&swim->rng, seed);
    swim->seq = (uint32_t)rng_next(&swim->rng);
    names_init(&swim->members.names, rng_next(&swim->rng));
    packets_init(&swim->packets);
    events_init(&swim->events);
    list_init(&swim->probes.active);
    list_init(&swim->relays.active);
    reports_init(swim);
    texts_init(swim);
    kept_init(swim);
    r = add_self(swim, self);
    if (r >= 0)
        r = init_parts(swim);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(swim);
    return 0;
}

static void empty_graves(struct swim *swim)
{
    for (struct member *member; (member = swim->graves);) {
        swim->graves = member->next;
        member_free(swim, member);
    }
}

struct swim *swim_free(struct swim *swim)
{
    if (!swim)
        return NULL;
    probes_done(swim);
    relays_done(swim);
    reports_done(swim);
    texts_done(swim);
    kept_done(swim);
    events_done(&swim->events);
    packets_done(&swim->packets);
    rumors_done(swim);
    empty_graves(swim);
    members_done(swim);
    heap_done(&swim->timers);
    free(swim);
    return NULL;
}

/* --- The pump --- */

/*
 * Deviation: a deadline that passed half a probe interval ago and was not served means that this
 * process did not run. Answers may lie unread in its socket, so nobody is accused for one interval.
 */
static void note_absence(struct swim *swim)
{
    usec_t late = usec_sub(swim->now, heap_deadline(&swim->timers));

    if (late <= swim->config.probe_interval_usec / 2 || swim->config.is_plain ||
        swim->now < swim->probes.grace_end_usec)
        return;
    probe_raise_health(swim);
    probe_excuse(swim);
}

void core_begin(struct swim *swim, usec_t now)
{
    if (swim->events.count == 0)
        empty_graves(swim);
    if (now <= swim->now)
        return;
    swim->now = now;
    note_absence(swim);
}

int swim_receive(struct swim *swim, const struct address *from, const struct node_id *from_id,
                 const void *data, size_t size, usec_t now)
{
    struct source source = {.id = from_id, .address = from};
    int r = -EBADMSG;

    core_begin(swim, now);
    swim->packets_received++;
    if (!node_id_is_null(from_id) && !core_is_self(swim, from_id) && size <= SWIM_PACKET_MAX)
        r = receive_packet(swim, &source, data, size);
    if (r < 0)
        swim->packets_malformed++;
    return r;
}

void swim_tick(struct swim *swim, usec_t now)
{
    core_begin(swim, now);
    while (heap_deadline(&swim->timers) <= swim->now) {
        struct timer *timer = CONTAINER_OF(heap_first(&swim->timers), struct timer, entry);
        timer->run(swim, timer);
    }
}

bool swim_next_packet(struct swim *swim, struct swim_packet *ret)
{
    const struct packet *packet = packet_next(&swim->packets);

    if (!packet)
        return false;
    *ret = (struct swim_packet){
        .to = packet->to, .to_id = packet->to_id, .data = packet->data, .size = packet->size};
    return true;
}

bool swim_next_event(struct swim *swim, struct swim_event *ret)
{
    const struct swim_event *event = event_next(&swim->events);

    if (!event)
        return false;
    *ret = *event;
    return true;
}

usec_t swim_deadline(const struct swim *swim)
{
    usec_t deadline = heap_deadline(&swim->timers);

    return deadline >= TIMER_NEVER ? USEC_INFINITY : deadline;
}

/* --- Commands --- */

void swim_set_seeds(struct swim *swim, const struct swim_seed *seeds, size_t count,
                    uint32_t entries, usec_t now)
{
    core_begin(swim, now);
    join_set_seeds(swim, seeds, count, entries);
}

int swim_join(struct swim *swim, const struct address *address, usec_t now)
{
    core_begin(swim, now);
    leave_undo(swim);
    return join_add_extra(swim, address);
}

/* Whether our record with so much metadata has a place in packets of that size, as they bring it to
 * others. */
static bool fits(const struct swim *swim, const void *meta, size_t size, size_t packet_size)
{
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, packet_size - COMPANY_SIZE);
    struct claim claim;

    view_claim(swim, swim->self, &claim);
    claim.state = SWIM_ALIVE;
    claim.meta = meta;
    claim.meta_size = size;
    return message_write_claim(&writer, &claim);
}

int swim_set_meta(struct swim *swim, const void *meta, size_t size, usec_t now)
{
    struct swim_member *shown = &swim->self->shown;

    core_begin(swim, now);
    if (size > SWIM_META_MAX || !fits(swim, meta, size, swim->config.packet_size_max))
        return -EMSGSIZE;
    if (size == shown->meta_size && (size == 0 || memcmp(meta, swim_get_meta(shown), size) == 0))
        return 0;
    int r = member_set_text(swim, swim->self, shown->name, meta, size);
    if (r < 0)
        return r;
    if (shown->state == SWIM_ALIVE)
        refute_renew(swim);
    return 0;
}

bool swim_lose_address(struct swim *swim, usec_t now)
{
    core_begin(swim, now);
    if (!refute_lose_address(swim))
        return false;
    join_ask_around(swim);
    return true;
}

int swim_set_packet_size(struct swim *swim, size_t size_max)
{
    const struct swim_member *shown = &swim->self->shown;

    if (size_max < SWIM_PACKET_MIN || size_max > SWIM_PACKET_MAX)
        return -ERANGE;
    if (!fits(swim, swim_get_meta(shown), shown->meta_size, size_max))
        return -EMSGSIZE;
    swim->config.packet_size_max = size_max;
    return 0;
}

void swim_set_load(struct swim *swim, const struct swim_load *load, usec_t now)
{
    core_begin(swim, now);
    load_set(swim, load);
}

void swim_set_wall(struct swim *swim, uint64_t wall_usec, usec_t now, bool has_slept)
{
    core_begin(swim, now);
    if (has_slept)
        kept_age(swim, usec_sub(wall_usec, core_wall(swim)));
    swim->wall_usec = wall_usec;
    swim->wall_at_usec = swim->now;
    if (!has_slept)
        return;
    probe_excuse(swim);
    join_hurry(swim);
}

int swim_send_message(struct swim *swim, const struct node_id *to, const char *text, usec_t now,
                      uint64_t *ret_token)
{
    const struct member *member = to ? member_find(swim, to) : NULL;

    core_begin(swim, now);
    if (to && (!member || member_is_forgotten(swim, member)))
        return -ENOENT;
    return text_send(swim, member, text, ret_token);
}

size_t swim_message_size_max(const struct swim *swim)
{
    return text_size_max(swim);
}

int swim_ping(struct swim *swim, const struct node_id *id, usec_t now, uint64_t *ret_token)
{
    struct member *member = member_find(swim, id);
    int r;

    core_begin(swim, now);
    if (!member || member_is_forgotten(swim, member) || member->shown.is_self)
        return -ENOENT;
    r = probe_ping(swim, member, swim->token + 1);
    if (r < 0)
        return r;
    *ret_token = ++swim->token;
    return 0;
}

int swim_forget(struct swim *swim, const struct node_id *id, usec_t now)
{
    struct member *member = member_find(swim, id);

    core_begin(swim, now);
    if (!member || member_is_forgotten(swim, member))
        return -ENOENT;
    if (state_is_live(member->shown.state) || member->shown.is_self)
        return -EBUSY;
    /* It stays unseen until its time is over, lest the next page brings it back. */
    probe_forget(swim, member);
    rumor_drop(swim, member);
    return member_hide(swim, member);
}

void swim_leave(struct swim *swim, usec_t now)
{
    core_begin(swim, now);
    leave_begin(swim);
}

/* --- What is known --- */

size_t swim_members_count(const struct swim *swim)
{
    return swim->members.all.count;
}

const struct swim_member *swim_member_at(const struct swim *swim, size_t i)
{
    const struct member *member = order_at(&swim->members.all, i);

    return member ? &member->shown : NULL;
}

const struct swim_member *swim_find(const struct swim *swim, const struct node_id *id)
{
    const struct member *member = order_find(&swim->members.all, id);

    return member ? &member->shown : NULL;
}

/* Of two with one name, the live one; of two live ones, the one known longer. */
const struct swim_member *swim_find_name(const struct swim *swim, const char *name)
{
    const struct swim_member *found = NULL;

    order_for_each(&swim->members.all, entry)
    {
        const struct swim_member *shown = &entry->member->shown;
        if (strcmp(shown->name, name) != 0)
            continue;
        if (!found || state_is_live(shown->state) > state_is_live(found->state) ||
            (state_is_live(shown->state) == state_is_live(found->state) &&
             shown->first_seen_usec < found->first_seen_usec))
            found = shown;
    }
    return found;
}

const struct swim_member *swim_get_self(const struct swim *swim)
{
    return &swim->self->shown;
}

uint64_t swim_loads_version(const struct swim *swim)
{
    return swim->load.changes;
}

bool swim_is_rushed(const struct swim *swim)
{
    return rush_is_on(swim);
}

bool swim_get_suspicion(const struct swim *swim, const struct node_id *id,
                        struct swim_suspicion *ret)
{
    const struct member *member = member_find(swim, id);
    const struct suspicion *suspicion = member ? member_suspicion(member) : NULL;

    if (!suspicion)
        return false;
    *ret = (struct swim_suspicion){.accusers_count = suspicion->accusers_count,
                                   .through_count = suspicion->evidence.through_count};
    memcpy(ret->accusers, suspicion->accusers, sizeof(ret->accusers));
    memcpy(ret->through, suspicion->evidence.through, sizeof(ret->through));
    return true;
}

void swim_get_statistics(const struct swim *swim, struct swim_statistics *ret)
{
    *ret = (struct swim_statistics){
        .packets_received = swim->packets_received,
        .packets_malformed = swim->packets_malformed,
        .gossip_duplicates = swim->gossip_duplicates,
        .probes = swim->probes.rounds_count,
        .probes_failed = swim->probes.failed_count,
        .suspicions = swim->suspicions,
        .suspicions_refuted = swim->suspicions_refuted,
        .deaths = swim->deaths,
        .flaps = swim->flaps,
        .health = swim->probes.health,
        .suspects = (uint32_t)swim->freeze.suspects_count,
        .is_frozen = swim->freeze.is_on,
        .last_sync_usec = swim->sync.last_usec,
        .last_probe_usec = swim->probes.round_usec,
        .last_gossip_usec = swim->gossip.round_usec,
        .last_sync_with = swim->sync.last_with,
    };
    join_count(swim, &ret->seeds_configured, &ret->seeds_reachable, &ret->seeds_needed);
}
