/* SPDX-License-Identifier: MIT */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/macro.h"
#include "store/glob.h"

static void backslash_takes_the_meaning_of_the_next_sign(void **state _unused_)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"run*.h?", "run*.h?"},
        {"a\\*b", "a[*]b"},
        {"\\?\\[", "[?][[]"},
        {"a\\\\b", "a\\b"},
        {"data\\[1\\].csv", "data[[]1].csv"},
        {"\\a", "a"},
        {"end\\", "end\\"},
        /* Within a class nothing has a meaning that could be taken away. */
        {"[\\*]x", "[\\*]x"},
        {"[]\\]\\*", "[]\\][*]"},
        {"[^]\\]\\*", "[^]\\][*]"},
        {"[open\\*", "[open[*]"},
        {"[", "["},
        {"[^", "[^"},
    };
    char target[3 * GLOB_SIZE_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        glob_translate(cases[i][0], target);
        assert_string_equal(target, cases[i][1]);
    }
}

static void longest_glob_fits(void **state _unused_)
{
    char glob[GLOB_SIZE_MAX + 1] = "", target[3 * GLOB_SIZE_MAX + 1];

    for (size_t i = 0; i + 1 < GLOB_SIZE_MAX; i += 2)
        memcpy(glob + i, "\\*", 2);
    glob[GLOB_SIZE_MAX - 1] = '\\';
    glob_translate(glob, target);
    assert_int_equal(strlen(target), 3 * (GLOB_SIZE_MAX / 2) + 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(backslash_takes_the_meaning_of_the_next_sign),
        cmocka_unit_test(longest_glob_fits),
    };

    return cmocka_run_group_tests_name("store/glob", tests, NULL, NULL);
}
