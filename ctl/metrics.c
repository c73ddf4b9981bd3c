/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "base/replace.h"
#include "client.h"
#include "commands.h"
#include "failure.h"
#include "render.h"

/* `p2pctl metrics`: what the daemon counts, as Prometheus reads it. */

#define MODE_ALL_READ 0644

int metrics_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    const char *path = options_get(&ctl->options, "textfile");
    int r = client_call(ctl, (struct call){"Metrics", client_parameters(ctl), -1, false, NULL},
                        &answer);

    if (r != 0)
        return r;
    const char *text = json_text(answer, "text", "");
    if (path) {
        r = replace_file(path, text, strlen(text), MODE_ALL_READ);
        return r < 0 ? fail(error_from_errno(r), strerror(-r), NULL, "cannot write %s", path) : 0;
    }
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    fputs(text, stdout);
    return 0;
}
