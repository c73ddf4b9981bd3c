/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit usec_units[] = {
    {"d", USEC_PER_DAY}, {"h", USEC_PER_HOUR},  {"min", USEC_PER_MIN},
    {"s", USEC_PER_SEC}, {"ms", USEC_PER_MSEC}, {"us", 1},
    {NULL, 0},
};

static const struct unit size_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"kB", 1000},
    {"KB", 1000},
    {"B", 1},
    /* As of systemd, and of many tools. */
    {"T", UINT64_C(1) << 40},
    {"G", UINT64_C(1) << 30},
    {"M", UINT64_C(1) << 20},
    {"K", UINT64_C(1) << 10},
    {NULL, 0},
};

/* A decimal number with up to nine places, times the factor of its unit, exactly rounded down. */
static int parse_quantity(const char *text, const struct unit *units, uint64_t bare, uint64_t *ret)
{
    uint64_t whole = 0, fraction = 0, scale = 1, factor = 0;
    const char *c = text;

    if (*c < '0' || *c > '9')
        return -EINVAL;
    for (; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*c - '0'), &whole))
            return -ERANGE;
    if (*c == '.') {
        c++;
        if (*c < '0' || *c > '9')
            return -EINVAL;
        for (; *c >= '0' && *c <= '9'; c++)
            if (scale < 1000000000) {
                fraction = fraction * 10 + (uint64_t)(*c - '0');
                scale *= 10;
            }
    }
    while (*c == ' ')
        c++;
    if (*c == '\0')
        factor = bare;
    for (const struct unit *unit = units; unit->name && factor == 0; unit++)
        if (strcmp(c, unit->name) == 0)
            factor = unit->factor;
    if (factor == 0)
        return -EINVAL;
    uint64_t part = (uint64_t)((unsigned __int128)fraction * factor / scale);
    if (__builtin_mul_overflow(whole, factor, &whole) ||
        __builtin_add_overflow(whole, part, &whole))
        return -ERANGE;
    *ret = whole;
    return 0;
}

int text_parse_usec(const char *text, usec_t *ret)
{
    uint64_t value;
    int r = parse_quantity(text, usec_units, USEC_PER_SEC, &value);

    if (r < 0)
        return r;
    if (value == USEC_INFINITY)
        return -ERANGE;
    *ret = value;
    return 0;
}

int text_parse_size(const char *text, uint64_t *ret)
{
    return parse_quantity(text, size_units, 1, ret);
}

int text_parse_milli(const char *text, uint32_t *ret)
{
    const size_t whole = strspn(text, "0123456789");
    const char *point = text + whole;
    const size_t places = *point == '.' ? strspn(point + 1, "0123456789") : 0;
    uint64_t number = 0;

    if (whole == 0 || whole > 7 || places > 3 || (*point == '.' && places == 0) ||
        point[places + (*point == '.' ? 1 : 0)] != '\0')
        return -EINVAL;
    for (size_t i = 0; i < whole; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 0; i < 3; i++)
        number = number * 10 + (i < places ? (uint64_t)(point[1 + i] - '0') : 0);
    if (number > UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)number;
    return 0;
}

char *text_format_usec(usec_t usec, char target[static 32])
{
    const struct unit *unit = usec_units;

    if (usec == 0)
        return strcpy(target, "0");
    while (usec % unit->factor != 0)
        unit++;
    /* "1.5s" reads better than "1500ms". */
    if (unit->factor == USEC_PER_MSEC && usec > USEC_PER_SEC && usec % (100 * USEC_PER_MSEC) == 0)
        snprintf(target, 32, "%" PRIu64 ".%" PRIu64 "s", usec / USEC_PER_SEC,
                 usec % USEC_PER_SEC / (100 * USEC_PER_MSEC));
    else
        snprintf(target, 32, "%" PRIu64 "%s", usec / unit->factor, unit->name);
    return target;
}

