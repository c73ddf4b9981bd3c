/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * For the tests of swim/: a rig, one core whose peers are played by the test, frame by frame; and a
 * net, several cores on a small network of 1 ms. Both are deterministic. The large simulator is
 * tests/sim.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/macro.h"
#include "swim/core.h"
#include "swim/message.h"
#include "swim/swim.h"

#define NET_WALL       UINT64_C(1795244870874000)
#define NET_START      (1000 * USEC_PER_SEC)
#define NET_GENERATION 100
#define NET_PORT       7717

static inline struct node_id net_id(size_t i)
{
    struct node_id id = {{0x40}};

    id.bytes[14] = (uint8_t)((i + 1) >> 8);
    id.bytes[15] = (uint8_t)(i + 1);
    return id;
}

static inline struct address net_address(size_t i)
{
    return (struct address){.bytes = {10, 0, (uint8_t)(i / 200), (uint8_t)(i % 200 + 1)},
                            .port = NET_PORT,
                            .family = 4};
}

static inline struct swim *net_core(const struct swim_config *config, size_t i, usec_t now)
{
    struct swim_self self = {.id = net_id(i),
                             .generation = NET_GENERATION,
                             .address = net_address(i),
                             .is_seed = i == 0};
    struct swim *swim = NULL;

    (void)snprintf(self.name, sizeof(self.name), "n%zu", i);
    assert_int_equal(swim_new(config, &self, 7 + i, now, NET_WALL, &swim), 0);
    return swim;
}

/* --- The rig --- */

#define RIG_SENT_MAX   512
#define RIG_EVENTS_MAX 512

/* A packet that the core sent. */
struct rig_packet {
    size_t size;
    struct address to;
    struct node_id to_id;
    uint8_t data[SWIM_PACKET_MAX];
};

struct rig {
    struct swim_config config;
    struct swim *swim;
    usec_t now;
    struct rig_packet *sent; /* since the last rig_clear */
    size_t sent_count;
    struct swim_event events[RIG_EVENTS_MAX]; /* their texts are gone */
    size_t events_count;
    char texts[SWIM_EVENT_LEFT + 1][128]; /* of the last event of each type */
};

static inline void rig_drain(struct rig *rig)
{
    struct swim_packet packet;
    struct swim_event event;

    while (swim_next_packet(rig->swim, &packet)) {
        if (rig->sent_count == RIG_SENT_MAX)
            continue;
        struct rig_packet *sent = &rig->sent[rig->sent_count++];
        *sent = (struct rig_packet){.size = packet.size, .to = packet.to, .to_id = packet.to_id};
        memcpy(sent->data, packet.data, packet.size);
    }
    while (swim_next_event(rig->swim, &event)) {
        (void)snprintf(rig->texts[event.type], sizeof(rig->texts[0]), "%s",
                       event.text ? event.text : "");
        if (rig->events_count < RIG_EVENTS_MAX)
            rig->events[rig->events_count++] = event;
    }
}

static inline void rig_clear(struct rig *rig)
{
    rig->sent_count = 0;
    rig->events_count = 0;
    memset(rig->texts, 0, sizeof(rig->texts));
}

/* Node 0 is the core; its peers are 1, 2, ... Heartbeats are off. */
static inline void rig_start(struct rig *rig, const struct swim_config *config)
{
    *rig = (struct rig){.now = NET_START};
    if (config)
        rig->config = *config;
    else {
        swim_config_default(&rig->config);
        rig->config.message_interval_usec = 0;
    }
    rig->sent = calloc(RIG_SENT_MAX, sizeof(*rig->sent));
    assert_non_null(rig->sent);
    rig->swim = net_core(&rig->config, 0, rig->now);
}

static inline void rig_stop(struct rig *rig)
{
    rig->swim = swim_free(rig->swim);
    free(rig->sent);
}

/* Lets time pass, serving every deadline. */
static inline void rig_run(struct rig *rig, usec_t span)
{
    usec_t end = rig->now + span;

    while (swim_deadline(rig->swim) <= end) {
        rig->now = MAX(rig->now, swim_deadline(rig->swim));
        swim_tick(rig->swim, rig->now);
        rig_drain(rig);
    }
    rig->now = end;
}

