/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "base/base64.h"
#include "seal/keyring.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static int parse(const char *text, char error[static KEYRING_ERROR_MAX], struct keyring **ret)
{
    error[0] = '\0';
    return keyring_parse(text, strlen(text), error, ret);
}

static void first_key_is_primary_and_comments_are_skipped(void **state)
{
    _cleanup_(keyring_freep) struct keyring *keyring = NULL;
    char error[KEYRING_ERROR_MAX];

    (void)state;
    assert_int_equal(parse("# ring\n\n  " KEY_A " # in use\r\n" KEY_B, error, &keyring), 0);
    assert_int_equal(keyring->count, 2);
    for (size_t i = 0; i < KEYRING_SECRET_SIZE; i++)
        assert_int_equal(keyring->keys[0].secret[i], i);
    assert_int_equal(keyring->keys[1].secret[0], 32);
    assert_int_not_equal(keyring->keys[0].id, keyring->keys[1].id);
    assert_ptr_equal(keyring_find(keyring, keyring->keys[1].id), &keyring->keys[1]);
    assert_null(keyring_find(keyring, keyring->keys[0].id + 1));
}

static void id_depends_on_the_key_alone(void **state)
{
    _cleanup_(keyring_freep) struct keyring *one = NULL, *two = NULL;
    char error[KEYRING_ERROR_MAX];

    (void)state;
    assert_int_equal(parse(KEY_A "\n", error, &one), 0);
    assert_int_equal(parse(KEY_B "\n" KEY_A, error, &two), 0);
    assert_int_equal(one->keys[0].id, two->keys[1].id);
}

static void bad_text_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "no key in it"},
        {"# only a comment\n", "no key in it"},
        {"\n\nhello\n", "line 3: a key is 32 bytes in base64"},
        {KEY_A "\nAAEC\n", "line 2: a key is 32 bytes in base64"},
        {KEY_A KEY_B "\n", "line 1: a key is 32 bytes in base64"},
        {KEY_A "\n# x\n" KEY_A "\n", "line 3: this key is there already"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct keyring *keyring = NULL;
        char error[KEYRING_ERROR_MAX];
        assert_int_equal(parse(cases[i].text, error, &keyring), -EINVAL);
        assert_string_equal(error, cases[i].error);
        assert_null(keyring);
    }
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    static char large[KEYRING_TEXT_MAX + 1];
    struct keyring *keyring = NULL;
    char error[KEYRING_ERROR_MAX], line[400];

    (void)state;
    assert_int_equal(keyring_parse(KEY_A "\0" KEY_B, 89, error, &keyring), -EINVAL);
    assert_string_equal(error, "line 1: a NUL byte");
    memset(large, '\n', sizeof(large));
    assert_int_equal(keyring_parse(large, sizeof(large), error, &keyring), -EINVAL);
    assert_string_equal(error, "too long for a key ring");
    memset(line, 'A', sizeof(line));
    assert_int_equal(keyring_parse(line, sizeof(line), error, &keyring), -EINVAL);
    assert_string_equal(error, "line 1: too long for a key");
    assert_null(keyring);
}

/* @count different keys, one per line. */
static size_t write_keys(char *target, size_t size, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++) {
        uint8_t secret[KEYRING_SECRET_SIZE] = {(uint8_t)i, 1};
        _cleanup_free_ char *line = base64_encode(secret, sizeof(secret));
        length += (size_t)snprintf(target + length, size - length, "%s\n", line);
    }
    return length;
}

static void sixteen_keys_fit_and_seventeen_do_not(void **state)
{
    _cleanup_(keyring_freep) struct keyring *keyring = NULL;
    struct keyring *none = NULL;
    char text[2048], error[KEYRING_ERROR_MAX];

    (void)state;
    assert_int_equal(keyring_parse(text, write_keys(text, sizeof(text), 16), error, &keyring), 0);
    assert_int_equal(keyring->count, 16);
    assert_int_equal(keyring_parse(text, write_keys(text, sizeof(text), 17), error, &none),
                     -EINVAL);
    assert_string_equal(error, "line 17: a key ring has at most 16 keys");
    assert_null(none);
}

static void generated_ring_reads_back_and_shows_its_fingerprint(void **state)
{
    _cleanup_(keyring_freep) struct keyring *keyring = NULL, *copy = NULL;
    _cleanup_(keyring_free_textp) char *text = NULL, *other = NULL;
    char error[KEYRING_ERROR_MAX], fingerprint[FINGERPRINT_TEXT_MAX], line[64];

    (void)state;
    assert_int_equal(keyring_generate(1, &text), 0);
    assert_int_equal(keyring_generate(1, &other), 0);
    assert_string_not_equal(text, other);
    assert_int_equal(parse(text, error, &keyring), 0);
    assert_int_equal(keyring->count, 1);
    (void)snprintf(line, sizeof(line), "# fingerprint %s\n",
                   keyring_format_fingerprint(keyring->keys[0].id, fingerprint));
    assert_non_null(strstr(text, line));
    assert_int_equal(text[0], '#');
    copy = keyring_copy(keyring);
    assert_memory_equal(copy, keyring, sizeof(*copy));
}

static void fingerprint_is_the_first_four_digits(void **state)
{
    char text[FINGERPRINT_TEXT_MAX];

    (void)state;
    assert_string_equal(keyring_format_fingerprint(0x3f9a01bc, text), "3f9a");
    assert_string_equal(keyring_format_fingerprint(0x000a0000, text), "000a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_key_is_primary_and_comments_are_skipped),
        cmocka_unit_test(id_depends_on_the_key_alone),
        cmocka_unit_test(bad_text_is_refused_with_its_line),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(sixteen_keys_fit_and_seventeen_do_not),
        cmocka_unit_test(generated_ring_reads_back_and_shows_its_fingerprint),
        cmocka_unit_test(fingerprint_is_the_first_four_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
