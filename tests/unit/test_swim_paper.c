/* SPDX-License-Identifier: MIT */
/*
 * One test per claim of the papers that this core implements, with the section that makes it:
 * SWIM = Das, Gupta, Motivala, DSN 2002; Lifeguard = arXiv:1707.00788v2.
 */
#include "swim_net.h"

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
    rumor_spread(rig.swim, &member_find(rig.swim, &id)->rumor, false);
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
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    size_t target = rig_await_ping(&rig, 6, &ping);
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
        seen[member_find(rig.swim, &id)->turn] = true;
        rig_stop(&rig);
    }
    for (size_t i = 1; i <= 10; i++)
        assert_true(seen[i]);
}

/* Lifeguard, LHA-Probe: failed probes raise the multiplier, good ones lower it, 0..S. */
static void local_health_follows_our_own_failures(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1); /* no helpers: nobody to say that it is not us */
    rig.swim->probes.grace_end_usec = USEC_INFINITY; /* the target stays */
    for (uint32_t i = 1; i <= PROBE_HEALTH_MAX + 2; i++) {
        (void)rig_await_ping(&rig, 1, &ping);
        rig_run(&rig, 10 * USEC_PER_SEC);
        assert_true(rig.swim->probes.health >= MIN(i, (uint32_t)PROBE_HEALTH_MAX));
    }
    assert_int_equal(rig.swim->probes.health, PROBE_HEALTH_MAX);
    for (uint32_t i = PROBE_HEALTH_MAX; i > 0; i--) {
        (void)rig_await_ping(&rig, 1, &ping);
        rig_ack(&rig, 1, ping.seq);
    }
    assert_true(rig.swim->probes.health < PROBE_HEALTH_MAX);
    rig_stop(&rig);
}

/* Lifeguard, LHA-Probe: interval and timeout are stretched by LHM + 1. */
static void an_unhealthy_node_probes_slower(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    rig.swim->probes.health = 3;
    size_t target = rig_await_ping(&rig, 6, &ping);
    usec_t start = rig.now;
    rig_run(&rig, 3900 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
    rig_run(&rig, 200 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    assert_true(rig.now - start < 4200 * MSEC);
    rig_stop(&rig);
}

/* Lifeguard, LHA-Probe: helpers answer nack, so that a lost target does not count against us. */
static void nacks_keep_our_health(void **state)
{
    (void)state;
    for (int has_nacks = 0; has_nacks <= 1; has_nacks++) {
        struct rig rig;
        struct message ping, ask, nack = {.type = MESSAGE_NACK};

        rig_start(&rig, NULL);
        rig_meet(&rig, 6);
        size_t target = rig_await_ping(&rig, 6, &ping);
        rig_run(&rig, 600 * MSEC);
        for (size_t i = 1; i <= 6 && has_nacks; i++)
            if (rig_sent(&rig, i, MESSAGE_ASK, &ask)) {
                nack.seq = ask.seq;
                rig_say(&rig, i, &nack);
            }
        for (int i = 0; i < 600 && rig_state(&rig, target) == SWIM_ALIVE; i++)
            rig_run(&rig, MSEC);
        assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
        assert_int_equal(rig.swim->probes.health, has_nacks ? 0 : 3);
        rig_stop(&rig);
    }
}

/* Lifeguard, LHA-Probe: refuting a suspicion about oneself is a sign of slowness. */
static void having_to_refute_costs_health(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_claim(&rig, 1, 0, 0, SWIM_SUSPECT);
    assert_int_equal(rig.swim->probes.health, 1);
    rig_stop(&rig);
}

/* Lifeguard, LHA-Suspicion: a node re-gossips the first k independent suspicions, no more. */
static void the_first_confirmations_are_passed_on(void **state)
{
    struct rig rig;
    struct message message;
    struct node_id id = net_id(9);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    for (size_t i = 1; i <= 6; i++)
        rig_claim(&rig, i, 9, 0, SWIM_SUSPECT);
    assert_int_equal(member_find(rig.swim, &id)->suspicion->accusers_count,
                     1 + SUSPICION_CONFIRMATIONS);
    rig_clear(&rig);
    rig_run(&rig, 15 * MSEC);
    size_t told = 0;
    for (size_t i = 1; i <= 8; i++)
        if (rig_sent(&rig, i, MESSAGE_SUSPECT, &message)) {
            assert_int_equal(message.claim.accusers_count, 1 + SUSPICION_CONFIRMATIONS);
            told++;
        }
    assert_true(told > 0);
    rig_stop(&rig);
}

/* Lifeguard, Buddy System: a suspect is told so by whatever is sent to it, before all else. */
static void a_suspect_is_told_first_by_every_packet(void **state)
{
    struct rig rig;
    struct message ping = {.type = MESSAGE_PING, .seq = 4}, message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig_claim(&rig, 1, 9, 0, SWIM_SUSPECT);
    rig_clear(&rig);
    rig_say(&rig, 9, &ping);
    struct address address = net_address(9);
    assert_true(address_is_equal(&rig.sent[0].to, &address));
    struct reader reader = reader_from(rig.sent[0].data, rig.sent[0].size);
    assert_true(message_begin(&reader));
    assert_int_equal(message_read(&reader, &message), 1);
    assert_int_equal(message.type, MESSAGE_SUSPECT);
    assert_int_equal(message_read(&reader, &message), 1);
    assert_int_equal(message.type, MESSAGE_ACK);
    rig_stop(&rig);
}

/* Lifeguard's aim: slow processing at one member makes no false death of a healthy one. */
static void a_deaf_member_kills_nobody(void **state)
{
    struct net *net = net_begin(12, 23);

    (void)state;
    net_run(net, 2 * USEC_PER_SEC);
    /* n4 sends, and hears next to nothing. */
    for (size_t i = 0; i < 12; i++)
        net->cut[i][4] = i != 4;
    net_run(net, USEC_PER_MIN);
    for (size_t i = 0; i < 12; i++)
        if (i != 4)
            assert_true(net_count(net, i, SWIM_ALIVE) >= 10);
    net_free(net);
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
        cmocka_unit_test(only_the_suspect_raises_its_incarnation),
        cmocka_unit_test(precedence_is_the_tables),
        cmocka_unit_test(every_member_is_probed_within_2n_minus_1_periods),
        cmocka_unit_test(newcomers_stand_anywhere_in_the_order),
        cmocka_unit_test(local_health_follows_our_own_failures),
        cmocka_unit_test(an_unhealthy_node_probes_slower),
        cmocka_unit_test(nacks_keep_our_health),
        cmocka_unit_test(having_to_refute_costs_health),
        cmocka_unit_test(the_first_confirmations_are_passed_on),
        cmocka_unit_test(a_suspect_is_told_first_by_every_packet),
        cmocka_unit_test(a_deaf_member_kills_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
