/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/id.h"
#include "base/macro.h"
#include "base/rng.h"

static void an_id_is_written_as_a_uuid_and_reads_back(void **state _unused_)
{
    const char *text = "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e";
    char formatted[NODE_ID_TEXT_MAX];
    struct node_id id, plain;

    assert_int_equal(node_id_parse(text, &id), 0);
    assert_int_equal(id.bytes[0], 0x6f);
    assert_string_equal(node_id_format(&id, formatted), text);
    assert_int_equal(node_id_parse("6F1C7E0293D44A438A2C5B6F1F0C9B2E", &plain), 0);
    assert_true(node_id_is_equal(&id, &plain));
    assert_false(node_id_is_null(&id));
    assert_true(node_id_is_null(&NODE_ID_NULL));
}

static void anything_else_is_refused(void **state _unused_)
{
    static const char *const texts[] = {
        "",
        "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2",
        "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e0",
        "6f1c7e0293d4-4a43-8a2c-5b6f1f0c9b2e-",
        "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2g",
        "6f1c7e02 93d4 4a43 8a2c 5b6f1f0c9b2e",
    };
    struct node_id id = {{7}};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (node_id_parse(texts[i], &id) != -EINVAL)
            fail_msg("%s was taken", texts[i]);
    assert_int_equal(id.bytes[0], 7);
}

static void an_id_is_known_by_its_beginning(void **state _unused_)
{
    static const char *const beginnings[] = {
        "6f1c",
        "6f1c7",
        "6F1C7E02",
        "6f1c7e02-",
        "6f1c7e02-9",
        "6f1c7e0293",
        "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e",
    };
    static const char *const others[] = {
        "",       "6f1",         "6f1d",      "6f-1c",
        "6f1c-7", "6f1c7e02--9", "-6f1c7e02", "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e0",
        "6f1c ",  "6f1cx",
    };
    struct node_id id;

    assert_int_equal(node_id_parse("6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e", &id), 0);
    for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
        if (!node_id_begins(&id, beginnings[i]))
            fail_msg("%s is its beginning", beginnings[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (node_id_begins(&id, others[i]))
            fail_msg("%s is not its beginning", others[i]);
}

static void the_same_seed_gives_the_same_numbers(void **state _unused_)
{
    struct rng one, other, third;
    bool is_different = false;

    rng_init(&one, 42);
    rng_init(&other, 42);
    rng_init(&third, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t number = rng_next(&one);
        assert_int_equal(number, rng_next(&other));
        is_different = is_different || number != rng_next(&third);
    }
    assert_true(is_different);
}

static void numbers_stay_below_their_bound_and_reach_everything(void **state _unused_)
{
    struct rng rng;
    int counts[7] = {0};

    rng_init(&rng, 1);
    for (int i = 0; i < 7000; i++)
        counts[rng_below(&rng, ARRAY_SIZE(counts))]++;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        assert_in_range(counts[i], 850, 1150);
    for (int i = 0; i < 10; i++)
        assert_int_equal(rng_below(&rng, 1), 0);
    for (int i = 0; i < 1000; i++) {
        double unit = rng_unit(&rng);
        assert_true(unit >= 0 && unit < 1);
    }
}

static void a_shuffle_keeps_every_item(void **state _unused_)
{
    struct rng rng;
    int numbers[20], seen[20] = {0};
    void *items[20];
    bool has_moved = false;

    rng_init(&rng, 5);
    for (int i = 0; i < 20; i++) {
        numbers[i] = i;
        items[i] = &numbers[i];
    }
    rng_shuffle(&rng, items, ARRAY_SIZE(items));
    for (int i = 0; i < 20; i++) {
        seen[*(int *)items[i]]++;
        has_moved = has_moved || items[i] != &numbers[i];
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(seen[i], 1);
    assert_true(has_moved);
    rng_shuffle(&rng, items, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_written_as_a_uuid_and_reads_back),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(an_id_is_known_by_its_beginning),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(numbers_stay_below_their_bound_and_reach_everything),
        cmocka_unit_test(a_shuffle_keeps_every_item),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
