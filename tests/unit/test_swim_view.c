/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

static const struct swim_member *member_of(const struct rig *rig, size_t i)
{
    struct node_id id = net_id(i);

    return swim_find(rig->swim, &id);
}

/* Every claim against every state: only what is higher in (incarnation, state) changes a view. */
static void a_view_moves_only_up_the_order(void **state)
{
    (void)state;
    for (int held = SWIM_ALIVE; held < _SWIM_STATE_MAX; held++)
        for (int claimed = SWIM_ALIVE; claimed < _SWIM_STATE_MAX; claimed++)
            for (uint64_t counter = 4; counter <= 6; counter++) {
                struct rig rig;

                rig_start(&rig, NULL);
                rig_meet(&rig, 3);
                rig_claim(&rig, 2, 2, 5, SWIM_ALIVE);
                if (held == SWIM_DEAD)
                    rig_bury(&rig, 1, 2, 5);
                else
                    rig_claim(&rig, 1, 2, 5, (enum swim_state)held);
                assert_int_equal(rig_state(&rig, 2), held);
                struct swim_incarnation before = member_of(&rig, 2)->incarnation;
                rig_claim(&rig, 3, 2, counter, (enum swim_state)claimed);
                struct swim_incarnation after = member_of(&rig, 2)->incarnation;
                int order = incarnation_compare(&after, &before);
                assert_true(order >= 0);
                if (order == 0)
                    assert_true((int)rig_state(&rig, 2) >= held);
                if (counter < 5)
                    assert_int_equal(rig_state(&rig, 2), held);
                /* A death of somebody who was alive until now is an accusation first. */
                bool is_doubtful = claimed == SWIM_DEAD && held < SWIM_DEAD;
                if (counter == 5)
                    assert_int_equal(rig_state(&rig, 2),
                                     is_doubtful ? SWIM_SUSPECT : MAX(held, claimed));
                rig_stop(&rig);
            }
}

static void a_higher_incarnation_clears_a_suspicion(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_claim(&rig, 1, 2, 0, SWIM_SUSPECT);
    struct node_id accuser = net_id(1);
    assert_true(node_id_is_equal(swim_get_reporter(member_of(&rig, 2)), &accuser));
    rig_claim(&rig, 3, 2, 1, SWIM_ALIVE);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    assert_true(node_id_is_null(swim_get_reporter(member_of(&rig, 2))));
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_ALIVE), 1);
    rig_stop(&rig);
}

/* A view never has an incarnation without the record that belongs to it. */
static void a_suspicion_at_a_higher_incarnation_fetches_the_record(void **state)
{
    struct rig rig;
    struct message message;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_claim(&rig, 1, 2, 5, SWIM_SUSPECT);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    assert_int_equal(member_of(&rig, 2)->incarnation.counter, 0);
    assert_true(rig_sent(&rig, 1, MESSAGE_COMPARE, &message));
    rig_stop(&rig);
}

/* What was cut off says of others that they are dead: those who live refute it, as an accusation.
 */
static void a_death_of_the_living_is_an_accusation(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig.swim->probes.grace_end_usec = USEC_INFINITY; /* our own probes accuse nobody */
    rig_claim(&rig, 1, 2, 0, SWIM_DEAD);
    assert_int_equal(rig_state(&rig, 2), SWIM_SUSPECT);
    struct node_id accuser = net_id(1);
    assert_true(node_id_is_equal(swim_get_reporter(member_of(&rig, 2)), &accuser));
    rig_run(&rig, 100 * MSEC);
    rig_claim(&rig, 3, 2, 0, SWIM_DEAD);
    assert_int_equal(rig_state(&rig, 2), SWIM_SUSPECT);
    rig_claim(&rig, 2, 2, 1, SWIM_ALIVE);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_DEAD), 0);
    rig_stop(&rig);
}

