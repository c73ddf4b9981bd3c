/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "base/glob.h"
#include "base/text.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "config/events.h"
#include "console/failure.h"
#include "console/render.h"
#include "console/screen.h"
#include "console/window.h"

/* `p2pctl events`: what happened, from the daemon's history and live; in the first systems' texts
 * too. */

#define TYPE_WIDTH    16
#define SUBJECT_WIDTH 10

static enum tone tone_of(const char *type)
{
    static const char *const bad[] = {"member-dead", "task-lost", "problem", "dead-report"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (strcmp(bad[i], type) == 0)
            return TONE_BAD;
    return strcmp(type, "member-suspect") == 0 ? TONE_WARN : TONE_PLAIN;
}

/* What stands behind @start, and @text itself where that is not how it begins. */
static const char *skip(const char *text, const char *start)
{
    size_t size = strlen(start);

    return strncmp(text, start, size) == 0 ? text + size : text;
}

/*
 * The message without what the columns before it say: "member lab-07 suspect, reported by lab-03"
 * is "by lab-03" beside member-suspect and lab-07.
 */
static const char *detail_of(const cJSON *event, const char *type, const char *subject)
{
    const char *message = json_text(event, "message", ""), *rest = message;
    size_t size = strlen(subject);

    rest = skip(skip(rest, "member "), "task ");
    if (rest == message || strncmp(rest, subject, size) != 0 || (rest[size] != ' ' && rest[size]))
        return message;
    rest = skip(rest + size, " ");
    const char *state = strncmp(type, "member-", 7) == 0 ? type + 7 : "";
    const char *behind = *state ? skip(rest, state) : rest;
    if (behind != rest && *behind && *behind != ',' && *behind != ':')
        return rest; /* "joined from ..." */
    return skip(skip(behind, ", reported "), ": ");
}

static void print_padded(const struct ctl *ctl, enum tone tone, const char *text, size_t width)
{
    size_t size = strlen(text);

    render_tinted(ctl, stdout, tone, text);
    printf("%*s  ", size < width ? (int)(width - size) : 0, "");
}

/* "moved from lab-07 to lab-11: node dead" with an arrow. */
static void print_move(const char *text)
{
    char source[64], target[64];
    const char *move = strstr(text, "moved from ");
    int size = 0;

    if (!move || sscanf(move, "moved from %63s to %63[^: ]%n", source, target, &size) != 2) {
        render_text(stdout, text, strlen(text));
        return;
    }
    render_text(stdout, text, (size_t)(move - text));
    render_text(stdout, source, strlen(source));
    printf(" %s ", render_mark(MARK_ARROW));
    render_text(stdout, target, strlen(target));
    render_text(stdout, move + size, strlen(move + size));
}

static void print_event(const struct ctl *ctl, const cJSON *event, bool seed)
{
    const char *line = json_text(event, "line", NULL), *type = json_text(event, "type", "?");
    const char *subject = json_text(event, "task", json_text(event, "node", "-"));
    char clock[RENDER_TEXT_MAX];

    if (seed) {
        if (line) {
            render_text(stdout, line, strlen(line));
            putchar('\n');
        }
        return;
    }
    printf("%s  ", render_clock(ctl, json_text(event, "time", NULL), clock));
    print_padded(ctl, tone_of(type), type, TYPE_WIDTH);
    print_padded(ctl, TONE_PLAIN, subject, SUBJECT_WIDTH);
    if (strcmp(type, "task-moved") == 0)
        print_move(detail_of(event, type, subject));
    else
        render_tinted(ctl, stdout, TONE_PLAIN, detail_of(event, type, subject));
    putchar('\n');
}

static void time_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    char clock[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_clock(ctl, json_text(row, "time", NULL), clock));
}

/* The list as a table, for whoever chooses columns; --sort and --filter do without. */
static const struct column columns[] = {
    {"TIME", "time", COLUMN_NAME, time_cell}, {"TYPE", "type", COLUMN_NAME, NULL},
    {"NODE", "node", COLUMN_NAME, NULL},      {"TASK", "task", COLUMN_NAME, NULL},
    {"MESSAGE", "message", 0, NULL},          {"SEQ", "seq", COLUMN_RIGHT | COLUMN_EXTRA, NULL},
    {"LINE", "line", COLUMN_EXTRA, NULL}};
const struct screen event_screen = {"events", columns, ARRAY_SIZE(columns)};

