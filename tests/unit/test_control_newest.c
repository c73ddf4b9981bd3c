/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macro.h"
#include "control/task/newest.h"

static void few_are_all_of_them(void **state _unused_)
{
    struct newest newest;

    assert_int_equal(newest_init(&newest, 3), 0);
    assert_int_equal(newest_find_first(&newest, 3), 0);
    for (uint64_t number = 10; number < 13; number++)
        newest_add(&newest, number);
    assert_int_equal(newest_find_first(&newest, 3), 0);
    assert_int_equal(newest_find_first(&newest, SIZE_MAX), 0);
    assert_int_equal(newest_find_first(&newest, 2), 11);
    assert_int_equal(newest_find_first(&newest, 1), 12);
    assert_true(newest_find_first(&newest, 0) == UINT64_MAX);
    newest_done(&newest);
}

static void of_many_the_last_ones_are_known(void **state _unused_)
{
    struct newest newest;

    assert_int_equal(newest_init(&newest, 3), 0);
    for (uint64_t number = 1; number <= 100; number++)
        newest_add(&newest, number * 7);
    for (size_t wanted = 1; wanted <= 3; wanted++)
        assert_int_equal(newest_find_first(&newest, wanted), (101 - wanted) * 7);
    assert_int_equal(newest_find_first(&newest, 50), 98 * 7);
    newest_done(&newest);
}

static void what_was_open_is_known_after_the_count(void **state _unused_)
{
    struct newest newest;

    assert_int_equal(newest_init(&newest, 3), 0);
    assert_false(newest_was_open(&newest, 1));
    for (uint64_t number = 1; number <= 1000; number++)
        if (number % 7 == 0)
            assert_int_equal(newest_add_open(&newest, number), 0);
        else
            newest_add(&newest, number);
    newest_keep_open(&newest, newest_find_first(&newest, 3));
    assert_null(newest.numbers);
    for (uint64_t number = 0; number < 997; number++)
        assert_true(newest_was_open(&newest, number) == (number > 0 && number % 7 == 0));
    newest_keep_open(&newest, 700);
    assert_true(newest_was_open(&newest, 693));
    assert_false(newest_was_open(&newest, 700));
    newest_keep_open(&newest, 0);
    assert_false(newest_was_open(&newest, 7));
    newest_done(&newest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_all_of_them),
        cmocka_unit_test(of_many_the_last_ones_are_known),
        cmocka_unit_test(what_was_open_is_known_after_the_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
