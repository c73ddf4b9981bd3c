/* SPDX-License-Identifier: MIT */
#include "since.h"

#include <string.h>
#include <time.h>
#include "base/json.h"
#include "base/text.h"
#include "console/failure.h"

/* Whether @rest, behind a time, is an offset from UTC: "Z", "+01:00". */
static bool read_offset(const char *rest, long *ret_sec)
{
    struct tm tm = {0};
    const char *end = strptime(rest, "%z", &tm);

    *ret_sec = tm.tm_gmtoff;
    return end && *end == '\0';
}

/* What strptime() fills in; -1 for none. Days that no month has are none. */
static time_t to_seconds(struct tm tm, bool is_utc)
{
    int day = tm.tm_mday;
    time_t seconds;

    tm.tm_isdst = -1;
    seconds = is_utc ? timegm(&tm) : mktime(&tm);
    return tm.tm_mday == day ? seconds : -1;
}

/* Local time where no zone is said. Return: seconds of wall time, -1 for anything else. */
static time_t parse_point(const char *text, bool is_utc)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                          "%Y-%m-%d %H:%M",    "%Y-%m-%d",
                                          "%H:%M:%S",          "%H:%M"};
    time_t now = time(NULL), seconds;

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct tm tm = {0};
        bool is_of_today = formats[i][1] == 'H';
        long offset = 0;
        if (is_of_today) {
            (void)(is_utc ? gmtime_r(&now, &tm) : localtime_r(&now, &tm));
            tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        }
        const char *rest = strptime(text, formats[i], &tm);
        if (rest && *rest == '\0')
            return to_seconds(tm, is_utc);
        if (!rest || i > 1 || !read_offset(rest, &offset))
            continue;
        seconds = to_seconds(tm, true);
        return seconds < 0 ? seconds : seconds - offset;
    }
    return -1;
}

int since_add(const struct ctl *ctl, cJSON *parameters)
{
    const char *text = options_get(&ctl->options, "since");
    uint64_t usec;

    if (!text)
        return 0;
    if (text_parse_usec(text, &usec) >= 0 || json_parse_time(text, &usec) >= 0) {
        json_add_string(parameters, "since", text);
        return 0;
    }
    time_t seconds = parse_point(text, ctl->globals.utc);
    if (seconds < 0)
        return fail_usage("--since is a duration such as 10s or 5min, or a time such as "
                          "\"2026-11-22 08:00\" or 08:00, not \"%s\"",
                          text);
    json_add_time(parameters, "since", MAX((uint64_t)seconds * USEC_PER_SEC, (uint64_t)1));
    return 0;
}
