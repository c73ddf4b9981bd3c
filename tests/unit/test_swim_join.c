/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static void set_seeds(struct rig *rig, size_t count)
{
    struct swim_seed seeds[SWIM_SEEDS_MAX];

    for (uint32_t i = 0; i < count; i++)
        seeds[i] = (struct swim_seed){net_address(i + 1), i};
    swim_set_seeds(rig->swim, seeds, count, (uint32_t)count, rig->now);
    rig_drain(rig);
}

/* Seed @i answers the JOIN that it was sent. Return: whether there was one. */
static bool welcome(struct rig *rig, size_t i)
{
    struct message join, message = {.type = MESSAGE_WELCOME};

    if (!rig_sent(rig, i, MESSAGE_JOIN, &join))
        return false;
    rig_claim(rig, i, i, 0, SWIM_ALIVE);
    message.seq = join.seq;
    message.digest = rig->swim->members.digest;
    message.count = 2;
    rig_say(rig, i, &message);
    return true;
}

static void a_majority_of_random_seeds_is_asked_at_once(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    set_seeds(&rig, 5);
    assert_int_equal(rig_count_peers(&rig, 5, MESSAGE_JOIN), 3);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOINED), 0);
    size_t answered = 0;
    for (size_t i = 1; i <= 5; i++)
        answered += welcome(&rig, i);
    assert_int_equal(answered, 3);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOINED), 1);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_PEER_LIST), 3);
    rig_clear(&rig);
    rig_run(&rig, 500 * MSEC);
    assert_int_equal(rig_count_peers(&rig, 5, MESSAGE_JOIN), 0);
    rig_stop(&rig);
}

/* Remembered members come this way, too. */
static void an_address_that_is_no_seed_is_not_called_one(void **state)
{
    const struct address address = net_address(9);
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    assert_int_equal(swim_join(rig.swim, &address, rig.now), 0);
    rig_drain(&rig);
    rig_run(&rig, 60 * USEC_PER_SEC);
    assert_true(rig_count_peers(&rig, 9, MESSAGE_JOIN) > 0);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_SEED_UNREACHABLE), 0);
    rig_stop(&rig);
}

/* Where a thousand join at once the answer to the first JOIN may come after the fourth. */
static void a_welcome_to_an_earlier_try_counts(void **state)
{
    struct rig rig;
    struct message join, welcome_message = {.type = MESSAGE_WELCOME, .count = 2};

    (void)state;
    rig_start(&rig, NULL);
    set_seeds(&rig, 1);
    assert_true(rig_sent(&rig, 1, MESSAGE_JOIN, &join));
    rig_clear(&rig);
    rig_run(&rig, 2 * USEC_PER_SEC);
    assert_true(rig_count_peers(&rig, 1, MESSAGE_JOIN) > 0); /* it was repeated */
    welcome_message.seq = join.seq;
    rig_claim(&rig, 1, 1, 0, SWIM_ALIVE);
    rig_say(&rig, 1, &welcome_message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOINED), 1);
    rig_stop(&rig);
}

/* The seed gives a few members of a crowd, somebody else the rest. */
static void who_is_joined_by_gives_a_share_of_a_crowd(void **state)
{
    struct rig rig;
    struct message join, pull, answer = {.type = MESSAGE_WELCOME, .count = 640, .digest = 1};
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, sizeof(data));
    struct claim claim = net_claim(9, 0, SWIM_ALIVE);
    size_t start;

    (void)state;
    rig_start(&rig, NULL);
    set_seeds(&rig, 1);
    assert_true(rig_sent(&rig, 1, MESSAGE_JOIN, &join));
    answer.seq = join.seq;
    rig_claim(&rig, 1, 1, 0, SWIM_ALIVE);
    rig_say(&rig, 1, &answer);
    assert_true(rig_sent(&rig, 1, MESSAGE_PULL, &pull));
    assert_int_equal(__builtin_popcountll(pull.mask), 3); /* 30 of 640 */
    assert_false(rig_sent_nth(&rig, 1, MESSAGE_PULL, 1, &join));
    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_begin_page(&writer, pull.seq, &start));
    assert_true(message_add_entry(&writer, &claim));
    message_end_page(&writer, start, true);
    rig_say_raw(&rig, 1, data, writer.position);
    assert_true(rig_sent(&rig, 9, MESSAGE_PULL, &pull));
    assert_true(rush_is_on(rig.swim));
    rig_stop(&rig);
}

