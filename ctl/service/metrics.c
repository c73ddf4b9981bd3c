/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "base/replace.h"
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/render.h"

/* `p2pctl metrics` and `graph`: what the daemon counts, and the lab as a picture; texts for
 * programs. */

#define MODE_ALL_READ 0644

/* The text @key of what @method answers: to the file @path, as JSON, or as it is. */
static int show_text(struct ctl *ctl, const char *method, const char *key, const char *path)
{
    _cleanup_json_ cJSON *answer = NULL;
    int r =
        client_call(ctl, (struct call){method, client_parameters(ctl), -1, false, NULL}, &answer);

    if (r != 0)
        return r;
    const char *text = json_text(answer, key, "");
    if (path) {
        r = replace_file(path, text, strlen(text), MODE_ALL_READ);
        return r < 0 ? fail_to_write(path, -r) : 0;
    }
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    fputs(text, stdout);
    return 0;
}

int metrics_run(struct ctl *ctl)
{
    return show_text(ctl, "Metrics", "text", options_get(&ctl->options, "textfile"));
}

int graph_run(struct ctl *ctl)
{
    return show_text(ctl, "Graph", "svg", options_get(&ctl->options, "output-file"));
}
