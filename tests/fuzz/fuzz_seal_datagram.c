/* SPDX-License-Identifier: MIT */

/*
 * Datagrams into a seal, from strangers, from a member's address, and from a member that seals
 * nonsense properly. The first byte chooses: bit 0 encryption, bit 1 whether there is a session
 * already, bits 2-3 raw or sealed as hello, challenge or echo, bit 4 from a stranger's address, bit
 * 5 sealed with the second key of the ring. Nothing but a refusal or a plain packet within the
 * limits may come of it, and no answer larger than the question goes to a stranger.
 */

#include <assert.h>
#include <string.h>
#include "seal/state.h"

#define KEY_FIRST  0x3f9a01bcU
#define KEY_SECOND 0x8be1f00dU

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct address place_a = {.bytes = {10, 0, 0, 1}, .port = 7717, .family = 4};
static const struct address place_b = {.bytes = {10, 0, 0, 2}, .port = 7717, .family = 4};
static const struct address stranger = {.bytes = {10, 0, 0, 3}, .port = 7717, .family = 4};
static const struct node_id id_a = {{1}}, id_b = {{2}};

static struct seal *make(const struct node_id *id, bool is_encrypted)
{
    struct keyring keyring = {.count = 2, .keys = {{.id = KEY_FIRST}, {{1}, .id = KEY_SECOND}}};
    struct seal_config config = {
        .cluster = "lab",
        .id = *id,
        .keyring = is_encrypted ? &keyring : NULL,
        .is_encrypted = is_encrypted,
        .algorithm = is_encrypted ? SEAL_AES_256_GCM : SEAL_NONE,
        .packet_size_max = 1200,
    };
    uint8_t seed[SEAL_SEED_SIZE] = {id->bytes[0]};
    struct seal *seal = NULL;

    int r = seal_new(&config, seed, USEC_PER_SEC, &seal);
    assert(r == 0);
    return seal;
}

/* Passes on everything between the two until both are silent. */
static void settle(struct seal *a, struct seal *b)
{
    struct seal_datagram datagram;
    struct seal_plain plain;

    for (bool is_busy = true; is_busy;) {
        is_busy = false;
        for (; seal_next_datagram(a, &datagram); is_busy = true)
            (void)seal_receive(b, &place_a, datagram.data, datagram.size, USEC_PER_SEC, &plain);
        for (; seal_next_datagram(b, &datagram); is_busy = true)
            (void)seal_receive(a, &place_b, datagram.data, datagram.size, USEC_PER_SEC, &plain);
    }
}

/* @body as b would seal it for a, as @choice says. Return: its size in @target. */
static size_t wrap(struct seal *a, struct seal *b, uint8_t choice, const uint8_t *body, size_t size,
                   uint8_t target[static SEAL_DATAGRAM_MAX])
{
    enum packet_type type = (enum packet_type)(choice >> 2 & 3);
    struct seal_datagram datagram;
    struct outgoing outgoing = {
        .type = type,
        .key_id = choice & 1 && choice & 32 ? KEY_SECOND : b->current.key_id,
        .to = &place_a,
        .to_id = type == PACKET_HELLO ? NODE_ID_NULL : id_a,
        .to_session = type == PACKET_HELLO ? NULL : a->current.id,
        .body = body,
        .body_size = MIN(size, (size_t)1300),
    };
    int r = state_emit(b, &outgoing);

    assert(r == 0);
    bool is_there = seal_next_datagram(b, &datagram);
    assert(is_there);
    memcpy(target, datagram.data, datagram.size);
    return datagram.size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t wrapped[SEAL_DATAGRAM_MAX];
    struct seal_datagram datagram;
    struct seal_plain plain;
    uint8_t choice;

    if (size == 0)
        return 0;
    choice = *data++;
    size--;
    _cleanup_(seal_freep) struct seal *a = make(&id_a, choice & 1);
    _cleanup_(seal_freep) struct seal *b = make(&id_b, choice & 1);
    (void)seal_send(a, &place_b, NULL, "hello", 5, USEC_PER_SEC);
    if (choice & 2)
        settle(a, b);
    while (seal_next_datagram(a, &datagram) || seal_next_datagram(b, &datagram))
        continue;
    if (choice >> 2 & 3) {
        size = wrap(a, b, choice, data, size, wrapped);
        data = wrapped;
    }
    const struct address *from = choice & 16 ? &stranger : &place_b;
    int r = seal_receive(a, from, data, size, 2 * USEC_PER_SEC, &plain);
    assert(r <= 1);
    if (r == 1)
        assert(plain.size > 0 && plain.size < size && node_id_is_equal(&plain.from_id, &id_b));
    while (seal_next_datagram(a, &datagram))
        if (choice & 16)
            assert(datagram.size <= size);
    seal_tick(a, 3 * USEC_PER_SEC);
    while (seal_next_datagram(a, &datagram))
        continue;
    return 0;
}
