/* SPDX-License-Identifier: MIT */
#include "origin_lab.h"

#include <errno.h>
#include "sched/slots.h"

/* Before an attempt is placed the best nodes are asked how busy they are. */

#define PATIENCE (50 * USEC_PER_MSEC)
#define LATER    (USEC_PER_SEC)

static void add_node(struct origin *origin, unsigned number, uint32_t running, usec_t now)
{
    struct place_facts facts = facts_of(number);

    facts.types_count = 1;
    facts.running = running;
    assert_int_equal(origin_set_node(origin, &facts, now), 0);
}

/* Gossip knows lab-02 with one task, lab-03 with two. */
static struct origin *make(void)
{
    struct origin_config config = {.name = "lab-01",
                                   .id = {{1}},
                                   .tasks_max = 100,
                                   .lease_usec = 15 * USEC_PER_SEC,
                                   .ask_usec = PATIENCE};
    struct origin *origin;

    assert_int_equal(origin_new(&config, 1, 0, 0, &origin), 0);
    add_node(origin, 2, 1, 0);
    add_node(origin, 3, 2, 0);
    return origin;
}

static void submit(struct origin *origin, uint64_t number, usec_t now)
{
    struct task_spec spec = {.type = "a", .type_number = 1, .retries = 2};
    char reason[TASK_REASON_MAX + 1];

    assert_int_equal(origin_submit(origin, number, &spec, false, now, reason), 0);
}

static void answer(struct origin *origin, uint64_t number, uint64_t attempt, unsigned at,
                   bool is_willing, uint32_t running, usec_t now)
{
    struct node_id id = node(at);

    origin_answered(
        origin, number, attempt, &id,
        &(struct place_answer){.is_willing = is_willing, .slots = 4, .running = running}, now);
}

static void the_answers_decide_and_not_the_gossip(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    /* Nothing is saved before it is known where it goes: one commit holds both. */
    assert_string_equal(actions(origin, 1), "ask 1.1 lab-02, ask 1.1 lab-03, ");
    answer(origin, 1, 1, 2, true, 4, 2);
    assert_string_equal(actions(origin, 2), "");
    answer(origin, 1, 1, 3, true, 0, 3);
    assert_string_equal(actions(origin, 3),
                        "release 1.1 lab-02, commit 1, accepted 1, placed 1, send 1.1 lab-03, ");
    assert_string_equal(origin_find(origin, 1)->timeline[1].text,
                        "placed on lab-03: load 0.00, least of 2");
    origin_free(origin);
}

static void who_would_refuse_is_not_taken(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 3, false, 0, 2);
    answer(origin, 1, 1, 2, true, 4, 2);
    assert_string_equal(actions(origin, 2), "commit 1, accepted 1, placed 1, send 1.1 lab-02, ");
    origin_free(origin);
}

static void refuse_user(struct origin *origin, uint64_t number, uint64_t attempt, unsigned at,
                        usec_t now)
{
    struct node_id id = node(at);

    origin_answered(origin, number, attempt, &id,
                    &(struct place_answer){.is_user_refused = true, .slots = 4}, now);
}

static void who_refuses_the_user_is_not_asked_again(void **state _unused_)
{
    struct origin *origin = make();
    usec_t now = 1;

    add_node(origin, 4, 4, 0);
    add_node(origin, 5, 4, 0);
    submit(origin, 1, now);
    bool has_asked_four = strstr(actions(origin, now), "ask 1.1 lab-04, ");
    refuse_user(origin, 1, 1, 2, now);
    refuse_user(origin, 1, 1, 3, now);
    refuse_user(origin, 1, 1, has_asked_four ? 4 : 5, now);
    /* The only one that is left. */
    assert_string_equal(actions(origin, now),
                        has_asked_four ? "commit 1, accepted 1, placed 1, send 1.1 lab-05, "
                                       : "commit 1, accepted 1, placed 1, send 1.1 lab-04, ");
    assert_int_equal(origin_find(origin, 1)->tries, 1);
    origin_free(origin);
}

static void a_task_that_all_refuse_for_its_user_has_never_been(void **state _unused_)
{
    struct origin *origin = make();
    char reason[TASK_REASON_MAX + 1];
    struct task_spec spec = {.type = "a", .type_number = 1, .user = "user1"};

    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), 0);
    (void)actions(origin, 1);
    refuse_user(origin, 1, 1, 2, 2);
    refuse_user(origin, 1, 1, 3, 2);
    assert_string_equal(actions(origin, 2), "denied 1, ");
    assert_string_equal(origin_find(origin, 1)->reason,
                        "not permitted: none of the 2 nodes for type a runs it for user1");
    assert_int_equal(origin_take_back(origin, 1, 3), 0);
    assert_null(origin_find(origin, 1));
    origin_free(origin);
}

