/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of a seal, shared by its sending half (seal.c), its receiving half (receive.c) and
 * what both use (state.c): our sessions, the queue of datagrams, hellos, and the step from "proven"
 * to "what was held goes out". Not for other folders.
 */

#include "seal/crypto.h"
#include "seal/handshakes.h"
#include "seal/packet.h"
#include "seal/peers.h"
#include "seal/seal.h"
#include "seal/session.h"

#define COOKIE_LIFE_USEC (30 * USEC_PER_SEC) /* how long we take our own cookies back */
#define COOKIE_USE_USEC  (20 * USEC_PER_SEC) /* how long we offer those of others */
#define HELLO_PAUSE_USEC (2 * USEC_PER_SEC)  /* between unforced hellos to one peer */

struct queued {
    struct list link;
    struct address to;
    size_t size;
    uint8_t data[];
};

struct seal {
    char cluster[NODE_NAME_MAX + 1];
    struct node_id id;
    struct keyring *keyring; /* owned; NULL where encryption is off */
    enum seal_algorithm algorithm;
    size_t packet_size_max;
    uint32_t session_packets_max;

    struct crypto crypto;
    struct entropy entropy;
    uint8_t cookie_key[CRYPTO_KEY_SIZE];
    struct session current;  /* its key: under the first key of the ring */
    uint32_t turn;           /* counts hellos in another key than the first */
    struct session previous; /* only to know what is still bound to it; has no key any more */
    struct peers peers;
    struct handshakes handshakes;

    struct list queue; /* owned struct queued */
    size_t queue_count;
    struct queued *lent;              /* owned: what seal_next_datagram returned last */
    uint8_t plain[SEAL_DATAGRAM_MAX]; /* what was opened last */
    struct seal_statistics statistics;
};

/* Counts a drop. Return: the errno that seal_receive documents for it. */
int state_drop(struct seal *seal, enum seal_drop why);

/* Begins a new send session. Return: 0, -EIO. */
int state_begin_session(struct seal *seal, usec_t now);

/* Begins one if the current one is worn out. Before any group of packets of one call. */
int state_refresh(struct seal *seal, usec_t now);

/* A packet on its way out: who is there and in which session, as far as the type knows. */
struct outgoing {
    enum packet_type type;
    uint32_t key_id; /* of the ring: that to seal it with; 0 where encryption is off */
    const struct address *to;
    struct node_id to_id;
    const uint8_t *to_session; /* NULL = unknown */
    const uint8_t *body;
    size_t body_size;
};

/* Seals it in our current session and queues it. Return: 0, -ENOBUFS (counted), -ENOMEM, -EIO. */
int state_emit(struct seal *seal, const struct outgoing *outgoing);

/* Whether a plain packet can go to @peer right away. */
bool state_can_send(const struct seal *seal, const struct peer *peer, usec_t now);

/* One plain packet (or none: @size 0 in an echo) to a peer to which state_can_send(). */
int state_send_plain(struct seal *seal, struct peer *peer, const void *plain, size_t size);

/* The handshake with @to_id at @to, begun if it is new. NULL where there is no room (counted). */
struct handshake *state_begin_handshake(struct seal *seal, const struct address *to,
                                        const struct node_id *to_id, usec_t now);

/* Sends one more hello. */
int state_say_hello(struct seal *seal, struct handshake *handshake, usec_t now);

/*
 * @peer is proven now: handshakes with it end, and what they held goes out. Return: how many
 * packets went out.
 */
size_t state_finish_handshakes(struct seal *seal, struct peer *peer);
