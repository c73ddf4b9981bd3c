/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "net/frame.h"

/* A frame around @text, in @target. Return: its size. */
static size_t wrap(const char *text, uint8_t *target)
{
    size_t size = strlen(text);

    target[0] = (uint8_t)(size >> 24);
    target[1] = (uint8_t)(size >> 16);
    target[2] = (uint8_t)(size >> 8);
    target[3] = (uint8_t)size;
    memcpy(target + 4, text, size);
    return size + 4;
}

static int parse(const char *text, struct frame_piece *ret)
{
    struct frame_parser parser = FRAME_PARSER_NULL;
    uint8_t data[512];

    return frame_parser_next(&parser, data, wrap(text, data), ret);
}

static void header_without_body_is_one_piece(void **state)
{
    struct frame_piece piece;
    const char *value = NULL;

    (void)state;
    assert_int_equal(parse("{\"a\":\"b\"}", &piece), 1);
    assert_int_equal(json_get_string(piece.header, "a", &value), 1);
    assert_string_equal(value, "b");
    assert_true(piece.is_last);
    assert_int_equal(piece.body_size, 0);
    assert_int_equal(piece.used, 13);
    cJSON_Delete(piece.header);
}

static void frames_come_out_whole_however_they_are_cut(void **state)
{
    struct frame_parser parser;
    uint8_t data[256];
    size_t size = wrap("{\"n\":1,\"body\":5}", data);

    (void)state;
    memcpy(data + size, "abcde", 5);
    size += 5;
    size += wrap("{\"n\":2}", data + size);
    for (size_t step = 1; step <= size; step++) {
        size_t start = 0, headers = 0, body = 0, lasts = 0;
        parser = FRAME_PARSER_NULL;
        for (size_t end = step; start < size; end = end + step < size ? end + step : size) {
            struct frame_piece piece;
            while (frame_parser_next(&parser, data + start, end - start, &piece) == 1) {
                start += piece.used;
                lasts += piece.is_last;
                if (piece.header)
                    headers++;
                else {
                    assert_memory_equal(piece.data, &"abcde"[body], piece.size);
                    body += piece.size;
                }
                cJSON_Delete(piece.header);
            }
        }
        assert_int_equal(headers, 2);
        assert_int_equal(body, 5);
        assert_int_equal(lasts, 2);
    }
}

static void bad_frames_are_refused(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"", -EBADMSG},
        {"[]", -EBADMSG},
        {"{\"body\":-1}", -EBADMSG},
        {"{\"body\":\"5\"}", -EBADMSG},
        {"{\"body\":1.5}", -EBADMSG},
        {"{\"body\":9007199254740994}", -EBADMSG},
        {"{} x", -EBADMSG},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
         -ELOOP},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct frame_piece piece;
        assert_int_equal(parse(cases[i].text, &piece), cases[i].error);
    }
}

static void length_past_the_limit_is_refused_before_any_of_it_came(void **state)
{
    static const uint8_t at_limit[] = {0x00, 0x10, 0x00, 0x00}, past[] = {0x00, 0x10, 0x00, 0x01};
    struct frame_parser parser = FRAME_PARSER_NULL;
    struct frame_piece piece;

    (void)state;
    assert_int_equal(frame_parser_next(&parser, at_limit, 4, &piece), 0);
    assert_int_equal(frame_parser_next(&parser, past, 4, &piece), -EMSGSIZE);
}

static void largest_header_fits_a_stream(void **state)
{
    (void)state;
    assert_true(STREAM_READ_MAX >= FRAME_HEADER_MAX + 4);
    assert_true(STREAM_WRITE_MAX >= FRAME_HEADER_MAX + 4);
}

static void formatted_frame_reads_back(void **state)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    struct frame_parser parser = FRAME_PARSER_NULL;
    _cleanup_free_ uint8_t *data = NULL;
    struct frame_piece piece;
    size_t size;

    (void)state;
    json_add_string(header, "type", "value");
    /* What somebody left in the header does not count. */
    json_add_u64(header, "body", 99);
    assert_int_equal(frame_format(header, 7, &data, &size), 0);
    assert_int_equal(frame_parser_next(&parser, data, size, &piece), 1);
    assert_int_equal(piece.body_size, 7);
    assert_int_equal(piece.used, size);
    assert_false(piece.is_last);
    cJSON_Delete(piece.header);
    assert_int_equal(frame_parser_next(&parser, data, 0, &piece), 0);
    assert_int_equal(frame_parser_next(&parser, (const uint8_t *)"1234567890", 10, &piece), 1);
    assert_int_equal(piece.used, 7);
    assert_true(piece.is_last);
}

static void header_past_the_limit_is_not_formatted(void **state)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    _cleanup_free_ char *text = calloc(1, FRAME_HEADER_MAX + 1);
    uint8_t *data = NULL;
    size_t size;

    (void)state;
    memset(text, 'a', FRAME_HEADER_MAX);
    json_add_string(header, "a", text);
    assert_int_equal(frame_format(header, 0, &data, &size), -EMSGSIZE);
    assert_null(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_without_body_is_one_piece),
        cmocka_unit_test(frames_come_out_whole_however_they_are_cut),
        cmocka_unit_test(bad_frames_are_refused),
        cmocka_unit_test(length_past_the_limit_is_refused_before_any_of_it_came),
        cmocka_unit_test(largest_header_fits_a_stream),
        cmocka_unit_test(formatted_frame_reads_back),
        cmocka_unit_test(header_past_the_limit_is_not_formatted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