/* As it was gossiped, but with these. */
static void set_node(struct origin *origin, unsigned number, const struct place_limits *limits,
                     uint16_t rules, usec_t now)
{
    struct node_id id = node(number);
    struct place_facts facts = place_find(origin_get_place(origin), &id)->facts;
    const char *const copy[] = {"a"};

    facts.types = copy;
    facts.limits = limits;
    facts.rules = rules;
    assert_int_equal(origin_set_node(origin, &facts, now), 0);
}

static const struct place_limits for_some = {.is_for_some = true}, max_1 = {.max = 1},
                                 no_limits = {.max = 0};

static void who_has_just_refused_the_user_is_asked_again(void **state _unused_)
{
    struct origin *origin = make();
    char reason[TASK_REASON_MAX + 1];
    struct task_spec spec = {.type = "a", .type_number = 1, .user = "user1"};

    set_node(origin, 2, &for_some, 0, 0);
    set_node(origin, 3, &for_some, 0, 0);
    for (uint64_t number = 1; number <= 2; number++) {
        const usec_t now = number * USEC_PER_MSEC;
        assert_int_equal(origin_submit(origin, number, &spec, false, now, reason), 0);
        (void)actions(origin, now);
        refuse_user(origin, number, 1, 2, now);
        refuse_user(origin, number, 1, 3, now);
        assert_string_equal(actions(origin, now), number == 1 ? "denied 1, " : "denied 2, ");
        assert_int_equal(origin_take_back(origin, number, now), 0);
    }
    origin_free(origin);
}

static void a_node_with_users_is_asked_though_it_is_the_only_one(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}};
    char reason[TASK_REASON_MAX + 1];
    struct task_spec spec = {.type = "a", .type_number = 1, .user = "user1", .node = "lab-02"};

    /* That it has users has not come here yet. */
    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), 0);
    assert_string_equal(actions(origin, 1), "commit 1, accepted 1, placed 1, send 1.1 lab-02, ");
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_USER, 2);
    assert_string_equal(actions(origin, 2), "commit 1, ended 1 failed, ");
    assert_int_equal(origin_find(origin, 1)->state, TASK_FAILED);
    assert_string_equal(origin_find(origin, 1)->reason,
                        "not permitted: lab-02 does not run type a for user1");
    set_node(origin, 2, &for_some, 1, 3);
    assert_int_equal(origin_submit(origin, 2, &spec, false, 3, reason), 0);
    assert_string_equal(actions(origin, 3), "ask 2.1 lab-02, ");
    refuse_user(origin, 2, 1, 2, 4);
    assert_string_equal(actions(origin, 4), "denied 2, ");
    assert_int_equal(origin_take_back(origin, 2, 4), 0);
    /* Asked for again it may be taken: what was refused is forgotten. */
    assert_int_equal(origin_retry(origin, 1, NULL, NULL, 5), 0);
    assert_string_equal(actions(origin, 5), "commit 1, accepted 1, placed 1, send 1.2 lab-02, ");
    origin_free(origin);
}

static void where_it_is_up_to_users_that_is_said_until_it_answers(void **state _unused_)
{
    struct origin *origin = make();
    char reason[TASK_REASON_MAX + 1];
    struct task_spec spec = {.type = "a", .type_number = 1, .user = "user1", .node = "lab-02"};

    set_node(origin, 2, &for_some, 0, 0);
    for (uint64_t number = 1; number <= 2; number++) {
        const usec_t now = number * USEC_PER_SEC;
        assert_int_equal(origin_submit(origin, number, &spec, false, now, reason), 0);
        (void)actions(origin, now);
        if (number == 1)
            answer(origin, number, 1, 2, true, 0, now);
        origin_tick(origin, now + PATIENCE);
        assert_non_null(strstr(actions(origin, now + PATIENCE), "send "));
    }
    assert_string_equal(origin_find(origin, 1)->reason, "load 0.00, asked for");
    assert_string_equal(origin_find(origin, 2)->reason,
                        "load 0.25, asked for, if it runs that for user1");
    origin_free(origin);
}

static void a_refusal_counts_for_the_rules_before_it(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};
    char reason[TASK_REASON_MAX + 1];
    struct task_spec spec = {.type = "a", .type_number = 1, .user = "user1"};

    /* Its gossip after a reload is faster than what it said before. */
    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), 0);
    assert_string_equal(actions(origin, 1), "ask 1.1 lab-02, ask 1.1 lab-03, ");
    refuse_user(origin, 1, 1, 2, 2);
    set_node(origin, 2, NULL, 1, 3);
    refuse_user(origin, 1, 1, 3, 4);
    assert_non_null(strstr(actions(origin, 4), "send 1.1 lab-02, "));
    origin_remove_node(origin, &three, 5);
    set_node(origin, 2, NULL, 2, 5);
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_USER, 6);
    assert_non_null(strstr(actions(origin, 6), "send 1.2 lab-02, "));
    origin_refused(origin, 1, 2, &two, ORIGIN_REFUSED_USER, 7);
    assert_non_null(strstr(actions(origin, 7), "ended 1 failed, "));
    assert_int_equal(origin_find(origin, 1)->state, TASK_FAILED);
    origin_free(origin);
}

