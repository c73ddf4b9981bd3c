/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

static int new_with(const struct swim_config *config, const struct swim_self *self)
{
    struct swim *swim = NULL;
    int r = swim_new(config, self, 1, NET_START, NET_WALL, &swim);

    swim_free(swim);
    return r;
}

static struct swim_self good_self(void)
{
    return (struct swim_self){
        .id = net_id(0), .generation = 1, .name = "n0", .address = net_address(0)};
}

static void a_configuration_out_of_range_is_refused(void **state)
{
    struct swim_config good, bad;
    struct swim_self self = good_self();

    (void)state;
    swim_config_default(&good);
    assert_int_equal(new_with(&good, &self), 0);
#define REFUSES(field, value)                                                                      \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.field = (value);                                                                       \
        assert_int_equal(new_with(&bad, &self), -EINVAL);                                          \
    } while (false)
    REFUSES(probe_interval_usec, 0);
    REFUSES(probe_timeout_usec, 0);
    REFUSES(probe_timeout_usec, good.probe_interval_usec / 2 + 1);
    REFUSES(indirect_probes, 17);
    REFUSES(max_missed, 0);
    REFUSES(max_missed, 11);
    REFUSES(suspicion_mult, 0);
    REFUSES(suspicion_max, 0);
    REFUSES(suspicion_max, 21);
    REFUSES(unstable_flaps, 0);
    REFUSES(unstable_flaps, 1001);
    REFUSES(unstable_window_usec, 0);
    REFUSES(dead_retention_usec, 0);
    REFUSES(rejoin_interval_usec, 0);
    REFUSES(gossip_interval_usec, 0);
    REFUSES(gossip_fanout, 0);
    REFUSES(sync_interval_usec, 0);
    REFUSES(load_interval_usec, 0);
    REFUSES(retransmit_mult, 0);
    REFUSES(packet_size_max, SWIM_PACKET_MIN - 1);
    REFUSES(packet_size_max, SWIM_PACKET_MAX + 1);
#undef REFUSES
}

static void a_self_that_is_nobody_is_refused(void **state)
{
    struct swim_config config;
    struct swim_self self = good_self();

    (void)state;
    swim_config_default(&config);
    self.id = NODE_ID_NULL;
    assert_int_equal(new_with(&config, &self), -EINVAL);
    self = good_self();
    self.name[0] = '\0';
    assert_int_equal(new_with(&config, &self), -EINVAL);
    self = good_self();
    self.address.family = 0;
    assert_int_equal(new_with(&config, &self), -EINVAL);
    self = good_self();
    self.address.port = 0;
    assert_int_equal(new_with(&config, &self), -EINVAL);
}

static void a_lone_core_knows_itself_and_sends_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_run(&rig, USEC_PER_HOUR);
    assert_int_equal(rig.sent_count, 0);
    assert_int_equal(rig.events_count, 0);
    assert_int_equal(swim_members_count(rig.swim), 1);
    assert_true(swim_get_self(rig.swim)->is_self);
    assert_ptr_equal(swim_member_at(rig.swim, 0), swim_get_self(rig.swim));
    rig_stop(&rig);
}

static void packets_of_nobody_and_of_ourselves_are_refused(void **state)
{
    struct rig rig;
    struct address address = net_address(1);
    static const uint8_t data[SWIM_PACKET_MAX + 1] = {MESSAGE_VERSION};

    (void)state;
    rig_start(&rig, NULL);
    assert_int_equal(swim_receive(rig.swim, &address, &NODE_ID_NULL, data, 1, rig.now), -EBADMSG);
    assert_int_equal(rig_say_raw(&rig, 0, data, 1), -EBADMSG);
    assert_int_equal(rig_say_raw(&rig, 1, data, sizeof(data)), -EBADMSG);
    assert_int_equal(rig_say_raw(&rig, 1, data, 0), -EBADMSG);
    assert_int_equal(rig_say_raw(&rig, 1, data, 1), 0);
    rig_stop(&rig);
}

static void what_comes_before_the_damage_counts(void **state)
{
    struct rig rig;
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, sizeof(data));
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(1, 0, SWIM_ALIVE)};

    (void)state;
    rig_start(&rig, NULL);
    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_write(&writer, &message));
    writer_u8(&writer, MESSAGE_PING);
    assert_int_equal(rig_say_raw(&rig, 1, data, writer.position), -EBADMSG);
    assert_int_equal(rig_state(&rig, 1), SWIM_ALIVE);
    rig_stop(&rig);
}

static void metadata_is_spread_as_a_new_record(void **state)
{
    struct rig rig;
    struct message message;
    uint8_t meta[SWIM_META_MAX + 1] = {1, 2, 3};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    assert_int_equal(swim_set_meta(rig.swim, meta, sizeof(meta), rig.now), -EMSGSIZE);
    assert_int_equal(swim_set_meta(rig.swim, meta, SWIM_META_MAX, rig.now), 0);
    assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, 1);
    assert_int_equal(swim_set_meta(rig.swim, meta, SWIM_META_MAX, rig.now), 0);
    assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, 1);
    rig_run(&rig, 15 * USEC_PER_MSEC);
    size_t told = 0;
    for (size_t i = 1; i <= 9; i++)
        for (size_t n = 0; rig_sent_nth(&rig, i, MESSAGE_ALIVE, n, &message); n++)
            told += message.claim.meta_size == SWIM_META_MAX;
    assert_true(told >= 4);
    rig_stop(&rig);
}

/* The largest record that is accepted can be brought to a seed, and be welcomed by a suspicious
 * one. */
