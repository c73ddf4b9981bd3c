/* SPDX-License-Identifier: MIT */
#include "sched/slots.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define LEASE (15 * USEC_PER_SEC)
#define GRACE (5 * USEC_PER_SEC)

static const struct node_id self = {{1}}, other = {{2}};

static const struct slots_type types[] = {
    {.name = "a", .slots = 1},
    {.name = "b", .slots = 1, .max = 1, .timeout_usec = USEC_PER_MIN},
    {.name = "big", .slots = 2},
};

static struct slots_config config_of(uint32_t count)
{
    return (struct slots_config){
        .id = self,
        .has_commands = true,
        .slots = count,
        .queue_max = 100,
        .kill_grace_usec = GRACE,
        .types = types,
        .types_count = ARRAY_SIZE(types),
    };
}

static struct slots *make(uint32_t count)
{
    struct slots_config config = config_of(count);
    struct slots *slots;

    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    return slots;
}

static struct slots_key key_of(const struct node_id *origin, uint64_t number)
{
    return (struct slots_key){.origin = *origin, .number = number, .attempt = 1};
}

static struct task_spec spec_of(const char *type, const char *user)
{
    struct task_spec spec = {.type_number = 1};

    (void)snprintf(spec.type, sizeof(spec.type), "%s", type);
    (void)snprintf(spec.user, sizeof(spec.user), "%s", user);
    return spec;
}

static int offer(struct slots *slots, const char *type, const char *user, uint64_t number,
                 usec_t now)
{
    struct slots_key key = key_of(&other, number);
    struct task_spec spec = spec_of(type, user);

    return slots_offer(slots, &key, "lab-02", &spec, LEASE, now);
}

/* What it wants now, as "start 1, kill 2 15, " and so on, by task number. */
static const char *actions(struct slots *slots)
{
    static char all[4096];
    static const char *const names[] = {"start", "pause",  "continue", "kill",   "started",
                                        "renew", "report", "handback", "dropped"};
    struct slots_action action;

    all[0] = '\0';
    while (slots_next_action(slots, &action)) {
        char text[64];
        int used = snprintf(text, sizeof(text), "%s %d", names[action.type],
                            (int)action.attempt->key.number);
        if (action.type == SLOTS_KILL)
            used += snprintf(text + used, sizeof(text) - (size_t)used, " %d", action.signal);
        (void)snprintf(text + used, sizeof(text) - (size_t)used, ", ");
        strncat(all, text, sizeof(all) - strlen(all) - 1);
    }
    return all;
}

static uint64_t id_of(struct slots *slots, uint64_t number)
{
    struct slots_key key = key_of(&other, number);

    return slots_find(slots, &key)->id;
}

static void finish(struct slots *slots, uint64_t number, int code, usec_t now)
{
    struct task_end end = {.type = TASK_END_EXIT, .code = code};

    slots_exited(slots, id_of(slots, number), &end, now);
}

static const struct task_end *end_of(struct slots *slots, uint64_t number)
{
    struct slots_key key = key_of(&other, number);
    struct slots_attempt *attempt = slots_find(slots, &key);

    assert_non_null(attempt);
    assert_int_equal(attempt->state, SLOTS_ENDED);
    return &attempt->end;
}

static void ack(struct slots *slots, uint64_t number, usec_t now)
{
    struct slots_key key = key_of(&other, number);

    slots_acked(slots, &key, now);
}

static void an_attempt_starts_runs_ends_and_is_dropped(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_load load;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_string_equal(actions(slots), "start 1, ");
    slots_started(slots, id_of(slots, 1), 0, 1);
    slots_started(slots, id_of(slots, 1), 0, 1);
    assert_string_equal(actions(slots), "started 1, ");
    slots_get_load(slots, &load);
    assert_int_equal(load.running, 1);
    assert_int_equal(load.load_permille, 1000);
    finish(slots, 1, 3, USEC_PER_SEC + 1);
    assert_string_equal(actions(slots), "report 1, ");
    assert_int_equal(end_of(slots, 1)->code, 3);
    assert_int_equal(end_of(slots, 1)->run_usec, USEC_PER_SEC);
    slots_get_load(slots, &load);
    assert_int_equal(load.running, 0);
    assert_int_equal(load.unacked, 1);
    ack(slots, 1, 3);
    assert_string_equal(actions(slots), "dropped 1, ");
    slots_get_load(slots, &load);
    assert_int_equal(load.unacked, 0);
    assert_int_equal(slots_deadline(slots), USEC_INFINITY);
    slots_free(slots);
}

static void a_start_that_is_told_late_was_when_it_was(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);
    const usec_t begin = USEC_PER_SEC;

    assert_int_equal(offer(slots, "a", "u", 1, begin), 0);
    assert_string_equal(actions(slots), "start 1, ");
    slots_started(slots, id_of(slots, 1), 8000, begin + 10000);
    assert_int_equal(slots_find(slots, &key)->started_usec, begin + 2000);
    finish(slots, 1, 0, begin + 12000);
    assert_int_equal(end_of(slots, 1)->run_usec, 10000);
    ack(slots, 1, begin + 12000);
    /* But never before it had its slot. */
    assert_int_equal(offer(slots, "a", "u", 2, 2 * begin), 0);
    key = key_of(&other, 2);
    slots_started(slots, id_of(slots, 2), begin, 2 * begin + 1);
    assert_int_equal(slots_find(slots, &key)->started_usec, 2 * begin);
    slots_free(slots);
}

static void slots_are_never_exceeded_and_the_queue_is_served(void **state _unused_)
{
    struct slots *slots = make(2);
    struct slots_load load;

    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(offer(slots, "a", "u", i, 0), 0);
    assert_string_equal(actions(slots), "start 1, start 2, ");
    slots_get_load(slots, &load);
    assert_int_equal(load.queued, 2);
    assert_int_equal(load.load_permille, 2000);
    finish(slots, 1, 0, 1);
    assert_string_equal(actions(slots), "report 1, start 3, ");
    slots_free(slots);
}