static void a_reload_that_adds_users_wakes_what_waits_for_it(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};
    struct place_facts dead = {.id = three,
                               .name = "lab-03",
                               .generation = 100,
                               .state = PLACE_DEAD,
                               .has_tasks = true,
                               .slots = 4,
                               .types = types,
                               .types_count = 1};

    assert_int_equal(origin_set_node(origin, &dead, 0), 0);
    submit(origin, 1, 1);
    assert_non_null(strstr(actions(origin, 1), "send 1.1 lab-02, "));
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_USER, 2);
    (void)actions(origin, 2);
    assert_int_equal(origin_find(origin, 1)->state, TASK_PENDING);
    add_node(origin, 2, 1, 3);
    assert_int_equal(origin_deadline(origin), USEC_INFINITY);
    set_node(origin, 2, NULL, 1, 4);
    origin_tick(origin, 4);
    assert_non_null(strstr(actions(origin, 4), "send 1.2 lab-02, "));
    origin_free(origin);
}

/* lab-02 refuses it, lab-03 is not there; whether it waits. */
static bool waits(enum place_state state, bool is_accepted, uint64_t workflow)
{
    struct origin *origin = make();
    struct task_spec spec = {.type = "a", .type_number = 1, .retries = 2, .workflow = workflow};
    struct place_facts away = {.id = {{3}},
                               .name = "lab-03",
                               .generation = 100,
                               .state = state,
                               .has_tasks = true,
                               .slots = 4,
                               .types = types,
                               .types_count = 1};
    char reason[TASK_REASON_MAX + 1];

    assert_int_equal(origin_set_node(origin, &away, 0), 0);
    if (!is_accepted)
        set_node(origin, 2, &for_some, 1, 0);
    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), 0);
    (void)actions(origin, 1);
    if (is_accepted)
        origin_refused(origin, 1, 1, &(struct node_id){{2}}, ORIGIN_REFUSED_USER, 2);
    else
        refuse_user(origin, 1, 1, 2, 2);
    const bool result =
        !strstr(actions(origin, 2), "denied") && origin_find(origin, 1)->state == TASK_PENDING;
    origin_free(origin);
    return result;
}

static void only_what_was_accepted_waits_for_who_left(void **state _unused_)
{
    assert_true(waits(PLACE_DEAD, false, 0));
    assert_true(waits(PLACE_DEAD, true, 0));
    assert_false(waits(PLACE_LEFT, false, 0));
    assert_true(waits(PLACE_LEFT, true, 0));
    /* A step of a list was accepted with it. */
    assert_true(waits(PLACE_LEFT, false, 7));
}

static void what_waits_for_the_dead_hears_that_they_are_gone(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};
    struct place_facts dead = {.id = three,
                               .name = "lab-03",
                               .generation = 100,
                               .state = PLACE_SUSPECT,
                               .has_tasks = true,
                               .slots = 4,
                               .types = types,
                               .types_count = 1};

    origin_remove_node(origin, &two, 0);
    assert_int_equal(origin_set_node(origin, &dead, 0), 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    assert_string_equal(origin_find(origin, 1)->reason,
                        "the only node for type a, lab-03, is suspect");
    dead.state = PLACE_DEAD;
    assert_int_equal(origin_set_node(origin, &dead, 2), 0);
    origin_tick(origin, 2);
    assert_string_equal(origin_find(origin, 1)->reason,
                        "the only node for type a, lab-03, is dead");
    origin_remove_node(origin, &three, 3);
    origin_tick(origin, 3);
    assert_string_equal(origin_find(origin, 1)->reason, "no node handles task type \"a\"");
    assert_int_equal(origin_deadline(origin), USEC_INFINITY);
    origin_free(origin);
}

static void a_node_that_refused_as_it_drains_is_offered_nothing_until_it_has_said_more(
    void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};
    usec_t now = 1;

    origin_remove_node(origin, &three, 0);
    submit(origin, 1, now);
    assert_non_null(strstr(actions(origin, now), "send 1.1 lab-02, "));
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_DRAINING, now);
    assert_string_equal(actions(origin, now), "commit 1, ");
    assert_string_equal(origin_find(origin, 1)->reason,
                        "the only node for type a, lab-02, is draining");
    /* What gossip said before is no news, nor is another load from before it, */
    for (uint32_t running = 1; running <= 2; running++) {
        add_node(origin, 2, running, now + running);
        origin_tick(origin, now + running);
        assert_string_equal(actions(origin, now + running), "");
    }
    /* but what it says for long is true. */
    now += PLACE_HOLD_USEC;
    add_node(origin, 2, 1, now);
    origin_tick(origin, now);
    assert_non_null(strstr(actions(origin, now), "send 1.2 lab-02, "));
    origin_free(origin);
}

