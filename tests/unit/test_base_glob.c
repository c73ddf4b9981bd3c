/* SPDX-License-Identifier: MIT */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fnmatch.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include "base/glob.h"
#include "base/macro.h"
#include "base/rng.h"

static void signs_mean_what_they_mean_to_a_shell(void **state _unused_)
{
    static const struct {
        const char *glob, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"run*.h?", "run-7.h5", true},
        {"run*.h?", "run-7.h", false},
        {"*a*b", "xaxbxab", true},
        {"?", "é", true},
        {"??", "é", false},
        {"?", "\xff", true},
        {"[à-ü]x", "éx", true},
        {"[!é]", "è", true},
        {"[!é]", "é", false},
        /* What a class begins with says whether it is the others; anywhere else it is a sign. */
        {"b[!f]*", "bf1", false},
        {"b[!f]*", "bg1", true},
        {"b[^f]*", "bf1", false},
        {"[f!]", "!", true},
        {"[f^]", "^", true},
        {"[]a]", "]", true},
        {"[!]a]", "]", false},
        {"[!]a]", "b", true},
        {"[a-]", "-", true},
        {"[a-c]", "-", false},
        {"[z-a]", "m", false},
        {"[[:digit:]x]", "7", true},
        {"[![:digit:]x]", "7", false},
        {"[![:digit:]x]", "é", true},
        {"[![:nosuch:]]", "a", false},
        {"[![:x:]]", "a", false},
        {"[[:digit]7]", ":7]", true},
        {"[a/]b", "/b", true},
        {"*", ".hidden", true},
        /* The backslash, inside and outside. */
        {"a\\*b", "a*b", true},
        {"a\\*b", "axb", false},
        {"\\a", "a", true},
        {"a\\\\b", "a\\b", true},
        {"data\\[1\\].csv", "data[1].csv", true},
        {"[\\]]x", "]x", true},
        {"[\\!a]", "!", true},
        {"[a\\-c]", "b", false},
        {"[a\\-c]", "-", true},
        {"end\\", "end\\", true},
        /* Brackets that nothing closes. */
        {"[", "[", true},
        {"[!", "[!", true},
        {"[open*", "[opened", true},
        {"[a\\]", "[a]", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (glob_matches(cases[i].glob, cases[i].text) != cases[i].matches)
            fail_msg("\"%s\" and \"%s\"", cases[i].glob, cases[i].text);
}

static void make(struct rng *rng, const char *signs, size_t size_max, char *target)
{
    for (size_t size = rng_below(rng, size_max + 1); size > 0; size--)
        *target++ = signs[rng_below(rng, strlen(signs))];
    *target = '\0';
}

static void libc_says_the_same(void **state _unused_)
{
    struct rng rng;
    char glob[16], text[8];

    rng_init(&rng, 5);
    for (int i = 0; i < 300000; i++) {
        make(&rng, "**??[[]]!^-\\abc", sizeof(glob) - 2, glob);
        make(&rng, "[]!^-\\aabbcc", sizeof(text) - 1, text);
        size_t size = strlen(glob);
        /* The libc has its own mind on brackets that nothing closes, and on "\" at the end. */
        if (strchr(glob, '['))
            strcpy(glob + size, "]");
        else if (size > 0 && glob[size - 1] == '\\')
            glob[size - 1] = 'a';
        if (glob_matches(glob, text) != (fnmatch(glob, text, 0) == 0))
            fail_msg("\"%s\" and \"%s\"", glob, text);
    }
}

/* The time of a matcher that tries all ways would be longer than anybody lives. */
static void many_stars_take_no_time(void **state _unused_)
{
    char text[256], glob[256];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 0; i < sizeof(glob) - 1; i++)
        glob[i] = i % 2 == 0 ? '*' : 'a';
    glob[sizeof(glob) - 1] = '\0';
    assert_true(glob_matches(glob, text));
    glob[sizeof(glob) - 2] = 'b';
    assert_false(glob_matches(glob, text));
}

/* A peer of an earlier version gives the glob to SQLite. */
static void name_that_is_quoted_matches_itself_alone(void **state _unused_)
{
    static const char *const names[] = {"a*",     "a?", "data[1].csv", "a\\b", "\\",    "\\*",
                                        "[:a:]]", "[]", "[!a]",        "[^a]", "[a-b]", "\\\\é["};
    char glob[64];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        glob_quote(names[i], glob);
        for (size_t j = 0; j < ARRAY_SIZE(names); j++)
            if (glob_matches(glob, names[j]) != (i == j) ||
                (sqlite3_strglob(glob, names[j]) == 0) != (i == j))
                fail_msg("\"%s\" and \"%s\"", glob, names[j]);
        assert_false(glob_matches(glob, "ab") || glob_matches(glob, "data1.csv"));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_mean_what_they_mean_to_a_shell),
        cmocka_unit_test(libc_says_the_same),
        cmocka_unit_test(many_stars_take_no_time),
        cmocka_unit_test(name_that_is_quoted_matches_itself_alone),
    };

    return cmocka_run_group_tests_name("base/glob", tests, NULL, NULL);
}
