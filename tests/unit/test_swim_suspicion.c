/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define SECOND USEC_PER_SEC

static void the_timeout_shrinks_from_max_to_min(void **state)
{
    usec_t before = suspicion_timeout(2 * SECOND, 12 * SECOND, 0, 3);

    (void)state;
    assert_int_equal(before, 12 * SECOND);
    for (size_t c = 1; c < 3; c++) {
        usec_t timeout = suspicion_timeout(2 * SECOND, 12 * SECOND, c, 3);
        assert_true(timeout < before && timeout > 2 * SECOND);
        before = timeout;
    }
    assert_int_equal(suspicion_timeout(2 * SECOND, 12 * SECOND, 3, 3), 2 * SECOND);
    assert_int_equal(suspicion_timeout(2 * SECOND, 12 * SECOND, 9, 3), 2 * SECOND);
}

/* 12 - 10 * log(2) / log(4) = 7; 12 - 10 * log(3) / log(4) = 4.075. */
static void the_timeout_is_the_papers_formula(void **state)
{
    (void)state;
    assert_in_range(suspicion_timeout(2 * SECOND, 12 * SECOND, 1, 3), 6999999, 7000001);
    assert_in_range(suspicion_timeout(2 * SECOND, 12 * SECOND, 2, 3), 4075180, 4075190);
}

static void where_nobody_can_confirm_the_minimum_counts(void **state)
{
    (void)state;
    assert_int_equal(suspicion_timeout(2 * SECOND, 12 * SECOND, 0, 0), 2 * SECOND);
    assert_int_equal(suspicion_timeout(2 * SECOND, 2 * SECOND, 0, 3), 2 * SECOND);
}

static void the_minimum_grows_with_the_logarithm_of_the_members(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    assert_int_equal(suspicion_min(rig.swim), 2 * SECOND); /* log10 below 1 counts as 1 */
    rig_meet(&rig, 98);
    assert_in_range(suspicion_min(rig.swim), 4 * SECOND - 1, 4 * SECOND); /* 2 * log10(100) */
    rig_stop(&rig);
}

/* How long after an accusation by 1, confirmed by others, member 9 of 10 is dead. */
static usec_t measure(size_t confirmations, bool is_repeated)
{
    struct rig rig;
    usec_t start;

    rig_start(&rig, NULL);
    rig.swim->config.max_missed = 1;
    rig_meet(&rig, 9);
    /* The core's own probes fail too, for nobody answers: measure before the first one does. */
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    rig_claim(&rig, 1, 9, 0, SWIM_SUSPECT);
    for (size_t i = 0; i < confirmations; i++)
        rig_claim(&rig, is_repeated ? 1 : 2 + i, 9, 0, SWIM_SUSPECT);
    start = rig.now;
    for (int i = 0; i < 2000 && rig_state(&rig, 9) != SWIM_DEAD; i++)
        rig_run(&rig, 10 * USEC_PER_MSEC);
    assert_int_equal(rig_state(&rig, 9), SWIM_DEAD);
    rig_stop(&rig);
    return rig.now - start;
}

static void independent_confirmations_hasten_the_verdict(void **state)
{
    usec_t alone = measure(0, false), one = measure(1, false), all = measure(3, false);

    (void)state;
    assert_in_range(alone, 12 * SECOND, 13 * SECOND);
    assert_true(one < alone && all < one);
    assert_in_range(all, 2 * SECOND, 2200 * USEC_PER_MSEC);
}

static void the_same_accuser_again_confirms_nothing(void **state)
{
    (void)state;
    assert_in_range(measure(5, true), 12 * SECOND, 13 * SECOND);
}

/* The time without a sign of life is what counts: the accuser's clock begins with its first
 * request. */
static void the_accusers_clock_begins_with_its_first_request(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    size_t target = rig_start_probe(&rig, 6, &ping);
    usec_t start = rig.now;
    rig_run(&rig, 1010 * USEC_PER_MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    for (size_t i = 1; i <= 6; i++)
        if (i != target)
            rig_claim(&rig, i, target, 0, SWIM_SUSPECT);
    rig_run(&rig, start + 1980 * USEC_PER_MSEC - rig.now);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    rig_run(&rig, 30 * USEC_PER_MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_DEAD);
    rig_stop(&rig);
}

static void a_packet_from_the_suspect_defers_the_verdict(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_NACK};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    for (size_t i = 1; i <= 4; i++)
        rig_claim(&rig, i, 9, 0, SWIM_SUSPECT);
    for (int i = 0; i < 6; i++) {
        rig_run(&rig, SECOND);
        rig_say(&rig, 9, &message);
        assert_int_equal(rig_state(&rig, 9), SWIM_SUSPECT);
    }
    rig_run(&rig, 3 * SECOND);
    assert_int_equal(rig_state(&rig, 9), SWIM_DEAD);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timeout_shrinks_from_max_to_min),
        cmocka_unit_test(the_timeout_is_the_papers_formula),
        cmocka_unit_test(where_nobody_can_confirm_the_minimum_counts),
        cmocka_unit_test(the_minimum_grows_with_the_logarithm_of_the_members),
        cmocka_unit_test(independent_confirmations_hasten_the_verdict),
        cmocka_unit_test(the_same_accuser_again_confirms_nothing),
        cmocka_unit_test(the_accusers_clock_begins_with_its_first_request),
        cmocka_unit_test(a_packet_from_the_suspect_defers_the_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