static void a_refusal_that_comes_after_the_end_of_the_drain_counts_for_a_while(
    void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};
    usec_t now = 1;

    origin_remove_node(origin, &three, 0);
    submit(origin, 1, now);
    (void)actions(origin, now);
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_DRAINING, now);
    submit(origin, 2, now);
    (void)actions(origin, now);
    /* Gossip has no more to say: nothing changes anywhere. */
    assert_int_equal(origin_deadline(origin), now + PLACE_HOLD_USEC);
    origin_tick(origin, now + PLACE_HOLD_USEC - 1);
    assert_string_equal(actions(origin, now + PLACE_HOLD_USEC - 1), "");
    now += PLACE_HOLD_USEC;
    origin_tick(origin, now);
    const char *done = actions(origin, now);
    assert_non_null(strstr(done, "send 1.2 lab-02, "));
    assert_non_null(strstr(done, "send 2.1 lab-02, "));
    origin_free(origin);
}

static void who_says_that_it_drains_does_so_until_it_says_that_it_does_not(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};

    origin_remove_node(origin, &three, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_DRAINING, 1);
    struct place_facts facts = place_find(origin_get_place(origin), &two)->facts;
    facts.types = types;
    assert_true(facts.is_draining);
    assert_int_equal(origin_set_node(origin, &facts, 2), 0);
    (void)actions(origin, 2);
    origin_tick(origin, 1 + PLACE_HOLD_USEC);
    assert_string_equal(actions(origin, 1 + PLACE_HOLD_USEC), "");
    assert_int_equal(origin_deadline(origin), USEC_INFINITY);
    place_take_draining(origin_get_place(origin), &two, 2 + PLACE_HOLD_USEC);
    facts.is_draining = false;
    assert_int_equal(origin_set_node(origin, &facts, 3 + PLACE_HOLD_USEC), 0);
    origin_tick(origin, 3 + PLACE_HOLD_USEC);
    assert_non_null(strstr(actions(origin, 3 + PLACE_HOLD_USEC), "send 1.2 lab-02, "));
    origin_free(origin);
}

static void what_was_refused_and_never_ran_has_no_node(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};

    origin_remove_node(origin, &three, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    assert_string_equal(origin_find(origin, 1)->node_name, "lab-02");
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_USER, 2);
    assert_non_null(strstr(actions(origin, 2), "ended 1 failed, "));
    assert_string_equal(origin_find(origin, 1)->node_name, "");
    /* What ran there before did. */
    assert_int_equal(origin_retry(origin, 1, NULL, NULL, 3), 0);
    (void)actions(origin, 3);
    origin_started(origin, 1, 2, &two, 0, 3);
    origin_ended(origin, 1, 2, &two, &(struct task_end){.type = TASK_END_EXIT, .code = 1}, 3);
    (void)actions(origin, 3);
    assert_string_equal(origin_find(origin, 1)->node_name, "lab-02");
    assert_int_equal(origin_retry(origin, 1, NULL, NULL, 4), 0);
    assert_non_null(strstr(actions(origin, 4), "send 1.3 lab-02, "));
    origin_refused(origin, 1, 3, &two, ORIGIN_REFUSED_USER, 5);
    assert_string_equal(origin_find(origin, 1)->node_name, "lab-02");
    origin_free(origin);
}

/* It waits in the queue of lab-02 when the others are asked whether they have room for it. */
static struct origin *make_queued(usec_t *ret_now)
{
    const struct origin_config config = {.name = "lab-01",
                                         .id = {{1}},
                                         .tasks_max = 100,
                                         .lease_usec = 15 * USEC_PER_SEC,
                                         .rebalance_after_usec = USEC_PER_SEC,
                                         .ask_usec = PATIENCE};
    struct origin *origin = make();

    origin_set_config(origin, &config);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 2, true, 0, 1);
    answer(origin, 1, 1, 3, true, 1, 1);
    assert_non_null(strstr(actions(origin, 1), "send 1.1 lab-02, "));
    origin_accepted(origin, 1, 1, &(struct node_id){{2}}, 1);
    *ret_now = 1 + USEC_PER_SEC;
    assert_int_equal(origin_deadline(origin), *ret_now);
    origin_tick(origin, *ret_now);
    assert_string_equal(actions(origin, *ret_now), "ask 1.2 lab-03, ");
    return origin;
}

