/* SPDX-License-Identifier: MIT */

/* Sessions under attack: every rule of PROTOCOL.md, "Datagrams", that says what is not believed. */

#include "seal_lab.h"
#include "base/rng.h"

static struct lab lab;

static int stop(void **state)
{
    (void)state;
    lab_stop(&lab);
    return 0;
}

static void talk(size_t a, size_t b)
{
    for (int i = 0; i < 2; i++) {
        lab_send(&lab, a, b, "ping");
        lab_run(&lab);
        lab_send(&lab, b, a, "ack");
        lab_run(&lab);
    }
    lab.nodes[a].got_count = lab.nodes[b].got_count = 0;
}

/* Sends and captures the datagram before it arrives. Return: its record. */
static size_t capture(size_t from, size_t to, const char *text)
{
    lab_send(&lab, from, to, text);
    lab_collect(&lab);
    lab.delivered = lab.records_count;
    return lab.records_count - 1;
}

/* Flips every bit of @record, and cuts and lengthens it; the true one must still work afterwards.
 */
static void tamper(size_t record)
{
    const struct lab_record *true_one = &lab.records[record];
    const struct address *from = &lab.nodes[true_one->from].address;
    size_t got = lab.nodes[true_one->to].got_count;
    uint8_t data[SEAL_DATAGRAM_MAX];

    for (size_t i = 0; i < true_one->size * 8; i++) {
        memcpy(data, true_one->data, true_one->size);
        data[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_true(lab_inject(&lab, from, true_one->to, data, true_one->size) < 0);
    }
    memcpy(data, true_one->data, true_one->size);
    data[true_one->size] = 0;
    for (size_t size = 0; size < true_one->size; size++)
        assert_true(lab_inject(&lab, from, true_one->to, data, size) < 0);
    assert_true(lab_inject(&lab, from, true_one->to, data, true_one->size + 1) < 0);
    assert_int_equal(lab.nodes[true_one->to].got_count, got);
}

static void any_changed_bit_of_data_is_noticed(void **state)
{
    size_t record;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    record = capture(0, 1, "secret");
    tamper(record);
    assert_int_equal(lab_replay(&lab, record), 1);
    assert_true(lab_has(&lab, 1, "secret"));
}

static void any_changed_bit_of_a_handshake_is_noticed(void **state)
{
    (void)state;
    for (size_t step = 0; step < 3; step++) {
        lab_start(&lab, 2);
        lab_send(&lab, 0, 1, "hello there");
        for (size_t i = 0; i < step; i++) {
            lab_collect(&lab);
            (void)lab_replay(&lab, i);
        }
        lab_collect(&lab);
        assert_int_equal(lab.records_count, step + 1);
        tamper(step);
        lab.delivered = step;
        lab_run(&lab);
        assert_true(lab_has(&lab, 1, "hello there"));
        lab_stop(&lab);
    }
    lab_start(&lab, 2);
}

static void any_changed_bit_is_noticed_without_encryption_too(void **state)
{
    struct seal_config config = {.cluster = "lab", .packet_size_max = 1200};

    (void)state;
    lab_start_with(&lab, 2, &config);
    talk(0, 1);
    tamper(capture(0, 1, "in the clear"));
}

static void replayed_data_is_dropped(void **state)
{
    size_t first, second;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    first = capture(0, 1, "one");
    second = capture(0, 1, "two");
    assert_int_equal(lab_replay(&lab, second), 1);
    assert_int_equal(lab_replay(&lab, first), 1);
    assert_int_equal(lab_replay(&lab, first), -EALREADY);
    assert_int_equal(lab_replay(&lab, second), -EALREADY);
    assert_int_equal(lab_dropped(&lab, 1, SEAL_DROP_REPLAYED), 2);
}

static void forged_counter_does_not_move_the_window(void **state)
{
    uint8_t data[SEAL_DATAGRAM_MAX];
    size_t first;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    first = capture(0, 1, "one");
    memcpy(data, lab.records[first].data, lab.records[first].size);
    data[1] = 0x7f;
    assert_int_equal(lab_inject(&lab, &lab.nodes[0].address, 1, data, lab.records[first].size),
                     -EKEYREJECTED);
    assert_int_equal(lab_replay(&lab, first), 1);
}

static void replayed_handshake_brings_nothing_back(void **state)
{
    size_t count;

    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "once");
    lab_run(&lab);
    count = lab.records_count;
    assert_int_equal(lab_replay(&lab, 1), -ESTALE);   /* challenge: no longer asked for */
    assert_int_equal(lab_replay(&lab, 2), -EALREADY); /* echo */
    assert_int_equal(lab_replay(&lab, 0), 0);         /* hello: answered, keeping nothing */
    lab_collect(&lab);
    assert_int_equal(lab.records_count, count + 1);
    assert_int_equal(lab_replay(&lab, count), -ESTALE);
    assert_int_equal(lab.nodes[1].got_count, 1);
}

