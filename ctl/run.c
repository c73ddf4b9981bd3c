/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "base/console.h"
#include "base/text.h"
#include "client.h"
#include "commands.h"
#include "failure.h"
#include "input.h"
#include "output.h"
#include "progress.h"
#include "render.h"
#include "repeat.h"
#include "screen.h"

/* `p2pctl run`: a task list, and the console text that belongs to it. */

#define TEXT_MAX ((size_t)900 * 1024) /* so that the call stays below 1 MiB */

struct run {
    struct ctl *ctl;
    struct console *console; /* owned */
    struct repeats repeats;  /* with --json: what was printed last about each task */
    struct progress progress;
    char id[96]; /* of the workflow; "" before the plan */
    double done;
    double total;
};

static void run_done(struct run *run)
{
    progress_wipe(&run->progress);
    console_free(run->console);
    repeats_done(&run->repeats);
}

static void print_lines(struct run *run)
{
    const char *line = console_next_line(run->console);

    if (line)
        progress_wipe(&run->progress);
    for (; line; line = console_next_line(run->console))
        puts(line);
    fflush(stdout);
}

static int take_plan(struct run *run, const cJSON *object)
{
    const cJSON *tasks = json_member(object, "tasks");
    size_t count = (size_t)cJSON_GetArraySize(tasks), i = 0;
    _cleanup_free_ const char **names = calloc(count + 1, sizeof(*names));

    if (!names)
        return fail_memory();
    json_for_each (task, tasks)
        names[i++] = json_text(task, "task", "");
    snprintf(run->id, sizeof(run->id), "%s", json_text(object, "id", ""));
    run->total = json_number(object, "total", (double)count);
    int r = console_plan(run->console, names, count);
    if (r == -ENOMEM)
        return fail_memory();
    if (r < 0)
        return fail(ERROR_INTERNAL, NULL, NULL, "the daemon sends a plan that cannot be read");
    print_lines(run);
    return 0;
}

/* "exit 1", "signal 9", "timed out", or why it could not run at all. */
static void format_failure(const cJSON *object, const char *state, char *target, size_t size)
{
    if (json_is_set(object, "exit"))
        snprintf(target, size, "exit %.0f", json_number(object, "exit", 0));
    else if (strcmp(state, "timed-out") == 0)
        snprintf(target, size, "timed out");
    else if (json_is_set(object, "signal"))
        snprintf(target, size, "signal %.0f", json_number(object, "signal", 0));
    else
        snprintf(target, size, "%s", json_text(object, "reason", state));
}

static void take_task(struct run *run, const cJSON *object)
{
    const char *name = json_text(object, "task", ""), *state = json_text(object, "state", "");
    const char *node = json_text(object, "node", NULL);
    char what[192] = "", failure[256];

    if (strcmp(state, "running") == 0) {
        console_started(run->console, name);
        snprintf(what, sizeof(what), "%s%s%s", name, node ? " on " : "", node ? node : "");
    } else if (strcmp(state, "succeeded") == 0) {
        console_ended(run->console, name, NULL);
        run->done++;
    } else if (strcmp(state, "pending") != 0 && strcmp(state, "lost") != 0) {
        format_failure(object, state, failure, sizeof(failure));
        console_ended(run->console, name, failure);
        run->done++;
    }
    print_lines(run);
    progress_steps(&run->progress, run->done, run->total, what);
}

static int take_end(struct run *run, const cJSON *object)
{
    char elapsed[RENDER_TEXT_MAX];

    console_end(run->console);
    progress_wipe(&run->progress);
    print_lines(run);
    if (!run->ctl->globals.quiet)
        fprintf(stderr, "%s: %.0f tasks, %.0f succeeded, %.0f failed, %s, %.0f nodes\n", run->id,
                json_number(object, "total", 0), json_number(object, "succeeded", 0),
                json_number(object, "failed", 0),
                render_elapsed(json_number(object, "elapsed_ms", 0) / 1000, elapsed),
                json_number(object, "nodes", 0));
    return json_number(object, "exit", 0) == 0 ? 0 : 1;
}

/* The plan as a table: what runs after what, and where it could. */
static int show_plan(struct ctl *ctl, cJSON *plan)
{
    static const struct column columns[] = {{"STEP", "step", COLUMN_RIGHT, NULL},
                                            {"TASK", "task", COLUMN_NAME, NULL},
                                            {"TYPE", "type", 0, NULL},
                                            {"NODES", "nodes", 0, NULL}};
    static const struct screen screen = {"tasks", columns, ARRAY_SIZE(columns)};

    json_for_each (task, json_member(plan, "tasks"))
        json_for_each (type, json_member(plan, "types"))
            if (strcmp(json_text(type, "name", ""), json_text(task, "type", "?")) == 0)
                cJSON_AddItemToObject(task, "nodes",
                                      cJSON_Duplicate(json_member(type, "nodes"), true));
    return screen_show(ctl, &screen, plan, NULL);
}

