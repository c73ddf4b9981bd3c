/* SPDX-License-Identifier: MIT */
/*
 * One test per claim of SWIM (Das, Gupta, Motivala, DSN 2002) that this core implements, with the
 * section that makes it. The table of all of them is in daemon/PROTOCOL.md.
 */
#include "swim_net.h"

#include <math.h>

#define MSEC USEC_PER_MSEC

/* SWIM 3.1: each protocol period one member is selected and sent a ping. */
static void each_period_one_member_is_pinged(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 8);
    for (int i = 0; i < 20; i++) {
        size_t target = rig_await_ping(&rig, 8, &ping);
        usec_t start = rig.now;
        rig_ack(&rig, target, ping.seq);
        target = rig_await_ping(&rig, 8, &ping);
        if (i > 0)
            assert_in_range(rig.now - start, 990 * MSEC, 1010 * MSEC);
        rig_ack(&rig, target, ping.seq);
    }
    rig_stop(&rig);
}

/* SWIM 3.1: without an ack in time, k members are asked by ping-req to try on its behalf. */
static void k_members_are_asked_when_the_ack_is_late(void **state)
{
    struct swim_config config;
    struct rig rig;
    struct message ping;

    (void)state;
    swim_config_default(&config);
    for (config.indirect_probes = 0; config.indirect_probes <= 5; config.indirect_probes++) {
        rig_start(&rig, &config);
        rig_meet(&rig, 10);
        (void)rig_await_ping(&rig, 10, &ping);
        rig_run(&rig, 500 * MSEC);
        assert_int_equal(rig_count_peers(&rig, 10, MESSAGE_ASK), config.indirect_probes);
        rig_stop(&rig);
    }
}

/* SWIM 3.1: an ack that a helper passes on counts like one from the target itself. */
static void an_indirect_ack_is_as_good_as_a_direct_one(void **state)
{
    struct net *net = net_begin(6, 21);

    (void)state;
    net->cut[1][2] = net->cut[2][1] = true;
    net_run(net, USEC_PER_MIN);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(net->nodes[i].events_count[SWIM_EVENT_MEMBER_SUSPECT], 0);
    net_free(net);
}

/* SWIM 4.1: dissemination piggybacks on the failure detector's pings and acks. */
static void rumors_ride_on_pings_and_acks(void **state)
{
    struct rig rig;
    struct message ping = {.type = MESSAGE_PING, .seq = 1}, message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_claim(&rig, 1, 2, 1, SWIM_ALIVE);
    rig_clear(&rig);
    rig_say(&rig, 3, &ping);
    assert_int_equal(rig.sent_count, 1);
    assert_true(rig_sent(&rig, 3, MESSAGE_ACK, &message));
    assert_true(rig_sent(&rig, 3, MESSAGE_ALIVE, &message));
    rig_stop(&rig);
}

/* SWIM 4.1: an element is piggybacked at most lambda log n times. */
static void a_rumor_dies_out_after_lambda_log_n_packets(void **state)
{
    struct rig rig;
    struct message ping = {.type = MESSAGE_PING, .seq = 1}, message;
    size_t count = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 30);
    rig_run(&rig, 5 * USEC_PER_SEC);
    while (rumors_count(&rig.swim->rumors) > 0)
        rig_say(&rig, 1, &ping);
    rig_clear(&rig);
    struct node_id id = net_id(7);
    rumor_spread(rig.swim, member_find(rig.swim, &id), false);
    for (int i = 0; i < 50; i++) {
        rig_clear(&rig);
        rig_say(&rig, 1, &ping);
        count += rig_sent(&rig, 1, MESSAGE_ALIVE, &message) ||
                 rig_sent(&rig, 1, MESSAGE_SUSPECT, &message);
    }
    assert_int_equal(count, 8); /* 4 * ceil(log10(32)) */
    rig_stop(&rig);
}

/* SWIM 4.2: a member without an ack is first suspected, instead of declared failed. */
static void a_failed_probe_makes_a_suspect_and_not_a_dead(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    size_t target = rig_start_probe(&rig, 6, &ping);
    rig_run(&rig, 1050 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_DEAD), 0);
    rig_stop(&rig);
}

/* SWIM 4.2: a suspect that is not cleared in time is confirmed as failed, and that is spread. */
static void an_expired_suspicion_is_a_death_that_all_hear_of(void **state)
{
    struct net *net = net_begin(12, 22);

    (void)state;
    net_run(net, 3 * USEC_PER_SEC);
    net_kill(net, 7);
    assert_true(net_await_state(net, 7, SWIM_DEAD, 20 * USEC_PER_SEC) != USEC_INFINITY);
    for (size_t i = 0; i < 12; i++)
        if (i != 7)
            assert_int_equal(net->nodes[i].events_count[SWIM_EVENT_MEMBER_DEAD], 1);
    net_free(net);
}

