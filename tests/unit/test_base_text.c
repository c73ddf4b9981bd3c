/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"
#include "base/text.h"

static void assert_usec(const char *text, usec_t expected)
{
    usec_t usec;
    int r = text_parse_usec(text, &usec);

    if (r < 0 || usec != expected)
        fail_msg("%s: %d, %llu", text, r, (unsigned long long)usec);
}

static void durations_have_units(void **state _unused_)
{
    assert_usec("0", 0);
    assert_usec("250us", 250);
    assert_usec("200ms", 200 * USEC_PER_MSEC);
    assert_usec("1.5s", 1500 * USEC_PER_MSEC);
    assert_usec("1.5 s", 1500 * USEC_PER_MSEC);
    assert_usec("10min", 10 * USEC_PER_MIN);
    assert_usec("2h", 2 * USEC_PER_HOUR);
    assert_usec("7d", 7 * USEC_PER_DAY);
    assert_usec("90", 90 * USEC_PER_SEC);
    assert_usec("0.000001s", 1);
    assert_usec("0.0000019s", 1);
}

static void bad_durations_are_refused(void **state _unused_)
{
    static const char *const texts[] = {"",    "s",   "1.s",  ".5s",  "1 m",   "-1s",
                                        "1s ", " 1s", "1e3s", "1,5s", "0x10s", "1ss"};
    usec_t usec = 7;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (text_parse_usec(texts[i], &usec) != -EINVAL)
            fail_msg("\"%s\" was taken", texts[i]);
    assert_int_equal(text_parse_usec("99999999999999999999s", &usec), -ERANGE);
    assert_int_equal(text_parse_usec("999999999999d", &usec), -ERANGE);
    assert_int_equal(text_parse_usec("18446744073709551615us", &usec), -ERANGE);
    assert_int_equal(usec, 7);
}

static void sizes_have_units_of_two_kinds(void **state _unused_)
{
    uint64_t size;

    assert_int_equal(text_parse_size("64KiB", &size), 0);
    assert_int_equal(size, 65536);
    assert_int_equal(text_parse_size("20GB", &size), 0);
    assert_int_equal(size, UINT64_C(20000000000));
    assert_int_equal(text_parse_size("1.5MiB", &size), 0);
    assert_int_equal(size, 1572864);
    assert_int_equal(text_parse_size("512", &size), 0);
    assert_int_equal(size, 512);
    assert_int_equal(text_parse_size("10B", &size), 0);
    assert_int_equal(size, 10);
    assert_int_equal(text_parse_size("18446744073709551615", &size), 0);
    assert_int_equal(text_parse_size("18446744073709551616", &size), -ERANGE);
    assert_int_equal(text_parse_size("64K", &size), 0);
    assert_int_equal(size, 65536);
    assert_int_equal(text_parse_size("64M", &size), 0);
    assert_int_equal(size, 64 << 20);
    assert_int_equal(text_parse_size("1.5G", &size), 0);
    assert_int_equal(size, UINT64_C(3) << 29);
    assert_int_equal(text_parse_size("2T", &size), 0);
    assert_int_equal(size, UINT64_C(2) << 40);
    assert_int_equal(text_parse_size("1kib", &size), -EINVAL);
    assert_int_equal(text_parse_size("1g", &size), -EINVAL);
    assert_int_equal(text_parse_size("1Gi", &size), -EINVAL);
}

static void thousandths_are_read_exactly(void **state _unused_)
{
    static const struct {
        const char *text;
        uint32_t milli;
    } good[] = {{"0", 0},
                {"2", 2000},
                {"0.5", 500},
                {"1.25", 1250},
                {"0.001", 1},
                {"007.9", 7900},
                {"4294967.295", 4294967295}};
    static const char *const bad[] = {"",     ".",   ".5",    "1.",      "1.2345",      "-1",
                                      "+1",   "1 ",  " 1",    "1e3",     "4294967.296", "12345678",
                                      "1.5x", "0x1", "1.2.3", "infinity"};
    uint32_t milli = 42;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(text_parse_milli(bad[i], &milli), -EINVAL);
    assert_int_equal(milli, 42);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(text_parse_milli(good[i].text, &milli), 0);
        assert_int_equal(milli, good[i].milli);
    }
}