static void old_session_cannot_be_put_back_after_a_restart(void **state)
{
    size_t echo, data;

    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "old echo");
    lab_run(&lab);
    echo = 2;
    data = capture(0, 1, "old echo too");
    assert_int_equal(lab_type(&lab, data), PACKET_ECHO);
    lab_restart(&lab, 0, 1);
    lab.now += USEC_PER_SEC;
    lab_send(&lab, 0, 1, "new");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "new"));
    assert_int_equal(lab_replay(&lab, echo), -ESTALE);
    assert_int_equal(lab_replay(&lab, data), -ESTALE);
    assert_false(lab_has(&lab, 1, "old echo too"));
    lab_send(&lab, 0, 1, "new still works");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "new still works"));
}

static void nothing_old_is_believed_by_a_restarted_receiver(void **state)
{
    size_t count;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    (void)capture(0, 1, "old");
    count = lab.records_count;
    lab_restart(&lab, 1, 1);
    for (size_t i = 0; i < count; i++)
        if (lab.records[i].to == 1)
            assert_true(lab_replay(&lab, i) <= 0);
    assert_int_equal(lab.nodes[1].got_count, 0);
    assert_int_equal(lab_peers(&lab, 1), 0);
}

static void unknown_session_changes_nothing_until_it_echoes(void **state)
{
    struct seal_statistics statistics;

    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "x");
    for (int i = 0; i < 100; i++) {
        lab_collect(&lab);
        assert_int_equal(lab_replay(&lab, 0), 0);
    }
    seal_get_statistics(lab.nodes[1].seal, &statistics);
    assert_int_equal(statistics.peers_count, 0);
    assert_int_equal(statistics.handshakes_count, 0);
    assert_int_equal(statistics.sessions_established, 0);
    assert_true(seal_deadline(lab.nodes[1].seal) == USEC_INFINITY);
}

static void cookie_is_good_for_half_a_minute(void **state)
{
    (void)state;
    for (int is_late = 0; is_late < 2; is_late++) {
        lab_start(&lab, 2);
        lab_send(&lab, 0, 1, "x");
        lab_collect(&lab);
        assert_int_equal(lab_replay(&lab, 0), 0);
        lab_collect(&lab);
        assert_int_equal(lab_replay(&lab, 1), 0);
        lab_collect(&lab);
        lab.now += 30 * USEC_PER_SEC + (usec_t)is_late;
        assert_int_equal(lab_replay(&lab, 2), is_late ? -ESTALE : 1);
        lab_stop(&lab);
    }
    lab_start(&lab, 2);
}

static void cookie_is_good_for_one_address(void **state)
{
    struct address elsewhere;

    (void)state;
    lab_start(&lab, 3);
    lab_send(&lab, 0, 1, "x");
    lab_collect(&lab);
    assert_int_equal(lab_replay(&lab, 0), 0);
    lab_collect(&lab);
    assert_int_equal(lab_replay(&lab, 1), 0);
    lab_collect(&lab);
    elsewhere = lab.nodes[0].address;
    elsewhere.port++;
    assert_int_equal(lab_inject(&lab, &elsewhere, 1, lab.records[2].data, lab.records[2].size),
                     -ESTALE);
    assert_int_equal(lab_peers(&lab, 1), 0);
    assert_int_equal(lab_replay(&lab, 2), 1);
}

