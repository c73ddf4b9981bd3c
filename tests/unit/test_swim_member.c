/* SPDX-License-Identifier: MIT */
#include <malloc.h>
#include "swim_net.h"

static uint64_t digest_of(const struct swim *swim)
{
    uint64_t digest = 0;

    order_for_each(&swim->members.all, entry) if (state_is_live(entry->member->shown.state))
        digest ^= member_hash(entry->member);
    return digest;
}

static void the_digest_follows_every_change(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 20);
    assert_int_equal(rig.swim->members.digest, digest_of(rig.swim));
    rig_claim(&rig, 1, 5, 0, SWIM_SUSPECT);
    rig_bury(&rig, 1, 6, 0);
    rig_claim(&rig, 7, 7, 1, SWIM_LEFT);
    rig_claim(&rig, 8, 8, 3, SWIM_ALIVE);
    assert_int_equal(rig.swim->members.digest, digest_of(rig.swim));
    rig_stop(&rig);
}

static void check_dead(const struct swim *swim)
{
    size_t dead = 0;

    order_for_each(&swim->members.all, entry) if (entry->member->shown.state == SWIM_DEAD)
    {
        assert_ptr_equal(order_find(&swim->members.dead, &entry->member->shown.id), entry->member);
        dead++;
    }
    assert_int_equal(swim->members.dead.count, dead);
}

static void the_dead_are_listed_and_the_forgotten_are_not(void **state)
{
    struct rig rig;
    struct node_id id = net_id(4);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 20);
    for (size_t i = 3; i <= 8; i++)
        rig_bury(&rig, 1, i, 0);
    check_dead(rig.swim);
    assert_int_equal(rig.swim->members.dead.count, 6);
    assert_int_equal(swim_forget(rig.swim, &id, rig.now), 0);
    check_dead(rig.swim);
    rig_claim(&rig, 1, 5, 1, SWIM_LEFT);
    rig_claim(&rig, 6, 6, 1, SWIM_ALIVE);
    check_dead(rig.swim);
    assert_int_equal(rig.swim->members.dead.count, 3);
    rig_claim(&rig, 4, 4, 1, SWIM_ALIVE); /* the forgotten one is back, and dies again */
    rig_bury(&rig, 1, 4, 1);
    check_dead(rig.swim);
    assert_int_equal(rig.swim->members.dead.count, 4);
    rig_run(&rig, 25 * USEC_PER_HOUR);
    assert_int_equal(rig.swim->members.dead.count, 0);
    rig_stop(&rig);
}

/* What a suspicion, a death or a text of it needs is there no longer than that is. */
static void an_ordinary_member_has_nothing_extra(void **state)
{
    struct rig rig;
    struct message text = {.type = MESSAGE_TEXT, .id = net_id(4), .number = 1};
    struct node_id silent = net_id(3), speaker = net_id(4);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 20);
    text.incarnation.generation = member_find(rig.swim, &speaker)->shown.incarnation.generation;
    strcpy(text.text, "hello");
    rig_say(&rig, 4, &text);
    for (size_t i = 3; i <= 4; i++) {
        struct node_id id = net_id(i);
        rig_claim(&rig, 1, i, 0, SWIM_SUSPECT);
        assert_non_null(member_suspicion(member_find(rig.swim, &id)));
        rig_claim(&rig, i, i, 1, SWIM_ALIVE);
    }
    assert_null(member_find(rig.swim, &silent)->extra);
    assert_null(member_care(member_find(rig.swim, &speaker)));
    rig_clear(&rig);
    rig_say(&rig, 4, &text);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_MESSAGE), 0); /* it is still known as told */
    rig_stop(&rig);
}

static void two_cores_with_the_same_members_have_the_same_digest(void **state)
{
    struct rig rig, other;

    (void)state;
    rig_start(&rig, NULL);
    rig_start(&other, NULL);
    for (size_t i = 1; i <= 10; i++) {
        rig_claim(&rig, i, i, 0, SWIM_ALIVE);
        rig_claim(&other, 11 - i, 11 - i, 0, SWIM_ALIVE);
    }
    assert_int_equal(rig.swim->members.digest, other.swim->members.digest);
    rig_claim(&rig, 3, 3, 1, SWIM_ALIVE);
    assert_true(rig.swim->members.digest != other.swim->members.digest);
    /* A suspicion is no difference: it settles by itself. A death is one. */
    rig_claim(&other, 3, 3, 1, SWIM_ALIVE);
    rig_claim(&rig, 1, 4, 0, SWIM_SUSPECT);
    assert_int_equal(rig.swim->members.digest, other.swim->members.digest);
    rig_bury(&rig, 1, 4, 0);
    assert_true(rig.swim->members.digest != other.swim->members.digest);
    rig_stop(&rig);
    rig_stop(&other);
}

