/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static void requests_are_repeated_and_helpers_asked_with_the_second(void **state)
{
    struct rig rig;
    struct message ping, message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    size_t target = rig_await_ping(&rig, 6, &ping);
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

        rig_start(&rig, NULL);
        rig_meet(&rig, 6);
        size_t target = rig_await_ping(&rig, 6, &ping);
        rig_run(&rig, 700 * MSEC);
        rig_ack(&rig, target, ping.seq + request);
        rig_run(&rig, 290 * MSEC);
        assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
        rig_stop(&rig);
    }
}

static void an_answer_from_another_or_to_another_request_does_not(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    size_t target = rig_await_ping(&rig, 6, &ping);
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
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    size_t target = rig_await_ping(&rig, 6, &ping);
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
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    size_t target = rig_await_ping(&rig, 6, &ping);
    rig.now += 3 * USEC_PER_SEC;
    swim_tick(rig.swim, rig.now);
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig, target), SWIM_ALIVE);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_SUSPECT), 0);
    assert_true(rig.swim->probes.health > 0);
    rig_stop(&rig);
}

static void after_a_sleep_nobody_is_accused_for_one_interval(void **state)
{
    struct rig rig;
    struct message ping;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 6);
    (void)rig_await_ping(&rig, 6, &ping);
    rig_run(&rig, 900 * MSEC);
    swim_set_wall(rig.swim, NET_WALL + USEC_PER_HOUR, rig.now, true);
    rig_run(&rig, 990 * MSEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_SUSPECT), 0);
    rig_run(&rig, 3 * USEC_PER_SEC);
    assert_true(rig_count_events(&rig, SWIM_EVENT_MEMBER_SUSPECT) > 0);
    rig_stop(&rig);
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
        cmocka_unit_test(an_answer_from_another_or_to_another_request_does_not),
        cmocka_unit_test(a_helper_that_was_asked_saves_the_target),
        cmocka_unit_test(round_trips_are_smoothed_and_bound_the_wait),
        cmocka_unit_test(an_answer_is_relayed_to_the_asker),
        cmocka_unit_test(silence_is_told_as_nack_after_a_second_request),
        cmocka_unit_test(strangers_and_the_dead_are_not_probed_for_others),
        cmocka_unit_test(relays_are_bounded),
        cmocka_unit_test(a_ping_is_told_with_its_round_trip),
        cmocka_unit_test(a_ping_without_answer_accuses_nobody),
        cmocka_unit_test(a_process_that_was_stopped_accuses_nobody),
        cmocka_unit_test(after_a_sleep_nobody_is_accused_for_one_interval),
        cmocka_unit_test(one_request_is_enough_where_so_configured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
