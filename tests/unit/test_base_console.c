/* SPDX-License-Identifier: MIT */
#include "base/console.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void expect(struct console *console, const char *expected)
{
    char all[4096] = "";

    for (const char *line; (line = console_next_line(console));) {
        strncat(all, line, sizeof(all) - strlen(all) - 1);
        strncat(all, "\n", sizeof(all) - strlen(all) - 1);
    }
    assert_string_equal(all, expected);
}

static struct console *start(const char *const *names, size_t count)
{
    struct console *console;

    assert_int_equal(console_new(&console), 0);
    expect(console, "Discovering peers...\n");
    assert_int_equal(console_plan(console, names, count), 0);
    expect(console, "Initiating connections...\nAssigning tasks...\n");
    return console;
}

static void the_first_task_list_prints_what_it_always_did(void **state _unused_)
{
    static const char *const names[] = {"a1", "a2", "c1", "b1", "c2", "a3",
                                        "b2", "b3", "a4", "c3", "b4"};
    struct console *console;

    assert_int_equal(console_new(&console), 0);
    assert_int_equal(console_plan(console, names, 11), 0);
    for (size_t i = 0; i < 11; i++) {
        console_started(console, names[i]);
        console_ended(console, names[i], NULL);
    }
    console_end(console);
    expect(console, "Discovering peers...\n"
                    "Initiating connections...\n"
                    "Assigning tasks...\n"
                    "Executing task: a1\n"
                    "Executing task: a2\n"
                    "Task completed by peer handling type 'A'\n"
                    "Executing task: c1\n"
                    "Task completed by peer handling type 'C'\n"
                    "Executing task: b1\n"
                    "Task completed by peer handling type 'B'\n"
                    "Executing task: c2\n"
                    "Task completed by peer handling type 'C'\n"
                    "Executing task: a3\n"
                    "Task completed by peer handling type 'A'\n"
                    "Executing task: b2\n"
                    "Executing task: b3\n"
                    "Task completed by peer handling type 'B'\n"
                    "Executing task: a4\n"
                    "Task completed by peer handling type 'A'\n"
                    "Executing task: c3\n"
                    "Task completed by peer handling type 'C'\n"
                    "Executing task: b4\n"
                    "Task completed by peer handling type 'B'\n"
                    "Terminating connections...\n"
                    "Disconnected from all nodes.\n");
    console_free(console);
}

static void a_failed_batch_names_the_task_and_the_end_still_follows(void **state _unused_)
{
    static const char *const names[] = {"b2", "b3", "b4", "a1"};
    struct console *console = start(names, 4);

    console_started(console, "b2");
    console_ended(console, "b2", NULL);
    console_started(console, "b3");
    console_ended(console, "b3", "exit 1");
    expect(console, "Executing task: b2\nExecuting task: b3\n");
    console_end(console);
    expect(console, "Task failed by peer handling type 'B': b3: exit 1\n"
                    "Terminating connections...\nDisconnected from all nodes.\n");
    console_free(console);
}

static void several_failures_share_the_line_of_their_batch(void **state _unused_)
{
    static const char *const names[] = {"gpu1", "gpu2"};
    struct console *console = start(names, 2);

    console_ended(console, "gpu2", "signal 9");
    console_ended(console, "gpu1", "exit 1");
    expect(console, "Task failed by peer handling type 'GPU': gpu2: signal 9, gpu1: exit 1\n");
    console_free(console);
}

static void parallel_tasks_complete_in_batches(void **state _unused_)
{
    static const char *const names[] = {"a3", "b2", "b3"};
    struct console *console = start(names, 3);

    console_started(console, "b2");
    console_started(console, "a3");
    console_ended(console, "b2", NULL);
    console_ended(console, "a3", NULL);
    console_ended(console, "b3", NULL);
    expect(console, "Executing task: b2\nExecuting task: a3\n"
                    "Task completed by peer handling type 'A'\n"
                    "Executing task: b3\n"
                    "Task completed by peer handling type 'B'\n");
    console_free(console);
}

static void repeated_and_unknown_events_change_nothing(void **state _unused_)
{
    static const char *const names[] = {"a1"};
    struct console *console = start(names, 1);

    assert_int_equal(console_plan(console, names, 1), -EEXIST);
    console_started(console, "z1");
    console_ended(console, "z1", NULL);
    console_started(console, "a1");
    console_started(console, "a1");
    console_ended(console, "a1", NULL);
    console_ended(console, "a1", "exit 1");
    console_end(console);
    console_end(console);
    expect(console, "Executing task: a1\nTask completed by peer handling type 'A'\n"
                    "Terminating connections...\nDisconnected from all nodes.\n");
    console_free(console);
}

static void bad_plans_are_refused_and_leave_nothing(void **state _unused_)
{
    static const char *const bad[] = {"a1", "a"}, *const twice[] = {"a1", "a1"};
    struct console *console;

    assert_int_equal(console_new(&console), 0);
    assert_int_equal(console_plan(console, bad, 2), -EINVAL);
    assert_int_equal(console_plan(console, twice, 2), -EINVAL);
    console_started(console, "a1");
    console_end(console);
    expect(console, "Discovering peers...\nTerminating connections...\n"
                    "Disconnected from all nodes.\n");
    console_free(console);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_task_list_prints_what_it_always_did),
        cmocka_unit_test(a_failed_batch_names_the_task_and_the_end_still_follows),
        cmocka_unit_test(several_failures_share_the_line_of_their_batch),
        cmocka_unit_test(parallel_tasks_complete_in_batches),
        cmocka_unit_test(repeated_and_unknown_events_change_nothing),
        cmocka_unit_test(bad_plans_are_refused_and_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
