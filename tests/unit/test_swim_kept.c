/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#include "swim/kept.h"

#define MSEC USEC_PER_MSEC

/* Text @number of peer @i, as somebody kept it. */
static struct message kept_of(size_t i, uint64_t number, uint32_t age_msec)
{
    struct message message = {.type = MESSAGE_KEPT, .id = net_id(i), .number = number};

    message.incarnation.generation = NET_GENERATION;
    message.age_msec = age_msec;
    (void)snprintf(message.text, sizeof(message.text), "text %zu.%u", i, (unsigned)number);
    (void)snprintf(message.claim.name, sizeof(message.claim.name), "n%zu", i);
    return message;
}

static void hear(struct rig *rig, size_t i, uint64_t number)
{
    struct message message = kept_of(i, number, 0);

    message.type = MESSAGE_TEXT;
    assert_int_equal(rig_say(rig, i, &message), 0);
}

/* A core with three members and no probes of its own. */
static void begin(struct rig *rig)
{
    rig_start(rig, NULL);
    rig_meet(rig, 3);
    rig->swim->probes.grace_end_usec = USEC_INFINITY;
}

/* The HAVE on an acknowledgement for @peer. Return: its digest, 0 where there is none. */
static uint64_t ask_digest(struct rig *rig, size_t peer)
{
    struct message ping = {.type = MESSAGE_PING}, have;

    rig_clear(rig);
    rig_say(rig, peer, &ping);
    assert_true(rig_sent(rig, peer, MESSAGE_ACK, &have));
    return rig_sent(rig, peer, MESSAGE_HAVE, &have) ? have.digest : 0;
}

static void say_digest(struct rig *rig, size_t peer, uint64_t digest)
{
    struct message have = {.type = MESSAGE_HAVE, .digest = digest};

    assert_int_equal(rig_say(rig, peer, &have), 0);
}

static void acknowledgements_carry_the_digest_of_what_is_no_rumor_any_more(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    assert_int_equal(ask_digest(&rig, 3), 0);
    hear(&rig, 1, 1);
    assert_int_equal(ask_digest(&rig, 3), 0);
    rig_run(&rig, 1100 * MSEC);
    uint64_t one = ask_digest(&rig, 3);
    assert_int_not_equal(one, 0);
    hear(&rig, 2, 1);
    assert_true(ask_digest(&rig, 3) == one);
    rig_run(&rig, 1100 * MSEC);
    assert_false(ask_digest(&rig, 3) == one);
    rig_run(&rig, KEPT_USEC);
    assert_int_equal(ask_digest(&rig, 3), 0);
    rig_stop(&rig);
}

static void the_order_in_which_texts_came_does_not_matter(void **state)
{
    struct rig one, other;

    (void)state;
    begin(&one);
    begin(&other);
    hear(&one, 1, 1);
    hear(&one, 2, 1);
    hear(&other, 2, 1);
    hear(&other, 1, 1);
    rig_run(&one, 2 * USEC_PER_SEC);
    rig_run(&other, 2 * USEC_PER_SEC);
    uint64_t digest = ask_digest(&one, 3);
    assert_int_not_equal(digest, 0);
    assert_true(ask_digest(&other, 3) == digest);
    rig_stop(&one);
    rig_stop(&other);
}

static void another_digest_is_asked_about_and_less_often_in_vain(void **state)
{
    struct rig rig;
    struct message want;
    size_t asked = 0;

    (void)state;
    begin(&rig);
    hear(&rig, 1, 1);
    rig_run(&rig, 2 * USEC_PER_SEC);
    uint64_t own = ask_digest(&rig, 3);
    rig_clear(&rig);
    say_digest(&rig, 2, own);
    assert_false(rig_sent(&rig, 2, MESSAGE_WANT, &want));
    say_digest(&rig, 2, own ^ 1);
    assert_true(rig_sent(&rig, 2, MESSAGE_WANT, &want));
    assert_int_equal(want.count, 1);
    assert_true(want.buckets[0] == (uint32_t)own);
    for (int i = 0; i < 60; i++) {
        rig_clear(&rig);
        rig_run(&rig, USEC_PER_SEC);
        say_digest(&rig, 2, own ^ 1);
        asked += rig_sent(&rig, 2, MESSAGE_WANT, &want);
    }
    assert_in_range(asked, 4, 8);
    rig_stop(&rig);
}

