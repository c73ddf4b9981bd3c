/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/histogram.h"
#include "base/macro.h"

static void a_class_ends_with_its_end(void **state _unused_)
{
    struct histogram histogram = {.sum_usec = 0};

    histogram_add(&histogram, &histogram_network, 100);
    histogram_add(&histogram, &histogram_network, 101);
    histogram_add(&histogram, &histogram_network, 0);
    assert_int_equal(histogram.counts[0], 2);
    assert_int_equal(histogram.counts[1], 1);
    assert_int_equal(histogram.sum_usec, 201);
}

static void what_is_longer_than_all_counts_too(void **state _unused_)
{
    struct histogram histogram = {.sum_usec = 5};

    histogram_add(&histogram, &histogram_work, 6 * USEC_PER_HOUR);
    histogram_add(&histogram, &histogram_work, 6 * USEC_PER_HOUR + 1);
    histogram_add(&histogram, &histogram_work, USEC_INFINITY);
    assert_int_equal(histogram.counts[histogram_work.count - 1], 1);
    assert_int_equal(histogram.counts[histogram_work.count], 2);
    assert_true(histogram.sum_usec == USEC_INFINITY);
}

static void scales_rise(void **state _unused_)
{
    const struct histogram_scale *scales[] = {&histogram_network, &histogram_work};

    for (size_t i = 0; i < ARRAY_SIZE(scales); i++)
        for (size_t j = 0; j < scales[i]->count; j++) {
            assert_true(j < HISTOGRAM_CLASSES_MAX);
            assert_true(scales[i]->ends_usec[j] > (j > 0 ? scales[i]->ends_usec[j - 1] : 0));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_ends_with_its_end),
        cmocka_unit_test(what_is_longer_than_all_counts_too),
        cmocka_unit_test(scales_rise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