static void the_order_is_by_hash_and_lists_everybody(void **state)
{
    struct rig rig;
    uint64_t before = 0;
    size_t i = 0;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 600);
    assert_int_equal(swim_members_count(rig.swim), 601);
    order_for_each(&rig.swim->members.all, entry)
    {
        const struct node_id *id = &entry->member->shown.id;
        size_t place = (size_t)(entry - entry_bucket->entries);
        assert_ptr_equal(swim_member_at(rig.swim, i++), &entry->member->shown);
        assert_ptr_equal(member_find(rig.swim, id), entry->member);
        assert_int_equal(entry->hash, member_hash_id(id));
        if (place + 1 < entry_bucket->count) {
            struct order_walk walk = order_walk_after(&rig.swim->members.all, UINT64_MAX, id);
            assert_ptr_equal(order_walk_next(&walk), entry[1].member);
        }
        assert_true(before <= entry->hash);
        before = entry->hash;
    }
    assert_int_equal(i, 601);
    assert_null(swim_member_at(rig.swim, 601));
    rig_stop(&rig);
}

static void check_turns(const struct members *members)
{
    for (size_t i = 0; i < members->live_count; i++)
        assert_int_equal(members->live[i]->shown.turn, i + 1);
}

static void one_round_meets_everybody_once(void **state)
{
    struct rig rig;
    size_t seen[21] = {0};

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 20);
    while (rig.swim->members.position < rig.swim->members.live_count)
        members_next(rig.swim);
    for (size_t i = 0; i < 20; i++)
        seen[members_next(rig.swim)->shown.id.bytes[15] - 1]++;
    for (size_t i = 1; i <= 20; i++)
        assert_int_equal(seen[i], 1);
    check_turns(&rig.swim->members);
    rig_stop(&rig);
}

/* Whoever is still to come when others go is met in the same round. */
static void nobody_is_passed_over_when_others_go(void **state)
{
    (void)state;
    for (size_t met = 1; met < 10; met++) {
        struct rig rig;
        bool seen[11] = {false};

        rig_start(&rig, NULL);
        rig_meet(&rig, 10);
        while (rig.swim->members.position < rig.swim->members.live_count)
            members_next(rig.swim);
        for (size_t i = 0; i < met; i++)
            seen[members_next(rig.swim)->shown.id.bytes[15] - 1] = true;
        rig_bury(&rig, 1, 3, 0);
        rig_bury(&rig, 1, 7, 0);
        check_turns(&rig.swim->members);
        while (rig.swim->members.position < rig.swim->members.live_count)
            seen[members_next(rig.swim)->shown.id.bytes[15] - 1] = true;
        for (size_t i = 1; i <= 10; i++)
            assert_true(seen[i] || i == 3 || i == 7);
        rig_stop(&rig);
    }
}

static void a_sample_has_no_doubles_and_not_the_exception(void **state)
{
    struct rig rig;
    struct member *sample[64];

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 10);
    struct node_id id = net_id(4);
    const struct member *except = member_find(rig.swim, &id);
    for (size_t wanted = 0; wanted <= 12; wanted++) {
        size_t count = members_sample(rig.swim, wanted, except, sample);
        assert_int_equal(count, MIN(wanted, (size_t)9));
        for (size_t i = 0; i < count; i++) {
            assert_ptr_not_equal(sample[i], except);
            for (size_t j = 0; j < i; j++)
                assert_ptr_not_equal(sample[i], sample[j]);
        }
    }
    assert_int_equal(members_sample(rig.swim, 12, NULL, sample), 10);
    rig_stop(&rig);
}

