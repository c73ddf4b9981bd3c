/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static void leaving_ends_when_log_n_members_know(void **state)
{
    struct rig rig;
    struct message leave, ack = {.type = MESSAGE_LEAVE_ACK};
    size_t acked = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 15); /* 16 in all: four */
    swim_leave(rig.swim, rig.now);
    rig_drain(&rig);
    assert_int_equal(swim_get_self(rig.swim)->state, SWIM_LEFT);
    for (size_t i = 1; i <= 15; i++)
        if (rig_sent(&rig, i, MESSAGE_LEAVE, &leave)) {
            assert_int_equal(leave.incarnation.counter, 1);
            assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 0);
            ack.seq = leave.seq;
            rig_say(&rig, i, &ack);
            rig_say(&rig, i, &ack); /* twice counts once */
            acked++;
        }
    assert_int_equal(acked, 4);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 1);
    rig_stop(&rig);
}

static void leaving_ends_after_three_seconds_of_silence(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    swim_leave(rig.swim, rig.now);
    swim_leave(rig.swim, rig.now); /* again changes nothing */
    rig_run(&rig, 2900 * MSEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 0);
    rig_run(&rig, 200 * MSEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 1);
    rig_stop(&rig);
}

/* A lab that is switched off as a whole must not take three seconds. */
static void who_leaves_too_is_not_waited_for(void **state)
{
    struct rig rig;
    struct message leave = {.type = MESSAGE_LEAVE, .seq = 3};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    swim_leave(rig.swim, rig.now);
    leave.incarnation = (struct swim_incarnation){NET_GENERATION, 1};
    for (size_t i = 1; i <= 5; i++) {
        assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 0);
        rig_say(&rig, i, &leave);
    }
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 1);
    rig_stop(&rig);
}

static void who_is_suspect_is_not_waited_for(void **state)
{
    struct rig rig;
    struct message leave, ack = {.type = MESSAGE_LEAVE_ACK};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 4); /* 5 in all: three */
    rig_claim(&rig, 2, 1, 0, SWIM_SUSPECT);
    rig_claim(&rig, 2, 3, 0, SWIM_SUSPECT);
    rig_clear(&rig);
    swim_leave(rig.swim, rig.now);
    rig_drain(&rig);
    assert_false(rig_sent(&rig, 1, MESSAGE_LEAVE, &leave));
    for (size_t i = 2; i <= 4; i += 2) {
        assert_true(rig_sent(&rig, i, MESSAGE_LEAVE, &leave));
        assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 0);
        ack.seq = leave.seq;
        rig_say(&rig, i, &ack);
    }
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 1);
    rig_stop(&rig);
}

/* The first ones asked may have died a moment ago: then others are. */
static void others_are_asked_in_place_of_those_who_keep_silent(void **state)
{
    struct rig rig;
    struct message leave, ack = {.type = MESSAGE_LEAVE_ACK};
    struct node_id acked[4] = {{{0}}};
    size_t count = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 15);
    swim_leave(rig.swim, rig.now);
    for (int tries = 0; tries < 10 && count < 4; tries++) {
        rig_drain(&rig);
        for (size_t i = 1; i <= 15 && count < 4; i++)
            if (i % 2 == 0 && rig_sent(&rig, i, MESSAGE_LEAVE, &leave)) {
                ack.seq = leave.seq;
                acked[count] = net_id(i);
                for (size_t j = 0; j < count; j++)
                    assert_false(node_id_is_equal(&acked[j], &acked[count]));
                count++;
                rig_say(&rig, i, &ack);
            }
        rig_clear(&rig);
        rig_run(&rig, 300 * MSEC);
    }
    assert_int_equal(count, 4);
    assert_int_equal(swim_get_self(rig.swim)->state, SWIM_LEFT);
    assert_false(rig.swim->leave.is_active);
    rig_stop(&rig);
}

