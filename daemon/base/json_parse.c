/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"

/*
 * Text to the tree that cJSON would make of it, in one pass, and with one allocation for a value
 * and another for its name: what is small, as most messages are, cJSON spends its time on
 * allocations. A string stands behind its item, which therefore has cJSON_IsReference: not to be
 * freed for itself.
 */

#define WHOLE_DIGITS 18 /* so many an int64_t holds */
#define NUMBER_MAX   63 /* characters, as cJSON has it */

/* Functions return 0 or a negative errno, as json_parse(). */
struct reader {
    const char *at;
    const char *end;
    cJSON *open[JSON_DEPTH_MAX]; /* arrays and objects, outermost first */
    size_t depth;
};

/* The inside of a string as it stands in the text. */
struct token {
    const char *text;
    size_t size;
    bool has_escapes;
};

static char peek(const struct reader *reader)
{
    return reader->at < reader->end ? *reader->at : '\0';
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

static int get_hex(const char *text, const char *end, unsigned *ret)
{
    unsigned value = 0;

    if (end - text < 4)
        return -EBADMSG;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            c = (char)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            c = (char)((c | 0x20) - 'a' + 10);
        else
            return -EBADMSG;
        value = value << 4 | (unsigned)c;
    }
    *ret = value;
    return 0;
}

static char *put_utf8(char *target, unsigned point)
{
    if (point < 0x80) {
        *target++ = (char)point;
        return target;
    }
    if (point < 0x800) {
        *target++ = (char)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *target++ = (char)(0xe0 | point >> 12);
        } else {
            *target++ = (char)(0xf0 | point >> 18);
            *target++ = (char)(0x80 | (point >> 12 & 0x3f));
        }
        *target++ = (char)(0x80 | (point >> 6 & 0x3f));
    }
    *target++ = (char)(0x80 | (point & 0x3f));
    return target;
}

/* What follows "\u". Return: how many bytes that is, or -errno. */
static int decode_point(const char *text, const char *end, char **target)
{
    unsigned point = 0, low = 0;
    int size = 4, r = get_hex(text, end, &point);

    if (r < 0)
        return r;
    if (point == 0)
        return -EILSEQ;
    if (point >= 0xdc00 && point < 0xe000)
        return -EBADMSG;
    if (point >= 0xd800 && point < 0xdc00) {
        if (end - text < 10 || text[4] != '\\' || text[5] != 'u' ||
            get_hex(text + 6, end, &low) < 0 || low < 0xdc00 || low >= 0xe000)
            return -EBADMSG;
        point = 0x10000 + ((point & 0x3ff) << 10 | (low & 0x3ff));
        size = 10;
    }
    *target = put_utf8(*target, point);
    return size;
}

/* @target: has room for @token->size + 1 bytes, which is enough. */
static int decode(const struct token *token, char *target)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const char *text = token->text, *end = text + token->size;

    if (!token->has_escapes) {
        memcpy(target, text, token->size);
        target[token->size] = '\0';
        return 0;
    }
    while (text < end) {
        if (*text != '\\') {
            *target++ = *text++;
            continue;
        }
        const char *escape = escapes;
        text++; /* read_token() has seen that something follows */
        while (*escape && *escape != *text)
            escape += 2;
        if (*escape) {
            *target++ = escape[1];
            text++;
            continue;
        }
        int r = *text == 'u' ? decode_point(text + 1, end, &target) : -EBADMSG;
        if (r < 0)
            return r;
        text += 1 + r;
    }
    *target = '\0';
    return 0;
}

/* From the quotation mark on. */
static int read_token(struct reader *reader, struct token *ret)
{
    const char *c = reader->at + 1;

    ret->text = c;
    ret->has_escapes = false;
    for (;; c++) {
        while (c < reader->end && (uint8_t)*c >= ' ' && *c != '"' && *c != '\\')
            c++;
        if (c >= reader->end || (uint8_t)*c < ' ')
            return -EBADMSG;
        if (*c == '"')
            break;
        ret->has_escapes = true;
        c++;
        if (c >= reader->end)
            return -EBADMSG;
    }
    ret->size = (size_t)(c - ret->text);
    reader->at = c + 1;
    return 0;
}

static cJSON *new_item(int type, size_t text_size)
{
    cJSON *item = malloc(sizeof(*item) + text_size);

    if (item)
        *item = (cJSON){.type = type};
    return item;
}

static int read_string(struct reader *reader, cJSON **ret)
{
    struct token token;
    int r = read_token(reader, &token);

    if (r < 0)
        return r;
    cJSON *item = new_item(cJSON_String | cJSON_IsReference, token.size + 1);
    if (!item)
        return -ENOMEM;
    item->valuestring = (char *)(item + 1);
    *ret = item;
    return decode(&token, item->valuestring);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const struct reader *reader, const char *c)
{
    while (c < reader->end && is_digit(*c))
        c++;
    return c;
}

static double to_double(const char *digits, const char *end)
{
    int64_t value = 0;

    for (; digits < end; digits++)
        value = 10 * value + (*digits - '0');
    return (double)value;
}

