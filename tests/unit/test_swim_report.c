/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#define MSEC USEC_PER_MSEC

/* A member that says it is a seed. */
static void meet_seed(struct rig *rig, size_t i)
{
    struct message message = {.type = MESSAGE_ALIVE, .claim = net_claim(i, 0, SWIM_ALIVE)};

    message.claim.is_seed = true;
    assert_int_equal(rig_say(rig, i, &message), 0);
}

/* The core accuses member 1, two others confirm, and the time to refute goes by. */
static void kill_one(struct rig *rig)
{
    struct node_id id = net_id(1);

    rig->swim->probes.grace_end_usec = USEC_INFINITY; /* whatever it probes itself */
    view_accuse(rig->swim, member_find(rig->swim, &id),
                &(struct evidence){
                    .start_usec = rig->now, .through_count = 2, .through = {net_id(2), net_id(3)}});
    for (size_t i = 2; i <= 4; i++)
        rig_claim(rig, i, 1, 0, SWIM_SUSPECT);
    rig_clear(rig);
    for (int i = 0; i < 100 && rig_state(rig, 1) != SWIM_DEAD; i++)
        rig_run(rig, 50 * MSEC);
    assert_int_equal(rig_state(rig, 1), SWIM_DEAD);
}

static void every_live_seed_is_told_until_it_acknowledges(void **state)
{
    struct rig rig;
    struct message report, ack = {.type = MESSAGE_REPORT_ACK};
    struct node_id id;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 4);
    for (size_t i = 8; i <= 9; i++)
        meet_seed(&rig, i);
    kill_one(&rig);
    id = net_id(1);
    assert_true(rig_sent(&rig, 8, MESSAGE_REPORT, &report));
    assert_true(rig_sent(&rig, 9, MESSAGE_REPORT, &report));
    assert_true(node_id_is_equal(&report.id, &id));
    assert_true(report.wall_usec > NET_WALL);
    assert_int_equal(report.count, 2); /* requests through others */
    id = net_id(3);
    assert_true(node_id_is_equal(&report.through[1], &id));
    assert_string_equal(rig.texts[SWIM_EVENT_MEMBER_DEAD], "n9, n8");
    ack.seq = report.seq;
    rig_say(&rig, 8, &ack);
    rig_clear(&rig);
    rig_run(&rig, 600 * MSEC);
    assert_false(rig_sent(&rig, 8, MESSAGE_REPORT, &report));
    assert_true(rig_sent(&rig, 9, MESSAGE_REPORT, &report));
    assert_string_equal(rig.texts[SWIM_EVENT_REPORTED], "");
    rig_say(&rig, 9, &ack);
    assert_int_equal(rig.swim->reports.count, 0);
    assert_string_equal(rig.texts[SWIM_EVENT_REPORTED], "n9, n8");
    rig_stop(&rig);
}

static void a_seed_that_never_answers_is_given_up(void **state)
{
    struct rig rig;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 4);
    meet_seed(&rig, 9);
    kill_one(&rig);
    assert_int_equal(rig.swim->reports.count, 1);
    rig_run(&rig, 40 * USEC_PER_SEC);
    assert_int_equal(rig.swim->reports.count, 0);
    assert_string_equal(rig.texts[SWIM_EVENT_REPORTED], "n9");
    rig_stop(&rig);
}

static void who_only_heard_of_a_death_reports_nothing(void **state)
{
    struct rig rig;
    struct message report;

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 3);
    meet_seed(&rig, 9);
    rig_claim(&rig, 1, 3, 0, SWIM_SUSPECT);
    rig_bury(&rig, 1, 3, 0);
    rig_run(&rig, 100 * MSEC);
    assert_false(rig_sent(&rig, 9, MESSAGE_REPORT, &report));
    rig_stop(&rig);
}

static void a_seed_acknowledges_each_report_and_tells_it_once(void **state)
{
    struct rig rig;
    struct message report = {.type = MESSAGE_REPORT, .seq = 5, .id = net_id(3)}, ack;

    (void)state;
    rig_start(&rig, NULL); /* node 0 is a seed */
    rig_meet(&rig, 3);
    report.incarnation.generation = NET_GENERATION;
    report.wall_usec = NET_WALL;
    report.address = net_address(3);
    report.count = 3;
    for (size_t i = 0; i < 3; i++)
        report.through[i] = net_id(i + 1);
    report.through[2] = net_id(77); /* whom nobody here knows */
    for (int i = 0; i < 3; i++) {
        rig.sent_count = 0;
        rig_say(&rig, 1, &report);
        assert_true(rig_sent(&rig, 1, MESSAGE_REPORT_ACK, &ack));
        assert_int_equal(ack.seq, 5);
    }
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_DEAD_REPORT), 1);
    assert_int_equal(rig_state(&rig, 3), SWIM_SUSPECT); /* it was alive here until now */
    for (size_t i = 0; i < rig.events_count; i++)
        if (rig.events[i].type == SWIM_EVENT_DEAD_REPORT) {
            struct node_id by = net_id(1);
            assert_true(node_id_is_equal(&rig.events[i].by->id, &by));
            assert_int_equal(rig.events[i].wall_usec, NET_WALL);
        }
    assert_string_equal(rig.texts[SWIM_EVENT_DEAD_REPORT], "n1, n2, ?");
    rig_say(&rig, 2, &report);
    assert_int_equal(rig_count_events(&rig, SWIM_EVENT_DEAD_REPORT), 2);
    rig_stop(&rig);
}

static void reports_under_way_are_bounded(void **state)
{
    struct rig rig;
    struct node_id id = net_id(1), seeds[SWIM_SEEDS_MAX];

    (void)state;
    rig_start(&rig, NULL);
    rig_meet(&rig, 1);
    meet_seed(&rig, 9);
    for (int i = 0; i < REPORTS_MAX + 5; i++)
        assert_int_equal(report_send(rig.swim, member_find(rig.swim, &id),
                                     &(struct evidence){.through_count = 0}, seeds),
                         i < REPORTS_MAX ? 1 : 0);
    assert_int_equal(rig.swim->reports.count, REPORTS_MAX);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_live_seed_is_told_until_it_acknowledges),
        cmocka_unit_test(a_seed_that_never_answers_is_given_up),
        cmocka_unit_test(who_only_heard_of_a_death_reports_nothing),
        cmocka_unit_test(a_seed_acknowledges_each_report_and_tells_it_once),
        cmocka_unit_test(reports_under_way_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
