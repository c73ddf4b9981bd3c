/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <string.h>
#include "base/text.h"

/*
 * Whether a text is JSON, without reading it: cJSON takes some numbers that are none and refuses
 * characters that others take. Each function gets where something begins and returns what follows
 * it, or NULL where it is malformed.
 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const char *skip_blanks(const char *c)
{
    return c + strspn(c, " \t\n\r");
}

static const char *skip_digits(const char *c)
{
    if (!is_digit(*c))
        return NULL;
    return c + strspn(c, "0123456789");
}

static const char *skip_number(const char *c)
{
    c += *c == '-';
    c = *c == '0' ? c + 1 : skip_digits(c);
    if (c && *c == '.')
        c = skip_digits(c + 1);
    if (c && (*c == 'e' || *c == 'E')) {
        c++;
        c = skip_digits(*c == '+' || *c == '-' ? c + 1 : c);
    }
    return c;
}

static const char *skip_string(const char *c)
{
    for (c++; *c != '"'; c++) {
        if ((unsigned char)*c < 0x20)
            return NULL;
        if (*c != '\\')
            continue;
        c++;
        if (*c == '\0' || !strchr("\"\\/bfnrtu", *c))
            return NULL;
        if (*c != 'u')
            continue;
        for (int i = 0; i < 4; i++)
            if (!is_hex(*++c))
                return NULL;
    }
    return c + 1;
}

/* All but arrays and objects. */
static const char *skip_plain(const char *c)
{
    static const char *const words[] = {"true", "false", "null"};

    if (*c == '"')
        return skip_string(c);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strncmp(c, words[i], strlen(words[i])) == 0)
            return c + strlen(words[i]);
    return skip_number(c);
}

/* To the next value in an array or object that ends with @end. */
static const char *skip_to_value(const char *c, char end)
{
    if (end == ']')
        return c;
    c = skip_blanks(c);
    c = *c == '"' ? skip_string(c) : NULL;
    c = c ? skip_blanks(c) : NULL;
    return c && *c == ':' ? c + 1 : NULL;
}

bool json_is_value(const char *text)
{
    char ends[JSON_VALUE_DEPTH_MAX]; /* what closes each that is open */
    size_t depth = 0;
    const char *c = text_is_utf8(text, strlen(text)) ? text : NULL;

    while (c) {
        c = skip_blanks(c);
        if (*c == '{' || *c == '[') {
            if (depth == JSON_VALUE_DEPTH_MAX)
                return false;
            char end = ends[depth++] = *c == '{' ? '}' : ']';
            c = skip_blanks(c + 1);
            if (*c != end) {
                c = skip_to_value(c, end);
                continue;
            }
        } else {
            c = skip_plain(c);
        }
        for (c = c ? skip_blanks(c) : NULL; c && depth > 0 && *c == ends[depth - 1]; depth--)
            c = skip_blanks(c + 1);
        if (c && depth == 0)
            return *c == '\0';
        c = c && *c == ',' ? skip_to_value(c + 1, ends[depth - 1]) : NULL;
    }
    return false;
}