static void answer_is_never_larger_than_the_question(void **state)
{
    size_t in = 0, out = 0, count;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    count = lab.records_count;
    lab_restart(&lab, 1, 1);
    /* Whatever was ever sent to it, from an address that it does not know. */
    for (size_t i = 0; i < count; i++)
        if (lab.records[i].to == 1) {
            (void)lab_replay(&lab, i);
            in += lab.records[i].size;
            lab_collect(&lab);
            for (; count + out < lab.records_count; out++)
                assert_true(lab.records[count + out].size <= lab.records[i].size);
        }
    assert_int_equal(out, 1); /* the hello alone is answered */
    assert_true(in > 0);
}

static void strangers_hear_nothing(void **state)
{
    uint8_t junk[SEAL_DATAGRAM_MAX + 1];
    struct rng rng;

    (void)state;
    lab_start(&lab, 1);
    rng_init(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        struct address from = lab_address(5);
        size_t size = rng_below(&rng, sizeof(junk) + 1);
        for (size_t j = 0; j < size; j++)
            junk[j] = (uint8_t)rng_next(&rng);
        if (size > 0)
            junk[0] = (uint8_t)(0x11 + rng_below(&rng, 4));
        assert_true(lab_inject(&lab, &from, 0, junk, size) < 0);
    }
    lab_collect(&lab);
    assert_int_equal(lab.records_count, 0);
    assert_int_equal(lab_peers(&lab, 0), 0);
}

static void junk_from_a_members_address_brings_one_hello_at_most(void **state)
{
    uint8_t junk[64] = {0x14};
    size_t count;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    count = lab.records_count;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(lab_inject(&lab, &lab.nodes[0].address, 1, junk, sizeof(junk)),
                         -EKEYREJECTED);
    lab_collect(&lab);
    assert_int_equal(lab.records_count, count + 1);
}

static void our_own_packets_are_not_taken_back(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "x");
    lab_run(&lab);
    lab_send(&lab, 1, 0, "y");
    lab_run(&lab);
    for (size_t i = 0; i < lab.records_count; i++) {
        const struct lab_record *record = &lab.records[i];
        /* Turned round, as if the one it was meant for had sent it. */
        assert_true(lab_inject(&lab, &lab.nodes[record->to].address, record->from, record->data,
                               record->size) < 0);
    }
    assert_int_equal(lab_dropped(&lab, 0, SEAL_DROP_REFLECTED), 2);
    assert_int_equal(lab_dropped(&lab, 1, SEAL_DROP_REFLECTED), 1);
}

static void packet_for_another_node_is_not_taken(void **state)
{
    size_t data;

    (void)state;
    lab_start(&lab, 3);
    talk(0, 1);
    talk(0, 2);
    data = capture(0, 1, "for one");
    assert_int_equal(
        lab_inject(&lab, &lab.nodes[0].address, 2, lab.records[data].data, lab.records[data].size),
        -EKEYREJECTED);
    assert_int_equal(lab_replay(&lab, data), 1);
}

static void hello_to_another_node_is_not_answered(void **state)
{
    size_t hello;

    (void)state;
    lab_start(&lab, 3);
    hello = capture(0, 1, "x");
    assert_int_equal(lab_inject(&lab, &lab.nodes[0].address, 2, lab.records[hello].data,
                                lab.records[hello].size),
                     -EADDRNOTAVAIL);
    assert_int_equal(lab_dropped(&lab, 2, SEAL_DROP_DESTINATION), 1);
    lab_collect(&lab);
    assert_int_equal(lab.records_count, hello + 1);
}

static void hello_to_any_that_was_led_elsewhere_ends_there(void **state)
{
    struct lab_node *a;

    (void)state;
    lab_start(&lab, 3);
    a = &lab.nodes[0];
    assert_int_equal(seal_send(a->seal, &lab.nodes[1].address, NULL, "join", 4, lab.now), 0);
    lab_collect(&lab);
    assert_int_equal(lab_inject(&lab, &a->address, 2, lab.records[0].data, lab.records[0].size), 0);
    lab_collect(&lab);
    /* The challenge comes from an address that was never asked. */
    assert_int_equal(lab_replay(&lab, 1), -ESTALE);
    assert_int_equal(lab_dropped(&lab, 0, SEAL_DROP_UNASKED), 1);
    assert_int_equal(lab_peers(&lab, 0), 0);
}

