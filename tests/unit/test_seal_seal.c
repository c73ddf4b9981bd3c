/* SPDX-License-Identifier: MIT */

/* Sessions between honest nodes: how they begin, end, survive loss and restarts. */

#include "seal/handshakes.h"
#include "seal_lab.h"

static struct lab lab;

static int stop(void **state)
{
    (void)state;
    lab_stop(&lab);
    return 0;
}

static void first_packet_arrives_after_hello_and_challenge(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "ping");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "ping"));
    assert_int_equal(lab.nodes[1].from[0], 0);
    assert_int_equal(lab.records_count, 3);
    assert_int_equal(lab_type(&lab, 0), PACKET_HELLO);
    assert_int_equal(lab_type(&lab, 1), PACKET_CHALLENGE);
    assert_int_equal(lab_type(&lab, 2), PACKET_ECHO);
}

static void one_handshake_serves_both_directions(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "ping");
    lab_run(&lab);
    lab_send(&lab, 1, 0, "ack");
    lab_send(&lab, 1, 0, "more");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "ack"));
    assert_true(lab_has(&lab, 0, "more"));
    assert_int_equal(lab.records_count, 5);
    assert_int_equal(lab_type(&lab, 3), PACKET_DATA);
    /* And the answer proves to the first that its echo arrived. */
    lab_send(&lab, 0, 1, "next");
    lab_run(&lab);
    assert_int_equal(lab_type(&lab, 5), PACKET_DATA);
    assert_int_equal(lab.records[5].size, 4 + PACKET_HEADER_SHORT + CRYPTO_TAG_SIZE);
}

static void packets_echo_until_the_other_side_speaks(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "one");
    lab_run(&lab);
    lab_send(&lab, 0, 1, "two");
    lab_run(&lab);
    assert_int_equal(lab_type(&lab, 3), PACKET_ECHO);
    assert_true(lab_has(&lab, 1, "two"));
}

static void join_by_address_alone_learns_the_id(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    assert_int_equal(seal_send(lab.nodes[0].seal, &lab.nodes[1].address, NULL, "join", 4, lab.now),
                     0);
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "join"));
    lab_send(&lab, 0, 1, "known now");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "known now"));
    assert_int_equal(lab.records_count, 4);
}

static void simultaneous_opens_converge(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "from a");
    lab_send(&lab, 1, 0, "from b");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "from a"));
    assert_true(lab_has(&lab, 0, "from b"));
    lab_send(&lab, 0, 1, "again a");
    lab_send(&lab, 1, 0, "again b");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "again a"));
    assert_true(lab_has(&lab, 0, "again b"));
    assert_int_equal(lab_type(&lab, lab.records_count - 1), PACKET_DATA);
    assert_int_equal(lab_peers(&lab, 0), 1);
}

static void any_lost_packet_of_a_handshake_is_made_good(void **state)
{
    (void)state;
    for (uint32_t mask = 1; mask < 8; mask++) {
        lab_start(&lab, 2);
        lab_lose(&lab, mask);
        lab_send(&lab, 0, 1, "first");
        lab_run(&lab);
        lab_pass(&lab, USEC_PER_SEC);
        lab_send(&lab, 0, 1, "second");
        lab_pass(&lab, USEC_PER_SEC);
        assert_true(lab_has(&lab, 1, "second"));
        lab_send(&lab, 1, 0, "answer");
        lab_pass(&lab, USEC_PER_SEC);
        assert_true(lab_has(&lab, 0, "answer"));
        lab_stop(&lab);
    }
    lab_start(&lab, 2);
}

static void held_packets_wait_for_the_handshake_in_order(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab_lose(&lab, 1);
    for (int i = 0; i < SEAL_HELD_MAX; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "p%d", i);
        lab_send(&lab, 0, 1, text);
    }
    lab_pass(&lab, USEC_PER_SEC);
    assert_int_equal(lab.nodes[1].got_count, SEAL_HELD_MAX);
    assert_string_equal(lab.nodes[1].got[0], "p0");
    assert_string_equal(lab.nodes[1].got[SEAL_HELD_MAX - 1], "p7");
}

