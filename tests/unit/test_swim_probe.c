/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static void requests_are_repeated_and_helpers_asked_with_the_second(void **state)
{
    struct rig rig;
    struct message ping, message;

    (void)state;
    size_t target = rig_start_probe(&rig, 6, &ping);
    assert_int_equal(rig_count_peers(&rig, 6, MESSAGE_ASK), 0);
    rig_run(&rig, 340 * MSEC);
    assert_true(rig_sent_nth(&rig, target, MESSAGE_PING, 1, &message));
    assert_int_equal(message.seq, ping.seq + 1);
    assert_int_equal(rig_count_peers(&rig, 6, MESSAGE_ASK), 3);
    assert_false(rig_sent(&rig, target, MESSAGE_ASK, &message));
    rig_run(&rig, 340 * MSEC);
    assert_true(rig_sent_nth(&rig, target, MESSAGE_PING, 2, &message));
    assert_false(rig_sent_nth(&rig, target, MESSAGE_PING, 3, &message));
    assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
    rig_run(&rig, 340 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    rig_stop(&rig);
}

static void an_answer_to_any_request_saves_the_target(void **state)
{
    (void)state;
    for (uint32_t request = 0; request < 3; request++) {
        struct rig rig;
        struct message ping;

        size_t target = rig_start_probe(&rig, 6, &ping);
        rig_run(&rig, 700 * MSEC);
        rig_ack(&rig, target, ping.seq + request);
        rig_run(&rig, 290 * MSEC);
        assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
        rig_stop(&rig);
    }
}

static uint16_t loss(struct rig *rig, size_t peer)
{
    struct node_id id = net_id(peer);

    return swim_find(rig->swim, &id)->loss_permille;
}

static void requests_without_an_answer_are_loss(void **state)
{
    static const uint16_t wanted[] = {0, 63 - 4, 122 - 8};

    (void)state;
    for (uint32_t request = 0; request < 3; request++) {
        struct rig rig;
        struct message ping;
        size_t target = rig_start_probe(&rig, 6, &ping);
        rig_run(&rig, 700 * MSEC);
        assert_int_equal(loss(&rig, target), 0);
        rig_ack(&rig, target, ping.seq + request);
        assert_int_equal(loss(&rig, target), wanted[request]);
        rig_stop(&rig);
    }
    struct rig rig;
    struct message ping;
    size_t target = rig_start_probe(&rig, 6, &ping);
    rig_run(&rig, 1100 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    assert_in_range(loss(&rig, target), 170, 185);
    rig_stop(&rig);
}

static void an_answer_from_another_or_to_another_request_does_not(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    size_t target = rig_start_probe(&rig, 6, &ping);
    rig_run(&rig, 700 * MSEC);
    rig_ack(&rig, target == 1 ? 2 : 1, ping.seq);
    rig_ack(&rig, target, ping.seq + 17);
    rig_run(&rig, 340 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    rig_stop(&rig);
}

static void a_helper_that_was_asked_saves_the_target(void **state)
{
    struct rig rig;
    struct message ping, ask, relayed = {.type = MESSAGE_RELAYED};

    (void)state;
    size_t target = rig_start_probe(&rig, 6, &ping);
    rig_run(&rig, 400 * MSEC);
    for (size_t i = 1; i <= 6; i++) {
        bool is_asked = rig_sent(&rig, i, MESSAGE_ASK, &ask);
        relayed.seq = ping.seq + 3;
        if (!is_asked && i != target)
            rig_say(&rig, i, &relayed); /* nobody asked this one */
    }
    assert_false(list_is_empty(&rig.swim->probes.active));
    for (size_t i = 1; i <= 6; i++)
        if (rig_sent(&rig, i, MESSAGE_ASK, &ask)) {
            relayed.seq = ask.seq;
            rig_say(&rig, i, &relayed);
            break;
        }
    rig_run(&rig, 590 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
    rig_stop(&rig);
}

/* A helper's word of the suspect counts like a packet of it. */
static void a_relayed_answer_of_a_suspect_defers_its_verdict(void **state)
{
    (void)state;
    for (int is_relayed = 0; is_relayed <= 1; is_relayed++) {
        struct rig rig;
        struct message ping, ask, relayed = {.type = MESSAGE_RELAYED};

        size_t target = rig_start_probe(&rig, 9, &ping);
        for (size_t i = 1; i <= 5; i++)
            if (i != target)
                rig_claim(&rig, i, target, 0, SWIM_SUSPECT);
        rig_run(&rig, 900 * MSEC);
        for (size_t i = 1; i <= 9 && is_relayed; i++)
            if (rig_sent(&rig, i, MESSAGE_ASK, &ask)) {
                relayed.seq = ask.seq;
                rig_say(&rig, i, &relayed);
                break;
            }
        rig_run(&rig, 1600 * MSEC); /* 2.08 s is the least */
        assert_int_equal(rig_state(&rig, target), is_relayed ? SWIM_SUSPECT : SWIM_DEAD);
        rig_stop(&rig);
    }
}

static void round_trips_are_smoothed_and_bound_the_wait(void **state)
{
    struct rig rig;
    struct node_id id = net_id(1);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    struct member *member = member_find(rig.swim, &id);
    assert_int_equal(probe_timeout(rig.swim, member), 500 * MSEC);
    for (int i = 0; i < 50; i++)
        probe_measure(member, 100 * MSEC);
    assert_int_equal(member->shown.rtt_usec, 100 * MSEC);
    assert_in_range(probe_timeout(rig.swim, member), 100 * MSEC, 110 * MSEC);
    probe_measure(member, 140 * MSEC); /* variation 10, round trip 105 */
    assert_in_range(probe_timeout(rig.swim, member), 140 * MSEC, 150 * MSEC);
    for (int i = 0; i < 50; i++)
        probe_measure(member, MSEC);
    assert_int_equal(probe_timeout(rig.swim, member), PROBE_RTO_MIN_USEC);
    for (int i = 0; i < 50; i++)
        probe_measure(member, 3 * USEC_PER_SEC);
    assert_int_equal(probe_timeout(rig.swim, member), 500 * MSEC);
    rig_stop(&rig);
}

static struct message ask_for(size_t i, uint32_t seq)
{
    struct message message = {.type = MESSAGE_ASK, .seq = seq};

    message.id = net_id(i);
    return message;
}

static void an_answer_is_relayed_to_the_asker(void **state)
{
    struct rig rig;
    struct message ask = ask_for(2, 77), ping, relayed;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    rig_say(&rig, 1, &ask);
    assert_true(rig_sent(&rig, 2, MESSAGE_PING, &ping));
    rig_ack(&rig, 2, ping.seq);
    assert_true(rig_sent(&rig, 1, MESSAGE_RELAYED, &relayed));
    assert_int_equal(relayed.seq, 77);
    rig_run(&rig, 500 * MSEC);
    assert_false(rig_sent(&rig, 1, MESSAGE_NACK, &relayed));
    rig_stop(&rig);
}

static void silence_is_told_as_nack_after_a_second_request(void **state)
{
    struct rig rig;
    struct message ask = ask_for(2, 77), message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    rig.swim->config.probe_interval_usec = 60 * USEC_PER_SEC; /* no probes of its own */
    timer_set(&rig.swim->timers, &rig.swim->probes.round_timer, TIMER_NEVER);
    rig_say(&rig, 1, &ask);
    rig_run(&rig, 390 * MSEC);
    assert_true(rig_sent_nth(&rig, 2, MESSAGE_PING, 1, &message));
    assert_false(rig_sent_nth(&rig, 2, MESSAGE_PING, 2, &message));
    assert_false(rig_sent(&rig, 1, MESSAGE_NACK, &message));
    rig_run(&rig, 20 * MSEC);
    assert_true(rig_sent(&rig, 1, MESSAGE_NACK, &message));
    assert_int_equal(message.seq, 77);
    rig_stop(&rig);
}

static void strangers_and_the_dead_are_not_probed_for_others(void **state)
{
    struct rig rig;
    struct message ask = ask_for(9, 5), message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    rig_say(&rig, 1, &ask);
    assert_true(rig_sent(&rig, 1, MESSAGE_NACK, &message));
    assert_false(rig_sent(&rig, 9, MESSAGE_PING, &message));
    rig_bury(&rig, 1, 2, 0);
    rig_clear(&rig);
    ask = ask_for(2, 6);
    rig_say(&rig, 1, &ask);
    assert_true(rig_sent(&rig, 1, MESSAGE_NACK, &message));
    assert_false(rig_sent(&rig, 2, MESSAGE_PING, &message));
    rig_stop(&rig);
}

static void relays_are_bounded(void **state)
{
    struct rig rig;
    struct message message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    for (uint32_t i = 0; i < RELAYS_MAX; i++) {
        struct message ask = ask_for(2, i);
        rig_say(&rig, 1, &ask);
    }
    assert_int_equal(rig.swim->relays.count, RELAYS_MAX);
    rig_clear(&rig);
    struct message ask = ask_for(2, 999);
    rig_say(&rig, 1, &ask);
    assert_int_equal(rig.swim->relays.count, RELAYS_MAX);
    assert_true(rig_sent(&rig, 1, MESSAGE_NACK, &message));
    rig_run(&rig, USEC_PER_SEC);
    assert_int_equal(rig.swim->relays.count, 0);
    rig_stop(&rig);
}

static void a_ping_is_told_with_its_round_trip(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2);
    struct message ping;
    uint64_t token;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    timer_set(&rig.swim->timers, &rig.swim->probes.round_timer, TIMER_NEVER);
    assert_int_equal(swim_ping(rig.swim, &id, rig.now, &token), 0);
    rig_drain(&rig);
    assert_true(rig_sent(&rig, 2, MESSAGE_PING, &ping));
    rig_run(&rig, 3 * MSEC);
    rig_clear(&rig);
    rig_ack(&rig, 2, ping.seq);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_PING), 1);
    for (size_t i = 0; i < rig.events_count; i++)
        if (rig.events[i].type == SWIM_EVENT_PING) {
            assert_int_equal(rig.events[i].token, token);
            assert_int_equal(rig.events[i].rtt_usec, 3 * MSEC);
        }
    rig_stop(&rig);
}

static void a_ping_without_answer_accuses_nobody(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2), stranger = net_id(7);
    uint64_t token;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    timer_set(&rig.swim->timers, &rig.swim->probes.round_timer, TIMER_NEVER);
    assert_int_equal(swim_ping(rig.swim, &stranger, rig.now, &token), -ENOENT);
    for (size_t i = 0; i < PROBE_PINGS_MAX; i++)
        assert_int_equal(swim_ping(rig.swim, &id, rig.now, &token), 0);
    assert_int_equal(swim_ping(rig.swim, &id, rig.now, &token), -ENOBUFS);
    rig_run(&rig, 2 * USEC_PER_SEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_PING), PROBE_PINGS_MAX);
    assert_int_equal(rig.events[rig.events_count - 1].rtt_usec, USEC_INFINITY);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    rig_stop(&rig);
}