static void what_waits_in_a_queue_goes_where_there_is_room(void **state _unused_)
{
    usec_t now;
    struct origin *origin = make_queued(&now);

    answer(origin, 1, 2, 3, true, 1, now);
    assert_string_equal(actions(origin, now), "recall 1.1 lab-02, ");
    origin_refused(origin, 1, 1, &(struct node_id){{2}}, ORIGIN_REFUSED_RECALLED, now);
    assert_non_null(strstr(actions(origin, now), "send 1.2 lab-03, "));
    origin_free(origin);
}

static void what_waits_in_a_queue_does_not_go_where_it_would_wait_too(void **state _unused_)
{
    usec_t now;
    struct origin *origin = make_queued(&now);
    struct node_id three = {{3}};

    origin_answered(origin, 1, 2, &three,
                    &(struct place_answer){.is_willing = true, .slots = 4, .is_at_max = true}, now);
    assert_string_equal(actions(origin, now), "release 1.2 lab-03, ");
    now += USEC_PER_SEC;
    origin_tick(origin, now);
    assert_string_equal(actions(origin, now), "ask 1.2 lab-03, ");
    answer(origin, 1, 2, 3, true, 4, now);
    assert_string_equal(actions(origin, now), "release 1.2 lab-03, ");
    now += USEC_PER_SEC;
    origin_tick(origin, now);
    /* It is full by what it said, until its gossip says otherwise. */
    assert_string_equal(actions(origin, now), "");
    add_node(origin, 3, 1, now);
    now += USEC_PER_SEC;
    origin_tick(origin, now);
    assert_string_equal(actions(origin, now), "ask 1.2 lab-03, ");
    answer(origin, 1, 2, 3, false, 0, now);
    assert_string_equal(actions(origin, now), "");
    origin_free(origin);
}

static void a_place_for_what_has_begun_meanwhile_is_not_needed(void **state _unused_)
{
    usec_t now;
    struct origin *origin = make_queued(&now);

    origin_started(origin, 1, 1, &(struct node_id){{2}}, 0, now);
    assert_string_equal(actions(origin, now), "started 1, ");
    answer(origin, 1, 2, 3, true, 1, now);
    assert_string_equal(actions(origin, now), "release 1.2 lab-03, ");
    origin_free(origin);
}

static void a_node_without_the_sandbox_is_no_end_of_a_task(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};
    struct task_spec spec = {.type = "a", .type_number = 1, .sandbox = "full"};
    char reason[TASK_REASON_MAX + 1];

    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), 0);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 2, true, 0, 1);
    answer(origin, 1, 1, 3, true, 1, 1);
    assert_non_null(strstr(actions(origin, 1), "send 1.1 lab-02, "));
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_SANDBOX, 2);
    assert_non_null(strstr(actions(origin, 2), "send 1.2 lab-03, "));
    assert_int_equal(origin_find(origin, 1)->tries, 1);
    origin_refused(origin, 1, 2, &three, ORIGIN_REFUSED_SANDBOX, 3);
    assert_non_null(strstr(actions(origin, 3), "ended 1 failed, "));
    assert_int_equal(origin_find(origin, 1)->state, TASK_FAILED);
    assert_string_equal(origin_find(origin, 1)->reason,
                        "none of the 2 nodes for type a has the sandbox full");
    origin_free(origin);
}

static void no_answer_of_who_refused_is_waited_for_for_ever(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}};
    struct task_spec spec = {.type = "a", .type_number = 1, .user = "user1"};
    char reason[TASK_REASON_MAX + 1];
    struct place_facts facts = facts_of(3);

    facts.types_count = 1;
    facts.is_draining = true;
    assert_int_equal(origin_set_node(origin, &facts, 1), 0);
    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), 0);
    (void)actions(origin, 1);
    origin_refused(origin, 1, 1, &two, ORIGIN_REFUSED_USER, 2);
    (void)actions(origin, 2);
    assert_int_equal(origin_find(origin, 1)->state, TASK_PENDING);
    assert_string_equal(
        origin_find(origin, 1)->reason,
        "none of the 2 nodes for type a accepts work: 1 not for its user, 1 draining");
    /* A node that is started anew may have another configuration. */
    add_node(origin, 2, 0, 3);
    origin_tick(origin, 3);
    assert_null(strstr(actions(origin, 3), "send"));
    facts.is_draining = false;
    facts.id = two;
    (void)snprintf(facts.name, sizeof(facts.name), "lab-02");
    facts.generation = 101;
    assert_int_equal(origin_set_node(origin, &facts, 4), 0);
    origin_tick(origin, 4);
    assert_non_null(strstr(actions(origin, 4), "send 1.2 lab-02, "));
    origin_free(origin);
}