static void held_packet_past_the_limit_drops_the_oldest(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    for (int i = 0; i <= SEAL_HELD_MAX; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "p%d", i);
        lab_send(&lab, 0, 1, text);
    }
    lab_run(&lab);
    assert_int_equal(lab.nodes[1].got_count, SEAL_HELD_MAX);
    assert_false(lab_has(&lab, 1, "p0"));
    assert_int_equal(lab_dropped(&lab, 0, SEAL_DROP_FULL), 1);
}

static void hello_without_answer_is_repeated_and_given_up(void **state)
{
    struct seal_statistics statistics;

    (void)state;
    lab_start(&lab, 2);
    lab_lose(&lab, UINT32_MAX);
    lab_send(&lab, 0, 1, "lost");
    assert_true(seal_deadline(lab.nodes[0].seal) < USEC_INFINITY);
    lab_pass(&lab, 4 * USEC_PER_SEC);
    seal_get_statistics(lab.nodes[0].seal, &statistics);
    assert_int_equal(statistics.hellos, 4);
    assert_int_equal(statistics.handshakes_count, 0);
    assert_int_equal(statistics.dropped[SEAL_DROP_UNREACHABLE], 1);
    assert_true(seal_deadline(lab.nodes[0].seal) == USEC_INFINITY);
}

/* An answer to who joins may come late, and is of use only while it is waited for. */
static void who_asks_for_anybody_is_patient(void **state)
{
    struct seal_statistics statistics;
    struct seal *seal;

    (void)state;
    lab_start(&lab, 2);
    lab_lose(&lab, UINT32_MAX);
    seal = lab.nodes[0].seal;
    assert_int_equal(seal_send(seal, &lab.nodes[1].address, NULL, "join", 4, lab.now), 0);
    lab_pass(&lab, 12 * USEC_PER_SEC);
    seal_get_statistics(seal, &statistics);
    assert_int_equal(statistics.handshakes_count, 1);
    lab_pass(&lab, 4 * USEC_PER_SEC);
    seal_get_statistics(seal, &statistics);
    assert_int_equal(statistics.hellos, HANDSHAKE_JOIN_MAX);
    assert_int_equal(statistics.handshakes_count, 0);
}

static void talk(size_t a, size_t b)
{
    lab_send(&lab, a, b, "ping");
    lab_run(&lab);
    lab_send(&lab, b, a, "ack");
    lab_run(&lab);
    lab_send(&lab, a, b, "ping2");
    lab_run(&lab);
    lab_send(&lab, b, a, "ack2");
    lab_run(&lab);
    lab.nodes[a].got_count = lab.nodes[b].got_count = 0;
}

static void restarted_node_reaches_others_at_once(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    lab_restart(&lab, 1, 1);
    lab_send(&lab, 1, 0, "I am back");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "I am back"));
    lab_send(&lab, 0, 1, "welcome");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "welcome"));
}

static void restarted_node_is_reached_by_the_third_packet_of_a_probe(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    lab_restart(&lab, 1, 1);
    for (int i = 0; i < 3; i++) {
        lab.now += 100 * USEC_PER_MSEC;
        lab_send(&lab, 0, 1, "probe");
        lab_run(&lab);
    }
    assert_int_equal(lab.nodes[1].got_count, 1);
    lab_send(&lab, 1, 0, "ack");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "ack"));
}

static void whoever_is_in_doubt_is_reached_by_the_first_packet(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    lab_pass(&lab, USEC_PER_SEC);
    lab_restart(&lab, 1, 1);
    seal_doubt(lab.nodes[0].seal, &lab.nodes[1].address, &lab.nodes[1].id, lab.now);
    lab_send(&lab, 0, 1, "are you back");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "are you back"));
}

static void doubt_says_hello_again_but_not_more_often_than_a_handshake(void **state)
{
    struct seal_statistics before, after;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    lab_pass(&lab, USEC_PER_SEC);
    seal_get_statistics(lab.nodes[0].seal, &before);
    for (int i = 0; i < 60; i++) { /* three seconds of them, and nobody is there */
        lab.now += 50 * USEC_PER_MSEC;
        seal_doubt(lab.nodes[0].seal, &lab.nodes[1].address, &lab.nodes[1].id, lab.now);
        lab_send(&lab, 0, 1, "hello?");
        seal_tick(lab.nodes[0].seal, lab.now);
        lab_collect(&lab);
        lab.delivered = lab.records_count;
    }
    seal_get_statistics(lab.nodes[0].seal, &after);
    assert_true(after.hellos - before.hellos <= 16);
    lab_restart(&lab, 1, 1);
    lab.now += 200 * USEC_PER_MSEC;
    seal_doubt(lab.nodes[0].seal, &lab.nodes[1].address, &lab.nodes[1].id, lab.now);
    lab_send(&lab, 0, 1, "hello!");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "hello!"));
}