/* But it has no longer for that than an answer takes. */
static void a_death_that_is_not_refuted_is_believed(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 9);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    rig_claim(&rig, 1, 2, 0, SWIM_DEAD);
    rig_run(&rig, 490 * MSEC);
    rig_claim(&rig, 1, 2, 0, SWIM_DEAD);
    assert_int_equal(rig_state(&rig, 2), SWIM_SUSPECT);
    rig_run(&rig, 20 * MSEC);
    rig_claim(&rig, 1, 2, 0, SWIM_DEAD);
    assert_int_equal(rig_state(&rig, 2), SWIM_DEAD);
    rig_stop(&rig);
}

/* memberlist#312: the dead came back by gossip for six hours. */
static void hearsay_raises_nobody_from_the_dead(void **state)
{
    struct rig rig;
    struct message notice;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_bury(&rig, 1, 2, 0);
    rig_run(&rig, 500 * MSEC);
    rig_clear(&rig);
    rig_claim(&rig, 3, 2, 7, SWIM_ALIVE);
    assert_int_equal(rig_state(&rig, 2), SWIM_DEAD);
    /* But the dead is asked, with what is held of it, and its own word counts. */
    assert_true(rig_sent(&rig, 2, MESSAGE_DEAD, &notice));
    rig_claim(&rig, 2, 2, 7, SWIM_ALIVE);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    rig_stop(&rig);
}

static void the_dead_are_asked_a_few_times_and_no_more(void **state)
{
    struct rig rig;
    struct message notice;
    size_t count = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_bury(&rig, 1, 2, 0);
    rig_run(&rig, 500 * MSEC);
    rig_clear(&rig);
    rig.swim->probes.grace_end_usec = USEC_INFINITY;
    rig_claim(&rig, 3, 2, 7, SWIM_ALIVE);
    rig_run(&rig, 10 * USEC_PER_SEC);
    while (rig_sent_nth(&rig, 2, MESSAGE_DEAD, count, &notice))
        count++;
    assert_in_range(count, 3, 8);
    rig_stop(&rig);
}

static void a_restarted_member_that_is_still_held_for_alive_is_news(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(2, 0, SWIM_ALIVE)};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    message.claim.incarnation.generation++;
    rig_say(&rig, 3, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_UPDATED), 1);
    assert_int_equal(member_of(&rig, 2)->incarnation.generation, NET_GENERATION + 1);
    rig_stop(&rig);
}

static void an_incarnation_that_jumps_is_refused_and_counted(void **state)
{
    struct rig rig;
    struct swim_statistics statistics;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    assert_int_equal(rig_claim(&rig, 1, 2, CLAIM_JUMP_MAX + 1, SWIM_ALIVE), -EBADMSG);
    assert_int_equal(rig_claim(&rig, 1, 2, CLAIM_JUMP_MAX + 1, SWIM_DEAD), -EBADMSG);
    assert_int_equal(rig_claim(&rig, 1, 2, CLAIM_JUMP_MAX + 1, SWIM_LEFT), -EBADMSG);
    assert_int_equal(rig_claim(&rig, 1, 2, CLAIM_JUMP_MAX + 1, SWIM_SUSPECT), -EBADMSG);
    assert_int_equal(rig_claim(&rig, 1, 9, CLAIM_JUMP_MAX + 1, SWIM_ALIVE), -EBADMSG);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    assert_int_equal(rig_state(&rig, 9), _SWIM_STATE_MAX);
    swim_get_statistics(rig.swim, &statistics);
    assert_int_equal(statistics.packets_malformed, 5);
    rig_stop(&rig);
}

static void nobody_is_accused_who_is_not_known(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    for (int claimed = SWIM_SUSPECT; claimed < _SWIM_STATE_MAX; claimed++)
        assert_int_equal(rig_claim(&rig, 1, 8, 0, (enum swim_state)claimed), 0);
    assert_int_equal(rig_state(&rig, 8), _SWIM_STATE_MAX);
    rig_stop(&rig);
}

static void nobody_accuses_itself(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_claim(&rig, 2, 2, 0, SWIM_SUSPECT);
    assert_int_equal(rig_state(&rig, 2), SWIM_ALIVE);
    rig_stop(&rig);
}

