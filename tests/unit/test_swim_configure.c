/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

/* A reload in a core that runs. */

static struct swim_config other;

static void begin(struct rig *rig, size_t members)
{
    rig_start(rig, NULL);
    rig_meet(rig, members);
    other = rig->config;
}

static int set(struct rig *rig)
{
    int r = swim_set_config(rig->swim, &other, rig->now);

    rig_drain(rig);
    return r;
}

static const struct swim_member *member_of(const struct rig *rig, size_t i)
{
    struct node_id id = net_id(i);

    return swim_find(rig->swim, &id);
}

static void flap(struct rig *rig, size_t i, uint64_t times)
{
    rig->swim->probes.grace_end_usec = USEC_INFINITY; /* our own probes accuse nobody */
    for (uint64_t n = 0; n < times; n++) {
        rig_bury(rig, 1, i, n);
        rig_run(rig, 100 * USEC_PER_MSEC);
        rig_claim(rig, i, i, n + 1, SWIM_ALIVE);
    }
}

static void what_is_out_of_range_changes_nothing(void **state _unused_)
{
    struct rig rig;

    begin(&rig, 1);
    other.max_missed = 0;
    other.gossip_fanout = 9;
    assert_int_equal(set(&rig), -EINVAL);
    assert_int_equal(rig.swim->config.gossip_fanout, rig.config.gossip_fanout);
    rig_stop(&rig);
}

static void a_packet_size_without_room_for_the_own_record_changes_nothing(void **state _unused_)
{
    static const uint8_t meta[SWIM_META_MAX];
    struct rig rig;

    begin(&rig, 1);
    assert_int_equal(swim_set_meta(rig.swim, meta, sizeof(meta), rig.now), 0);
    other.packet_size_max = SWIM_PACKET_MIN;
    other.gossip_fanout = 9;
    assert_int_equal(set(&rig), -EMSGSIZE);
    assert_int_equal(rig.swim->config.gossip_fanout, rig.config.gossip_fanout);
    assert_int_equal(rig.swim->config.packet_size_max, rig.config.packet_size_max);
    rig_stop(&rig);
}

static void a_long_round_is_not_waited_for(void **state _unused_)
{
    struct swim_config slow;
    struct message ping;
    struct rig rig;

    swim_config_default(&slow);
    slow.message_interval_usec = 0;
    slow.probe_interval_usec = 60 * USEC_PER_SEC;
    rig_start(&rig, &slow);
    rig_meet(&rig, 3);
    other = slow;
    other.probe_interval_usec = USEC_PER_SEC;
    assert_int_equal(set(&rig), 0);
    rig_clear(&rig);
    rig_run(&rig, 3 * USEC_PER_SEC);
    assert_true(rig_pinged(&rig, 3, &ping) > 0);
    rig_stop(&rig);
}

static void tombstones_go_when_the_new_retention_is_over(void **state _unused_)
{
    struct rig rig;

    begin(&rig, 3);
    rig_bury(&rig, 1, 2, 0);
    rig_run(&rig, 10 * USEC_PER_SEC);
    other.dead_retention_usec = 20 * USEC_PER_SEC;
    assert_int_equal(set(&rig), 0);
    assert_int_equal(rig_state(&rig, 2), SWIM_DEAD);
    rig_run(&rig, 9 * USEC_PER_SEC);
    assert_non_null(member_of(&rig, 2));
    rig_run(&rig, 2 * USEC_PER_SEC);
    assert_null(member_of(&rig, 2));
    rig_stop(&rig);
}

static void fewer_flaps_make_a_member_unstable_and_more_keep_it_so_until_it_is_quiet(
    void **state _unused_)
{
    struct rig rig;

    begin(&rig, 3);
    flap(&rig, 2, 4);
    assert_false(member_of(&rig, 2)->is_unstable);
    other.unstable_flaps = 3;
    assert_int_equal(set(&rig), 0);
    assert_true(member_of(&rig, 2)->is_unstable);
    assert_int_equal(swim_get_flaps(member_of(&rig, 2)), 3);
    other.unstable_flaps = 1000;
    assert_int_equal(set(&rig), 0);
    assert_true(member_of(&rig, 2)->is_unstable);
    assert_int_equal(swim_get_flaps(member_of(&rig, 2)), 3);
    flap(&rig, 3, 1); /* a ring of the new size */
    assert_int_equal(swim_get_flaps(member_of(&rig, 3)), 1);
    rig_stop(&rig);
}

static void a_shorter_window_ends_instability(void **state _unused_)
{
    struct rig rig;

    begin(&rig, 3);
    flap(&rig, 2, 5);
    rig_run(&rig, 2 * USEC_PER_MIN);
    assert_true(member_of(&rig, 2)->is_unstable);
    other.unstable_window_usec = USEC_PER_MIN;
    assert_int_equal(set(&rig), 0);
    assert_false(member_of(&rig, 2)->is_unstable);
    rig_stop(&rig);
}

static void heartbeats_begin_and_end(void **state _unused_)
{
    struct rig rig;

    begin(&rig, 2);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    rig_run(&rig, 10 * USEC_PER_SEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_GOSSIP), 0);
    other.message_interval_usec = USEC_PER_SEC;
    other.message_count = 2;
    assert_int_equal(set(&rig), 0);
    rig_run(&rig, 10 * USEC_PER_SEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_GOSSIP), 2);
    other.message_count = 0; /* without end: they go on */
    assert_int_equal(set(&rig), 0);
    rig_clear(&rig);
    rig_run(&rig, 10 * USEC_PER_SEC);
    assert_in_range(rig_count_events(&rig, SWIM_EVENT_GOSSIP), 9, 11);
    other.message_interval_usec = 0;
    assert_int_equal(set(&rig), 0);
    rig_clear(&rig);
    rig_run(&rig, 10 * USEC_PER_SEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_GOSSIP), 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_out_of_range_changes_nothing),
        cmocka_unit_test(a_packet_size_without_room_for_the_own_record_changes_nothing),
        cmocka_unit_test(a_long_round_is_not_waited_for),
        cmocka_unit_test(tombstones_go_when_the_new_retention_is_over),
        cmocka_unit_test(fewer_flaps_make_a_member_unstable_and_more_keep_it_so_until_it_is_quiet),
        cmocka_unit_test(a_shorter_window_ends_instability),
        cmocka_unit_test(heartbeats_begin_and_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
