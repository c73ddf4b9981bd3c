/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

/* Fills one packet with rumors. Return: how many frames of a type are in it. */
static size_t fill(struct rig *rig, enum message_type type)
{
    struct address to = net_address(99);
    struct draft draft;
    struct message message;
    size_t count = 0;

    packet_begin(rig->swim, &draft, &to, NULL);
    rumor_fill(rig->swim, &draft);
    struct reader reader = reader_from(draft.data, draft.writer.position);
    assert_true(message_begin(&reader));
    while (message_read(&reader, &message) > 0)
        count += message.type == type;
    assert_true(reader_ok(&reader));
    return count;
}

static void spread(struct rig *rig, size_t i)
{
    struct node_id id = net_id(i);

    rumor_spread(rig->swim, member_find(rig->swim, &id), false);
}

/* No rumor waits, and none goes out by itself. */
static void start_quiet(struct rig *rig, size_t members)
{
    rig_start(rig, NULL);
    rig_meet(rig, members);
    rig_run(rig, 900 * USEC_PER_MSEC);
    while (rumors_count(&rig->swim->rumors) > 0)
        fill(rig, MESSAGE_ALIVE);
    rig_clear(rig);
}

static void a_rumor_is_sent_lambda_log_n_times(void **state)
{
    struct rig rig;
    size_t count = 0;

    (void)state;
    start_quiet(&rig, 20);
    spread(&rig, 3);
    while (fill(&rig, MESSAGE_ALIVE) == 1)
        count++;
    assert_int_equal(count, 4 * 2); /* retransmit_mult * ceil(log10(22)) */
    rig_stop(&rig);
}

static void the_least_sent_go_first(void **state)
{
    struct rig rig;

    (void)state;
    start_quiet(&rig, 40);
    rig.swim->config.packet_size_max = 512;
    for (size_t i = 1; i <= 20; i++)
        spread(&rig, i);
    size_t per_packet = fill(&rig, MESSAGE_ALIVE);
    assert_true(per_packet > 1 && per_packet < 20);
    for (size_t sent = per_packet; sent < 20; sent += fill(&rig, MESSAGE_ALIVE))
        assert_true(rumors_are_fresh(&rig.swim->rumors));
    assert_false(rumors_are_fresh(&rig.swim->rumors));
    rig_stop(&rig);
}

static void a_newer_rumor_replaces_the_older(void **state)
{
    struct rig rig;

    (void)state;
    start_quiet(&rig, 20);
    spread(&rig, 3);
    fill(&rig, MESSAGE_ALIVE);
    rig_claim(&rig, 1, 3, 0, SWIM_SUSPECT);
    assert_int_equal(rig.swim->rumors.counts[RUMOR_STATE], 1);
    assert_int_equal(fill(&rig, MESSAGE_SUSPECT), 1);
    rig_stop(&rig);
}

static struct message text(size_t number)
{
    struct message message = {.type = MESSAGE_TEXT, .id = net_id(1), .number = number};

    memset(message.text, 'x', 200);
    return message;
}

static void texts_and_states_take_turns(void **state)
{
    struct rig rig;
    size_t texts = 0, states = 0;

    (void)state;
    start_quiet(&rig, 60);
    for (size_t i = 1; i <= 60; i++)
        spread(&rig, i);
    for (size_t i = 1; i <= 60; i++) {
        struct message message = text(i);
        rumor_spread_text(rig.swim, &message, false);
    }
    for (int i = 0; i < 4; i++)
        texts += fill(&rig, MESSAGE_TEXT) > 0;
    for (int i = 0; i < 4; i++)
        states += fill(&rig, MESSAGE_ALIVE) > 0;
    assert_int_equal(texts, 2);
    assert_true(states >= 2);
    rig_stop(&rig);
}

static void texts_are_bounded(void **state)
{
    struct rig rig;

    (void)state;
    start_quiet(&rig, 3);
    for (size_t i = 1; i <= RUMOR_TEXTS_MAX; i++) {
        struct message message = text(i);
        rumor_spread_text(rig.swim, &message, false);
    }
    assert_int_equal(rig.swim->rumors.counts[RUMOR_TEXT], RUMOR_TEXTS_MAX);
    struct message message = text(9999);
    rumor_spread_text(rig.swim, &message, false);
    assert_int_equal(rig.swim->rumors.counts[RUMOR_TEXT], RUMOR_TEXTS_MAX);
    rig_stop(&rig);
}

/* A full table and all the texts that there may be wait, and afterwards nothing is kept of that. */
static void the_pool_holds_all_that_may_wait_and_is_given_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    size_t least = rig.swim->rumors.allocated;
    for (size_t i = 1; i < SWIM_MEMBERS_MAX; i++) {
        struct node_id id = net_id(i);
        struct member *member;
        assert_int_equal(member_add(rig.swim, &id, &member), 0);
        rumor_spread(rig.swim, member, false);
    }
    rumor_spread(rig.swim, rig.swim->self, false);
    for (size_t i = 1; i <= RUMOR_TEXTS_MAX + 1; i++) {
        struct message message = text(i);
        rumor_spread_text(rig.swim, &message, false);
    }
    assert_int_equal(rumors_count(&rig.swim->rumors), SWIM_MEMBERS_MAX + RUMOR_TEXTS_MAX);
    while (rumors_count(&rig.swim->rumors) > 0)
        fill(&rig, MESSAGE_TEXT);
    assert_int_equal(rig.swim->rumors.allocated, least);
    spread(&rig, 3);
    assert_int_equal(rumors_count(&rig.swim->rumors), 1);
    rig_stop(&rig);
}

/* A record that came from a node with larger datagrams does not clog the queue. */
static void what_no_packet_can_hold_leaves_the_queue(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(5, 1, SWIM_ALIVE)};
    static const uint8_t meta[SWIM_META_MAX];

    (void)state;
    start_quiet(&rig, 5);
    rig.swim->config.packet_size_max = 512;
    message.claim.meta = meta;
    message.claim.meta_size = sizeof(meta);
    rig_say(&rig, 5, &message);
    for (int i = 0; i < 100; i++)
        fill(&rig, MESSAGE_ALIVE);
    assert_int_equal(rumors_count(&rig.swim->rumors), 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rumor_is_sent_lambda_log_n_times),
        cmocka_unit_test(the_least_sent_go_first),
        cmocka_unit_test(a_newer_rumor_replaces_the_older),
        cmocka_unit_test(texts_and_states_take_turns),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(the_pool_holds_all_that_may_wait_and_is_given_back),
        cmocka_unit_test(what_no_packet_can_hold_leaves_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