/* Packets wait unread while a process is stopped: its own timers accuse nobody when it resumes. */
static void a_process_that_was_stopped_accuses_nobody(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    size_t target = rig_start_probe(&rig, 6, &ping);
    rig.now += 3 * USEC_PER_SEC;
    swim_tick(rig.swim, rig.now);
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_SUSPECT), 0);
    assert_true(rig.swim->probes.health > 0);
    rig_stop(&rig);
}

/* All requests are sent, and the answers wait unread: the end of the probe, too, came too late. */
static void a_process_that_was_stopped_at_the_end_of_a_probe_accuses_nobody(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    size_t target = rig_start_probe(&rig, 6, &ping);
    rig_run(&rig, 950 * MSEC);
    assert_true(rig_sent_nth(&rig, target, MESSAGE_PING, 2, &ping));
    rig.now += 3 * USEC_PER_SEC;
    swim_tick(rig.swim, rig.now);
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
    rig_stop(&rig);
}

/* Whoever was accused meanwhile may have refuted: that, too, waits unread. */
static void a_process_that_was_stopped_defers_its_verdicts(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    for (size_t i = 1; i <= 4; i++)
        rig_claim(&rig, i, 6, 0, SWIM_SUSPECT);
    rig.now += 5 * USEC_PER_SEC;
    swim_tick(rig.swim, rig.now);
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig, 6), SWIM_SUSPECT);
    rig_run(&rig, 990 * MSEC);
    assert_int_equal(rig_state(&rig, 6), SWIM_SUSPECT);
    rig_run(&rig, 20 * MSEC);
    assert_int_equal(rig_state(&rig, 6), SWIM_DEAD);
    rig_stop(&rig);
}

