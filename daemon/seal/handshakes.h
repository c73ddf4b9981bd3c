/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Hellos under way: to whom, the challenge that must come back, when to repeat, and the packets
 * that wait for it. Bounded in number and in packets; a handshake without an answer ends by itself.
 */

#include <stdbool.h>
#include <stdint.h>
#include "base/address.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/list.h"
#include "base/table.h"
#include "seal/packet.h"

#define HANDSHAKE_HELLOS_MAX  4
#define HANDSHAKE_JOIN_MAX    10                    /* to whoever is there */
#define HANDSHAKE_REPEAT_USEC (200 * USEC_PER_MSEC) /* doubled with each repetition */

struct held {
    struct list link;
    size_t size;
    uint8_t plain[];
};

/* An address, and who must be there; null = whoever is. */
struct handshake_key {
    struct address address;
    struct node_id id;
};

struct handshake {
    struct handshake_key key;
    uint8_t challenge[CHALLENGE_SIZE];
    uint32_t hellos;        /* sent so far */
    usec_t began_usec;      /* when the first one was said */
    usec_t said_usec;       /* and the last one */
    bool is_doubt;          /* there is a session, and `held` are copies of what was sent in it */
    struct heap_entry heap; /* when to repeat or give up */
    struct list held;       /* owned, oldest first */
    size_t held_count;
};

struct handshakes {
    struct table by_key; /* owns the handshakes */
    struct heap heap;
    usec_t answer_usec; /* from a first hello to its answer, smoothed */
};

void handshakes_init(struct handshakes *handshakes, uint64_t seed);
void handshakes_done(struct handshakes *handshakes);

struct handshake *handshakes_find(const struct handshakes *handshakes,
                                  const struct address *address, const struct node_id *id);

/* Return: a new one with nothing held and no hello sent; NULL where there is no room or memory. */
struct handshake *handshakes_add(struct handshakes *handshakes, const struct address *address,
                                 const struct node_id *id,
                                 const uint8_t challenge[static CHALLENGE_SIZE]);

void handshakes_remove(struct handshakes *handshakes, struct handshake *handshake);

/* The first hello of @handshake has been answered: how long to wait for others is learnt from it.
 */
void handshakes_measure(struct handshakes *handshakes, const struct handshake *handshake,
                        usec_t now);

/* One hello went out at @now: set when the next one, or giving up, is due. */
void handshakes_schedule(struct handshakes *handshakes, struct handshake *handshake, usec_t now);

/* How many hellos @handshake has. Who joins is patient: where a thousand do at once, an answer that
 * comes late is of use to whoever still waits for it, and one to whoever asked anew is not. */
static inline uint32_t handshake_hellos_max(const struct handshake *handshake)
{
    return node_id_is_null(&handshake->key.id) ? HANDSHAKE_JOIN_MAX : HANDSHAKE_HELLOS_MAX;
}

/* The one that is due at @now, or NULL. */
struct handshake *handshakes_first_due(const struct handshakes *handshakes, usec_t now);

/* Holds a copy. Return: 0; 1 where the oldest had to go for it; -ENOMEM. */
int handshake_hold(struct handshake *handshake, const void *plain, size_t size);
