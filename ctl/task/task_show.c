/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/output.h"
#include "console/render.h"

/* `p2pctl task show`: all about a task, why it is where it is, and what happened to it. */

static enum mark mark_of(const char *state)
{
    if (strcmp(state, "succeeded") == 0)
        return MARK_DONE;
    if (strcmp(state, "running") == 0)
        return MARK_ALIVE;
    if (strcmp(state, "pending") == 0)
        return MARK_SUSPECT;
    return strcmp(state, "cancelled") == 0 ? MARK_LEFT : MARK_DEAD;
}

/* "failed: exit 1 on lab-07, attempt 3 of 3". */
static void print_state(const struct ctl *ctl, const cJSON *task)
{
    const char *state = json_text(task, "state", "?"), *node = json_text(task, "node", NULL);
    const char *reason = json_text(task, "reason", NULL);
    const cJSON *limits = json_member(task, "limits");
    double attempts = json_number(limits, "attempts", json_number(limits, "retries", 0) + 1);
    char elapsed[RENDER_TEXT_MAX];

    render_tinted(ctl, stdout, output_tone(state), state);
    if (json_number(task, "exit", 0) != 0)
        printf(": exit %.0f", json_number(task, "exit", 0));
    else if (output_has_crashed(task))
        printf(": signal %.0f", json_number(task, "signal", 0));
    else if (reason && strcmp(state, "succeeded") != 0) { /* what went before is in the timeline */
        fputs(": ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, reason);
    }
    bool is_in_reason = strcmp(state, "lost") == 0 || strcmp(state, "unknown") == 0 ||
                        (strcmp(state, "pending") == 0 && reason);
    if (node && !is_in_reason) {
        fputs(" on ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, node);
    }
    if (strcmp(state, "running") == 0 || strcmp(state, "succeeded") == 0)
        printf(" %s %s", strcmp(state, "running") == 0 ? "for" : "in",
               render_elapsed(json_number(task, "run_s", 0), elapsed));
    if (json_number(task, "attempt", 0) > 0)
        printf(", attempt %.0f of %.0f", json_number(task, "attempt", 0), attempts);
    putchar('\n');
}

static void print_head(const struct ctl *ctl, const cJSON *task)
{
    const char *state = json_text(task, "state", "?"), *name = json_text(task, "name", NULL);
    const char *type = json_text(task, "type", "?");

    render_tinted(ctl, stdout, output_tone(state), render_mark(mark_of(state)));
    fputc(' ', stdout);
    render_tinted(ctl, stdout, TONE_BOLD, json_text(task, "id", "?"));
    fputs("  ", stdout);
    if (name) {
        render_tinted(ctl, stdout, TONE_PLAIN, name);
        fputc(' ', stdout);
    }
    fputs(strcmp(type, "cmd") == 0 ? "(" : "(type ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, strcmp(type, "cmd") == 0 ? "command" : type);
    fputs(")  ", stdout);
    print_state(ctl, task);
}

static void print_owner(const struct ctl *ctl, const cJSON *task)
{
    const char *at = strchr(json_text(task, "id", ""), '@');

    fputs("    Owner: ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(task, "user", "?"));
    render_tinted(ctl, stdout, TONE_PLAIN, at ? at : "");
    if (json_is_set(task, "workflow")) {
        fputs(", workflow ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(task, "workflow", ""));
        if (json_is_set(task, "step"))
            printf(" (step %.0f of %.0f)", json_number(task, "step", 0),
                   json_number(task, "steps", 0));
    }
    printf(", confidential %s\n", json_flag(task, "confidential") ? "yes" : "no");
}

static void print_limits(const struct ctl *ctl, const cJSON *limits)
{
    char text[RENDER_TEXT_MAX];
    double slots = json_number(limits, "slots", 1);

    if (json_is_set(limits, "timeout_s"))
        printf("   Limits: timeout %s", render_span(json_number(limits, "timeout_s", 0), text));
    else
        fputs("   Limits: no timeout", stdout);
    printf(", memory %s", json_is_set(limits, "memory_bytes")
                              ? render_size(json_number(limits, "memory_bytes", 0), text)
                              : "unlimited");
    if (json_is_set(limits, "peak_bytes"))
        printf(" (peak %s)", render_size(json_number(limits, "peak_bytes", 0), text));
    if (json_is_set(limits, "cpus"))
        printf(", %.6g CPUs", json_number(limits, "cpus", 0));
    printf(", %.0f slot%s, sandbox ", slots, PLURAL(slots));
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(limits, "sandbox", "default"));
    putchar('\n');
}

static void print_files(const cJSON *files)
{
    static const char *const keys[][3] = {{"in", "in_bytes", "in"}, {"out", "out_bytes", ", out"}};
    char text[RENDER_TEXT_MAX];

    if (json_number(files, "in", 0) == 0 && json_number(files, "out", 0) == 0)
        return;
    fputs("    Files: ", stdout);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        double count = json_number(files, keys[i][0], 0);
        printf("%s %.0f", keys[i][2], count);
        if (count > 0)
            printf(" (%s)", render_size(json_number(files, keys[i][1], 0), text));
    }
    putchar('\n');
}

static void print_task(const struct ctl *ctl, const cJSON *task)
{
    const cJSON *tail = json_member(task, "stderr_tail");
    const char *id = json_text(task, "id", "?");

    print_head(ctl, task);
    print_owner(ctl, task);
    if (json_is_set(task, "command")) {
        fputs("  Command: ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(task, "command", ""));
        putchar('\n');
    }
    print_limits(ctl, json_member(task, "limits"));
    print_files(json_member(task, "files"));
    if (json_is_set(task, "output_lost")) {
        fputs("   Output: not whole: ", stdout);
        render_tinted(ctl, stdout, TONE_WARN, json_text(task, "output_lost", ""));
        putchar('\n');
    }
    render_timeline(ctl, json_member(task, "timeline"));
    if (cJSON_GetArraySize(tail) > 0)
        puts("  Last lines of stderr:");
    json_for_each (line, tail) {
        fputs("   ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, cJSON_IsString(line) ? line->valuestring : "");
        putchar('\n');
    }
    if (!ctl_is_chatty(ctl))
        return;
    fprintf(stderr, "hint: p2pctl task logs %.*s", output_short_id_size(id), id);
    if (output_has_ended(task) && strcmp(json_text(task, "state", ""), "succeeded") != 0)
        fprintf(stderr, "; run it again: p2pctl task retry %.*s", output_short_id_size(id), id);
    fputc('\n', stderr);
}

int task_show_run(struct ctl *ctl)
{
    if (ctl->options.words_count > 1)
        render_several(ctl, "tasks");
    for (size_t i = 0; i < ctl->options.words_count; i++) {
        _cleanup_json_ cJSON *answer = NULL;
        cJSON *parameters = client_parameters(ctl);
        json_add_string(parameters, "id", ctl->options.words[i]);
        int r = client_call(ctl, (struct call){"ShowTask", parameters, -1, false, NULL}, &answer);
        if (r == 0 && ctl->globals.json != JSON_OFF)
            r = render_json(ctl, answer, NULL);
        if (r != 0)
            return r;
        if (ctl->globals.json != JSON_OFF)
            continue;
        if (i > 0)
            putchar('\n');
        print_task(ctl, answer);
    }
    return 0;
}