static inline int rig_say_raw(struct rig *rig, size_t peer, const void *data, size_t size)
{
    struct address address = net_address(peer);
    struct node_id id = net_id(peer);
    int r = swim_receive(rig->swim, &address, &id, data, size, rig->now);

    rig_drain(rig);
    return r;
}

/* @peer sends one frame. */
static inline int rig_say(struct rig *rig, size_t peer, const struct message *message)
{
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, sizeof(data));

    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_write(&writer, message));
    return rig_say_raw(rig, peer, data, writer.position);
}

static inline struct claim net_claim(size_t i, uint64_t counter, enum swim_state state)
{
    struct claim claim = {
        .id = net_id(i),
        .incarnation = {NET_GENERATION, counter},
        .state = state,
        .address = net_address(i),
    };

    (void)snprintf(claim.name, sizeof(claim.name), "n%zu", i);
    return claim;
}

/* @peer says that @i is in @state at @counter; accused by @peer where that needs somebody. */
static inline int rig_claim(struct rig *rig, size_t peer, size_t i, uint64_t counter,
                            enum swim_state state)
{
    static const enum message_type types[] = {MESSAGE_ALIVE, MESSAGE_SUSPECT, MESSAGE_DEAD,
                                              MESSAGE_LEFT};
    struct message message = {.type = types[state], .claim = net_claim(i, counter, state)};

    if (state == SWIM_SUSPECT || state == SWIM_DEAD) {
        message.claim.accusers[0] = net_id(peer);
        message.claim.accusers_count = 1;
    }
    return rig_say(rig, peer, &message);
}

/* Members 1..@count introduce themselves. */
static inline void rig_meet(struct rig *rig, size_t count)
{
    for (size_t i = 1; i <= count; i++)
        assert_int_equal(rig_claim(rig, i, i, 0, SWIM_ALIVE), 0);
    rig_clear(rig);
}

static inline enum swim_state rig_state(const struct rig *rig, size_t i)
{
    struct node_id id = net_id(i);
    const struct swim_member *member = swim_find(rig->swim, &id);

    return member ? member->state : _SWIM_STATE_MAX;
}

/* @peer says that @i is dead, and the core, that has suspected it for long, believes it. */
static inline void rig_bury(struct rig *rig, size_t peer, size_t i, uint64_t counter)
{
    struct node_id id = net_id(i);

    rig_claim(rig, peer, i, counter, SWIM_SUSPECT);
    member_find(rig->swim, &id)->shown.changed_usec = 0;
    rig_claim(rig, peer, i, counter, SWIM_DEAD);
    assert_int_equal(rig_state(rig, i), SWIM_DEAD);
}

static inline size_t rig_count_events(const struct rig *rig, enum swim_event_type type)
{
    size_t count = 0;

    for (size_t i = 0; i < rig->events_count; i++)
        count += rig->events[i].type == type;
    return count;
}

/*
 * The @n-th frame of a type that was sent to @peer since rig_clear. Return: whether there is one.
 * It borrows from the rig.
 */
static inline bool rig_sent_nth(struct rig *rig, size_t peer, enum message_type type, size_t n,
                                struct message *ret)
{
    struct address address = net_address(peer);

    for (size_t i = 0; i < rig->sent_count; i++) {
        struct reader reader = reader_from(rig->sent[i].data, rig->sent[i].size);
        if (!address_is_equal(&rig->sent[i].to, &address))
            continue;
        assert_true(message_begin(&reader));
        while (message_read(&reader, ret) > 0)
            if (ret->type == type && n-- == 0)
                return true;
        assert_true(reader_ok(&reader));
    }
    return false;
}

static inline bool rig_sent(struct rig *rig, size_t peer, enum message_type type,
                            struct message *ret)
{
    return rig_sent_nth(rig, peer, type, 0, ret);
}

/* How many peers of 1..@peers were sent a frame of a type. */
static inline size_t rig_count_peers(struct rig *rig, size_t peers, enum message_type type)
{
    struct message message;
    size_t count = 0;

    for (size_t i = 1; i <= peers; i++)
        count += rig_sent(rig, i, type, &message);
    return count;
}

/* The peer of 1..@peers that was sent a PING; 0 = nobody. */
static inline size_t rig_pinged(struct rig *rig, size_t peers, struct message *ret)
{
    for (size_t i = 1; i <= peers; i++)
        if (rig_sent(rig, i, MESSAGE_PING, ret))
            return i;
    return 0;
}

