/* SPDX-License-Identifier: MIT */
#include "swim/marks.h"
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

/* Writes what peer 1 says that it has: everybody but every @step-th of them. Return: how many it
 * lacks. */
static size_t name_known(struct rig *rig, size_t step, struct writer *writer)
{
    struct node_id first = NODE_ID_NULL;
    struct order_walk walk = order_walk_after(&rig->swim->members.all, UINT64_MAX, &first);
    const struct member *member;
    size_t count = 0, lacked = 0;

    while ((member = order_walk_next(&walk))) {
        if (count++ % step == 0)
            lacked++;
        else
            writer_u32(writer, marks_of(member));
    }
    return lacked;
}

static void a_page_brings_what_is_not_known(void **state)
{
    struct rig rig;
    struct message pull = {.type = MESSAGE_PULL, .seq = 5, .mask = UINT64_MAX}, page;
    uint8_t marks[MARKS_MAX * sizeof(uint32_t)];
    struct writer writer = writer_into(marks, sizeof(marks));
    struct claim claim;
    size_t entries = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 100);
    rig_bury(&rig, 1, 50, 0);
    rig_clear(&rig);
    size_t lacked = name_known(&rig, 20, &writer);
    pull.marks = reader_from(marks, writer.position);
    rig_say(&rig, 1, &pull);
    assert_true(rig_sent(&rig, 1, MESSAGE_PAGE, &page));
    while (message_read_entry(&page.claims, &claim) > 0)
        entries++;
    assert_true(page.is_last);
    assert_int_equal(entries, lacked);
    rig_stop(&rig);
}

/* Who knows a member, and not that it died, suspects nothing, or has an older record, lacks it. */
static void a_mark_is_that_of_a_state_at_an_incarnation(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2);
    uint32_t marks[4];

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    const struct member *member = member_find(rig.swim, &id);
    marks[0] = marks_of(member);
    rig_claim(&rig, 2, 2, 1, SWIM_ALIVE);
    marks[1] = marks_of(member);
    rig_claim(&rig, 1, 2, 1, SWIM_SUSPECT);
    marks[2] = marks_of(member);
    rig_bury(&rig, 1, 2, 1);
    marks[3] = marks_of(member);
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(marks[i], marks[j]);
    rig_stop(&rig);
}

static void marks_that_do_not_fit_are_left_out(void **state)
{
    static const size_t sizes[] = {SWIM_PACKET_MIN, 1326};
    enum { PEERS = 900 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct swim_config config;
        struct rig rig;
        struct message compare, vector = {.type = MESSAGE_VECTOR, .count = PEERS}, pull;
        struct node_id id = net_id(1);
        struct address address = net_address(1);

        swim_config_default(&config);
        config.packet_size_max = sizes[i];
        rig_start(&rig, &config);
        rig_meet(&rig, PEERS);
        sync_ask(rig.swim, &id, &address);
        rig_drain(&rig);
        assert_true(rig_sent(&rig, 1, MESSAGE_COMPARE, &compare));
        vector.seq = compare.seq;
        rig_clear(&rig);
        rig_say(&rig, 1, &vector);
        assert_true(rig_sent(&rig, 1, MESSAGE_PULL, &pull));
        assert_true(pull.marks.size > 0);
        assert_true(pull.marks.size < sizes[i]);
        assert_true(rig.sent[0].size <= sizes[i]);
        rig_stop(&rig);
    }
}

/* As many marks as a packet can hold, and all of them the same place. */
static void too_many_marks_are_passed_over(void **state)
{
    uint8_t data[4 * (MARKS_MAX + 200)];
    struct writer writer = writer_into(data, sizeof(data));
    struct marks marks;

    (void)state;
    for (uint32_t i = 0; i < MARKS_MAX + 200; i++)
        writer_u32(&writer, i << 16);
    struct reader reader = reader_from(data, sizeof(data));
    marks_read(&reader, &marks);
    for (uint32_t i = 1; i < MARKS_MAX + 200; i++)
        assert_int_equal(marks_have(&marks, i << 16), i < MARKS_MAX);
    assert_false(marks_have(&marks, 0));
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
        cmocka_unit_test(a_page_brings_what_is_not_known),
        cmocka_unit_test(a_mark_is_that_of_a_state_at_an_incarnation),
        cmocka_unit_test(marks_that_do_not_fit_are_left_out),
        cmocka_unit_test(too_many_marks_are_passed_over),
        cmocka_unit_test(a_page_that_nobody_asked_for_changes_nothing),
        cmocka_unit_test(two_tables_become_one),
        cmocka_unit_test(exchanges_that_teach_nothing_get_rarer),
        cmocka_unit_test(an_exchange_with_a_silent_member_is_given_up),
        cmocka_unit_test(those_who_wait_for_an_exchange_are_bounded),
        cmocka_unit_test(tombstones_come_with_their_age_and_without_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