static void the_machine_s_own_load_counts_where_it_is_higher(void **state _unused_)
{
    static const uint32_t steps[][2] = {{0, 0},       {249, 0},     {250, 250},
                                        {999, 750},   {1000, 1000}, {1499, 1000},
                                        {1500, 1500}, {3999, 3000}, {UINT32_MAX, 4194304000}};
    struct slots *slots = make(2);
    struct slots_load load;

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        slots_set_machine_load(slots, steps[i][0]);
        slots_get_load(slots, &load);
        assert_int_equal(load.load_permille, steps[i][1]);
    }
    slots_set_machine_load(slots, 600);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(offer(slots, "a", "u", i, 0), 0);
        slots_get_load(slots, &load);
        assert_int_equal(load.load_permille, 500 * i);
    }
    slots_free(slots);
}

static void users_are_served_in_turn(void **state _unused_)
{
    struct slots *slots = make(1);
    char order[64] = "";

    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(offer(slots, "a", "greedy", i, 0), 0);
    assert_int_equal(offer(slots, "a", "modest", 4, 0), 0);
    (void)actions(slots);
    for (uint64_t i = 1; i != 0;) {
        finish(slots, i, 0, 1);
        ack(slots, i, 1);
        const char *text = strstr(actions(slots), "start ");
        i = text ? strtoul(text + 6, NULL, 10) : 0;
        (void)snprintf(order + strlen(order), sizeof(order) - strlen(order), "%d ", (int)i);
    }
    assert_string_equal(order, "2 4 3 0 ");
    slots_free(slots);
}

static void in_fifo_the_order_of_arrival_counts(void **state _unused_)
{
    struct slots_config config = config_of(1);
    struct slots *slots;

    config.is_fifo = true;
    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(offer(slots, "a", "greedy", i, 0), 0);
    assert_int_equal(offer(slots, "a", "modest", 4, 0), 0);
    for (uint64_t i = 1; i <= 4; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof(expected), "start %d, ", (int)i);
        assert_non_null(strstr(actions(slots), expected));
        finish(slots, i, 0, 1);
    }
    slots_free(slots);
}

static void a_type_at_its_maximum_does_not_hold_up_others(void **state _unused_)
{
    struct slots *slots = make(3);

    assert_int_equal(offer(slots, "b", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "b", "u", 2, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 3, 0), 0);
    assert_string_equal(actions(slots), "start 1, start 3, ");
    assert_int_equal(slots_get_free(slots, "b"), 0);
    assert_int_equal(slots_get_free(slots, "a"), 1);
    assert_int_equal(slots_get_free(slots, "z"), 0);
    finish(slots, 1, 0, 1);
    assert_string_equal(actions(slots), "report 1, start 2, ");
    slots_free(slots);
}

static void a_large_task_is_not_starved_by_small_ones(void **state _unused_)
{
    struct slots *slots = make(2);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "big", "u", 2, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 3, 0), 0);
    assert_string_equal(actions(slots), "start 1, ");
    finish(slots, 1, 0, 1);
    assert_string_equal(actions(slots), "report 1, start 2, ");
    finish(slots, 2, 0, 2);
    assert_string_equal(actions(slots), "report 2, start 3, ");
    slots_free(slots);
}

static void a_task_may_ask_for_more_slots_than_its_type(void **state _unused_)
{
    struct slots *slots = make(4);
    struct slots_key key = key_of(&other, 1);
    struct task_spec spec = spec_of("a", "user1");

    spec.slots = 3;
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, LEASE, 0), 0);
    assert_int_equal(offer(slots, "a", "user1", 2, 0), 0);
    assert_int_equal(offer(slots, "a", "user1", 3, 0), 0);
    assert_string_equal(actions(slots), "start 1, start 2, ");
    /* Fewer than its type takes is not to be had; more than there are is all of them. */
    key = key_of(&other, 4);
    spec = spec_of("big", "user1");
    spec.slots = 1;
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, LEASE, 0), 0);
    key = key_of(&other, 5);
    spec.slots = 1000;
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, LEASE, 0), 0);
    finish(slots, 1, 0, 1);
    assert_string_equal(actions(slots), "report 1, start 3, start 4, ");
    finish(slots, 2, 0, 2);
    finish(slots, 3, 0, 2);
    assert_string_equal(actions(slots), "report 2, report 3, ");
    finish(slots, 4, 0, 3);
    assert_string_equal(actions(slots), "report 4, start 5, ");
    slots_free(slots);
}

static void what_cannot_run_here_is_refused(void **state _unused_)
{
    struct slots_config config = config_of(1);
    struct slots_key own = key_of(&self, 1), foreign = key_of(&other, 1);
    struct task_spec secret = spec_of("a", "u"), command = spec_of("cmd", "u"),
                     bad = spec_of("", "u");
    struct slots *slots;

    config.queue_max = 2;
    config.has_commands = false;
    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    secret.is_confidential = true;
    command.is_command = true;
    assert_int_equal(task_words_add(&command.args, "true"), 0);
    assert_int_equal(slots_offer(slots, &foreign, "lab-02", &secret, LEASE, 0), -EPERM);
    assert_int_equal(slots_offer(slots, &foreign, "lab-02", &command, LEASE, 0), -ENOENT);
    assert_int_equal(slots_offer(slots, &foreign, "lab-02", &bad, LEASE, 0), -EINVAL);
    assert_int_equal(slots_offer(slots, &own, "lab-01", &command, 0, 0), 0);
    assert_int_equal(offer(slots, "z", "u", 5, 0), -ENOENT);
    assert_int_equal(offer(slots, "a", "u", 6, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 7, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 8, 0), -EBUSY);
    assert_int_equal(offer(slots, "a", "u", 7, 0), 1);
    task_spec_done(&command);
    slots_free(slots);
}

static void what_cannot_begin_for_want_of_space_goes_back_and_the_next_starts(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_load load;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    uint64_t id = id_of(slots, 1);
    assert_int_equal(slots_hand_back(slots, id_of(slots, 2), SLOTS_HANDBACK_NO_SPACE, 1), -ESRCH);
    assert_string_equal(actions(slots), "start 1, ");
    assert_int_equal(slots_hand_back(slots, id, SLOTS_HANDBACK_NO_SPACE, 1), 0);
    assert_string_equal(actions(slots), "handback 1, dropped 1, start 2, ");
    assert_int_equal(slots_hand_back(slots, id, SLOTS_HANDBACK_NO_SPACE, 1), -ESRCH);
    slots_get_load(slots, &load);
    assert_int_equal(load.running, 1);
    assert_int_equal(load.used, 1);
    slots_started(slots, id_of(slots, 2), 0, 2);
    assert_int_equal(slots_hand_back(slots, id_of(slots, 2), SLOTS_HANDBACK_NO_SPACE, 2), -ESRCH);
    slots_free(slots);
}