static void a_wildcard_is_resolved_for_its_author_only(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(4, 0, SWIM_ALIVE)};
    struct address expected = net_address(4);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    memset(message.claim.address.bytes, 0, sizeof(message.claim.address.bytes));
    assert_int_equal(rig_say(&rig, 1, &message), -EBADMSG);
    assert_int_equal(rig_state(&rig, 4), _SWIM_STATE_MAX);
    assert_int_equal(rig_say(&rig, 4, &message), 0);
    assert_true(address_is_equal(&member_of(&rig, 4)->address, &expected));
    rig_stop(&rig);
}

static void a_name_that_another_bears_is_told(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(4, 0, SWIM_ALIVE)};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    (void)snprintf(message.claim.name, sizeof(message.claim.name), "n2");
    rig_say(&rig, 4, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_NAME_CONFLICT), 1);
    assert_ptr_equal(swim_find_name(rig.swim, "n2"), member_of(&rig, 2));
    rig_bury(&rig, 1, 2, 0);
    assert_ptr_equal(swim_find_name(rig.swim, "n2"), member_of(&rig, 4));
    assert_null(swim_find_name(rig.swim, "n3"));
    rig_stop(&rig);
}

static void the_dead_are_reaped_after_their_retention(void **state)
{
    struct swim_config config;
    struct rig rig;

    (void)state;
    swim_config_default(&config);
    config.dead_retention_usec = 5 * USEC_PER_SEC;
    rig_start(&rig, &config);
    rig_meet(&rig, 1);
    rig_claim(&rig, 1, 1, 1, SWIM_LEFT);
    rig_run(&rig, 4900 * MSEC);
    assert_int_equal(rig_state(&rig, 1), SWIM_LEFT);
    rig_run(&rig, 200 * MSEC);
    assert_int_equal(rig_state(&rig, 1), _SWIM_STATE_MAX);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_REAPED), 1);
    rig_stop(&rig);
}

static void the_forgotten_stay_away_until_they_come_themselves(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2), stranger = net_id(7);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    assert_int_equal(swim_forget(rig.swim, &id, rig.now), -EBUSY);
    assert_int_equal(swim_forget(rig.swim, &stranger, rig.now), -ENOENT);
    rig_bury(&rig, 1, 2, 0);
    assert_int_equal(swim_forget(rig.swim, &id, rig.now), 0);
    assert_int_equal(swim_forget(rig.swim, &id, rig.now), -ENOENT);
    assert_int_equal(swim_members_count(rig.swim), 3);
    rig_claim(&rig, 3, 2, 0, SWIM_ALIVE);
    rig_claim(&rig, 3, 2, 1, SWIM_DEAD);
    assert_int_equal(swim_members_count(rig.swim), 3);
    rig_clear(&rig);
    rig_claim(&rig, 2, 2, 2, SWIM_ALIVE);
    assert_int_equal(swim_members_count(rig.swim), 4);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_JOINED), 1);
    rig_stop(&rig);
}

static void a_flapping_member_is_unstable_until_it_is_quiet(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig.swim->probes.grace_end_usec = USEC_INFINITY; /* our own probes accuse nobody */
    for (uint64_t i = 0; i < 5; i++) {
        assert_false(member_of(&rig, 2)->is_unstable);
        rig_bury(&rig, 1, 2, i);
        rig_run(&rig, 100 * MSEC);
        rig_claim(&rig, 2, 2, i + 1, SWIM_ALIVE);
    }
    assert_true(member_of(&rig, 2)->is_unstable);
    assert_int_equal(swim_get_flaps(member_of(&rig, 2)), 5);
    rig_run(&rig, 9 * USEC_PER_MIN);
    assert_true(member_of(&rig, 2)->is_unstable);
    rig_run(&rig, 2 * USEC_PER_MIN);
    assert_false(member_of(&rig, 2)->is_unstable);
    assert_int_equal(swim_get_flaps(member_of(&rig, 2)), 0);
    rig_stop(&rig);
}

