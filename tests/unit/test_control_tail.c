/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/macro.h"
#include "control/task/tail.h"

struct text {
    char data[4096];
    size_t size;
    size_t pieces;
};

static void take(const struct output_piece *piece, void *data)
{
    struct text *text = data;

    assert_true(text->size + piece->size < sizeof(text->data));
    memcpy(text->data + text->size, piece->data, piece->size);
    text->size += piece->size;
    text->pieces++;
}

static void add(struct tail *tail, const char *data)
{
    struct output_piece piece = {
        .stream = OUTPUT_STDOUT, .data = (const uint8_t *)data, .size = strlen(data)};

    assert_int_equal(tail_add(tail, &piece), 0);
}

/* What the last @lines of these pieces, NULL at the end, are. */
static void expect(uint64_t lines, const char *const *pieces, const char *expected)
{
    struct text text = {0};
    struct tail tail;

    tail_init(&tail, lines);
    for (; *pieces; pieces++)
        add(&tail, *pieces);
    tail_flush(&tail, take, &text);
    text.data[text.size] = '\0';
    assert_string_equal(text.data, expected);
    assert_true(list_is_empty(&tail.pieces));
    tail_done(&tail);
}

static void the_last_lines_come_out(void **state _unused_)
{
    const char *const pieces[] = {"a\nb\nc\n", "d\ne\n", NULL};

    expect(0, pieces, "");
    expect(1, pieces, "e\n");
    expect(2, pieces, "d\ne\n");
    expect(3, pieces, "c\nd\ne\n");
    expect(5, pieces, "a\nb\nc\nd\ne\n");
    expect(UINT32_MAX, pieces, "a\nb\nc\nd\ne\n");
}

static void a_last_line_without_an_end_is_one(void **state _unused_)
{
    const char *const pieces[] = {"a\nb\n", "c", NULL};

    expect(0, pieces, "");
    expect(1, pieces, "c");
    expect(2, pieces, "b\nc");
}

static void lines_may_be_torn_in_any_way(void **state _unused_)
{
    const char *const pieces[] = {"a", "a\n", "b", "b", "\nc", "c\n", NULL};

    expect(1, pieces, "cc\n");
    expect(2, pieces, "bb\ncc\n");
    expect(3, pieces, "aa\nbb\ncc\n");
}

static void nothing_is_the_tail_of_nothing(void **state _unused_)
{
    const char *const none[] = {NULL}, *const empty[] = {"", "", NULL};

    expect(3, none, "");
    expect(3, empty, "");
}

static void not_more_is_held_than_wanted(void **state _unused_)
{
    struct tail tail;
    size_t held = 0;

    tail_init(&tail, 10);
    for (int i = 0; i < 100000; i++)
        add(&tail, "a line\n");
    list_for_each (link, &tail.pieces)
        held++;
    assert_true(held <= 12);
    tail_done(&tail);
}

static void what_comes_after_a_flush_stands_alone(void **state _unused_)
{
    struct text text = {0};
    struct tail tail;

    tail_init(&tail, 1);
    add(&tail, "open");
    tail_flush(&tail, take, &text);
    text.size = 0;
    add(&tail, "x\ny\n");
    tail_flush(&tail, take, &text);
    assert_memory_equal(text.data, "y\n", 2);
    assert_int_equal(text.size, 2);
    tail_done(&tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_lines_come_out),
        cmocka_unit_test(a_last_line_without_an_end_is_one),
        cmocka_unit_test(lines_may_be_torn_in_any_way),
        cmocka_unit_test(nothing_is_the_tail_of_nothing),
        cmocka_unit_test(not_more_is_held_than_wanted),
        cmocka_unit_test(what_comes_after_a_flush_stands_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
