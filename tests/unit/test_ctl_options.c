/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "ctl.h"
#include "varlink/error.h"

#define PARSE(options, ...)                                                                        \
    ({                                                                                             \
        static char words[][32] = {"p2pctl", __VA_ARGS__};                                         \
        char *argv[ARRAY_SIZE(words) + 1] = {NULL};                                                \
        for (size_t i_ = 0; i_ < ARRAY_SIZE(words); i_++)                                          \
            argv[i_] = words[i_];                                                                  \
        options_parse((int)ARRAY_SIZE(words), argv, options);                                      \
    })

static void options_stand_anywhere(void **state)
{
    _cleanup_options_ struct options options = {0};

    (void)state;
    assert_int_equal(PARSE(&options, "-q", "task", "-j", "list", "-s", "failed", "--since=2h"), 0);
    assert_string_equal(options.command->noun, "task");
    assert_string_equal(options.command->verb, "list");
    assert_true(options_has(&options, "quiet") && options_has(&options, "json"));
    assert_null(options_get(&options, "json"));
    assert_string_equal(options_get(&options, "state"), "failed");
    assert_string_equal(options_get(&options, "since"), "2h");
    assert_int_equal(options.words_count, 0);
}

static void letters_may_be_glued(void **state)
{
    _cleanup_options_ struct options options = {0};

    (void)state;
    assert_int_equal(PARSE(&options, "task", "logs", "-qfn5", "42"), 0);
    assert_true(options_has(&options, "quiet") && options_has(&options, "follow"));
    assert_string_equal(options_get(&options, "lines"), "5");
    assert_string_equal(options.words[0], "42");
}

static void after_dashes_nothing_is_an_option(void **state)
{
    _cleanup_options_ struct options options = {0};

    (void)state;
    assert_int_equal(PARSE(&options, "submit", "--wait", "--", "ls", "-l", "--", "-j"), 0);
    assert_int_equal(options.dashes, 0);
    assert_int_equal(options.words_count, 4);
    assert_string_equal(options.words[1], "-l");
    assert_string_equal(options.words[2], "--");
    assert_false(options_has(&options, "json"));
}

static void a_single_dash_is_a_word(void **state)
{
    _cleanup_options_ struct options options = {0};

    (void)state;
    assert_int_equal(PARSE(&options, "mem", "set", "key", "-"), 0);
    assert_string_equal(options.words[1], "-");
    assert_int_equal(options.dashes, SIZE_MAX);
}

static void repeated_options_are_kept_in_order(void **state)
{
    _cleanup_options_ struct options options = {0};

    (void)state;
    assert_int_equal(PARSE(&options, "submit", "a1", "--env", "A=1", "--env", "A=2"), 0);
    assert_string_equal(options_get_nth(&options, "env", 0), "A=1");
    assert_string_equal(options_get_nth(&options, "env", 1), "A=2");
    assert_null(options_get_nth(&options, "env", 2));
    assert_string_equal(options_get(&options, "env"), "A=2");
}

static void options_of_other_commands_are_unknown(void **state)
{
    _cleanup_options_ struct options options = {0}, early = {0};

    (void)state;
    assert_int_equal(PARSE(&options, "peers", "--wait"), error_get_exit(ERROR_USAGE));
    assert_int_equal(PARSE(&early, "--wait", "submit", "a1"), error_get_exit(ERROR_USAGE));
}

static void mistakes_are_usage_errors(void **state)
{
    _cleanup_options_ struct options a = {0}, b = {0}, c = {0}, d = {0}, e = {0};

    (void)state;
    assert_int_equal(PARSE(&a, "members", "--state"), 2);
    assert_int_equal(PARSE(&b, "members", "--alive=yes"), 2);
    assert_int_equal(PARSE(&c, "members", "-n"), 2);
    assert_int_equal(PARSE(&d, "task", "lost"), 2);
    assert_int_equal(PARSE(&e, "members", "--al"), 2);
}

static void words_of_a_closed_list_are_checked(void **state)
{
    static const char *const states[] = {"alive", "dead", NULL};
    _cleanup_options_ struct options good = {0}, bad = {0}, none = {0};

    (void)state;
    assert_int_equal(PARSE(&good, "members", "--state", "dead"), 0);
    assert_int_equal(PARSE(&bad, "members", "--state", "deaf"), 0);
    assert_int_equal(PARSE(&none, "members"), 0);
    assert_int_equal(options_check_word(&good, "state", states), 0);
    assert_int_equal(options_check_word(&bad, "state", states), error_get_exit(ERROR_USAGE));
    assert_int_equal(options_check_word(&none, "state", states), 0);
}

static void every_duration_is_checked(void **state)
{
    _cleanup_options_ struct options good = {0}, bad = {0}, hidden = {0}, none = {0};

    (void)state;
    assert_int_equal(PARSE(&good, "submit", "a1", "--timeout", "5min", "--retry-delay=1.5s"), 0);
    assert_int_equal(PARSE(&bad, "leave", "--timeout", "5 minutes"), 0);
    assert_int_equal(PARSE(&hidden, "leave", "--timeout=x", "--timeout=1s"), 0);
    assert_int_equal(PARSE(&none, "members", "--state", "x"), 0);
    assert_int_equal(options_check_durations(&good), 0);
    assert_int_equal(options_check_durations(&bad), error_get_exit(ERROR_USAGE));
    assert_int_equal(options_check_durations(&hidden), error_get_exit(ERROR_USAGE));
    assert_int_equal(options_check_durations(&none), 0);
}

static void a_noun_alone_is_remembered(void **state)
{
    _cleanup_options_ struct options options = {0};

    (void)state;
    assert_int_equal(PARSE(&options, "task", "-h"), 0);
    assert_null(options.command);
    assert_string_equal(options.noun, "task");
}

/* What help and the parser rely on. */
static void the_command_table_is_sound(void **state)
{
    (void)state;
    for (const struct command *command = commands; command->noun; command++) {
        assert_true(command->help && command->synopsis && command->examples && *command->examples);
        assert_true(command->words_min <= command->words_max && command->run);
        assert_ptr_equal(command_find(command->noun, command->verb), command);
        if (command->alias)
            assert_ptr_equal(command_find(command->noun, command->alias), command);
        for (const struct option *o = command->options; o && o->name; o++)
            for (const struct option *g = global_options; g->name; g++) {
                assert_string_not_equal(o->name, g->name);
                assert_true(o->letter == 0 || o->letter != g->letter);
            }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(letters_may_be_glued),
        cmocka_unit_test(after_dashes_nothing_is_an_option),
        cmocka_unit_test(a_single_dash_is_a_word),
        cmocka_unit_test(repeated_options_are_kept_in_order),
        cmocka_unit_test(options_of_other_commands_are_unknown),
        cmocka_unit_test(mistakes_are_usage_errors),
        cmocka_unit_test(words_of_a_closed_list_are_checked),
        cmocka_unit_test(every_duration_is_checked),
        cmocka_unit_test(a_noun_alone_is_remembered),
        cmocka_unit_test(the_command_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