static void more_members_than_the_maximum_are_ignored(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig.swim->config.gossip_interval_usec = USEC_PER_HOUR;
    for (size_t i = 1; i < SWIM_MEMBERS_MAX; i++) {
        struct member *member;
        struct node_id id = net_id(i);
        assert_int_equal(member_add(rig.swim, &id, &member), 0);
    }
    assert_int_equal(swim_members_count(rig.swim), SWIM_MEMBERS_MAX);
    assert_int_equal(rig_claim(&rig, 9000, 9000, 0, SWIM_ALIVE), 0);
    assert_int_equal(swim_members_count(rig.swim), SWIM_MEMBERS_MAX);
    assert_int_equal(rig_state(&rig, 9000), _SWIM_STATE_MAX);
    rig_stop(&rig);
}

static void fill(struct rig *rig, size_t count, const void *meta, size_t meta_size)
{
    rig_start(rig, NULL);
    for (size_t i = 1; i <= count; i++) {
        struct swim_incarnation incarnation = {.generation = 1};
        struct node_id id = net_id(i);
        struct member *member;
        assert_int_equal(member_add(rig->swim, &id, &member), 0);
        assert_int_equal(member_set_text(rig->swim, member, "lab-0017", meta, meta_size), 0);
        member_set_state(rig->swim, member, SWIM_ALIVE, &incarnation);
    }
}

/* A crowd of 5,000 is 25 million entries. Of two cores the second: what the heap keeps for itself
 * is kept then. */
static void a_member_takes_200_bytes_beside_its_name_and_metadata(void **state)
{
    const size_t count = 5000;
    const uint8_t meta[32] = {1};
    struct rig first, second;

    (void)state;
    fill(&first, count, meta, sizeof(meta));
    size_t before = mallinfo2().uordblks;
    fill(&second, count, meta, sizeof(meta));
    size_t bytes = (mallinfo2().uordblks - before) / count;
    size_t text = sizeof("lab-0017") + sizeof(meta);
    print_message("%zu bytes an entry, %zu of them name and metadata\n", bytes, text);
    assert_true(bytes <= 200 + text); /* 0 where a sanitizer's heap does not tell */
    rig_stop(&first);
    rig_stop(&second);
}

static void a_name_that_is_taken_twice_is_noticed(void **state)
{
    _cleanup_(names_done) struct names names;
    char name[16];

    (void)state;
    names_init(&names, 7);
    assert_false(names_have_two(&names, "n1"));
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(names_add(&names, name), 0);
        assert_false(names_have_two(&names, name));
    }
    assert_int_equal(names_add(&names, "n500"), 0);
    assert_true(names_have_two(&names, "n500"));
    for (int i = 0; i < 1000; i += 2) {
        snprintf(name, sizeof(name), "n%d", i);
        names_remove(&names, name);
        assert_int_equal(names_add(&names, "n501"), 0);
        names_remove(&names, "n501");
    }
    assert_false(names_have_two(&names, "n500"));
    assert_int_equal(names_add(&names, "n999"), 0);
    assert_true(names_have_two(&names, "n999"));
    assert_int_equal(names.count, 502);
}

static void who_is_known_by_hearsay_was_not_seen(void **state)
{
    struct rig rig;
    struct node_id id = net_id(2);

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    rig_claim(&rig, 1, 2, 0, SWIM_ALIVE);
    assert_int_equal(swim_find(rig.swim, &id)->last_seen_usec, 0);
    assert_int_equal(swim_find(rig.swim, &id)->first_seen_usec, rig.now);
    rig_run(&rig, USEC_PER_MSEC);
    rig_claim(&rig, 2, 2, 0, SWIM_ALIVE);
    assert_int_equal(swim_find(rig.swim, &id)->last_seen_usec, rig.now);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_takes_200_bytes_beside_its_name_and_metadata),
        cmocka_unit_test(a_name_that_is_taken_twice_is_noticed),
        cmocka_unit_test(the_digest_follows_every_change),
        cmocka_unit_test(the_dead_are_listed_and_the_forgotten_are_not),
        cmocka_unit_test(an_ordinary_member_has_nothing_extra),
        cmocka_unit_test(who_is_known_by_hearsay_was_not_seen),
        cmocka_unit_test(two_cores_with_the_same_members_have_the_same_digest),
        cmocka_unit_test(the_order_is_by_hash_and_lists_everybody),
        cmocka_unit_test(one_round_meets_everybody_once),
        cmocka_unit_test(nobody_is_passed_over_when_others_go),
        cmocka_unit_test(a_sample_has_no_doubles_and_not_the_exception),
        cmocka_unit_test(more_members_than_the_maximum_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
