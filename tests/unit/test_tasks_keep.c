/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tasks/internal.h"

static void nothing_is_left_only_when_all_that_is_held_was_refused(void **state _unused_)
{
    struct tasks tasks = {0};
    struct job jobs[3] = {{.is_refused = true}, {.is_refused = false}, {.is_refused = true}};

    list_init(&tasks.held);
    assert_true(keep_is_done(&tasks));
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        list_append(&tasks.held, &jobs[i].held);
    assert_false(keep_is_done(&tasks));
    jobs[1].is_refused = true;
    assert_true(keep_is_done(&tasks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_only_when_all_that_is_held_was_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
