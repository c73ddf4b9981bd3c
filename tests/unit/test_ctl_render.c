/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "data/place.h"
#include "console/output.h"
#include "console/render.h"

static void sizes_have_one_decimal_and_binary_units(void **state)
{
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_size(0, text), "0 B");
    assert_string_equal(render_size(1023, text), "1023 B");
    assert_string_equal(render_size(1024, text), "1.0 KiB");
    assert_string_equal(render_size(22544384, text), "21.5 MiB");
    assert_string_equal(render_size(21474836480.0, text), "20.0 GiB");
    /* Never "1024.0 KiB". */
    assert_string_equal(render_size(1024.0 * 1024 - 1, text), "1.0 MiB");
}

static void what_steers_a_terminal_is_shown_not_done(void **state)
{
    static const char *const texts[][2] = {
        {"a\033[31m", "a\\x1b[31m"},
        {"\xc2\x9b", "\\xc2\\x9b"},
        {"\xe2\x80\xae"
         "txt",
         "\\xe2\\x80\\xaetxt"},
        {"\xe2\x81\xa6"
         "b",
         "\\xe2\\x81\\xa6"
         "b"},
        {"\xe2\x80\x99", "\xe2\x80\x99"},
        {"\xd7\x90", "\xd7\x90"},
        {"\xe2\x80\x8b", "\\xe2\\x80\\x8b"},
        {"\xe2\x80\x8f", "\\xe2\\x80\\x8f"},
        {"\xe2\x80\x8d", "\xe2\x80\x8d"},
        {"\xe2\x81\xa0", "\\xe2\\x81\\xa0"},
        {"\xef\xbb\xbf", "\\xef\\xbb\\xbf"},
        {"\xd8\x9c", "\\xd8\\x9c"},
        {"\xd8\xa7", "\xd8\xa7"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char *shown = NULL;
        size_t size;
        FILE *stream = open_memstream(&shown, &size);
        assert_non_null(stream);
        render_text(stream, texts[i][0], strlen(texts[i][0]));
        assert_int_equal(fclose(stream), 0);
        assert_string_equal(shown, texts[i][1]);
        free(shown);
    }
}

static void spans_round_down_between_units(void **state)
{
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_span(0, text), "0.0s");
    assert_string_equal(render_span(0.94, text), "0.9s");
    assert_string_equal(render_span(4.2, text), "4s");
    assert_string_equal(render_span(59.9, text), "59s");
    assert_string_equal(render_span(60, text), "1min");
    assert_string_equal(render_span(3599, text), "59min");
    assert_string_equal(render_span(7200, text), "2h");
    assert_string_equal(render_span(5 * 86400.0, text), "5d");
    assert_string_equal(render_age(4.1, text), "4.1s");
    assert_string_equal(render_age(0.01, text), "now");
}

static void elapsed_times_have_two_units(void **state)
{
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_elapsed(1.84, text), "1.84s");
    assert_string_equal(render_elapsed(33.102, text), "33.1s");
    assert_string_equal(render_elapsed(59.96, text), "0min 59s");
    assert_string_equal(render_elapsed(492, text), "8min 12s");
    assert_string_equal(render_elapsed(4320, text), "1h 12min");
    assert_string_equal(render_elapsed(273600, text), "3d 4h");
}

static void times_are_read_as_utc(void **state)
{
    struct ctl ctl = {.globals = {.time = TIME_UNIX, .utc = true}};
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_int_equal(render_parse_time("1970-01-01T00:00:01.500Z"), 1500000);
    assert_int_equal(render_parse_time("2026-11-21T07:58:11Z"), UINT64_C(1795247891000000));
    assert_int_equal(render_parse_time("2026-11-21T07:58:11"), 0);
    assert_int_equal(render_parse_time("yesterday"), 0);
    assert_int_equal(render_parse_time(NULL), 0);
    assert_string_equal(render_time(&ctl, "2026-11-21T07:58:11.402Z", text), "1795247891.402");
    assert_string_equal(render_time(&ctl, NULL, text), "-");
    ctl.globals.time = TIME_RELATIVE;
    assert_string_equal(render_clock(&ctl, "2025-11-21T07:58:11.402Z", text),
                        "2025-11-21 07:58:11.402");
}

static void text_from_others_is_harmless(void **state)
{
    static const char *const pairs[][2] = {
        {"plain", "plain"},         {"\033[2J", "\\x1b[2J"},
        {"a\nb", "a\\x0ab"},        {"\xc3\xa4\xe2\x86\x92", "\xc3\xa4\xe2\x86\x92"},
        {"\xc2\x9b", "\\xc2\\x9b"}, /* CSI in one code point */
        {"\xff", "\\xff"},          {"\xe2\x86", "\\xe2\\x86"},
        {"\x7f", "\\x7f"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        render_text(stream, pairs[i][0], strlen(pairs[i][0]));
        fclose(stream);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void codes_are_handed_on_as_a_shell_would(void **state)
{
    static const struct {
        const char *json;
        int code;
    } cases[] = {
        {"{\"state\":\"succeeded\",\"exit\":0}", 0},
        {"{\"state\":\"failed\",\"exit\":3,\"signal\":null}", 3},
        {"{\"state\":\"failed\",\"exit\":null,\"signal\":9}", 137},
        {"{\"state\":\"timed-out\",\"signal\":15}", 124},
        {"{\"state\":\"cancelled\"}", 143},
        {"{\"state\":\"cancelled\",\"signal\":9}", 137},
        {"{\"state\":\"unknown\"}", 125},
        {"{\"state\":\"lost\",\"exit\":null}", 125},
        {"{}", 125},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_json_ cJSON *json = NULL;
        assert_int_equal(json_parse(cases[i].json, strlen(cases[i].json), &json), 0);
        assert_int_equal(output_exit_code(json), cases[i].code);
    }
}

static void a_place_is_a_node_and_a_rest(void **state)
{
    static const struct {
        const char *word, *node, *rest;
        bool named;
    } cases[] = {
        {"key", "", "key", false},
        {"lab-01:key", "lab-01", "key", true},
        {"lab-01:", "lab-01", "", true},
        {":a:b", "", "a:b", true},
        {"a b:c", "", "a b:c", false},
        {"./a:b", "", "./a:b", false},
        {"lab:a:b", "lab", "a:b", true},
        {"-x:y", "", "-x:y", false},
        {"", "", "", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct place place;
        place_parse(cases[i].word, &place);
        assert_string_equal(place.node, cases[i].node);
        assert_string_equal(place.rest, cases[i].rest);
        assert_int_equal(place_is_named(cases[i].word), cases[i].named);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_one_decimal_and_binary_units),
        cmocka_unit_test(what_steers_a_terminal_is_shown_not_done),
        cmocka_unit_test(spans_round_down_between_units),
        cmocka_unit_test(elapsed_times_have_two_units),
        cmocka_unit_test(times_are_read_as_utc),
        cmocka_unit_test(text_from_others_is_harmless),
        cmocka_unit_test(codes_are_handed_on_as_a_shell_would),
        cmocka_unit_test(a_place_is_a_node_and_a_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