/* Return: 0, or the exit code after the mistake was told. */
static int check_stream_options(const struct ctl *ctl)
{
    const struct globals *globals = &ctl->globals;
    const char *name = globals->output ? "-o" : globals->is_sorted ? "--sort" : NULL;
    _cleanup_json_ cJSON *none = cJSON_CreateObject();
    bool is_wanted;

    if (name)
        return fail_usage("%s is for lists, and -f makes a stream; --type and --filter choose "
                          "events",
                          name);
    return screen_wants(ctl, &event_screen, none, &is_wanted);
}

static int follow_events(struct ctl *ctl, cJSON *parameters, bool seed)
{
    bool last = false;
    int r;

    interrupt_catch();
    r = client_start(ctl, (struct call){"Events", parameters, -1, true, NULL});
    while (r == 0 && !last && !ferror(stdout)) {
        _cleanup_json_ cJSON *event = NULL;
        bool is_wanted = true;
        r = client_next(ctl, &event, &last);
        if (r == 0 && !last)
            r = screen_wants(ctl, &event_screen, event, &is_wanted);
        if (!is_wanted)
            continue;
        if (r == 0 && ctl->globals.json != JSON_OFF) {
            r = render_json_line(event);
        } else if (r == 0 && !last) {
            print_event(ctl, event, seed);
            fflush(stdout);
        }
    }
    return window_end(ctl, r);
}

/* A word that no event bears would be waited for in vain. */
static int check_type(const char *glob)
{
    const char *words[_EVENT_MAX + 1] = {0};

    for (int i = 0; i < _EVENT_MAX; i++) {
        words[i] = event_get_info((enum event)i)->name;
        if (glob_matches(glob, words[i]))
            return 0;
    }
    const char *near = text_closest(glob, words);
    _cleanup_free_ char *hint = NULL;
    if (near && asprintf(&hint, "did you mean \"%s\"?", near) < 0)
        return fail_memory();
    return fail(ERROR_USAGE, NULL, hint, "no event is of type \"%s\"", glob);
}

/* "member-*,task-ended" into a list. */
static int add_types(const char *text, cJSON *parameters)
{
    cJSON *types = text ? cJSON_AddArrayToObject(parameters, "types") : NULL;

    while (types && text) {
        size_t size = strcspn(text, ",");
        _cleanup_free_ char *type = strndup(text, size);
        int r = type ? check_type(type) : fail_memory();
        if (r != 0)
            return r;
        cJSON_AddItemToArray(types, cJSON_CreateString(type));
        text = text[size] == ',' ? text + size + 1 : NULL;
    }
    return 0;
}

/* The last @count of the list. */
static void keep_last(cJSON *events, size_t count)
{
    for (size_t size = (size_t)cJSON_GetArraySize(events); size > count; size--)
        cJSON_Delete(cJSON_DetachItemFromArray(events, 0));
}

/* The history, of which -n counts what --filter has left over. */
static int list_events(struct ctl *ctl, cJSON *parameters, bool seed)
{
    _cleanup_json_ cJSON *answer = NULL;
    bool is_filtered = ctl->globals.filters_count > 0;
    const char *lines = options_get(&ctl->options, "lines");

    if (is_filtered)
        cJSON_DeleteItemFromObjectCaseSensitive(parameters, "lines");
    int r =
        client_list(ctl, (struct call){"Events", parameters, -1, false, NULL}, "events", &answer);
    if (r != 0)
        return r;
    cJSON *events = cJSON_GetObjectItemCaseSensitive(answer, "events");
    for (size_t i = 0; i < ctl->globals.filters_count && r == 0; i++)
        r = screen_filter(ctl, &event_screen, ctl->globals.filters[i], events);
    if (r == 0 && is_filtered && lines)
        keep_last(events, strtoul(lines, NULL, 10));
    if (r != 0 || ctl->globals.output || ctl->globals.json != JSON_OFF)
        return r != 0 ? r : screen_show(ctl, &event_screen, answer, NULL);
    r = screen_select(ctl, &event_screen, answer);
    json_for_each (event, r == 0 ? events : NULL)
        print_event(ctl, event, seed);
    return r;
}

int events_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = client_parameters(ctl);
    const char *format = options_get(&ctl->options, "format");
    bool seed = format && strcmp(format, "seed") == 0;
    int r;

    if (format && !seed && strcmp(format, "text") != 0)
        return fail_usage("--format is text or seed, not \"%s\"", format);
    r = window_add(ctl, parameters);
    if (r == 0)
        r = add_types(options_get(&ctl->options, "type"), parameters);
    if (r != 0)
        return r;
    if (options_has(&ctl->options, "follow"))
        r = check_stream_options(ctl);
    if (r != 0)
        return r;
    if (options_has(&ctl->options, "follow"))
        return follow_events(ctl, TAKE_PTR(parameters), seed);
    return list_events(ctl, TAKE_PTR(parameters), seed);
}
