/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "strangers.h"

/* What is remembered of those whose datagrams our keys do not open. */

static struct seal_statistics statistics;
static struct strangers strangers;

static int begin(void **state _unused_)
{
    statistics = (struct seal_statistics){0};
    strangers = (struct strangers){0};
    return 0;
}

static void knock(uint8_t host, uint32_t key_id, usec_t now)
{
    struct address from = {.family = 4, .bytes = {10, 0, 0, host}, .port = 7717};

    statistics.dropped[SEAL_DROP_KEY]++;
    statistics.unknown_key_id = key_id;
    strangers_watch(&strangers, &statistics, &from, now);
}

static void one_who_comes_again_is_one(void **state _unused_)
{
    knock(1, 7, USEC_PER_SEC);
    knock(1, 7, 2 * USEC_PER_SEC);
    knock(1, 8, 3 * USEC_PER_SEC);
    assert_int_equal(strangers.count, 2);
    assert_int_equal(strangers.items[0].first_usec, USEC_PER_SEC);
    assert_int_equal(strangers.items[0].last_usec, 2 * USEC_PER_SEC);
    assert_int_equal(strangers.items[1].key_id, 8);
}

static void a_flood_adds_one_a_second(void **state _unused_)
{
    for (uint8_t i = 0; i < 200; i++)
        knock(i, 7, USEC_PER_SEC + i);
    assert_int_equal(strangers.count, 1);
    knock(0, 7, 3 * USEC_PER_SEC / 2); /* who is known is still seen */
    assert_int_equal(strangers.items[0].last_usec, 3 * USEC_PER_SEC / 2);
}

static void who_proves_a_key_of_ours_is_no_stranger_any_more(void **state _unused_)
{
    struct address from = {.family = 4, .bytes = {10, 0, 0, 1}, .port = 7717};

    knock(1, 7, USEC_PER_SEC);
    knock(2, 7, 2 * USEC_PER_SEC);
    knock(1, 8, 3 * USEC_PER_SEC);
    knock(3, 8, 4 * USEC_PER_SEC);
    strangers_acquit(&strangers, &from);
    assert_int_equal(strangers.count, 2);
    for (size_t i = 0; i < strangers.count; i++)
        assert_int_not_equal(strangers.items[i].address.bytes[3], 1);
    from.port++;
    from.bytes[3] = 2;
    strangers_acquit(&strangers, &from);
    assert_int_equal(strangers.count, 2);
    knock(1, 8, 5 * USEC_PER_SEC);
    assert_int_equal(strangers.count, 3);
}

static void the_one_quiet_for_longest_goes(void **state _unused_)
{
    for (uint8_t i = 0; i < STRANGERS_MAX; i++)
        knock(i, 7, (i + 1U) * USEC_PER_SEC);
    knock(0, 7, 100 * USEC_PER_SEC);
    knock(99, 7, 101 * USEC_PER_SEC);
    assert_int_equal(strangers.count, STRANGERS_MAX);
    assert_int_equal(strangers.items[0].address.bytes[3], 0);
    assert_int_equal(strangers.items[1].address.bytes[3], 99);
    assert_false(strangers.items[1].is_told);
}

static void what_is_for_a_former_session_is_no_strangers(void **state _unused_)
{
    struct address from = {.family = 4, .port = 7717};

    statistics.dropped[SEAL_DROP_FORGED] = 5;
    strangers_watch(&strangers, &statistics, &from, USEC_PER_SEC);
    assert_int_equal(strangers.count, 0);
    assert_int_equal(strangers.told_next, 0);
    /* Nor does it keep the word about a stranger back. */
    knock(1, 7, 2 * USEC_PER_SEC);
    assert_int_equal(strangers.told_next, 2);
}

static void a_hello_of_another_cluster_names_no_key(void **state _unused_)
{
    struct address from = {.family = 4, .port = 7717};

    statistics.dropped[SEAL_DROP_FORGED] = 5;
    statistics.foreign_hellos = 5;
    strangers_watch(&strangers, &statistics, &from, USEC_PER_SEC);
    assert_int_equal(strangers.count, 0);
    assert_int_equal(strangers.told_next, 10);
}

#define test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(one_who_comes_again_is_one),
        test(a_flood_adds_one_a_second),
        test(who_proves_a_key_of_ours_is_no_stranger_any_more),
        test(the_one_quiet_for_longest_goes),
        test(what_is_for_a_former_session_is_no_strangers),
        test(a_hello_of_another_cluster_names_no_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