static void a_large_record_does_not_keep_a_node_out(void **state)
{
    struct swim_config config;
    struct rig rig;
    struct message join = {.type = MESSAGE_JOIN, .seq = 2}, message;
    struct address seed = net_address(1);
    uint8_t meta[SWIM_META_MAX] = {0};
    char name[NODE_NAME_MAX + 1] = "";
    size_t size = sizeof(meta);

    (void)state;
    swim_config_default(&config);
    config.packet_size_max = SWIM_PACKET_MIN;
    rig_start(&rig, &config);
    memset(name, 'n', NODE_NAME_MAX);
    assert_int_equal(member_set_text(rig.swim, rig.swim->self, name, NULL, 0), 0);
    rig.swim->self->shown.address.family = 6;
    while (swim_set_meta(rig.swim, meta, size, rig.now) == -EMSGSIZE)
        size--;
    assert_true(size > 100);
    swim_set_seeds(rig.swim, &(struct swim_seed){.address = seed}, 1, 1, rig.now);
    rig_drain(&rig);
    assert_true(rig_sent(&rig, 1, MESSAGE_JOIN, &message));
    rig_meet(&rig, 9);
    for (size_t i = 1; i <= 4; i++)
        rig_claim(&rig, i, 9, 0, SWIM_SUSPECT);
    rig_clear(&rig);
    rig_say(&rig, 9, &join);
    assert_true(rig_sent(&rig, 9, MESSAGE_WELCOME, &message));
    assert_true(rig_sent(&rig, 9, MESSAGE_ADDRESS, &message));
    rig_stop(&rig);
}

/* A path that is found to take less: nothing is larger from then on, down to a limit. */
static void packets_get_smaller_when_told(void **state)
{
    uint8_t meta[SWIM_META_MAX] = {0};
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 20);
    assert_int_equal(swim_set_packet_size(rig.swim, SWIM_PACKET_MIN - 1), -ERANGE);
    assert_int_equal(swim_set_packet_size(rig.swim, SWIM_PACKET_MAX + 1), -ERANGE);
    assert_int_equal(swim_set_meta(rig.swim, meta, SWIM_META_MAX, rig.now), 0);
    assert_int_equal(swim_set_packet_size(rig.swim, SWIM_PACKET_MIN), -EMSGSIZE);
    assert_int_equal(swim_set_meta(rig.swim, meta, 100, rig.now), 0);
    assert_int_equal(swim_set_packet_size(rig.swim, SWIM_PACKET_MIN), 0);
    assert_int_equal(swim_set_meta(rig.swim, meta, SWIM_META_MAX, rig.now), -EMSGSIZE);
    rig_clear(&rig);
    for (size_t i = 1; i <= 20; i++) {
        struct message pull = {.type = MESSAGE_PULL, .seq = (uint32_t)i, .mask = UINT64_MAX};
        rig_say(&rig, i, &pull);
    }
    rig_run(&rig, 5 * USEC_PER_SEC);
    assert_true(rig.sent_count > 20);
    for (size_t i = 0; i < rig.sent_count; i++)
        assert_true(rig.sent[i].size <= SWIM_PACKET_MIN);
    rig_stop(&rig);
}

static void time_never_goes_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    rig_run(&rig, USEC_PER_SEC);
    swim_tick(rig.swim, rig.now - USEC_PER_SEC / 2);
    assert_true(rig.swim->now > rig.now - USEC_PER_SEC / 2);
    rig_stop(&rig);
}

/* The same inputs with the same seed give the same outputs. */
static void a_run_repeats_itself(void **state)
{
    uint64_t packets[2], bytes[2];

    (void)state;
    for (int run = 0; run < 2; run++) {
        struct net *net = net_begin(12, 77);
        net->loss = 0.1;
        net_kill(net, 4);
        net_run(net, 20 * USEC_PER_SEC);
        packets[run] = net->packets_count;
        bytes[run] = net->bytes_count;
        net_free(net);
    }
    assert_int_equal(packets[0], packets[1]);
    assert_int_equal(bytes[0], bytes[1]);
}

static void packets_that_nobody_fetches_are_bounded(void **state)
{
    struct rig rig;
    struct message ping = {.type = MESSAGE_PING};
    uint8_t data[64];
    struct writer writer = writer_into(data, sizeof(data));
    struct address address = net_address(1);
    struct node_id id = net_id(1);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_write(&writer, &ping));
    for (int i = 0; i < PACKETS_MAX + 100; i++)
        swim_receive(rig.swim, &address, &id, data, writer.position, rig.now);
    assert_int_equal(rig.swim->packets.count, PACKETS_MAX);
    for (int i = 0; i < EVENTS_MAX; i++)
        swim_receive(rig.swim, &address, &id, data, writer.position, rig.now);
    assert_int_equal(rig.swim->events.count, EVENTS_MAX);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_out_of_range_is_refused),
        cmocka_unit_test(a_self_that_is_nobody_is_refused),
        cmocka_unit_test(a_lone_core_knows_itself_and_sends_nothing),
        cmocka_unit_test(packets_of_nobody_and_of_ourselves_are_refused),
        cmocka_unit_test(what_comes_before_the_damage_counts),
        cmocka_unit_test(metadata_is_spread_as_a_new_record),
        cmocka_unit_test(a_large_record_does_not_keep_a_node_out),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(packets_get_smaller_when_told),
        cmocka_unit_test(a_run_repeats_itself),
        cmocka_unit_test(packets_that_nobody_fetches_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