static void nobody_doubts_who_has_just_been_heard(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    size_t first = lab.records_count;
    seal_doubt(lab.nodes[0].seal, &lab.nodes[1].address, &lab.nodes[1].id, lab.now);
    lab_send(&lab, 0, 1, "fine");
    lab_run(&lab);
    assert_int_equal(lab.records_count, first + 1);
}

static void slow_silence_also_brings_a_hello(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    lab_restart(&lab, 1, 1);
    for (int i = 0; i < 3; i++) {
        lab_pass(&lab, 10 * USEC_PER_SEC);
        lab_send(&lab, 0, 1, "contact");
        lab_run(&lab);
    }
    assert_true(lab_has(&lab, 1, "contact"));
}

static void silent_but_healthy_node_is_asked_rarely(void **state)
{
    struct seal_statistics before, after;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    seal_get_statistics(lab.nodes[0].seal, &before);
    for (int i = 0; i < 100; i++) {
        lab.now += 10 * USEC_PER_MSEC;
        lab_send(&lab, 0, 1, "one way");
        lab_run(&lab);
        lab.nodes[1].got_count = 0;
    }
    seal_get_statistics(lab.nodes[0].seal, &after);
    assert_int_equal(after.hellos - before.hellos, 1);
}

static void node_that_lost_our_session_is_asked_when_it_speaks(void **state)
{
    size_t first;

    (void)state;
    lab_start(&lab, 3);
    talk(0, 1);
    /* The other side restarts and reaches us; then we get what was sent in its old session. */
    lab_send(&lab, 1, 0, "late");
    lab_collect(&lab);
    first = lab.records_count - 1;
    lab.delivered = lab.records_count;
    lab_restart(&lab, 1, 1);
    talk(1, 0);
    first = lab_replay(&lab, first) == -EKEYREJECTED ? lab.records_count : 0;
    lab_collect(&lab);
    assert_true(first > 0);
    assert_int_equal(lab.records_count, first + 1);
    assert_int_equal(lab_type(&lab, first), PACKET_HELLO);
    lab_run(&lab);
    assert_int_equal(lab_peers(&lab, 0), 1);
}

static void session_ends_after_an_hour_and_nothing_is_lost(void **state)
{
    struct seal_statistics statistics;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    lab.now += SEAL_SESSION_USEC;
    lab_send(&lab, 0, 1, "after");
    lab_send(&lab, 1, 0, "after too");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "after"));
    assert_true(lab_has(&lab, 0, "after too"));
    seal_get_statistics(lab.nodes[0].seal, &statistics);
    assert_int_equal(statistics.sessions_own, 2);
    /* What was bound to the session before still opens. */
    talk(0, 1);
    lab_send(&lab, 1, 0, "bound to the old one");
    lab.now += SEAL_SESSION_USEC / 2;
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "bound to the old one"));
}

static void session_ends_after_its_packets_and_no_nonce_comes_twice(void **state)
{
    struct seal_config config = {.cluster = "lab",
                                 .is_encrypted = true,
                                 .algorithm = SEAL_AES_256_GCM,
                                 .packet_size_max = 1200,
                                 .session_packets_max = 64};
    struct seal_statistics statistics;

    (void)state;
    lab_start_with(&lab, 2, &config);
    for (int i = 0; i < 150; i++) {
        lab.now += USEC_PER_SEC;
        lab_send(&lab, 0, 1, "a");
        lab_run(&lab);
        lab_send(&lab, 1, 0, "b");
        lab_run(&lab);
        assert_int_equal(lab.nodes[0].got_count, 1);
        assert_int_equal(lab.nodes[1].got_count, 1);
        lab.nodes[0].got_count = lab.nodes[1].got_count = 0;
    }
    seal_get_statistics(lab.nodes[0].seal, &statistics);
    assert_true(statistics.sessions_own >= 4);
    /* The long headers show session and counter: never the same pair twice. */
    for (size_t i = 0; i < lab.records_count; i++)
        for (size_t j = i + 1; j < lab.records_count; j++)
            if (lab_type(&lab, i) != PACKET_DATA && lab_type(&lab, j) != PACKET_DATA)
                assert_memory_not_equal(lab.records[i].data + 6, lab.records[j].data + 6, 20);
}

