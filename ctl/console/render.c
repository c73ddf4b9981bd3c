/* SPDX-License-Identifier: MIT */
#include "console/render.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include "base/json.h"
#include "base/text.h"
#include "console/failure.h"

static bool is_ascii;

void render_init(void)
{
    setlocale(LC_ALL, "");
    is_ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    /* Names of other users are UTF-8 all the same, and their width counts. Numbers stay as in C. */
    if (is_ascii)
        setlocale(LC_CTYPE, "C.UTF-8");
    setlocale(LC_NUMERIC, "C");
    setlocale(LC_TIME, "C");
}

bool render_is_ascii(void)
{
    return is_ascii;
}

const char *render_mark(enum mark mark)
{
    static const char *const marks[][2] = {
        [MARK_ALIVE] = {"●", "*"},      [MARK_SUSPECT] = {"◐", "?"}, [MARK_LEFT] = {"○", "-"},
        [MARK_DEAD] = {"✗", "x"},       [MARK_DONE] = {"✓", "+"},    [MARK_ARROW] = {"→", "->"},
        [MARK_ELLIPSIS] = {"…", "..."},
    };
    return marks[mark][is_ascii];
}

const char *render_tone(enum tone tone)
{
    static const char *const tones[] = {
        [TONE_PLAIN] = NULL,     [TONE_GOOD] = "\033[32m", [TONE_WARN] = "\033[33m",
        [TONE_BAD] = "\033[31m", [TONE_DIM] = "\033[2m",   [TONE_BOLD] = "\033[1m",
    };
    return tones[tone];
}

/* How many of the @size bytes are one character that may be shown, or 0. */
static size_t printable(const char *text, size_t size)
{
    uint32_t point = 0;
    size_t length = text_decode_utf8(text, size, &point);

    return length > 0 && !text_misleads(point) ? length : 0;
}

void render_text(FILE *stream, const char *text, size_t size)
{
    while (size > 0) {
        size_t length = printable(text, size);
        if (length > 0) {
            fwrite(text, 1, length, stream);
        } else {
            fprintf(stream, "\\x%02x", (unsigned char)*text);
            length = 1;
        }
        text += length;
        size -= length;
    }
}

size_t render_width(const char *text)
{
    wchar_t wide[1024];
    size_t count = mbstowcs(wide, text, ARRAY_SIZE(wide));
    int width = count == (size_t)-1 ? -1 : wcswidth(wide, MIN(count, ARRAY_SIZE(wide)));

    return width < 0 ? strlen(text) : (size_t)width;
}

char *render_shorten(const char *text, size_t width)
{
    const char *mark = render_mark(MARK_ELLIPSIS), *c = text;
    size_t room = width - MIN(width, render_width(mark)), used = 0;
    mbstate_t state = {0};
    char *cut = NULL;

    if (render_width(text) <= width)
        return strdup(text);
    while (*c) {
        wchar_t wide;
        size_t length = mbrtowc(&wide, c, strlen(c), &state);
        int columns = length < (size_t)-2 ? wcwidth(wide) : 1;
        if (length >= (size_t)-2)
            length = 1;
        if (columns < 0 || used + (size_t)columns > room)
            break;
        used += (size_t)columns;
        c += length;
    }
    return asprintf(&cut, "%.*s%s", (int)(c - text), text, mark) < 0 ? NULL : cut;
}

void render_tinted(const struct ctl *ctl, FILE *stream, enum tone tone, const char *text)
{
    const char *sequence = ctl->globals.color ? render_tone(tone) : NULL;

    if (sequence)
        fputs(sequence, stream);
    render_text(stream, text, strlen(text));
    if (sequence)
        fputs("\033[0m", stream);
}

char *render_size(double size, char target[static RENDER_TEXT_MAX])
{
    return text_show_size(size, target);
}

