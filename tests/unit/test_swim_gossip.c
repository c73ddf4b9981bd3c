/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static struct message heartbeat(size_t i, uint64_t number)
{
    struct message message = {.type = MESSAGE_HEARTBEAT, .id = net_id(i), .number = number};

    message.incarnation.generation = NET_GENERATION;
    message.wall_usec = NET_WALL;
    message.address = net_address(i);
    return message;
}

static void a_heartbeat_is_told_once_and_passed_on(void **state)
{
    struct rig rig;
    struct message message = heartbeat(2, 17);
    struct swim_statistics statistics;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    rig_run(&rig, 500 * MSEC);
    rig_clear(&rig);
    for (size_t i = 1; i <= 4; i++)
        rig_say(&rig, i, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_GOSSIP), 1);
    swim_get_statistics(rig.swim, &statistics);
    assert_int_equal(statistics.gossip_duplicates, 3);
    rig_run(&rig, 500 * MSEC);
    assert_true(rig_count_peers(&rig, 5, MESSAGE_HEARTBEAT) >= 1);
    rig_stop(&rig);
}

static void as_many_heartbeats_as_configured_are_sent(void **state)
{
    struct swim_config config;
    struct rig rig;

    (void)state;
    swim_config_default(&config);
    config.message_count = 3;
    rig_start(&rig, &config);
    rig_run(&rig, 60 * USEC_PER_SEC); /* alone, there is nobody to tell */
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_GOSSIP), 0);
    rig_meet(&rig, 2);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    rig_run(&rig, 60 * USEC_PER_SEC);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_GOSSIP), 3);
    for (size_t i = 0, number = 1; i < rig.events_count; i++)
        if (rig.events[i].type == SWIM_EVENT_GOSSIP) {
            assert_int_equal(rig.events[i].number, number++);
            assert_true(rig.events[i].is_outgoing);
            assert_true(rig.events[i].wall_usec > NET_WALL);
        }
    rig_stop(&rig);
}

static void a_crowd_takes_turns_with_heartbeats(void **state)
{
    struct swim_config config;
    struct rig rig;
    size_t count = 0;

    (void)state;
    swim_config_default(&config);
    config.message_count = 0;
    rig_start(&rig, &config);
    rig_meet(&rig, 255);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    for (size_t i = 0; i < 400; i++) {
        rig_clear(&rig);
        rig_run(&rig, config.message_interval_usec);
        count += rig_count_events(&rig, SWIM_EVENT_GOSSIP);
    }
    assert_in_range(count, 10, 45); /* a sixteenth of 400 */
    rig_stop(&rig);
}

/* Those of 1..@peers that got a packet since rig_clear(). */
static size_t count_reached(const struct rig *rig, bool *reached, size_t peers)
{
    size_t count = 0;

    for (size_t i = 0; i < rig->sent_count; i++)
        for (size_t peer = 1; peer <= peers; peer++) {
            struct node_id id = net_id(peer);
            if (node_id_is_equal(&id, &rig->sent[i].to_id))
                reached[peer - 1] = true;
        }
    for (size_t peer = 1; peer <= peers; peer++)
        count += reached[peer - 1];
    return count;
}

static void a_crowd_gossips_with_partners_only(void **state)
{
    enum { PEERS = 640 };
    bool reached[PEERS] = {false};
    struct rig rig;
    size_t count = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, PEERS);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    for (uint64_t i = 1; i <= 40; i++) { /* 40 x 12 packets and more, and a few PINGs */
        rig_claim(&rig, i, i, i, SWIM_ALIVE);
        rig_clear(&rig);
        rig_run(&rig, USEC_PER_SEC);
        count = count_reached(&rig, reached, PEERS);
    }
    assert_in_range(count, 40, 220);
    rig_stop(&rig);
}

