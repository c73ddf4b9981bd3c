/* SPDX-License-Identifier: MIT */
#include "sched/workflow.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct workflow *make(const char *text, enum workflow_order order, bool is_keep_going)
{
    struct grammar_options options = {.user = "user1"};
    struct workflow_options how = {.order = order, .is_keep_going = is_keep_going};
    struct grammar_errors errors = {0};
    struct workflow_plan *plan;
    struct workflow *workflow;

    assert_int_equal(grammar_parse("t", text, strlen(text), &options, &plan, &errors), 0);
    assert_int_equal(workflow_new(7, &how, plan, &workflow), 0);
    return workflow;
}

/* What it asks for now, as "+a1 +b1", "-a1" for a cancel, "*a1" again, "." for the end; it gets
 * number 100 + step. */
static void expect(struct workflow *workflow, const char *expected)
{
    const struct workflow_plan *plan = workflow_get_plan(workflow);
    struct workflow_action action;
    char all[4096] = "";

    while (workflow_next_action(workflow, &action)) {
        char text[64];
        switch (action.type) {
        case WORKFLOW_SUBMIT:
            assert_int_equal(action.spec->workflow, 7);
            assert_int_equal(action.spec->step, action.step);
            workflow_submitted(workflow, action.step, 100 + action.step);
            (void)snprintf(text, sizeof(text), "+%s ", plan->steps[action.step].name);
            break;
        case WORKFLOW_REPEAT:
            assert_int_equal(action.number, 50 + action.step);
            workflow_submitted(workflow, action.step, action.number);
            (void)snprintf(text, sizeof(text), "*%s ", plan->steps[action.step].name);
            break;
        case WORKFLOW_CANCEL:
            assert_int_equal(action.number, 100 + action.step);
            (void)snprintf(text, sizeof(text), "-%s ", plan->steps[action.step].name);
            break;
        case WORKFLOW_DONE:
            (void)snprintf(text, sizeof(text), ". ");
            break;
        }
        strncat(all, text, sizeof(all) - strlen(all) - 1);
    }
    assert_string_equal(all, expected);
}

static void start(struct workflow *workflow, const char *expected)
{
    workflow_start(workflow);
    expect(workflow, expected);
}

/* A step has ended so: what it asks for then. */
static void end(struct workflow *workflow, uint32_t step, enum task_state state,
                const char *expected)
{
    workflow_ended(workflow, step, state);
    expect(workflow, expected);
}

static void expect_counts(struct workflow *workflow, uint32_t succeeded, uint32_t failed,
                          uint32_t skipped)
{
    struct workflow_statistics statistics;

    workflow_get_statistics(workflow, &statistics);
    assert_int_equal(statistics.succeeded, succeeded);
    assert_int_equal(statistics.failed, failed);
    assert_int_equal(statistics.skipped, skipped);
    assert_int_equal(succeeded + failed + skipped + statistics.waiting + statistics.submitted,
                     statistics.total);
}

static void strict_order_starts_the_next_when_the_previous_ended(void **state _unused_)
{
    struct workflow *workflow = make("a1 a2 c1", WORKFLOW_STRICT, false);
    struct workflow_statistics statistics;

    expect(workflow, "");
    start(workflow, "+a1 ");
    expect(workflow, "");
    end(workflow, 0, TASK_SUCCEEDED, "+a2 ");
    end(workflow, 0, TASK_FAILED, "");
    end(workflow, 1, TASK_SUCCEEDED, "+c1 ");
    end(workflow, 2, TASK_SUCCEEDED, ". ");
    expect(workflow, "");
    workflow_get_statistics(workflow, &statistics);
    assert_int_equal(statistics.succeeded, 3);
    assert_true(statistics.is_done);
    workflow_free(workflow);
}

static void a_group_runs_at_once_and_the_next_waits_for_all(void **state _unused_)
{
    struct workflow *workflow = make("a1 {a3 b2 b3} a4", WORKFLOW_STRICT, false);

    start(workflow, "+a1 ");
    end(workflow, 0, TASK_SUCCEEDED, "+a3 +b2 +b3 ");
    workflow_ended(workflow, 3, TASK_SUCCEEDED);
    end(workflow, 1, TASK_SUCCEEDED, "");
    end(workflow, 2, TASK_SUCCEEDED, "+a4 ");
    workflow_free(workflow);
}

