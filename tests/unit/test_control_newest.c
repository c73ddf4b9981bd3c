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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_all_of_them),
        cmocka_unit_test(of_many_the_last_ones_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