static void a_stranger_is_not_asked(void **state)
{
    struct rig rig;
    struct message want;

    (void)state;
    begin(&rig);
    say_digest(&rig, 9, 1);
    assert_false(rig_sent(&rig, 9, MESSAGE_WANT, &want));
    rig_stop(&rig);
}

static void who_wants_gets_what_it_has_not_in_one_packet(void **state)
{
    struct rig rig;
    struct message want = {.type = MESSAGE_WANT}, kept, have;

    (void)state;
    begin(&rig);
    hear(&rig, 1, 1);
    rig_run(&rig, 3 * USEC_PER_SEC);
    want.buckets[want.count++] = (uint32_t)ask_digest(&rig, 3);
    hear(&rig, 2, 1);
    rig_run(&rig, 2 * USEC_PER_SEC);
    rig_clear(&rig);
    rig_say(&rig, 3, &want);
    assert_int_equal(rig.sent_count, 1);
    assert_true(rig_sent(&rig, 3, MESSAGE_KEPT, &kept));
    assert_string_equal(kept.text, "text 2.1");
    assert_string_equal(kept.claim.name, "n2");
    assert_int_equal(kept.age_msec, 2000);
    assert_false(rig_sent_nth(&rig, 3, MESSAGE_KEPT, 1, &kept));
    assert_true(rig_sent(&rig, 3, MESSAGE_HAVE, &have));
    uint64_t all = ask_digest(&rig, 3);
    assert_true(have.digest == all);
    want.buckets[want.count++] = (uint32_t)all ^ want.buckets[0];
    rig_clear(&rig);
    rig_say(&rig, 3, &want);
    assert_int_equal(rig.sent_count, 0);
    rig_stop(&rig);
}

static void what_brought_something_new_is_asked_for_more_at_once(void **state)
{
    struct rig rig;
    struct message kept = kept_of(2, 1, 5000), want;

    (void)state;
    begin(&rig);
    say_digest(&rig, 3, 77);
    assert_true(rig_sent(&rig, 3, MESSAGE_WANT, &want));
    rig_clear(&rig);
    rig_say(&rig, 3, &kept);
    say_digest(&rig, 3, 78);
    assert_true(rig_sent(&rig, 3, MESSAGE_WANT, &want));
    rig_clear(&rig);
    rig_say(&rig, 3, &kept);
    say_digest(&rig, 3, 78);
    assert_false(rig_sent(&rig, 3, MESSAGE_WANT, &want));
    rig_stop(&rig);
}

static void what_was_kept_is_told_once_and_acknowledged_to_its_author(void **state)
{
    struct rig rig;
    struct message kept = kept_of(2, 1, 5000), receipt;

    (void)state;
    begin(&rig);
    rig_say(&rig, 3, &kept);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    assert_true(rig_sent(&rig, 2, MESSAGE_RECEIPT, &receipt));
    assert_true(receipt.is_broadcast);
    rig_say(&rig, 1, &kept);
    hear(&rig, 2, 1);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    rig_run(&rig, 300 * MSEC); /* it is not a rumor any more */
    assert_int_equal(rig_count_peers(&rig, 3, MESSAGE_TEXT), 0);
    rig_stop(&rig);
}

static void an_author_that_is_gone_is_heard(void **state)
{
    struct rig rig;
    struct message stranger = kept_of(9, 1, 5000), earlier = kept_of(2, 7, 5000),
                   later = kept_of(3, 1, 5000);

    (void)state;
    begin(&rig);
    for (int i = 0; i < 2; i++)
        rig_say(&rig, 1, &stranger);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    assert_string_equal(rig.events[0].name, "n9");
    hear(&rig, 2, 1);
    rig_clear(&rig);
    earlier.incarnation.generation = NET_GENERATION - 1;
    later.incarnation.generation = NET_GENERATION + 1;
    for (int i = 0; i < 2; i++) {
        rig_say(&rig, 1, &earlier);
        rig_say(&rig, 1, &later);
    }
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 2);
    rig_stop(&rig);
}

