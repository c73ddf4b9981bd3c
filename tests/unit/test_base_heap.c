/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/heap.h"
#include "base/macro.h"
#include "base/rng.h"

static void an_empty_heap_has_no_deadline(void **state _unused_)
{
    struct heap heap = HEAP_NULL;

    assert_null(heap_first(&heap));
    assert_int_equal(heap_deadline(&heap), USEC_INFINITY);
    heap_done(&heap);
}

static void the_earliest_entry_is_first(void **state _unused_)
{
    struct heap heap = HEAP_NULL;
    struct heap_entry a = {0}, b = {0}, c = {0};

    assert_int_equal(heap_set(&heap, &a, 30), 0);
    assert_int_equal(heap_set(&heap, &b, 10), 0);
    assert_int_equal(heap_set(&heap, &c, 20), 0);
    assert_ptr_equal(heap_first(&heap), &b);
    assert_int_equal(heap_deadline(&heap), 10);
    heap_remove(&heap, &b);
    assert_ptr_equal(heap_first(&heap), &c);
    assert_int_equal(b.place, 0);
    heap_done(&heap);
}

static void an_entry_moves_both_ways(void **state _unused_)
{
    struct heap heap = HEAP_NULL;
    struct heap_entry a = {0}, b = {0};

    assert_int_equal(heap_set(&heap, &a, 10), 0);
    assert_int_equal(heap_set(&heap, &b, 20), 0);
    assert_int_equal(heap_set(&heap, &a, 30), 0);
    assert_ptr_equal(heap_first(&heap), &b);
    assert_int_equal(heap_set(&heap, &a, 5), 0);
    assert_ptr_equal(heap_first(&heap), &a);
    assert_int_equal(heap.count, 2);
    heap_done(&heap);
}

static void infinity_removes(void **state _unused_)
{
    struct heap heap = HEAP_NULL;
    struct heap_entry a = {0};

    assert_int_equal(heap_set(&heap, &a, 10), 0);
    assert_int_equal(heap_set(&heap, &a, USEC_INFINITY), 0);
    assert_int_equal(heap.count, 0);
    assert_int_equal(heap_set(&heap, &a, USEC_INFINITY), 0);
    heap_remove(&heap, &a);
    assert_int_equal(heap.count, 0);
    heap_done(&heap);
}

/* Against the plain minimum of an array, through thousands of random operations. */
static void any_sequence_keeps_the_order(void **state _unused_)
{
    struct heap heap = HEAP_NULL;
    static struct heap_entry entries[200];
    struct rng rng;

    memset(entries, 0, sizeof(entries));
    rng_init(&rng, 7);
    for (int step = 0; step < 20000; step++) {
        struct heap_entry *entry = &entries[rng_below(&rng, ARRAY_SIZE(entries))];
        if (rng_below(&rng, 3) == 0)
            heap_remove(&heap, entry);
        else
            assert_int_equal(heap_set(&heap, entry, rng_below(&rng, 1000)), 0);
        usec_t earliest = USEC_INFINITY;
        size_t count = 0;
        for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
            if (entries[i].place > 0) {
                earliest = MIN(earliest, entries[i].time_usec);
                count++;
            }
        assert_int_equal(heap_deadline(&heap), earliest);
        assert_int_equal(heap.count, count);
    }
    heap_done(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_deadline),
        cmocka_unit_test(the_earliest_entry_is_first),
        cmocka_unit_test(an_entry_moves_both_ways),
        cmocka_unit_test(infinity_removes),
        cmocka_unit_test(any_sequence_keeps_the_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
