/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

/* Member @i is accused by so many others that its verdict comes after the least time. */
static void accuse(struct rig *rig, size_t i)
{
    for (size_t accuser = 1; accuser <= 5; accuser++)
        if (accuser != i)
            rig_claim(rig, accuser, i, 0, SWIM_SUSPECT);
}

static void accuse_all(struct rig *rig, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++)
        accuse(rig, i);
}

static void assert_all(const struct rig *rig, size_t first, size_t last, enum swim_state state)
{
    for (size_t i = first; i <= last; i++)
        assert_int_equal(rig_state(rig, i), state);
}

static void begin(struct rig *rig, size_t peers)
{
    rig_start(rig, NULL);
    rig_meet(rig, peers);
    rig->swim->probes.grace_end_usec = USEC_INFINITY; /* our own probes accuse nobody */
}

static bool is_frozen(const struct rig *rig)
{
    struct swim_statistics statistics;

    swim_get_statistics(rig->swim, &statistics);
    return statistics.is_frozen;
}

/* @last of @peers are accused at once. Return: how many of those are dead after one window. */
static size_t count_dead_after_a_window(size_t peers, size_t last, bool *ret_is_frozen)
{
    struct rig rig;
    size_t dead = 0;

    begin(&rig, peers);
    accuse_all(&rig, peers - last + 1, peers);
    *ret_is_frozen = is_frozen(&rig);
    rig_run(&rig, suspicion_min(rig.swim) + 50 * MSEC);
    for (size_t i = 0; i < last; i++)
        dead += rig_state(&rig, peers - i) == SWIM_DEAD;
    rig_stop(&rig);
    return dead;
}

static void five_and_a_third_of_the_lab_freeze_verdicts(void **state)
{
    static const struct {
        size_t peers, accused;
        bool is_frozen;
    } cases[] = {
        {12, 4, false}, /* a third, but not five */
        {12, 5, true},
        {32, 10, false},
        {32, 11, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool is_on;
        size_t dead = count_dead_after_a_window(cases[i].peers, cases[i].accused, &is_on);
        assert_int_equal(is_on, cases[i].is_frozen);
        assert_int_equal(dead, is_on ? 0 : cases[i].accused);
    }
}

static void a_freeze_lasts_for_one_more_window(void **state)
{
    struct rig rig;
    usec_t window;

    (void)state;
    begin(&rig, 12);
    window = suspicion_min(rig.swim);
    accuse_all(&rig, 8, 12);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_FREEZE), 1);
    rig_run(&rig, 2 * window - 100 * MSEC);
    assert_all(&rig, 8, 12, SWIM_SUSPECT);
    rig_run(&rig, 300 * MSEC);
    assert_all(&rig, 8, 12, SWIM_DEAD);
    assert_false(is_frozen(&rig));
    rig_stop(&rig);
}

static void who_becomes_suspect_in_a_freeze_waits_as_well(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig, 12);
    accuse_all(&rig, 8, 12);
    accuse(&rig, 7);
    rig_run(&rig, suspicion_min(rig.swim) + 100 * MSEC);
    assert_int_equal(rig_state(&rig, 7), SWIM_SUSPECT);
    rig_stop(&rig);
}

/* One node that does not see the freeze would kill for all. */
static void verdicts_of_others_wait_too_but_no_longer(void **state)
{
    struct rig rig;
    usec_t window;

    (void)state;
    begin(&rig, 12);
    window = suspicion_min(rig.swim);
    for (size_t i = 8; i <= 12; i++)
        rig_claim(&rig, 1, i, 0, SWIM_SUSPECT); /* alone: its own timers take much longer */
    rig_run(&rig, 2 * window - 100 * MSEC);
    rig_claim(&rig, 2, 9, 0, SWIM_DEAD);
    assert_int_equal(rig_state(&rig, 9), SWIM_SUSPECT);
    rig_run(&rig, 200 * MSEC);
    rig_claim(&rig, 2, 9, 0, SWIM_DEAD);
    assert_int_equal(rig_state(&rig, 9), SWIM_DEAD);
    rig_stop(&rig);
}

static void a_freeze_is_over_when_they_answer(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig, 12);
    accuse_all(&rig, 8, 12);
    assert_true(is_frozen(&rig));
    rig_clear(&rig);
    rig_claim(&rig, 8, 8, 1, SWIM_ALIVE);
    assert_false(is_frozen(&rig));
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_FREEZE), 1);
    for (size_t i = 0; i < rig.events_count; i++)
        if (rig.events[i].type == SWIM_EVENT_FREEZE)
            assert_int_equal(rig.events[i].count, 0);
    rig_stop(&rig);
}

/* Those who were declared dead within the window count: they are part of the same trouble. */
static void the_dead_of_the_same_window_count(void **state)
{
    (void)state;
    for (int is_late = 0; is_late <= 1; is_late++) {
        struct rig rig;

        begin(&rig, 12);
        for (size_t i = 9; i <= 12; i++)
            rig_bury(&rig, 1, i, 0);
        assert_false(is_frozen(&rig));
        if (is_late)
            rig_run(&rig, suspicion_min(rig.swim) + 2 * USEC_PER_SEC);
        accuse(&rig, 8);
        assert_int_equal(is_frozen(&rig), !is_late);
        rig_stop(&rig);
    }
}

static void who_is_back_from_the_dead_counts_no_longer(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig, 12);
    for (uint64_t i = 0; i < 4; i++) {
        rig_bury(&rig, 1, 12, i);
        rig_claim(&rig, 12, 12, i + 1, SWIM_ALIVE);
    }
    accuse(&rig, 8);
    assert_false(is_frozen(&rig));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_and_a_third_of_the_lab_freeze_verdicts),
        cmocka_unit_test(a_freeze_lasts_for_one_more_window),
        cmocka_unit_test(who_becomes_suspect_in_a_freeze_waits_as_well),
        cmocka_unit_test(verdicts_of_others_wait_too_but_no_longer),
        cmocka_unit_test(a_freeze_is_over_when_they_answer),
        cmocka_unit_test(the_dead_of_the_same_window_count),
        cmocka_unit_test(who_is_back_from_the_dead_counts_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