/* By PROTOCOL.md: whether the lot of @one with the accused is among the k + 1 = 4 lowest. */
static bool is_chosen(const struct rig *rig, const struct member *one, const struct member *accused)
{
    const struct members *members = &rig->swim->members;
    uint64_t hash = member_hash(accused);
    size_t ahead = 0;

    for (size_t i = 0; i <= members->live_count; i++) {
        const struct member *other = i < members->live_count ? members->live[i] : rig->swim->self;
        uint64_t own = member_hash_id(&one->shown.id) ^ hash;
        uint64_t lot = member_hash_id(&other->shown.id) ^ hash;
        own = (own ^ own >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        lot = (lot ^ lot >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        ahead += other != accused && (lot ^ lot >> 27) < (own ^ own >> 27);
    }
    return ahead < 4;
}

/* So that confirmations, or the proof of life, do not have to wait for chance. */
static void the_chosen_verify_an_accusation_at_once(void **state)
{
    size_t chosen = 0;

    (void)state;
    for (size_t i = 2; i <= 30; i++) {
        struct rig rig;
        struct message ping;
        struct node_id id = net_id(i);

        rig_start(&rig, NULL);
        rig_meet(&rig, 30);
        timer_set(&rig.swim->timers, &rig.swim->probes.round_timer, TIMER_NEVER);
        bool is_ours = is_chosen(&rig, rig.swim->self, member_find(rig.swim, &id));
        rig_claim(&rig, 1, i, 0, SWIM_SUSPECT);
        assert_int_equal(rig_sent(&rig, i, MESSAGE_PING, &ping), is_ours);
        chosen += is_ours;
        /* A verification without an answer is a confirmation. */
        rig_run(&rig, 1010 * MSEC);
        const struct suspicion *suspicion = member_suspicion(member_find(rig.swim, &id));
        assert_int_equal(suspicion->accusers_count, is_ours ? 2 : 1);
        rig_stop(&rig);
    }
    assert_in_range(chosen, 1, 12);
}

static void after_a_sleep_nobody_is_accused_for_one_interval(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    (void)rig_start_probe(&rig, 6, &ping);
    rig_run(&rig, 900 * MSEC);
    swim_set_wall(rig.swim, NET_WALL + USEC_PER_HOUR, rig.now, true);
    rig_run(&rig, 990 * MSEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_SUSPECT), 0);
    rig_run(&rig, 3 * USEC_PER_SEC);
    assert_true(rig_count_events(&rig, SWIM_EVENT_MEMBER_SUSPECT) > 0);
    rig_stop(&rig);
}

static void after_a_sleep_seeds_are_asked_at_once(void **state)
{
    (void)state;
    for (int has_slept = 0; has_slept <= 1; has_slept++) {
        struct rig rig;
        struct swim_seed seed = {.address = net_address(2)};
        struct message join;

        rig_start(&rig, NULL);
        swim_set_seeds(rig.swim, &seed, 1, 1, rig.now);
        rig_meet(&rig, 6);
        rig_run(&rig, 500 * MSEC);
        struct message welcome = {.type = MESSAGE_WELCOME, .count = 7};
        assert_true(rig_sent(&rig, 2, MESSAGE_JOIN, &join));
        welcome.seq = join.seq;
        rig_say(&rig, 2, &welcome);
        rig_clear(&rig);
        swim_set_wall(rig.swim, NET_WALL + USEC_PER_HOUR, rig.now, has_slept);
        rig_drain(&rig);
        rig_run(&rig, 10 * MSEC);
        assert_int_equal(rig_sent(&rig, 2, MESSAGE_JOIN, &join), has_slept);
        rig_stop(&rig);
    }
}

static void one_request_is_enough_where_so_configured(void **state)
{
    struct swim_config config;
    struct rig rig;
    struct message ping, message;

    (void)state;
    swim_config_default(&config);
    config.max_missed = 1;
    rig_start(&rig, &config);
    rig_meet(&rig, 6);
    size_t target = rig_await_ping(&rig, 6, &ping);
    rig_run(&rig, 600 * MSEC);
    assert_false(rig_sent_nth(&rig, target, MESSAGE_PING, 1, &message));
    assert_int_equal(rig_count_peers(&rig, 6, MESSAGE_ASK), 3);
    rig_run(&rig, 450 * MSEC);
    assert_int_equal(rig_state(&rig, target), SWIM_SUSPECT);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_repeated_and_helpers_asked_with_the_second),
        cmocka_unit_test(an_answer_to_any_request_saves_the_target),
        cmocka_unit_test(requests_without_an_answer_are_loss),
        cmocka_unit_test(an_answer_from_another_or_to_another_request_does_not),
        cmocka_unit_test(a_helper_that_was_asked_saves_the_target),
        cmocka_unit_test(a_relayed_answer_of_a_suspect_defers_its_verdict),
        cmocka_unit_test(round_trips_are_smoothed_and_bound_the_wait),
        cmocka_unit_test(an_answer_is_relayed_to_the_asker),
        cmocka_unit_test(silence_is_told_as_nack_after_a_second_request),
        cmocka_unit_test(strangers_and_the_dead_are_not_probed_for_others),
        cmocka_unit_test(relays_are_bounded),
        cmocka_unit_test(a_ping_is_told_with_its_round_trip),
        cmocka_unit_test(a_ping_without_answer_accuses_nobody),
        cmocka_unit_test(a_process_that_was_stopped_accuses_nobody),
        cmocka_unit_test(a_process_that_was_stopped_at_the_end_of_a_probe_accuses_nobody),
        cmocka_unit_test(a_process_that_was_stopped_defers_its_verdicts),
        cmocka_unit_test(the_chosen_verify_an_accusation_at_once),
        cmocka_unit_test(after_a_sleep_nobody_is_accused_for_one_interval),
        cmocka_unit_test(after_a_sleep_seeds_are_asked_at_once),
        cmocka_unit_test(one_request_is_enough_where_so_configured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