/* What cJSON takes for a number; most are short and whole. */
static int read_number(struct reader *reader, cJSON **ret)
{
    const bool is_negative = *reader->at == '-';
    const char *digits = reader->at + is_negative, *end = skip_digits(reader, digits), *last = end;

    while (last < reader->end && (is_digit(*last) || strchr("+-.eE", *last)))
        last++;
    if (last == end && end > digits && end - digits <= WHOLE_DIGITS) {
        const double value = to_double(digits, end);
        *ret = new_item(cJSON_Number, 0);
        if (!*ret)
            return -ENOMEM;
        (*ret)->valuedouble = is_negative ? -value : value;
        (*ret)->valueint =
            value > INT_MAX ? (is_negative ? INT_MIN : INT_MAX) : (int)(*ret)->valuedouble;
    } else {
        const char *stop = NULL;
        if (last - reader->at > NUMBER_MAX)
            return -EBADMSG;
        *ret = cJSON_ParseWithLengthOpts(reader->at, (size_t)(last - reader->at), &stop, false);
        if (!cJSON_IsNumber(*ret) || stop != last)
            return -EBADMSG;
    }
    reader->at = last;
    return 0;
}

static int read_word(struct reader *reader, cJSON **ret)
{
    static const struct {
        const char *text;
        size_t size;
        int type;
    } words[] = {{"true", 4, cJSON_True}, {"false", 5, cJSON_False}, {"null", 4, cJSON_NULL}};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if ((size_t)(reader->end - reader->at) >= words[i].size &&
            memcmp(reader->at, words[i].text, words[i].size) == 0) {
            *ret = new_item(words[i].type, 0);
            reader->at += words[i].size;
            return *ret ? 0 : -ENOMEM;
        }
    return -EBADMSG;
}

/* A value, or the beginning of one that is then the innermost open one. *@ret is the caller's where
 * it is there, whatever is returned. */
static int read_value(struct reader *reader, cJSON **ret)
{
    const char c = peek(reader);

    if (c == '"')
        return read_string(reader, ret);
    if (c == '-' || is_digit(c))
        return read_number(reader, ret);
    if (c != '{' && c != '[')
        return read_word(reader, ret);
    if (reader->depth == JSON_DEPTH_MAX)
        return -ELOOP;
    *ret = new_item(c == '{' ? cJSON_Object : cJSON_Array, 0);
    if (!*ret)
        return -ENOMEM;
    reader->open[reader->depth++] = *ret;
    reader->at++;
    return 0;
}

static int read_name(struct reader *reader, char **ret)
{
    struct token token;
    int r = peek(reader) == '"' ? read_token(reader, &token) : -EBADMSG;

    if (r < 0)
        return r;
    skip_blanks(reader);
    if (peek(reader) != ':')
        return -EBADMSG;
    reader->at++;
    skip_blanks(reader);
    *ret = malloc(token.size + 1);
    return *ret ? decode(&token, *ret) : -ENOMEM;
}

/* cJSON has the last of its siblings as the one before the first. */
static void append(cJSON *parent, cJSON *item)
{
    cJSON *first = parent->child;

    if (!first) {
        parent->child = item->prev = item;
        return;
    }
    item->prev = first->prev;
    first->prev->next = item;
    first->prev = item;
}

/* Of the innermost open value: its next member. */
static int read_member(struct reader *reader)
{
    cJSON *parent = reader->open[reader->depth - 1], *item = NULL;
    char *name = NULL;
    int r = cJSON_IsObject(parent) ? read_name(reader, &name) : 0;

    if (r == 0)
        r = read_value(reader, &item);
    if (!item) {
        free(name);
        return r < 0 ? r : -EBADMSG;
    }
    item->string = name;
    append(parent, item);
    return r;
}

/* What follows a value or the beginning of one: ends all that end here. Return: 0 where there is
 * another member. */
static int read_ends(struct reader *reader, bool is_begun)
{
    while (reader->depth > 0) {
        const bool is_object = cJSON_IsObject(reader->open[reader->depth - 1]);
        skip_blanks(reader);
        if (peek(reader) == (is_object ? '}' : ']')) {
            reader->at++;
            reader->depth--;
            is_begun = false;
            continue;
        }
        if (is_begun)
            return 0;
        if (peek(reader) != ',')
            return -EBADMSG;
        reader->at++;
        skip_blanks(reader);
        return 0;
    }
    return 0;
}

static int read_all(struct reader *reader, cJSON **ret)
{
    size_t depth;
    int r;

    skip_blanks(reader);
    if (peek(reader) != '{')
        return -EBADMSG;
    r = read_value(reader, ret);
    if (r == 0)
        r = read_ends(reader, true);
    while (r == 0 && reader->depth > 0) {
        depth = reader->depth;
        r = read_member(reader);
        if (r == 0)
            r = read_ends(reader, reader->depth > depth);
    }
    skip_blanks(reader);
    return r < 0 || reader->at == reader->end ? r : -EBADMSG;
}

int json_parse_up_to(const char *text, size_t size, size_t size_max, cJSON **ret)
{
    struct reader reader = {.at = text, .end = text + size};
    cJSON *json = NULL;
    int r;

    if (size > size_max)
        return -EMSGSIZE;
    r = text_is_utf8(text, size) ? read_all(&reader, &json) : -EBADMSG;
    if (r < 0) {
        cJSON_Delete(json);
        return r;
    }
    *ret = json;
    return 0;
}
