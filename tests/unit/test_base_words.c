/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/words.h"

/* Cuts @text and compares with the words of @expected, which '|' parts. */
static void assert_words(const char *text, const char *expected)
{
    _cleanup_free_ char **words = NULL;
    char joined[256] = "";
    int count = words_split(text, &words);

    if (count < 0)
        fail_msg("\"%s\": %d", text, count);
    for (int i = 0; i < count; i++) {
        strcat(joined, i > 0 ? "|" : "");
        strcat(joined, words[i]);
    }
    assert_string_equal(joined, expected);
    assert_null(words[count]);
}

static void blanks_part_words(void **state _unused_)
{
    assert_words("/bin/task A 1", "/bin/task|A|1");
    assert_words("  a\t\tb  ", "a|b");
    assert_words("a", "a");
    assert_words("", "");
    assert_words("   ", "");
}

static void quotes_hold_words_together_and_vanish(void **state _unused_)
{
    assert_words("python3 'my file.py' \"two words\"", "python3|my file.py|two words");
    assert_words("--name='a b'c", "--name=a bc");
    assert_words("'say \"hi\"' \"it's\"", "say \"hi\"|it's");
    assert_words("a '' \"\" b", "a|||b");
    assert_words("'' ''", "|");
    assert_words("a''b", "ab");
}

static void nothing_else_is_special(void **state _unused_)
{
    assert_words("a\\ b $HOME `x` *;", "a\\|b|$HOME|`x`|*;");
    assert_words("caf\xc3\xa9 \xff", "caf\xc3\xa9|\xff");
}

static void a_quote_that_is_never_closed_is_an_error(void **state _unused_)
{
    static const char *const texts[] = {"'", "\"", "a 'b", "a \"b'", "it's"};
    char **words = (char **)1;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(words_split(texts[i], &words), -EINVAL);
    assert_ptr_equal(words, (char **)1);
}

static void the_most_words_that_fit_do(void **state _unused_)
{
    char text[2001];
    _cleanup_free_ char **words = NULL;

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = i % 2 == 0 ? 'x' : ' ';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(words_split(text, &words), 1000);
    assert_string_equal(words[999], "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_part_words),
        cmocka_unit_test(quotes_hold_words_together_and_vanish),
        cmocka_unit_test(nothing_else_is_special),
        cmocka_unit_test(a_quote_that_is_never_closed_is_an_error),
        cmocka_unit_test(the_most_words_that_fit_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