static void what_is_formatted_reads_back(void **state _unused_)
{
    static const usec_t times[] = {0,          1,           999,          1000,     1001,
                                   200000,     1500000,     1000000,      60000000, 90000000,
                                   3600000000, 86400000000, 604800000000, 1234567};
    static const uint64_t sizes[] = {
        0, 1, 1000, 1024, 65536, 1000000, UINT64_C(20) << 30, UINT64_C(1) << 40, 1025};
    char text[32];

    for (size_t i = 0; i < ARRAY_SIZE(times); i++)
        assert_usec(text_format_usec(times[i], text), times[i]);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t size;
        assert_int_equal(text_parse_size(text_format_size(sizes[i], text), &size), 0);
        assert_int_equal(size, sizes[i]);
    }
    assert_string_equal(text_format_usec(1500000, text), "1.5s");
    assert_string_equal(text_format_usec(500000, text), "500ms");
    assert_string_equal(text_format_size(65536, text), "64KiB");
}

static void bytes_have_two_digits_each(void **state _unused_)
{
    char text[9] = "before";

    assert_string_equal(text_format_hex("\x00\x9f\xa0\xff", 4, text), "009fa0ff");
    assert_string_equal(text_format_hex("", 0, text), "");
}

static void node_names_are_tame(void **state _unused_)
{
    char name[66];

    memset(name, 'a', sizeof(name));
    name[63] = '\0';
    assert_true(text_is_node_name(name));
    name[63] = 'a';
    name[64] = '\0';
    assert_false(text_is_node_name(name));
    assert_true(text_is_node_name("lab-01.room_2"));
    assert_false(text_is_node_name(""));
    assert_false(text_is_node_name("-x"));
    assert_false(text_is_node_name(".x"));
    assert_false(text_is_node_name("a b"));
    assert_false(text_is_node_name("a\n"));
    assert_false(text_is_node_name("a/b"));
    assert_false(text_is_node_name("caf\xc3\xa9"));
}

static void type_names_are_letters(void **state _unused_)
{
    assert_true(text_is_type_name("a"));
    assert_true(text_is_type_name("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"));
    assert_false(text_is_type_name("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"));
    assert_false(text_is_type_name("a1"));
    assert_false(text_is_type_name(""));
}

static void utf8_is_checked_strictly(void **state _unused_)
{
    static const char *const good[] = {
        "", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",         "\xc3",         "\xc0\xaf",
                                      "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xff",         "\xe2\x82",     "a\xf0\x9f\x98"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    /* ASCII is passed over in steps: wherever the rest begins and ends, it is looked at. */
    for (int before = 0; before < 20; before++)
        for (int after = 0; after < 20; after++) {
            char text[64];
            for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                snprintf(text, sizeof(text), "%.*s%s%.*s", before, "abcdefghijklmnopqrst", good[i],
                         after, "abcdefghijklmnopqrst");
                assert_true(text_is_utf8(text, strlen(text)) && text_is_printable(text));
            }
            for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                snprintf(text, sizeof(text), "%.*s%s%.*s", before, "abcdefghijklmnopqrst", bad[i],
                         after, "abcdefghijklmnopqrst");
                assert_false(text_is_utf8(text, strlen(text)) || text_is_printable(text));
                assert_int_equal(
                    strncmp(text_mask_controls(text), "abcdefghijklmnopqrst", (size_t)before), 0);
                assert_int_equal(text[before + (*bad[i] == 'a')], '?');
            }
        }
}

static void a_character_that_was_cut_in_two_is_dropped(void **state _unused_)
{
    static const struct {
        const char *text, *mended;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"5\xe2\x82\xac", "5\xe2\x82\xac"},
        {"5\xe2\x82", "5"},
        {"5\xe2", "5"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"x\xf0\x9f\x98", "x"},
        {"\xf0", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[16];
        strcpy(text, cases[i].text);
        assert_string_equal(text_mend_end(text), cases[i].mended);
    }
    char odd[] = "\x80\x80\x80\x80\x80\x80";
    assert_in_range(strlen(text_mend_end(odd)), 0, 6);
}

