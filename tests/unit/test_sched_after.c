/* SPDX-License-Identifier: MIT */
#include "sched/origin.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "sched/task_json.h"

static const char *const types[] = {"a"};
static const struct node_id self = {{1}};

static struct origin *make(void)
{
    struct origin_config config = {.name = "lab-01",
                                   .id = self,
                                   .tasks_max = 100000,
                                   .lease_usec = 15 * USEC_PER_SEC,
                                   .keep_usec = USEC_PER_HOUR,
                                   .keep_failed_usec = USEC_PER_HOUR};
    struct place_facts facts = {.id = self,
                                .name = "lab-01",
                                .generation = 1,
                                .is_self = true,
                                .has_tasks = true,
                                .slots = 4,
                                .types = types,
                                .types_count = 1};
    struct origin *origin;

    assert_int_equal(origin_new(&config, 1, 0, USEC_PER_DAY, &origin), 0);
    assert_int_equal(origin_set_node(origin, &facts, 0), 0);
    return origin;
}

/* @after: words with blanks between them. */
static void submit(struct origin *origin, uint64_t number, const char *after)
{
    _cleanup_(task_spec_done) struct task_spec spec = {.type = "a", .type_number = 1};
    char text[256], reason[TASK_REASON_MAX + 1], *next = text;

    (void)snprintf(text, sizeof(text), "%s", after);
    for (char *word; (word = strsep(&next, " "));)
        if (*word)
            assert_int_equal(task_words_add(&spec.after, word), 0);
    assert_int_equal(origin_submit(origin, number, &spec, false, 0, reason), 0);
}

/* What goes out and what ends, as "send 2, ended 3 cancelled, "; all commits succeed. */
static void expect(struct origin *origin, const char *expected)
{
    static char all[4096];
    struct origin_action action;
    bool is_more = true;

    all[0] = '\0';
    while (is_more) {
        is_more = false;
        while (origin_next_action(origin, &action)) {
            char text[64] = "";
            if (action.type == ORIGIN_COMMIT)
                origin_committed(origin, action.number, action.revision, 0);
            else if (action.type == ORIGIN_SEND)
                (void)snprintf(text, sizeof(text), "send %d, ", (int)action.number);
            else if (action.type == ORIGIN_ENDED)
                (void)snprintf(text, sizeof(text), "ended %d %s, ", (int)action.number,
                               task_state_name(action.task->state));
            if (strlen(all) + strlen(text) < sizeof(all))
                strcat(all, text);
            is_more = true;
        }
        if (origin_deadline(origin) == 0) {
            origin_tick(origin, 0);
            is_more = true;
        }
    }
    if (expected)
        assert_string_equal(all, expected);
}

static void end(struct origin *origin, uint64_t number, int code)
{
    const struct task *task = origin_find(origin, number);
    struct task_end how = {.type = TASK_END_EXIT, .code = code};

    origin_ended(origin, number, task->attempt, &self, &how, 0);
}

static const char *reason_of(struct origin *origin, uint64_t number)
{
    return origin_find(origin, number)->reason;
}

static void a_confidential_one_is_not_named_to_all(void **state _unused_)
{
    const struct task_spec secret = {.type = "a", .type_number = 1, .is_confidential = true};
    static const char *const expected[] = {[2] = "after a task of its own node",
                                           [3] = "was to run after a task of its own node, which "
                                                 "succeeded"};
    struct origin *origin = make();
    char reason[TASK_REASON_MAX + 1];

    assert_int_equal(origin_submit(origin, 1, &secret, false, 0, reason), 0);
    submit(origin, 2, "1:ok");
    submit(origin, 3, "1:failed");
    expect(origin, "send 1, ");
    assert_string_equal(reason_of(origin, 2), expected[2]);
    end(origin, 1, 0);
    expect(origin, NULL);
    assert_string_equal(reason_of(origin, 3), expected[3]);
    for (uint64_t number = 2; number <= 3; number++)
        for (size_t i = 0; i < origin_find(origin, number)->timeline_count; i++)
            assert_null(strstr(origin_find(origin, number)->timeline[i].text, "after 1"));
    origin_free(origin);
}

