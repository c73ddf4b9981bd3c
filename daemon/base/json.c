/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/base64.h"
#include "base/text.h"
#include "base/usec.h"

#define KEY_TEXT_MAX 72
#define PRINT_SIZE   2048

/* Depth of nesting, counted outside of strings, and no escaped NUL, which would cut C strings
 * short; nothing is open at the end, behind which cJSON before 1.7.18 would read a byte. */
static int check_shape(const char *text, size_t size)
{
    static const bool counts[256] = {
        ['"'] = true, ['\\'] = true, ['{'] = true, ['['] = true, ['}'] = true, [']'] = true};
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!counts[(uint8_t)c])
            continue;
        if (in_string) {
            if (c == '\\') {
                if (size - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
                    return -EILSEQ;
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return -ELOOP;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return depth != 0 || in_string ? -EBADMSG : 0;
}

int json_parse(const char *text, size_t size, cJSON **ret)
{
    int r = json_parse_up_to(text, size, JSON_SIZE_MAX, ret);

    return r == -EILSEQ ? -EBADMSG : r;
}

int json_parse_up_to(const char *text, size_t size, size_t size_max, cJSON **ret)
{
    const char *end = text, *last = text + size;
    int r;

    if (size > size_max)
        return -EMSGSIZE;
    r = check_shape(text, size);
    if (r < 0)
        return r;
    if (!text_is_utf8(text, size) || memchr(text, '\0', size))
        return -EBADMSG;
    cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, false);
    while (end < last && strchr(" \t\r\n", *end))
        end++;
    if (!cJSON_IsObject(json) || end < last) {
        cJSON_Delete(json);
        return -EBADMSG;
    }
    *ret = json;
    return 0;
}

/* By recursion: json_parse() lets no deep ones in. */
static void wipe(cJSON *json)
{
    for (cJSON *item = json; item; item = item->next) {
        if (item->valuestring)
            explicit_bzero(item->valuestring, strlen(item->valuestring));
        wipe(item->child);
    }
}

void json_forget(cJSON *json)
{
    wipe(json);
    cJSON_Delete(json);
}

/* DEL, and C1 in UTF-8: JSON may hold them bare, but cJSON's text may end up on a terminal. */
static bool is_bare_control(const uint8_t *byte)
{
    return *byte == 0x7f || (*byte == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0);
}

/* Most are short: they are not moved to ever larger memory on their way. */
static char *print(const cJSON *json)
{
    char text[PRINT_SIZE];

    if (cJSON_PrintPreallocated((cJSON *)(uintptr_t)json, text, sizeof(text), false))
        return strdup(text);
    return cJSON_PrintUnformatted(json);
}

char *json_format(const cJSON *json)
{
    char *plain = print(json);
    size_t count = 0;

    if (!plain || !strpbrk(plain, "\x7f\xc2"))
        return plain;
    for (const uint8_t *from = (uint8_t *)plain; *from; from++)
        count += is_bare_control(from);
    char *text = malloc(strlen(plain) + count * strlen("\\u00xx") + 1), *to = text;
    for (const uint8_t *from = (uint8_t *)plain; text && *from; from++) {
        if (is_bare_control(from)) {
            from += *from == 0xc2;
            to += sprintf(to, "\\u%04x", *from);
        } else {
            *to++ = (char)*from;
        }
    }
    if (text)
        *to = '\0';
    free(plain);
    return text;
}

cJSON *json_take(cJSON *object)
{
    cJSON *taken = cJSON_CreateObject();

    if (!taken)
        return NULL;
    taken->child = object->child;
    object->child = NULL;
    return taken;
}

static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(item) ? NULL : item;
}

int json_get_string(const cJSON *object, const char *key, const char **ret)
{
    const cJSON *item = member(object, key);

    if (!item)
        return 0;
    if (!cJSON_IsString(item))
        return -EINVAL;
    *ret = item->valuestring;
    return 1;
}

int json_get_bool(const cJSON *object, const char *key, bool *ret)
{
    const cJSON *item = member(object, key);

    if (!item)
        return 0;
    if (!cJSON_IsBool(item))
        return -EINVAL;
    *ret = cJSON_IsTrue(item);
    return 1;
}

int json_get_i64(const cJSON *object, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    const cJSON *item = member(object, key);

    if (!item)
        return 0;
    if (!cJSON_IsNumber(item) || item->valuedouble != floor(item->valuedouble) ||
        fabs(item->valuedouble) > 0x1.0p53)
        return -EINVAL;
    int64_t value = (int64_t)item->valuedouble;
    if (value < min || value > max)
        return -EINVAL;
    *ret = value;
    return 1;
}

int json_get_u64(const cJSON *object, const char *key, uint64_t max, uint64_t *ret)
{
    int64_t value;
    int r = json_get_i64(object, key, 0, (int64_t)MIN(max, (uint64_t)INT64_MAX), &value);

    if (r > 0)
        *ret = (uint64_t)value;
    return r;
}

int json_get_array(const cJSON *object, const char *key, const cJSON **ret)
{
    const cJSON *item = member(object, key);

    if (!item)
        return 0;
    if (!cJSON_IsArray(item))
        return -EINVAL;
    *ret = item;
    return 1;
}

