/* SPDX-License-Identifier: MIT */
#include "base/glob.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"
#include "base/text.h"

#define UTF8_MAX 4
#define LETTERS  "abcdefghijklmnopqrstuvwxyz"

/* One sign; what is no UTF-8 is beyond all code points. 0 at the end. */
static uint32_t take(const char **text)
{
    uint32_t sign;
    size_t size = text_decode_utf8(*text, strnlen(*text, UTF8_MAX), &sign);

    if (size == 0 && **text) {
        sign = UINT32_C(0x110000) + (uint8_t) * *text;
        size = 1;
    }
    *text += size;
    return size == 0 ? 0 : sign;
}

/* One sign of a glob: "\*" is '*'. */
static uint32_t take_escaped(const char **glob)
{
    *glob += **glob == '\\' && (*glob)[1] != '\0';
    return take(glob);
}

/* "alpha:]": whether @sign is one of them; -1 for a name that none has. */
static int is_named(const char *name, uint32_t sign)
{
    static const struct {
        const char *name;
        int (*has)(int c);
    } classes[] = {
        {"alnum:]", isalnum}, {"alpha:]", isalpha}, {"blank:]", isblank}, {"cntrl:]", iscntrl},
        {"digit:]", isdigit}, {"graph:]", isgraph}, {"lower:]", islower}, {"print:]", isprint},
        {"punct:]", ispunct}, {"space:]", isspace}, {"upper:]", isupper}, {"xdigit:]", isxdigit},
    };

    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (strncmp(name, classes[i].name, strlen(classes[i].name)) == 0)
            return sign < 0x80 && classes[i].has((int)sign);
    return -1;
}

/* What is in the brackets from @glob on: behind them, or NULL where nothing closes them. */
static const char *match_class(const char *glob, uint32_t sign, bool *ret)
{
    bool is_negated = *glob == '!' || *glob == '^', is_in = false, is_class = true;
    const char *start = glob + is_negated;

    for (glob = start; *glob != ']' || glob == start;) {
        const char *end = glob + 2;
        if (strncmp(glob, "[:", 2) == 0 && strncmp(end += strspn(end, LETTERS), ":]", 2) == 0) {
            int r = is_named(glob + 2, sign);
            is_class = is_class && r >= 0;
            is_in = is_in || r > 0;
            glob = end + 2;
            continue;
        }
        uint32_t first = take_escaped(&glob), last = first;
        if (first == 0)
            return NULL;
        if (glob[0] == '-' && glob[1] != '\0' && glob[1] != ']') {
            glob++;
            last = take_escaped(&glob);
        }
        is_in = is_in || (first <= sign && sign <= last);
    }
    *ret = is_class && is_in != is_negated;
    return glob + 1;
}

/* What @glob begins with, which is no '*', against one sign: behind it, or NULL. */
static const char *match_one(const char *glob, uint32_t sign)
{
    bool is_in;

    if (*glob == '?')
        return glob + 1;
    const char *end = *glob == '[' ? match_class(glob + 1, sign, &is_in) : NULL;
    if (end)
        return is_in ? end : NULL;
    return take_escaped(&glob) == sign ? glob : NULL;
}

bool glob_matches(const char *glob, const char *text)
{
    const char *star = NULL,
               *from = text; /* behind the last '*', and what that leaves to the rest */

    while (*text) {
        if (*glob == '*') {
            star = ++glob;
            from = text;
            continue;
        }
        uint32_t sign = take(&text);
        glob = match_one(glob, sign);
        if (glob)
            continue;
        if (!star)
            return false;
        glob = star;
        (void)take(&from);
        text = from;
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

void glob_quote(const char *name, char *target)
{
    for (; *name; name++)
        target += sprintf(target,
                          *name == '\\'          ? "[\\%c]"
                          : strchr("*?[", *name) ? "[%c]"
                                                 : "%c",
                          *name);
    *target = '\0';
}
