/* SPDX-License-Identifier: MIT */
#include "sched/place.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char *const types_ab[] = {"a", "b"};
static const char *const gpu[] = {"gpu=1"};

static struct place_facts facts_of(unsigned number, uint32_t running, uint32_t slots)
{
    struct place_facts facts = {
        .id = {{(uint8_t)number, (uint8_t)(number >> 8), 1}},
        .generation = 1,
        .state = PLACE_ALIVE,
        .is_self = number == 1,
        .has_tasks = true,
        .has_commands = true,
        .load_permille = slots ? running * 1000 / slots : 1000,
        .slots = slots,
        .running = running,
        .types = types_ab,
        .types_count = 2,
    };

    (void)snprintf(facts.name, sizeof(facts.name), "lab-%02u", number);
    return facts;
}

static struct place *make(void)
{
    struct place *place;

    assert_int_equal(place_new(1, &place), 0);
    return place;
}

static void add(struct place *place, struct place_facts facts)
{
    assert_true(place_set_node(place, &facts, 0) >= 0);
}

static struct task_spec spec_of(const char *type)
{
    struct task_spec spec = {.type_number = 1};

    (void)snprintf(spec.type, sizeof(spec.type), "%s", type);
    return spec;
}

/* The name of the choice, or the reason for none. */
static const char *choose(struct place *place, const struct task_spec *spec)
{
    static char reason[TASK_REASON_MAX + 1];
    const struct place_node *node = place_choose(place, spec, NULL, reason);

    return node ? node->facts.name : reason;
}

static void the_least_loaded_node_is_chosen(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    char reason[TASK_REASON_MAX + 1];

    add(place, facts_of(1, 3, 8));
    add(place, facts_of(2, 1, 8));
    add(place, facts_of(3, 7, 8));
    assert_string_equal(choose(place, &spec), "lab-02");
    assert_non_null(place_choose(place, &spec, NULL, reason));
    assert_string_equal(reason, "load 0.12, least of 3");
    place_free(place);
}

static void a_node_that_has_no_slots_for_now_gets_nothing_and_is_waited_for(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts unable = facts_of(2, 0, 0);

    add(place, unable);
    assert_string_equal(choose(place, &spec),
                        "the only node for type a, lab-02, is unable to run tasks");
    assert_true(place_has_handler(place, &spec));
    add(place, facts_of(1, 7, 8));
    assert_string_equal(choose(place, &spec), "lab-01");
    (void)snprintf(spec.node, sizeof(spec.node), "lab-02");
    assert_string_equal(choose(place, &spec), "lab-02 is unable to run tasks");
    struct place_facts able = facts_of(2, 0, 8);
    assert_int_equal(place_set_node(place, &able, 0), 1);
    assert_string_equal(choose(place, &spec), "lab-02");
    place_free(place);
}

static void own_placements_are_debited_until_the_node_reports_them(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts two = facts_of(2, 0, 4);

    add(place, facts_of(1, 2, 4));
    add(place, two);
    for (int i = 0; i < 3; i++)
        place_debit(place, &two.id);
    assert_string_equal(choose(place, &spec), "lab-01");
    /* A report from before they arrived there keeps the debit. */
    add(place, two);
    assert_string_equal(choose(place, &spec), "lab-01");
    for (int i = 0; i < 3; i++)
        place_accept(place, &two.id);
    two.running = 3;
    add(place, two);
    assert_string_equal(choose(place, &spec), "lab-01");
    /* Ends are credited before the next report. */
    for (int i = 0; i < 3; i++)
        place_credit(place, &two.id, true);
    assert_string_equal(choose(place, &spec), "lab-02");
    place_free(place);
}

static void ties_are_broken_by_chance(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    unsigned counts[21] = {0};

    for (unsigned i = 1; i <= 20; i++)
        add(place, facts_of(i, 0, 4));
    for (int i = 0; i < 4000; i++)
        counts[strtoul(choose(place, &spec) + 4, NULL, 10)]++;
    for (unsigned i = 1; i <= 20; i++)
        assert_in_range(counts[i], 100, 320);
    place_free(place);
}

static void free_slots_are_found_among_many_full_nodes(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    unsigned found = 0;

    for (unsigned i = 1; i <= 100; i++)
        add(place, facts_of(i, i % 10 == 0 ? 3 : 4, 4));
    for (int i = 0; i < 1000; i++)
        found += strtoul(choose(place, &spec) + 4, NULL, 10) % 10 == 0;
    assert_in_range(found, 950, 1000);
    place_free(place);
}

