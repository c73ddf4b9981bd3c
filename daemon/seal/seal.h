/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What protects every datagram between nodes. Plain packets of the membership core go in with a
 * destination, sealed datagrams come out; datagrams from the network go in, and plain packets of
 * members that were proven to be who, where and when they say come out. Pure like the core: bytes
 * and time in, bytes and one deadline out; random only from its seed; no call but to libcrypto.
 *
 * A node has one send session at a time: 16 random bytes from which, with the cluster's key, the
 * sealing key is derived, and a counter that is the nonce. A receiver believes a session only after
 * a packet of it echoed a fresh challenge from the address in question, and until then keeps
 * nothing about it. The formats and the reasons are in daemon/PROTOCOL.md, "Datagrams".
 *
 * The owner (floor 4, or the simulator) calls seal_send for each packet of the core and
 * seal_receive for each datagram, then drains seal_next_datagram and arms one timer for
 * seal_deadline.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/address.h"
#include "base/id.h"
#include "base/macro.h"
#include "base/usec.h"
#include "seal/keyring.h"

#define SEAL_DATAGRAM_MAX 1500 /* bytes; nothing larger is received or sent */
/* The most that sealing adds to a packet: packet_size_max of the core = gossip.mtu -
 * SEAL_OVERHEAD_MAX. */
#define SEAL_OVERHEAD_MAX 74
#define SEAL_SEED_SIZE    32

#define SEAL_PEERS_MAX           10240         /* sessions of others that are kept */
#define SEAL_HANDSHAKES_MAX      512           /* addresses that are being said hello to */
#define SEAL_HELD_MAX            8             /* packets that wait for one handshake */
#define SEAL_QUEUE_MAX           1024          /* datagrams that wait for seal_next_datagram */
#define SEAL_SESSION_PACKETS_MAX (1U << 23)    /* under one key */
#define SEAL_SESSION_USEC        USEC_PER_HOUR /* life of a send session */

/* As on the wire. */
enum seal_algorithm {
    SEAL_NONE = 0, /* readable and forgeable by everyone; only where encryption is off */
    SEAL_AES_256_GCM = 1,
    SEAL_CHACHA20_POLY1305 = 2,
};

struct seal_config {
    const char *cluster;           /* name, 1..63 bytes; copied */
    struct node_id id;             /* ours */
    const struct keyring *keyring; /* copied; NULL exactly where !is_encrypted */
    bool is_encrypted;
    enum seal_algorithm algorithm; /* for sending; SEAL_NONE exactly where !is_encrypted */
    size_t packet_size_max;        /* plain bytes, 1..SEAL_DATAGRAM_MAX - SEAL_OVERHEAD_MAX */
    uint32_t session_packets_max;  /* 64..SEAL_SESSION_PACKETS_MAX; 0 = SEAL_SESSION_PACKETS_MAX */
};

/* What a datagram is for; as on the wire, less one. */
enum seal_kind {
    SEAL_KIND_HELLO,
    SEAL_KIND_CHALLENGE,
    SEAL_KIND_ECHO, /* with the first packet of a session in it */
    SEAL_KIND_DATA,
    _SEAL_KIND_MAX,
};
const char *seal_kind_name(enum seal_kind kind); /* "hello" */

/* Why a datagram or a packet was dropped. */
enum seal_drop {
    SEAL_DROP_MALFORMED,   /* no version, type, length or algorithm of ours */
    SEAL_DROP_STRANGER,    /* data from an address without a session */
    SEAL_DROP_KEY,         /* sealed with a key that is not in our ring */
    SEAL_DROP_FORGED,      /* does not open: damage, another cluster, destination or session */
    SEAL_DROP_REPLAYED,    /* opened before, or too old to tell */
    SEAL_DROP_REFLECTED,   /* our own */
    SEAL_DROP_DESTINATION, /* a hello to another node */
    SEAL_DROP_UNASKED,     /* a challenge to a hello that we did not send */
    SEAL_DROP_STALE,       /* echoes no fresh challenge */
    SEAL_DROP_FULL,        /* too many sessions, handshakes, held packets or queued datagrams */
    SEAL_DROP_UNREACHABLE, /* held packets whose handshake got no answer */
    _SEAL_DROP_MAX,
};

