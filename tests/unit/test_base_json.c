/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/base64.h"
#include "base/json.h"
#include "base/usec.h"

static int parse(const char *text, cJSON **ret)
{
    return json_parse(text, strlen(text), ret);
}

static void one_object_is_read(void **state _unused_)
{
    _cleanup_json_ cJSON *json = NULL;
    const char *text = NULL;

    assert_int_equal(parse(" {\"a\":\"x\"} \n", &json), 0);
    assert_int_equal(json_get_string(json, "a", &text), 1);
    assert_string_equal(text, "x");
}

static void anything_but_one_object_is_refused(void **state _unused_)
{
    static const char *const texts[] = {"",         "[]",           "1",
                                        "{",        "{}{}",         "{} x",
                                        "{\"a\":}", "{\"a\":\xff}", "{\"a\":\"\xff\"}",
                                        "null",     "{\"a\" 1}",    "{\"a\":\"\\u0000\"}"};
    cJSON *json = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (parse(texts[i], &json) != -EBADMSG)
            fail_msg("%s was taken", texts[i]);
    assert_int_equal(json_parse("{\"a\":\"b\0c\"}", 11, &json), -EBADMSG);
    /* Nor behind a backslash. */
    char text[4096];
    memset(text, 'x', sizeof(text));
    memcpy(text, "{\"a\":\"\\\0", 8);
    assert_int_equal(json_parse(text, sizeof(text), &json), -EBADMSG);
    assert_null(json);
}

/* Each in a block of its own, which ends where the text ends: for a sanitizer. */
static void text_ends_with_its_last_byte(void **state _unused_)
{
    static const char text[] = "{\"a\":[1.5e3,true,null,\"\\u00e4\\\"\"],\"b\":{\"c\":-1}}";
    size_t size = strlen(text);

    for (size_t i = 1; i <= size; i++) {
        _cleanup_free_ char *part = malloc(i);
        _cleanup_json_ cJSON *json = NULL;
        memcpy(part, text, i);
        assert_int_equal(json_parse(part, i, &json), i == size ? 0 : -EBADMSG);
    }
}

/* Nobody may read what is behind the text: a page that is not there. */
static void text_that_ends_amid_an_object_is_read_no_further(void **state _unused_)
{
    static const char *const texts[] = {"{\"1\":1,", "{\"a\":[{\"1\":1,", "{\"a\":{\"1\":1}",
                                        "{\"a\":\"}", "{\"a\":\"\\"};
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cJSON *json = NULL;

    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(munmap(pages + size, size), 0);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        size_t length = strlen(texts[i]);
        char *text = memcpy(pages + size - length, texts[i], length);
        assert_int_equal(json_parse(text, length, &json), -EBADMSG);
    }
    assert_int_equal(munmap(pages, size), 0);
}

static void what_was_read_is_written(void **state _unused_)
{
    static const char *const texts[] = {
        "{}",
        "{\"a\":[],\"b\":{}}",
        "{\"a\":[1,[2,[3,{\"b\":null}]],true,false,\"\"]}",
        "{\"\\\"\":\"\\\\ \\b\\f\\n\\r\\t\\u000b\\u001f / \xc3\xa4 \xe2\x82\xac\"}",
        "{\"a\":[0,-1,2147483648,0.5,-2.25,1e+300]}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        _cleanup_json_ cJSON *json = NULL;
        assert_int_equal(parse(texts[i], &json), 0);
        _cleanup_free_ char *text = json_format(json);
        assert_string_equal(text, texts[i]);
    }
    assert_null(json_format(NULL));
}

static void depth_and_size_are_limited(void **state _unused_)
{
    char text[4 * JSON_DEPTH_MAX] = "";
    _cleanup_json_ cJSON *json = NULL;

    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
        strcat(text, i == 0 ? "{\"a\":[" : "[");
    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
        strcat(text, "]");
    strcat(text, "}");
    assert_int_equal(parse(text, &json), 0);
    memset(text, '[', sizeof(text));
    memcpy(text, "{\"a\":", 5);
    cJSON *deep = NULL;
    assert_int_equal(json_parse(text, sizeof(text), &deep), -ELOOP);
    _cleanup_free_ char *large = malloc(JSON_SIZE_MAX + 1);
    memset(large, ' ', JSON_SIZE_MAX + 1);
    memcpy(large, "{}", 2);
    cJSON_Delete(json);
    json = NULL;
    assert_int_equal(json_parse(large, JSON_SIZE_MAX, &json), 0);
    assert_int_equal(json_parse(large, JSON_SIZE_MAX + 1, &deep), -EMSGSIZE);
}