static void a_heartbeat_makes_no_rounds_in_a_crowd(void **state)
{
    static const size_t peers[] = {10, 100};
    struct message message = heartbeat(2, 17);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        struct rig rig;

        rig_start(&rig, NULL);
        rig_meet(&rig, peers[i]);
        rig.swim->probes.grace_end_usec = USEC_INFINITY;
        rig_run(&rig, 20 * USEC_PER_SEC);
        rig_clear(&rig);
        rig_say(&rig, 1, &message);
        rig_run(&rig, 900 * MSEC);
        size_t count = rig_count_peers(&rig, peers[i], MESSAGE_HEARTBEAT);
        if (peers[i] == 10)
            assert_true(count >= 3);
        else
            assert_true(count <= 3); /* on the pings of one probe */
        rig_stop(&rig);
    }
}

static void in_a_crowd_what_is_heard_need_not_be_said(void **state)
{
    enum { PEERS = 200 };
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, PEERS);
    size_t before = rig.swim->rumors.counts[RUMOR_STATE];
    for (size_t i = 0; i < 12; i++) /* 4 * ceil(log10(201)) */
        rig_claim(&rig, 10 + i, 1, 0, SWIM_ALIVE);
    assert_int_equal(rig.swim->rumors.counts[RUMOR_STATE], before - 1);
    rig_stop(&rig);
    /* Few rumors are told as often as ever. */
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    before = rig.swim->rumors.counts[RUMOR_STATE];
    for (size_t i = 0; i < 12; i++)
        rig_claim(&rig, 2, 1, 0, SWIM_ALIVE);
    assert_int_equal(rig.swim->rumors.counts[RUMOR_STATE], before);
    rig_stop(&rig);
}

static void fresh_news_do_not_wait_for_the_next_round(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig_run(&rig, 900 * MSEC);
    rig_clear(&rig);
    rig_bury(&rig, 1, 2, 0);
    rig_run(&rig, 12 * MSEC);
    assert_int_equal(rig_count_peers(&rig, 9, MESSAGE_DEAD), 4);
    rig_stop(&rig);
}

static void a_burst_of_news_travels_in_few_packets(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 60);
    rig_run(&rig, 900 * MSEC);
    rig_clear(&rig);
    for (size_t i = 2; i < 30; i++)
        rig_claim(&rig, 1, i, 1, SWIM_ALIVE);
    rig_run(&rig, 5 * MSEC);
    assert_true(rig.sent_count <= 8);
    rig_stop(&rig);
}

static void nothing_is_sent_in_rounds_while_nothing_is_new(void **state)
{
    struct net *net = net_begin(16, 4);
    uint64_t before;

    (void)state;
    net_run(net, 20 * USEC_PER_SEC);
    before = net->packets_count;
    uint64_t bytes = net->bytes_count;
    net_run(net, 60 * USEC_PER_SEC);
    /* One request and one answer per node and second. */
    assert_true(net->packets_count - before <= 16 * 60 * 22 / 10);
    assert_true((net->bytes_count - bytes) / (net->packets_count - before) < 40);
    net_free(net);
}

static struct swim_load busy(uint16_t running)
{
    return (struct swim_load){
        .load_permille = (uint16_t)(running * 250), .running = running, .slots = 4};
}

static void a_load_rides_on_acknowledgements(void **state)
{
    struct rig rig;
    struct message ping = {.type = MESSAGE_PING, .seq = 9}, ack;
    struct swim_load load = busy(3);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    swim_set_load(rig.swim, &load, rig.now);
    rig_say(&rig, 1, &ping);
    assert_true(rig_sent(&rig, 1, MESSAGE_ACK, &ack));
    assert_int_equal(ack.seq, 9);
    assert_int_equal(ack.load.running, 3);
    assert_int_equal(ack.digest, rig.swim->members.digest);
    rig_stop(&rig);
}

static void the_machine_s_own_load_is_not_spread_but_told(void **state)
{
    struct rig rig;
    struct message ping = {.type = MESSAGE_PING, .seq = 9}, ack;
    struct swim_load load = busy(0);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    swim_set_load(rig.swim, &load, rig.now);
    rig_run(&rig, 500 * MSEC);
    usec_t spread = rig.swim->load.spread_usec;
    load.load_permille = 3000;
    load.cpu_percent = 255;
    load.memory_percent = 93;
    swim_set_load(rig.swim, &load, rig.now);
    uint32_t version = rig.swim->load.version;
    rig_run(&rig, 5000 * MSEC);
    assert_int_equal(rig.swim->load.spread_usec, spread);
    rig_say(&rig, 1, &ping);
    assert_true(rig_sent(&rig, 1, MESSAGE_ACK, &ack));
    assert_int_equal(ack.load_version, version);
    assert_int_equal(ack.load.load_permille, 3000);
    assert_int_equal(ack.load.cpu_percent, 255);
    assert_int_equal(ack.load.memory_percent, 93);
    /* What is said already makes no version. */
    swim_set_load(rig.swim, &load, rig.now);
    assert_int_equal(rig.swim->load.version, version);
    rig_stop(&rig);
}