static void silent_seeds_are_replaced_by_others(void **state)
{
    struct rig rig;
    struct swim_statistics statistics;

    (void)state;
    rig_start(&rig, NULL);
    set_seeds(&rig, 3);
    rig_run(&rig, 5 * USEC_PER_SEC);
    assert_int_equal(rig_count_peers(&rig, 3, MESSAGE_JOIN), 3);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_SEED_UNREACHABLE), 3);
    rig_run(&rig, 20 * USEC_PER_SEC); /* told once */
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_SEED_UNREACHABLE), 3);
    swim_get_statistics(rig.swim, &statistics);
    assert_int_equal(statistics.seeds_configured, 3);
    assert_int_equal(statistics.seeds_needed, 2);
    assert_int_equal(statistics.seeds_reachable, 0);
    rig_stop(&rig);
}

static uint32_t needed(uint32_t quorum, size_t seeds)
{
    struct swim_config config;
    struct swim_statistics statistics;
    struct rig rig;

    swim_config_default(&config);
    config.seed_quorum = quorum;
    rig_start(&rig, &config);
    set_seeds(&rig, seeds);
    swim_get_statistics(rig.swim, &statistics);
    rig_stop(&rig);
    return statistics.seeds_needed;
}

static void the_quorum_is_as_configured(void **state)
{
    (void)state;
    assert_int_equal(needed(0, 0), 0);
    assert_int_equal(needed(0, 1), 1);
    assert_int_equal(needed(0, 2), 2);
    assert_int_equal(needed(0, 3), 2);
    assert_int_equal(needed(0, 4), 3);
    assert_int_equal(needed(1, 4), 1);
    assert_int_equal(needed(9, 4), 4);
}

static void the_own_address_is_no_seed(void **state)
{
    struct rig rig;
    struct address own = net_address(0);

    (void)state;
    rig_start(&rig, NULL);
    swim_set_seeds(rig.swim, &(struct swim_seed){.address = own}, 1, 1, rig.now);
    rig_drain(&rig);
    assert_int_equal(rig.sent_count, 0);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOINED), 1);
    rig_stop(&rig);
}

/* Seed 0 is a name with two addresses, 1 and 2; seed 1 a name without any as yet. */
static void a_name_is_one_seed_whatever_its_addresses(void **state)
{
    const struct swim_seed seeds[] = {{net_address(1), 0}, {net_address(2), 0}};
    struct swim_statistics statistics;
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    swim_set_seeds(rig.swim, seeds, 2, 1, rig.now);
    rig_drain(&rig);
    size_t asked = rig_count_peers(&rig, 1, MESSAGE_JOIN) ? 1 : 2;
    assert_int_equal(rig_count_peers(&rig, 2, MESSAGE_JOIN), 1);
    rig_run(&rig, 300 * MSEC); /* the other address soon after, as the first is silent */
    assert_int_equal(rig_count_peers(&rig, 2, MESSAGE_JOIN), 2);
    assert_true(welcome(&rig, 3 - asked));
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOINED), 1);
    rig_clear(&rig);
    rig_run(&rig, 20 * USEC_PER_SEC);
    assert_false(rig_sent(&rig, asked, MESSAGE_JOIN, &(struct message){0}));
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_SEED_UNREACHABLE), 0);
    swim_get_statistics(rig.swim, &statistics);
    assert_int_equal(statistics.seeds_configured, 1);
    rig_stop(&rig);
}

static void a_name_without_an_address_counts_for_the_quorum(void **state)
{
    const struct swim_seed seeds[] = {{net_address(1), 0}, {net_address(0), 1}};
    struct swim_statistics statistics;
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    /* Itself is no seed; two of the others have no address. */
    swim_set_seeds(rig.swim, seeds, 2, 4, rig.now);
    rig_drain(&rig);
    swim_get_statistics(rig.swim, &statistics);
    assert_int_equal(statistics.seeds_configured, 3);
    assert_int_equal(statistics.seeds_needed, 2);
    assert_true(welcome(&rig, 1));
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOINED), 0);
    rig_stop(&rig);
}

static void two_names_of_one_address_are_both_answered(void **state)
{
    const struct swim_seed seeds[] = {{net_address(1), 0}, {net_address(1), 1}};
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    swim_set_seeds(rig.swim, seeds, 2, 2, rig.now);
    rig_drain(&rig);
    assert_true(welcome(&rig, 1));
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOINED), 1);
    rig_stop(&rig);
}