static void a_failure_stops_the_list_and_what_runs_may_end(void **state _unused_)
{
    struct workflow *workflow = make("{a1 a2} b1 b2", WORKFLOW_STRICT, false);
    uint64_t number;

    start(workflow, "+a1 +a2 ");
    end(workflow, 0, TASK_TIMED_OUT, "");
    end(workflow, 1, TASK_SUCCEEDED, ". ");
    expect_counts(workflow, 1, 1, 2);
    assert_int_equal(workflow_get_step(workflow, 2, &number), WORKFLOW_SKIPPED);
    workflow_free(workflow);
}

static void keep_going_only_counts_the_failure(void **state _unused_)
{
    struct workflow *workflow = make("a1 b1", WORKFLOW_STRICT, true);

    start(workflow, "+a1 ");
    end(workflow, 0, TASK_LOST, "+b1 ");
    end(workflow, 1, TASK_SUCCEEDED, ". ");
    workflow_free(workflow);
}

static void types_do_not_wait_for_each_other_in_type_order(void **state _unused_)
{
    struct workflow *workflow = make("a1 b1 a2 {b2 b3} a3", WORKFLOW_TYPE, false);

    start(workflow, "+a1 +b1 ");
    end(workflow, 1, TASK_SUCCEEDED, "+b2 +b3 ");
    end(workflow, 0, TASK_SUCCEEDED, "+a2 ");
    workflow_free(workflow);
}

static void free_order_submits_all_within_the_window(void **state _unused_)
{
    char text[16 * (WORKFLOW_WINDOW_MAX + 1)] = "";
    size_t used = 0, count = 0;
    struct workflow_action action;

    for (int i = 0; i <= WORKFLOW_WINDOW_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "a%d ", i);
    struct workflow *workflow = make(text, WORKFLOW_FREE, false);
    workflow_start(workflow);
    while (workflow_next_action(workflow, &action))
        count++;
    assert_int_equal(count, WORKFLOW_WINDOW_MAX);
    workflow_ended(workflow, 5, TASK_SUCCEEDED);
    assert_true(workflow_next_action(workflow, &action));
    assert_int_equal(action.step, WORKFLOW_WINDOW_MAX);
    workflow_free(workflow);
}

static void what_the_origin_does_not_take_has_failed(void **state _unused_)
{
    struct workflow *workflow = make("a1 b1", WORKFLOW_STRICT, false);
    struct workflow_action action;

    workflow_start(workflow);
    assert_true(workflow_next_action(workflow, &action));
    workflow_refused(workflow, action.step, "no node handles task type \"a\"");
    expect(workflow, ". ");
    assert_string_equal(workflow_get_reason(workflow, 0), "no node handles task type \"a\"");
    assert_string_equal(workflow_get_reason(workflow, 1), "");
    workflow_free(workflow);
}

static void cancelling_ends_what_runs_and_skips_the_rest(void **state _unused_)
{
    struct workflow *workflow = make("{a1 a2} b1", WORKFLOW_STRICT, true);
    struct workflow_statistics statistics;

    start(workflow, "+a1 +a2 ");
    workflow_ended(workflow, 0, TASK_SUCCEEDED);
    workflow_cancel(workflow);
    expect(workflow, "-a2 ");
    expect(workflow, "");
    end(workflow, 1, TASK_CANCELLED, ". ");
    workflow_get_statistics(workflow, &statistics);
    assert_true(statistics.is_cancelled);
    assert_int_equal(statistics.skipped, 1);
    workflow_free(workflow);
}

static void a_task_that_is_taken_after_the_cancel_is_cancelled_too(void **state _unused_)
{
    struct workflow *workflow = make("a1 a2", WORKFLOW_STRICT, false);
    struct workflow_action action;

    workflow_start(workflow);
    assert_true(workflow_next_action(workflow, &action));
    workflow_cancel(workflow);
    assert_false(workflow_next_action(workflow, &action));
    workflow_submitted(workflow, 0, 100);
    expect(workflow, "-a1 ");
    workflow_free(workflow);
}

