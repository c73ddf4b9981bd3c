/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#include "swim/window.h"

static void each_number_is_new_once(void **state)
{
    struct window window = {0};

    (void)state;
    for (uint64_t i = 1; i <= 200; i++) {
        assert_true(window_add(&window, 1, i));
        assert_false(window_add(&window, 1, i));
    }
}

static void disorder_within_63_is_told_apart(void **state)
{
    struct window window = {0};

    (void)state;
    assert_true(window_add(&window, 1, 64));
    for (uint64_t i = 63; i >= 1; i--) {
        assert_true(window_add(&window, 1, i));
        assert_false(window_add(&window, 1, i));
    }
    assert_true(window_add(&window, 1, 65));
    assert_false(window_add(&window, 1, 1));
}

static void what_is_older_counts_as_seen(void **state)
{
    struct window window = {0};

    (void)state;
    assert_true(window_add(&window, 1, 1000));
    assert_false(window_add(&window, 1, 1000 - 64));
    assert_true(window_add(&window, 1, 1000 - 63));
    assert_false(window_add(&window, 1, 0));
}

static void a_new_generation_begins_anew_and_the_old_one_is_over(void **state)
{
    struct window window = {0};

    (void)state;
    assert_true(window_add(&window, 5, 10));
    assert_true(window_add(&window, 6, 1));
    assert_false(window_add(&window, 5, 11));
    assert_true(window_add(&window, 6, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_is_new_once),
        cmocka_unit_test(disorder_within_63_is_told_apart),
        cmocka_unit_test(what_is_older_counts_as_seen),
        cmocka_unit_test(a_new_generation_begins_anew_and_the_old_one_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
