/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <syslog.h>
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "config/events.h"
#include "console/failure.h"
#include "console/render.h"
#include "console/window.h"

/* `p2pctl monitor`: the daemon's log live, and what goes over the wire in the first systems' texts.
 */

#define LEVEL_WIDTH     7
#define SUBSYSTEM_WIDTH 10

static enum tone tone_of(int level)
{
    return level <= LOG_ERR ? TONE_BAD : level <= LOG_WARNING ? TONE_WARN : TONE_PLAIN;
}

static void print_line(const struct ctl *ctl, const cJSON *line, bool wire)
{
    const char *level = json_text(line, "level", "?");
    char clock[RENDER_TEXT_MAX];

    if (strcmp(json_text(line, "type", ""), "missed") == 0) {
        fprintf(stderr, "(%.0f lines were missed)\n", json_number(line, "count", 0));
        return;
    }
    if (wire) {
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(line, "line", ""));
    } else {
        printf("%s  ", render_clock(ctl, json_text(line, "time", NULL), clock));
        render_tinted(ctl, stdout, tone_of(level_parse(level)), level);
        printf("%*s  ", (int)(LEVEL_WIDTH - MIN(strlen(level), (size_t)LEVEL_WIDTH)), "");
        printf("%-*s  ", SUBSYSTEM_WIDTH, json_text(line, "subsystem", "-"));
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(line, "message", ""));
    }
    putchar('\n');
}

static bool is_subsystem(const char *word)
{
    for (int i = 0; i < _SUBSYSTEM_MAX; i++)
        if (strcmp(subsystem_name((enum subsystem)i), word) == 0)
            return true;
    return false;
}

static int add_wishes(const struct ctl *ctl, cJSON *parameters)
{
    const char *level = options_get(&ctl->options, "log-level");
    const char *subsystem = options_get(&ctl->options, "subsystem");

    if (level && level_parse(level) < 0)
        return fail_usage("--log-level is err, warning, notice, info or debug, not \"%s\"", level);
    if (subsystem && !is_subsystem(subsystem))
        return fail_usage(
            "--subsystem is node, membership, liveness, gossip, messages, net, tasks, "
            "files or mem, not \"%s\"",
            subsystem);
    if (level)
        json_add_string(parameters, "level", level);
    if (subsystem)
        json_add_string(parameters, "subsystem", subsystem);
    if (options_has(&ctl->options, "wire"))
        json_add_bool(parameters, "wire", true);
    return 0;
}

int monitor_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = client_parameters(ctl);
    bool last = false, wire = options_has(&ctl->options, "wire");
    int r = add_wishes(ctl, parameters);

    if (r != 0)
        return r;
    interrupt_catch();
    r = client_start(ctl, (struct call){"Monitor", TAKE_PTR(parameters), -1, true, NULL});
    while (r == 0 && !last && !ferror(stdout)) {
        _cleanup_json_ cJSON *line = NULL;
        r = client_next(ctl, &line, &last);
        if (r == 0 && ctl->globals.json != JSON_OFF)
            r = render_json_line(line);
        else if (r == 0 && !last)
            print_line(ctl, line, wire);
        fflush(stdout);
    }
    return window_end(ctl, r);
}