/* Whole units, rounded down, so that 59.9 s never reads "60s". */
static char *render_unit(double seconds, char target[static RENDER_TEXT_MAX])
{
    if (seconds < 60)
        snprintf(target, RENDER_TEXT_MAX, "%.0fs", floor(seconds));
    else if (seconds < 3600)
        snprintf(target, RENDER_TEXT_MAX, "%.0fmin", floor(seconds / 60));
    else if (seconds < 86400)
        snprintf(target, RENDER_TEXT_MAX, "%.0fh", floor(seconds / 3600));
    else
        snprintf(target, RENDER_TEXT_MAX, "%.0fd", floor(seconds / 86400));
    return target;
}

char *render_span(double seconds, char target[static RENDER_TEXT_MAX])
{
    if (seconds >= 0.95)
        return render_unit(seconds + 0.05, target);
    snprintf(target, RENDER_TEXT_MAX, "%.1fs", MAX(seconds, 0));
    return target;
}

char *render_age(double seconds, char target[static RENDER_TEXT_MAX])
{
    if (seconds >= 9.95)
        return render_unit(seconds + 0.05, target);
    if (seconds < 0.05)
        return strcpy(target, "now");
    snprintf(target, RENDER_TEXT_MAX, "%.1fs", seconds);
    return target;
}