static void what_is_to_be_killed_is_not_handed_back(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);
    struct task_end end = {.type = TASK_END_SIGNAL, .code = 15};

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    slots_cancel(slots, &key, 15, GRACE, 1);
    assert_string_equal(actions(slots), "kill 1 15, ");
    assert_int_equal(slots_hand_back(slots, id_of(slots, 1), SLOTS_HANDBACK_NO_SPACE, 1), -ESRCH);
    slots_exited(slots, id_of(slots, 1), &end, 2);
    assert_int_equal(end_of(slots, 1)->type, TASK_END_CANCELLED);
    slots_free(slots);
}

static void a_time_limit_ends_in_term_and_then_kill(void **state _unused_)
{
    struct slots *slots = make(1);
    struct task_end end = {.type = TASK_END_SIGNAL, .code = 9};
    usec_t now = USEC_PER_SEC;

    assert_int_equal(offer(slots, "b", "u", 1, 0), 0);
    (void)actions(slots);
    slots_started(slots, id_of(slots, 1), 0, now);
    (void)actions(slots);
    for (; now < USEC_PER_SEC + USEC_PER_MIN; now += 4 * USEC_PER_SEC) {
        struct slots_key key = key_of(&other, 1);
        slots_tick(slots, now);
        slots_renewed(slots, &key, true, now, now);
        assert_null(strstr(actions(slots), "kill"));
    }
    slots_tick(slots, USEC_PER_SEC + USEC_PER_MIN);
    assert_non_null(strstr(actions(slots), "kill 1 15, "));
    slots_tick(slots, USEC_PER_SEC + USEC_PER_MIN + GRACE - 1);
    assert_null(strstr(actions(slots), "kill"));
    slots_tick(slots, USEC_PER_SEC + USEC_PER_MIN + GRACE);
    assert_non_null(strstr(actions(slots), "kill 1 9"));
    slots_exited(slots, id_of(slots, 1), &end, 70 * USEC_PER_SEC);
    assert_int_equal(end_of(slots, 1)->type, TASK_END_TIMED_OUT);
    assert_string_equal(end_of(slots, 1)->text, "1min");
    assert_int_equal(end_of(slots, 1)->code, 9);
    slots_free(slots);
}

static void time_does_not_run_while_input_files_are_coming(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);
    struct task_spec spec = spec_of("a", "u");

    spec.timeout_usec = USEC_PER_SEC;
    spec.in = (struct task_files){.bundle = 1, .size = 100, .count = 1};
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, 0, 0), 0);
    assert_string_equal(actions(slots), "start 1, ");
    slots_tick(slots, USEC_PER_MIN);
    assert_string_equal(actions(slots), "");
    slots_started(slots, id_of(slots, 1), 0, USEC_PER_MIN);
    (void)actions(slots);
    slots_tick(slots, USEC_PER_MIN + USEC_PER_SEC - 1);
    assert_null(strstr(actions(slots), "kill"));
    slots_tick(slots, USEC_PER_MIN + USEC_PER_SEC);
    assert_non_null(strstr(actions(slots), "kill 1 15"));
    slots_free(slots);
}

static void the_limit_of_the_task_wins_over_that_of_the_type(void **state _unused_)
{
    struct slots_config config = config_of(3);
    struct slots_key key = key_of(&other, 1);
    struct task_spec spec = spec_of("b", "u");
    struct slots *slots;

    config.timeout_usec = USEC_PER_HOUR;
    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    spec.timeout_usec = 7;
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, LEASE, 0), 0);
    assert_int_equal(slots_find(slots, &key)->timeout_usec, 7);
    key.number = 2;
    spec.timeout_usec = 0;
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, LEASE, 0), 0);
    assert_int_equal(slots_find(slots, &key)->timeout_usec, USEC_PER_MIN);
    key.number = 3;
    spec = spec_of("a", "u");
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, LEASE, 0), 0);
    assert_int_equal(slots_find(slots, &key)->timeout_usec, USEC_PER_HOUR);
    key.number = 4;
    spec.timeout_usec = TASK_TIMEOUT_NONE;
    assert_int_equal(slots_offer(slots, &key, "lab-02", &spec, LEASE, 0), 0);
    assert_int_equal(slots_find(slots, &key)->timeout_usec, 0);
    slots_free(slots);
}

static void cancelling_sends_the_signal_once_and_then_kill(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    (void)actions(slots);
    slots_cancel(slots, &key, SIGINT, USEC_PER_SEC, 10);
    assert_string_equal(actions(slots), "kill 1 2, ");
    slots_cancel(slots, &key, SIGINT, USEC_PER_SEC, 20);
    assert_string_equal(actions(slots), "");
    slots_cancel(slots, &key, SIGKILL, 0, 30);
    slots_cancel(slots, &key, SIGKILL, 0, 40);
    assert_string_equal(actions(slots), "kill 1 9, ");
    /* What waits ends at once. */
    key.number = 2;
    slots_cancel(slots, &key, SIGTERM, USEC_PER_SEC, 50);
    assert_string_equal(actions(slots), "report 2, ");
    assert_int_equal(end_of(slots, 2)->type, TASK_END_CANCELLED);
    finish(slots, 1, 0, 60);
    assert_int_equal(end_of(slots, 1)->type, TASK_END_CANCELLED);
    slots_free(slots);
}

static void a_later_cancel_counts_where_it_is_harder(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    slots_cancel(slots, &key, SIGINT, 2 * USEC_PER_SEC, 10);
    assert_string_equal(actions(slots), "kill 1 2, ");
    /* Another signal, but no more patience than before. */
    slots_cancel(slots, &key, SIGTERM, 4 * USEC_PER_SEC, 20);
    assert_string_equal(actions(slots), "kill 1 15, ");
    slots_tick(slots, USEC_PER_SEC);
    assert_string_equal(actions(slots), "");
    /* Less patience. */
    slots_cancel(slots, &key, SIGTERM, 0, USEC_PER_SEC);
    assert_string_equal(actions(slots), "kill 1 15, ");
    slots_tick(slots, USEC_PER_SEC);
    assert_string_equal(actions(slots), "kill 1 9, ");
    slots_cancel(slots, &key, SIGINT, 0, USEC_PER_SEC + 1);
    assert_string_equal(actions(slots), "");
    slots_free(slots);
}