/* At 30 % loss everybody is suspected now and then: that must not take the work from all. */
static void refuted_suspicions_are_no_flaps(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    for (uint64_t i = 0; i < 20; i++) {
        rig_claim(&rig, 1, 2, i, SWIM_SUSPECT);
        rig_claim(&rig, 2, 2, i + 1, SWIM_ALIVE);
    }
    assert_false(member_of(&rig, 2)->is_unstable);
    assert_int_equal(swim_get_flaps(member_of(&rig, 2)), 0);
    rig_stop(&rig);
}

static void an_accusation_of_ourselves_is_refuted_above_it(void **state)
{
    (void)state;
    for (int claimed = SWIM_SUSPECT; claimed < _SWIM_STATE_MAX; claimed++) {
        struct rig rig;
        struct message answer;

        rig_start(&rig, NULL);
        rig_meet(&rig, 2);
        rig_claim(&rig, 1, 0, 3, (enum swim_state)claimed);
        assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, 4);
        assert_int_equal(swim_get_self(rig.swim)->state, SWIM_ALIVE);
        assert_true(rig_sent(&rig, 1, MESSAGE_ALIVE, &answer));
        assert_int_equal(answer.claim.incarnation.counter, 4);
        assert_int_equal(rig.swim->probes.health, 1);
        /* An old one is answered, and changes nothing. */
        rig_clear(&rig);
        rig_claim(&rig, 2, 0, 1, (enum swim_state)claimed);
        assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, 4);
        assert_true(rig_sent(&rig, 2, MESSAGE_ALIVE, &answer));
        rig_stop(&rig);
    }
}

static void a_newer_double_of_ourselves_is_fatal_an_older_is_not(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(0, 0, SWIM_ALIVE)};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    message.claim.incarnation.generation = NET_GENERATION - 1;
    message.claim.address = net_address(50);
    rig_say(&rig, 1, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_ID_CONFLICT), 0);
    message.claim.incarnation.generation = NET_GENERATION + 1;
    rig_say(&rig, 1, &message);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_ID_CONFLICT), 1);
    assert_true(rig.events[rig.events_count - 1].is_fatal);
    rig_stop(&rig);
}

static void of_two_equally_new_doubles_the_higher_address_wins(void **state)
{
    (void)state;
    for (int is_higher = 0; is_higher <= 1; is_higher++) {
        struct rig rig;
        struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(0, 0, SWIM_ALIVE)};

        rig_start(&rig, NULL);
        rig_meet(&rig, 2);
        message.claim.address.bytes[0] = is_higher ? 11 : 9;
        rig_say(&rig, 1, &message);
        assert_int_equal(rig_count_events(&rig, SWIM_EVENT_ID_CONFLICT), 1);
        assert_int_equal(rig.events[rig.events_count - 1].is_fatal, is_higher);
        /* The one that keeps the id goes above, so that the other one hears of it. */
        assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, is_higher ? 0 : 1);
        rig_stop(&rig);
    }
}

static void our_own_record_as_we_wrote_it_is_no_double(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 2);
    rig_claim(&rig, 1, 0, 0, SWIM_ALIVE);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_ID_CONFLICT), 0);
    assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, 0);
    rig_stop(&rig);
}

static void a_learned_address_changes_when_two_in_a_row_say_so(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_ADDRESS, .address = net_address(30)};
    struct address first = net_address(30), second = net_address(31);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    rig_say(&rig, 1, &message); /* a configured address stands */
    assert_false(address_is_equal(&swim_get_self(rig.swim)->address, &first));
    rig.swim->is_address_learned = true;
    memset(rig.swim->self->shown.address.bytes, 0, 16);
    rig_say(&rig, 1, &message);
    assert_true(address_is_equal(&swim_get_self(rig.swim)->address, &first));
    message.address = second;
    rig_say(&rig, 1, &message);
    rig_say(&rig, 1, &message);
    assert_true(address_is_equal(&swim_get_self(rig.swim)->address, &first));
    rig_say(&rig, 2, &message);
    assert_true(address_is_equal(&swim_get_self(rig.swim)->address, &second));
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MEMBER_UPDATED), 2);
    assert_false(rig.events[0].has_moved); /* it was nowhere */
    assert_true(rig.events[1].has_moved);
    rig_stop(&rig);
}

