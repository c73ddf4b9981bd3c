/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

/* @count members, none of them new, and nothing to tell. */
static void start_calm(struct rig *rig, size_t count)
{
    rig_start(rig, NULL);
    rig_meet(rig, count);
    for (size_t i = 1; i <= count; i++) {
        struct node_id id = net_id(i);
        rumor_drop(rig->swim, member_find(rig->swim, &id));
    }
    rig->swim->rush = (struct rush){0};
    rig_run(rig, 10 * MSEC);
    assert_false(rush_is_on(rig->swim));
    rig_clear(rig);
}

/* Members @first and the following ones come. */
static void come(struct rig *rig, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        assert_int_equal(rig_claim(rig, i, i, 0, SWIM_ALIVE), 0);
}

static void many_newcomers_are_a_rush_for_a_moment(void **state)
{
    struct rig rig;

    (void)state;
    start_calm(&rig, 100);
    come(&rig, 101, RUSH_MIN - 1);
    assert_false(rush_is_on(rig.swim));
    rig_run(&rig, 500 * MSEC);
    come(&rig, 100 + RUSH_MIN, 1);
    assert_true(rush_is_on(rig.swim));
    rig_run(&rig, 3 * USEC_PER_SEC); /* twice 1 s + 108 * 4 ms */
    assert_false(rush_is_on(rig.swim));
    rig_stop(&rig);
}

/* Who comes without an end is no reason to look away without one. */
static void a_rush_is_over_after_a_minute(void **state)
{
    struct rig rig;
    size_t next = 101;

    (void)state;
    start_calm(&rig, 100);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    for (int second = 0; second < 70; second++, next += RUSH_MIN) {
        come(&rig, next, RUSH_MIN);
        rig_run(&rig, USEC_PER_SEC);
        if (second < 50)
            assert_true(rush_is_on(rig.swim));
    }
    assert_true(rig.swim->rumors.lives_count < RUSH_LIVES);
    assert_false(rush_is_on(rig.swim));
    rig_stop(&rig);
}

static void who_hardly_knows_its_crowd_is_in_a_rush(void **state)
{
    struct rig rig;

    (void)state;
    start_calm(&rig, 40);
    rush_expect(rig.swim, GOSSIP_CROWD);
    assert_false(rush_is_on(rig.swim));
    rush_expect(rig.swim, GOSSIP_CROWD + 1);
    assert_true(rush_is_on(rig.swim));
    rig_run(&rig, 59 * USEC_PER_SEC);
    assert_true(rush_is_on(rig.swim));
    rig_run(&rig, 2 * USEC_PER_SEC);
    assert_false(rush_is_on(rig.swim));
    rig_stop(&rig);
    start_calm(&rig, 150);
    rush_expect(rig.swim, 204);
    assert_true(rush_is_on(rig.swim));
    rush_expect(rig.swim, 200);
    assert_false(rush_is_on(rig.swim));
    rig_stop(&rig);
}

/* All newcomers ask it something: it may be late for longer than the others. */
static void after_a_rush_seeds_are_spared_for_a_minute(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2), other = net_id(3);

    (void)state;
    start_calm(&rig, 100);
    struct member *seed = member_find(rig.swim, &id);
    const struct member *peer = member_find(rig.swim, &other);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    seed->shown.is_seed = true;
    assert_false(rush_spares(rig.swim, seed));
    come(&rig, 101, RUSH_MIN);
    assert_true(rush_spares(rig.swim, peer));
    rig_run(&rig, 10 * USEC_PER_SEC);
    assert_false(rush_spares(rig.swim, peer));
    assert_true(rush_spares(rig.swim, seed));
    rig_run(&rig, USEC_PER_MIN);
    assert_false(rush_spares(rig.swim, seed));
    rig_stop(&rig);
}

static void newcomers_one_by_one_are_none(void **state)
{
    struct rig rig;

    (void)state;
    start_calm(&rig, 100);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    for (size_t i = 101; i < 140; i++) {
        come(&rig, i, 1);
        assert_false(rush_is_on(rig.swim));
        rig_run(&rig, 800 * MSEC);
    }
    rig_stop(&rig);
}

static void the_larger_the_lab_the_more_it_takes(void **state)
{
    enum { PEERS = 1280, MOST = PEERS / RUSH_SHARE };
    struct rig rig;

    (void)state;
    start_calm(&rig, PEERS);
    come(&rig, PEERS + 1, MOST - 1);
    assert_false(rush_is_on(rig.swim));
    come(&rig, PEERS + MOST, 1);
    assert_true(rush_is_on(rig.swim));
    rig_stop(&rig);
}

static void a_small_lab_is_never_in_a_rush(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    come(&rig, 1, 64);
    assert_false(rush_is_on(rig.swim));
    come(&rig, 65, 1);
    assert_true(rush_is_on(rig.swim));
    rig_stop(&rig);
}