static void a_busy_processor_counts_where_it_is_above_the_tasks(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts two = facts_of(2, 0, 4);

    two.load_permille = 900;
    add(place, facts_of(1, 2, 4));
    add(place, two);
    assert_string_equal(choose(place, &spec), "lab-01");
    place_free(place);
}

/* Both machines are busy with something else: then the tasks decide. */
static void where_the_machines_are_as_busy_the_tasks_count(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts one = facts_of(1, 2, 4), two = facts_of(2, 1, 4), three = facts_of(3, 3, 4);

    one.load_permille = two.load_permille = three.load_permille = 1000;
    add(place, one);
    add(place, two);
    add(place, three);
    assert_string_equal(choose(place, &spec), "lab-02");
    place_free(place);
}

static void a_confidential_task_stays_here_or_nowhere(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts self = facts_of(1, 8, 8);

    spec.is_confidential = true;
    add(place, facts_of(2, 0, 8));
    assert_string_equal(choose(place, &spec), "confidential, and this node does not handle type a");
    add(place, self);
    assert_string_equal(choose(place, &spec), "lab-01");
    self.is_draining = true;
    add(place, self);
    assert_string_equal(choose(place, &spec), "the only node for type a, lab-01, is draining");
    place_free(place);
}

static void reasons_say_what_is_in_the_way(void **state _unused_)
{
    struct place *place = make();
    struct task_spec d = spec_of("d"), a = spec_of("a"), command = spec_of("cmd");
    struct place_facts five = facts_of(5, 0, 8), six = facts_of(6, 0, 8), nine = facts_of(9, 0, 8);

    command.is_command = true;
    assert_string_equal(choose(place, &command), "no node runs commands");
    five.is_draining = true;
    add(place, five);
    assert_string_equal(choose(place, &d), "no node handles task type \"d\"");
    assert_string_equal(choose(place, &a), "the only node for type a, lab-05, is draining");
    six.state = PLACE_SUSPECT;
    nine.state = PLACE_DEAD;
    add(place, six);
    add(place, nine);
    assert_string_equal(choose(place, &a), "none of the 3 nodes for type a accepts work: 1 dead, 1 "
                                           "suspect, 1 draining");
    (void)snprintf(a.node, sizeof(a.node), "lab-09");
    assert_string_equal(choose(place, &a), "lab-09 is dead");
    (void)snprintf(a.node, sizeof(a.node), "lab-77");
    assert_string_equal(choose(place, &a), "node lab-77 is not known");
    (void)snprintf(d.node, sizeof(d.node), "lab-05");
    assert_string_equal(choose(place, &d), "lab-05 does not handle type d");
    a = spec_of("a");
    (void)snprintf(a.select, sizeof(a.select), "gpu=1");
    assert_string_equal(choose(place, &a), "no node with tag gpu=1 handles type a");
    five.tags = gpu;
    five.tags_count = 1;
    five.is_draining = false;
    add(place, five);
    assert_string_equal(choose(place, &a), "lab-05");
    five.state = PLACE_DEAD;
    add(place, five);
    assert_string_equal(choose(place, &a),
                        "the only node for type a with tag gpu=1, lab-05, is dead");
    place_free(place);
}

static void of_two_nodes_of_one_name_the_living_one_is_spoken_of(void **state _unused_)
{
    for (unsigned living = 2; living <= 3; living++) {
        struct place *place = make();
        struct task_spec a = spec_of("a");
        struct place_facts here = facts_of(living, 0, 8), left = facts_of(5 - living, 0, 8);

        (void)snprintf(here.name, sizeof(here.name), "n2");
        (void)snprintf(left.name, sizeof(left.name), "n2");
        (void)snprintf(a.node, sizeof(a.node), "n2");
        here.is_draining = true;
        left.state = PLACE_LEFT;
        add(place, here);
        add(place, left);
        assert_string_equal(choose(place, &a), "n2 is draining");
        here.types_count = 0; /* what the other one could do does not help */
        add(place, here);
        assert_string_equal(choose(place, &a), "n2 does not handle type a");
        here.types_count = 2;
        here.cpus = 1;
        a.cpus_milli = 2000;
        left.state = PLACE_DEAD;
        add(place, here);
        add(place, left);
        assert_string_equal(choose(place, &a), "n2 has only 1 CPU");
        here.cpus = a.cpus_milli = 0;
        left.state = PLACE_LEFT;
        add(place, left);
        here.state = PLACE_DEAD; /* it may come back */
        add(place, here);
        assert_string_equal(choose(place, &a), "n2 is dead");
        here.state = PLACE_LEFT;
        add(place, here);
        assert_string_equal(choose(place, &a), "n2 is gone");
        place_free(place);
    }
}

