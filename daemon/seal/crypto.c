/* SPDX-License-Identifier: MIT */
#include "seal/crypto.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/uio.h>
#include "seal/provider.h"

#define NONCE_SIZE 12
#define BLOCK_SIZE 64 /* of SHA-256 */

int crypto_init(struct crypto *crypto)
{
    OSSL_LIB_CTX *context = provider_get_context();

    *crypto = (struct crypto){0};
    if (!context)
        return -EIO;
    *crypto = (struct crypto){
        .aes = EVP_CIPHER_fetch(context, "AES-256-GCM", NULL),
        .chacha = EVP_CIPHER_fetch(context, "ChaCha20-Poly1305", NULL),
        .sha256 = EVP_MD_fetch(context, "SHA256", NULL),
        .cipher = EVP_CIPHER_CTX_new(),
        .digest = EVP_MD_CTX_new(),
    };
    if (!crypto->aes || !crypto->chacha || !crypto->sha256 || !crypto->cipher || !crypto->digest) {
        crypto_done(crypto);
        return -EIO;
    }
    return 0;
}

void crypto_done(struct crypto *crypto)
{
    EVP_CIPHER_free(crypto->aes);
    EVP_CIPHER_free(crypto->chacha);
    EVP_MD_free(crypto->sha256);
    EVP_CIPHER_CTX_free(crypto->cipher);
    EVP_MD_CTX_free(crypto->digest);
    *crypto = (struct crypto){0};
}

/* SHA-256 of a block and up to three pieces, the empty ones of which may be NULL. */
static int digest(struct crypto *crypto, const uint8_t block[static BLOCK_SIZE],
                  const struct iovec pieces[static 3], uint8_t ret[static CRYPTO_MAC_SIZE])
{
    if (EVP_DigestInit_ex2(crypto->digest, crypto->sha256, NULL) <= 0 ||
        EVP_DigestUpdate(crypto->digest, block, BLOCK_SIZE) <= 0)
        return -EIO;
    for (size_t i = 0; i < 3; i++)
        if (pieces[i].iov_len > 0 &&
            EVP_DigestUpdate(crypto->digest, pieces[i].iov_base, pieces[i].iov_len) <= 0)
            return -EIO;
    return EVP_DigestFinal_ex(crypto->digest, ret, NULL) > 0 ? 0 : -EIO;
}

/*
 * HMAC-SHA256 (RFC 2104). Not libcrypto's, which looks its digest up in the default context, and so
 * makes a method for each of the 40 there. Return: 0, -EINVAL above a block of key, -EIO.
 */
static int authenticate(struct crypto *crypto, const void *key, size_t key_size,
                        const struct iovec pieces[static 3], uint8_t ret[static CRYPTO_MAC_SIZE])
{
    uint8_t inner_pad[BLOCK_SIZE] = {0}, outer_pad[BLOCK_SIZE], inner[CRYPTO_MAC_SIZE];

    if (key_size > BLOCK_SIZE)
        return -EINVAL;
    memcpy(inner_pad, key, key_size);
    for (size_t i = 0; i < BLOCK_SIZE; i++) {
        outer_pad[i] = inner_pad[i] ^ 0x5c;
        inner_pad[i] ^= 0x36;
    }
    int r = digest(crypto, inner_pad, pieces, inner);
    if (r == 0)
        r = digest(crypto, outer_pad,
                   (struct iovec[3]){{.iov_base = inner, .iov_len = sizeof(inner)}}, ret);
    OPENSSL_cleanse(inner_pad, sizeof(inner_pad));
    OPENSSL_cleanse(outer_pad, sizeof(outer_pad));
    OPENSSL_cleanse(inner, sizeof(inner));
    return r;
}

/* Not libcrypto's HKDF, which looks up its digest and its HMAC by name each time: a lab of n that
 * starts derives n^2 session keys. */
int crypto_derive(struct crypto *crypto, const uint8_t secret[static CRYPTO_KEY_SIZE],
                  const char *salt, const void *info, size_t info_size, uint8_t *ret,
                  size_t ret_size)
{
    uint8_t extracted[CRYPTO_MAC_SIZE], block[CRYPTO_MAC_SIZE], number = 1;
    /* An iovec wants pointers to what nobody will write. */
    union {
        const void *in;
        void *out;
    } key = {.in = secret}, about = {.in = info};
    struct iovec pieces[3] = {{.iov_base = key.out, .iov_len = CRYPTO_KEY_SIZE}};

    int r = authenticate(crypto, salt, strlen(salt), pieces, extracted);
    pieces[0] = (struct iovec){0};
    pieces[1] = (struct iovec){.iov_base = about.out, .iov_len = info_size};
    pieces[2] = (struct iovec){.iov_base = &number, .iov_len = sizeof(number)};
    for (size_t done = 0; r == 0 && done < ret_size; number++) {
        size_t size = MIN(ret_size - done, sizeof(block));
        r = authenticate(crypto, extracted, sizeof(extracted), pieces, block);
        if (r == 0)
            memcpy(ret + done, block, size);
        done += size;
        pieces[0] = (struct iovec){.iov_base = block, .iov_len = sizeof(block)};
    }
    OPENSSL_cleanse(extracted, sizeof(extracted));
    OPENSSL_cleanse(block, sizeof(block));
    return r;
}

int crypto_authenticate(struct crypto *crypto, const uint8_t key[static CRYPTO_KEY_SIZE],
                        const void *data, size_t size, uint8_t ret[static CRYPTO_MAC_SIZE])
{
    union {
        const void *in;
        void *out;
    } piece = {.in = data};
    const struct iovec pieces[3] = {{.iov_base = piece.out, .iov_len = size}};

    return authenticate(crypto, key, CRYPTO_KEY_SIZE, pieces, ret);
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