static void a_restart_goes_on_where_the_records_end(void **state _unused_)
{
    struct workflow *workflow = make("a1 {b1 b2 b3} a2", WORKFLOW_STRICT, false);

    assert_int_equal(workflow_restore_step(workflow, 0, 100, TASK_SUCCEEDED), 0);
    assert_int_equal(workflow_restore_step(workflow, 2, 102, TASK_RUNNING), 0);
    assert_int_equal(workflow_restore_step(workflow, 2, 102, TASK_RUNNING), -EEXIST);
    assert_int_equal(workflow_restore_step(workflow, 5, 105, TASK_RUNNING), -EINVAL);
    start(workflow, "+b1 +b3 ");
    workflow_ended(workflow, 1, TASK_SUCCEEDED);
    end(workflow, 3, TASK_SUCCEEDED, "");
    end(workflow, 2, TASK_SUCCEEDED, "+a2 ");
    workflow_free(workflow);
}

static void a_failure_before_the_restart_stops_it_too(void **state _unused_)
{
    struct workflow *workflow = make("a1 a2", WORKFLOW_STRICT, false);

    assert_int_equal(workflow_restore_step(workflow, 0, 100, TASK_FAILED), 0);
    start(workflow, ". ");
    workflow_free(workflow);
}

static void what_a_step_needs_comes_first_in_free_order(void **state _unused_)
{
    struct workflow *workflow =
        make("a1 b1 c1 d1\nc1: needs=a1,b1\nd1: needs=c1", WORKFLOW_FREE, false);

    start(workflow, "+a1 +b1 ");
    end(workflow, 1, TASK_SUCCEEDED, "");
    end(workflow, 0, TASK_SUCCEEDED, "+c1 ");
    end(workflow, 2, TASK_SUCCEEDED, "+d1 ");
    end(workflow, 3, TASK_SUCCEEDED, ". ");
    workflow_free(workflow);
}

static void inside_a_group_a_step_waits_for_what_it_needs(void **state _unused_)
{
    struct workflow *workflow = make("{a1 b1 c1} d1\nc1: needs=b1", WORKFLOW_STRICT, false);

    start(workflow, "+a1 +b1 ");
    end(workflow, 1, TASK_SUCCEEDED, "+c1 ");
    end(workflow, 2, TASK_SUCCEEDED, "");
    end(workflow, 0, TASK_SUCCEEDED, "+d1 ");
    workflow_free(workflow);
}

static void keep_going_skips_what_needs_the_failed_one(void **state _unused_)
{
    struct workflow *workflow =
        make("{a1 b1} {c1 d1} e1 f1\nc1: needs=a1\ne1: needs=c1", WORKFLOW_STRICT, true);

    start(workflow, "+a1 +b1 ");
    workflow_ended(workflow, 0, TASK_FAILED);
    end(workflow, 1, TASK_SUCCEEDED, "+d1 ");
    end(workflow, 3, TASK_SUCCEEDED, "+f1 ");
    end(workflow, 5, TASK_SUCCEEDED, ". ");
    expect_counts(workflow, 3, 1, 2);
    workflow_free(workflow);
}

/* All of the group that runs next is skipped: the one behind it has its turn. */
static void a_group_of_skipped_steps_holds_nothing_up(void **state _unused_)
{
    struct workflow *workflow =
        make("a1 b1 a2 {b2 b3} a3\nb1: needs=a1\nb2: needs=a1\nb3: needs=b1", WORKFLOW_TYPE, true);

    start(workflow, "+a1 ");
    end(workflow, 0, TASK_TIMED_OUT, "+a2 ");
    end(workflow, 2, TASK_SUCCEEDED, "+a3 ");
    end(workflow, 5, TASK_SUCCEEDED, ". ");
    expect_counts(workflow, 2, 1, 3);
    workflow_free(workflow);
}

static void a_task_says_itself_what_its_failure_means(void **state _unused_)
{
    struct workflow *workflow = make(
        "a1 a2 a3 a4 a5 a6\na2: needs=a1\na1: on_fail=continue\na3: on_fail=skip\na4: needs=a3\n"
        "a5: on_fail=stop",
        WORKFLOW_STRICT, false);

    start(workflow, "+a1 ");
    end(workflow, 0, TASK_FAILED, "+a2 ");
    end(workflow, 1, TASK_SUCCEEDED, "+a3 ");
    end(workflow, 2, TASK_FAILED, "+a5 ");
    end(workflow, 4, TASK_FAILED, ". ");
    expect_counts(workflow, 1, 3, 2);
    workflow_free(workflow);
    workflow = make("a1 a2\na1: on_fail=stop", WORKFLOW_STRICT, true);
    start(workflow, "+a1 ");
    end(workflow, 0, TASK_FAILED, ". ");
    workflow_free(workflow);
}

