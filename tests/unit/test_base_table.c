/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "base/macro.h"
#include "base/rng.h"
#include "base/table.h"

struct item {
    char key[16];
    bool is_there;
};

static void strings_are_found_by_their_bytes(void **state _unused_)
{
    struct table table;
    struct item a = {.key = "lab-01"}, b = {.key = "lab-02"};
    char key[] = "lab-02";

    table_init(&table, 0, 1);
    assert_null(table_find(&table, "lab-01"));
    assert_null(table_remove(&table, "lab-01"));
    assert_int_equal(table_insert(&table, a.key, &a), 0);
    assert_int_equal(table_insert(&table, b.key, &b), 0);
    assert_ptr_equal(table_find(&table, key), &b);
    assert_null(table_find(&table, "lab-03"));
    table_done(&table);
}

static void a_key_is_there_once(void **state _unused_)
{
    struct table table;
    struct item a = {.key = "x"}, b = {.key = "x"};

    table_init(&table, 0, 1);
    assert_int_equal(table_insert(&table, a.key, &a), 0);
    assert_int_equal(table_insert(&table, b.key, &b), -EEXIST);
    assert_ptr_equal(table_find(&table, "x"), &a);
    assert_int_equal(table.count, 1);
    table_done(&table);
}

static void keys_of_fixed_size_may_contain_zeros(void **state _unused_)
{
    struct table table;
    uint8_t a[4] = {0, 0, 0, 1}, b[4] = {0, 0, 0, 2}, probe[4] = {0, 0, 0, 2};

    table_init(&table, sizeof(a), 1);
    assert_int_equal(table_insert(&table, a, a), 0);
    assert_int_equal(table_insert(&table, b, b), 0);
    assert_ptr_equal(table_find(&table, probe), b);
    table_done(&table);
}

static void a_walk_sees_every_value_once(void **state _unused_)
{
    struct table table;
    static struct item items[100];
    size_t count = 0;

    table_init(&table, 0, 3);
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        snprintf(items[i].key, sizeof(items[i].key), "k%zu", i);
        items[i].is_there = false;
        assert_int_equal(table_insert(&table, items[i].key, &items[i]), 0);
    }
    table_for_each (&table, struct item *, item) {
        assert_false(item->is_there);
        item->is_there = true;
        count++;
    }
    assert_int_equal(count, ARRAY_SIZE(items));
    table_done(&table);
}

static void the_seed_decides_the_order(void **state _unused_)
{
    struct table one, other;
    char keys[32][8];
    size_t i = 0, j = 0;
    bool is_different = false;

    table_init(&one, 0, 1);
    table_init(&other, 0, 2);
    for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
        snprintf(keys[k], sizeof(keys[k]), "k%zu", k);
        assert_int_equal(table_insert(&one, keys[k], keys[k]), 0);
        assert_int_equal(table_insert(&other, keys[k], keys[k]), 0);
    }
    for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
        is_different = table_next(&one, &i) != table_next(&other, &j) || is_different;
    assert_true(is_different);
    assert_null(table_next(&one, &i));
    table_done(&one);
    table_done(&other);
}

/* Removal shifts what stood behind: against an array, through random operations. */
static void any_sequence_keeps_every_key_reachable(void **state _unused_)
{
    struct table table;
    static struct item items[300];
    struct rng rng;
    size_t count = 0;

    rng_init(&rng, 11);
    table_init(&table, 0, 5);
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        snprintf(items[i].key, sizeof(items[i].key), "%zu", i);
        items[i].is_there = false;
    }
    for (int step = 0; step < 5000; step++) {
        struct item *item = &items[rng_below(&rng, ARRAY_SIZE(items))];
        if (item->is_there) {
            assert_ptr_equal(table_remove(&table, item->key), item);
            count--;
        } else {
            assert_int_equal(table_insert(&table, item->key, item), 0);
            count++;
        }
        item->is_there = !item->is_there;
        assert_int_equal(table.count, count);
        if (step % 50 == 0)
            for (size_t i = 0; i < ARRAY_SIZE(items); i++)
                assert_ptr_equal(table_find(&table, items[i].key),
                                 items[i].is_there ? &items[i] : NULL);
    }
    table_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_found_by_their_bytes),
        cmocka_unit_test(a_key_is_there_once),
        cmocka_unit_test(keys_of_fixed_size_may_contain_zeros),
        cmocka_unit_test(a_walk_sees_every_value_once),
        cmocka_unit_test(the_seed_decides_the_order),
        cmocka_unit_test(any_sequence_keeps_every_key_reachable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
