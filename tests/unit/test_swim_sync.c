/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static void a_differing_digest_starts_a_comparison_once_it_is_quiet(void **state)
{
    struct rig rig;
    struct message ping, ack = {.type = MESSAGE_ACK}, compare;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    rig_run(&rig, 600 * MSEC);
    (void)rig_await_ping(&rig, 1, &ping);
    ack.seq = ping.seq;
    ack.digest = ~rig.swim->members.digest;
    rig_say(&rig, 1, &ack);
    assert_true(rig_sent(&rig, 1, MESSAGE_COMPARE, &compare));
    assert_int_equal(compare.digest, rig.swim->members.digest);
    rig_stop(&rig);
}

static void an_equal_digest_starts_nothing(void **state)
{
    struct rig rig;
    struct message ping, message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    rig_run(&rig, 600 * MSEC);
    size_t peer = rig_await_ping(&rig, 1, &ping);
    rig_ack(&rig, peer, ping.seq);
    assert_false(rig_sent(&rig, 1, MESSAGE_COMPARE, &message));
    rig_stop(&rig);
}

static void a_comparison_is_answered_with_the_buckets(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_COMPARE, .seq = 44}, vector;
    uint32_t sum = 0, whole = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 30);
    message.digest = rig.swim->members.digest;
    rig_say(&rig, 3, &message);
    assert_true(rig_sent(&rig, 3, MESSAGE_VECTOR, &vector));
    assert_int_equal(vector.seq, 44);
    assert_int_equal(vector.count, 31);
    for (size_t i = 0; i < MESSAGE_BUCKETS; i++)
        sum ^= vector.buckets[i];
    whole = (uint32_t)rig.swim->members.digest;
    assert_int_equal(sum, whole);
    rig_stop(&rig);
}

/* Pulls as peer 1 until the last page. Return: how many pages; *@ret_entries of all members. */
static size_t pull_all(struct rig *rig, uint64_t mask, size_t *ret_entries)
{
    struct message pull = {.type = MESSAGE_PULL, .seq = 1, .mask = mask}, page;
    struct claim claim;
    size_t pages = 0;

    *ret_entries = 0;
    do {
        rig_clear(rig);
        pull.seq++;
        rig_say(rig, 1, &pull);
        assert_true(rig_sent(rig, 1, MESSAGE_PAGE, &page));
        assert_int_equal(page.seq, pull.seq);
        assert_true(rig->sent[0].size <= rig->config.packet_size_max);
        while (message_read_entry(&page.claims, &claim) > 0) {
            pull.cursor = claim.id;
            ++*ret_entries;
        }
        pages++;
    } while (!page.is_last && pages < 1000);
    return pages;
}

static void pages_list_everybody_once(void **state)
{
    struct rig rig;
    size_t entries, half, other;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 100);
    rig_bury(&rig, 1, 50, 0);
    assert_true(pull_all(&rig, UINT64_MAX, &entries) > 3);
    assert_int_equal(entries, 101);
    (void)pull_all(&rig, UINT64_C(0xffffffff), &half);
    (void)pull_all(&rig, ~UINT64_C(0xffffffff), &other);
    assert_int_equal(half + other, 101);
    assert_int_equal(pull_all(&rig, 0, &entries), 1);
    assert_int_equal(entries, 0);
    rig_stop(&rig);
}

static void a_page_that_nobody_asked_for_changes_nothing(void **state)
{
    struct rig rig;
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, sizeof(data));
    struct claim claim = net_claim(9, 0, SWIM_ALIVE);
    size_t start;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_begin_page(&writer, 5, &start));
    assert_true(message_add_entry(&writer, &claim));
    message_end_page(&writer, start, true);
    assert_int_equal(rig_say_raw(&rig, 1, data, writer.position), 0);
    assert_int_equal(rig_state(&rig, 9), _SWIM_STATE_MAX);
    rig_stop(&rig);
}

