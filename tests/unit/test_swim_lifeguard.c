/* SPDX-License-Identifier: MIT */
/*
 * One test per claim of Lifeguard (arXiv:1707.00788v2) that this core implements, with the
 * component that makes it. The table of all of them is in daemon/PROTOCOL.md.
 */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

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
        rig.swim->probes.health = i;
        rig_ack(&rig, 1, ping.seq);
        assert_int_equal(rig.swim->probes.health, i - 1);
    }
    (void)rig_await_ping(&rig, 1, &ping);
    rig_ack(&rig, 1, ping.seq);
    assert_int_equal(rig.swim->probes.health, 0);
    rig_stop(&rig);
}

/* Lifeguard, LHA-Probe: the probe's timeout, too, is multiplied by LHM + 1. */
static void an_unhealthy_node_waits_longer_for_its_answers(void **state)
{
    (void)state;
    for (uint32_t health = 0; health <= 2; health++) {
        struct rig rig;
        struct message ping;

        rig_start(&rig, NULL);
        rig_meet(&rig, 6);
        for (size_t i = 1; i <= 6; i++) {
            struct node_id id = net_id(i);
            for (int sample = 0; sample < 50; sample++)
                probe_measure(member_find(rig.swim, &id), 100 * MSEC);
        }
        rig.swim->probes.health = health;
        size_t target = rig_await_ping(&rig, 6, &ping);
        rig_run(&rig, (health + 1) * 98 * MSEC);
        assert_false(rig_sent_nth(&rig, target, MESSAGE_PING, 1, &ping));
        rig_run(&rig, (health + 1) * 10 * MSEC);
        assert_true(rig_sent_nth(&rig, target, MESSAGE_PING, 1, &ping));
        rig_stop(&rig);
    }
}

/* Waits for the next probe and answers it. Return: when it began. */
static usec_t answer_next(struct rig *rig, size_t peers)
{
    struct message ping;
    size_t target = rig_await_ping(rig, peers, &ping);

    rig_ack(rig, target, ping.seq);
    return rig->now;
}

/* Lifeguard, LHA-Probe: the protocol period is multiplied by LHM + 1. */
static void an_unhealthy_node_begins_probes_less_often(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    (void)answer_next(&rig, 6);
    for (uint32_t health = 1; health <= 8; health *= 2) {
        rig.swim->probes.health = health;
        usec_t start = answer_next(&rig, 6);
        rig.swim->probes.health = 0;
        assert_in_range(answer_next(&rig, 6) - start, (health + 1) * USEC_PER_SEC - 10 * MSEC,
                        (health + 1) * USEC_PER_SEC + 10 * MSEC);
    }
    rig_stop(&rig);
}

/* Lifeguard, LHA-Probe: a probe fails at the end of the stretched period, not before. */
static void an_unhealthy_node_accuses_later(void **state)
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

        size_t target = rig_start_probe(&rig, 6, &ping);
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
    struct message ping = {.type = MESSAGE_PING, .seq = 1}, message;
    struct node_id id = net_id(9);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig.swim->probes.grace_end_usec = USEC_INFINITY; /* our own probes accuse nobody */
    for (size_t i = 1; i <= 6; i++) {
        while (rumors_count(&rig.swim->rumors) >
               0) /* what was heard before is passed on, and over */
            rig_say(&rig, 8, &ping);
        rig_claim(&rig, i, 9, 0, SWIM_SUSPECT);
        rig_clear(&rig);
        rig_say(&rig, 8, &ping);
        assert_int_equal(rig_sent(&rig, 8, MESSAGE_SUSPECT, &message), i <= 4);
        if (i <= 4)
            assert_int_equal(message.claim.accusers_count, i);
    }
    assert_int_equal(member_suspicion(member_find(rig.swim, &id))->accusers_count, 4);
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

/* Lifeguard's aim: a member that processes its messages slowly accuses little, and kills nobody. */
static void a_deaf_member_accuses_little_and_kills_nobody(void **state)
{
    struct net *net = net_begin(12, 23);
    struct swim_statistics statistics;

    (void)state;
    net_run(net, 2 * USEC_PER_SEC);
    /* n4 sends, and hears nothing. */
    for (size_t i = 0; i < 12; i++)
        net->cut[i][4] = i != 4;
    net_run(net, USEC_PER_MIN);
    swim_get_statistics(net->nodes[4].swim, &statistics);
    assert_in_range(statistics.probes_failed, 1, 12); /* of sixty */
    for (size_t i = 0; i < 12; i++)
        if (i != 4) {
            assert_true(net_count(net, i, SWIM_ALIVE) >= 10);
            assert_int_equal(net->nodes[i].events_count[SWIM_EVENT_MEMBER_DEAD], 1); /* n4 itself */
        }
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_health_follows_our_own_failures),
        cmocka_unit_test(an_unhealthy_node_waits_longer_for_its_answers),
        cmocka_unit_test(an_unhealthy_node_begins_probes_less_often),
        cmocka_unit_test(an_unhealthy_node_accuses_later),
        cmocka_unit_test(nacks_keep_our_health),
        cmocka_unit_test(having_to_refute_costs_health),
        cmocka_unit_test(the_first_confirmations_are_passed_on),
        cmocka_unit_test(a_suspect_is_told_first_by_every_packet),
        cmocka_unit_test(a_deaf_member_accuses_little_and_kills_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