static void one_waits_for_the_end_of_another(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, "");
    submit(origin, 2, "1:ok");
    expect(origin, "send 1, ");
    assert_string_equal(reason_of(origin, 2), "after 1 (pending)");
    origin_accepted(origin, 1, 1, &self, 0);
    origin_started(origin, 1, 1, &self, 0, 0);
    expect(origin, "");
    assert_string_equal(reason_of(origin, 2), "after 1 (running)");
    assert_int_equal(origin_find(origin, 2)->state, TASK_PENDING);
    end(origin, 1, 0);
    expect(origin, "ended 1 succeeded, send 2, ");
    assert_int_equal(origin_find(origin, 2)->spec.after.count, 0);
    origin_free(origin);
}

static void conditions_decide(void **state _unused_)
{
    static const struct {
        const char *after;
        int code;
        const char *then;
    } cases[] = {
        {"1", 0, "ended 1 succeeded, send 2, "},
        {"1:ok", 3, "ended 1 failed, ended 2 cancelled, "},
        {"1:any", 0, "ended 1 succeeded, send 2, "},
        {"1:any", 3, "ended 1 failed, send 2, "},
        {"1:failed", 0, "ended 1 succeeded, ended 2 cancelled, "},
        {"1:failed", 3, "ended 1 failed, send 2, "},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct origin *origin = make();
        submit(origin, 1, "");
        submit(origin, 2, cases[i].after);
        expect(origin, "send 1, ");
        end(origin, 1, cases[i].code);
        expect(origin, cases[i].then);
        if (origin_find(origin, 2)->state == TASK_CANCELLED)
            assert_string_equal(reason_of(origin, 2),
                                cases[i].code == 0 ? "was to run after 1, which succeeded"
                                                   : "was to run after 1, which did not succeed");
        origin_free(origin);
    }
}

static void all_of_several_have_to_end(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, "");
    submit(origin, 2, "");
    submit(origin, 3, "1:ok 2:any");
    expect(origin, "send 1, send 2, ");
    end(origin, 2, 1);
    expect(origin, "ended 2 failed, ");
    assert_string_equal(reason_of(origin, 3), "after 1 (pending)");
    end(origin, 1, 0);
    expect(origin, "ended 1 succeeded, send 3, ");
    origin_free(origin);
}

/* 20,000 in a row: each ends the next, and no stack grows with them. */
static void a_long_row_falls_as_a_whole(void **state _unused_)
{
    struct origin *origin = make();
    char after[32];

    submit(origin, 1, "");
    for (uint64_t i = 2; i <= 20000; i++) {
        (void)snprintf(after, sizeof(after), "%d:ok", (int)i - 1);
        submit(origin, i, after);
    }
    expect(origin, NULL);
    end(origin, 1, 1);
    expect(origin, NULL);
    assert_int_equal(origin_find(origin, 20000)->state, TASK_CANCELLED);
    origin_free(origin);
}

static void who_waits_can_be_cancelled_and_run_all_the_same(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, "");
    submit(origin, 2, "1:ok");
    submit(origin, 3, "2:any");
    expect(origin, "send 1, ");
    assert_int_equal(origin_cancel(origin, 2, 15, 0, 0), 0);
    expect(origin, "ended 2 cancelled, send 3, ");
    assert_int_equal(origin_retry(origin, 2, NULL, NULL, 0), 0);
    expect(origin, "send 2, ");
    end(origin, 1, 0);
    expect(origin, "ended 1 succeeded, ");
    origin_free(origin);
}