static void who_is_alone_has_left_at_once(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    swim_leave(rig.swim, rig.now);
    rig_drain(&rig);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_LEFT), 1);
    rig_stop(&rig);
}

static void who_leaves_refutes_nothing_and_accuses_nobody(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    swim_leave(rig.swim, rig.now);
    rig_claim(&rig, 1, 0, 5, SWIM_DEAD);
    assert_int_equal(swim_get_self(rig.swim)->state, SWIM_LEFT);
    assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, 1);
    rig_run(&rig, 10 * USEC_PER_SEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_SUSPECT), 0);
    rig_stop(&rig);
}

static void a_leave_is_acknowledged_and_spread(void **state)
{
    struct rig rig;
    struct message leave = {.type = MESSAGE_LEAVE, .seq = 3}, message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    leave.incarnation = (struct swim_incarnation){NET_GENERATION, 1};
    rig_say(&rig, 2, &leave);
    assert_true(rig_sent(&rig, 2, MESSAGE_LEAVE_ACK, &message));
    assert_int_equal(rig_state(&rig, 2), SWIM_LEFT);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_LEFT), 1);
    rig_run(&rig, 300 * MSEC);
    assert_true(rig_count_peers(&rig, 5, MESSAGE_LEFT) >= 3);
    rig_stop(&rig);
}

/* consul#8435: those who left were shown as failed. */
static void who_left_is_never_dead(void **state)
{
    struct net *net = net_begin(16, 3);

    (void)state;
    net_run(net, 2 * USEC_PER_SEC);
    swim_leave(net->nodes[5].swim, net->now);
    net_drain(net, 5);
    while (net->nodes[5].events_count[SWIM_EVENT_LEFT] == 0)
        net_run(net, 10 * MSEC);
    net_kill(net, 5);
    assert_true(net_await_state(net, 5, SWIM_LEFT, 2 * USEC_PER_SEC) != USEC_INFINITY);
    net_run(net, 30 * USEC_PER_SEC);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(net->nodes[i].events_count[SWIM_EVENT_MEMBER_DEAD], 0);
    assert_int_equal(net_count(net, 5, SWIM_LEFT), 15);
    net_start(net, 5);
    assert_true(net_await_complete(net, 3 * USEC_PER_SEC) != USEC_INFINITY);
    net_free(net);
}

static void a_join_undoes_a_leave(void **state)
{
    struct net *net = net_begin(6, 4);
    struct address seed = net_address(0);

    (void)state;
    for (uint64_t round = 1; round <= 2; round++) {
        swim_leave(net->nodes[5].swim, net->now);
        net_drain(net, 5);
        assert_true(net_await_state(net, 5, SWIM_LEFT, 3 * USEC_PER_SEC) != USEC_INFINITY);
        net_run(net, 5 * USEC_PER_SEC);
        assert_int_equal(net->nodes[5].events_count[SWIM_EVENT_LEFT], round);
        assert_int_equal(swim_join(net->nodes[5].swim, &seed, net->now), 0);
        net_drain(net, 5);
        assert_int_equal(swim_get_self(net->nodes[5].swim)->incarnation.counter, 2 * round);
        assert_true(net_await_complete(net, 3 * USEC_PER_SEC) != USEC_INFINITY);
    }
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_ends_when_log_n_members_know),
        cmocka_unit_test(leaving_ends_after_three_seconds_of_silence),
        cmocka_unit_test(who_leaves_too_is_not_waited_for),
        cmocka_unit_test(who_is_suspect_is_not_waited_for),
        cmocka_unit_test(others_are_asked_in_place_of_those_who_keep_silent),
        cmocka_unit_test(who_is_alone_has_left_at_once),
        cmocka_unit_test(who_leaves_refutes_nothing_and_accuses_nobody),
        cmocka_unit_test(a_leave_is_acknowledged_and_spread),
        cmocka_unit_test(who_left_is_never_dead),
        cmocka_unit_test(a_join_undoes_a_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