static void a_cancel_before_the_start_was_told_runs_nothing(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);
    struct slots_load load;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    slots_cancel(slots, &key, SIGTERM, USEC_PER_SEC, 0);
    assert_string_equal(actions(slots), "report 1, ");
    slots_get_load(slots, &load);
    assert_int_equal(load.used, 0);
    slots_free(slots);
}

static void the_lease_is_renewed_every_third_of_it(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    assert_int_equal(slots_deadline(slots), LEASE / 3);
    slots_tick(slots, LEASE / 3);
    assert_string_equal(actions(slots), "renew 1, ");
    slots_renewed(slots, &key, true, LEASE / 3, LEASE / 2);
    slots_tick(slots, LEASE);
    assert_string_equal(actions(slots), "renew 1, ");
    /* It counts from when it was asked for, not from when the answer came. */
    slots_tick(slots, LEASE + LEASE / 3 - 1);
    assert_null(strstr(actions(slots), "kill"));
    slots_tick(slots, LEASE + LEASE / 3);
    assert_non_null(strstr(actions(slots), "kill 1 9"));
    finish(slots, 1, 0, 2 * LEASE);
    assert_int_equal(end_of(slots, 1)->type, TASK_END_STOPPED);
    assert_string_equal(end_of(slots, 1)->text, "no contact with lab-02");
    slots_free(slots);
}

static void an_origin_that_is_back_is_asked_for_the_lease_at_once(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);
    usec_t back = LEASE - 1;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    slots_tick(slots, LEASE / 3); /* it is away: there is no answer */
    slots_tick(slots, LEASE / 3 * 2);
    (void)actions(slots);
    slots_connected(slots, &self, back);
    assert_string_equal(actions(slots), "");
    slots_connected(slots, &other, back);
    assert_string_equal(actions(slots), "renew 1, ");
    slots_renewed(slots, &key, true, back, LEASE);
    assert_string_equal(actions(slots), "");
    assert_int_equal(slots_deadline(slots), back + LEASE / 3);
    slots_tick(slots, back + LEASE - 1);
    assert_null(strstr(actions(slots), "kill"));
    slots_tick(slots, back + LEASE);
    assert_non_null(strstr(actions(slots), "kill 1 9"));
    /* Nothing helps that. */
    slots_connected(slots, &other, back + LEASE);
    assert_string_equal(actions(slots), "");
    slots_free(slots);
}

static void an_origin_that_asks_is_asked_for_the_lease_at_once(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1), own = key_of(&self, 2);
    struct task_spec spec = spec_of("a", "u");

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(slots_offer(slots, &own, "lab-01", &spec, 0, 0), 0);
    (void)actions(slots);
    assert_non_null(slots_query(slots, &key, 7));
    assert_string_equal(actions(slots), "renew 1, ");
    assert_non_null(slots_query(slots, &own, 7));
    assert_string_equal(actions(slots), "");
    finish(slots, 1, 0, 8);
    (void)actions(slots);
    assert_non_null(slots_query(slots, &key, 9));
    assert_string_equal(actions(slots), "");
    slots_free(slots);
}

static void an_answer_cannot_stretch_the_lease(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    slots_renewed(slots, &key, true, 100 * LEASE, 1);
    slots_tick(slots, LEASE);
    assert_non_null(strstr(actions(slots), "kill 1 9"));
    slots_free(slots);
}

static void a_refused_renewal_kills_at_once(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    slots_renewed(slots, &key, false, 1, 2);
    assert_string_equal(actions(slots), "kill 1 9, ");
    slots_free(slots);
}

static void the_own_node_needs_no_lease(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&self, 1);
    struct task_spec spec = spec_of("a", "u");

    assert_int_equal(slots_offer(slots, &key, "lab-01", &spec, 0, 0), 0);
    (void)actions(slots);
    assert_int_equal(slots_deadline(slots), USEC_INFINITY);
    slots_free(slots);
}

static void what_waits_past_its_lease_goes_back(void **state _unused_)
{
    struct slots *slots = make(0);
    struct slots_config config = config_of(1);

    assert_int_equal(slots_set_config(slots, &config, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 1), 0);
    (void)actions(slots);
    slots_tick(slots, LEASE + 1);
    assert_non_null(strstr(actions(slots), "handback 2, dropped 2, "));
    /* And an offer of it that comes late is refused. */
    assert_int_equal(offer(slots, "a", "u", 2, LEASE + 2), -ESTALE);
    slots_free(slots);
}

static void nothing_begins_with_a_lease_about_to_end(void **state _unused_)
{
    struct slots *slots = make(0);
    struct slots_config config = config_of(1);
    struct slots_key key = key_of(&other, 2);

    assert_int_equal(slots_set_config(slots, &config, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 1), 0);
    (void)actions(slots);
    slots_tick(slots, LEASE);
    assert_non_null(strstr(actions(slots), "kill 1 9"));
    finish(slots, 1, 0, LEASE);
    assert_null(strstr(actions(slots), "start 2"));
    /* Its origin is there after all. */
    slots_renewed(slots, &key, true, LEASE, LEASE);
    assert_non_null(strstr(actions(slots), "start 2"));
    slots_free(slots);
}

static void draining_hands_the_queue_back_and_lets_the_rest_end(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_load load;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    assert_int_equal(offer(slots, "a", "v", 3, 0), 0);
    (void)actions(slots);
    slots_set_draining(slots, true, 1);
    assert_string_equal(actions(slots), "handback 2, dropped 2, handback 3, dropped 3, ");
    assert_int_equal(offer(slots, "a", "u", 4, 1), -ESHUTDOWN);
    slots_get_load(slots, &load);
    assert_true(load.is_draining);
    assert_int_equal(load.running, 1);
    slots_set_draining(slots, false, 2);
    assert_int_equal(offer(slots, "a", "u", 4, 2), 0);
    slots_free(slots);
}