static void session_of_two_to_the_23_packets_is_the_most(void **state)
{
    struct seal_config config = {.cluster = "lab",
                                 .is_encrypted = true,
                                 .algorithm = SEAL_AES_256_GCM,
                                 .packet_size_max = 1200};
    uint8_t seed[SEAL_SEED_SIZE] = {1};
    struct seal *seal = NULL;

    (void)state;
    lab_start(&lab, 1);
    config.keyring = lab.keyring;
    config.id = lab.nodes[0].id;
    config.session_packets_max = SEAL_SESSION_PACKETS_MAX;
    assert_int_equal(seal_new(&config, seed, 0, &seal), 0);
    (void)seal_free(seal);
    config.session_packets_max = SEAL_SESSION_PACKETS_MAX + 1;
    assert_int_equal(seal_new(&config, seed, 0, &seal), -EINVAL);
    config.session_packets_max = 63;
    assert_int_equal(seal_new(&config, seed, 0, &seal), -EINVAL);
}

static void renewed_session_carries_on(void **state)
{
    uint8_t seed[SEAL_SEED_SIZE] = {99};

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    lab.now += USEC_PER_SEC;
    assert_int_equal(seal_renew(lab.nodes[0].seal, seed, lab.now), 0);
    lab_send(&lab, 0, 1, "after resume");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "after resume"));
}

static void both_ciphers_talk_to_each_other(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab.config.algorithm = SEAL_CHACHA20_POLY1305;
    lab_restart(&lab, 1, 1);
    talk(0, 1);
    assert_int_equal(lab_dropped(&lab, 0, SEAL_DROP_FORGED), 0);
    lab_send(&lab, 1, 0, "chacha");
    lab_send(&lab, 0, 1, "aes");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "chacha"));
    assert_true(lab_has(&lab, 1, "aes"));
}

static void second_key_of_the_ring_is_accepted(void **state)
{
    struct keyring *other = NULL;

    (void)state;
    lab_start(&lab, 2);
    /* The same keys in the other order. */
    other = lab_keyring("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n"
                        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    lab.config.keyring = other;
    lab_restart(&lab, 1, 1);
    lab_send(&lab, 0, 1, "with the first");
    lab_send(&lab, 1, 0, "with the second");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "with the first"));
    assert_true(lab_has(&lab, 0, "with the second"));
    (void)keyring_free(other);
}

static void key_ring_that_loses_a_key_opens_nothing_in_it(void **state)
{
    struct keyring *first = lab_keyring("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    struct keyring *second = lab_keyring("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n");

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    assert_int_equal(seal_set_keyring(lab.nodes[0].seal, first, lab.now), 0);
    assert_int_equal(lab_peers(&lab, 0), 1);
    lab.now += USEC_PER_MSEC;
    assert_int_equal(seal_set_keyring(lab.nodes[0].seal, second, lab.now), 0);
    lab_send(&lab, 1, 0, "in the first");
    lab_collect(&lab);
    assert_int_equal(lab_replay(&lab, lab.delivered++), -EKEYREJECTED);
    lab_send(&lab, 0, 1, "in the second key");
    lab_run(&lab);
    /* The other uses the first, but answers in the one that it is asked in. */
    assert_true(lab_has(&lab, 1, "in the second key"));
    lab_send(&lab, 1, 0, "so do I");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "so do I"));
    (void)keyring_free(first);
    (void)keyring_free(second);
}

static void clear_cluster_works_the_same_and_can_be_read(void **state)
{
    struct seal_config config = {.cluster = "lab", .packet_size_max = 1200};

    (void)state;
    lab_start_with(&lab, 2, &config);
    talk(0, 1);
    lab_send(&lab, 0, 1, "readable");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "readable"));
    assert_memory_equal(lab.records[lab.records_count - 1].data + PACKET_HEADER_SHORT, "readable",
                        8);
}

