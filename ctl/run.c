/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "base/console.h"
#include "base/text.h"
#include "client.h"
#include "commands.h"
#include "failure.h"
#include "input.h"
#include "joblog.h"
#include "output.h"
#include "progress.h"
#include "render.h"
#include "repeat.h"
#include "run.h"
#include "screen.h"

/* `p2pctl run`: a task list, and the console text that belongs to it. */

#define TEXT_MAX ((size_t)900 * 1024) /* so that the call stays below 1 MiB */

/* A daemon that ends whenever it is asked will not get better by asking. */
#define LOSSES_MAX 20

struct run {
    struct ctl *ctl;
    struct console *console; /* owned */
    struct repeats repeats;  /* with --json: what was printed last about each task */
    struct progress progress;
    struct joblog joblog;
    char id[96];      /* of the workflow; "" before the plan */
    unsigned losses;  /* of the connection, without anything heard between them */
    bool has_plan;    /* the plan was told already: we look on again */
    bool is_attached; /* nothing is started, it is only looked on */
    double done;
    double total;
};

static void run_done(struct run *run)
{
    progress_wipe(&run->progress);
    console_free(run->console);
    repeats_done(&run->repeats);
    joblog_done(&run->joblog);
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
    return joblog_plan(&run->joblog, tasks);
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

/* Why it did not end well, and what can be done. */
static void hint_end(const struct run *run, const cJSON *object)
{
    double failed = json_number(object, "failed", 0), skipped = json_number(object, "skipped", 0);
    int size = output_short_id_size(run->id);

    if (!ctl_is_chatty(run->ctl) || failed + skipped == 0)
        return;
    fprintf(stderr, "hint: p2pctl workflow show %.*s", size, run->id);
    if (skipped > 0)
        fprintf(stderr, "; go on with the rest: p2pctl run --resume %.*s", size, run->id);
    if (failed > 0)
        fprintf(stderr, "; and with what failed: p2pctl run --resume-failed %.*s", size, run->id);
    fputc('\n', stderr);
}

static int take_end(struct run *run, const cJSON *object)
{
    char elapsed[RENDER_TEXT_MAX];
    double skipped = json_number(object, "skipped", 0), nodes = json_number(object, "nodes", 0);

    console_end(run->console);
    progress_wipe(&run->progress);
    print_lines(run);
    if (!run->ctl->globals.quiet) {
        fprintf(stderr, "%s: %.0f tasks, %.0f succeeded, %.0f failed, ", run->id,
                json_number(object, "total", 0), json_number(object, "succeeded", 0),
                json_number(object, "failed", 0));
        if (skipped > 0)
            fprintf(stderr, "%.0f not run, ", skipped);
        fprintf(stderr, "%s, %.0f node%s\n",
                render_elapsed(json_number(object, "elapsed_ms", 0) / 1000, elapsed), nodes,
                nodes == 1 ? "" : "s");
        hint_end(run, object);
    }
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
    bool is_dry = !run->is_attached && options_has(options, "dry-run");
    bool is_silent = is_dry || (!run->is_attached && options_has(options, "detach"));

    if (strcmp(type, "plan") == 0) {
        bool is_again = run->has_plan;
        run->has_plan = true;
        snprintf(run->id, sizeof(run->id), "%s", json_text(object, "id", ""));
        if (is_dry)
            return show_plan(run->ctl, object);
        if (is_silent)
            puts(run->id);
        return is_silent || is_again ? 0 : take_plan(run, object);
    }
    if (is_silent)
        return 0;
    if (last)
        return take_end(run, object);
    if (strcmp(type, "task") == 0) {
        joblog_add(&run->joblog, object);
        take_task(run, object);
    }
    return 0;
}

/* One object of the stream as JSON; a task that was told of without any change is not repeated. */
static int print_object(struct run *run, const cJSON *object)
{
    const char *type = json_text(object, "type", "");
    bool is_plan = strcmp(type, "plan") == 0;
    int r = 1;

    if (is_plan) {
        snprintf(run->id, sizeof(run->id), "%s", json_text(object, "id", ""));
        r = joblog_plan(&run->joblog, json_member(object, "tasks"));
        if (r != 0 || run->has_plan)
            return r;
        run->has_plan = true;
        return render_json_line(object);
    }
    if (strcmp(type, "task") == 0) {
        _cleanup_free_ char *text = json_format(object);
        joblog_add(&run->joblog, object);
        r = text ? repeats_add(&run->repeats, json_text(object, "task", ""), text) : -ENOMEM;
    }
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
                "\ndetached: %s goes on; look on again with: p2pctl workflow show -f %.*s; end it "
                "with: p2pctl workflow cancel %.*s\n",
                run->id, size, run->id, size, run->id);
    return EXIT_INTERRUPTED;
}

/* The stream of one call to its end. Return: 0, CLIENT_INTERRUPTED, CLIENT_LOST, or the exit code.
 */
static int take_stream(struct run *run, cJSON *parameters)
{
    struct ctl *ctl = run->ctl;
    bool last = false;
    int r = client_start(ctl, (struct call){"Run", parameters, -1, true, NULL});

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r != 0)
            break;
        if (ctl->globals.json == JSON_OFF) {
            r = take_object(run, object, last);
        } else {
            r = print_object(run, object);
            if (last && r == 0)
                r = json_number(object, "exit", 0) == 0 ? 0 : 1;
        }
        run->losses = 0;
        /* From here on the list is the daemon's: it goes on without us. */
        if (run->has_plan && *run->id)
            client_survive(ctl);
    }
    return r;
}