static void the_same_seeds_again_are_not_asked_again(void **state)
{
    struct rig rig;
    struct swim_statistics statistics;

    (void)state;
    rig_start(&rig, NULL);
    set_seeds(&rig, 1);
    assert_true(welcome(&rig, 1));
    rig_clear(&rig);
    set_seeds(&rig, 1);
    assert_int_equal(rig_count_peers(&rig, 1, MESSAGE_JOIN), 0);
    set_seeds(&rig, 3);
    swim_get_statistics(rig.swim, &statistics);
    assert_int_equal(statistics.seeds_configured, 3);
    assert_int_equal(statistics.seeds_reachable, 1);
    rig_stop(&rig);
}

static void who_joins_is_welcomed_with_a_record_and_its_address(void **state)
{
    struct rig rig;
    struct message join = {.type = MESSAGE_JOIN, .seq = 31}, message;
    struct address expected = net_address(4);

    (void)state;
    rig_start(&rig, NULL);
    rig_claim(&rig, 4, 4, 0, SWIM_ALIVE);
    rig_say(&rig, 4, &join);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_JOIN_REQUEST), 1);
    assert_true(rig_sent(&rig, 4, MESSAGE_WELCOME, &message));
    assert_int_equal(message.seq, 31);
    assert_int_equal(message.count, 2);
    assert_true(rig_sent(&rig, 4, MESSAGE_ALIVE, &message));
    assert_string_equal(message.claim.name, "n0");
    assert_true(rig_sent(&rig, 4, MESSAGE_ADDRESS, &message));
    assert_true(address_is_equal(&message.address, &expected));
    rig_stop(&rig);
}

static void a_welcome_to_no_join_of_ours_is_ignored(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_WELCOME, .seq = 31};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    message.count = 100;
    rig_say(&rig, 1, &message);
    assert_false(rig.swim->sync.is_active);
    rig_stop(&rig);
}

static void an_address_by_hand_is_contacted_and_forgotten(void **state)
{
    struct rig rig;
    struct address address = net_address(1);

    (void)state;
    rig_start(&rig, NULL);
    for (size_t i = 0; i < JOIN_EXTRAS_MAX; i++)
        assert_int_equal(swim_join(rig.swim, &address, rig.now), 0);
    assert_int_equal(swim_join(rig.swim, &address, rig.now), -ENOSPC);
    rig_run(&rig, 20 * USEC_PER_SEC);
    assert_int_equal(rig_count_peers(&rig, 1, MESSAGE_JOIN), 1);
    assert_int_equal(swim_join(rig.swim, &address, rig.now), 0);
    rig_stop(&rig);
}

static void seeds_and_the_dead_are_contacted_for_as_long_as_they_are_listed(void **state)
{
    struct rig rig;
    struct message message;

    (void)state;
    rig_start(&rig, NULL);
    set_seeds(&rig, 1);
    assert_true(welcome(&rig, 1));
    rig_claim(&rig, 2, 2, 0, SWIM_ALIVE);
    rig_bury(&rig, 2, 1, 0);
    rig_claim(&rig, 2, 2, 1, SWIM_LEFT);
    for (int i = 0; i < 10; i++) {
        rig_clear(&rig);
        rig_run(&rig, 46 * USEC_PER_SEC); /* once and a half of the interval */
        assert_true(rig_sent(&rig, 1, MESSAGE_JOIN, &message));
        assert_true(rig_sent(&rig, 1, MESSAGE_DEAD, &message));
        assert_int_equal(rig_count_peers(&rig, 2, MESSAGE_JOIN), 1);
    }
    rig_stop(&rig);
}

/* A seed that nobody asked, for somebody stands at its address: until it goes somewhere else. */
static void who_stands_at_a_seeds_address_may_go_away(void **state)
{
    struct rig rig;
    struct swim_config config;
    struct message message = {.type = MESSAGE_ALIVE};
    size_t third = 0;

    (void)state;
    swim_config_default(&config);
    config.rejoin_interval_usec = USEC_PER_SEC;
    rig_start(&rig, &config);
    set_seeds(&rig, 3);
    for (size_t i = 1; i <= 3; i++)
        if (!welcome(&rig, i))
            third = i;
    rig_claim(&rig, third, third, 0, SWIM_ALIVE);
    rig_clear(&rig);
    rig_run(&rig, 3 * USEC_PER_SEC);
    assert_int_equal(rig_count_peers(&rig, 3, MESSAGE_JOIN), 0);
    message.claim = net_claim(third, 1, SWIM_ALIVE);
    message.claim.address = net_address(7);
    rig_say(&rig, third, &message);
    rig_clear(&rig);
    rig_run(&rig, 2 * USEC_PER_SEC);
    assert_true(rig_sent(&rig, third, MESSAGE_JOIN, &message));
    rig_stop(&rig);
}

