/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"
#include "base/rng.h"
#include "record.h"

static const struct record sample = {
    .version = "0.1.0",
    .protocol = RECORD_PROTOCOL,
    .has_tasks = true,
    .has_python = true,
    .python = "3.11",
    .cpus = 12,
    .keys = {0x11223344, 0xfffffffe},
    .keys_count = 2,
    .types = {"a", "Render"},
    .limits = {{.max = 3}, {.is_for_some = true, .max = RECORD_MAX_TOLD}},
    .types_count = 2,
    .tags = {"room=2.07", "gpu"},
    .tags_count = 2,
    .rules = 0xfffe,
};

#define LIMITS_SIZE (2 + 2) /* of the sample: the last fields, which older versions do not have */

static void assert_same(const struct record *a, const struct record *b)
{
    assert_string_equal(a->version, b->version);
    assert_int_equal(a->protocol, b->protocol);
    assert_int_equal(a->has_tasks, b->has_tasks);
    assert_int_equal(a->has_commands, b->has_commands);
    assert_int_equal(a->has_python, b->has_python);
    assert_string_equal(a->python, b->python);
    assert_int_equal(a->cpus, b->cpus);
    assert_int_equal(a->keys_count, b->keys_count);
    assert_memory_equal(a->keys, b->keys, a->keys_count * sizeof(a->keys[0]));
    assert_int_equal(a->types_count, b->types_count);
    assert_int_equal(a->rules, b->rules);
    for (size_t i = 0; i < a->types_count; i++) {
        assert_string_equal(a->types[i], b->types[i]);
        assert_int_equal(a->limits[i].is_for_some, b->limits[i].is_for_some);
        assert_int_equal(a->limits[i].max, b->limits[i].max);
    }
    assert_int_equal(a->tags_count, b->tags_count);
    for (size_t i = 0; i < a->tags_count; i++)
        assert_string_equal(a->tags[i], b->tags[i]);
}

static size_t encode(const struct record *record, uint8_t *data, size_t size)
{
    size_t used = 0;

    assert_int_equal(record_encode(record, data, size, &used), 0);
    return used;
}

static void a_record_reads_back_as_it_was(void **state _unused_)
{
    uint8_t data[512];
    struct record back, empty = {0};
    size_t size = encode(&sample, data, sizeof(data));

    assert_int_equal(record_decode(data, size, &back), 0);
    assert_same(&back, &sample);
    size = encode(&empty, data, sizeof(data));
    assert_int_equal(record_decode(data, size, &back), 0);
    assert_same(&back, &empty);
}

static void the_largest_record_reads_back(void **state _unused_)
{
    struct record record = {.version = "12345678901234567890123",
                            .protocol = UINT8_MAX,
                            .has_commands = true,
                            .python = "123456789012345",
                            .cpus = UINT16_MAX,
                            .keys_count = RECORD_KEYS_MAX,
                            .types_count = RECORD_TYPES_MAX,
                            .tags_count = RECORD_TAGS_MAX};
    uint8_t data[4096];
    struct record back;

    for (size_t i = 0; i < RECORD_KEYS_MAX; i++)
        record.keys[i] = UINT32_MAX - (uint32_t)i;
    for (size_t i = 0; i < RECORD_TYPES_MAX; i++)
        record.limits[i] = (struct record_limits){.is_for_some = true, .max = RECORD_MAX_TOLD};
    for (size_t i = 0; i < RECORD_TYPES_MAX; i++)
        memset(record.types[i], 'a' + (int)(i % 26), sizeof(record.types[i]) - 1);
    for (size_t i = 0; i < RECORD_TAGS_MAX; i++)
        memset(record.tags[i], '~', sizeof(record.tags[i]) - 1);
    size_t size = encode(&record, data, sizeof(data));
    assert_int_equal(record_decode(data, size, &back), 0);
    assert_same(&back, &record);
}

static void a_buffer_that_is_too_small_is_told(void **state _unused_)
{
    uint8_t data[512];
    size_t full = encode(&sample, data, sizeof(data)), used = 77;

    for (size_t size = 0; size < full - LIMITS_SIZE; size++)
        assert_int_equal(record_encode(&sample, data, size, &used), -EMSGSIZE);
    assert_int_equal(used, 77);
    assert_int_equal(record_encode(&sample, data, full, &used), 0);
}

