/* SPDX-License-Identifier: MIT */
#include "seal/session.h"

#include <openssl/crypto.h>
#include <string.h>
#include "base/bytes.h"

int entropy_add(struct entropy *entropy, struct crypto *crypto,
                const uint8_t seed[static CRYPTO_KEY_SIZE])
{
    uint8_t mixed[CRYPTO_MAC_SIZE];
    int r = crypto_authenticate(crypto, entropy->key, seed, CRYPTO_KEY_SIZE, mixed);

    if (r < 0)
        return r;
    memcpy(entropy->key, mixed, sizeof(entropy->key));
    OPENSSL_cleanse(mixed, sizeof(mixed));
    return 0;
}

int entropy_draw(struct entropy *entropy, struct crypto *crypto,
                 uint8_t ret[static CRYPTO_MAC_SIZE])
{
    uint8_t block[8];
    struct writer writer = writer_into(block, sizeof(block));

    writer_u64(&writer, entropy->counter++);
    return crypto_authenticate(crypto, entropy->key, block, sizeof(block), ret);
}

int session_derive_key(struct crypto *crypto, const uint8_t secret[static CRYPTO_KEY_SIZE],
                       const char *cluster, const uint8_t id[static SESSION_ID_SIZE],
                       uint8_t ret[static CRYPTO_KEY_SIZE])
{
    static const char label[] = "p2p udp";
    uint8_t info[sizeof(label) - 1 + SESSION_ID_SIZE];

    memcpy(info, label, sizeof(label) - 1);
    memcpy(info + sizeof(label) - 1, id, SESSION_ID_SIZE);
    return crypto_derive(crypto, secret, cluster, info, sizeof(info), ret, CRYPTO_KEY_SIZE);
}