static void a_node_with_too_few_slots_is_not_chosen(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts two = facts_of(2, 0, 2), three = facts_of(3, 0, 4);

    spec.slots = 3;
    add(place, two);
    assert_string_equal(choose(place, &spec), "the only node for type a, lab-02, has only 2 slots");
    assert_true(place_is_too_small(place, &spec));
    add(place, three);
    for (int i = 0; i < 100; i++)
        assert_string_equal(choose(place, &spec), "lab-03");
    spec.slots = 5;
    assert_string_equal(choose(place, &spec),
                        "none of the 2 nodes for type a has 5 slots; the largest has 4");
    three.cpus = 1; /* what lacks CPUs as well is no larger */
    add(place, three);
    spec.cpus_milli = 2000;
    assert_string_equal(choose(place, &spec),
                        "none of the 2 nodes for type a has 5 slots; the largest has 2");
    place_free(place);
}

static void a_node_with_too_few_cpus_is_not_chosen(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a"), command = spec_of("cmd");
    struct place_facts two = facts_of(2, 0, 8), three = facts_of(3, 7, 8), four = facts_of(4, 0, 8);

    two.cpus = 2;
    three.cpus = 4;
    spec.cpus_milli = 2500;
    add(place, two);
    assert_string_equal(choose(place, &spec), "the only node for type a, lab-02, has only 2 CPUs");
    assert_true(place_is_too_small(place, &spec));
    assert_false(place_has_handler(place, &spec));
    spec.cpus_milli = 2000;
    assert_string_equal(choose(place, &spec), "lab-02"); /* as many as it has */
    spec.cpus_milli = 2001;
    add(place, three);
    for (int i = 0; i < 100; i++)
        assert_string_equal(choose(place, &spec), "lab-03"); /* though it is the busier one */
    assert_false(place_is_too_small(place, &spec));
    three.is_draining = true;
    add(place, three);
    assert_string_equal(choose(place, &spec),
                        "the only node for type a with 2.001 CPUs, lab-03, is draining");
    spec.cpus_milli = 5000;
    assert_string_equal(choose(place, &spec),
                        "none of the 2 nodes for type a has 5 CPUs; the largest has 4");
    command.is_command = true;
    command.cpus_milli = 5000;
    assert_string_equal(choose(place, &command),
                        "none of the 2 nodes for commands has 5 CPUs; the largest has 4");
    (void)snprintf(spec.node, sizeof(spec.node), "lab-02");
    assert_string_equal(choose(place, &spec), "lab-02 has only 2 CPUs");
    spec.node[0] = '\0';
    add(place, four); /* one that does not say how many it has */
    assert_string_equal(choose(place, &spec), "lab-04");
    place_free(place);
}

static void a_dry_run_tells_of_nodes_with_too_few_cpus(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts two = facts_of(2, 0, 8);
    char reason[TASK_REASON_MAX + 1];
    struct place_verdict *verdicts;
    size_t count;

    two.cpus = 2;
    spec.cpus_milli = 3000;
    add(place, two);
    assert_int_equal(place_explain(place, &spec, &verdicts, &count, reason), 0);
    assert_int_equal(count, 1);
    assert_string_equal(verdicts[0].text, "too few CPUs or slots");
    free(verdicts);
    place_free(place);
}

static void commands_go_to_nodes_that_take_them_and_to_oneself(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("cmd");
    struct place_facts one = facts_of(1, 4, 4), two = facts_of(2, 0, 4);

    spec.is_command = true;
    one.has_commands = two.has_commands = false;
    add(place, one);
    add(place, two);
    assert_string_equal(choose(place, &spec), "lab-01");
    place_free(place);
}

