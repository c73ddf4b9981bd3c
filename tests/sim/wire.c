/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include "check.h"
#include "keys.h"
#include "seal/seal.h"
#include "trace.h"

static void draw_seed(struct sim_node *node, uint8_t seed[static SEAL_SEED_SIZE])
{
    for (size_t i = 0; i < SEAL_SEED_SIZE; i++)
        seed[i] = (uint8_t)rng_next(&node->sim->rng);
}

int wire_open(struct sim_node *node)
{
    const struct keyring *keyring;
    uint8_t seed[SEAL_SEED_SIZE];
    char cluster[] = "lab-0";

    if (!node->sim->options.is_sealed)
        return 0;
    keyring = keys_open(node);
    if (!keyring)
        return -ENOMEM;
    cluster[sizeof(cluster) - 2] = (char)('0' + node->cluster);
    draw_seed(node, seed);
    struct seal_config config = {
        .cluster = cluster,
        .id = node->id,
        .keyring = keyring,
        .is_encrypted = true,
        .algorithm = SEAL_AES_256_GCM,
        .packet_size_max = node->sim->options.config.packet_size_max,
    };
    return seal_new(&config, seed, sim_local_time(node), &node->seal);
}

void wire_close(struct sim_node *node)
{
    node->seal = seal_free(node->seal);
}

void wire_awake(struct sim_node *node)
{
    uint8_t seed[SEAL_SEED_SIZE];

    if (!node->seal)
        return;
    draw_seed(node, seed);
    if (seal_renew(node->seal, seed, sim_local_time(node)) < 0)
        sim_fail(node->sim, node, "interface: the seal cannot be renewed");
}

/* A run in which nothing was damaged may not contain a packet that a core refuses. */
static void hand_over(struct sim_node *node, const struct address *from,
                      const struct node_id *from_id, const void *data, size_t size)
{
    int r = swim_receive(node->swim, from, from_id, data, size, sim_local_time(node));

    if (r < 0)
        sim_fail(node->sim, node, "malformed: a packet of %zu bytes from %s is refused", size,
                 sim_by_id(node->sim, from_id) ? sim_by_id(node->sim, from_id)->name : "nobody");
}

static void open_datagram(struct sim_node *node, const struct datagram *datagram)
{
    struct seal_plain plain;
    int r = seal_receive(node->seal, &datagram->from, datagram->data, datagram->size,
                         sim_local_time(node), &plain);

    if (r != 1)
        return;
    if (datagram->is_flipped)
        sim_fail(node->sim, node, "forged: a damaged datagram opens");
    if (!node_id_is_equal(&plain.from_id, &datagram->from_id))
        sim_fail(node->sim, node, "forged: a datagram opens as another's");
    uint64_t *opened = &node->opened[datagram->serial % SIM_OPENED_MAX];
    if (*opened == datagram->serial)
        sim_fail(node->sim, node, "replayed: a datagram opens twice");
    *opened = datagram->serial;
    hand_over(node, &datagram->from, &plain.from_id, plain.data, plain.size);
}

void wire_receive(struct sim_node *node, const struct datagram *datagram)
{
    if (node->seal)
        open_datagram(node, datagram);
    else if (!node_id_is_equal(&datagram->from_id, &node->id) &&
             (node_id_is_null(&datagram->to_id) || node_id_is_equal(&datagram->to_id, &node->id)))
        hand_over(node, &datagram->from, &datagram->from_id, datagram->data, datagram->size);
}

void wire_tick(struct sim_node *node)
{
    if (node->seal)
        seal_tick(node->seal, sim_local_time(node));
    keys_tick(node);
    swim_tick(node->swim, sim_local_time(node));
}

static void send_packet(struct sim_node *node, const struct swim_packet *packet)
{
    if (!node->seal) {
        sim_post(node, &packet->to, &packet->to_id, packet->data, packet->size);
        return;
    }
    const struct swim_member *member = swim_find(node->swim, &packet->to_id);
    if (member && member->state >= SWIM_DEAD)
        seal_doubt(node->seal, &packet->to, &packet->to_id, sim_local_time(node));
    int r = seal_send(node->seal, &packet->to, &packet->to_id, packet->data, packet->size,
                      sim_local_time(node));
    if (r < 0 && r != -ENOBUFS)
        sim_fail(node->sim, node, "interface: the seal refuses %zu bytes: %s", packet->size,
                 strerror(-r));
}

void wire_pump(struct sim_node *node)
{
    struct swim_packet packet;
    struct swim_event event;
    struct seal_datagram datagram;
    size_t packets_count = 0, events_count = 0;

    while (swim_next_packet(node->swim, &packet)) {
        packets_count++;
        check_packet(node, &packet);
        send_packet(node, &packet);
    }
    while (node->seal && seal_next_datagram(node->seal, &datagram))
        sim_post(node, &datagram.to, NULL, datagram.data, datagram.size);
    while (swim_next_event(node->swim, &event)) {
        events_count++;
        check_event(node, &event);
        trace_event(node, &event);
    }
    check_step(node, packets_count, events_count);
}

usec_t wire_deadline(const struct sim_node *node)
{
    usec_t deadline = swim_deadline(node->swim);

    if (!node->seal)
        return deadline;
    deadline = MIN(deadline, seal_deadline(node->seal));
    return MIN(deadline, keys_deadline(node));
}
