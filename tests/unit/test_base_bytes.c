/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/bytes.h"
#include "base/macro.h"

static void what_is_written_reads_back(void **state _unused_)
{
    uint8_t data[64];
    char text[8];
    struct writer writer = writer_into(data, sizeof(data));

    writer_u8(&writer, 0x12);
    writer_u16(&writer, 0x3456);
    writer_u32(&writer, 0x789abcde);
    writer_u64(&writer, UINT64_C(0x0102030405060708));
    writer_string8(&writer, "lab-01");
    writer_string16(&writer, "");
    writer_bytes(&writer, "xyz", 3);
    assert_true(writer_ok(&writer));

    struct reader reader = reader_from(data, writer.position);
    assert_int_equal(reader_u8(&reader), 0x12);
    assert_int_equal(reader_u16(&reader), 0x3456);
    assert_int_equal(reader_u32(&reader), 0x789abcde);
    assert_int_equal(reader_u64(&reader), UINT64_C(0x0102030405060708));
    reader_string8(&reader, text, sizeof(text));
    assert_string_equal(text, "lab-01");
    reader_string16(&reader, text, sizeof(text));
    assert_string_equal(text, "");
    assert_false(reader_done(&reader));
    assert_memory_equal(reader_bytes(&reader, 3), "xyz", 3);
    assert_true(reader_done(&reader));
}

static void integers_are_big_endian(void **state _unused_)
{
    uint8_t data[8];
    struct writer writer = writer_into(data, sizeof(data));

    writer_u32(&writer, 0x01020304);
    assert_memory_equal(data, ((uint8_t[]){1, 2, 3, 4}), 4);
}

static void a_short_buffer_fails_for_good(void **state _unused_)
{
    uint8_t data[3] = {1, 2, 3};
    struct reader reader = reader_from(data, sizeof(data));

    assert_int_equal(reader_u32(&reader), 0);
    assert_false(reader_ok(&reader));
    assert_int_equal(reader_u8(&reader), 0);
    assert_null(reader_bytes(&reader, 0));
    assert_int_equal(reader_left(&reader), 0);
    assert_false(reader_done(&reader));
}

static void a_copy_after_an_error_is_zeros(void **state _unused_)
{
    uint8_t data[2] = {1, 2}, target[4] = {9, 9, 9, 9};
    struct reader reader = reader_from(data, sizeof(data));

    reader_copy(&reader, target, sizeof(target));
    assert_memory_equal(target, ((uint8_t[4]){0}), 4);
    assert_false(reader_ok(&reader));
}

static void an_empty_read_is_not_null(void **state _unused_)
{
    uint8_t data[1] = {0};
    struct reader reader = reader_from(data, 1);

    assert_non_null(reader_bytes(&reader, 0));
    assert_int_equal(reader_left(&reader), 1);
}

static void a_string_must_fit_and_have_no_zero(void **state _unused_)
{
    const uint8_t four[] = {4, 'a', 'b', 'c', 'd'}, zero[] = {2, 'a', 0}, cut[] = {3, 'a'};
    char text[5], small[4];
    struct reader reader = reader_from(four, sizeof(four));

    reader_string8(&reader, text, sizeof(text));
    assert_string_equal(text, "abcd");
    reader = reader_from(four, sizeof(four));
    reader_string8(&reader, small, sizeof(small));
    assert_false(reader_ok(&reader));
    assert_string_equal(small, "");
    reader = reader_from(zero, sizeof(zero));
    reader_string8(&reader, text, sizeof(text));
    assert_false(reader_ok(&reader));
    reader = reader_from(cut, sizeof(cut));
    reader_string8(&reader, text, sizeof(text));
    assert_false(reader_ok(&reader));
}

static void a_part_is_read_apart(void **state _unused_)
{
    const uint8_t data[] = {1, 2, 3, 4};
    struct reader reader = reader_from(data, sizeof(data));
    struct reader part = reader_sub(&reader, 2);

    assert_int_equal(reader_u16(&part), 0x0102);
    assert_true(reader_done(&part));
    assert_int_equal(reader_u8(&part), 0);
    assert_false(reader_ok(&part));
    assert_int_equal(reader_u16(&reader), 0x0304);
    part = reader_sub(&reader, 1);
    assert_false(reader_ok(&part));
    assert_false(reader_ok(&reader));
}

static void a_full_writer_writes_nothing_more(void **state _unused_)
{
    uint8_t data[4] = {0, 0, 0, 9};
    struct writer writer = writer_into(data, 3);

    writer_u16(&writer, 0x0102);
    assert_int_equal(writer_left(&writer), 1);
    writer_u16(&writer, 0x0304);
    assert_false(writer_ok(&writer));
    writer_u8(&writer, 5);
    assert_memory_equal(data, ((uint8_t[]){1, 2, 0, 9}), 4);
    assert_int_equal(writer_left(&writer), 0);
}

static void a_string_too_long_for_its_length_fails(void **state _unused_)
{
    char text[258];
    uint8_t data[1024];

    memset(text, 'x', sizeof(text));
    text[255] = '\0';
    struct writer writer = writer_into(data, sizeof(data));
    writer_string8(&writer, text);
    assert_true(writer_ok(&writer));
    text[255] = 'x';
    text[256] = '\0';
    writer = writer_into(data, sizeof(data));
    writer_string8(&writer, text);
    assert_false(writer_ok(&writer));
    writer = writer_into(data, sizeof(data));
    writer_string16(&writer, text);
    assert_true(writer_ok(&writer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(a_short_buffer_fails_for_good),
        cmocka_unit_test(a_copy_after_an_error_is_zeros),
        cmocka_unit_test(an_empty_read_is_not_null),
        cmocka_unit_test(a_string_must_fit_and_have_no_zero),
        cmocka_unit_test(a_part_is_read_apart),
        cmocka_unit_test(a_full_writer_writes_nothing_more),
        cmocka_unit_test(a_string_too_long_for_its_length_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