static void who_has_reached_the_max_of_the_type_has_no_free_slot(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}};

    set_node(origin, 2, &max_1, 0, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    origin_answered(origin, 1, 1, &two,
                    &(struct place_answer){.is_willing = true, .slots = 4, .is_at_max = true}, 2);
    answer(origin, 1, 1, 3, true, 3, 2);
    assert_string_equal(actions(origin, 2),
                        "release 1.1 lab-02, commit 1, accepted 1, placed 1, send 1.1 lab-03, ");
    /* It may be otherwise in a moment, and for another type: it is asked again. */
    submit(origin, 2, 3);
    assert_non_null(strstr(actions(origin, 3), "ask 2.1 lab-02, "));
    origin_answered(origin, 2, 1, &two, &(struct place_answer){.is_willing = true, .slots = 4}, 4);
    assert_non_null(strstr(actions(origin, 4), "send 2.1 lab-02, "));
    origin_free(origin);
}

static void the_own_node_at_the_max_of_the_type_waits_for_the_others(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id one = {{1}};

    add_node(origin, 1, 0, 0);
    submit(origin, 1, 1);
    assert_non_null(strstr(actions(origin, 1), "ask 1.1 lab-01, "));
    origin_answered(origin, 1, 1, &one,
                    &(struct place_answer){.is_willing = true, .slots = 4, .is_at_max = true}, 2);
    assert_string_equal(actions(origin, 2), "");
    answer(origin, 1, 1, 2, true, 2, 2);
    answer(origin, 1, 1, 3, true, 3, 2);
    assert_non_null(strstr(actions(origin, 2), "send 1.1 lab-02, "));
    origin_note_max(origin, 1, 1, &one, 7, 3);
    assert_int_equal(origin_get_max(origin, 1), 0);
    origin_note_max(origin, 1, 1, &(struct node_id){{2}}, 7, 3);
    assert_int_equal(origin_get_max(origin, 1), 7);
    set_node(origin, 2, &max_1, 1, 4);
    assert_int_equal(origin_get_max(origin, 1), 1);
    set_node(origin, 2, &no_limits, 2, 5);
    assert_int_equal(origin_get_max(origin, 1), 0);
    origin_note_max(origin, 1, 1, &(struct node_id){{2}}, PLACE_MAX_TOLD + 1, 6);
    assert_int_equal(origin_get_max(origin, 1), PLACE_MAX_TOLD + 1);
    origin_free(origin);
}

static void who_does_not_answer_in_time_comes_second(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 3, true, 4, 2);
    assert_int_equal(origin_deadline(origin), 1 + PATIENCE);
    origin_tick(origin, 1 + PATIENCE);
    assert_string_equal(actions(origin, 1 + PATIENCE),
                        "commit 1, accepted 1, placed 1, send 1.1 lab-03, ");
    /* Its answer came too late: it need not keep the place. */
    answer(origin, 1, 1, 2, true, 0, 2 + PATIENCE);
    assert_string_equal(actions(origin, 2 + PATIENCE), "release 1.1 lab-02, ");
    origin_free(origin);
}

static void without_any_answer_gossip_decides(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    origin_tick(origin, 1 + PATIENCE);
    assert_string_equal(actions(origin, 1 + PATIENCE),
                        "commit 1, accepted 1, placed 1, send 1.1 lab-02, ");
    origin_free(origin);
}

static void who_cannot_be_asked_is_not_waited_for(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}}, three = {{3}};

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 3, true, 0, 2);
    origin_disconnected(origin, &two, 3);
    assert_string_equal(actions(origin, 3), "commit 1, accepted 1, placed 1, send 1.1 lab-03, ");
    submit(origin, 2, LATER);
    (void)actions(origin, LATER);
    answer(origin, 2, 1, 2, true, 0, LATER);
    origin_unanswered(origin, 2, 1, &three, LATER);
    assert_string_equal(actions(origin, LATER),
                        "commit 2, accepted 2, placed 2, send 2.1 lab-02, ");
    origin_free(origin);
}

static void where_both_would_refuse_it_is_tried_again_after_a_pause(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 2, false, 4, 2);
    answer(origin, 1, 1, 3, false, 4, 2);
    assert_string_equal(actions(origin, 2), "commit 1, accepted 1, ");
    assert_string_equal(origin_find(origin, 1)->reason,
                        "the nodes that were asked do not take it now");
    usec_t next = origin_deadline(origin);
    assert_true(next > PLACE_FRESH_USEC && next < LATER);
    origin_tick(origin, next);
    assert_non_null(strstr(actions(origin, next), "ask 1.1 "));
    assert_int_equal(origin_find(origin, 1)->tries, 0);
    origin_free(origin);
}

static void who_has_just_answered_is_not_asked_again(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 2, true, 0, 2);
    answer(origin, 1, 1, 3, true, 3, 2);
    (void)actions(origin, 2);
    /* The next goes by those answers, and by what was placed since. */
    submit(origin, 2, 3);
    assert_string_equal(actions(origin, 3), "commit 2, accepted 2, placed 2, send 2.1 lab-02, ");
    submit(origin, 3, 3 + PLACE_FRESH_USEC);
    assert_string_equal(actions(origin, 3 + PLACE_FRESH_USEC), "ask 3.1 lab-02, ask 3.1 lab-03, ");
    origin_free(origin);
}