static void the_node_to_avoid_is_the_last_resort(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts one = facts_of(1, 0, 4);
    const struct place_past past = {.avoid = &one.id};
    char reason[TASK_REASON_MAX + 1];

    add(place, one);
    assert_non_null(place_choose(place, &spec, &past, reason));
    add(place, facts_of(2, 3, 4));
    for (int i = 0; i < 20; i++)
        assert_string_equal(place_choose(place, &spec, &past, reason)->facts.name, "lab-02");
    place_free(place);
}

static void the_dry_run_explains_every_candidate(void **state _unused_)
{
    struct place *place = make();
    struct task_spec spec = spec_of("a");
    struct place_facts seven = facts_of(7, 0, 8), other = facts_of(4, 0, 8);
    struct place_verdict *verdicts;
    char reason[TASK_REASON_MAX + 1];
    size_t count;

    seven.state = PLACE_SUSPECT;
    other.types_count = 0;
    add(place, facts_of(1, 3, 8));
    add(place, facts_of(3, 8, 8));
    add(place, other);
    add(place, seven);
    add(place, facts_of(11, 1, 8));
    assert_int_equal(place_explain(place, &spec, &verdicts, &count, reason), 1);
    assert_int_equal(count, 4);
    assert_string_equal(verdicts[0].node, "lab-11");
    assert_string_equal(verdicts[0].text, "chosen: least load of 3");
    assert_true(verdicts[0].is_chosen);
    assert_int_equal(verdicts[0].free_slots, 7);
    assert_string_equal(verdicts[1].node, "lab-01");
    assert_string_equal(verdicts[1].text, "ok");
    assert_string_equal(verdicts[2].node, "lab-03");
    assert_string_equal(verdicts[2].text, "no free slot");
    assert_string_equal(verdicts[3].node, "lab-07");
    assert_string_equal(verdicts[3].text, "suspect");
    assert_false(verdicts[3].is_known);
    free(verdicts);
    (void)snprintf(spec.node, sizeof(spec.node), "lab-04");
    assert_int_equal(place_explain(place, &spec, &verdicts, &count, reason), 0);
    assert_int_equal(count, 1);
    assert_string_equal(verdicts[0].text, "does not handle it");
    assert_string_equal(reason, "lab-04 does not handle type a");
    free(verdicts);
    place_free(place);
}

static void a_change_that_lets_work_in_is_told(void **state _unused_)
{
    struct place *place = make();
    struct place_facts two = facts_of(2, 0, 4);
    static const char *const types_ac[] = {"a", "c"};

    assert_int_equal(place_set_node(place, &two, 0), 1);
    assert_int_equal(place_set_node(place, &two, 0), 0);
    two.is_draining = true;
    assert_int_equal(place_set_node(place, &two, 0), 0);
    two.is_draining = false;
    assert_int_equal(place_set_node(place, &two, 0), 1);
    two.types = types_ac;
    assert_int_equal(place_set_node(place, &two, 0), 1);
    two.state = PLACE_DEAD;
    assert_int_equal(place_set_node(place, &two, 0), 0);
    two.state = PLACE_ALIVE;
    two.generation++;
    assert_int_equal(place_set_node(place, &two, 0), 1);
    two.rules++;
    assert_int_equal(place_set_node(place, &two, 0), 1);
    assert_int_equal(place_set_node(place, &two, 0), 0);
    two.cpus = 2;
    assert_int_equal(place_set_node(place, &two, 0), 0);
    two.cpus = 4;
    assert_int_equal(place_set_node(place, &two, 0), 1);
    /* That the node has said so itself meanwhile has let nothing in. */
    place_take_answer(place, &two.id, &(struct place_answer){.slots = 8}, 1);
    two.slots = 8;
    assert_int_equal(place_set_node(place, &two, 1), 1);
    place_free(place);
}

static void what_was_refused_counts_until_the_rules_change(void **state _unused_)
{
    struct place *place = make();
    struct place_facts two = facts_of(2, 0, 4);
    struct task_spec spec = spec_of("a");
    const struct place_refuser refuser = {.id = two.id, .generation = two.generation};
    const struct place_past past = {.refusers = &refuser, .refusers_count = 1};
    char reason[TASK_REASON_MAX + 1];

    add(place, two);
    assert_null(place_choose(place, &spec, &past, reason));
    assert_true(place_is_forbidden(place, &spec, &past, true));
    two.rules++;
    add(place, two);
    assert_non_null(place_choose(place, &spec, &past, reason));
    assert_false(place_is_forbidden(place, &spec, &past, true));
    place_free(place);
}

