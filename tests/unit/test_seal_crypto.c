/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>
#include "seal/crypto.h"
#include "seal/provider.h"

static void unhex(const char *text, uint8_t *target)
{
    for (size_t i = 0; text[2 * i]; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        target[i] = (uint8_t)byte;
    }
}

static void mac_is_hmac_sha256(void **state)
{
    struct crypto crypto;
    uint8_t key[CRYPTO_KEY_SIZE] = {0}, mac[CRYPTO_MAC_SIZE], expected[CRYPTO_MAC_SIZE];

    (void)state;
    /* RFC 4231, test case 2: the key "Jefe", padded with zeros as HMAC does. */
    memcpy(key, "Jefe", 4);
    unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", expected);
    assert_int_equal(crypto_init(&crypto), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(crypto_authenticate(&crypto, key, "what do ya want for nothing?", 28, mac),
                         0);
        assert_memory_equal(mac, expected, sizeof(mac));
    }
    crypto_done(&crypto);
}

/* libcrypto's own HKDF, by name. */
static void derive_plainly(const uint8_t secret[static CRYPTO_KEY_SIZE], char *salt, char *info,
                           uint8_t *ret, size_t ret_size)
{
    char digest[] = "SHA256";
    uint8_t key[CRYPTO_KEY_SIZE];
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);

    memcpy(key, secret, sizeof(key));
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, sizeof(key)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, strlen(salt)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, strlen(info)),
        OSSL_PARAM_construct_end(),
    };
    assert_int_equal(EVP_KDF_derive(context, ret, ret_size, params), 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

static void derivation_is_hkdf_sha256(void **state)
{
    static const size_t sizes[] = {4, 31, 32, 33, 48, 64, 65};
    struct crypto crypto;
    uint8_t secret[CRYPTO_KEY_SIZE] = {0xc0, 1, 2, 3}, derived[66], expected[66];
    char salt[] = "lab", info[] = "p2p tcp";

    (void)state;
    assert_int_equal(crypto_init(&crypto), 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        memset(derived, 0xee, sizeof(derived));
        memset(expected, 0xee, sizeof(expected));
        derive_plainly(secret, salt, info, expected, sizes[i]);
        assert_int_equal(
            crypto_derive(&crypto, secret, salt, info, strlen(info), derived, sizes[i]), 0);
        assert_memory_equal(derived, expected, sizeof(expected));
    }
    crypto_done(&crypto);
}

static void salt_is_a_block_at_most(void **state)
{
    struct crypto crypto;
    uint8_t secret[CRYPTO_KEY_SIZE] = {1}, derived[32], expected[32];
    char salt[66] = "";

    (void)state;
    assert_int_equal(crypto_init(&crypto), 0);
    memset(salt, 's', 64);
    assert_int_equal(crypto_derive(&crypto, secret, salt, "i", 1, derived, 32), 0);
    derive_plainly(secret, salt, (char[]){"i"}, expected, 32);
    assert_memory_equal(derived, expected, 32);
    salt[64] = 's';
    assert_int_equal(crypto_derive(&crypto, secret, salt, "i", 1, derived, 32), -EINVAL);
    crypto_done(&crypto);
}

static void derivation_separates_salts_and_infos(void **state)
{
    struct crypto crypto;
    uint8_t secret[CRYPTO_KEY_SIZE] = {1}, a[32], b[32], c[32], again[32];

    (void)state;
    assert_int_equal(crypto_init(&crypto), 0);
    assert_int_equal(crypto_derive(&crypto, secret, "lab", "p2p udp", 7, a, 32), 0);
    assert_int_equal(crypto_derive(&crypto, secret, "lab", "p2p tcp", 7, b, 32), 0);
    assert_int_equal(crypto_derive(&crypto, secret, "lab2", "p2p udp", 7, c, 32), 0);
    assert_int_equal(crypto_derive(&crypto, secret, "lab", "p2p udp", 7, again, 32), 0);
    assert_memory_equal(a, again, 32);
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a, c, 32);
    crypto_done(&crypto);
}

static void every_algorithm_opens_what_it_sealed_and_nothing_else(void **state)
{
    static const enum seal_algorithm algorithms[] = {SEAL_NONE, SEAL_AES_256_GCM,
                                                     SEAL_CHACHA20_POLY1305};
    struct crypto crypto;
    uint8_t key[CRYPTO_KEY_SIZE] = {1}, sealed[64], plain[64];

    (void)state;
    assert_int_equal(crypto_init(&crypto), 0);
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
        for (size_t size = 0; size <= 5; size += 5) {
            struct crypto_box box = {.algorithm = algorithms[i],
                                     .key = key,
                                     .counter = 7,
                                     .bound = (const uint8_t *)"bound",
                                     .bound_size = 5};
            assert_int_equal(crypto_seal(&crypto, &box, (const uint8_t *)"plain", size, sealed), 0);
            size_t sealed_size = size + CRYPTO_TAG_SIZE;
            assert_int_equal(crypto_open(&crypto, &box, sealed, sealed_size, plain), 0);
            assert_memory_equal(plain, "plain", size);
            assert_int_equal(crypto_open(&crypto, &box, sealed, CRYPTO_TAG_SIZE - 1, plain),
                             -EKEYREJECTED);
            box.counter = 8;
            assert_int_equal(crypto_open(&crypto, &box, sealed, sealed_size, plain), -EKEYREJECTED);
            box.counter = 7;
            box.bound_size = 4;
            assert_int_equal(crypto_open(&crypto, &box, sealed, sealed_size, plain), -EKEYREJECTED);
        }
    crypto_done(&crypto);
}

static void nonce_is_the_counter_in_network_order(void **state)
{
    struct crypto crypto;
    uint8_t key[CRYPTO_KEY_SIZE] = {0}, zeros[16] = {0}, sealed[32], expected[32];

    (void)state;
    /* The GCM specification's test case 14: all zero, one block. */
    unhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919", expected);
    assert_int_equal(crypto_init(&crypto), 0);
    struct crypto_box box = {.algorithm = SEAL_AES_256_GCM, .key = key, .bound = zeros};
    assert_int_equal(crypto_seal(&crypto, &box, zeros, sizeof(zeros), sealed), 0);
    assert_memory_equal(sealed, expected, sizeof(sealed));
    crypto_done(&crypto);
}

/* Each method that libcrypto makes for nobody costs every process memory. */
static void library_offers_what_is_used_and_nothing_else(void **state)
{
    EVP_CIPHER *aes = EVP_CIPHER_fetch(provider_get_context(), "id-aes256-GCM", NULL);
    struct crypto crypto;

    (void)state;
    assert_int_equal(crypto_init(&crypto), 0);
    assert_ptr_equal(aes, crypto.aes);
    assert_null(EVP_CIPHER_fetch(provider_get_context(), "AES-128-GCM", NULL));
    assert_null(EVP_CIPHER_fetch(provider_get_context(), "AES-256-GC", NULL));
    assert_null(EVP_MAC_fetch(provider_get_context(), "HMAC", NULL));
    assert_null(EVP_MD_fetch(provider_get_context(), "SHA1", NULL));
    EVP_CIPHER_free(aes);
    crypto_done(&crypto);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mac_is_hmac_sha256),
        cmocka_unit_test(derivation_is_hkdf_sha256),
        cmocka_unit_test(salt_is_a_block_at_most),
        cmocka_unit_test(derivation_separates_salts_and_infos),
        cmocka_unit_test(every_algorithm_opens_what_it_sealed_and_nothing_else),
        cmocka_unit_test(nonce_is_the_counter_in_network_order),
        cmocka_unit_test(library_offers_what_is_used_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