static void a_load_is_spread_once_per_interval(void **state)
{
    struct rig rig;
    struct swim_load load = busy(1);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 5);
    rig_run(&rig, 500 * MSEC);
    swim_set_load(rig.swim, &load, rig.now);
    rig_run(&rig, 250 * MSEC);
    assert_true(rig_count_peers(&rig, 5, MESSAGE_LOAD) >= 1);
    uint64_t spread = rig.swim->load.spread_usec;
    load = busy(2);
    swim_set_load(rig.swim, &load, rig.now);
    rig_run(&rig, 1500 * MSEC);
    assert_int_equal(rig.swim->load.spread_usec, spread);
    rig_run(&rig, 500 * MSEC);
    assert_true(rig.swim->load.spread_usec > spread);
    /* Who drains says so at once. */
    load.draining = true;
    swim_set_load(rig.swim, &load, rig.now);
    rig_run(&rig, MSEC);
    assert_int_equal(rig.swim->load.spread_usec, rig.now - MSEC);
    rig_stop(&rig);
}

static void only_a_newer_load_of_the_same_process_counts(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_LOAD, .id = net_id(2), .load_version = 5};
    struct node_id id = net_id(2);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    message.load = busy(2);
    message.incarnation.generation = NET_GENERATION;
    rig_say(&rig, 1, &message);
    assert_int_equal(swim_find(rig.swim, &id)->load.running, 2);
    message.load = busy(1);
    rig_say(&rig, 1, &message);
    message.load_version = 4;
    rig_say(&rig, 1, &message);
    message.load_version = 6;
    message.incarnation.generation--;
    rig_say(&rig, 1, &message);
    assert_int_equal(swim_find(rig.swim, &id)->load.running, 2);
    message.incarnation.generation++;
    rig_say(&rig, 1, &message);
    assert_int_equal(swim_find(rig.swim, &id)->load.running, 1);
    rig_stop(&rig);
}

static void a_newcomer_learns_loads_with_the_table(void **state)
{
    struct net *net = net_begin(5, 8);
    struct swim_load load = busy(2);
    struct node_id id = net_id(3);

    (void)state;
    swim_set_load(net->nodes[3].swim, &load, net->now);
    net_run(net, 5 * USEC_PER_SEC);
    net_kill(net, 2);
    net_start(net, 2);
    assert_true(net_await_complete(net, 3 * USEC_PER_SEC) != USEC_INFINITY);
    assert_int_equal(swim_find(net->nodes[2].swim, &id)->load.running, 2);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heartbeat_is_told_once_and_passed_on),
        cmocka_unit_test(as_many_heartbeats_as_configured_are_sent),
        cmocka_unit_test(a_crowd_takes_turns_with_heartbeats),
        cmocka_unit_test(a_crowd_gossips_with_partners_only),
        cmocka_unit_test(a_heartbeat_makes_no_rounds_in_a_crowd),
        cmocka_unit_test(in_a_crowd_what_is_heard_need_not_be_said),
        cmocka_unit_test(fresh_news_do_not_wait_for_the_next_round),
        cmocka_unit_test(a_burst_of_news_travels_in_few_packets),
        cmocka_unit_test(nothing_is_sent_in_rounds_while_nothing_is_new),
        cmocka_unit_test(a_load_rides_on_acknowledgements),
        cmocka_unit_test(the_machine_s_own_load_is_not_spread_but_told),
        cmocka_unit_test(a_load_is_spread_once_per_interval),
        cmocka_unit_test(only_a_newer_load_of_the_same_process_counts),
        cmocka_unit_test(a_newcomer_learns_loads_with_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