/* Runs until somebody is probed. Return: who. */
static inline size_t rig_await_ping(struct rig *rig, size_t peers, struct message *ret)
{
    rig_clear(rig);
    for (int i = 0; i < 10000; i++) {
        size_t peer = rig_pinged(rig, peers, ret);
        if (peer > 0)
            return peer;
        rig_run(rig, USEC_PER_MSEC);
    }
    fail_msg("nobody is probed");
    return 0;
}

/* A rig that has met @peers and probes one of them. Return: whom, and the request in @ret. */
static inline size_t rig_start_probe(struct rig *rig, size_t peers, struct message *ret)
{
    rig_start(rig, NULL);
    rig_meet(rig, peers);
    return rig_await_ping(rig, peers, ret);
}

static inline void rig_ack(struct rig *rig, size_t peer, uint32_t seq)
{
    struct message message = {.type = MESSAGE_ACK};

    message.seq = seq;
    message.digest = rig->swim->members.digest;
    assert_int_equal(rig_say(rig, peer, &message), 0);
}

/* --- The net --- */

#define NET_NODES_MAX 128

struct net_packet {
    struct heap_entry entry;
    size_t source;
    size_t target;
    size_t size;
    uint8_t data[];
};

struct net_node {
    struct swim *swim; /* NULL while off */
    uint64_t generation;
    size_t events_count[SWIM_EVENT_LEFT + 1];
    usec_t event_usec[SWIM_EVENT_LEFT + 1]; /* the last one */
    char text[SWIM_MESSAGE_MAX + 1];
};

struct net {
    struct swim_config config;
    struct net_node nodes[NET_NODES_MAX];
    size_t count;
    usec_t now;
    struct heap flying;
    struct rng rng;
    double loss;
    bool cut[NET_NODES_MAX][NET_NODES_MAX]; /* from, to */
    uint64_t packets_count;
    uint64_t bytes_count;
    size_t packet_size_max;
};

static inline void net_post(struct net *net, size_t source, const struct swim_packet *packet)
{
    size_t target = (size_t)packet->to.bytes[2] * 200 + packet->to.bytes[3] - 1U;

    net->packets_count++;
    net->bytes_count += packet->size;
    net->packet_size_max = MAX(net->packet_size_max, packet->size);
    if (packet->to.bytes[0] != 10 || target >= net->count || net->cut[source][target] ||
        rng_unit(&net->rng) < net->loss)
        return;
    struct net_packet *flying = calloc(1, sizeof(*flying) + packet->size);
    assert_non_null(flying);
    flying->source = source;
    flying->target = target;
    flying->size = packet->size;
    memcpy(flying->data, packet->data, packet->size);
    assert_int_equal(
        heap_set(&net->flying, &flying->entry, net->now + 500 + rng_below(&net->rng, 1000)), 0);
}

static inline void net_drain(struct net *net, size_t i)
{
    struct net_node *node = &net->nodes[i];
    struct swim_packet packet;
    struct swim_event event;

    while (swim_next_event(node->swim, &event)) {
        node->events_count[event.type]++;
        node->event_usec[event.type] = net->now;
        if (event.text)
            (void)snprintf(node->text, sizeof(node->text), "%s", event.text);
    }
    while (swim_next_packet(node->swim, &packet))
        net_post(net, i, &packet);
}

static inline void net_start(struct net *net, size_t i)
{
    struct net_node *node = &net->nodes[i];
    struct address seed = net_address(0);
    struct swim_self self = {.id = net_id(i), .address = net_address(i), .is_seed = i == 0};

    *node = (struct net_node){.generation = MAX(node->generation + 1, (uint64_t)NET_GENERATION)};
    self.generation = node->generation;
    (void)snprintf(self.name, sizeof(self.name), "n%zu", i);
    assert_int_equal(
        swim_new(&net->config, &self, rng_next(&net->rng), net->now, NET_WALL, &node->swim), 0);
    swim_set_seeds(node->swim, &(struct swim_seed){.address = seed}, 1, 1, net->now);
    net_drain(net, i);
}

static inline void net_kill(struct net *net, size_t i)
{
    net->nodes[i].swim = swim_free(net->nodes[i].swim);
}

