/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The node's own send session: 16 random bytes that name it, the key derived from them, and the
 * counter of what it sealed. And the stream of random bytes from which sessions, challenges and the
 * secret of the cookies come, which is a function of the seed, so that a simulation repeats.
 */

#include <stdint.h>
#include "base/usec.h"
#include "seal/crypto.h"
#include "seal/packet.h"

struct entropy {
    uint8_t key[CRYPTO_KEY_SIZE];
    uint64_t counter; /* of blocks drawn */
};

/* Mixes @seed into what is there. Return: 0, -EIO. */
int entropy_add(struct entropy *entropy, struct crypto *crypto,
                const uint8_t seed[static CRYPTO_KEY_SIZE]);

/* Return: 0, -EIO. */
int entropy_draw(struct entropy *entropy, struct crypto *crypto,
                 uint8_t ret[static CRYPTO_MAC_SIZE]);

struct session {
    uint8_t id[SESSION_ID_SIZE];
    uint8_t key[CRYPTO_KEY_SIZE];
    uint32_t key_id;
    uint32_t number;  /* 1 for the first of this node, then counting; 0 = there is none */
    uint32_t counter; /* of packets sealed: the next nonce */
    usec_t began_usec;
};

/* The key of the session @id under a cluster's @secret. Return: 0, -EIO. */
int session_derive_key(struct crypto *crypto, const uint8_t secret[static CRYPTO_KEY_SIZE],
                       const char *cluster, const uint8_t id[static SESSION_ID_SIZE],
                       uint8_t ret[static CRYPTO_KEY_SIZE]);