static void a_free_slot_here_waits_for_no_answer(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 1, 0, 0);
    submit(origin, 1, 1);
    assert_string_equal(actions(origin, 1), "ask 1.1 lab-01, ask 1.1 lab-02, ask 1.1 lab-03, ");
    answer(origin, 1, 1, 1, true, 0, 1);
    assert_string_equal(actions(origin, 1), "commit 1, accepted 1, placed 1, send 1.1 lab-01, ");
    answer(origin, 1, 1, 2, true, 0, 2);
    assert_string_equal(actions(origin, 2), "release 1.1 lab-02, ");
    origin_free(origin);
}

static void a_task_that_is_cancelled_meanwhile_needs_no_place(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 2, true, 0, 2);
    assert_int_equal(origin_cancel(origin, 1, 15, 0, 3), 0);
    assert_string_equal(actions(origin, 3),
                        "release 1.1 lab-02, commit 1, accepted 1, ended 1 cancelled, ");
    answer(origin, 1, 1, 3, true, 0, 4);
    assert_string_equal(actions(origin, 4), "release 1.1 lab-03, ");
    assert_int_equal(origin_find(origin, 1)->state, TASK_CANCELLED);
    origin_free(origin);
}

static void answers_of_strangers_change_nothing(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 9, true, 0, 2);
    answer(origin, 1, 7, 2, true, 0, 2);
    answer(origin, 8, 1, 2, false, 0, 2);
    assert_string_equal(actions(origin, 2), "release 1.1 lab-09, release 1.7 lab-02, ");
    assert_int_equal(origin_find(origin, 1)->attempt, 0);
    origin_free(origin);
}

static void an_answer_counts_more_than_gossip_that_repeats_itself(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = {{2}};
    const struct place_node *node;

    submit(origin, 1, 1);
    (void)actions(origin, 1);
    answer(origin, 1, 1, 2, true, 4, 2);
    add_node(origin, 2, 1, 3);
    node = place_find(origin_get_place(origin), &two);
    assert_int_equal(place_free_slots(node), 0);
    /* News do, and so does what is still said after a while. */
    add_node(origin, 2, 3, 4);
    assert_int_equal(place_free_slots(node), 1);
    answer(origin, 1, 1, 2, true, 4, 5);
    add_node(origin, 2, 3, 5 + PLACE_HOLD_USEC - 1);
    assert_int_equal(place_free_slots(node), 0);
    add_node(origin, 2, 3, 5 + PLACE_HOLD_USEC);
    assert_int_equal(place_free_slots(node), 1);
    origin_free(origin);
}

/* --- The node that is asked --- */

static struct slots *make_slots(void)
{
    static const struct slots_type type = {.name = "a", .slots = 1};
    struct slots_config config = {
        .id = {{1}}, .slots = 2, .queue_max = 1, .types = &type, .types_count = 1};
    struct slots *slots;

    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    return slots;
}

static struct slots_key key_of(uint64_t number)
{
    return (struct slots_key){.origin = {{2}}, .number = number, .attempt = 1};
}

static uint32_t ask_queued(struct slots *slots, uint64_t number, usec_t now)
{
    struct slots_key key = key_of(number);
    struct slots_wish wish = {.type = "a"};
    struct slots_load load;

    assert_int_equal(slots_ask(slots, &key, &wish, now, &load), 0);
    return load.queued;
}

static void offer(struct slots *slots, uint64_t number, int expected, usec_t now)
{
    struct slots_key key = key_of(number);
    struct task_spec spec = {.type = "a", .type_number = 1};

    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, 0, now), expected);
}

static void a_place_is_kept_for_whoever_asked_first(void **state _unused_)
{
    struct slots *slots = make_slots();
    struct slots_key two = key_of(2);

    assert_int_equal(ask_queued(slots, 1, 0), 0);
    assert_int_equal(ask_queued(slots, 2, 0), 1);
    assert_int_equal(ask_queued(slots, 1, 0), 1);
    assert_int_equal(ask_queued(slots, 3, 0), 2);
    /* The offer takes the place, and runs: it is counted once. */
    offer(slots, 1, 0, 0);
    assert_int_equal(ask_queued(slots, 4, 0), 2);
    slots_release(slots, &two);
    assert_int_equal(ask_queued(slots, 4, 0), 1);
    slots_free(slots);
}

