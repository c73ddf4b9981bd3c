/* SPDX-License-Identifier: MIT */
#include "seal/wrap.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include "base/bytes.h"
#include "base/text.h"
#include "seal/crypto.h"

#define WRAP_VERSION 1
#define HEADER_SIZE  (1 + 4 + WRAP_SALT_SIZE)
#define BODY_SIZE    (KEYRING_SECRET_SIZE + 8)
#define BOUND_MAX    (16 + 1 + NODE_NAME_MAX + HEADER_SIZE + sizeof(struct node_id))

static_assert(WRAP_SIZE == HEADER_SIZE + BODY_SIZE + CRYPTO_TAG_SIZE, "header, body, tag");

/* What the tag binds beside the body. Return: the bytes used. */
static size_t format_bound(const uint8_t header[static HEADER_SIZE], const char *cluster,
                           const struct node_id *to, uint8_t target[static BOUND_MAX])
{
    static const char label[] = "p2pnode key wrap";
    struct writer writer = writer_into(target, BOUND_MAX);

    writer_bytes(&writer, label, sizeof(label) - 1);
    writer_string8(&writer, cluster);
    writer_bytes(&writer, header, HEADER_SIZE);
    writer_bytes(&writer, to->bytes, sizeof(to->bytes));
    return writer.position;
}

/* The key that seals this one message, since its salt is random. Return: 0, -EIO. */
static int derive(struct crypto *crypto, const struct keyring_key *under, const char *cluster,
                  const uint8_t salt[static WRAP_SALT_SIZE], uint8_t ret[static CRYPTO_KEY_SIZE])
{
    static const char label[] = "p2p wrap";
    uint8_t info[sizeof(label) - 1 + WRAP_SALT_SIZE];

    memcpy(info, label, sizeof(label) - 1);
    memcpy(info + sizeof(label) - 1, salt, WRAP_SALT_SIZE);
    return crypto_derive(crypto, under->secret, cluster, info, sizeof(info), ret, CRYPTO_KEY_SIZE);
}

static int seal_key(struct crypto *crypto, const struct keyring_key *key,
                    const struct keyring_key *under, const char *cluster, const struct node_id *to,
                    uint8_t target[static WRAP_SIZE])
{
    uint8_t bound[BOUND_MAX], secret[CRYPTO_KEY_SIZE], body[BODY_SIZE];
    struct writer writer = writer_into(body, sizeof(body));
    struct crypto_box box = {.algorithm = SEAL_AES_256_GCM, .key = secret, .bound = bound};
    int r = derive(crypto, under, cluster, target + 5, secret);

    box.bound_size = format_bound(target, cluster, to, bound);
    writer_bytes(&writer, key->secret, sizeof(key->secret));
    writer_u64(&writer, key->made_sec);
    if (r == 0)
        r = crypto_seal(crypto, &box, body, sizeof(body), target + HEADER_SIZE);
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(body, sizeof(body));
    return r;
}

int wrap_key(const struct keyring_key *key, const struct keyring_key *under, const char *cluster,
             const struct node_id *to, uint8_t ret[static WRAP_SIZE])
{
    uint8_t data[WRAP_SIZE];
    struct writer writer = writer_into(data, sizeof(data));
    struct crypto crypto;
    int r;

    writer_u8(&writer, WRAP_VERSION);
    writer_u32(&writer, under->id);
    if (RAND_bytes(data + 5, WRAP_SALT_SIZE) != 1)
        return -EIO;
    r = crypto_init(&crypto);
    if (r < 0)
        return r;
    r = seal_key(&crypto, key, under, cluster, to, data);
    crypto_done(&crypto);
    if (r == 0)
        memcpy(ret, data, sizeof(data));
    return r;
}

static int open_key(struct crypto *crypto, const struct keyring_key *under, const char *cluster,
                    const struct node_id *to, const uint8_t *data, struct keyring_key *key)
{
    uint8_t bound[BOUND_MAX], secret[CRYPTO_KEY_SIZE], body[BODY_SIZE];
    struct reader reader = reader_from(body, sizeof(body));
    struct crypto_box box = {.algorithm = SEAL_AES_256_GCM, .key = secret, .bound = bound};
    int r = derive(crypto, under, cluster, data + 5, secret);

    box.bound_size = format_bound(data, cluster, to, bound);
    if (r == 0)
        r = crypto_open(crypto, &box, data + HEADER_SIZE, WRAP_SIZE - HEADER_SIZE, body);
    if (r == 0) {
        reader_copy(&reader, key->secret, sizeof(key->secret));
        key->made_sec = reader_u64(&reader);
        r = key->made_sec <= KEYRING_TIME_MAX ? keyring_name_key(crypto, key) : -EBADMSG;
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(body, sizeof(body));
    return r;
}

int wrap_open(const struct keyring *keyring, const char *cluster, const struct node_id *to,
              const void *data, size_t size, struct keyring_key *ret)
{
    struct reader reader = reader_from(data, size);
    struct keyring_key key = {0};
    struct crypto crypto;
    uint8_t version = reader_u8(&reader);
    const struct keyring_key *under = keyring_find(keyring, reader_u32(&reader));
    int r;

    if (version != WRAP_VERSION || size != WRAP_SIZE)
        return -EBADMSG;
    if (!under)
        return -ENOKEY;
    r = crypto_init(&crypto);
    if (r < 0)
        return r;
    r = open_key(&crypto, under, cluster, to, data, &key);
    crypto_done(&crypto);
    if (r == 0)
        *ret = key;
    OPENSSL_cleanse(&key, sizeof(key));
    return r;
}