char *text_format_size(uint64_t size, char target[static 32])
{
    for (size_t i = 0; i < 4; i++)
        if (size > 0 && size % size_units[i].factor == 0) {
            snprintf(target, 32, "%" PRIu64 "%s", size / size_units[i].factor, size_units[i].name);
            return target;
        }
    snprintf(target, 32, "%" PRIu64, size);
    return target;
}

char *text_show_size(double size, char target[static 32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;

    /* What would be rounded up to 1024.0 is one of the next unit. */
    while (size >= 1023.95 && unit + 1 < ARRAY_SIZE(units)) {
        size /= 1024;
        unit++;
    }
    snprintf(target, 32, "%.*f %s", unit > 0, size, units[unit]);
    return target;
}

char *text_format_hex(const void *data, size_t size, char *target)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        target[2 * i] = digits[bytes[i] >> 4];
        target[2 * i + 1] = digits[bytes[i] & 15];
    }
    target[2 * size] = '\0';
    return target;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool text_is_node_name(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > NODE_NAME_MAX || *text == '-' || *text == '.')
        return false;
    for (const char *c = text; *c; c++)
        if (!is_letter(*c) && !(*c >= '0' && *c <= '9') && !strchr("._-", *c))
            return false;
    return true;
}

bool text_is_type_name(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > 32)
        return false;
    for (const char *c = text; *c; c++)
        if (!is_letter(*c))
            return false;
    return true;
}

size_t text_name_size(const char *text)
{
    size_t size = 0;

    while (is_letter(text[size]) || text[size] == '_' || (text[size] & 0x80) ||
           (size > 0 && text[size] >= '0' && text[size] <= '9'))
        size++;
    return size;
}

const char *text_skip_name(const char *argument)
{
    size_t size = text_name_size(argument);

    return size > 0 && argument[size] == '=' ? argument + size + 1 : argument;
}

size_t text_decode_utf8(const void *bytes, size_t size, uint32_t *ret)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *data = bytes;
    uint8_t first = size > 0 ? data[0] : 0;
    size_t length = first < 0x80       ? 1
                    : first >> 5 == 6  ? 2
                    : first >> 4 == 14 ? 3
                    : first >> 3 == 30 ? 4
                                       : 0;

    if (length == 0 || length > size)
        return 0;
    uint32_t point = length == 1 ? first : first & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if (data[i] >> 6 != 2)
            return 0;
        point = point << 6 | (data[i] & 0x3fU);
    }
    if ((length > 1 && point < smallest[length]) || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *ret = point;
    return length;
}

/* How many of the bytes, at least, are ASCII: looked at eight at a time. */
static size_t skip_ascii(const uint8_t *data, size_t size)
{
    size_t i = 0;

    for (uint64_t word; i + sizeof(word) <= size; i += sizeof(word)) {
        memcpy(&word, data + i, sizeof(word));
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return i;
}

bool text_is_utf8(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint32_t point;

    for (size_t i = skip_ascii(bytes, size); i < size;) {
        size_t length = text_decode_utf8(bytes + i, size - i, &point);
        if (length == 0)
            return false;
        i += length;
        if (length > 1)
            i += skip_ascii(bytes + i, size - i);
    }
    return true;
}

static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029;
}

/* What makes a name look like another one: marks of direction and order, spaces of no width,
 * characters that are none. The joiners U+200C and U+200D are letters' own in some scripts. */
static bool is_disguise(uint32_t point)
{
    return point == 0x00ad || point == 0x061c || point == 0x180e || point == 0x200b ||
           point == 0x200e || point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff ||
           (point >= 0xfdd0 && point <= 0xfdef) || (point & 0xfffe) == 0xfffe;
}

bool text_misleads(uint32_t point)
{
    return is_control(point) || is_disguise(point);
}

/* Most text is nothing but this. */
static size_t count_printable_ascii(const char *text)
{
    const char *end = text;

    while (*end >= ' ' && *end <= '~')
        end++;
    return (size_t)(end - text);
}