static void what_is_evicted_ends_as_stopped_by_its_node(void **state _unused_)
{
    struct slots *slots = make(2);
    struct slots_key one = key_of(&other, 1);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    slots_set_draining(slots, true, 1);
    slots_evict(slots, 1);
    assert_non_null(strstr(actions(slots), "kill 1"));
    const struct slots_attempt *attempt = slots_find(slots, &one);
    slots_exited(slots, attempt->id, &(struct task_end){.type = TASK_END_SIGNAL, .code = 15}, 2);
    assert_int_equal(attempt->end.type, TASK_END_STOPPED);
    assert_string_equal(attempt->end.text, "the node was drained");
    /* It is not the end of the node: work is taken again. */
    slots_set_draining(slots, false, 3);
    assert_int_equal(offer(slots, "a", "u", 2, 3), 0);
    assert_non_null(strstr(actions(slots), "start 2"));
    slots_free(slots);
}

#define QUANTUM (100 * USEC_PER_MSEC)

static struct slots *make_sliced(uint32_t count)
{
    struct slots_config config = config_of(count);
    struct slots *slots;

    config.quantum_usec = QUANTUM;
    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    return slots;
}

static void run_one(struct slots *slots, const char *type, const char *user, uint64_t number,
                    usec_t now)
{
    assert_int_equal(offer(slots, type, user, number, now), 0);
    slots_started(slots, id_of(slots, number), 0, now);
}

static void a_turn_ends_when_another_user_waits(void **state _unused_)
{
    struct slots *slots = make_sliced(1);

    run_one(slots, "a", "u", 1, 0);
    assert_int_equal(offer(slots, "a", "v", 2, 10), 0);
    (void)actions(slots);
    assert_int_equal(slots_deadline(slots), QUANTUM);
    slots_tick(slots, QUANTUM - 1);
    assert_string_equal(actions(slots), "");
    slots_tick(slots, QUANTUM);
    assert_string_equal(actions(slots), "pause 1, start 2, ");
    slots_started(slots, id_of(slots, 2), 0, QUANTUM);
    (void)actions(slots);
    slots_tick(slots, 2 * QUANTUM);
    assert_string_equal(actions(slots), "pause 2, continue 1, ");
    /* Who ends makes room at once. */
    finish(slots, 1, 0, 2 * QUANTUM + 5);
    assert_string_equal(actions(slots), "report 1, continue 2, ");
    assert_int_equal(end_of(slots, 1)->run_usec, QUANTUM + 5);
    slots_free(slots);
}

