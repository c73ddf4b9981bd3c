/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "base/console.h"
#include "base/text.h"
#include "task/attach.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "task/joblog.h"
#include "console/output.h"
#include "console/progress.h"
#include "console/render.h"
#include "console/repeat.h"
#include "task/results.h"
#include "task/run.h"
#include "console/screen.h"
#include "again.h"
#include "task/wait.h"

/* `p2pctl run`: a task list, and the console text that belongs to it. */

struct run {
    struct ctl *ctl;
    struct console *console; /* owned */
    struct repeats repeats;  /* with --json: what was printed last about each task */
    struct progress progress;
    struct joblog joblog;
    int log_exit;              /* the exit code where it could not be written */
    struct attachments inputs; /* files that go with the list */
    cJSON *plan;               /* owned; of --dry-run */
    cJSON *results;            /* owned; by task: the id of one that has results to be brought */
    char id[96];               /* of the workflow; "" before the plan */
    struct again again;
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
    attachments_done(&run->inputs);
    cJSON_Delete(run->results);
    cJSON_Delete(run->plan);
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

/* With --results: which tasks have any to bring. */
static void note_results(struct run *run, const cJSON *object)
{
    if (!run->results)
        return;
    json_for_each (task, json_member(object, "tasks"))
        if (json_number(task, "out", 0) > 0)
            cJSON_AddNullToObject(run->results, json_text(task, "task", ""));
    const char *name = json_text(object, "task", ""), *id = json_text(object, "id", NULL);
    if (id && output_has_ended(object) && cJSON_HasObjectItem(run->results, name))
        cJSON_ReplaceItemInObjectCaseSensitive(run->results, name, cJSON_CreateString(id));
}

/* Brings them, each task's into a directory of its own. */
static int bring_results(struct run *run)
{
    const char *directory = run->results ? options_get(&run->ctl->options, "results") : NULL;
    int r = 0;

    json_for_each (task, run->results) {
        _cleanup_json_ cJSON *paths = NULL;
        _cleanup_free_ char *target = NULL;
        if (r != 0 || !cJSON_IsString(task))
            continue;
        if (asprintf(&target, "%s/%s", directory, task->string) < 0)
            return fail_memory();
        r = results_get(run->ctl, task->valuestring, target, false, &paths);
    }
    return r;
}

/* The log cannot be written any more: no reason to end what runs. */
static void tell_log(struct run *run, int error)
{
    progress_wipe(&run->progress);
    run->log_exit = fail(ERROR_INTERNAL, strerror(-error), NULL,
                         "cannot write %s, which is not whole; the tasks go on",
                         options_get(&run->ctl->options, "joblog"));
}

static void log_task(struct run *run, const cJSON *task)
{
    int r = joblog_add(&run->joblog, task);

    if (r < 0)
        tell_log(run, r);
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
    else if (output_has_crashed(object))
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
    } else if (output_has_ended(object)) {
        if (json_is_set(object, "started")) /* and ended before anybody could be told */
            console_started(run->console, name);
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
    double total = json_number(object, "total", 0);

    console_end(run->console);
    progress_wipe(&run->progress);
    print_lines(run);
    if (!run->ctl->globals.quiet) {
        fprintf(stderr, "%s: %.0f task%s, %.0f succeeded, %.0f failed, ", run->id, total,
                PLURAL(total), json_number(object, "succeeded", 0),
                json_number(object, "failed", 0));
        if (skipped > 0)
            fprintf(stderr, "%.0f not run, ", skipped);
        fprintf(stderr, "%s, %.0f node%s\n",
                render_elapsed(json_number(object, "elapsed_ms", 0) / 1000, elapsed), nodes,
                PLURAL(nodes));
        hint_end(run, object);
    }
    return json_number(object, "exit", 0) == 0 ? 0 : 1;
}

/* The files that go with the list. Return: 0, or the exit code, told. */
static int add_files(struct run *run, const cJSON *plan)
{
    int r = 0;

    json_for_each (path, json_member(plan, "inputs"))
        if (r == 0)
            r = attachments_add_file(run->ctl, &run->inputs, path->valuestring);
    return r;
}

/* Whether all is there that the tasks of the list take in. */
static int check_inputs(struct run *run)
{
    int r = add_files(run, run->plan);

    json_for_each (stored, json_member(run->plan, "stored")) {
        _cleanup_(file_names_done) struct file_names found = {0};
        const struct place place = {.rest = json_text(stored, "name", "")};
        r = r == 0 ? file_find(run->ctl, &place, &found) : r;
        if (r == 0 && !found.is_exact)
            r = fail(ERROR_NOT_FOUND, NULL, NULL, "%s: no file \"%s\" is stored on this node",
                     json_text(stored, "task", "?"), place.rest);
    }
    return r;
}

/* The plan as a table: what runs after what, and where it could. */
static int show_plan(struct run *run, cJSON *plan)
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
    return screen_show(run->ctl, &screen, plan, NULL);
}

