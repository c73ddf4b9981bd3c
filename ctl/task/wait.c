/* SPDX-License-Identifier: MIT */
#include "task/wait.h"

#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "again.h"
#include "client.h"
#include "console/failure.h"
#include "console/output.h"
#include "console/render.h"

void wait_tell(const struct ctl *ctl, const char *id, const char *task, const char *reason)
{
    const char *noun = *id == 'w' ? "workflow" : "task";
    int size = output_short_id_size(id);

    if (ctl->globals.quiet || ctl->globals.json != JSON_OFF)
        return;
    fputs("waiting: ", stderr);
    render_tinted(ctl, stderr, TONE_PLAIN, id);
    fputs(": ", stderr);
    if (*task) {
        render_tinted(ctl, stderr, TONE_PLAIN, task);
        fputs(": ", stderr);
    }
    render_tinted(ctl, stderr, TONE_PLAIN, reason);
    fprintf(stderr,
            "\nhint: look closer: p2pctl %s show %.*s\nhint: give it up: p2pctl %s cancel %.*s\n",
            noun, size, id, noun, size, id);
}

/* The words of a command line, or NULL without memory: "task wait 42 43". */
static char *format_command(const struct wait *wait)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (!stream)
        return NULL;
    fputs("task wait", stream);
    for (size_t i = 0; i < wait->count; i++)
        fprintf(stream, " %s", wait->ids[i]);
    return fclose(stream) == 0 ? TAKE_PTR(text) : NULL;
}

static cJSON *new_parameters(const struct ctl *ctl, const struct wait *wait, usec_t deadline_usec)
{
    cJSON *parameters = wait->is_elsewhere ? client_parameters(ctl) : cJSON_CreateObject();
    cJSON *ids = cJSON_AddArrayToObject(parameters, "ids");
    char left[32];

    for (size_t i = 0; ids && i < wait->count; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateString(wait->ids[i]));
    if (wait->is_any)
        json_add_bool(parameters, "any", true);
    if (wait->state)
        json_add_string(parameters, "state", wait->state);
    if (wait->timeout)
        json_add_string(parameters, "timeout",
                        text_format_usec(usec_sub(deadline_usec, client_now()), left));
    return parameters;
}

/* One call to its end. Return: 0 with the last reply; CLIENT_INTERRUPTED, CLIENT_LOST; or the exit
 * code. */
static int ask(struct ctl *ctl, cJSON *parameters, struct again *again, cJSON **ret)
{
    bool last = false;
    int r = client_start(ctl, (struct call){"WaitTask", parameters, -1, true, NULL});

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r != 0)
            break;
        again_heard(again);
        if (last) {
            *ret = TAKE_PTR(object);
            break;
        }
        json_for_each (task, json_member(object, "tasks"))
            wait_tell(ctl, json_text(task, "id", ""), "", json_text(task, "reason", ""));
    }
    return r;
}

int wait_for_tasks(struct ctl *ctl, const struct wait *wait, cJSON **ret)
{
    _cleanup_free_ char *command = format_command(wait);
    usec_t timeout_usec = USEC_INFINITY;
    struct again again = {0};
    int r = client_connect(ctl);

    if (r != 0)
        return r;
    if (!command)
        return fail_memory();
    if (wait->timeout)
        (void)text_parse_usec(wait->timeout, &timeout_usec); /* checked by the table of options */
    usec_t deadline_usec = usec_add(client_now(), timeout_usec);
    client_survive(ctl);
    r = ask(ctl, new_parameters(ctl, wait, deadline_usec), &again, ret);
    while (r == CLIENT_LOST) {
        r = again_connect(ctl, &again, wait->count == 1 ? wait->ids[0] : "what was submitted",
                          command);
        if (r == 0)
            r = ask(ctl, new_parameters(ctl, wait, deadline_usec), &again, ret);
    }
    return r;
}