/* SWIM 4.2: whoever confirms a failure spreads that, as a rumor of its own. */
static void a_verdict_is_spread(void **state)
{
    struct rig rig;
    struct message ping = {.type = MESSAGE_PING, .seq = 1};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig.swim->probes.grace_end_usec = USEC_INFINITY; /* our own probes accuse nobody */
    for (size_t i = 1; i <= 4; i++)
        rig_claim(&rig, i, 9, 0, SWIM_SUSPECT);
    rig_run(&rig, 1900 * MSEC);
    while (rumors_count(&rig.swim->rumors) > 0)
        rig_say(&rig, 8, &ping);
    rig_clear(&rig);
    while (rig_state(&rig, 9) == SWIM_SUSPECT)
        rig_run(&rig, MSEC);
    rig_run(&rig, 20 * MSEC);
    assert_in_range(rig_count_peers(&rig, 8, MESSAGE_DEAD), 3, 8);
    rig_stop(&rig);
}

/* SWIM 4.2: only a member itself raises its incarnation, and only when it hears of its suspicion.
 */
static void only_the_suspect_raises_its_incarnation(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_claim(&rig, 1, 2, 0, SWIM_SUSPECT);
    rig_run(&rig, 500 * MSEC);
    assert_int_equal(swim_find(rig.swim, &id)->incarnation.counter, 0);
    rig_claim(&rig, 1, 0, 0, SWIM_SUSPECT);
    assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, 1);
    rig_stop(&rig);
}

/* SWIM 4.2: {Alive, inc=i} overrides {Suspect, j} and {Alive, j} for i > j; {Suspect, i} overrides
 * {Suspect, j} for i > j and {Alive, j} for i >= j; Confirm overrides both. */
static void precedence_is_the_tables(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_claim(&rig, 1, 2, 0, SWIM_SUSPECT);
    rig_claim(&rig, 1, 2, 0, SWIM_ALIVE);
    assert_int_equal(rig_state(&rig, 2), SWIM_SUSPECT);
    rig_claim(&rig, 1, 2, 1, SWIM_ALIVE);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    rig_claim(&rig, 1, 2, 0, SWIM_SUSPECT);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    rig_claim(&rig, 1, 2, 1, SWIM_SUSPECT);
    assert_int_equal(rig_state(&rig, 2), SWIM_SUSPECT);
    rig_bury(&rig, 1, 2, 1);
    assert_int_equal(rig_state(&rig, 2), SWIM_DEAD);
    rig_claim(&rig, 1, 2, 1, SWIM_SUSPECT);
    assert_int_equal(rig_state(&rig, 2), SWIM_DEAD);
    rig_stop(&rig);
}

/* SWIM 4.3: successive selections of the same target are at most 2n - 1 periods apart. */
static void every_member_is_probed_within_2n_minus_1_periods(void **state)
{
    enum { N = 12 };
    struct rig rig;
    size_t last[N + 1] = {0};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, N);
    while (rig.swim->members.position < N)
        members_next(rig.swim);
    for (size_t period = 1; period <= 40 * N; period++) {
        size_t i = (size_t)members_next(rig.swim)->shown.id.bytes[15] - 1;
        assert_true(period - last[i] <= 2 * N - 1);
        last[i] = period;
    }
    rig_stop(&rig);
}

/* SWIM 4.3: a new member is inserted at a position chosen at random. */
static void newcomers_stand_anywhere_in_the_order(void **state)
{
    bool seen[11] = {false};

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct rig rig;
        struct node_id id = net_id(10);
        rig_start(&rig, NULL);
        rig_meet(&rig, 9);
        rng_init(&rig.swim->rng, seed);
        rig_meet(&rig, 10);
        seen[member_find(rig.swim, &id)->shown.turn] = true;
        rig_stop(&rig);
    }
    for (size_t i = 1; i <= 10; i++)
        assert_true(seen[i]);
}

/* SWIM 3.1: the time until somebody probes a dead member, and finds it silent, is e / (e - 1)
 * periods on average, and does not grow with the group. Ours ends one period after the first
 * request. */
static void first_detection_takes_as_long_in_every_group(void **state)
{
    static const size_t sizes[] = {6, 24};
    usec_t average[ARRAY_SIZE(sizes)];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const usec_t runs = 30;
        usec_t sum = 0;
        for (usec_t run = 0; run < runs; run++) {
            struct net *net = net_begin(sizes[i], 100 + run);
            net_run(net, USEC_PER_SEC + run * 33 * MSEC);
            usec_t start = net->now;
            net_kill(net, 1);
            while (net_count(net, 1, SWIM_SUSPECT) == 0)
                net_run(net, 10 * MSEC);
            sum += net->now - start;
            net_free(net);
        }
        average[i] = sum / runs;
        assert_in_range(average[i], 1300 * MSEC, 2582 * MSEC); /* 1 + e / (e - 1) */
    }
    usec_t difference = MAX(average[0], average[1]) - MIN(average[0], average[1]);
    assert_true(difference < 600 * MSEC);
}