/* As RFC 8259 has it, and Python. */
static const char *const good_values[] = {"0",
                                          "-0",
                                          "10",
                                          "-1.50e+07",
                                          "1E400",
                                          "0.0",
                                          " null\n",
                                          "true",
                                          "false",
                                          "\"\"",
                                          "[]",
                                          "{ }",
                                          "[ 1 ,\t[ ] , {\"a\" : {\"a\":[]} , \"\":null} ]\r\n",
                                          "\"\\u0000\"",
                                          "\"\\ud800\"",
                                          "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\uAf09 \xc3\xa4\x7f\""};

static const char *const bad_values[] = {"",           " ",           "01",
                                         "-",          "-01",         "+1",
                                         ".5",         "1.",          "1e",
                                         "1e+",        "0x1",         "1 2",
                                         "1,\"b\":2",  "NaN",         "Infinity",
                                         "-Infinity",  "tru",         "truee",
                                         "True",       "'a'",         "\"",
                                         "\"\\\"",     "\"\\",        "\"\\x\"",
                                         "\"\\u12\"",  "\"\\u12g4\"", "\"\t\"",
                                         "\"\xff\"",   "[",           "]",
                                         "[1",         "[1,]",        "[,1]",
                                         "[1 2]",      "[}",          "{]",
                                         "{",          "{\"a\"}",     "{\"a\":}",
                                         "{\"a\":1,}", "{a:1}",       "{1:1}",
                                         "{\"a\":1]",  "[1]]",        "\357\273\2771",
                                         "\v1",        "//\n1"};

static void a_value_is_judged_by_the_letter(void **state _unused_)
{
    char deep[2 * JSON_VALUE_DEPTH_MAX + 3] = "";

    for (size_t i = 0; i < ARRAY_SIZE(good_values); i++)
        if (!json_is_value(good_values[i]))
            fail_msg("%s was refused", good_values[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad_values); i++)
        if (json_is_value(bad_values[i]))
            fail_msg("%s was taken", bad_values[i]);
    for (size_t depth = JSON_VALUE_DEPTH_MAX; depth <= JSON_VALUE_DEPTH_MAX + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        assert_int_equal(json_is_value(deep), depth == JSON_VALUE_DEPTH_MAX);
    }
}

static void getters_tell_absent_from_wrong(void **state _unused_)
{
    _cleanup_json_ cJSON *json = NULL;
    const char *text = "before";
    const cJSON *part = NULL;
    bool flag = true;
    uint64_t number = 7;
    int64_t integer = 7;

    assert_int_equal(parse("{\"s\":\"x\",\"n\":null,\"i\":5,\"f\":1.5,\"neg\":-3,\"b\":false,"
                           "\"a\":[1],\"o\":{},\"big\":1e300}",
                           &json),
                     0);
    assert_int_equal(json_get_string(json, "absent", &text), 0);
    assert_int_equal(json_get_string(json, "n", &text), 0);
    assert_int_equal(json_get_string(json, "i", &text), -EINVAL);
    assert_string_equal(text, "before");
    assert_int_equal(json_get_u64(json, "i", 5, &number), 1);
    assert_int_equal(number, 5);
    assert_int_equal(json_get_u64(json, "i", 4, &number), -EINVAL);
    assert_int_equal(json_get_u64(json, "f", 5, &number), -EINVAL);
    assert_int_equal(json_get_u64(json, "neg", 5, &number), -EINVAL);
    assert_int_equal(json_get_u64(json, "big", UINT64_MAX, &number), -EINVAL);
    assert_int_equal(json_get_i64(json, "neg", -3, 3, &integer), 1);
    assert_int_equal(integer, -3);
    assert_int_equal(json_get_i64(json, "neg", -2, 3, &integer), -EINVAL);
    assert_int_equal(json_get_bool(json, "b", &flag), 1);
    assert_false(flag);
    assert_int_equal(json_get_bool(json, "i", &flag), -EINVAL);
    assert_int_equal(json_get_array(json, "a", &part), 1);
    assert_int_equal(json_get_array(json, "o", &part), -EINVAL);
    assert_int_equal(json_get_object(json, "o", &part), 1);
    assert_int_equal(json_get_object(json, "a", &part), -EINVAL);
}