static void a_place_is_kept_for_a_moment_only(void **state _unused_)
{
    struct slots *slots = make_slots();

    assert_int_equal(ask_queued(slots, 1, 0), 0);
    assert_int_equal(ask_queued(slots, 2, SLOTS_PLACE_KEEP_USEC - 1), 1);
    assert_int_equal(ask_queued(slots, 3, SLOTS_PLACE_KEEP_USEC), 1);
    slots_free(slots);
}

static void so_many_places_are_kept_and_no_more(void **state _unused_)
{
    struct slots *slots = make_slots();

    for (uint64_t i = 1; i <= SLOTS_PLACES_MAX; i++)
        assert_int_equal(ask_queued(slots, i, 0), i - 1);
    assert_int_equal(ask_queued(slots, SLOTS_PLACES_MAX + 1, 0), SLOTS_PLACES_MAX);
    assert_int_equal(ask_queued(slots, SLOTS_PLACES_MAX + 2, 0), SLOTS_PLACES_MAX);
    slots_free(slots);
}

static void who_asks_hears_what_an_offer_would(void **state _unused_)
{
    struct slots *slots = make_slots();
    struct slots_key key = key_of(9);
    struct slots_wish a = {.type = "a"}, b = {.type = "b"}, command = {.kind = TASK_COMMAND};
    struct slots_load load;

    assert_int_equal(slots_ask(slots, &key, &b, 0, &load), -ENOENT);
    assert_int_equal(slots_ask(slots, &key, &command, 0, &load), -ENOENT);
    for (uint64_t i = 1; i <= 3; i++)
        offer(slots, i, 0, 0);
    assert_int_equal(slots_ask(slots, &key, &a, 0, &load), -EBUSY);
    assert_int_equal(load.running, 2);
    assert_int_equal(load.queued, 1);
    slots_set_draining(slots, true, 0);
    assert_int_equal(slots_ask(slots, &key, &a, 0, &load), -ESHUTDOWN);
    slots_free(slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answers_decide_and_not_the_gossip),
        cmocka_unit_test(who_would_refuse_is_not_taken),
        cmocka_unit_test(who_has_reached_the_max_of_the_type_has_no_free_slot),
        cmocka_unit_test(the_own_node_at_the_max_of_the_type_waits_for_the_others),
        cmocka_unit_test(who_refuses_the_user_is_not_asked_again),
        cmocka_unit_test(a_task_that_all_refuse_for_its_user_has_never_been),
        cmocka_unit_test(who_has_just_refused_the_user_is_asked_again),
        cmocka_unit_test(a_node_with_users_is_asked_though_it_is_the_only_one),
        cmocka_unit_test(where_it_is_up_to_users_that_is_said_until_it_answers),
        cmocka_unit_test(a_refusal_counts_for_the_rules_before_it),
        cmocka_unit_test(a_reload_that_adds_users_wakes_what_waits_for_it),
        cmocka_unit_test(only_what_was_accepted_waits_for_who_left),
        cmocka_unit_test(what_waits_for_the_dead_hears_that_they_are_gone),
        cmocka_unit_test(
            a_node_that_refused_as_it_drains_is_offered_nothing_until_it_has_said_more),
        cmocka_unit_test(a_refusal_that_comes_after_the_end_of_the_drain_counts_for_a_while),
        cmocka_unit_test(who_says_that_it_drains_does_so_until_it_says_that_it_does_not),
        cmocka_unit_test(what_was_refused_and_never_ran_has_no_node),
        cmocka_unit_test(what_waits_in_a_queue_goes_where_there_is_room),
        cmocka_unit_test(what_waits_in_a_queue_does_not_go_where_it_would_wait_too),
        cmocka_unit_test(a_place_for_what_has_begun_meanwhile_is_not_needed),
        cmocka_unit_test(a_node_without_the_sandbox_is_no_end_of_a_task),
        cmocka_unit_test(no_answer_of_who_refused_is_waited_for_for_ever),
        cmocka_unit_test(who_does_not_answer_in_time_comes_second),
        cmocka_unit_test(without_any_answer_gossip_decides),
        cmocka_unit_test(who_cannot_be_asked_is_not_waited_for),
        cmocka_unit_test(where_both_would_refuse_it_is_tried_again_after_a_pause),
        cmocka_unit_test(who_has_just_answered_is_not_asked_again),
        cmocka_unit_test(a_free_slot_here_waits_for_no_answer),
        cmocka_unit_test(a_task_that_is_cancelled_meanwhile_needs_no_place),
        cmocka_unit_test(answers_of_strangers_change_nothing),
        cmocka_unit_test(an_answer_counts_more_than_gossip_that_repeats_itself),
        cmocka_unit_test(a_place_is_kept_for_whoever_asked_first),
        cmocka_unit_test(a_place_is_kept_for_a_moment_only),
        cmocka_unit_test(so_many_places_are_kept_and_no_more),
        cmocka_unit_test(who_asks_hears_what_an_offer_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