static void taken_up_again_the_rest_is_run(void **state _unused_)
{
    struct workflow *workflow = make("a1 a2 a3 a4\na3: needs=a2", WORKFLOW_STRICT, false);

    assert_int_equal(workflow_settle_step(workflow, 0, 0, TASK_SUCCEEDED), 0);
    assert_int_equal(workflow_settle_step(workflow, 1, 0, TASK_FAILED), 0);
    assert_int_equal(workflow_settle_step(workflow, 1, 0, TASK_FAILED), -EEXIST);
    assert_int_equal(workflow_settle_step(workflow, 9, 0, TASK_FAILED), -EINVAL);
    start(workflow, "+a4 ");
    end(workflow, 3, TASK_SUCCEEDED, ". ");
    expect_counts(workflow, 2, 1, 1);
    assert_int_equal(workflow_get_end(workflow, 1), TASK_FAILED);
    workflow_free(workflow);
}

static void taken_up_again_what_failed_is_repeated_in_its_turn(void **state _unused_)
{
    struct workflow *workflow = make("a1 a2 a3 a4", WORKFLOW_STRICT, false);

    assert_int_equal(workflow_settle_step(workflow, 0, 0, TASK_SUCCEEDED), 0);
    assert_int_equal(workflow_repeat_step(workflow, 1, 51), 0);
    assert_int_equal(workflow_repeat_step(workflow, 1, 51), -EEXIST);
    assert_int_equal(workflow_restore_step(workflow, 1, 51, TASK_FAILED), -EEXIST);
    assert_int_equal(workflow_repeat_step(workflow, 2, 0), 0);
    start(workflow, "*a2 ");
    end(workflow, 1, TASK_SUCCEEDED, "+a3 ");
    end(workflow, 2, TASK_FAILED, ". ");
    expect_counts(workflow, 2, 1, 1);
    workflow_free(workflow);
}

static void a_repeated_step_that_is_refused_has_failed(void **state _unused_)
{
    struct workflow *workflow = make("a1", WORKFLOW_STRICT, false);
    struct workflow_action action;

    assert_int_equal(workflow_repeat_step(workflow, 0, 50), 0);
    workflow_start(workflow);
    assert_true(workflow_next_action(workflow, &action));
    workflow_refused(workflow, 0, "no");
    expect(workflow, ". ");
    expect_counts(workflow, 0, 1, 0);
    workflow_free(workflow);
}

static void words_of_the_order_are_read(void **state _unused_)
{
    assert_int_equal(workflow_order_parse("strict"), WORKFLOW_STRICT);
    assert_int_equal(workflow_order_parse("type"), WORKFLOW_TYPE);
    assert_int_equal(workflow_order_parse("free"), WORKFLOW_FREE);
    assert_int_equal(workflow_order_parse("any"), -EINVAL);
    assert_string_equal(workflow_order_name(WORKFLOW_TYPE), "type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_order_starts_the_next_when_the_previous_ended),
        cmocka_unit_test(a_group_runs_at_once_and_the_next_waits_for_all),
        cmocka_unit_test(a_failure_stops_the_list_and_what_runs_may_end),
        cmocka_unit_test(keep_going_only_counts_the_failure),
        cmocka_unit_test(types_do_not_wait_for_each_other_in_type_order),
        cmocka_unit_test(free_order_submits_all_within_the_window),
        cmocka_unit_test(what_the_origin_does_not_take_has_failed),
        cmocka_unit_test(cancelling_ends_what_runs_and_skips_the_rest),
        cmocka_unit_test(a_task_that_is_taken_after_the_cancel_is_cancelled_too),
        cmocka_unit_test(a_restart_goes_on_where_the_records_end),
        cmocka_unit_test(a_failure_before_the_restart_stops_it_too),
        cmocka_unit_test(what_a_step_needs_comes_first_in_free_order),
        cmocka_unit_test(inside_a_group_a_step_waits_for_what_it_needs),
        cmocka_unit_test(keep_going_skips_what_needs_the_failed_one),
        cmocka_unit_test(a_group_of_skipped_steps_holds_nothing_up),
        cmocka_unit_test(a_task_says_itself_what_its_failure_means),
        cmocka_unit_test(taken_up_again_the_rest_is_run),
        cmocka_unit_test(taken_up_again_what_failed_is_repeated_in_its_turn),
        cmocka_unit_test(a_repeated_step_that_is_refused_has_failed),
        cmocka_unit_test(words_of_the_order_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