/* JSON may hold DEL and C1 bare; a terminal must not see them. */
static void no_control_character_is_printed_bare(void **state _unused_)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject(), *again = NULL;
    static const char raw[] = "\x1b[0m\x7f\xc2\x80\xc2\x9b"
                              "31m \xc2\xa0\xc3\x9b";
    const char *read = NULL;

    json_add_string(json, raw, raw);
    _cleanup_free_ char *text = json_format(json);
    assert_string_equal(text, "{\"\\u001b[0m\\u007f\\u0080\\u009b31m \xc2\xa0\xc3\x9b\":"
                              "\"\\u001b[0m\\u007f\\u0080\\u009b31m \xc2\xa0\xc3\x9b\"}");
    assert_int_equal(json_parse(text, strlen(text), &again), 0);
    assert_int_equal(json_get_string(again, raw, &read), 1);
    assert_string_equal(read, raw);
}

static void numbers_and_times_print_exactly(void **state _unused_)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    json_add_u64(json, "big", UINT64_C(9007199254740992));
    json_add_u64(json, "e15", UINT64_C(1795244870000000));
    json_add_i64(json, "neg", -5);
    json_add_double(json, "d", 0.41);
    json_add_double(json, "nan", NAN);
    json_add_time(json, "t", UINT64_C(1795247891402000));
    json_add_time(json, "end", UINT64_C(253402300799999999));
    json_add_time(json, "past", UINT64_C(253402300800000000));
    json_add_time(json, "never", 0);
    json_add_string(json, "s", NULL);
    json_add_bool(json, "b", true);
    _cleanup_free_ char *text = json_format(json);
    assert_string_equal(text,
                        "{\"big\":9007199254740992,\"e15\":1795244870000000,\"neg\":-5,\"d\":0.41,"
                        "\"nan\":null,\"t\":\"2026-11-21T07:58:11.402Z\","
                        "\"end\":\"9999-12-31T23:59:59.999Z\",\"past\":null,\"never\":null,"
                        "\"s\":null,\"b\":true}");
}

static void times_are_read_as_they_are_written(void **state _unused_)
{
    static const char *const wrong[] = {
        "",
        "yesterday",
        "2026-11-21",
        "2026-11-21T07:58:11",
        "2026-11-21T07:58:11z",
        "2026-11-21T07:58:11.5",
        "2026-11-21T07:58:11Z ",
        "2026-11-21 07:58:11Z",
        "2026-11-21T07:58:1",
        "1969-12-31T23:59:59Z",
        "2026-00-21T07:58:11Z",
        "2026-13-21T07:58:11Z",
        "2026-11-00T07:58:11Z",
        "2026-11-32T07:58:11Z",
        "2026-11-21T24:58:11Z",
        "2026-11-21T07:60:11Z",
    };
    uint64_t usec;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(json_parse_time(wrong[i], &usec), -EINVAL);
    assert_int_equal(json_parse_time("1970-01-01T00:00:00Z", &usec), 0);
    assert_int_equal(usec, 1);
    assert_int_equal(json_parse_time("2026-11-21T07:58:11.4020019Z", &usec), 0);
    assert_int_equal(usec, UINT64_C(1795247891402001));
    /* Days up to the year 9999, each at another time. */
    for (uint64_t day = 0; day < 2932896; day += day < 50000 ? 1 : 29) {
        uint64_t wall =
            (day * 86400 + day % 86400) * USEC_PER_SEC + day % 1000 * USEC_PER_MSEC + 1000;
        _cleanup_json_ cJSON *json = cJSON_CreateObject();
        json_add_time(json, "t", wall);
        const char *text = NULL;
        assert_int_equal(json_get_string(json, "t", &text), 1);
        assert_int_equal(json_parse_time(text, &usec), 0);
        assert_int_equal(usec, wall / USEC_PER_MSEC * USEC_PER_MSEC);
    }
}

