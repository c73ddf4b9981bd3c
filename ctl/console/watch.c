/* SPDX-License-Identifier: MIT */
#include "console/watch.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/text.h"
#include "client.h"
#include "interrupt.h"
#include "console/failure.h"
#include "console/render.h"

#define INTERVAL_USEC     (2 * USEC_PER_SEC)
#define INTERVAL_USEC_MIN (100 * USEC_PER_MSEC)

static int read_interval(const struct options *options, usec_t *ret)
{
    const char *text = options_get(options, "watch");

    *ret = INTERVAL_USEC;
    if (text && (text_parse_usec(text, ret) < 0 || *ret < INTERVAL_USEC_MIN))
        return fail_usage("--watch is a duration of at least 100ms, not \"%s\"", text);
    return 0;
}

int watch_run(struct ctl *ctl)
{
    usec_t interval;
    int r = read_interval(&ctl->options, &interval);

    if (r != 0)
        return r;
    ctl->shown = cJSON_CreateObject();
    if (!ctl->shown)
        return fail_memory();
    interrupt_catch();
    for (;;) {
        if (ctl->globals.stdout_is_tty && ctl->globals.json == JSON_OFF)
            fputs("\033[H\033[J", stdout);
        r = render_several_end(ctl, ctl->command->run(ctl));
        fflush(stdout);
        if (r == 0)
            r = client_pause(interval);
        if (r != 0 || ferror(stdout))
            return r == CLIENT_INTERRUPTED ? 0 : r;
        /* In a pipe the table has one header. */
        ctl->globals.no_header |= !ctl->globals.stdout_is_tty;
    }
}

/* The row without what changes by itself; owned by the caller. */
static char *describe(const cJSON *row)
{
    static const char *const ages[] = {"last_seen", "rtt_ms", "wait_s", "run_s", "ttl_s"};
    _cleanup_json_ cJSON *copy = cJSON_Duplicate(row, true);

    for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(copy, ages[i]);
    return copy ? json_format(copy) : NULL;
}

void watch_drop_shown(struct ctl *ctl, const char *list, cJSON *answer)
{
    cJSON *rows = cJSON_GetObjectItemCaseSensitive(answer, list), *shown = cJSON_CreateObject();

    for (cJSON *row = rows ? rows->child : NULL, *next; row; row = next) {
        _cleanup_free_ char *text = describe(row);
        next = row->next;
        if (!text)
            continue;
        bool known = cJSON_GetObjectItemCaseSensitive(ctl->shown, text) != NULL;
        cJSON_AddTrueToObject(shown, text);
        if (known)
            cJSON_Delete(cJSON_DetachItemViaPointer(rows, row));
    }
    cJSON_Delete(ctl->shown);
    ctl->shown = shown;
}