/* SWIM 2 and 3.1: the load on each member is constant, however many there are. */
static void the_load_per_member_does_not_grow_with_the_group(void **state)
{
    static const size_t sizes[] = {4, 64};
    const uint64_t seconds = 40;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct net *net = net_begin(sizes[i], 24);
        net_run(net, 20 * USEC_PER_SEC);
        net->packets_count = 0;
        net_run(net, seconds * USEC_PER_SEC);
        /* A ping and an ack each second; a digest is compared now and then. */
        assert_in_range(net->packets_count, 2 * seconds * sizes[i] - sizes[i],
                        (uint64_t)(2.15 * (double)(seconds * sizes[i])));
        net_free(net);
    }
}

/* SWIM 4.1: news infect the group in a number of periods that is logarithmic in its size. */
static void news_reach_all_in_a_logarithmic_time(void **state)
{
    (void)state;
    for (size_t size = 8; size <= 128; size *= 4) {
        struct net *net = net_begin(size, 25);
        uint8_t meta[] = {1, 2, 3};
        struct node_id id = net_id(3);
        size_t told = 0;

        net_run(net, 15 * USEC_PER_SEC);
        assert_int_equal(swim_set_meta(net->nodes[3].swim, meta, sizeof(meta), net->now), 0);
        net_drain(net, 3);
        net_run(net, (usec_t)(log2((double)size) * 100) * MSEC);
        for (size_t i = 0; i < size; i++)
            told += swim_find(net->nodes[i].swim, &id)->meta_size == sizeof(meta);
        assert_int_equal(told, size);
        net_free(net);
    }
}

/* SWIM 4.2: a suspect is probed like any other member. */
static void a_suspect_is_still_probed(void **state)
{
    struct rig rig;
    struct message ping;
    bool is_probed = false;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    rig.swim->probes.grace_end_usec = USEC_INFINITY; /* our own probes accuse nobody */
    rig_claim(&rig, 1, 4, 0, SWIM_SUSPECT);
    rig_run(&rig, 1500 * MSEC); /* what verifies it is over */
    for (int i = 0; i < 8 && rig_state(&rig, 4) == SWIM_SUSPECT; i++) {
        size_t target = rig_await_ping(&rig, 6, &ping);
        is_probed |= target == 4;
        rig_ack(&rig, target, ping.seq);
    }
    assert_true(is_probed);
    rig_stop(&rig);
}

/* SWIM 4.3: at the end of a traversal the list is rearranged at random. */
static void the_order_changes_after_each_traversal(void **state)
{
    enum { N = 12, ROUNDS = 6 };
    struct rig rig;
    size_t order[ROUNDS][N], changed = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, N);
    while (rig.swim->members.position < N)
        members_next(rig.swim);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < N; i++)
            order[round][i] = (size_t)members_next(rig.swim)->shown.id.bytes[15];
    for (size_t round = 1; round < ROUNDS; round++)
        changed += memcmp(order[round], order[round - 1], sizeof(order[0])) != 0;
    assert_int_equal(changed, ROUNDS - 1);
    rig_stop(&rig);
}

/* SWIM 4.3: every member by itself detects a failure within 2n - 1 periods. */
static void each_member_detects_a_failure_by_itself_in_bounded_time(void **state)
{
    enum { N = 7, DEAD = 3 };
    struct rig rig;
    struct message ping;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        rig_start(&rig, NULL);
        rng_init(&rig.swim->rng, seed);
        rig_meet(&rig, N);
        usec_t start = rig.now;
        while (rig_state(&rig, DEAD) == SWIM_ALIVE && rig.now < start + 60 * USEC_PER_SEC) {
            rig_clear(&rig);
            rig_run(&rig, MSEC);
            for (size_t i = 1; i <= N; i++)
                if (i != DEAD && rig_sent(&rig, i, MESSAGE_PING, &ping))
                    rig_ack(&rig, i, ping.seq);
        }
        assert_in_range(rig.now - start, 0, (2 * N - 1 + 1) * USEC_PER_SEC + 100 * MSEC);
        rig_stop(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_period_one_member_is_pinged),
        cmocka_unit_test(k_members_are_asked_when_the_ack_is_late),
        cmocka_unit_test(an_indirect_ack_is_as_good_as_a_direct_one),
        cmocka_unit_test(rumors_ride_on_pings_and_acks),
        cmocka_unit_test(a_rumor_dies_out_after_lambda_log_n_packets),
        cmocka_unit_test(a_failed_probe_makes_a_suspect_and_not_a_dead),
        cmocka_unit_test(an_expired_suspicion_is_a_death_that_all_hear_of),
        cmocka_unit_test(a_verdict_is_spread),
        cmocka_unit_test(only_the_suspect_raises_its_incarnation),
        cmocka_unit_test(precedence_is_the_tables),
        cmocka_unit_test(every_member_is_probed_within_2n_minus_1_periods),
        cmocka_unit_test(newcomers_stand_anywhere_in_the_order),
        cmocka_unit_test(first_detection_takes_as_long_in_every_group),
        cmocka_unit_test(the_load_per_member_does_not_grow_with_the_group),
        cmocka_unit_test(news_reach_all_in_a_logarithmic_time),
        cmocka_unit_test(a_suspect_is_still_probed),
        cmocka_unit_test(the_order_changes_after_each_traversal),
        cmocka_unit_test(each_member_detects_a_failure_by_itself_in_bounded_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