static void an_end_that_is_not_on_the_disk_is_none(void **state _unused_)
{
    struct origin *origin = make();
    struct origin_action action;
    bool is_asked = false;

    submit(origin, 1, "");
    submit(origin, 2, "1:any");
    expect(origin, "send 1, ");
    origin_started(origin, 1, 1, &self, 0, 0);
    end(origin, 1, 0);
    while (origin_next_action(origin, &action))
        is_asked |= action.type == ORIGIN_COMMIT && action.number == 1;
    assert_true(is_asked);
    origin_uncommitted(origin, 1, "no room", 0);
    submit(origin, 3, "1:failed");
    expect(origin, "");
    assert_string_equal(reason_of(origin, 2), "after 1 (running)");
    assert_string_equal(reason_of(origin, 3), "after 1 (running)");
    origin_committed(origin, 1, UINT64_MAX, 0);
    expect(origin, "ended 1 succeeded, ended 3 cancelled, send 2, ");
    origin_free(origin);
}

static void a_submission_taken_back_is_waited_for_no_more(void **state _unused_)
{
    struct origin *origin = make();

    submit(origin, 1, "");
    submit(origin, 2, "1:any");
    assert_int_equal(origin_take_back(origin, 1, 0), 0);
    expect(origin, "ended 2 cancelled, ");
    assert_string_equal(reason_of(origin, 2), "was to run after a task that is not known any more");
    origin_free(origin);
}

/* Moves a record over a restart. */
static void carry(struct origin *from, struct origin *to, uint64_t number)
{
    _cleanup_json_ cJSON *told = task_to_json(origin_find(from, number)), *json = NULL;
    _cleanup_free_ char *text = json_format(told);
    struct task *task;

    assert_int_equal(json_parse(text, strlen(text), &json), 0);
    assert_int_equal(task_from_json(json, &task), 0);
    assert_int_equal(origin_restore(to, task, true, 0), 0);
}

static void a_restart_goes_on_waiting(void **state _unused_)
{
    struct origin *before = make(), *origin = make();

    submit(before, 1, "");
    submit(before, 2, "");
    submit(before, 3, "1:ok");
    submit(before, 4, "2:failed");
    expect(before, "send 1, send 2, ");
    end(before, 2, 0);
    expect(before, "ended 2 succeeded, ended 4 cancelled, ");
    for (uint64_t i = 1; i <= 4; i++)
        carry(before, origin, i);
    /* This node was started again: 1 is lost with retries 0, and so is unknown. */
    expect(origin, "ended 1 unknown, ended 3 cancelled, ");
    origin_free(before);
    origin_free(origin);
}

static void words_of_it_are_checked(void **state _unused_)
{
    static const char *const wrong[] = {
        "", "0", ":ok", "1:", "1:OK", "1:okay", "-1", "1 ", "99999999999999999999"};
    enum task_after_condition condition;
    uint64_t number;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(task_after_parse(wrong[i], &number, &condition), -EINVAL);
    assert_int_equal(task_after_parse("42", &number, &condition), 0);
    assert_int_equal(condition, TASK_AFTER_OK);
    assert_int_equal(task_after_parse("42:failed", &number, &condition), 0);
    assert_int_equal(number, 42);
    assert_int_equal(condition, TASK_AFTER_FAILED);
}

static void so_many_can_be_waited_for_and_no_more(void **state _unused_)
{
    _cleanup_(task_spec_done) struct task_spec spec = {.type = "a"};
    char reason[TASK_REASON_MAX + 1];

    for (size_t i = 0; i < TASK_AFTER_MAX; i++)
        assert_int_equal(task_words_add(&spec.after, "1:ok"), 0);
    assert_int_equal(task_spec_check(&spec, reason), 0);
    assert_int_equal(task_words_add(&spec.after, "1:ok"), 0);
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_waits_for_the_end_of_another),
        cmocka_unit_test(a_confidential_one_is_not_named_to_all),
        cmocka_unit_test(conditions_decide),
        cmocka_unit_test(all_of_several_have_to_end),
        cmocka_unit_test(a_long_row_falls_as_a_whole),
        cmocka_unit_test(who_waits_can_be_cancelled_and_run_all_the_same),
        cmocka_unit_test(an_end_that_is_not_on_the_disk_is_none),
        cmocka_unit_test(a_submission_taken_back_is_waited_for_no_more),
        cmocka_unit_test(a_restart_goes_on_waiting),
        cmocka_unit_test(words_of_it_are_checked),
        cmocka_unit_test(so_many_can_be_waited_for_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
