/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/render.h"
#include "console/screen.h"

/* `p2pctl node show`: everything about one member, and what happened to it. */

static void print_member(const struct ctl *ctl, const cJSON *member)
{
    json_for_each (item, member) {
        _cleanup_free_ char *value = screen_value(item);
        char time[RENDER_TEXT_MAX];
        if (value && render_parse_time(value) > 0) {
            printf("%12s: %s\n", item->string, render_time(ctl, value, time));
            continue;
        }
        printf("%12s: ", item->string);
        if (value)
            render_text(stdout, *value ? value : "-", *value ? strlen(value) : 1);
        putchar('\n');
    }
}

int node_show_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = client_parameters(ctl);

    if (options_has(&ctl->options, "self") && ctl->options.words_count > 0) {
        cJSON_Delete(parameters);
        return fail_usage("name a node, or say --self, but not both");
    }
    if (ctl->options.words_count > 0)
        json_add_string(parameters, "name", ctl->options.words[0]);
    int r = client_call(ctl, (struct call){"ShowNode", parameters, -1, false, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    print_member(ctl, json_member(answer, "member"));
    render_timeline(ctl, json_member(answer, "timeline"));
    return 0;
}