static void wrong_node_at_the_address_gets_nothing(void **state)
{
    struct node_id other = {{0xee}};

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    assert_int_equal(
        seal_send(lab.nodes[0].seal, &lab.nodes[1].address, &other, "for other", 9, lab.now), 0);
    lab_pass(&lab, 4 * USEC_PER_SEC);
    assert_false(lab_has(&lab, 1, "for other"));
    assert_int_equal(lab_dropped(&lab, 0, SEAL_DROP_UNREACHABLE), 1);
    /* The one that is there is not forgotten for it. */
    lab_send(&lab, 0, 1, "for you");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "for you"));
}

static void two_clusters_with_one_key_never_meet(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab.config.cluster = "lab2";
    lab_restart(&lab, 1, 1);
    lab_send(&lab, 0, 1, "x");
    lab_send(&lab, 1, 0, "y");
    lab_pass(&lab, 4 * USEC_PER_SEC);
    assert_int_equal(lab.nodes[0].got_count + lab.nodes[1].got_count, 0);
    assert_true(lab_dropped(&lab, 1, SEAL_DROP_FORGED) > 0);
    assert_int_equal(lab_foreign(&lab, 1), lab_dropped(&lab, 1, SEAL_DROP_FORGED));
}

static void two_clear_clusters_never_meet(void **state)
{
    struct seal_config config = {.cluster = "lab", .packet_size_max = 1200};

    (void)state;
    lab_start_with(&lab, 2, &config);
    lab.config.cluster = "lab2";
    lab_restart(&lab, 1, 1);
    lab_send(&lab, 0, 1, "x");
    lab_pass(&lab, 4 * USEC_PER_SEC);
    assert_int_equal(lab.nodes[1].got_count, 0);
    assert_true(lab_dropped(&lab, 1, SEAL_DROP_FORGED) > 0);
    assert_int_equal(lab_foreign(&lab, 1), lab_dropped(&lab, 1, SEAL_DROP_FORGED));
}

static void what_is_for_a_former_session_is_of_this_cluster(void **state)
{
    size_t former;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    talk(1, 0);
    former = lab.records_count;
    lab_restart(&lab, 0, 1);
    lab_send(&lab, 0, 1, "I am back");
    lab_run(&lab);
    for (size_t i = 0; i < former; i++)
        if (lab.records[i].to == 0)
            (void)lab_replay(&lab, i);
    assert_true(lab_dropped(&lab, 0, SEAL_DROP_FORGED) > 0);
    assert_int_equal(lab_foreign(&lab, 0), 0);
}

static void another_key_is_not_opened(void **state)
{
    struct keyring *other = lab_keyring("QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=\n");

    (void)state;
    lab_start(&lab, 2);
    lab.config.keyring = other;
    lab_restart(&lab, 1, 1);
    lab_send(&lab, 0, 1, "x");
    lab_pass(&lab, 4 * USEC_PER_SEC);
    assert_int_equal(lab.nodes[1].got_count, 0);
    assert_true(lab_dropped(&lab, 1, SEAL_DROP_KEY) > 0);
    (void)keyring_free(other);
}

static void clear_packets_are_not_taken_by_a_sealed_cluster(void **state)
{
    struct seal_config clear;

    (void)state;
    lab_start(&lab, 2);
    clear = lab.config;
    lab.config.is_encrypted = false;
    lab.config.algorithm = SEAL_NONE;
    lab.config.keyring = NULL;
    lab_restart(&lab, 1, 1);
    lab_send(&lab, 0, 1, "x");
    lab_send(&lab, 1, 0, "y");
    lab_pass(&lab, 4 * USEC_PER_SEC);
    assert_int_equal(lab.nodes[0].got_count + lab.nodes[1].got_count, 0);
    assert_true(lab_dropped(&lab, 0, SEAL_DROP_MALFORMED) > 0);
    assert_true(lab_dropped(&lab, 1, SEAL_DROP_MALFORMED) > 0);
    lab.config = clear;
}

static void cloned_node_can_be_heard_beside_the_first(void **state)
{
    (void)state;
    lab_start(&lab, 3);
    lab.nodes[2].id = lab.nodes[1].id;
    lab_restart(&lab, 2, 1);
    lab_send(&lab, 1, 0, "first");
    lab_send(&lab, 2, 0, "clone");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "first"));
    assert_true(lab_has(&lab, 0, "clone"));
    assert_int_equal(lab_peers(&lab, 0), 2);
    lab_send(&lab, 1, 2, "are you me");
    lab_run(&lab);
    assert_true(lab_has(&lab, 2, "are you me"));
}