/* @count nodes that are off. Freed with net_free. */
static inline struct net *net_new(size_t count, uint64_t seed)
{
    struct net *net = calloc(1, sizeof(*net));

    assert_non_null(net);
    assert_true(count <= NET_NODES_MAX);
    net->count = count;
    net->now = NET_START;
    rng_init(&net->rng, seed);
    swim_config_default(&net->config);
    net->config.message_interval_usec = 0;
    return net;
}

static inline void net_free(struct net *net)
{
    struct heap_entry *entry;

    for (size_t i = 0; i < net->count; i++)
        net_kill(net, i);
    while ((entry = heap_first(&net->flying))) {
        heap_remove(&net->flying, entry);
        free(CONTAINER_OF(entry, struct net_packet, entry));
    }
    heap_done(&net->flying);
    free(net);
}

static inline void net_deliver(struct net *net, struct net_packet *packet)
{
    struct net_node *node = &net->nodes[packet->target];
    struct address from = net_address(packet->source);
    struct node_id id = net_id(packet->source);

    if (!node->swim)
        return;
    assert_int_equal(swim_receive(node->swim, &from, &id, packet->data, packet->size, net->now), 0);
    net_drain(net, packet->target);
}

/* One step, at most to @end. Return: whether there was one. */
static inline bool net_step(struct net *net, usec_t end)
{
    usec_t next = heap_deadline(&net->flying);
    size_t due = net->count;

    for (size_t i = 0; i < net->count; i++)
        if (net->nodes[i].swim && swim_deadline(net->nodes[i].swim) < next) {
            next = swim_deadline(net->nodes[i].swim);
            due = i;
        }
    if (next > end) {
        net->now = end;
        return false;
    }
    net->now = MAX(net->now, next);
    if (due < net->count) {
        swim_tick(net->nodes[due].swim, net->now);
        net_drain(net, due);
        return true;
    }
    struct heap_entry *entry = heap_first(&net->flying);
    struct net_packet *packet = CONTAINER_OF(entry, struct net_packet, entry);
    heap_remove(&net->flying, entry);
    net_deliver(net, packet);
    free(packet);
    return true;
}

static inline void net_run(struct net *net, usec_t span)
{
    usec_t end = net->now + span;

    while (net_step(net, end))
        continue;
}

/* How many of the running nodes hold @i for @state. */
static inline size_t net_count(const struct net *net, size_t i, enum swim_state state)
{
    struct node_id id = net_id(i);
    size_t count = 0;

    for (size_t j = 0; j < net->count; j++) {
        const struct swim_member *member =
            net->nodes[j].swim && j != i ? swim_find(net->nodes[j].swim, &id) : NULL;
        count += member && member->state == state;
    }
    return count;
}

static inline size_t net_running(const struct net *net)
{
    size_t count = 0;

    for (size_t i = 0; i < net->count; i++)
        count += net->nodes[i].swim != NULL;
    return count;
}

/* Whether all running nodes see all running nodes alive. */
static inline bool net_is_complete(const struct net *net)
{
    for (size_t i = 0; i < net->count; i++)
        if (net->nodes[i].swim && net_count(net, i, SWIM_ALIVE) != net_running(net) - 1)
            return false;
    return true;
}

/* Runs until all see all, for @span at most. Return: the time it took; USEC_INFINITY = not yet. */
static inline usec_t net_await_complete(struct net *net, usec_t span)
{
    usec_t start = net->now;

    for (; net->now < start + span; net_run(net, 10 * USEC_PER_MSEC))
        if (net_is_complete(net))
            return net->now - start;
    return USEC_INFINITY;
}

/* Runs until @i is in @state at all others that run. Return: as above. */
static inline usec_t net_await_state(struct net *net, size_t i, enum swim_state state, usec_t span)
{
    size_t others = net_running(net) - (net->nodes[i].swim ? 1 : 0);
    usec_t start = net->now;

    for (; net->now < start + span; net_run(net, 10 * USEC_PER_MSEC))
        if (net_count(net, i, state) == others)
            return net->now - start;
    return USEC_INFINITY;
}

/* All start at once and see each other. */
static inline struct net *net_begin(size_t count, uint64_t seed)
{
    struct net *net = net_new(count, seed);

    for (size_t i = 0; i < count; i++)
        net_start(net, i);
    assert_true(net_await_complete(net, 10 * USEC_PER_SEC) != USEC_INFINITY);
    return net;
}