static void two_tables_become_one(void **state)
{
    struct net *net = net_begin(12, 5);

    (void)state;
    /* Halves that never met the other's newcomers: cut, start, heal. */
    for (size_t i = 0; i < 12; i++)
        for (size_t j = 0; j < 12; j++)
            net->cut[i][j] = i % 2 != j % 2;
    net->nodes[3].swim->config.gossip_fanout = 1;
    uint8_t meta[] = {1, 2, 3};
    assert_int_equal(swim_set_meta(net->nodes[3].swim, meta, sizeof(meta), net->now), 0);
    net_drain(net, 3);
    net_run(net, 300 * MSEC);
    memset(net->cut, 0, sizeof(net->cut));
    net_run(net, 8 * USEC_PER_SEC);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(net->nodes[i].swim->members.digest, net->nodes[0].swim->members.digest);
    net_free(net);
}

static void exchanges_that_teach_nothing_get_rarer(void **state)
{
    struct rig rig;
    struct message ping, ack = {.type = MESSAGE_ACK}, message;
    size_t compares = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    for (int second = 0; second < 60; second++) {
        (void)rig_await_ping(&rig, 1, &ping);
        ack.seq = ping.seq;
        ack.digest = 12345;
        rig_say(&rig, 1, &ack);
        if (rig_sent(&rig, 1, MESSAGE_COMPARE, &message)) {
            struct message vector = {.type = MESSAGE_VECTOR, .seq = message.seq};
            vector.count = 2;
            compares++;
            rig_say(&rig, 1, &vector);
        }
    }
    assert_in_range(compares, 3, 10);
    rig_stop(&rig);
}

static void an_exchange_with_a_silent_member_is_given_up(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    struct node_id id = net_id(1);
    struct address address = net_address(1);
    sync_ask(rig.swim, &id, &address);
    assert_true(rig.swim->sync.is_active);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    rig_run(&rig, 5 * USEC_PER_SEC);
    assert_false(rig.swim->sync.is_active);
    rig_stop(&rig);
}

static void those_who_wait_for_an_exchange_are_bounded(void **state)
{
    struct rig rig;
    struct message compare = {.type = MESSAGE_COMPARE, .digest = 1};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 30);
    rig_run(&rig, 700 * MSEC);
    for (size_t i = 1; i <= 30; i++) {
        struct sync_peer peer = {.id = net_id(i), .address = net_address(i), .is_join = true};
        rig_say(&rig, i, &compare);
        sync_begin_join(rig.swim, &peer);
    }
    assert_true(rig.swim->sync.queue_count <= SYNC_QUEUE_MAX);
    rig_stop(&rig);
}

static void tombstones_come_with_their_age_and_without_an_event(void **state)
{
    struct net *net = net_begin(4, 6);
    struct node_id id = net_id(3);

    (void)state;
    net_kill(net, 3);
    assert_true(net_await_state(net, 3, SWIM_DEAD, 20 * USEC_PER_SEC) != USEC_INFINITY);
    net_run(net, 30 * USEC_PER_SEC);
    net_kill(net, 2);
    net_start(net, 2);
    net_run(net, 2 * USEC_PER_SEC);
    const struct swim_member *dead = swim_find(net->nodes[2].swim, &id);
    assert_non_null(dead);
    assert_int_equal(dead->state, SWIM_DEAD);
    assert_true(net->now - dead->changed_usec >= 30 * USEC_PER_SEC);
    assert_int_equal(net->nodes[2].events_count[SWIM_EVENT_MEMBER_DEAD], 0);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_differing_digest_starts_a_comparison_once_it_is_quiet),
        cmocka_unit_test(an_equal_digest_starts_nothing),
        cmocka_unit_test(a_comparison_is_answered_with_the_buckets),
        cmocka_unit_test(pages_list_everybody_once),
        cmocka_unit_test(a_page_that_nobody_asked_for_changes_nothing),
        cmocka_unit_test(two_tables_become_one),
        cmocka_unit_test(exchanges_that_teach_nothing_get_rarer),
        cmocka_unit_test(an_exchange_with_a_silent_member_is_given_up),
        cmocka_unit_test(those_who_wait_for_an_exchange_are_bounded),
        cmocka_unit_test(tombstones_come_with_their_age_and_without_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