struct seal_statistics {
    uint64_t sealed, opened;       /* plain packets out and in */
    uint64_t hellos, challenges;   /* sent */
    uint64_t sessions_own;         /* send sessions begun */
    uint64_t sessions_established; /* of others */
    uint64_t dropped[_SEAL_DROP_MAX];
    uint64_t sent[_SEAL_KIND_MAX];
    uint64_t received[_SEAL_KIND_MAX]; /* well formed; some of them are dropped */
    size_t peers_count, handshakes_count;
    /* Of SEAL_DROP_FORGED: a hello is bound to nothing but the cluster, so it is of another one. */
    uint64_t foreign_hellos;
    uint32_t unknown_key_id; /* what the last datagram said that was dropped with SEAL_DROP_KEY */
};

/* One plain packet of a member. Borrowed from the seal until its next call. */
struct seal_plain {
    struct node_id from_id;
    const uint8_t *data;
    size_t size;
};

/* One datagram for the network. Borrowed from the seal until its next call. */
struct seal_datagram {
    struct address to;
    const uint8_t *data;
    size_t size;
};

struct seal;

/**
 * seal_new() - a seal with a first send session and no peers
 * @seed: unpredictable bytes, never used twice but to repeat a simulation
 * @now:  monotonic, as in all calls
 *
 * Return: 0; -EINVAL where @config is out of the ranges above; -ENOMEM; -EIO where libcrypto fails.
 */
int seal_new(const struct seal_config *config, const uint8_t seed[static SEAL_SEED_SIZE],
             usec_t now, struct seal **ret);
/* Wipes all keys. Returns NULL. */
struct seal *seal_free(struct seal *seal);
DEFINE_CLEANUP(struct seal *, seal_free)

/**
 * seal_send() - queue what brings one plain packet to @to
 * @to_id: who must be there; NULL or the null id = whoever is (a join)
 *
 * Without a session the packet is held while a hello goes out; when that fails it is dropped and
 * counted, as the network might have dropped it.
 *
 * Return: 0; -EMSGSIZE above packet_size_max; -EAFNOSUPPORT where @to is no address; -ENOBUFS where
 * a bound is reached (counted); -ENOMEM; -EIO where libcrypto fails.
 */
int seal_send(struct seal *seal, const struct address *to, const struct node_id *to_id,
              const void *plain, size_t size, usec_t now);

/**
 * seal_doubt() - before seal_send() to somebody who was not heard of for so long that it may have
 * started anew, and then can read nothing of what is sent in the old session
 *
 * Says hello at once, unless it did so just now, and sends the packet once more to whoever answers.
 */
void seal_doubt(struct seal *seal, const struct address *to, const struct node_id *to_id,
                usec_t now);

/**
 * seal_receive() - one datagram from the network
 *
 * Return: 1 with a plain packet in *@ret from a member whose key, address and freshness were
 * proven; 0 where it was consumed by a handshake. Otherwise it was ignored and counted: -EBADMSG
 * malformed, -ENOKEY stranger or key, -EKEYREJECTED forged, -EALREADY replayed, -ELOOP reflected,
 * -EADDRNOTAVAIL destination, -ESTALE unasked or stale, -ENOBUFS full; -ENOMEM, -EIO.
 */
int seal_receive(struct seal *seal, const struct address *from, const void *data, size_t size,
                 usec_t now, struct seal_plain *ret);

bool seal_next_datagram(struct seal *seal, struct seal_datagram *ret);

/* Repeats hellos and gives them up. Early or late calls are harmless. */
void seal_tick(struct seal *seal, usec_t now);

/* When seal_tick wants to be called next; USEC_INFINITY = never. */
usec_t seal_deadline(const struct seal *seal);

/**
 * seal_renew() - begin a new send session at once, with new randomness: after a resume or a fork
 *
 * Return: 0, -EIO where libcrypto fails (the old session then stays).
 */
int seal_renew(struct seal *seal, const uint8_t seed[static SEAL_SEED_SIZE], usec_t now);

/*
 * From now on packets up to @packet_size_max are sealed with @algorithm; another one than before
 * begins a new send session. Ranges as of struct seal_config. Return: 0, -EINVAL, -EIO (nothing
 * changed then).
 */
int seal_set_sending(struct seal *seal, enum seal_algorithm algorithm, size_t packet_size_max,
                     usec_t now);

/**
 * seal_set_keyring() - from now on these keys (copied)
 *
 * A new primary key begins a new send session; under a key that is gone nothing is opened any more,
 * and what is to be sent waits for a handshake. Return: 0; -EINVAL where encryption is off;
 * -ENOMEM; -EIO (nothing changed then).
 */
int seal_set_keyring(struct seal *seal, const struct keyring *keyring, usec_t now);

void seal_get_statistics(const struct seal *seal, struct seal_statistics *ret);

/* "malformed", "stranger", ... */
const char *seal_drop_name(enum seal_drop drop);
