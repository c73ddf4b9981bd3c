/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The few operations of libcrypto that the house needs, fetched once and with contexts that are
 * used again: an AEAD and a digest, with an HMAC and the HKDF made of it. An object belongs to one
 * thread. No key is kept in here beyond a call, but in libcrypto's contexts, which wipe themselves
 * when freed.
 */

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "seal/seal.h"

#define CRYPTO_KEY_SIZE 32
#define CRYPTO_TAG_SIZE 16
#define CRYPTO_MAC_SIZE 32

struct crypto {
    EVP_CIPHER *aes; /* owned, like all of these */
    EVP_CIPHER *chacha;
    EVP_MD *sha256;
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *digest;
};

/* Return: 0; -EIO where libcrypto lacks something. */
int crypto_init(struct crypto *crypto);
void crypto_done(struct crypto *crypto);

/* HKDF-SHA256 (RFC 5869) of @secret with @salt, of 64 bytes at most, and @info; at most 255 * 32
 * bytes, and what @ret has after an error means nothing. Return: 0, -EINVAL for the salt, -EIO. */
int crypto_derive(struct crypto *crypto, const uint8_t secret[static CRYPTO_KEY_SIZE],
                  const char *salt, const void *info, size_t info_size, uint8_t *ret,
                  size_t ret_size);

/* HMAC-SHA256. Return: 0, -EIO. */
int crypto_authenticate(struct crypto *crypto, const uint8_t key[static CRYPTO_KEY_SIZE],
                        const void *data, size_t size, uint8_t ret[static CRYPTO_MAC_SIZE]);

/* What is sealed or opened with what; everything borrowed. */
struct crypto_box {
    enum seal_algorithm algorithm;
    const uint8_t *key;   /* CRYPTO_KEY_SIZE bytes */
    uint64_t counter;     /* the nonce: never twice with one key */
    const uint8_t *bound; /* authenticated, not sent */
    size_t bound_size;
};

/* @target takes @size + CRYPTO_TAG_SIZE bytes. SEAL_NONE copies and only checksums. Return: 0,
 * -EIO. */
int crypto_seal(struct crypto *crypto, const struct crypto_box *box, const uint8_t *plain,
                size_t size, uint8_t *target);

/*
 * @target takes @size - CRYPTO_TAG_SIZE bytes, which mean something only after 0.
 * Return: 0; -EKEYREJECTED where it is not authentic or too short; -EIO.
 */
int crypto_open(struct crypto *crypto, const struct crypto_box *box, const uint8_t *sealed,
                size_t size, uint8_t *target);