/* The daemon is gone. It goes on with the list when it runs again: so do we. */
static int take_up(struct run *run)
{
    struct ctl *ctl = run->ctl;
    cJSON *parameters;
    char hints[256];
    int r;

    progress_wipe(&run->progress);
    if (ctl_is_chatty(ctl) && run->losses == 0)
        fputs("lost the connection to p2pnode; waiting for it to run again\n", stderr);
    r = run->losses++ < LOSSES_MAX ? client_reconnect(ctl, ctl->globals.request_timeout_usec)
                                   : CLIENT_LOST;
    if (r == CLIENT_LOST) {
        snprintf(hints, sizeof(hints),
                 "%s goes on as soon as p2pnode runs again; look on with: p2pctl workflow show -f "
                 "%.*s",
                 run->id, output_short_id_size(run->id), run->id);
        return fail(ERROR_INTERNAL, NULL, hints, "lost the connection to p2pnode");
    }
    if (r != 0)
        return r;
    parameters = cJSON_CreateObject();
    json_add_string(parameters, "resume", run->id);
    json_add_bool(parameters, "attach", true);
    return take_stream(run, parameters);
}

static int follow(struct run *run, cJSON *parameters)
{
    int r;

    client_catch_interrupt();
    r = take_stream(run, parameters);
    while (r == CLIENT_LOST)
        r = take_up(run);
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

static int add_vars(const struct options *options, cJSON *parameters)
{
    cJSON *vars = options_has(options, "var") ? cJSON_AddArrayToObject(parameters, "vars") : NULL;
    const char *var;

    for (size_t i = 0; vars && (var = options_get_nth(options, "var", i)); i++) {
        if (*var == '=' || !strchr(var, '=') || !text_is_utf8(var, strlen(var)))
            return fail_usage("--var is K=V, not \"%s\"", var);
        cJSON_AddItemToArray(vars, cJSON_CreateString(var));
    }
    return 0;
}

static int add_flags(const struct options *options, cJSON *parameters)
{
    static const char *const flags[][2] = {{"keep-going", "keep_going"},
                                           {"wait-types", "wait_types"},
                                           {"detach", "detach"},
                                           {"dry-run", "dry_run"}};

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (options_has(options, flags[i][0]))
            json_add_bool(parameters, flags[i][1], true);
    if (options_has(options, "detach") && options_has(options, "joblog"))
        return fail_usage("--joblog is written while p2pctl looks on: not with --detach");
    if (options_has(options, "dry-run") && options_has(options, "joblog"))
        return fail_usage("--dry-run runs nothing that --joblog could tell of");
    return 0;
}

static int add_options(const struct options *options, cJSON *parameters)
{
    static const char *const orders[] = {"strict", "type", "free", NULL};
    const char *order = options_get(options, "order"), *retries = options_get(options, "retries");
    char *end = NULL;
    int r = options_check_word(options, "order", orders);

    if (r != 0)
        return r;
    if (order)
        json_add_string(parameters, "order", order);
    if (retries) {
        unsigned long count = strtoul(retries, &end, 10);
        if (*retries < '0' || *retries > '9' || *end != '\0' || count > 1000)
            return fail_usage("--retries is a number from 0 to 1000, not \"%s\"", retries);
        json_add_u64(parameters, "retries", count);
    }
    return add_vars(options, parameters);
}

/* A list that is taken up keeps its file and how it was to be run. */
static int add_resume(const struct options *options, cJSON *parameters)
{
    static const char *const fixed[] = {"order",      "keep-going", "retries",
                                        "wait-types", "dry-run",    "var"};
    const char *failed = options_get(options, "resume-failed");
    const char *id = failed ? failed : options_get(options, "resume");

    if (failed && options_has(options, "resume"))
        return fail_usage("--resume or --resume-failed, but not both");
    if (options->words_count > 0)
        return fail_usage("%s has its list already: give no file", id);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (options_has(options, fixed[i]))
            return fail_usage("%s is run as it was begun: not with --%s", id, fixed[i]);
    json_add_string(parameters, "resume", id);
    if (failed)
        json_add_bool(parameters, "failed", true);
    return 0;
}

static int run_init(struct run *run, struct ctl *ctl)
{
    run->ctl = ctl;
    repeats_init(&run->repeats);
    progress_init(&run->progress, ctl, run->id);
    joblog_init(&run->joblog);
    return console_new(&run->console) < 0 ? fail_memory() : 0;
}

int run_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    _cleanup_(run_done) struct run run = {0};
    int r = run_init(&run, ctl);

    if (r == 0)
        r = add_flags(options, parameters);
    if (r == 0 && (options_has(options, "resume") || options_has(options, "resume-failed"))) {
        r = add_resume(options, parameters);
    } else if (r == 0) {
        r = read_list(options->words_count > 0 ? options->words[0] : "tasks.txt", parameters);
        if (r == 0)
            r = add_options(options, parameters);
    }
    if (r == 0)
        r = joblog_open(&run.joblog, options_get(options, "joblog"));
    return r != 0 ? r : follow(&run, TAKE_PTR(parameters));
}

int run_attach(struct ctl *ctl, const char *id)
{
    cJSON *parameters = cJSON_CreateObject();
    _cleanup_(run_done) struct run run = {.is_attached = true};
    int r = run_init(&run, ctl);

    if (r != 0) {
        cJSON_Delete(parameters);
        return r;
    }
    json_add_string(parameters, "resume", id);
    json_add_bool(parameters, "attach", true);
    return follow(&run, parameters);
}
