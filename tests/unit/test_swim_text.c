/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static struct message text_from(size_t i, uint64_t number, enum message_type type)
{
    struct message message = {.type = type, .id = net_id(i), .number = number};

    message.incarnation.generation = NET_GENERATION;
    (void)snprintf(message.text, sizeof(message.text), "Hello Node2!");
    return message;
}

static void a_text_to_one_is_repeated_until_its_receipt(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2);
    struct message sent, receipt = {.type = MESSAGE_RECEIPT};
    uint64_t token;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    assert_int_equal(swim_send_message(rig.swim, &id, "Hello Node2!", rig.now, &token), 0);
    rig_drain(&rig);
    assert_true(rig_sent(&rig, 2, MESSAGE_DIRECT, &sent));
    assert_string_equal(sent.text, "Hello Node2!");
    assert_false(sent.is_broadcast);
    rig_clear(&rig);
    rig_run(&rig, 250 * MSEC);
    assert_true(rig_sent(&rig, 2, MESSAGE_DIRECT, &sent));
    receipt.incarnation = sent.incarnation;
    receipt.number = sent.number;
    rig_say(&rig, 3, &receipt); /* another's receipt is none */
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE_ACKED), 0);
    rig_say(&rig, 2, &receipt);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE_ACKED), 1);
    assert_int_equal(rig.swim->texts.count, 0);
    rig_stop(&rig);
}

static void a_text_without_receipt_is_given_up(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2);
    uint64_t token;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    assert_int_equal(swim_send_message(rig.swim, &id, "anybody?", rig.now, &token), 0);
    rig_run(&rig, 60 * USEC_PER_SEC);
    assert_int_equal(rig.swim->texts.count, 0);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE_ACKED), 0);
    rig_stop(&rig);
}

static void a_text_is_told_once_and_each_copy_acknowledged(void **state)
{
    struct rig rig;
    struct message message = text_from(2, 1, MESSAGE_DIRECT), receipt;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    for (int i = 0; i < 3; i++) {
        rig.sent_count = 0;
        rig_say(&rig, 2, &message);
        assert_true(rig_sent(&rig, 2, MESSAGE_RECEIPT, &receipt));
        assert_int_equal(receipt.number, 1);
    }
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    rig_stop(&rig);
}

static void nobody_speaks_in_anothers_name(void **state)
{
    struct rig rig;
    struct message message = text_from(2, 1, MESSAGE_DIRECT);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_say(&rig, 3, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 0);
    message = text_from(0, 1, MESSAGE_TEXT); /* our own, come back */
    rig_say(&rig, 3, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 0);
    message = text_from(9, 1, MESSAGE_TEXT); /* of somebody unknown */
    rig_say(&rig, 3, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 0);
    rig_stop(&rig);
}

static void a_broadcast_is_passed_on_and_acknowledged_to_its_author(void **state)
{
    struct rig rig;
    struct message message = text_from(2, 1, MESSAGE_TEXT), sent;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig_say(&rig, 3, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    assert_true(rig_sent(&rig, 2, MESSAGE_RECEIPT, &sent));
    assert_true(sent.is_broadcast);
    rig_run(&rig, 300 * MSEC);
    assert_true(rig_count_peers(&rig, 9, MESSAGE_TEXT) >= 3);
    rig_stop(&rig);
}

static void too_long_or_too_many_texts_are_refused(void **state)
{
    struct rig rig;
    char text[SWIM_MESSAGE_MAX + 2];
    struct node_id id = net_id(1), stranger = net_id(9);
    uint64_t token;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(swim_send_message(rig.swim, &id, text, rig.now, &token), -EMSGSIZE);
    text[SWIM_MESSAGE_MAX] = '\0';
    assert_int_equal(swim_send_message(rig.swim, &stranger, "?", rig.now, &token), -ENOENT);
    for (int i = 0; i < TEXTS_MAX; i++)
        assert_int_equal(swim_send_message(rig.swim, &id, text, rig.now, &token), 0);
    assert_int_equal(swim_send_message(rig.swim, &id, "x", rig.now, &token), -ENOBUFS);
    rig_stop(&rig);
}

static void what_no_datagram_can_hold_is_refused(void **state)
{
    struct swim_config config;
    struct rig rig;
    char text[600];
    uint64_t token;

    (void)state;
    swim_config_default(&config);
    config.packet_size_max = 512;
    rig_start(&rig, &config);
    rig_meet(&rig, 1);
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(swim_send_message(rig.swim, NULL, text, rig.now, &token), -EMSGSIZE);
    assert_int_equal(rig.swim->texts.count, 0);
    rig_stop(&rig);
}

static void a_text_to_ourselves_arrives(void **state)
{
    struct rig rig;
    struct node_id id = net_id(0);
    uint64_t token;

    (void)state;
    rig_start(&rig, NULL);
    assert_int_equal(swim_send_message(rig.swim, &id, "hello, me", rig.now, &token), 0);
    rig_drain(&rig);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE_ACKED), 1);
    rig_stop(&rig);
}

static void at_30_percent_loss_nearly_every_text_to_one_is_known_to_arrive_in_five_seconds(
    void **state)
{
    struct net *net = net_begin(5, 11);
    struct node_id id = net_id(2);
    uint64_t token;
    size_t unknown = 0;

    (void)state;
    net->loss = 0.3;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(swim_send_message(net->nodes[1].swim, &id, "hello", net->now, &token), 0);
        net_drain(net, 1);
        net_run(net, 5 * USEC_PER_SEC);
        unknown += net->nodes[1].swim->texts.count > 0;
    }
    assert_in_range(unknown, 0, 3);
    assert_in_range(net->nodes[2].events_count[SWIM_EVENT_MESSAGE], 199, 200);
    net_free(net);
}

static void broadcast(double loss)
{
    struct net *net = net_begin(30, 11);
    uint64_t token;

    net_run(net, 2 * USEC_PER_SEC);
    net->loss = loss;
    for (int round = 1; round <= 5; round++) {
        assert_int_equal(swim_send_message(net->nodes[4].swim, NULL, "to all", net->now, &token),
                         0);
        net_drain(net, 4);
        net_run(net, 10 * USEC_PER_SEC);
        for (size_t i = 0; i < 30; i++)
            assert_int_equal(net->nodes[i].events_count[SWIM_EVENT_MESSAGE], i == 4 ? 0 : round);
        assert_int_equal(net->nodes[4].events_count[SWIM_EVENT_MESSAGE_ACKED], 29 * round);
    }
    net_free(net);
}

static void a_broadcast_reaches_all_once(void **state)
{
    (void)state;
    broadcast(0);
}

static void a_broadcast_reaches_all_at_a_fifth_lost(void **state)
{
    (void)state;
    broadcast(0.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_to_one_is_repeated_until_its_receipt),
        cmocka_unit_test(a_text_without_receipt_is_given_up),
        cmocka_unit_test(a_text_is_told_once_and_each_copy_acknowledged),
        cmocka_unit_test(nobody_speaks_in_anothers_name),
        cmocka_unit_test(a_broadcast_is_passed_on_and_acknowledged_to_its_author),
        cmocka_unit_test(too_long_or_too_many_texts_are_refused),
        cmocka_unit_test(what_no_datagram_can_hold_is_refused),
        cmocka_unit_test(a_text_to_ourselves_arrives),
        cmocka_unit_test(
            at_30_percent_loss_nearly_every_text_to_one_is_known_to_arrive_in_five_seconds),
        cmocka_unit_test(a_broadcast_reaches_all_once),
        cmocka_unit_test(a_broadcast_reaches_all_at_a_fifth_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
