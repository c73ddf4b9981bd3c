/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "console/render.h"

/* A node that is to take no tasks for a while: drain, undrain. */

#define RUNNING_SHOWN_MAX 5

/* " handed to lab-11 (3), lab-01 (1)" behind the number of all. */
static void print_handed(const cJSON *handed)
{
    double total = 0;

    json_for_each (entry, handed)
        total += json_number(entry, "tasks", 0);
    if (total == 0)
        return;
    printf(", %.0f queued handed to", total);
    json_for_each (entry, handed) {
        const char *name = json_text(entry, "node", "?");
        fputs(entry == handed->child ? " " : ", ", stdout);
        render_text(stdout, name, strlen(name));
        printf(" (%.0f)", json_number(entry, "tasks", 0));
    }
}

/* "1 running  43@lab-01  8min 12s" */
static void print_running(const cJSON *answer)
{
    size_t shown = 0;

    printf("%.0f running", json_number(answer, "running", 0));
    json_for_each (task, json_member(answer, "tasks")) {
        char elapsed[RENDER_TEXT_MAX];
        const char *id = json_text(task, "id", "?");
        if (shown++ == RUNNING_SHOWN_MAX) {
            fputs(", ...", stdout);
            break;
        }
        fputs(shown == 1 ? "  " : ", ", stdout);
        render_text(stdout, id, strlen(id));
        printf("  %s", render_elapsed(json_number(task, "run_s", 0), elapsed));
    }
    putchar('\n');
}

static void show(const struct ctl *ctl, const cJSON *answer)
{
    const char *type = json_text(answer, "type", ""), *name = json_text(answer, "name", "it");
    bool runs = json_number(answer, "running", 0) > 0;

    if (strcmp(type, "draining") == 0) {
        render_text(stdout, name, strlen(name));
        printf(" is draining: %.0f running", json_number(answer, "running", 0));
        print_handed(json_member(answer, "handed"));
        putchar('\n');
        if (runs && options_has(&ctl->options, "wait"))
            print_running(answer);
    } else if (strcmp(type, "running") == 0) {
        print_running(answer);
    } else if (!runs) {
        render_text(stdout, name, strlen(name));
        printf(" is drained; undo with: p2pctl undrain ");
        render_text(stdout, name, strlen(name));
        putchar('\n');
    } else if (ctl_is_chatty(ctl)) {
        fprintf(stderr, "undo with: p2pctl undrain %s\n", name);
    }
}

/* `drain lab-05` is `drain -N lab-05`. Return: 0, or the exit code after telling. */
static int add_node(const struct ctl *ctl, cJSON *parameters)
{
    if (ctl->options.words_count == 0)
        return 0;
    if (ctl->globals.node)
        return fail_usage("name the node once: as argument or with -N");
    json_add_string(parameters, "node", ctl->options.words[0]);
    return 0;
}

static int detach(const struct ctl *ctl)
{
    const char *name = ctl->options.words_count > 0 ? ctl->options.words[0] : ctl->globals.node;
    const char *space = name ? " " : "";
    char hints[256];

    name = name ? name : "";
    snprintf(hints, sizeof(hints),
             "wait again with: p2pctl drain --wait%s%.64s\nundo with: p2pctl undrain%s%.64s", space,
             name, space, name);
    return fail_interrupted(hints, "detached: the node goes on draining");
}

int drain_run(struct ctl *ctl)
{
    static const char *const texts[] = {"reason", "deadline"}, *const flags[] = {"wait", "kill"};
    _cleanup_json_ cJSON *parameters = client_parameters(ctl);
    bool is_last = false, waits = options_has(&ctl->options, "wait");
    int r = add_node(ctl, parameters);

    if (r != 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (options_has(&ctl->options, texts[i]))
            json_add_string(parameters, texts[i], options_get(&ctl->options, texts[i]));
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (options_has(&ctl->options, flags[i]))
            json_add_bool(parameters, flags[i], true);
    if (waits)
        interrupt_catch();
    r = client_start(ctl, (struct call){"Drain", TAKE_PTR(parameters), -1, true, NULL});
    while (r == 0 && !is_last) {
        _cleanup_json_ cJSON *answer = NULL;
        r = client_next(ctl, &answer, &is_last);
        if (r != 0)
            break;
        if (ctl->globals.json != JSON_OFF && waits)
            r = render_json_line(answer);
        else if (ctl->globals.json != JSON_OFF) /* no stream: the last says all */
            r = is_last ? render_json(ctl, answer, NULL) : 0;
        else if (!ctl->globals.quiet)
            show(ctl, answer);
        (void)fflush(stdout);
    }
    return r == CLIENT_INTERRUPTED ? detach(ctl) : r;
}

int undrain_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = client_parameters(ctl), *answer = NULL;
    int r = add_node(ctl, parameters);

    if (r != 0)
        return r;
    r = client_call(ctl, (struct call){"Undrain", TAKE_PTR(parameters), -1, false, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    if (!ctl->globals.quiet)
        fprintf(stderr, "%s takes tasks again\n", json_text(answer, "name", "it"));
    return 0;
}