/* One object of the stream as text. @last: it ends the stream. */
static int take_object(struct run *run, cJSON *object, bool last)
{
    const struct options *options = &run->ctl->options;
    const char *type = json_text(object, "type", "");
    bool silent = options_has(options, "detach") || options_has(options, "dry-run");

    if (strcmp(type, "plan") == 0) {
        snprintf(run->id, sizeof(run->id), "%s", json_text(object, "id", ""));
        if (options_has(options, "dry-run"))
            return show_plan(run->ctl, object);
        if (options_has(options, "detach"))
            puts(run->id);
        return silent ? 0 : take_plan(run, object);
    }
    if (silent)
        return 0;
    if (last)
        return take_end(run, object);
    if (strcmp(type, "task") == 0)
        take_task(run, object);
    return 0;
}

/* One object of the stream as JSON; a task that was told of without any change is not repeated. */
static int print_object(struct run *run, const cJSON *object)
{
    _cleanup_free_ char *text = json_format(object);
    int r = 1;

    if (!text)
        return fail_memory();
    if (strcmp(json_text(object, "type", ""), "task") == 0)
        r = repeats_add(&run->repeats, json_text(object, "task", ""), text);
    if (r < 0)
        return fail_memory();
    return r > 0 ? render_json_line(object) : 0;
}

static int detach(struct run *run)
{
    int size = output_short_id_size(run->id);

    progress_wipe(&run->progress);
    if (*run->id)
        fprintf(stderr,
                "\ndetached: %s goes on; see how far it is with: p2pctl task list -w %.*s; end a "
                "task of it with: p2pctl task cancel ID\n",
                run->id, size, run->id);
    return EXIT_INTERRUPTED;
}

static int follow(struct run *run, cJSON *parameters)
{
    struct ctl *ctl = run->ctl;
    bool last = false, json = ctl->globals.json != JSON_OFF;
    int r;

    client_catch_interrupt();
    r = client_start(ctl, (struct call){"Run", parameters, -1, true, NULL});
    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r != 0)
            break;
        if (!json)
            r = take_object(run, object, last);
        else
            r = print_object(run, object);
        if (json && last && r == 0)
            r = json_number(object, "exit", 0) == 0 ? 0 : 1;
    }
    return r == CLIENT_INTERRUPTED ? detach(run) : r;
}

/* Where the text stops being UTF-8 without NUL, as line and column; 0 where it never does. */
static size_t find_garbage(const uint8_t *text, size_t size, size_t *ret_column)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < size;) {
        size_t length = 1;
        while (length <= 4 && length <= size - i && !text_is_utf8(text + i, length))
            length++;
        if (length > 4 || length > size - i || text[i] == '\0') {
            *ret_column = column;
            return line;
        }
        column++;
        if (text[i] == '\n') {
            line++;
            column = 1;
        }
        i += length;
    }
    return 0;
}

static int tell_garbage(const char *path, size_t line, size_t column)
{
    _cleanup_json_ cJSON *details = cJSON_CreateArray();
    _cleanup_free_ char *text = NULL;

    if (asprintf(&text, "%s:%zu:%zu: this is not text in UTF-8", path, line, column) < 0)
        return fail_memory();
    cJSON_AddItemToArray(details, cJSON_CreateString(text));
    return fail_in_detail(ERROR_USAGE, details, NULL, "%s: 1 error, nothing was started", path);
}

static int read_list(const char *path, cJSON *parameters)
{
    _cleanup_free_ uint8_t *text = NULL;
    size_t size = 0, column = 0;
    int r = input_read(path, TEXT_MAX, &text, &size);

    if (r != 0)
        return r;
    size_t line = find_garbage(text, size, &column);
    if (line > 0)
        return tell_garbage(path, line, column);
    json_add_string(parameters, "text", (const char *)text);
    json_add_string(parameters, "file", path);
    return 0;
}

static int add_options(const struct options *options, cJSON *parameters)
{
    static const char *const flags[][2] = {{"keep-going", "keep_going"},
                                           {"wait-types", "wait_types"},
                                           {"detach", "detach"},
                                           {"dry-run", "dry_run"}};
    const char *order = options_get(options, "order"), *retries = options_get(options, "retries");
    char *end = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (options_has(options, flags[i][0]))
            json_add_bool(parameters, flags[i][1], true);
    if (order && strcmp(order, "strict") != 0 && strcmp(order, "type") != 0 &&
        strcmp(order, "free") != 0)
        return fail_usage("--order is strict, type or free, not \"%s\"", order);
    if (order)
        json_add_string(parameters, "order", order);
    if (retries) {
        unsigned long count = strtoul(retries, &end, 10);
        if (*retries < '0' || *retries > '9' || *end != '\0' || count > 1000)
            return fail_usage("--retries is a number from 0 to 1000, not \"%s\"", retries);
        json_add_u64(parameters, "retries", count);
    }
    return 0;
}

int run_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    _cleanup_(run_done) struct run run = {.ctl = ctl};
    const char *path = ctl->options.words_count > 0 ? ctl->options.words[0] : "tasks.txt";
    int r;

    repeats_init(&run.repeats);
    progress_init(&run.progress, ctl, run.id);
    if (console_new(&run.console) < 0)
        return fail_memory();
    r = read_list(path, parameters);
    if (r == 0)
        r = add_options(&ctl->options, parameters);
    return r != 0 ? r : follow(&run, TAKE_PTR(parameters));
}
