/* SPDX-License-Identifier: MIT */
#include "console/window.h"

#include <stdio.h>
#include "base/json.h"
#include "client.h"
#include "console/failure.h"
#include "since.h"

#define FOLLOW_LINES "10" /* of the past, before what is new */

int window_add(const struct ctl *ctl, cJSON *parameters)
{
    const char *text = options_get(&ctl->options, "lines");
    bool follow = options_has(&ctl->options, "follow");
    char *end = NULL;
    int r = since_add(ctl, parameters);

    if (r != 0)
        return r;
    if (follow)
        json_add_bool(parameters, "follow", true);
    if (!text && follow && !options_has(&ctl->options, "since"))
        text = FOLLOW_LINES;
    if (!text)
        return 0;
    unsigned long lines = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || lines > 1000000)
        return fail_usage("-n is a number of lines, not \"%s\"", text);
    json_add_u64(parameters, "lines", lines);
    return 0;
}

int window_end(const struct ctl *ctl, int result)
{
    if (result != CLIENT_INTERRUPTED)
        return result;
    if (ctl->globals.json != JSON_OFF)
        puts("{\"type\":\"end\"}");
    return 0;
}