static void who_left_is_waited_for_only_where_that_is_asked_for(void **state _unused_)
{
    struct place *place = make();
    struct place_facts two = facts_of(2, 0, 4), three = facts_of(3, 0, 4);
    struct task_spec spec = spec_of("a");
    const struct place_refuser refuser = {.id = two.id, .generation = two.generation};
    const struct place_past past = {.refusers = &refuser, .refusers_count = 1};

    add(place, two);
    three.state = PLACE_DEAD;
    add(place, three);
    assert_false(place_is_forbidden(place, &spec, &past, false));
    three.state = PLACE_LEFT;
    add(place, three);
    assert_true(place_is_forbidden(place, &spec, &past, false));
    assert_false(place_is_forbidden(place, &spec, &past, true));
    place_free(place);
}

static int is_at_max(const struct task_spec *spec, void *data _unused_)
{
    return strcmp(spec->type, "a") == 0 ? -EBUSY : 0;
}

static void the_dry_run_counts_users_and_max(void **state _unused_)
{
    struct place *place = make();
    struct place_facts one = facts_of(1, 0, 8), two = facts_of(2, 2, 8), three = facts_of(3, 4, 8);
    static const struct place_limits limits[] = {{.is_for_some = true, .max = 3}, {.max = 0}};
    struct task_spec spec = spec_of("a");
    struct place_verdict *verdicts;
    char reason[TASK_REASON_MAX + 1];
    size_t count;

    (void)snprintf(spec.user, sizeof(spec.user), "user1");
    one.check = is_at_max;
    one.limits = two.limits = limits;
    add(place, one);
    add(place, two);
    add(place, three);
    assert_int_equal(place_explain(place, &spec, &verdicts, &count, reason), 1);
    assert_int_equal(count, 3);
    assert_string_equal(reason, "load 0.25, least of 3, if it runs that for user1");
    assert_string_equal(verdicts[0].node, "lab-02");
    assert_string_equal(verdicts[0].text, "chosen: least load of 3, for some users");
    assert_int_equal(verdicts[0].free_slots, 3);
    /* Of itself it knows. */
    assert_string_equal(verdicts[1].node, "lab-01");
    assert_string_equal(verdicts[1].text, "no free slot");
    assert_int_equal(verdicts[1].free_slots, 0);
    assert_string_equal(verdicts[2].text, "ok");
    assert_int_equal(verdicts[2].free_slots, 4);
    free(verdicts);
    /* Of another type nothing of that is true, and of commands. */
    for (int is_command = 0; is_command < 2; is_command++) {
        spec.is_command = is_command;
        (void)snprintf(spec.type, sizeof(spec.type), "%s", is_command ? "cmd" : "b");
        assert_int_equal(place_explain(place, &spec, &verdicts, &count, reason), 1);
        assert_string_equal(reason, "load 0.00, least of 3");
        assert_string_equal(verdicts[0].node, "lab-01");
        assert_int_equal(verdicts[1].free_slots, 6);
        free(verdicts);
    }
    place_free(place);
}

static void nodes_are_found_walked_and_removed(void **state _unused_)
{
    struct place *place = make();
    struct place_facts two = facts_of(2, 0, 4), three = facts_of(3, 0, 4);
    size_t i = 0;

    add(place, two);
    add(place, three);
    assert_string_equal(place_next(place, &i)->facts.name, "lab-02");
    assert_string_equal(place_next(place, &i)->facts.name, "lab-03");
    assert_null(place_next(place, &i));
    place_remove_node(place, &three.id);
    place_remove_node(place, &three.id);
    assert_null(place_find(place, &three.id));
    assert_null(place_find_name(place, "lab-03"));
    assert_non_null(place_find_name(place, "lab-02"));
    /* Counts of nodes that are not there go nowhere. */
    place_debit(place, &three.id);
    place_credit(place, &three.id, true);
    place_credit(place, &two.id, true);
    assert_int_equal(place_find(place, &two.id)->under_way, 0);
    place_free(place);
}

static void a_name_belongs_to_the_node_that_lives(void **state _unused_)
{
    struct place *place = make();
    struct place_facts old = facts_of(2, 0, 4), new = facts_of(3, 0, 4);

    old.state = PLACE_DEAD;
    memcpy(new.name, old.name, sizeof(new.name));
    add(place, new);
    add(place, old);
    assert_memory_equal(&place_find_name(place, "lab-02")->facts.id, &new.id, sizeof(new.id));
    place_free(place);
}