char *render_elapsed(double seconds, char target[static RENDER_TEXT_MAX])
{
    uint64_t whole = (uint64_t)MAX(seconds, 0);

    if (seconds < 9.995)
        snprintf(target, RENDER_TEXT_MAX, "%.2fs", MAX(seconds, 0));
    else if (seconds < 59.95)
        snprintf(target, RENDER_TEXT_MAX, "%.1fs", seconds);
    else if (whole < 3600)
        snprintf(target, RENDER_TEXT_MAX, "%" PRIu64 "min %" PRIu64 "s", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(target, RENDER_TEXT_MAX, "%" PRIu64 "h %" PRIu64 "min", whole / 3600,
                 whole % 3600 / 60);
    else
        snprintf(target, RENDER_TEXT_MAX, "%" PRIu64 "d %" PRIu64 "h", whole / 86400,
                 whole % 86400 / 3600);
    return target;
}

uint64_t render_parse_time(const char *text)
{
    uint64_t usec;

    return text && json_parse_time(text, &usec) == 0 ? usec : 0; /* 0 is none */
}

static uint64_t now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

double render_seconds_since(const char *text)
{
    uint64_t then = render_parse_time(text);
    return then == 0 ? 0 : (double)usec_sub(now_usec(), then) / (double)USEC_PER_SEC;
}

char *render_time(const struct ctl *ctl, const char *text, char target[static RENDER_TEXT_MAX])
{
    uint64_t usec = render_parse_time(text);

    if (usec == 0)
        return strcpy(target, "-");
    if (ctl->globals.time == TIME_UNIX)
        snprintf(target, RENDER_TEXT_MAX, "%" PRIu64 ".%03u", usec / USEC_PER_SEC,
                 (unsigned)(usec % USEC_PER_SEC / USEC_PER_MSEC));
    else if (ctl->globals.time == TIME_ISO)
        snprintf(target, RENDER_TEXT_MAX, "%s", text);
    else
        return render_age(render_seconds_since(text), target);
    return target;
}

char *render_clock(const struct ctl *ctl, const char *text, char target[static RENDER_TEXT_MAX])
{
    uint64_t usec = render_parse_time(text);
    time_t seconds = (time_t)(usec / USEC_PER_SEC), today = (time_t)(now_usec() / USEC_PER_SEC);
    struct tm tm, now;
    char clock[32], date[32] = "";

    if (usec == 0 || ctl->globals.time != TIME_RELATIVE)
        return render_time(ctl, text, target);
    if (ctl->globals.utc) {
        gmtime_r(&seconds, &tm);
        gmtime_r(&today, &now);
    } else {
        localtime_r(&seconds, &tm);
        localtime_r(&today, &now);
    }
    strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    if (tm.tm_yday != now.tm_yday || tm.tm_year != now.tm_year)
        strftime(date, sizeof(date), "%Y-%m-%d ", &tm);
    snprintf(target, RENDER_TEXT_MAX, "%s%s.%03u", date, clock,
             (unsigned)(usec % USEC_PER_SEC / USEC_PER_MSEC));
    return target;
}

void render_timeline(const struct ctl *ctl, const cJSON *timeline)
{
    char clock[RENDER_TEXT_MAX];

    if (cJSON_GetArraySize(timeline) > 0)
        puts(" Timeline:");
    json_for_each (entry, timeline) {
        const char *text = json_text(entry, "text", "");
        printf("   %s  ", render_clock(ctl, json_text(entry, "time", NULL), clock));
        render_text(stdout, text, strlen(text));
        putchar('\n');
    }
}

static void print_indent(FILE *stream, unsigned depth)
{
    fprintf(stream, "\n%*s", (int)depth * 2, "");
}

static bool is_flat(const cJSON *json)
{
    for (const cJSON *item = json->child; item; item = item->next)
        if (cJSON_IsObject(item) || cJSON_IsArray(item))
            return false;
    return true;
}

/* Objects are spread over lines; arrays of plain values are not. */
static int print_pretty(FILE *stream, const cJSON *json, unsigned depth)
{
    bool object = cJSON_IsObject(json);

    if (!(object && json->child) && !(cJSON_IsArray(json) && !is_flat(json))) {
        _cleanup_free_ char *text = json_format(json);
        if (!text)
            return fail_memory();
        fputs(text, stream);
        return 0;
    }
    fputc(object ? '{' : '[', stream);
    for (const cJSON *item = json->child; item; item = item->next) {
        print_indent(stream, depth + 1);
        if (object) {
            _cleanup_json_ cJSON *name = cJSON_CreateString(item->string);
            _cleanup_free_ char *text = name ? json_format(name) : NULL;
            if (!text)
                return fail_memory();
            fprintf(stream, "%s: ", text);
        }
        int r = print_pretty(stream, item, depth + 1);
        if (r != 0)
            return r;
        if (item->next)
            fputc(',', stream);
    }
    print_indent(stream, depth);
    fputc(object ? '}' : ']', stream);
    return 0;
}

int render_json_line(const cJSON *json)
{
    _cleanup_free_ char *text = json_format(json);

    if (!text)
        return fail_memory();
    puts(text);
    fflush(stdout);
    return 0;
}

void render_several(struct ctl *ctl, const char *list)
{
    if (ctl->globals.json == JSON_OFF || ctl->globals.json == JSON_LINES)
        return;
    _cleanup_json_ cJSON *several = cJSON_CreateObject();
    if (cJSON_AddNullToObject(several, "schema") && cJSON_AddArrayToObject(several, list))
        ctl->several = TAKE_PTR(several);
}

/* What it is called stands above the list, once. */
static int collect(cJSON *several, const cJSON *json)
{
    cJSON *item = cJSON_Duplicate(json, true), *schema;

    if (!item)
        return fail_memory();
    schema = cJSON_DetachItemFromObjectCaseSensitive(item, "schema");
    if (schema)
        cJSON_ReplaceItemInObjectCaseSensitive(several, "schema", schema);
    cJSON_AddItemToArray(several->child->next, item);
    return 0;
}

int render_several_end(struct ctl *ctl, int result)
{
    _cleanup_json_ cJSON *several = TAKE_PTR(ctl->several);
    int r = 0;

    if (several && several->child->next->child)
        r = render_json(ctl, several, NULL);
    return result != 0 ? result : r;
}

int render_json(const struct ctl *ctl, const cJSON *json, const char *list)
{
    int r = 0;

    if (ctl->globals.json == JSON_LINES && list) {
        json_for_each (item, json_member(json, list)) {
            r = render_json_line(item);
            if (r != 0)
                return r;
        }
        return 0;
    }
    if (ctl->several)
        return collect(ctl->several, json);
    if (ctl->globals.json != JSON_PRETTY)
        return render_json_line(json);
    r = print_pretty(stdout, json, 0);
    putchar('\n');
    return r;
}

const cJSON *json_member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

const char *json_text(const cJSON *object, const char *key, const char *otherwise)
{
    const cJSON *item = json_member(object, key);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

double json_number(const cJSON *object, const char *key, double otherwise)
{
    const cJSON *item = json_member(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

bool json_flag(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(json_member(object, key));
}

bool json_is_set(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);
    return item && !cJSON_IsNull(item);
}