static void after_a_sleep_seeds_are_asked_at_once(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    set_seeds(&rig, 3);
    for (size_t i = 1; i <= 3; i++)
        welcome(&rig, i);
    rig_run(&rig, 100 * MSEC);
    rig_clear(&rig);
    swim_set_wall(rig.swim, NET_WALL + USEC_PER_HOUR, rig.now, true);
    rig_drain(&rig);
    assert_int_equal(rig_count_peers(&rig, 3, MESSAGE_JOIN), 2);
    rig_stop(&rig);
}

static void thirty_that_start_at_once_see_each_other_within_a_second(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct net *net = net_new(30, seed);
        for (size_t i = 0; i < 30; i++)
            net_start(net, i);
        assert_true(net_await_complete(net, USEC_PER_SEC) != USEC_INFINITY);
        assert_true(net->packet_size_max <= net->config.packet_size_max);
        net_free(net);
    }
}

static void they_do_so_under_loss_too(void **state)
{
    struct net *net = net_new(30, 9);

    (void)state;
    net->loss = 0.1;
    for (size_t i = 0; i < 30; i++)
        net_start(net, i);
    assert_true(net_await_complete(net, 10 * USEC_PER_SEC) != USEC_INFINITY);
    net_free(net);
}

/* A copied disk, started in the same second: to all digests the two are one. */
static void a_double_of_equal_incarnation_hears_of_the_other(void **state)
{
    struct rig rig;
    struct message alive = {.type = MESSAGE_ALIVE, .claim = net_claim(2, 0, SWIM_ALIVE)}, sent;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    rig_say(&rig, 2, &alive);
    assert_false(rig_sent(&rig, 2, MESSAGE_ALIVE, &sent) &&
                 node_id_is_equal(&sent.claim.id, &alive.claim.id));
    alive.claim.address = net_address(30);
    rig_clear(&rig);
    rig_say(&rig, 2, &alive);
    assert_true(rig_sent(&rig, 2, MESSAGE_ALIVE, &sent));
    assert_true(node_id_is_equal(&sent.claim.id, &alive.claim.id));
    struct address held = net_address(2);
    assert_true(address_is_equal(&sent.claim.address, &held));
    /* In anybody else's mouth, or older, it is hearsay. */
    rig_clear(&rig);
    rig_say(&rig, 1, &alive);
    assert_int_equal(rig.sent_count, 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_double_of_equal_incarnation_hears_of_the_other),
        cmocka_unit_test(a_majority_of_random_seeds_is_asked_at_once),
        cmocka_unit_test(an_address_that_is_no_seed_is_not_called_one),
        cmocka_unit_test(a_welcome_to_an_earlier_try_counts),
        cmocka_unit_test(who_is_joined_by_gives_a_share_of_a_crowd),
        cmocka_unit_test(silent_seeds_are_replaced_by_others),
        cmocka_unit_test(the_quorum_is_as_configured),
        cmocka_unit_test(the_own_address_is_no_seed),
        cmocka_unit_test(a_name_is_one_seed_whatever_its_addresses),
        cmocka_unit_test(a_name_without_an_address_counts_for_the_quorum),
        cmocka_unit_test(two_names_of_one_address_are_both_answered),
        cmocka_unit_test(the_same_seeds_again_are_not_asked_again),
        cmocka_unit_test(who_joins_is_welcomed_with_a_record_and_its_address),
        cmocka_unit_test(a_welcome_to_no_join_of_ours_is_ignored),
        cmocka_unit_test(an_address_by_hand_is_contacted_and_forgotten),
        cmocka_unit_test(seeds_and_the_dead_are_contacted_for_as_long_as_they_are_listed),
        cmocka_unit_test(who_stands_at_a_seeds_address_may_go_away),
        cmocka_unit_test(after_a_sleep_seeds_are_asked_at_once),
        cmocka_unit_test(thirty_that_start_at_once_see_each_other_within_a_second),
        cmocka_unit_test(they_do_so_under_loss_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