static void one_far_below_the_window_is_heard(void **state)
{
    struct rig rig;
    struct message kept = kept_of(2, 1, 5000), direct = kept_of(2, 100, 0);

    (void)state;
    begin(&rig);
    direct.type = MESSAGE_DIRECT;
    rig_say(&rig, 2, &direct);
    rig_clear(&rig);
    rig_say(&rig, 3, &kept);
    rig_say(&rig, 3, &kept);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    rig_stop(&rig);
}

static void our_own_of_an_earlier_life_are_kept_silently(void **state)
{
    struct rig rig;
    struct message own = kept_of(0, 1, 5000);

    (void)state;
    begin(&rig);
    rig_say(&rig, 3, &own);
    assert_int_equal(ask_digest(&rig, 3), 0); /* nobody but us names those of this life */
    own.incarnation.generation = NET_GENERATION - 1;
    rig_say(&rig, 3, &own);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 0);
    assert_int_not_equal(ask_digest(&rig, 3), 0);
    rig_stop(&rig);
}

static void what_is_too_old_is_not_told(void **state)
{
    struct rig rig;
    struct message kept = kept_of(9, 1, (uint32_t)(KEPT_USEC / MSEC));

    (void)state;
    begin(&rig);
    rig_say(&rig, 3, &kept);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 0);
    kept.age_msec--;
    rig_say(&rig, 3, &kept);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1);
    rig_stop(&rig);
}

static void the_list_is_bounded_and_tells_nothing_again(void **state)
{
    struct rig rig;
    struct message first = kept_of(9, 1, 60000);

    (void)state;
    begin(&rig);
    rig_say(&rig, 3, &first);
    for (uint64_t number = 1; number <= KEPT_MAX; number++)
        hear(&rig, 1, number);
    assert_int_equal(rig.swim->kept.count, KEPT_MAX);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1 + KEPT_MAX);
    first.age_msec = 0; /* its sender was stopped when it came, and takes it for young */
    rig_say(&rig, 3, &first);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 1 + KEPT_MAX);
    rig_run(&rig, KEPT_USEC + 2 * USEC_PER_MIN);
    (void)ask_digest(&rig, 3);
    assert_int_equal(rig.swim->kept.count, 0);
    rig_stop(&rig);
}

static void sleep_makes_texts_older(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    hear(&rig, 1, 1);
    rig_run(&rig, 2 * USEC_PER_SEC);
    assert_int_not_equal(ask_digest(&rig, 3), 0);
    swim_set_wall(rig.swim, NET_WALL + 2 * USEC_PER_SEC + KEPT_USEC, rig.now, true);
    assert_int_equal(ask_digest(&rig, 3), 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledgements_carry_the_digest_of_what_is_no_rumor_any_more),
        cmocka_unit_test(the_order_in_which_texts_came_does_not_matter),
        cmocka_unit_test(another_digest_is_asked_about_and_less_often_in_vain),
        cmocka_unit_test(a_stranger_is_not_asked),
        cmocka_unit_test(who_wants_gets_what_it_has_not_in_one_packet),
        cmocka_unit_test(what_brought_something_new_is_asked_for_more_at_once),
        cmocka_unit_test(what_was_kept_is_told_once_and_acknowledged_to_its_author),
        cmocka_unit_test(an_author_that_is_gone_is_heard),
        cmocka_unit_test(one_far_below_the_window_is_heard),
        cmocka_unit_test(our_own_of_an_earlier_life_are_kept_silently),
        cmocka_unit_test(what_is_too_old_is_not_told),
        cmocka_unit_test(the_list_is_bounded_and_tells_nothing_again),
        cmocka_unit_test(sleep_makes_texts_older),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