static void nobody_is_paused_for_himself_or_for_nobody(void **state _unused_)
{
    struct slots *slots = make_sliced(1);

    run_one(slots, "a", "u", 1, 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    (void)actions(slots);
    slots_tick(slots, 9 * QUANTUM);
    assert_string_equal(actions(slots), "");
    assert_true(slots_deadline(slots) > 9 * QUANTUM);
    /* But a turn that is long over ends with the first that wants one. */
    assert_int_equal(offer(slots, "a", "v", 3, 9 * QUANTUM), 0);
    assert_string_equal(actions(slots), "pause 1, start 3, ");
    /* And then it is its turn again, before what its user has behind it. */
    slots_started(slots, id_of(slots, 3), 0, 9 * QUANTUM);
    (void)actions(slots);
    slots_tick(slots, 10 * QUANTUM);
    assert_string_equal(actions(slots), "pause 3, continue 1, ");
    slots_free(slots);
}

static void in_order_of_arrival_nothing_is_paused(void **state _unused_)
{
    struct slots_config config = config_of(1);
    struct slots *slots;

    config.quantum_usec = QUANTUM;
    config.is_fifo = true;
    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    run_one(slots, "a", "u", 1, 0);
    assert_int_equal(offer(slots, "a", "v", 2, 0), 0);
    (void)actions(slots);
    slots_tick(slots, 9 * QUANTUM);
    assert_string_equal(actions(slots), "");
    slots_free(slots);
}

static void a_pause_takes_nothing_from_the_time_to_run(void **state _unused_)
{
    struct slots *slots = make_sliced(1);
    usec_t limit = USEC_PER_MIN;

    struct slots_key key = key_of(&self, 1);
    struct task_spec spec = spec_of("b", "u");

    /* b may run for a minute; v's task takes the slot for two, in the middle of it. */
    assert_int_equal(slots_offer(slots, &key, "lab-01", &spec, 0, 0), 0);
    slots_started(slots, slots_find(slots, &key)->id, 0, 0);
    assert_int_equal(offer(slots, "a", "v", 2, 0), 0);
    slots_tick(slots, QUANTUM);
    finish(slots, 2, 0, 2 * limit);
    assert_non_null(strstr(actions(slots), "continue 1, "));
    slots_tick(slots, 3 * limit - QUANTUM - 1);
    assert_null(strstr(actions(slots), "kill 1"));
    slots_tick(slots, 3 * limit - QUANTUM);
    assert_non_null(strstr(actions(slots), "kill 1 15, "));
    slots_free(slots);
}

static void what_is_paused_is_cancelled_like_any_other(void **state _unused_)
{
    struct slots *slots = make_sliced(1);
    struct slots_key one = key_of(&other, 1);
    struct slots_load load;

    run_one(slots, "a", "u", 1, 0);
    assert_int_equal(offer(slots, "a", "v", 2, 0), 0);
    slots_tick(slots, QUANTUM);
    (void)actions(slots);
    slots_recall(slots, &one, QUANTUM);
    assert_string_equal(actions(slots), "");
    /* It has to run for that: what is stopped hears nothing. */
    slots_cancel(slots, &one, SIGTERM, GRACE, QUANTUM);
    assert_string_equal(actions(slots), "kill 1 15, continue 1, ");
    finish(slots, 1, 0, QUANTUM + 1);
    assert_int_equal(end_of(slots, 1)->type, TASK_END_CANCELLED);
    slots_get_load(slots, &load);
    assert_int_equal(load.used, 1);
    assert_int_equal(load.running, 1);
    assert_int_equal(load.queued, 0);
    slots_free(slots);
}

static void what_dies_while_it_is_paused_has_ended(void **state _unused_)
{
    struct slots *slots = make_sliced(1);
    struct slots_load load;

    run_one(slots, "a", "u", 1, 0);
    assert_int_equal(offer(slots, "a", "v", 2, 0), 0);
    slots_tick(slots, QUANTUM);
    finish(slots, 1, 9, 2 * QUANTUM);
    assert_int_equal(end_of(slots, 1)->run_usec, QUANTUM);
    finish(slots, 2, 0, 2 * QUANTUM);
    slots_get_load(slots, &load);
    assert_int_equal(load.used + load.running + load.queued, 0);
    slots_free(slots);
}

static void a_drain_keeps_what_is_paused(void **state _unused_)
{
    struct slots *slots = make_sliced(1);
    struct slots_load load;

    run_one(slots, "a", "u", 1, 0);
    assert_int_equal(offer(slots, "a", "v", 2, 0), 0);
    assert_int_equal(offer(slots, "a", "w", 3, 0), 0);
    slots_tick(slots, QUANTUM);
    (void)actions(slots);
    slots_set_draining(slots, true, QUANTUM);
    assert_string_equal(actions(slots), "handback 3, dropped 3, ");
    finish(slots, 2, 0, QUANTUM + 1);
    assert_string_equal(actions(slots), "report 2, continue 1, ");
    finish(slots, 1, 0, QUANTUM + 2);
    slots_get_load(slots, &load);
    assert_int_equal(load.running + load.queued, 0);
    slots_free(slots);
}

static void the_most_of_a_type_counts_the_paused(void **state _unused_)
{
    struct slots *slots = make_sliced(1);
    struct slots_config config = config_of(1);

    /* b runs once at most: v's b does not begin while u's is only paused. */
    run_one(slots, "b", "u", 1, 0);
    assert_int_equal(offer(slots, "b", "v", 2, 0), 0);
    slots_tick(slots, QUANTUM);
    assert_null(strstr(actions(slots), "pause"));
    assert_int_equal(offer(slots, "a", "w", 3, QUANTUM), 0);
    assert_non_null(strstr(actions(slots), "pause 1, start 3, "));
    /* Also when the configuration is read again meanwhile. */
    config.quantum_usec = QUANTUM;
    assert_int_equal(slots_set_config(slots, &config, QUANTUM), 0);
    finish(slots, 3, 0, QUANTUM + 1);
    assert_string_equal(actions(slots), "report 3, continue 1, ");
    slots_free(slots);
}

static void so_many_are_paused_and_no_more(void **state _unused_)
{
    struct slots *slots = make_sliced(1);
    usec_t now = 0;
    size_t pauses = 0;

    for (uint64_t i = 1; i <= SLOTS_PAUSED_MAX + 3; i++) {
        char user[16];
        (void)snprintf(user, sizeof(user), "u%d", (int)i);
        assert_int_equal(offer(slots, "a", user, i, now), 0);
    }
    for (uint64_t i = 1; i <= 3 * SLOTS_PAUSED_MAX; i++) {
        size_t k = 0;
        struct slots_attempt *attempt;
        uint32_t paused = 0;
        while ((attempt = slots_next(slots, &k))) {
            if (attempt->state == SLOTS_STARTING) {
                slots_started(slots, attempt->id, 0, now);
                k = 0;
                paused = 0;
                continue;
            }
            paused += attempt->state == SLOTS_PAUSED;
        }
        assert_in_range(paused, 0, SLOTS_PAUSED_MAX);
        pauses = MAX(pauses, (size_t)paused);
        (void)actions(slots);
        now += QUANTUM;
        slots_tick(slots, now);
    }
    assert_int_equal(pauses, SLOTS_PAUSED_MAX);
    slots_free(slots);
}

static void only_what_waits_can_be_recalled(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key one = key_of(&other, 1), two = key_of(&other, 2);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    (void)actions(slots);
    slots_recall(slots, &one, 1);
    slots_recall(slots, &two, 1);
    assert_string_equal(actions(slots), "handback 2, dropped 2, ");
    slots_free(slots);
}

static void what_went_back_is_remembered_as_not_begun(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key one = key_of(&other, 1), two = key_of(&other, 2), own = key_of(&self, 3);
    struct task_spec spec = spec_of("a", "u");
    enum slots_handback reason = SLOTS_HANDBACK_TYPE;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    assert_int_equal(slots_offer(slots, &own, "lab-01", &spec, 0, 0), 0);
    (void)actions(slots);
    slots_started(slots, id_of(slots, 1), 0, 0);
    slots_tick(slots, LEASE);
    assert_non_null(strstr(actions(slots), "handback 2, dropped 2, "));
    assert_false(slots_was_handed_back(slots, &one, &reason)); /* it runs, and is to be killed */
    assert_true(slots_was_handed_back(slots, &two, &reason));
    assert_int_equal(reason, SLOTS_HANDBACK_RECALLED);
    assert_null(slots_query(slots, &two, LEASE));
    assert_true(slots_was_handed_back(slots, &two, &reason)); /* and still so when asked again */
    slots_set_draining(slots, true, LEASE);
    assert_false(slots_was_handed_back(slots, &own, &reason)); /* the own node heard it */
    slots_free(slots);
}

static void only_so_many_that_went_back_are_remembered(void **state _unused_)
{
    struct slots_config config = config_of(1);
    enum slots_handback reason;
    struct slots *slots;

    config.queue_max = SLOTS_BACKS_MAX + 2;
    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    for (uint64_t i = 1; i <= SLOTS_BACKS_MAX + 2; i++)
        assert_int_equal(offer(slots, "a", "u", i, 0), 0);
    for (uint64_t i = 2; i <= SLOTS_BACKS_MAX + 2; i++) {
        struct slots_key first = key_of(&other, 2), key = key_of(&other, i);
        slots_recall(slots, &key, 1);
        assert_true(slots_was_handed_back(slots, &key, &reason));
        assert_int_equal(slots_was_handed_back(slots, &first, &reason), i <= SLOTS_BACKS_MAX + 1);
    }
    slots_free(slots);
}

/* Its files were on the way, say: nothing of it ran. */
static void what_is_stopped_before_it_began_goes_back(void **state _unused_)
{
    struct slots *slots = make(3);
    struct slots_key one = key_of(&other, 1);

    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(offer(slots, "a", "u", i, 0), 0);
    assert_string_equal(actions(slots), "start 1, start 2, start 3, ");
    slots_cancel(slots, &one, SIGTERM, GRACE, 1);
    slots_started(slots, id_of(slots, 3), 0, 1);
    slots_stop(slots, 1);
    for (uint64_t i = 1; i <= 3; i++)
        slots_not_begun(slots, id_of(slots, i), 1);
    slots_not_begun(slots, 77, 1);
    const char *text = actions(slots);
    assert_non_null(strstr(text, "report 1, "));
    assert_non_null(strstr(text, "handback 2, dropped 2, "));
    assert_non_null(strstr(text, "kill 3 15, "));
    assert_int_equal(end_of(slots, 1)->type, TASK_END_CANCELLED);
    slots_free(slots);
}

static void what_could_not_begin_within_its_lease_goes_back(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key one = key_of(&other, 1), two = key_of(&other, 2);
    enum slots_handback reason;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    slots_tick(slots, LEASE);
    assert_non_null(strstr(actions(slots), "kill 1 9, "));
    slots_not_begun(slots, id_of(slots, 1), LEASE);
    assert_string_equal(actions(slots), "handback 1, dropped 1, ");
    assert_true(slots_was_handed_back(slots, &one, &reason));
    assert_int_equal(reason, SLOTS_HANDBACK_RECALLED);
    /* The slot is free again. */
    assert_int_equal(offer(slots, "a", "u", 2, LEASE), 0);
    assert_string_equal(actions(slots), "start 2, ");
    slots_evict(slots, LEASE);
    (void)actions(slots);
    slots_not_begun(slots, id_of(slots, 2), LEASE);
    assert_string_equal(actions(slots), "handback 2, dropped 2, ");
    assert_true(slots_was_handed_back(slots, &two, &reason));
    assert_int_equal(reason, SLOTS_HANDBACK_DRAINING);
    slots_free(slots);
}

static void without_a_sandbox_nothing_is_taken_and_what_has_not_begun_goes_back(
    void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 2);
    const struct slots_wish wish = {.type = "a"};
    enum slots_handback reason;
    struct slots_load load;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    assert_string_equal(actions(slots), "start 1, ");
    slots_set_able(slots, false, 1);
    assert_string_equal(actions(slots), "handback 2, dropped 2, ");
    assert_true(slots_was_handed_back(slots, &key, &reason));
    assert_int_equal(reason, SLOTS_HANDBACK_UNABLE);
    assert_int_equal(slots_hand_back(slots, id_of(slots, 1), SLOTS_HANDBACK_UNABLE, 1), 0);
    assert_string_equal(actions(slots), "handback 1, dropped 1, ");
    assert_int_equal(offer(slots, "a", "u", 3, 2), -ENODEV);
    key = key_of(&other, 3);
    assert_int_equal(slots_ask(slots, &key, &wish, 2, &load), -ENODEV);
    assert_int_equal(load.slots, 1);
    slots_get_load(slots, &load);
    assert_int_equal(load.slots, 0);
    assert_false(load.is_draining);
    slots_set_able(slots, true, 3);
    slots_get_load(slots, &load);
    assert_int_equal(load.slots, 1);
    assert_int_equal(offer(slots, "a", "u", 3, 3), 0);
    assert_string_equal(actions(slots), "start 3, ");
    slots_free(slots);
}

