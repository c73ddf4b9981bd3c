/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Sessions of others, one per address: who is there, the key of what comes from there, what was
 * seen already, and what that side knows of us. An entry exists only once its session was proven.
 * Bounded; where it is full, the one that was quiet longest goes, if it was quiet for
 * PEERS_QUIET_USEC: by then no cookie that it could echo is fresh any more, so nothing of it can be
 * replayed into a new entry.
 */

#include <stdint.h>
#include "base/address.h"
#include "base/id.h"
#include "base/list.h"
#include "base/table.h"
#include "base/usec.h"
#include "seal/packet.h"
#include "seal/replay.h"

#define PEERS_QUIET_USEC (60 * USEC_PER_SEC)

struct peer {
    struct address address;
    struct node_id id;
    uint8_t session[SESSION_ID_SIZE];
    uint8_t key[CRYPTO_KEY_SIZE];
    uint8_t algorithm;
    uint32_t key_id;        /* of `key`: the one it seals with */
    uint32_t send_key_id;   /* the one we seal with for it: that of its last handshake with us */
    uint32_t confirmed;     /* number of our session that it has proven to know; 0 = none */
    uint32_t cookie_number; /* number of our session for which it gave us cookie; 0 = none */
    uint8_t cookie[COOKIE_SIZE];
    usec_t cookie_usec;   /* when we got it */
    usec_t accepted_usec; /* a cookie of ours made at or before this opens no other session here */
    usec_t used_usec;     /* last sent or received */
    usec_t received_usec; /* last proven packet */
    usec_t unanswered_usec; /* when the first of `unanswered` was sent */
    usec_t hello_usec;      /* no unforced hello before this */
    uint32_t unanswered;    /* packets sent since received_usec */
    struct replay replay;
    struct list link; /* in peers.recent, quietest first */
};

struct peers {
    struct table by_address; /* owns the peers */
    struct list recent;
};

void peers_init(struct peers *peers, uint64_t seed);
/* Wipes. */
void peers_done(struct peers *peers);

struct peer *peers_find(const struct peers *peers, const struct address *address);

/* Return: the new entry, zero but for its address; NULL where there is no room or memory. */
struct peer *peers_add(struct peers *peers, const struct address *address, usec_t now);

void peers_remove(struct peers *peers, struct peer *peer);

/* @peer was just used. */
void peers_touch(struct peers *peers, struct peer *peer, usec_t now);