static void bytes_that_are_no_text_travel_as_base64(void **state _unused_)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    uint8_t *bytes = NULL;
    size_t size = 0;

    json_add_text_or_base64(json, "plain", "hello", 5);
    json_add_text_or_base64(json, "raw", "\xff\x00", 2);
    _cleanup_free_ char *text = json_format(json);
    assert_string_equal(text, "{\"plain\":\"hello\",\"raw_b64\":\"/wA=\"}");
    assert_int_equal(json_get_bytes(json, "plain", &bytes, &size), 1);
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "hello", 6);
    free(bytes);
    assert_int_equal(json_get_bytes(json, "raw", &bytes, &size), 1);
    assert_int_equal(size, 2);
    free(bytes);
    assert_int_equal(json_get_bytes(json, "absent", &bytes, &size), 0);
}

static void unknown_members_are_named(void **state _unused_)
{
    _cleanup_json_ cJSON *json = NULL;
    const char *const known[] = {"a", "b", NULL};

    assert_int_equal(parse("{\"a\":1,\"b\":2}", &json), 0);
    assert_null(json_unknown_key(json, known));
    cJSON_AddNullToObject(json, "c");
    assert_string_equal(json_unknown_key(json, known), "c");
}

static void base64_reads_what_it_writes(void **state _unused_)
{
    uint8_t data[] = {0, 1, 2, 250, 251, 252, 253};

    for (size_t size = 0; size <= sizeof(data); size++) {
        _cleanup_free_ char *text = base64_encode(data, size);
        _cleanup_free_ uint8_t *back = NULL;
        size_t back_size;
        assert_int_equal(strlen(text), (size + 2) / 3 * 4);
        assert_int_equal(base64_decode(text, &back, &back_size), 0);
        assert_int_equal(back_size, size);
        assert_memory_equal(back, data, size);
        assert_int_equal(back[size], 0);
    }
}

static void base64_is_strict(void **state _unused_)
{
    static const char *const texts[] = {
        "A", "AA", "AAA", "AA=A", "A===", "====", "AAA\n", "AB==", "AAB=", "AA==AAAA", "A-A_"};
    uint8_t *data = NULL;
    size_t size;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (base64_decode(texts[i], &data, &size) != -EINVAL)
            fail_msg("%s was taken", texts[i]);
    assert_null(data);
}

static void since_is_a_duration_or_a_time(void **state _unused_)
{
    static const struct {
        const char *text;
        int r;
        uint64_t usec;
    } rows[] = {
        {"{}", 0, 7},
        {"{\"since\":null}", 0, 7},
        {"{\"since\":\"10s\"}", 1, 90 * USEC_PER_SEC},
        {"{\"since\":\"2h\"}", 1, 0},
        {"{\"since\":\"1970-01-01T00:00:02.5Z\"}", 1, 2500 * USEC_PER_MSEC},
        {"{\"since\":\"08:00\"}", -EINVAL, 7},
        {"{\"since\":\"1970-01-01T00:00:02\"}", -EINVAL, 7},
        {"{\"since\":2}", -EINVAL, 7},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        _cleanup_json_ cJSON *object = cJSON_Parse(rows[i].text);
        uint64_t usec = 7;
        assert_non_null(object);
        assert_int_equal(json_get_since(object, "since", 100 * USEC_PER_SEC, &usec), rows[i].r);
        assert_int_equal(usec, rows[i].usec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_is_read),
        cmocka_unit_test(anything_but_one_object_is_refused),
        cmocka_unit_test(text_ends_with_its_last_byte),
        cmocka_unit_test(text_that_ends_amid_an_object_is_read_no_further),
        cmocka_unit_test(what_was_read_is_written),
        cmocka_unit_test(depth_and_size_are_limited),
        cmocka_unit_test(a_value_is_judged_by_the_letter),
        cmocka_unit_test(getters_tell_absent_from_wrong),
        cmocka_unit_test(no_control_character_is_printed_bare),
        cmocka_unit_test(numbers_and_times_print_exactly),
        cmocka_unit_test(times_are_read_as_they_are_written),
        cmocka_unit_test(bytes_that_are_no_text_travel_as_base64),
        cmocka_unit_test(unknown_members_are_named),
        cmocka_unit_test(since_is_a_duration_or_a_time),
        cmocka_unit_test(base64_reads_what_it_writes),
        cmocka_unit_test(base64_is_strict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