static void a_query_for_the_unknown_shuts_the_door(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);

    assert_null(slots_query(slots, &key, 0));
    assert_int_equal(offer(slots, "a", "u", 1, 0), -ESTALE);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    key.number = 2;
    assert_non_null(slots_query(slots, &key, 0));
    slots_free(slots);
}

static void ends_are_reported_until_they_are_acknowledged(void **state _unused_)
{
    struct slots *slots = make(1);
    usec_t now = 1;
    int reports = 0;

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    (void)actions(slots);
    finish(slots, 1, 0, now);
    assert_string_equal(actions(slots), "report 1, ");
    slots_connected(slots, &self, now);
    assert_string_equal(actions(slots), "");
    slots_connected(slots, &other, now);
    assert_string_equal(actions(slots), "report 1, ");
    for (;;) {
        now = slots_deadline(slots);
        slots_tick(slots, now);
        const char *text = actions(slots);
        if (strcmp(text, "dropped 1, ") == 0)
            break;
        assert_string_equal(text, "report 1, ");
        reports++;
    }
    assert_in_range(reports, 100, 2000);
    assert_int_equal(now, SLOTS_RESULT_KEEP_USEC + 1);
    slots_free(slots);
}

static void ends_from_before_a_restart_are_reported(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 1);
    struct task_spec spec = spec_of("a", "u");
    struct task_end end = {.type = TASK_END_EXIT, .code = 4, .run_usec = 5};

    assert_int_equal(slots_restore(slots, &key, "lab-02", &spec, &end, 0), 0);
    assert_int_equal(slots_restore(slots, &key, "lab-02", &spec, &end, 0), -EEXIST);
    assert_string_equal(actions(slots), "report 1, ");
    assert_int_equal(end_of(slots, 1)->run_usec, 5);
    assert_int_equal(offer(slots, "a", "u", 1, 0), 1);
    slots_free(slots);
}

static void the_oldest_end_goes_when_there_are_too_many(void **state _unused_)
{
    struct slots *slots = make(1);
    struct task_spec spec = spec_of("a", "u");
    struct task_end end = {.type = TASK_END_EXIT};
    struct slots_load load;

    for (uint64_t i = 1; i <= SLOTS_RESULTS_MAX + 1; i++) {
        struct slots_key key = key_of(&other, i);
        assert_int_equal(slots_restore(slots, &key, "lab-02", &spec, &end, 0), 0);
        if (i == SLOTS_RESULTS_MAX)
            assert_null(strstr(actions(slots), "dropped"));
    }
    assert_non_null(strstr(actions(slots), "dropped 1, "));
    slots_get_load(slots, &load);
    assert_int_equal(load.unacked, SLOTS_RESULTS_MAX);
    slots_free(slots);
}