/* The table of sessions full of nodes that speak from many ports of one address. */
static void sessions_are_bounded_and_the_quietest_goes_first(void **state)
{
    struct address address;
    struct seal_plain plain;
    struct seal_datagram datagram;

    (void)state;
    lab_start(&lab, 2);
    address = lab.nodes[1].address;
    for (size_t i = 0; i <= SEAL_PEERS_MAX; i++) {
        struct lab_node *a = &lab.nodes[0], *b = &lab.nodes[1];
        address.port = (uint16_t)(1 + i);
        lab_restart(&lab, 1, (uint8_t)i);
        lab.now -= USEC_PER_MSEC - 1;
        lab_send(&lab, 1, 0, "x");
        assert_true(seal_next_datagram(b->seal, &datagram));
        assert_int_equal(
            seal_receive(a->seal, &address, datagram.data, datagram.size, lab.now, &plain), 0);
        assert_true(seal_next_datagram(a->seal, &datagram));
        assert_int_equal(
            seal_receive(b->seal, &a->address, datagram.data, datagram.size, lab.now, &plain), 0);
        assert_true(seal_next_datagram(b->seal, &datagram));
        assert_int_equal(
            seal_receive(a->seal, &address, datagram.data, datagram.size, lab.now, &plain),
            i < SEAL_PEERS_MAX ? 1 : -ENOBUFS);
    }
    lab_restart(&lab, 1, 0);
    assert_int_equal(lab_peers(&lab, 0), SEAL_PEERS_MAX);
    lab.now += PEERS_QUIET_USEC;
    lab_send(&lab, 1, 0, "room again");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "room again"));
    assert_int_equal(lab_peers(&lab, 0), SEAL_PEERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(any_changed_bit_of_data_is_noticed, stop),
        cmocka_unit_test_teardown(any_changed_bit_of_a_handshake_is_noticed, stop),
        cmocka_unit_test_teardown(any_changed_bit_is_noticed_without_encryption_too, stop),
        cmocka_unit_test_teardown(replayed_data_is_dropped, stop),
        cmocka_unit_test_teardown(forged_counter_does_not_move_the_window, stop),
        cmocka_unit_test_teardown(replayed_handshake_brings_nothing_back, stop),
        cmocka_unit_test_teardown(old_session_cannot_be_put_back_after_a_restart, stop),
        cmocka_unit_test_teardown(nothing_old_is_believed_by_a_restarted_receiver, stop),
        cmocka_unit_test_teardown(unknown_session_changes_nothing_until_it_echoes, stop),
        cmocka_unit_test_teardown(cookie_is_good_for_half_a_minute, stop),
        cmocka_unit_test_teardown(cookie_is_good_for_one_address, stop),
        cmocka_unit_test_teardown(answer_is_never_larger_than_the_question, stop),
        cmocka_unit_test_teardown(strangers_hear_nothing, stop),
        cmocka_unit_test_teardown(junk_from_a_members_address_brings_one_hello_at_most, stop),
        cmocka_unit_test_teardown(our_own_packets_are_not_taken_back, stop),
        cmocka_unit_test_teardown(packet_for_another_node_is_not_taken, stop),
        cmocka_unit_test_teardown(hello_to_another_node_is_not_answered, stop),
        cmocka_unit_test_teardown(hello_to_any_that_was_led_elsewhere_ends_there, stop),
        cmocka_unit_test_teardown(wrong_node_at_the_address_gets_nothing, stop),
        cmocka_unit_test_teardown(two_clusters_with_one_key_never_meet, stop),
        cmocka_unit_test_teardown(two_clear_clusters_never_meet, stop),
        cmocka_unit_test_teardown(what_is_for_a_former_session_is_of_this_cluster, stop),
        cmocka_unit_test_teardown(another_key_is_not_opened, stop),
        cmocka_unit_test_teardown(clear_packets_are_not_taken_by_a_sealed_cluster, stop),
        cmocka_unit_test_teardown(cloned_node_can_be_heard_beside_the_first, stop),
        cmocka_unit_test_teardown(sessions_are_bounded_and_the_quietest_goes_first, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