/* Whoever knows that its address is gone does not wait until somebody suspects it. */
static void a_learned_address_that_is_gone_is_asked_for(void **state)
{
    struct rig rig;
    struct message message = {.type = MESSAGE_ADDRESS, .address = net_address(30)};
    struct address elsewhere = net_address(31);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    assert_false(swim_lose_address(rig.swim, rig.now)); /* a configured one */
    rig.swim->is_address_learned = true;
    rig_say(&rig, 1, &message);
    rig_say(&rig, 2, &message);
    rig_run(&rig, 5 * USEC_PER_SEC);
    rig_clear(&rig);
    uint64_t counter = swim_get_self(rig.swim)->incarnation.counter;
    assert_true(swim_lose_address(rig.swim, rig.now));
    assert_false(swim_lose_address(rig.swim, rig.now));
    rig_drain(&rig);
    assert_int_equal(rig.events_count, 1);
    assert_true(rig.events[0].type == SWIM_EVENT_MEMBER_UPDATED && rig.events[0].has_moved);
    assert_int_equal(swim_get_self(rig.swim)->incarnation.counter, counter + 1);
    assert_true(address_is_wildcard(&swim_get_self(rig.swim)->address));
    assert_int_equal(rig_count_peers(&rig, 3, MESSAGE_JOIN), 3);
    message = (struct message){.type = MESSAGE_ADDRESS, .address = elsewhere};
    rig_say(&rig, 1, &message);
    assert_true(address_is_equal(&swim_get_self(rig.swim)->address, &elsewhere));
    rig_stop(&rig);
}

static void a_member_at_another_address_is_told_as_moved(void **state)
{
    struct rig rig;
    struct message alive = {.type = MESSAGE_ALIVE, .claim = net_claim(2, 1, SWIM_ALIVE)};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    alive.claim.address = net_address(30);
    rig_say(&rig, 3, &alive);
    assert_int_equal(rig.events_count, 1);
    assert_true(rig.events[0].type == SWIM_EVENT_MEMBER_UPDATED && rig.events[0].has_moved);
    alive.claim.incarnation.counter++;
    rig_clear(&rig);
    rig_say(&rig, 3, &alive);
    assert_int_equal(rig.events_count, 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_moves_only_up_the_order),
        cmocka_unit_test(a_higher_incarnation_clears_a_suspicion),
        cmocka_unit_test(a_suspicion_at_a_higher_incarnation_fetches_the_record),
        cmocka_unit_test(a_death_of_the_living_is_an_accusation),
        cmocka_unit_test(a_death_that_is_not_refuted_is_believed),
        cmocka_unit_test(hearsay_raises_nobody_from_the_dead),
        cmocka_unit_test(the_dead_are_asked_a_few_times_and_no_more),
        cmocka_unit_test(a_restarted_member_that_is_still_held_for_alive_is_news),
        cmocka_unit_test(an_incarnation_that_jumps_is_refused_and_counted),
        cmocka_unit_test(nobody_is_accused_who_is_not_known),
        cmocka_unit_test(nobody_accuses_itself),
        cmocka_unit_test(a_wildcard_is_resolved_for_its_author_only),
        cmocka_unit_test(a_name_that_another_bears_is_told),
        cmocka_unit_test(the_dead_are_reaped_after_their_retention),
        cmocka_unit_test(the_forgotten_stay_away_until_they_come_themselves),
        cmocka_unit_test(a_flapping_member_is_unstable_until_it_is_quiet),
        cmocka_unit_test(refuted_suspicions_are_no_flaps),
        cmocka_unit_test(an_accusation_of_ourselves_is_refuted_above_it),
        cmocka_unit_test(a_newer_double_of_ourselves_is_fatal_an_older_is_not),
        cmocka_unit_test(of_two_equally_new_doubles_the_higher_address_wins),
        cmocka_unit_test(our_own_record_as_we_wrote_it_is_no_double),
        cmocka_unit_test(a_learned_address_changes_when_two_in_a_row_say_so),
        cmocka_unit_test(a_learned_address_that_is_gone_is_asked_for),
        cmocka_unit_test(a_member_at_another_address_is_told_as_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
