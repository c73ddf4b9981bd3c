/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include "console/repeat.h"

static void only_what_equals_the_last_is_a_repeat(void **state)
{
    struct repeats repeats;

    (void)state;
    repeats_init(&repeats);
    assert_int_equal(repeats_add(&repeats, "a1", "pending"), 1);
    assert_int_equal(repeats_add(&repeats, "a1", "pending"), 0);
    assert_int_equal(repeats_add(&repeats, "a1", "running"), 1);
    assert_int_equal(repeats_add(&repeats, "a1", "pending"), 1);
    assert_int_equal(repeats_add(&repeats, "a1", "pending"), 0);
    repeats_done(&repeats);
}

static void names_do_not_mix(void **state)
{
    struct repeats repeats;
    char name[16];

    (void)state;
    repeats_init(&repeats);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1000; i++) {
            snprintf(name, sizeof(name), "a%d", i);
            assert_int_equal(repeats_add(&repeats, name, "pending"), round == 0);
        }
    repeats_done(&repeats);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_equals_the_last_is_a_repeat),
        cmocka_unit_test(names_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