static void only_so_many_nodes_are_kept(void **state _unused_)
{
    struct place *place = make();
    struct place_facts facts = facts_of(0, 0, 1);

    for (unsigned i = 0; i < PLACE_NODES_MAX; i++) {
        memcpy(facts.id.bytes + 4, &i, sizeof(i));
        assert_int_equal(place_set_node(place, &facts, 0), 1);
    }
    facts.id.bytes[15] = 1;
    assert_int_equal(place_set_node(place, &facts, 0), -ENOSPC);
    place_free(place);
}

/* Longer than there is room for: of every kind some hundred nodes. */
static void a_reason_of_many_kinds_is_cut(void **state _unused_)
{
    enum { EACH = 1100, REFUSERS = 256 };
    static struct place_refuser refusers[REFUSERS];
    struct place *place = make();
    struct task_spec spec = spec_of("abcdefghijklmnopqrstuvwxyzabcdef");
    const char *const types[] = {spec.type};
    struct place_past past = {.refusers = refusers, .refusers_count = REFUSERS};
    struct {
        char reason[TASK_REASON_MAX + 1];
        char beyond[64];
    } told = {0};

    spec.cpus_milli = 7999;
    for (unsigned i = 0; i < REFUSERS + 5 * EACH + 1; i++) {
        struct place_facts facts = facts_of(i + 2, 0, 8);
        const unsigned kind = i < REFUSERS ? 6 : (i - REFUSERS) / EACH;
        facts.types = types;
        facts.types_count = 1;
        facts.cpus = kind == 5 ? 1 : 8;
        facts.state = kind == 0 ? PLACE_DEAD : kind == 1 ? PLACE_SUSPECT : PLACE_ALIVE;
        facts.is_draining = kind == 2;
        facts.is_unstable = kind == 3;
        facts.slots = kind == 4 ? 0 : 8;
        if (kind == 6)
            refusers[i] =
                (struct place_refuser){.why = i % 2 ? PLACE_NO_SANDBOX : PLACE_NOT_FOR_USER,
                                       .id = facts.id,
                                       .generation = 1};
        add(place, facts);
    }
    assert_null(place_choose(place, &spec, &past, told.reason));
    for (size_t i = 0; i < sizeof(told.beyond); i++)
        assert_int_equal(told.beyond[i], 0);
    assert_int_equal(strlen(told.reason), TASK_REASON_MAX);
    place_free(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_loaded_node_is_chosen),
        cmocka_unit_test(a_node_that_has_no_slots_for_now_gets_nothing_and_is_waited_for),
        cmocka_unit_test(own_placements_are_debited_until_the_node_reports_them),
        cmocka_unit_test(ties_are_broken_by_chance),
        cmocka_unit_test(free_slots_are_found_among_many_full_nodes),
        cmocka_unit_test(a_busy_processor_counts_where_it_is_above_the_tasks),
        cmocka_unit_test(where_the_machines_are_as_busy_the_tasks_count),
        cmocka_unit_test(a_confidential_task_stays_here_or_nowhere),
        cmocka_unit_test(reasons_say_what_is_in_the_way),
        cmocka_unit_test(of_two_nodes_of_one_name_the_living_one_is_spoken_of),
        cmocka_unit_test(a_node_with_too_few_cpus_is_not_chosen),
        cmocka_unit_test(a_node_with_too_few_slots_is_not_chosen),
        cmocka_unit_test(a_dry_run_tells_of_nodes_with_too_few_cpus),
        cmocka_unit_test(commands_go_to_nodes_that_take_them_and_to_oneself),
        cmocka_unit_test(the_node_to_avoid_is_the_last_resort),
        cmocka_unit_test(the_dry_run_explains_every_candidate),
        cmocka_unit_test(a_change_that_lets_work_in_is_told),
        cmocka_unit_test(what_was_refused_counts_until_the_rules_change),
        cmocka_unit_test(who_left_is_waited_for_only_where_that_is_asked_for),
        cmocka_unit_test(the_dry_run_counts_users_and_max),
        cmocka_unit_test(nodes_are_found_walked_and_removed),
        cmocka_unit_test(a_name_belongs_to_the_node_that_lives),
        cmocka_unit_test(only_so_many_nodes_are_kept),
        cmocka_unit_test(a_reason_of_many_kinds_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