static void a_reload_keeps_what_runs_and_returns_vanished_types(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_config config = config_of(2);
    static const struct slots_type only_a[] = {{.name = "a", .slots = 1, .max = 1}};

    assert_int_equal(offer(slots, "b", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "b", "u", 2, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 3, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 4, 0), 0);
    (void)actions(slots);
    config.types = only_a;
    config.types_count = 1;
    assert_int_equal(slots_set_config(slots, &config, 1), 0);
    assert_string_equal(actions(slots), "handback 2, dropped 2, start 3, ");
    finish(slots, 1, 0, 2);
    assert_string_equal(actions(slots), "report 1, ");
    finish(slots, 3, 0, 3);
    assert_string_equal(actions(slots), "report 3, start 4, ");
    config.types_count = SLOTS_TYPES_MAX + 1;
    assert_int_equal(slots_set_config(slots, &config, 1), -EINVAL);
    slots_free(slots);
}

static void stopping_ends_everything(void **state _unused_)
{
    struct slots *slots = make(1);

    assert_int_equal(offer(slots, "a", "u", 1, 0), 0);
    assert_int_equal(offer(slots, "a", "u", 2, 0), 0);
    (void)actions(slots);
    slots_stop(slots, 1);
    assert_string_equal(actions(slots), "handback 2, dropped 2, kill 1 15, ");
    slots_tick(slots, 1 + GRACE);
    assert_non_null(strstr(actions(slots), "kill 1 9"));
    finish(slots, 1, 0, 2 + GRACE);
    assert_int_equal(end_of(slots, 1)->type, TASK_END_STOPPED);
    assert_int_equal(offer(slots, "a", "u", 3, 2 + GRACE), -ESHUTDOWN);
    slots_free(slots);
}

static void words_about_strangers_are_ignored(void **state _unused_)
{
    struct slots *slots = make(1);
    struct slots_key key = key_of(&other, 9);
    struct task_end end = {.type = TASK_END_EXIT};

    slots_started(slots, 77, 0, 0);
    slots_exited(slots, 77, &end, 0);
    slots_cancel(slots, &key, 15, 0, 0);
    slots_recall(slots, &key, 0);
    slots_acked(slots, &key, 0);
    slots_renewed(slots, &key, true, 0, 0);
    assert_string_equal(actions(slots), "");
    assert_null(slots_find_id(slots, 77));
    slots_free(slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_starts_runs_ends_and_is_dropped),
        cmocka_unit_test(a_start_that_is_told_late_was_when_it_was),
        cmocka_unit_test(slots_are_never_exceeded_and_the_queue_is_served),
        cmocka_unit_test(the_machine_s_own_load_counts_where_it_is_higher),
        cmocka_unit_test(users_are_served_in_turn),
        cmocka_unit_test(in_fifo_the_order_of_arrival_counts),
        cmocka_unit_test(a_type_at_its_maximum_does_not_hold_up_others),
        cmocka_unit_test(a_large_task_is_not_starved_by_small_ones),
        cmocka_unit_test(a_task_may_ask_for_more_slots_than_its_type),
        cmocka_unit_test(what_cannot_run_here_is_refused),
        cmocka_unit_test(what_cannot_begin_for_want_of_space_goes_back_and_the_next_starts),
        cmocka_unit_test(what_is_to_be_killed_is_not_handed_back),
        cmocka_unit_test(a_time_limit_ends_in_term_and_then_kill),
        cmocka_unit_test(time_does_not_run_while_input_files_are_coming),
        cmocka_unit_test(the_limit_of_the_task_wins_over_that_of_the_type),
        cmocka_unit_test(cancelling_sends_the_signal_once_and_then_kill),
        cmocka_unit_test(a_later_cancel_counts_where_it_is_harder),
        cmocka_unit_test(a_cancel_before_the_start_was_told_runs_nothing),
        cmocka_unit_test(the_lease_is_renewed_every_third_of_it),
        cmocka_unit_test(an_answer_cannot_stretch_the_lease),
        cmocka_unit_test(an_origin_that_is_back_is_asked_for_the_lease_at_once),
        cmocka_unit_test(an_origin_that_asks_is_asked_for_the_lease_at_once),
        cmocka_unit_test(a_refused_renewal_kills_at_once),
        cmocka_unit_test(the_own_node_needs_no_lease),
        cmocka_unit_test(what_waits_past_its_lease_goes_back),
        cmocka_unit_test(nothing_begins_with_a_lease_about_to_end),
        cmocka_unit_test(draining_hands_the_queue_back_and_lets_the_rest_end),
        cmocka_unit_test(what_is_evicted_ends_as_stopped_by_its_node),
        cmocka_unit_test(a_turn_ends_when_another_user_waits),
        cmocka_unit_test(nobody_is_paused_for_himself_or_for_nobody),
        cmocka_unit_test(in_order_of_arrival_nothing_is_paused),
        cmocka_unit_test(a_pause_takes_nothing_from_the_time_to_run),
        cmocka_unit_test(what_is_paused_is_cancelled_like_any_other),
        cmocka_unit_test(what_dies_while_it_is_paused_has_ended),
        cmocka_unit_test(a_drain_keeps_what_is_paused),
        cmocka_unit_test(the_most_of_a_type_counts_the_paused),
        cmocka_unit_test(so_many_are_paused_and_no_more),
        cmocka_unit_test(only_what_waits_can_be_recalled),
        cmocka_unit_test(what_went_back_is_remembered_as_not_begun),
        cmocka_unit_test(only_so_many_that_went_back_are_remembered),
        cmocka_unit_test(what_is_stopped_before_it_began_goes_back),
        cmocka_unit_test(what_could_not_begin_within_its_lease_goes_back),
        cmocka_unit_test(without_a_sandbox_nothing_is_taken_and_what_has_not_begun_goes_back),
        cmocka_unit_test(a_query_for_the_unknown_shuts_the_door),
        cmocka_unit_test(ends_are_reported_until_they_are_acknowledged),
        cmocka_unit_test(ends_from_before_a_restart_are_reported),
        cmocka_unit_test(the_oldest_end_goes_when_there_are_too_many),
        cmocka_unit_test(a_reload_keeps_what_runs_and_returns_vanished_types),
        cmocka_unit_test(stopping_ends_everything),
        cmocka_unit_test(words_about_strangers_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