static bool is_dry(const struct run *run)
{
    return !run->is_attached && options_has(&run->ctl->options, "dry-run");
}

/* Whether there is a list that goes on without us, or may do so. */
static bool begins_any(const struct run *run)
{
    return !run->is_attached && !is_dry(run);
}

/* Nothing else can be asked before the stream has ended. */
static int keep_plan(struct run *run, const cJSON *plan)
{
    run->plan = cJSON_Duplicate(plan, true);
    return run->plan ? 0 : fail_memory();
}

/* One object of the stream as text. @last: it ends the stream. */
static int take_object(struct run *run, cJSON *object, bool last)
{
    const struct options *options = &run->ctl->options;
    const char *type = json_text(object, "type", "");
    bool is_silent = is_dry(run) || (!run->is_attached && options_has(options, "detach"));

    if (strcmp(type, "plan") == 0) {
        bool is_again = run->has_plan;
        run->has_plan = true;
        snprintf(run->id, sizeof(run->id), "%s", json_text(object, "id", ""));
        if (is_dry(run))
            return keep_plan(run, object);
        if (is_silent)
            puts(run->id);
        note_results(run, object);
        return is_silent || is_again ? 0 : take_plan(run, object);
    }
    if (is_silent)
        return 0;
    if (last)
        return take_end(run, object);
    if (strcmp(type, "waiting") == 0) {
        progress_wipe(&run->progress);
        wait_tell(run->ctl, run->id, json_text(object, "task", ""),
                  json_text(object, "reason", ""));
    }
    if (strcmp(type, "task") == 0) {
        log_task(run, object);
        note_results(run, object);
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
        note_results(run, object);
        r = joblog_plan(&run->joblog, json_member(object, "tasks"));
        if (r != 0 || run->has_plan)
            return r;
        run->has_plan = true;
        if (is_dry(run) && (r = keep_plan(run, object)) != 0)
            return r;
        run->total = json_number(object, "total", 0);
        return render_json_line(object);
    }
    if (strcmp(type, "task") == 0) {
        _cleanup_free_ char *text = json_format(object);
        log_task(run, object);
        note_results(run, object);
        r = text ? repeats_add(&run->repeats, json_text(object, "task", ""), text) : -ENOMEM;
    }
    if (r < 0)
        return fail_memory();
    return r > 0 ? render_json_line(object) : 0;
}

/* The stream of --json has an end, also when nobody knows yet how the list ends. */
static void print_detached(const struct run *run)
{
    static const char *const unknown[] = {"succeeded", "failed",     "skipped",
                                          "nodes",     "elapsed_ms", "exit"};
    _cleanup_json_ cJSON *end = cJSON_CreateObject();

    json_add_string(end, "type", "end");
    json_add_string(end, "id", run->id);
    json_add_double(end, "total", run->total);
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
        json_add_null(end, unknown[i]);
    (void)render_json_line(end);
}

static int detach(struct run *run)
{
    int size = output_short_id_size(run->id);
    char hints[256];

    progress_wipe(&run->progress);
    if (run->has_plan && run->ctl->globals.json != JSON_OFF)
        print_detached(run);
    if (!*run->id && !begins_any(run))
        return EXIT_INTERRUPTED;
    if (!*run->id)
        return fail_interrupted("see: p2pctl workflow list",
                                "interrupted before the answer: it may have been submitted");
    snprintf(hints, sizeof(hints),
             "look on again with: p2pctl workflow show -f %.*s\n"
             "end it with: p2pctl workflow cancel %.*s",
             size, run->id, size, run->id);
    return fail_interrupted(hints, "detached: %s goes on", run->id);
}

/* With --detach the ID is all there is to tell. */
static int check_detached(struct run *run)
{
    char hint[256];

    if (run->is_attached || !*run->id || !options_has(&run->ctl->options, "detach") ||
        (fflush(stdout) == 0 && !ferror(stdout)))
        return 0;
    snprintf(hint, sizeof(hint), "%.100s was started: p2pctl workflow show %.100s", run->id,
             run->id);
    return fail_output(hint);
}