int json_get_object(const cJSON *object, const char *key, const cJSON **ret)
{
    const cJSON *item = member(object, key);

    if (!item)
        return 0;
    if (!cJSON_IsObject(item))
        return -EINVAL;
    *ret = item;
    return 1;
}

static void add(cJSON *object, const char *key, cJSON *item)
{
    if (!cJSON_AddItemToObjectCS(object, key, item))
        cJSON_Delete(item);
}

void json_add_string(cJSON *object, const char *key, const char *text)
{
    add(object, key, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

/* cJSON prints numbers from 10^15 on with an exponent and rounded, so integers go in as raw text;
 * written by hand, for there is one in nearly every message. */
void json_add_u64(cJSON *object, const char *key, uint64_t value)
{
    char text[32], *start = text + sizeof(text) - 1;

    *start = '\0';
    do
        *--start = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    add(object, key, cJSON_CreateRaw(start));
}

void json_add_i64(cJSON *object, const char *key, int64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64, value);
    add(object, key, cJSON_CreateRaw(text));
}

void json_add_bool(cJSON *object, const char *key, bool value)
{
    add(object, key, cJSON_CreateBool(value));
}

void json_add_null(cJSON *object, const char *key)
{
    add(object, key, cJSON_CreateNull());
}

void json_add_double(cJSON *object, const char *key, double value)
{
    add(object, key,
        isfinite(value) ? cJSON_CreateNumber(round(value * 1000) / 1000) : cJSON_CreateNull());
}

static void put_digits(char *target, int count, int value)
{
    for (; count > 0; value /= 10)
        target[--count] = (char)('0' + value % 10);
}

/* By hand, as there are thousands in the lists of files and tasks. */
void json_add_time(cJSON *object, const char *key, uint64_t wall_usec)
{
    time_t seconds = (time_t)(wall_usec / USEC_PER_SEC);
    char text[] = "0000-00-00T00:00:00.000Z";
    struct tm tm;

    if (wall_usec == 0 || !gmtime_r(&seconds, &tm) || tm.tm_year > 9999 - 1900) {
        json_add_null(object, key);
        return;
    }
    put_digits(text, 4, tm.tm_year + 1900);
    put_digits(text + 5, 2, tm.tm_mon + 1);
    put_digits(text + 8, 2, tm.tm_mday);
    put_digits(text + 11, 2, tm.tm_hour);
    put_digits(text + 14, 2, tm.tm_min);
    put_digits(text + 17, 2, tm.tm_sec);
    put_digits(text + 20, 3, (int)(wall_usec % USEC_PER_SEC / USEC_PER_MSEC));
    json_add_string(object, key, text);
}

int json_parse_time(const char *text, uint64_t *ret_wall_usec)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    uint64_t fraction = 0, scale = USEC_PER_SEC;

    if (rest && *rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++)
            if (scale > 1) {
                scale /= 10;
                fraction += (uint64_t)(*rest - '0') * scale;
            }
    if (!rest || strcmp(rest, "Z") != 0)
        return -EINVAL;
    time_t seconds = timegm(&tm);
    if (seconds < 0)
        return -EINVAL;
    *ret_wall_usec = MAX((uint64_t)seconds * USEC_PER_SEC + fraction, (uint64_t)1);
    return 0;
}

int json_get_since(const cJSON *object, const char *key, uint64_t wall_usec,
                   uint64_t *ret_wall_usec)
{
    const char *text;
    usec_t back;
    int r = json_get_string(object, key, &text);

    if (r <= 0)
        return r;
    if (text_parse_usec(text, &back) >= 0)
        *ret_wall_usec = usec_sub(wall_usec, back);
    else if (json_parse_time(text, ret_wall_usec) < 0)
        return -EINVAL;
    return 1;
}

void json_add_text_or_base64(cJSON *object, const char *key, const void *data, size_t size)
{
    char key_b64[KEY_TEXT_MAX];
    _cleanup_free_ char *text = NULL;

    if (text_is_utf8(data, size) && (size == 0 || !memchr(data, 0, size))) {
        text = strndup(size > 0 ? data : "", size);
        if (text)
            cJSON_AddStringToObject(object, key, text);
        return;
    }
    text = base64_encode(data, size);
    snprintf(key_b64, sizeof(key_b64), "%s_b64", key);
    if (text)
        cJSON_AddStringToObject(object, key_b64, text);
}

int json_get_bytes(const cJSON *object, const char *key, uint8_t **ret, size_t *ret_size)
{
    char key_b64[KEY_TEXT_MAX];
    const char *text = NULL;
    int r = json_get_string(object, key, &text);

    if (r < 0)
        return r;
    if (r > 0) {
        char *copy = strdup(text);
        if (!copy)
            return -ENOMEM;
        *ret = (uint8_t *)copy;
        *ret_size = strlen(copy);
        return 1;
    }
    snprintf(key_b64, sizeof(key_b64), "%s_b64", key);
    r = json_get_string(object, key_b64, &text);
    if (r <= 0)
        return r;
    r = base64_decode(text, ret, ret_size);
    return r < 0 ? r : 1;
}

const char *json_unknown_key(const cJSON *object, const char *const *known)
{
    json_for_each (item, object) {
        const char *const *key = known;
        while (*key && strcmp(*key, item->string) != 0)
            key++;
        if (!*key)
            return item->string;
    }
    return NULL;
}