/* Whether it is UTF-8 without a control character, nor one that @is_refused. */
static bool is_shown(const char *text, bool (*is_refused)(uint32_t point))
{
    size_t start = count_printable_ascii(text), size = start + strlen(text + start), length;
    uint32_t point;

    for (size_t i = start; i < size; i += length) {
        length = text_decode_utf8(text + i, size - i, &point);
        if (length == 0 || is_control(point) || (is_refused && is_refused(point)))
            return false;
    }
    return true;
}

bool text_is_printable(const char *text)
{
    return is_shown(text, NULL);
}

static bool is_blank(uint32_t point)
{
    static const uint32_t ranges[][2] = {
        {0x20, 0x20},     {0xa0, 0xa0},     {0x300, 0x36f},   {0x115f, 0x1160},    {0x1680, 0x1680},
        {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x2000, 0x200f}, {0x202f, 0x202f},    {0x205f, 0x205f},
        {0x20d0, 0x20ff}, {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164},    {0xe000, 0xf8ff},
        {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xffa0, 0xffa0}, {0xe0000, 0x10ffff},
    };

    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
        if (point >= ranges[i][0] && point <= ranges[i][1])
            return true;
    return false;
}

bool text_is_visible(const char *text)
{
    size_t size = strlen(text), length;
    uint32_t point = 0;

    for (size_t i = 0; i < size; i += length) {
        length = text_decode_utf8(text + i, size - i, &point);
        if (length == 0)
            return false;
        if (!is_blank(point))
            return true;
    }
    return false;
}

bool text_is_name(const char *text)
{
    return *text && is_shown(text, is_disguise);
}

char *text_mask_controls(char *text)
{
    size_t used = count_printable_ascii(text), size = used + strlen(text + used);
    uint32_t point;

    for (size_t i = used; i < size;) {
        size_t length = text_decode_utf8(text + i, size - i, &point);
        if (length == 0 || is_control(point)) {
            text[used++] = '?';
        } else {
            memmove(text + used, text + i, length);
            used += length;
        }
        i += MAX(length, (size_t)1);
    }
    text[used] = '\0';
    return text;
}

char *text_mend_end(char *text)
{
    size_t size = strlen(text), start = size;

    while (start > 0 && size - start < 3 && ((uint8_t)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && !text_is_utf8(text + start - 1, size - start + 1))
        text[start - 1] = '\0';
    return text;
}

bool text_is_file_name(const char *text)
{
    size_t size = strlen(text);

    if (size == 0 || size > 255 || *text == '-' || strcmp(text, ".") == 0 ||
        strcmp(text, "..") == 0)
        return false;
    return !strchr(text, '/') && text_is_name(text);
}

#define DISTANCE_WORD_MAX 64
#define DISTANCE_FAR      16

size_t text_distance(const char *a, const char *b)
{
    size_t rows[3][DISTANCE_WORD_MAX + 1];
    size_t a_size = strlen(a), b_size = strlen(b);

    if (a_size > DISTANCE_WORD_MAX || b_size > DISTANCE_WORD_MAX)
        return DISTANCE_FAR;
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
    }
    return MIN(rows[a_size % 3][b_size], (size_t)DISTANCE_FAR);
}

const char *text_closest(const char *word, const char *const *words)
{
    const char *best = NULL, *prefixed = NULL;
    size_t best_distance = DISTANCE_FAR, prefixed_count = 0, length = strlen(word);

    for (; *words; words++) {
        size_t distance = text_distance(word, *words);
        if (distance < best_distance) {
            best_distance = distance;
            best = *words;
        }
        if (length > 0 && strncmp(word, *words, length) == 0) {
            prefixed = *words;
            prefixed_count++;
        }
    }
    if (best && best_distance <= 2 && best_distance * 3 <= MAX(length, (size_t)3))
        return best;
    return prefixed_count == 1 ? prefixed : NULL;
}
