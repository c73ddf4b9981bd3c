/* SPDX-License-Identifier: MIT */
#include "seal/crypto.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#define NONCE_SIZE 12

int crypto_init(struct crypto *crypto)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    *crypto = (struct crypto){
        .aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL),
        .chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL),
        .cipher = EVP_CIPHER_CTX_new(),
        .kdf = kdf ? EVP_KDF_CTX_new(kdf) : NULL,
        .mac = mac ? EVP_MAC_CTX_new(mac) : NULL,
    };
    EVP_KDF_free(kdf);
    EVP_MAC_free(mac);
    if (!crypto->aes || !crypto->chacha || !crypto->cipher || !crypto->kdf || !crypto->mac) {
        crypto_done(crypto);
        return -EIO;
    }
    return 0;
}

void crypto_done(struct crypto *crypto)
{
    EVP_CIPHER_free(crypto->aes);
    EVP_CIPHER_free(crypto->chacha);
    EVP_CIPHER_CTX_free(crypto->cipher);
    EVP_KDF_CTX_free(crypto->kdf);
    EVP_MAC_CTX_free(crypto->mac);
    *crypto = (struct crypto){0};
}

int crypto_derive(struct crypto *crypto, const uint8_t secret[static CRYPTO_KEY_SIZE],
                  const char *salt, const void *info, size_t info_size, uint8_t *ret,
                  size_t ret_size)
{
    char digest[] = "SHA256";
    /* OSSL_PARAM wants pointers to what it will not write. */
    union {
        const void *in;
        void *out;
    } key = {.in = secret}, with = {.in = salt}, about = {.in = info};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.out, CRYPTO_KEY_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, with.out, strlen(salt)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, about.out, info_size),
        OSSL_PARAM_construct_end(),
    };

    EVP_KDF_CTX_reset(crypto->kdf);
    if (EVP_KDF_derive(crypto->kdf, ret, ret_size, params) <= 0)
        return -EIO;
    return 0;
}

int crypto_authenticate(struct crypto *crypto, const uint8_t key[static CRYPTO_KEY_SIZE],
                        const void *data, size_t size, uint8_t ret[static CRYPTO_MAC_SIZE])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    size_t done;

    if (EVP_MAC_init(crypto->mac, key, CRYPTO_KEY_SIZE, params) <= 0 ||
        EVP_MAC_update(crypto->mac, data, size) <= 0 ||
        EVP_MAC_final(crypto->mac, ret, &done, CRYPTO_MAC_SIZE) <= 0)
        return -EIO;
    return 0;
}

/* Readies the cipher context for @box, up to and including what is bound. */
static int begin(struct crypto *crypto, const struct crypto_box *box, int is_sealing)
{
    const EVP_CIPHER *cipher =
        box->algorithm == SEAL_CHACHA20_POLY1305 ? crypto->chacha : crypto->aes;
    uint8_t nonce[NONCE_SIZE] = {0};
    int done;

    for (int i = 0; i < 8; i++)
        nonce[NONCE_SIZE - 1 - i] = (uint8_t)(box->counter >> (8 * i));
    if (EVP_CipherInit_ex2(crypto->cipher, cipher, box->key, nonce, is_sealing, NULL) <= 0 ||
        EVP_CipherUpdate(crypto->cipher, NULL, &done, box->bound, (int)box->bound_size) <= 0)
        return -EIO;
    return 0;
}

/* The text itself. Without encryption it stays readable, and the tag only covers it. */
static int pass(struct crypto *crypto, const struct crypto_box *box, const uint8_t *source,
                size_t size, uint8_t *target)
{
    bool is_clear = box->algorithm == SEAL_NONE;
    int done = 0;

    if (size > 0 &&
        EVP_CipherUpdate(crypto->cipher, is_clear ? NULL : target, &done, source, (int)size) <= 0)
        return -EIO;
    if (is_clear && size > 0)
        memcpy(target, source, size);
    return 0;
}

int crypto_seal(struct crypto *crypto, const struct crypto_box *box, const uint8_t *plain,
                size_t size, uint8_t *target)
{
    uint8_t rest[CRYPTO_TAG_SIZE];
    int done, r;

    r = begin(crypto, box, 1);
    if (r < 0)
        return r;
    r = pass(crypto, box, plain, size, target);
    if (r < 0)
        return r;
    if (EVP_CipherFinal_ex(crypto->cipher, rest, &done) <= 0 ||
        EVP_CIPHER_CTX_ctrl(crypto->cipher, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_SIZE,
                            target + size) <= 0)
        return -EIO;
    return 0;
}

int crypto_open(struct crypto *crypto, const struct crypto_box *box, const uint8_t *sealed,
                size_t size, uint8_t *target)
{
    uint8_t tag[CRYPTO_TAG_SIZE], rest[CRYPTO_TAG_SIZE];
    int done, r;

    if (size < CRYPTO_TAG_SIZE)
        return -EKEYREJECTED;
    size -= CRYPTO_TAG_SIZE;
    memcpy(tag, sealed + size, sizeof(tag));
    r = begin(crypto, box, 0);
    if (r < 0)
        return r;
    r = pass(crypto, box, sealed, size, target);
    if (r < 0)
        return r;
    if (EVP_CIPHER_CTX_ctrl(crypto->cipher, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_SIZE, tag) <= 0)
        return -EIO;
    return EVP_CipherFinal_ex(crypto->cipher, rest, &done) <= 0 ? -EKEYREJECTED : 0;
}
