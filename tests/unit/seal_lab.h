/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A few seals and a network of memory between them, for the tests of seal/: every datagram can be
 * looked at, lost, kept and delivered again.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "seal/packet.h"
#include "seal/peers.h"
#include "seal/seal.h"

#define LAB_NODES_MAX   8
#define LAB_RECORDS_MAX 512

/* One datagram that was on the wire. */
struct lab_record {
    size_t from, to; /* indices of nodes; LAB_NODES_MAX = nobody */
    size_t size;
    uint8_t data[SEAL_DATAGRAM_MAX];
};

struct lab_node {
    struct seal *seal;
    struct address address;
    struct node_id id;
    char got[64][32]; /* plain packets that came out, as texts */
    size_t from[64];  /* index of the node that sent each */
    size_t got_count;
};

struct lab {
    struct lab_node nodes[LAB_NODES_MAX];
    size_t count;
    usec_t now;
    struct lab_record records[LAB_RECORDS_MAX]; /* all that was sent, in order */
    size_t records_count;
    size_t delivered;   /* of those that went through lab_run() */
    uint32_t lose_mask; /* bit n: lose the n-th datagram counted from lose_from */
    size_t lose_from;
    struct keyring *keyring;
    struct seal_config config;
};

static const char lab_key[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
                              "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n";

static struct keyring *lab_keyring(const char *text)
{
    struct keyring *keyring = NULL;
    char error[KEYRING_ERROR_MAX] = "";

    assert_int_equal(keyring_parse(text, strlen(text), error, &keyring), 0);
    return keyring;
}

static struct address lab_address(size_t i)
{
    struct address address = {0};

    address.family = 4;
    address.bytes[0] = 10;
    address.bytes[3] = (uint8_t)(i + 1);
    address.port = 7717;
    return address;
}

static _unused_ void lab_restart(struct lab *lab, size_t i, uint8_t boot)
{
    struct seal_config config = lab->config;
    uint8_t seed[SEAL_SEED_SIZE] = {(uint8_t)(i + 1), boot};

    config.id = lab->nodes[i].id;
    lab->now += USEC_PER_MSEC; /* no restart takes no time */
    lab->nodes[i].seal = seal_free(lab->nodes[i].seal);
    assert_int_equal(seal_new(&config, seed, lab->now, &lab->nodes[i].seal), 0);
}

static _unused_ void lab_start_with(struct lab *lab, size_t count, const struct seal_config *config)
{
    memset(lab, 0, sizeof(*lab));
    lab->now = USEC_PER_HOUR;
    lab->count = count;
    lab->config = *config;
    if (config->is_encrypted) {
        lab->keyring = lab_keyring(lab_key);
        lab->config.keyring = lab->keyring;
    }
    for (size_t i = 0; i < count; i++) {
        lab->nodes[i].address = lab_address(i);
        lab->nodes[i].id.bytes[0] = (uint8_t)(0xa0 + i);
        lab_restart(lab, i, 0);
    }
}

static _unused_ void lab_start(struct lab *lab, size_t count)
{
    struct seal_config config = {.cluster = "lab",
                                 .is_encrypted = true,
                                 .algorithm = SEAL_AES_256_GCM,
                                 .packet_size_max = 1200};

    lab_start_with(lab, count, &config);
}

static _unused_ void lab_stop(struct lab *lab)
{
    for (size_t i = 0; i < lab->count; i++)
        (void)seal_free(lab->nodes[i].seal);
    (void)keyring_free(lab->keyring);
}

static size_t lab_find(const struct lab *lab, const struct address *address)
{
    for (size_t i = 0; i < lab->count; i++)
        if (address_is_equal(&lab->nodes[i].address, address))
            return i;
    return LAB_NODES_MAX;
}

/* Hands over to @to what claims to be from @from. Return: as seal_receive. */
static _unused_ int lab_inject(struct lab *lab, const struct address *from, size_t to,
                               const void *data, size_t size)
{
    struct lab_node *node = &lab->nodes[to];
    struct seal_plain plain;
    int r = seal_receive(node->seal, from, data, size, lab->now, &plain);

    if (r == 1 && node->got_count < ARRAY_SIZE(node->got)) {
        assert_true(plain.size < sizeof(node->got[0]));
        memcpy(node->got[node->got_count], plain.data, plain.size);
        node->got[node->got_count][plain.size] = '\0';
        node->from[node->got_count] = LAB_NODES_MAX;
        for (size_t i = 0; i < lab->count; i++)
            if (node_id_is_equal(&lab->nodes[i].id, &plain.from_id))
                node->from[node->got_count] = i;
        node->got_count++;
    }
    return r;
}

static _unused_ int lab_replay(struct lab *lab, size_t record)
{
    const struct lab_record *r = &lab->records[record];

    return lab_inject(lab, &lab->nodes[r->from].address, r->to, r->data, r->size);
}

/* Takes what the seals want to send down into the records. */
static _unused_ void lab_collect(struct lab *lab)
{
    for (size_t i = 0; i < lab->count; i++) {
        struct seal_datagram datagram;
        while (seal_next_datagram(lab->nodes[i].seal, &datagram)) {
            struct lab_record *record = &lab->records[lab->records_count++];
            assert_true(lab->records_count < LAB_RECORDS_MAX);
            record->from = i;
            record->to = lab_find(lab, &datagram.to);
            record->size = datagram.size;
            memcpy(record->data, datagram.data, datagram.size);
        }
    }
}

/* Delivers what is on the wire, and what that causes, until it is quiet. */
static _unused_ void lab_run(struct lab *lab)
{
    for (lab_collect(lab); lab->delivered < lab->records_count; lab_collect(lab)) {
        size_t i = lab->delivered++;
        size_t place = i - lab->lose_from;
        if (lab->records[i].to == LAB_NODES_MAX)
            continue;
        if (i >= lab->lose_from && place < 32 && (lab->lose_mask >> place & 1))
            continue;
        (void)lab_replay(lab, i);
    }
}

static _unused_ void lab_lose(struct lab *lab, uint32_t mask)
{
    lab_collect(lab);
    lab->lose_from = lab->records_count;
    lab->lose_mask = mask;
}

/* Lets time pass in steps of 50 ms, with everything that is due. */
static _unused_ void lab_pass(struct lab *lab, usec_t usec)
{
    for (usec_t end = lab->now + usec; lab->now < end;) {
        lab->now += 50 * USEC_PER_MSEC;
        for (size_t i = 0; i < lab->count; i++)
            seal_tick(lab->nodes[i].seal, lab->now);
        lab_run(lab);
    }
}

static _unused_ void lab_send(struct lab *lab, size_t from, size_t to, const char *text)
{
    assert_int_equal(seal_send(lab->nodes[from].seal, &lab->nodes[to].address, &lab->nodes[to].id,
                               text, strlen(text), lab->now),
                     0);
}

static _unused_ bool lab_has(const struct lab *lab, size_t node, const char *text)
{
    for (size_t i = 0; i < lab->nodes[node].got_count; i++)
        if (strcmp(lab->nodes[node].got[i], text) == 0)
            return true;
    return false;
}

static _unused_ uint64_t lab_dropped(const struct lab *lab, size_t node, enum seal_drop why)
{
    struct seal_statistics statistics;

    seal_get_statistics(lab->nodes[node].seal, &statistics);
    return statistics.dropped[why];
}

static _unused_ uint64_t lab_foreign(const struct lab *lab, size_t node)
{
    struct seal_statistics statistics;

    seal_get_statistics(lab->nodes[node].seal, &statistics);
    return statistics.foreign_hellos;
}

static _unused_ size_t lab_peers(const struct lab *lab, size_t node)
{
    struct seal_statistics statistics;

    seal_get_statistics(lab->nodes[node].seal, &statistics);
    return statistics.peers_count;
}

static _unused_ enum packet_type lab_type(const struct lab *lab, size_t record)
{
    return (enum packet_type)(lab->records[record].data[0] & 15);
}