static void sealed_cluster_shows_no_plain_byte(void **state)
{
    (void)state;
    lab_start(&lab, 2);
    lab_send(&lab, 0, 1, "aaaaaaaaaaaaaaaa");
    lab_run(&lab);
    lab_send(&lab, 1, 0, "aaaaaaaaaaaaaaaa");
    lab_run(&lab);
    for (size_t i = 0; i < lab.records_count; i++)
        assert_null(memmem(lab.records[i].data, lab.records[i].size, "aaaa", 4));
}

static void same_seed_gives_the_same_bytes(void **state)
{
    static struct lab other;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    memcpy(&other, &lab, sizeof(lab));
    lab_stop(&lab);
    lab_start(&lab, 2);
    talk(0, 1);
    assert_int_equal(lab.records_count, other.records_count);
    for (size_t i = 0; i < lab.records_count; i++)
        assert_memory_equal(lab.records[i].data, other.records[i].data, lab.records[i].size);
}

static void packet_of_the_largest_size_fits_and_one_more_does_not(void **state)
{
    static uint8_t large[SEAL_DATAGRAM_MAX];
    struct seal_config config = {.cluster = "lab",
                                 .is_encrypted = true,
                                 .algorithm = SEAL_AES_256_GCM,
                                 .packet_size_max = SEAL_DATAGRAM_MAX - SEAL_OVERHEAD_MAX};
    struct lab_node *a;
    size_t size;

    (void)state;
    lab_start_with(&lab, 2, &config);
    a = &lab.nodes[0];
    lab_send(&lab, 0, 1, "open");
    lab_run(&lab);
    size = config.packet_size_max;
    assert_int_equal(
        seal_send(a->seal, &lab.nodes[1].address, &lab.nodes[1].id, large, size, lab.now), 0);
    lab_collect(&lab);
    assert_int_equal(lab.records[lab.records_count - 1].size, SEAL_DATAGRAM_MAX);
    assert_int_equal(
        seal_send(a->seal, &lab.nodes[1].address, &lab.nodes[1].id, large, size + 1, lab.now),
        -EMSGSIZE);
    assert_int_equal(seal_send(a->seal, &lab.nodes[1].address, &lab.nodes[1].id, large, 0, lab.now),
                     -EMSGSIZE);
}

static void queue_of_datagrams_is_bounded(void **state)
{
    int r = 0, count = 0;

    (void)state;
    lab_start(&lab, 2);
    talk(0, 1);
    while (r == 0 && count <= SEAL_QUEUE_MAX) {
        r = seal_send(lab.nodes[0].seal, &lab.nodes[1].address, NULL, "x", 1, lab.now);
        count++;
    }
    assert_int_equal(r, -ENOBUFS);
}

static void handshakes_are_bounded(void **state)
{
    struct seal_statistics statistics;
    struct address address;

    (void)state;
    lab_start(&lab, 1);
    for (size_t i = 0; i < SEAL_HANDSHAKES_MAX; i++) {
        address = lab_address(0);
        address.port = (uint16_t)(1000 + i);
        assert_int_equal(seal_send(lab.nodes[0].seal, &address, NULL, "x", 1, lab.now), 0);
    }
    address.port = 999;
    assert_int_equal(seal_send(lab.nodes[0].seal, &address, NULL, "x", 1, lab.now), -ENOBUFS);
    seal_get_statistics(lab.nodes[0].seal, &statistics);
    assert_int_equal(statistics.handshakes_count, SEAL_HANDSHAKES_MAX);
    assert_int_equal(statistics.dropped[SEAL_DROP_FULL], 1);
}

