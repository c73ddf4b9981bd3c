/* SPDX-License-Identifier: MIT */
#include "base/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Copies the word at *@rest to @target and ends it. Return: its bytes with the NUL, or -EINVAL. */
static ssize_t take_word(const char **rest, char *target)
{
    const char *text = *rest;
    char *end = target, quote = '\0';

    for (; *text && (quote || !is_blank(*text)); text++) {
        if (!quote && (*text == '"' || *text == '\''))
            quote = *text;
        else if (*text == quote)
            quote = '\0';
        else
            *end++ = *text;
    }
    if (quote)
        return -EINVAL;
    *end++ = '\0';
    *rest = text;
    return end - target;
}

int words_split(const char *text, char ***ret)
{
    size_t size = strlen(text), count = 0;
    /* A word takes a byte and a blank at least; what is copied never gets longer. */
    size_t words_max = size / 2 + 2;
    _cleanup_free_ char **words = malloc(words_max * sizeof(*words) + size + 1);

    if (!words)
        return -ENOMEM;
    char *target = (char *)(words + words_max);
    for (;;) {
        while (is_blank(*text))
            text++;
        if (!*text)
            break;
        ssize_t used = take_word(&text, target);
        if (used < 0)
            return (int)used;
        words[count++] = target;
        target += used;
    }
    words[count] = NULL;
    *ret = TAKE_PTR(words);
    return (int)count;
}