/* The stream of one call to its end. Who interrupts it before it has an ID waits for that a moment,
 * unless files are on their way, or until the next time. Return: 0, CLIENT_INTERRUPTED,
 * CLIENT_LOST, or the exit code. */
static int take_stream(struct run *run, cJSON *parameters)
{
    struct ctl *ctl = run->ctl;
    bool last = false, is_leaving = false;
    int r = client_start_with(ctl, (struct call){"Run", parameters, -1, true, NULL},
                              run->inputs.fds, run->inputs.fds_count);

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r == CLIENT_INTERRUPTED && begins_any(run) && !*run->id && !is_leaving &&
            run->inputs.fds_count == 0) {
            is_leaving = true;
            client_leave(ctl);
            r = 0;
            continue;
        }
        if (r != 0)
            break;
        if (ctl->globals.json == JSON_OFF) {
            r = take_object(run, object, last);
        } else {
            r = print_object(run, object);
            if (last && r == 0)
                r = json_number(object, "exit", 0) == 0 ? 0 : 1;
        }
        if (r == 0)
            r = check_detached(run);
        again_heard(&run->again);
        /* From here on the list is the daemon's: it goes on without us. */
        if (run->has_plan && *run->id)
            client_survive(ctl);
        if (r == 0 && !last && is_leaving)
            r = CLIENT_INTERRUPTED;
    }
    return r;
}

/* The daemon is gone. It goes on with the list when it runs again: so do we. */
static int take_up(struct run *run)
{
    cJSON *parameters;
    char command[128];

    progress_wipe(&run->progress);
    snprintf(command, sizeof(command), "workflow show -f %.*s", output_short_id_size(run->id),
             run->id);
    int r = again_connect(run->ctl, &run->again, run->id, command);
    if (r != 0)
        return r;
    attachments_done(&run->inputs); /* the daemon has them */
    parameters = cJSON_CreateObject();
    json_add_string(parameters, "resume", run->id);
    json_add_bool(parameters, "attach", true);
    return take_stream(run, parameters);
}

static int follow(struct run *run, cJSON *parameters)
{
    int r;

    interrupt_catch();
    r = take_stream(run, parameters);
    while (r == CLIENT_LOST)
        r = take_up(run);
    if (r == CLIENT_INTERRUPTED)
        return detach(run);
    if (r == 0 && run->plan)
        r = check_inputs(run);
    if (r == CLIENT_INTERRUPTED) /* nothing was begun */
        r = EXIT_INTERRUPTED;
    if (r == 0 && run->plan && run->ctl->globals.json == JSON_OFF)
        r = show_plan(run, run->plan);
    int brought = run->has_plan ? bring_results(run) : 0;
    int closed = joblog_close(&run->joblog);
    if (closed < 0)
        tell_log(run, closed);
    return r != 0 ? r : brought != 0 ? brought : run->log_exit;
}

/*
 * Files that details name go along with the list. Which those are is the daemon's to say, who alone
 * reads lists: a list without any such detail need not ask.
 */
static int add_inputs(struct run *run, const cJSON *parameters)
{
    _cleanup_json_ cJSON *asked = NULL, *plan = NULL;
    bool last = false;
    int r = 0;

    const char *text = json_text(parameters, "text", "");
    if ((!strstr(text, "in=") && !strstr(text, "python=")) || json_flag(parameters, "dry_run"))
        return 0;
    asked = cJSON_Duplicate(parameters, true);
    cJSON_DeleteItemFromObjectCaseSensitive(asked, "detach");
    json_add_bool(asked, "dry_run", true);
    r = client_start(run->ctl, (struct call){"Run", TAKE_PTR(asked), -1, false, NULL});
    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(run->ctl, &object, &last);
        if (r == 0 && !plan)
            plan = TAKE_PTR(object);
    }
    return r == 0 ? add_files(run, plan) : r;
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

    if (r == 0 && ctl->globals.node)
        r = fail(ERROR_USAGE, NULL, "where a step is to run is said in the list: a1 node=NODE",
                 "a list is run by this node only, not by another (-N)");
    if (r == 0)
        r = run_read_options(options, parameters);
    if (r == 0)
        r = add_inputs(&run, parameters);
    if (r == 0 && options_has(options, "results")) {
        run.results = cJSON_CreateObject();
        r = results_check(options_get(options, "results"));
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
