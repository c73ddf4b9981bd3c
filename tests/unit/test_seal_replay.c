/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/rng.h"
#include "seal/replay.h"

static void everything_up_to_the_first_packet_counts_as_seen(void **state)
{
    struct replay replay;

    (void)state;
    replay_begin(&replay, 1000);
    for (uint32_t i = 0; i <= 1000; i++)
        assert_true(replay_is_seen(&replay, i));
    for (uint32_t i = 1001; i < 5000; i++)
        assert_false(replay_is_seen(&replay, i));
}

static void late_packet_inside_the_window_is_taken_once(void **state)
{
    struct replay replay;

    (void)state;
    replay_begin(&replay, 0);
    replay_mark(&replay, REPLAY_WINDOW + 10);
    assert_false(replay_is_seen(&replay, 11));
    replay_mark(&replay, 11);
    assert_true(replay_is_seen(&replay, 11));
    assert_false(replay_is_seen(&replay, 12));
}

static void packet_before_the_window_counts_as_seen(void **state)
{
    struct replay replay;

    (void)state;
    replay_begin(&replay, 0);
    replay_mark(&replay, REPLAY_WINDOW + 10);
    assert_true(replay_is_seen(&replay, 10));
    assert_false(replay_is_seen(&replay, 11));
}

static void window_agrees_with_a_list_of_everything(void **state)
{
    static uint8_t seen[1 << 20];
    struct replay replay;
    struct rng rng;
    uint32_t top = 5;

    (void)state;
    rng_init(&rng, 7);
    replay_begin(&replay, top);
    for (uint32_t i = 0; i <= top; i++)
        seen[i] = 1;
    for (int i = 0; i < 200000; i++) {
        uint64_t jump = rng_below(&rng, 100) == 0 ? 3000 : 1200;
        uint64_t low = top > 1100 ? top - 1100 : 0;
        uint32_t counter = (uint32_t)(low + rng_below(&rng, jump));
        if (counter >= sizeof(seen))
            break;
        bool is_old = counter + REPLAY_WINDOW <= top;
        assert_int_equal(replay_is_seen(&replay, counter), is_old || seen[counter]);
        if (!replay_is_seen(&replay, counter)) {
            replay_mark(&replay, counter);
            seen[counter] = 1;
            top = counter > top ? counter : top;
        }
    }
    assert_true(top > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_up_to_the_first_packet_counts_as_seen),
        cmocka_unit_test(late_packet_inside_the_window_is_taken_once),
        cmocka_unit_test(packet_before_the_window_counts_as_seen),
        cmocka_unit_test(window_agrees_with_a_list_of_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
