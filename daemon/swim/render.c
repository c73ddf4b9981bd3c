/* SPDX-License-Identifier: MIT */
#include "swim/render.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEAD_NODE        "Dead Node:"
#define LIVENESS_REQUEST "Liveness Request:"
#define LIVENESS_REPLY   "Liveness Reply:"

/* "1795244870.874" */
#define TIME_TEXT_MAX 32

static char *format_time(uint64_t wall_usec, char target[static TIME_TEXT_MAX])
{
    uint64_t msec = wall_usec / 1000;

    snprintf(target, TIME_TEXT_MAX, "%" PRIu64 ".%03" PRIu64, msec / 1000, msec % 1000);
    return target;
}

char *render_dead_node(const struct address *dead, uint64_t wall_usec,
                       const struct address *reporter, char target[static RENDER_TEXT_MAX])
{
    char time[TIME_TEXT_MAX], ip[ADDRESS_TEXT_MAX], other[ADDRESS_TEXT_MAX];

    snprintf(target, RENDER_TEXT_MAX, DEAD_NODE "%s:%s:%s", address_format_ip(dead, ip),
             format_time(wall_usec, time), address_format_ip(reporter, other));
    return target;
}

char *render_gossip(uint64_t wall_usec, const struct address *origin, uint64_t number,
                    char target[static RENDER_TEXT_MAX])
{
    char time[TIME_TEXT_MAX], ip[ADDRESS_TEXT_MAX];

    snprintf(target, RENDER_TEXT_MAX, "%s:%s:%" PRIu64, format_time(wall_usec, time),
             address_format_ip(origin, ip), number);
    return target;
}

char *render_liveness_request(uint64_t wall_usec, const struct address *sender,
                              char target[static RENDER_TEXT_MAX])
{
    char time[TIME_TEXT_MAX], ip[ADDRESS_TEXT_MAX];

    snprintf(target, RENDER_TEXT_MAX, LIVENESS_REQUEST "%s:%s", format_time(wall_usec, time),
             address_format_ip(sender, ip));
    return target;
}

char *render_liveness_reply(uint64_t wall_usec, const struct address *sender,
                            const struct address *self, char target[static RENDER_TEXT_MAX])
{
    char time[TIME_TEXT_MAX], ip[ADDRESS_TEXT_MAX], other[ADDRESS_TEXT_MAX];

    snprintf(target, RENDER_TEXT_MAX, LIVENESS_REPLY "%s:%s:%s", format_time(wall_usec, time),
             address_format_ip(sender, ip), address_format_ip(self, other));
    return target;
}

/* --- Reading --- */

/* Digits only, without a sign or a leading zero. */
static bool read_number(const char **text, uint64_t *ret)
{
    const char *c = *text;
    uint64_t value = 0;

    for (; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return false;
    if (c == *text || (**text == '0' && c > *text + 1))
        return false;
    *text = c;
    *ret = value;
    return true;
}

static bool read_character(const char **text, char expected)
{
    if (**text != expected)
        return false;
    ++*text;
    return true;
}

static bool read_time(const char **text, uint64_t *ret)
{
    uint64_t seconds, msec = 0;

    if (!read_number(text, &seconds) || !read_character(text, '.') ||
        __builtin_mul_overflow(seconds, UINT64_C(1000000), &seconds))
        return false;
    for (int i = 0; i < 3; i++, ++*text) {
        if (**text < '0' || **text > '9')
            return false;
        msec = msec * 10 + (uint64_t)(**text - '0');
    }
    return !__builtin_add_overflow(seconds, msec * 1000, ret);
}

/* An address without its port: IPv4 up to the next colon, IPv6 in its brackets. */
static bool read_ip(const char **text, struct address *ret)
{
    char copy[ADDRESS_TEXT_MAX];
    size_t size = **text == '[' ? strcspn(*text, "]") + 1 : strcspn(*text, ":");

    if (size >= sizeof(copy) || memchr(*text, 0, size))
        return false;
    memcpy(copy, *text, size);
    copy[size] = '\0';
    if (address_parse(copy, 0, ret) < 0 || ret->family != (copy[0] == '[' ? 6 : 4))
        return false;
    *text += size;
    return true;
}

static bool skip_word(const char **text, const char *word)
{
    size_t size = strlen(word);

    if (strncmp(*text, word, size) != 0)
        return false;
    *text += size;
    return true;
}

static bool read_dead_node(const char **text, struct render_line *ret)
{
    ret->type = RENDER_DEAD_NODE;
    return read_ip(text, &ret->subject) && read_character(text, ':') &&
           read_time(text, &ret->wall_usec) && read_character(text, ':') &&
           read_ip(text, &ret->other);
}

static bool read_request(const char **text, struct render_line *ret)
{
    ret->type = RENDER_LIVENESS_REQUEST;
    return read_time(text, &ret->wall_usec) && read_character(text, ':') &&
           read_ip(text, &ret->subject);
}

static bool read_reply(const char **text, struct render_line *ret)
{
    bool is_read = read_request(text, ret);

    ret->type = RENDER_LIVENESS_REPLY;
    return is_read && read_character(text, ':') && read_ip(text, &ret->other);
}

static bool read_gossip(const char **text, struct render_line *ret)
{
    bool is_read = read_request(text, ret);

    ret->type = RENDER_GOSSIP;
    return is_read && read_character(text, ':') && read_number(text, &ret->number);
}

int render_parse(const char *line, struct render_line *ret)
{
    struct render_line parsed = {0};
    bool is_read;

    if (skip_word(&line, DEAD_NODE))
        is_read = read_dead_node(&line, &parsed);
    else if (skip_word(&line, LIVENESS_REQUEST))
        is_read = read_request(&line, &parsed);
    else if (skip_word(&line, LIVENESS_REPLY))
        is_read = read_reply(&line, &parsed);
    else
        is_read = read_gossip(&line, &parsed);
    if (!is_read || *line != '\0')
        return -EINVAL;
    *ret = parsed;
    return 0;
}