static void limits_are_told_where_there_is_room(void **state _unused_)
{
    uint8_t data[512];
    struct record back, without = sample;
    size_t full = encode(&sample, data, sizeof(data));

    without.rules = 0;
    memset(without.limits, 0, sizeof(without.limits));
    for (size_t size = full - LIMITS_SIZE; size < full; size++) {
        assert_int_equal(encode(&sample, data, size), full - LIMITS_SIZE);
        /* As one that an older version says. */
        assert_int_equal(record_decode(data, full - LIMITS_SIZE, &back), 0);
        assert_same(&back, &without);
    }
}

static void every_truncation_is_refused(void **state _unused_)
{
    uint8_t data[512];
    struct record back = {.protocol = 99};
    size_t full = encode(&sample, data, sizeof(data));

    for (size_t size = 0; size < full - LIMITS_SIZE; size++) {
        /* A buffer of exactly that size, so that the sanitizers see a read beyond it. */
        _cleanup_free_ uint8_t *part = malloc(size + (size == 0));
        memcpy(part, data, size);
        assert_int_equal(record_decode(part, size, &back), -EBADMSG);
    }
    assert_int_equal(back.protocol, 99);
}

static void fields_of_later_versions_are_passed_over(void **state _unused_)
{
    uint8_t data[512];
    struct record back;
    size_t size = encode(&sample, data, sizeof(data));

    memset(data + size, 0xff, sizeof(data) - size);
    assert_int_equal(record_decode(data, sizeof(data), &back), 0);
    assert_same(&back, &sample);
}

/* Where the fields of the sample are: PROTOCOL.md. */
enum { AT_FORMAT = 0, AT_VERSION = 2, AT_FLAGS = 8, AT_KEYS = 9, AT_TYPES = 18 };

static void assert_refused(size_t at, uint8_t value)
{
    uint8_t data[512];
    struct record back;
    size_t size = encode(&sample, data, sizeof(data));

    data[at] = value;
    assert_int_equal(record_decode(data, size, &back), -EBADMSG);
}

static void names_and_counts_that_are_none_are_refused(void **state _unused_)
{
    assert_refused(AT_FORMAT, 2);
    assert_refused(AT_VERSION - 1, sizeof(sample.version));
    assert_refused(AT_VERSION, '\n');
    assert_refused(AT_VERSION, '\0');
    assert_refused(AT_VERSION, 0x7f);
    assert_refused(AT_VERSION, 0xc3);
    assert_refused(AT_KEYS, RECORD_KEYS_MAX + 1);
    assert_refused(AT_TYPES, RECORD_TYPES_MAX + 1);
    assert_refused(AT_TYPES + 2, '1'); /* no letter */
    assert_refused(AT_TYPES + 1, 0);   /* no name at all */
}

static void garbage_is_refused_or_is_what_it_encodes_to(void **state _unused_)
{
    uint8_t data[256], again[4096];
    struct record record, back;
    struct rng rng;
    size_t taken = 0;

    rng_init(&rng, 4711);
    for (int round = 0; round < 20000; round++) {
        size_t size = encode(&sample, data, sizeof(data));
        for (uint64_t changes = rng_below(&rng, 4); changes > 0; changes--)
            data[rng_below(&rng, size)] = (uint8_t)rng_next(&rng);
        if (record_decode(data, size, &record) < 0)
            continue;
        taken++;
        size = encode(&record, again, sizeof(again));
        assert_int_equal(record_decode(again, size, &back), 0);
        assert_same(&back, &record);
    }
    assert_true(taken > 0);
}

static void types_are_found_by_their_whole_name(void **state _unused_)
{
    assert_true(record_has_type(&sample, "a"));
    assert_true(record_has_type(&sample, "Render"));
    assert_false(record_has_type(&sample, "Rend"));
    assert_false(record_has_type(&sample, "render"));
    assert_false(record_has_type(&(struct record){0}, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_back_as_it_was),
        cmocka_unit_test(the_largest_record_reads_back),
        cmocka_unit_test(a_buffer_that_is_too_small_is_told),
        cmocka_unit_test(limits_are_told_where_there_is_room),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(fields_of_later_versions_are_passed_over),
        cmocka_unit_test(names_and_counts_that_are_none_are_refused),
        cmocka_unit_test(garbage_is_refused_or_is_what_it_encodes_to),
        cmocka_unit_test(types_are_found_by_their_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
