/* SPDX-License-Identifier: MIT */
#include "swim_net.h"
#include "who.h"

/* A member of that name, whatever its number; it speaks for itself. */
static void meet(struct rig *rig, size_t i, const char *name)
{
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(i, 0, SWIM_ALIVE)};

    (void)snprintf(message.claim.name, sizeof(message.claim.name), "%s", name);
    assert_int_equal(rig_say(rig, i, &message), 0);
}

static void leave(struct rig *rig, size_t i)
{
    assert_int_equal(rig_claim(rig, i, i, 1, SWIM_LEFT), 0);
}

/* The members that are found are these, in any order. */
static void assert_found(const struct who *who, size_t count, const size_t *numbers)
{
    assert_int_equal(who->count, count);
    for (size_t i = 0; i < count; i++) {
        struct node_id id = net_id(numbers[i]);
        bool is_found = false;
        for (size_t j = 0; j < count; j++)
            is_found |= node_id_is_equal(&who->members[j]->id, &id);
        assert_true(is_found);
    }
}

static void a_name_means_all_who_have_it(void **state)
{
    struct rig rig;
    struct who who;

    (void)state;
    rig_start(&rig, NULL);
    meet(&rig, 1, "lab-01");
    meet(&rig, 2, "lab-01");
    meet(&rig, 3, "lab-02");
    leave(&rig, 2);
    assert_true(who_find(rig.swim, "lab-01", WHO_ANY, &who));
    assert_found(&who, 2, (size_t[]){1, 2});
    assert_true(who_find(rig.swim, "lab-01", WHO_GONE, &who));
    assert_found(&who, 1, (size_t[]){2});
    assert_true(who_find(rig.swim, "lab-02", WHO_GONE, &who));
    assert_found(&who, 0, NULL);
    assert_false(who_find(rig.swim, "lab-03", WHO_ANY, &who));
    assert_false(who_find(rig.swim, "", WHO_ANY, &who));
    assert_false(who_find(rig.swim, "lab-0", WHO_ANY, &who));
    rig_stop(&rig);
}

static void an_address_means_who_has_it(void **state)
{
    struct rig rig;
    struct who who;

    (void)state;
    rig_start(&rig, NULL);
    meet(&rig, 1, "lab-01");
    meet(&rig, 2, "lab-02");
    assert_true(who_find(rig.swim, "10.0.0.3:7717", WHO_ANY, &who));
    assert_found(&who, 1, (size_t[]){2});
    assert_true(who_find(rig.swim, "10.0.0.3", WHO_ANY, &who));
    assert_found(&who, 1, (size_t[]){2});
    assert_false(who_find(rig.swim, "10.0.0.3:7718", WHO_ANY, &who));
    /* A name may look like an address, and comes first. */
    meet(&rig, 3, "10.0.0.3");
    assert_true(who_find(rig.swim, "10.0.0.3", WHO_ANY, &who));
    assert_found(&who, 1, (size_t[]){3});
    rig_stop(&rig);
}

static void the_first_digits_of_an_id_are_enough(void **state)
{
    struct rig rig;
    struct who who;

    (void)state;
    rig_start(&rig, NULL);
    meet(&rig, 1, "lab-01");
    meet(&rig, 2, "lab-02");
    leave(&rig, 2);
    assert_true(who_find(rig.swim, "40000000-0000-0000-0000-000000000003", WHO_ANY, &who));
    assert_found(&who, 1, (size_t[]){2});
    assert_true(who_find(rig.swim, "40000000", WHO_GONE, &who));
    assert_found(&who, 1, (size_t[]){2});
    assert_true(who_find(rig.swim, "4000", WHO_ANY, &who));
    assert_int_equal(who.count, 3); /* and the node itself */
    assert_false(who_find(rig.swim, "400", WHO_ANY, &who));
    assert_false(who_find(rig.swim, "4001", WHO_ANY, &who));
    rig_stop(&rig);
}

static void more_than_there_is_room_for_are_counted(void **state)
{
    struct rig rig;
    struct who who;

    (void)state;
    rig_start(&rig, NULL);
    for (size_t i = 1; i <= WHO_MAX; i++)
        meet(&rig, i, "lab-01");
    assert_true(who_find(rig.swim, "lab-01", WHO_ANY, &who));
    assert_int_equal(who.count, WHO_MAX);
    meet(&rig, WHO_MAX + 1, "lab-01");
    assert_true(who_find(rig.swim, "lab-01", WHO_ANY, &who));
    assert_int_equal(who.count, WHO_MAX + 1);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_means_all_who_have_it),
        cmocka_unit_test(an_address_means_who_has_it),
        cmocka_unit_test(the_first_digits_of_an_id_are_enough),
        cmocka_unit_test(more_than_there_is_room_for_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
