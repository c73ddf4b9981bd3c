/* SPDX-License-Identifier: MIT */
#include "net/fastest.h"

#include "net/conn.h"
#include "seal/crypto.h"

#define TRY_USEC    ((usec_t)2500)
#define PACKET_SIZE 512

/* Packets sealed in TRY_USEC. */
static uint64_t count_packets(struct crypto *crypto, enum seal_algorithm algorithm)
{
    uint8_t key[CRYPTO_KEY_SIZE] = {1}, plain[PACKET_SIZE] = {0};
    uint8_t sealed[PACKET_SIZE + CRYPTO_TAG_SIZE];
    struct crypto_box box = {.algorithm = algorithm, .key = key, .bound = key, .bound_size = 32};
    usec_t end = usec_add(conn_now(), TRY_USEC);

    do {
        if (crypto_seal(crypto, &box, plain, sizeof(plain), sealed) < 0)
            return 0;
        box.counter++;
    } while (conn_now() < end);
    return box.counter;
}

enum seal_algorithm fastest_algorithm(void)
{
    struct crypto crypto;
    uint64_t aes, chacha;

    if (crypto_init(&crypto) < 0)
        return SEAL_AES_256_GCM;
    aes = count_packets(&crypto, SEAL_AES_256_GCM);
    chacha = count_packets(&crypto, SEAL_CHACHA20_POLY1305);
    crypto_done(&crypto);
    return chacha > aes ? SEAL_CHACHA20_POLY1305 : SEAL_AES_256_GCM;
}