static void lives_that_wait_are_a_rush_and_ends_are_not(void **state)
{
    struct rig rig;

    (void)state;
    start_calm(&rig, 300);
    for (size_t i = 1; i < RUSH_LIVES; i++)
        rig_claim(&rig, i, i, 1, SWIM_ALIVE);
    assert_false(rush_is_on(rig.swim));
    rig_claim(&rig, RUSH_LIVES, RUSH_LIVES, 1, SWIM_ALIVE);
    assert_true(rush_is_on(rig.swim));
    rig_stop(&rig);
    start_calm(&rig, 300);
    for (size_t i = 1; i < 2 * RUSH_LIVES; i++)
        rig_claim(&rig, i, i, 1, SWIM_LEFT);
    assert_true(rig.swim->rumors.counts[RUMOR_STATE] >= RUSH_LIVES);
    assert_false(rush_is_on(rig.swim));
    rig_stop(&rig);
}

static void lives_that_wait_for_ever_are_a_rush_for_a_minute(void **state)
{
    struct rig rig;

    (void)state;
    start_calm(&rig, 300);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    for (uint64_t second = 0; second < 70; second++) {
        for (size_t i = 1; i <= 2 * RUSH_LIVES; i++)
            rig_claim(&rig, i, i, second + 1, SWIM_ALIVE);
        assert_true(rig.swim->rumors.lives_count >= RUSH_LIVES);
        assert_int_equal(rush_is_on(rig.swim), second < 60);
        rig_run(&rig, USEC_PER_SEC);
    }
    rig_stop(&rig);
}

static void in_a_rush_partners_are_asked_and_nobody_is_probed(void **state)
{
    struct rig rig;
    size_t compared = 0;

    (void)state;
    start_calm(&rig, 100);
    for (size_t second = 0; second < 4; second++) {
        come(&rig, 101 + second * 2 * RUSH_MIN, 2 * RUSH_MIN);
        rig_clear(&rig);
        rig_run(&rig, USEC_PER_SEC);
        assert_int_equal(rig_count_peers(&rig, 200, MESSAGE_PING), 0);
        compared += rig_count_peers(&rig, 200, MESSAGE_COMPARE);
    }
    assert_true(compared >= 2);
    rig_run(&rig, 6 * USEC_PER_SEC);
    assert_true(rig_count_peers(&rig, 200, MESSAGE_PING) > 0);
    rig_stop(&rig);
}

static void a_probe_that_ends_in_a_rush_accuses_nobody(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    for (int is_rush = 0; is_rush < 2; is_rush++) {
        start_calm(&rig, 100);
        size_t target = rig_await_ping(&rig, 100, &ping);
        rig_run(&rig, 500 * MSEC);
        if (is_rush)
            come(&rig, 101, 2 * RUSH_MIN);
        rig_run(&rig, 600 * MSEC);
        assert_int_equal(rig_state(&rig, target), is_rush ? SWIM_ALIVE : SWIM_SUSPECT);
        rig_stop(&rig);
    }
}

static void in_a_rush_nobody_verifies(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    for (int is_rush = 0; is_rush < 2; is_rush++) {
        size_t verified = 0;
        start_calm(&rig, 100);
        if (is_rush)
            come(&rig, 101, 2 * RUSH_MIN);
        for (size_t i = 1; i <= 100; i++) {
            rig_clear(&rig);
            rig_claim(&rig, 100, i, 0, SWIM_SUSPECT);
            verified += rig_sent(&rig, i, MESSAGE_PING, &ping);
        }
        if (is_rush)
            assert_int_equal(verified, 0);
        else
            assert_true(verified > 0);
        rig_stop(&rig);
    }
}

static void in_a_rush_news_wait_to_fill_packets(void **state)
{
    struct rig rig;

    (void)state;
    start_calm(&rig, 100);
    rig_run(&rig, 300 * MSEC);
    come(&rig, 101, 2 * RUSH_MIN);
    rig_run(&rig, 10 * MSEC); /* what began before */
    rig_clear(&rig);
    for (size_t i = 0; i < 8; i++) {
        come(&rig, 150 + i, 1);
        rig_run(&rig, 20 * MSEC);
    }
    assert_int_equal(rig_count_peers(&rig, 160, MESSAGE_ALIVE), 0);
    rig_run(&rig, 50 * MSEC);
    assert_true(rig_count_peers(&rig, 160, MESSAGE_ALIVE) > 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_newcomers_are_a_rush_for_a_moment),
        cmocka_unit_test(a_rush_is_over_after_a_minute),
        cmocka_unit_test(after_a_rush_seeds_are_spared_for_a_minute),
        cmocka_unit_test(who_hardly_knows_its_crowd_is_in_a_rush),
        cmocka_unit_test(newcomers_one_by_one_are_none),
        cmocka_unit_test(the_larger_the_lab_the_more_it_takes),
        cmocka_unit_test(a_small_lab_is_never_in_a_rush),
        cmocka_unit_test(lives_that_wait_are_a_rush_and_ends_are_not),
        cmocka_unit_test(lives_that_wait_for_ever_are_a_rush_for_a_minute),
        cmocka_unit_test(in_a_rush_partners_are_asked_and_nobody_is_probed),
        cmocka_unit_test(a_probe_that_ends_in_a_rush_accuses_nobody),
        cmocka_unit_test(in_a_rush_nobody_verifies),
        cmocka_unit_test(in_a_rush_news_wait_to_fill_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
