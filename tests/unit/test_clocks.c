/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/macro.h"
#include "clocks.h"

#define NOW  (100 * USEC_PER_HOUR)
#define WALL UINT64_C(1795244870874000)

static struct node_id id_of(uint8_t i)
{
    return (struct node_id){{[15] = i}};
}

static void hear(struct clocks *clocks, uint8_t i, int64_t ahead_usec, usec_t now)
{
    struct node_id id = id_of(i);

    clocks_hear(clocks, &id, WALL + (uint64_t)ahead_usec, WALL, now);
}

static void without_others_there_is_nothing_to_compare(void **state _unused_)
{
    struct clocks clocks = {.count = 0};
    int64_t ahead = 77;

    assert_int_equal(clocks_compare(&clocks, NOW, &ahead), 0);
    assert_int_equal(ahead, 77);
}

static void the_median_counts_and_not_one_that_is_wrong(void **state _unused_)
{
    struct clocks clocks = {.count = 0};
    int64_t ahead;

    hear(&clocks, 1, 2000, NOW);
    hear(&clocks, 2, -3600 * (int64_t)USEC_PER_SEC, NOW);
    hear(&clocks, 3, 1000, NOW);
    assert_int_equal(clocks_compare(&clocks, NOW, &ahead), 3);
    assert_int_equal(ahead, 1000);
    hear(&clocks, 3, -5000, NOW); /* the last word of each */
    assert_int_equal(clocks_compare(&clocks, NOW, &ahead), 3);
    assert_int_equal(ahead, -5000);
}

static void what_was_heard_long_ago_does_not_count(void **state _unused_)
{
    struct clocks clocks = {.count = 0};
    int64_t ahead;

    hear(&clocks, 1, 9000, NOW);
    hear(&clocks, 2, 4000, NOW + USEC_PER_MIN);
    assert_int_equal(clocks_compare(&clocks, NOW + CLOCKS_FRESH_USEC, &ahead), 2);
    assert_int_equal(clocks_compare(&clocks, NOW + CLOCKS_FRESH_USEC + 1, &ahead), 1);
    assert_int_equal(ahead, 4000);
    assert_int_equal(clocks_compare(&clocks, NOW + USEC_PER_HOUR, &ahead), 0);
}

static void only_so_many_are_remembered(void **state _unused_)
{
    struct clocks clocks = {.count = 0};
    int64_t ahead;

    for (uint8_t i = 0; i < CLOCKS_MAX; i++)
        hear(&clocks, i, 1000, NOW);
    assert_int_equal(clocks_compare(&clocks, NOW, &ahead), CLOCKS_MAX);
    for (uint8_t i = 0; i < CLOCKS_MAX; i++)
        hear(&clocks, (uint8_t)(100 + i), 2000, NOW);
    assert_int_equal(clocks_compare(&clocks, NOW, &ahead), CLOCKS_MAX);
    assert_int_equal(ahead, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_others_there_is_nothing_to_compare),
        cmocka_unit_test(the_median_counts_and_not_one_that_is_wrong),
        cmocka_unit_test(what_was_heard_long_ago_does_not_count),
        cmocka_unit_test(only_so_many_are_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