static void bad_configurations_are_refused(void **state)
{
    struct seal_config good, bad;
    uint8_t seed[SEAL_SEED_SIZE] = {1};
    struct seal *seal = NULL;
    struct address nowhere = {0};

    (void)state;
    lab_start(&lab, 1);
    good = lab.config;
    good.id = lab.nodes[0].id;
    bad = good;
    bad.cluster = "";
    assert_int_equal(seal_new(&bad, seed, 0, &seal), -EINVAL);
    bad = good;
    bad.id = NODE_ID_NULL;
    assert_int_equal(seal_new(&bad, seed, 0, &seal), -EINVAL);
    bad = good;
    bad.keyring = NULL;
    assert_int_equal(seal_new(&bad, seed, 0, &seal), -EINVAL);
    bad = good;
    bad.is_encrypted = false;
    assert_int_equal(seal_new(&bad, seed, 0, &seal), -EINVAL);
    bad = good;
    bad.algorithm = SEAL_NONE;
    assert_int_equal(seal_new(&bad, seed, 0, &seal), -EINVAL);
    bad = good;
    bad.packet_size_max = SEAL_DATAGRAM_MAX - SEAL_OVERHEAD_MAX + 1;
    assert_int_equal(seal_new(&bad, seed, 0, &seal), -EINVAL);
    assert_null(seal);
    assert_int_equal(seal_send(lab.nodes[0].seal, &nowhere, NULL, "x", 1, lab.now), -EAFNOSUPPORT);
}

static void peers_take_at_most_400_bytes_each(void **state)
{
    (void)state;
    lab_start(&lab, 1);
    assert_true(sizeof(struct peer) <= 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(first_packet_arrives_after_hello_and_challenge, stop),
        cmocka_unit_test_teardown(one_handshake_serves_both_directions, stop),
        cmocka_unit_test_teardown(packets_echo_until_the_other_side_speaks, stop),
        cmocka_unit_test_teardown(join_by_address_alone_learns_the_id, stop),
        cmocka_unit_test_teardown(simultaneous_opens_converge, stop),
        cmocka_unit_test_teardown(any_lost_packet_of_a_handshake_is_made_good, stop),
        cmocka_unit_test_teardown(held_packets_wait_for_the_handshake_in_order, stop),
        cmocka_unit_test_teardown(held_packet_past_the_limit_drops_the_oldest, stop),
        cmocka_unit_test_teardown(hello_without_answer_is_repeated_and_given_up, stop),
        cmocka_unit_test_teardown(who_asks_for_anybody_is_patient, stop),
        cmocka_unit_test_teardown(restarted_node_reaches_others_at_once, stop),
        cmocka_unit_test_teardown(restarted_node_is_reached_by_the_third_packet_of_a_probe, stop),
        cmocka_unit_test_teardown(whoever_is_in_doubt_is_reached_by_the_first_packet, stop),
        cmocka_unit_test_teardown(doubt_says_hello_again_but_not_more_often_than_a_handshake, stop),
        cmocka_unit_test_teardown(nobody_doubts_who_has_just_been_heard, stop),
        cmocka_unit_test_teardown(slow_silence_also_brings_a_hello, stop),
        cmocka_unit_test_teardown(silent_but_healthy_node_is_asked_rarely, stop),
        cmocka_unit_test_teardown(node_that_lost_our_session_is_asked_when_it_speaks, stop),
        cmocka_unit_test_teardown(session_ends_after_an_hour_and_nothing_is_lost, stop),
        cmocka_unit_test_teardown(session_ends_after_its_packets_and_no_nonce_comes_twice, stop),
        cmocka_unit_test_teardown(session_of_two_to_the_23_packets_is_the_most, stop),
        cmocka_unit_test_teardown(renewed_session_carries_on, stop),
        cmocka_unit_test_teardown(both_ciphers_talk_to_each_other, stop),
        cmocka_unit_test_teardown(second_key_of_the_ring_is_accepted, stop),
        cmocka_unit_test_teardown(key_ring_that_loses_a_key_opens_nothing_in_it, stop),
        cmocka_unit_test_teardown(clear_cluster_works_the_same_and_can_be_read, stop),
        cmocka_unit_test_teardown(sealed_cluster_shows_no_plain_byte, stop),
        cmocka_unit_test_teardown(same_seed_gives_the_same_bytes, stop),
        cmocka_unit_test_teardown(packet_of_the_largest_size_fits_and_one_more_does_not, stop),
        cmocka_unit_test_teardown(queue_of_datagrams_is_bounded, stop),
        cmocka_unit_test_teardown(handshakes_are_bounded, stop),
        cmocka_unit_test_teardown(bad_configurations_are_refused, stop),
        cmocka_unit_test_teardown(peers_take_at_most_400_bytes_each, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