static void names_have_nothing_invisible(void **state _unused_)
{
    static const char *const bad[] = {"",
                                      "a\tb",
                                      "a\xff",
                                      "invoice\xe2\x80\xaegpj.exe", /* U+202E */
                                      "a\xe2\x80\x8b",              /* U+200B */
                                      "\357\273\277a",              /* U+FEFF */
                                      "a\xe2\x81\xa6",              /* U+2066 */
                                      "a\xe2\x80\x8f",              /* U+200F */
                                      "a\xe2\x80\xa8",              /* U+2028 */
                                      "a\xef\xbf\xbe",              /* U+FFFE */
                                      "a\xf0\x9f\xbf\xbf",          /* U+1FFFF */
                                      "a\xef\xb7\x90"};             /* U+FDD0 */

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (text_is_name(bad[i]) || text_is_file_name(bad[i]))
            fail_msg("\"%s\" is a name", bad[i]);
    }
    /* Persian and families need their joiners. */
    assert_true(text_is_name("\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae"));
    assert_true(text_is_name("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7"));
    assert_true(text_is_name("\xef\xbf\xbd \xef\xb7\x8f") && text_is_name("a/b"));
}

static void some_of_a_new_name_can_be_seen(void **state _unused_)
{
    static const char *const bad[] = {"",
                                      "   ",
                                      "\xc2\xa0",         /* U+00A0 */
                                      "\xcc\x81",         /* U+0301 */
                                      "\xe3\x80\x80",     /* U+3000 */
                                      "\xe2\x80\x8d ",    /* U+200D */
                                      "\xe3\x85\xa4",     /* U+3164 */
                                      "\xee\x80\x80",     /* U+E000 */
                                      "\xf3\xb0\x80\x80", /* U+F0000 */
                                      " \xff"};
    static const char *const good[] = {
        "a",           " a ", "_", "e\xcc\x81", "\xf0\x9f\xa7\xaa", "\xe0\xb8\x81", "a\xee\x80\x80",
        "\xe6\xb8\xac"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (text_is_visible(bad[i]))
            fail_msg("bad name %zu can be seen", i);
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (!text_is_visible(good[i]))
            fail_msg("good name %zu cannot be seen", i);
}

static void file_names_cannot_escape(void **state _unused_)
{
    char name[257];

    memset(name, 'x', sizeof(name));
    name[255] = '\0';
    assert_true(text_is_file_name(name));
    name[255] = 'x';
    name[256] = '\0';
    assert_false(text_is_file_name(name));
    assert_true(text_is_file_name("r\xc3\xa9sum\xc3\xa9 (1).h5"));
    assert_true(text_is_file_name("...") && text_is_file_name(".hidden"));
    static const char *const bad[] = {"",     ".",    "..",       "a/b",          "/",   "-rf",
                                      "a\nb", "\x7f", "\xc2\x85", "\xe2\x80\xa8", "\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (text_is_file_name(bad[i]))
            fail_msg("bad name %zu was taken", i);
}

static void distance_counts_edits_and_swaps(void **state _unused_)
{
    assert_int_equal(text_distance("port", "port"), 0);
    assert_int_equal(text_distance("prot", "port"), 1);
    assert_int_equal(text_distance("port", "ports"), 1);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("abcdefghijklmnopqrst", "ABCDEFGHIJKLMNOPQRST"), 16);
}

static void the_closest_word_is_near_or_nothing(void **state _unused_)
{
    const char *const words[] = {"members", "message", "metrics", "mem", NULL};

    assert_string_equal(text_closest("member", words), "members");
    assert_string_equal(text_closest("mesage", words), "message");
    assert_string_equal(text_closest("metr", words), "metrics");
    assert_null(text_closest("xyzzy", words));
    assert_null(text_closest("", words));
    assert_null(text_closest("a", (const char *const[]){NULL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(bad_durations_are_refused),
        cmocka_unit_test(sizes_have_units_of_two_kinds),
        cmocka_unit_test(thousandths_are_read_exactly),
        cmocka_unit_test(what_is_formatted_reads_back),
        cmocka_unit_test(bytes_have_two_digits_each),
        cmocka_unit_test(node_names_are_tame),
        cmocka_unit_test(type_names_are_letters),
        cmocka_unit_test(utf8_is_checked_strictly),
        cmocka_unit_test(a_character_that_was_cut_in_two_is_dropped),
        cmocka_unit_test(names_have_nothing_invisible),
        cmocka_unit_test(some_of_a_new_name_can_be_seen),
        cmocka_unit_test(file_names_cannot_escape),
        cmocka_unit_test(distance_counts_edits_and_swaps),
        cmocka_unit_test(the_closest_word_is_near_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
