/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include "base/text.h"
#include "task/attach.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "task/function.h"
#include "console/output.h"
#include "console/render.h"
#include "task/results.h"
#include "console/screen.h"
#include "console/progress.h"
#include "task/wait.h"

/* `p2pctl submit`: queue a task; with --wait or -f stay until it ended and hand its code on. */

#define NUMBER_MAX UINT64_C(999999999999999) /* as in a list */

/* "a1" into type and number. */
static int parse_token(const char *token, cJSON *parameters)
{
    size_t letters = 0;
    char type[33];
    char *end = NULL;

    while ((token[letters] >= 'a' && token[letters] <= 'z') ||
           (token[letters] >= 'A' && token[letters] <= 'Z'))
        letters++;
    if (letters > 0 && token[letters] == '\0')
        return fail(ERROR_USAGE, NULL, NULL,
                    "\"%s\" has no number; a task is a type letter and a number, for example %.1s1",
                    token, token);
    unsigned long long number = strtoull(token + letters, &end, 10);
    if (letters == 0 || letters >= sizeof(type) || token[letters] < '0' || token[letters] > '9' ||
        *end != '\0' || number > NUMBER_MAX)
        return fail(ERROR_USAGE, NULL, "to run a command: p2pctl submit -- COMMAND ...",
                    "\"%s\" is no task; a task is a type letter and a number, for example a1",
                    token);
    memcpy(type, token, letters);
    type[letters] = '\0';
    json_add_string(parameters, "type", type);
    json_add_u64(parameters, "number", number);
    return 0;
}

/* JSON is UTF-8; an argument that is not cannot be sent. */
static int add_words(cJSON *parameters, const char *key, const struct options *options,
                     size_t first)
{
    cJSON *list = cJSON_AddArrayToObject(parameters, key);

    for (size_t i = first; list && i < options->words_count; i++) {
        if (!text_is_utf8(options->words[i], strlen(options->words[i])))
            return fail_usage("argument %zu is not UTF-8", i - first + 1);
        cJSON_AddItemToArray(list, cJSON_CreateString(options->words[i]));
    }
    return 0;
}

static int add_work(const struct options *options, cJSON *parameters)
{
    int r;

    if (options->words_count == 0)
        return fail(ERROR_USAGE, NULL,
                    "a typed task: p2pctl submit a1\nor a command: p2pctl submit -- COMMAND ...\n"
                    "or a function: p2pctl submit --python FILE:FUNCTION",
                    "submit what?");
    if (options->dashes == 0)
        return add_words(parameters, "argv", options, 0);
    r = parse_token(options->words[0], parameters);
    if (r == 0 && options->words_count > 1)
        r = add_words(parameters, "args", options, 1);
    return r;
}

static int add_limits(const struct options *options, cJSON *parameters)
{
    static const char *const durations[][2] = {{"timeout", "timeout"},
                                               {"retry-delay", "retry_delay"}};
    const char *retries = options_get(options, "retries"), *env, *text;
    static const char *const sandboxes[] = {"landlock", "namespaces", "full", NULL};
    const char *memory = options_get(options, "memory"), *cpus = options_get(options, "cpus");
    uint32_t milli = 0;
    uint64_t size;
    char *end = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(durations); i++)
        if (options_has(options, durations[i][0]))
            json_add_string(parameters, durations[i][1], options_get(options, durations[i][0]));
    int r = options_check_word(options, "sandbox", sandboxes);
    if (r != 0)
        return r;
    if (options_has(options, "sandbox"))
        json_add_string(parameters, "sandbox", options_get(options, "sandbox"));
    if (memory && (text_parse_size(memory, &size) < 0 || size == 0))
        return fail_usage("--memory is a size above 0, for example 512MiB or 2G, not \"%s\"",
                          memory);
    if (memory)
        json_add_string(parameters, "memory", memory);
    if (cpus && (text_parse_milli(cpus, &milli) < 0 || milli == 0))
        return fail_usage("--cpus is a number above 0, for example 1.5, not \"%s\"", cpus);
    if (cpus)
        json_add_string(parameters, "cpus", cpus);
    if (retries) {
        unsigned long count = strtoul(retries, &end, 10);
        if (*retries < '0' || *retries > '9' || *end != '\0' || count > 1000)
            return fail_usage("--retries is a number from 0 to 1000, not \"%s\"", retries);
        json_add_u64(parameters, "retries", count);
    }
    cJSON *after =
        options_has(options, "after") ? cJSON_AddArrayToObject(parameters, "after") : NULL;
    for (size_t i = 0; after && (text = options_get_nth(options, "after", i)); i++) {
        if (!text_is_utf8(text, strlen(text)))
            return fail_usage("--after is ID[:ok|any|failed], not \"%s\"", text);
        cJSON_AddItemToArray(after, cJSON_CreateString(text));
    }
    cJSON *list = options_has(options, "env") ? cJSON_AddArrayToObject(parameters, "env") : NULL;
    for (size_t i = 0; list && (env = options_get_nth(options, "env", i)); i++) {
        if (*env == '=' || !strchr(env, '=') || !text_is_utf8(env, strlen(env)))
            return fail_usage("--env is K=V, not \"%s\"", env);
        cJSON_AddItemToArray(list, cJSON_CreateString(env));
    }
    return 0;
}

static int add_place(const struct ctl *ctl, cJSON *parameters)
{
    const struct options *options = &ctl->options;
    const char *select = options_get(options, "select"), *name = options_get(options, "name");
    const char *on_done = options_get(options, "on-done");
    bool confidential = options_has(options, "confidential");

    if (confidential && select)
        return fail(ERROR_CONFIDENTIAL, NULL, NULL,
                    "confidential work never leaves this node: --confidential contradicts "
                    "--select");
    if (select && ctl->globals.node)
        return fail_usage("name a node by -N or select nodes by --select, but not both");
    if (ctl->globals.node)
        json_add_string(parameters, "run_on", ctl->globals.node);
    if (select)
        json_add_string(parameters, "select", select);
    if (name && !text_is_utf8(name, strlen(name)))
        return fail_usage("--name is text in UTF-8, not \"%s\"", name);
    if (on_done && !text_is_utf8(on_done, strlen(on_done)))
        return fail_usage("--on-done is text in UTF-8, not \"%s\"", on_done);
    if (confidential)
        json_add_bool(parameters, "confidential", true);
    if (name)
        json_add_string(parameters, "name", name);
    if (on_done)
        json_add_string(parameters, "on_done", on_done);
    if (options_has(options, "dry-run"))
        json_add_bool(parameters, "dry_run", true);
    return 0;
}

static void free_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    (void)ctl;
    if (json_is_set(row, "free"))
        cell_printf(cell, "%.0f", json_number(row, "free", 0));
}

static void load_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    (void)ctl;
    if (json_is_set(row, "load"))
        cell_printf(cell, "%.2f", json_number(row, "load", 0));
}

/* Where it would run, and the verdict about every node. */
static int show_placement(struct ctl *ctl, cJSON *answer)
{
    static const struct column columns[] = {{"NODE", "name", COLUMN_NAME, NULL},
                                            {"LOAD", "load", COLUMN_RIGHT, load_cell},
                                            {"FREE", "free", COLUMN_RIGHT, free_cell},
                                            {"VERDICT", "verdict", 0, NULL}};
    static const struct screen screen = {"candidates", columns, ARRAY_SIZE(columns)};
    const char *node = json_text(answer, "node", NULL), *reason = json_text(answer, "reason", NULL);

    if (ctl->globals.json != JSON_OFF)
        return screen_show(ctl, &screen, answer, NULL);
    fputs(node ? "would run on " : "would wait", stdout);
    render_tinted(ctl, stdout, TONE_BOLD, node ? node : "");
    if (reason) {
        fputs(node ? " (" : ": ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, reason);
        fputs(node ? ")" : "", stdout);
    }
    putchar('\n');
    return screen_show(ctl, &screen, answer, NULL);
}

static void say_submitted(const struct ctl *ctl, const cJSON *answer)
{
    const char *id = json_text(answer, "id", "?"), *node = json_text(answer, "node", NULL);
    const char *reason = json_text(answer, "reason", NULL), *type = json_text(answer, "type", "?");

    if (!ctl_is_chatty(ctl))
        return;
    fputs(strcmp(type, "cmd") == 0 ? "submitted: " : "submitted: type ", stderr);
    render_tinted(ctl, stderr, TONE_PLAIN, strcmp(type, "cmd") == 0 ? "command" : type);
    if (node) {
        fprintf(stderr, " %s ", render_mark(MARK_ARROW));
        render_tinted(ctl, stderr, TONE_PLAIN, node);
    }
    if (reason && node) {
        fputs(" (", stderr);
        render_tinted(ctl, stderr, TONE_PLAIN, reason);
        fputc(')', stderr);
    }
    fprintf(stderr, "; follow it with: p2pctl task logs -f %.*s\n", output_short_id_size(id), id);
}

/* That no node can take it now is no secret of terminals. What --after names is known. */
static void say_waiting(const struct ctl *ctl, const cJSON *answer)
{
    const char *reason = json_text(answer, "reason", "");

    if (*reason && !json_is_set(answer, "node") && !options_has(&ctl->options, "after"))
        wait_tell(ctl, json_text(answer, "id", "?"), "", reason);
}

/* The answer of a plain submit. Who cannot be told it there still has to know the ID. */
static int print_answer(const struct ctl *ctl, const cJSON *answer)
{
    const char *id = json_text(answer, "id", "?");
    char hint[256];
    int r = 0;

    if (ctl->globals.json != JSON_OFF)
        r = render_json(ctl, answer, NULL);
    else
        puts(id);
    (void)fflush(stdout);
    if (!ferror(stdout))
        return r;
    snprintf(hint, sizeof(hint), "%.100s was submitted: p2pctl task show %.100s", id, id);
    return fail_output(hint);
}

static int detach(const struct ctl *ctl, const cJSON *answer, bool stays)
{
    const char *id = json_text(answer, "id", "");
    int size = output_short_id_size(id);
    char hints[256];

    if (!*id)
        return fail_interrupted("see: p2pctl task list --mine",
                                "interrupted before the answer: it may have been submitted");
    if (stays)
        output_print_unknown(ctl, id, answer);
    else
        (void)print_answer(ctl, answer);
    snprintf(hints, sizeof(hints),
             "come back with: p2pctl task logs -f %.*s\ncancel it with: p2pctl task cancel %.*s",
             size, id, size, id);
    return fail_interrupted(hints, "detached: %s goes on", id);
}

/* Without -f nothing is shown before the end, and then only what the last attempt said; of a
 * function nothing that looks like its result and is a part of it. */
static int show_output(struct ctl *ctl, const char *id, cJSON **ret_end)
{
    bool follow = options_has(&ctl->options, "follow");
    _cleanup_json_ cJSON *answer = NULL;
    int r = follow ? 0 : wait_for_tasks(ctl, &(struct wait){.ids = &id, .count = 1}, &answer);
    const cJSON *task = cJSON_GetArrayItem(json_member(answer, "tasks"), 0);
    bool is_broken = function_is_asked(&ctl->options) && json_is_set(task, "output_lost");

    return r != 0 ? r : output_follow(ctl, id, follow, is_broken ? "stderr" : NULL, ret_end);
}

/* Its results, where it left any, and what is to be said of them. Return: as results_get(). */
static int fetch_results(struct ctl *ctl, const char *id, const cJSON *end, cJSON **ret_paths)
{
    const char *directory = options_get(&ctl->options, "results"), *note;

    if (!options_has(&ctl->options, "out"))
        return 0;
    note = json_text(end, "reason", "");
    if (*note && strcmp(json_text(end, "state", ""), "succeeded") == 0 && !ctl->globals.quiet &&
        ctl->globals.json == JSON_OFF) {
        fputs("note: ", stderr);
        render_tinted(ctl, stderr, TONE_PLAIN, note);
        fputc('\n', stderr);
    }
    return results_get(ctl, id, directory ? directory : ".", true, ret_paths);
}

static int detach_results(const char *id)
{
    char hints[128];

    snprintf(hints, sizeof(hints), "the results can be had with: p2pctl task get %.*s",
             output_short_id_size(id), id);
    return fail_interrupted(hints, "interrupted");
}

static int stay(struct ctl *ctl, const cJSON *answer)
{
    const char *id = json_text(answer, "id", "");
    bool follow = options_has(&ctl->options, "follow");
    _cleanup_json_ cJSON *end = NULL, *paths = NULL;
    int r = 0;

    if (ctl->globals.json != JSON_OFF && !output_is_whole(ctl)) {
        _cleanup_json_ cJSON *first = cJSON_CreateObject();
        json_add_string(first, "type", "submitted");
        json_add_string(first, "id", id);
        r = render_json_line(first);
    } else if (follow && ctl_is_chatty(ctl)) {
        fprintf(stderr, "%s\n", id);
    }
    if (r == 0)
        r = show_output(ctl, id, &end);
    if (r == CLIENT_INTERRUPTED)
        return detach(ctl, answer, true);
    if (r == 0 && output_is_whole(ctl))
        r = output_print_whole(ctl, answer, end);
    if (r != 0)
        return r;
    int fetched = fetch_results(ctl, id, end, &paths);
    if (fetched == CLIENT_INTERRUPTED)
        return detach_results(id);
    r = output_exit_code(end);
    if (r == 0)
        r = fetched;
    if (json_is_set(end, "output_lost")) {
        int lost = fail_with(EXIT_OWN_FAILURE, ERROR_NO_SPACE, json_text(end, "output_lost", ""),
                             NULL, "the output of task %s is not whole", id);
        r = r == 0 ? lost : r;
    }
    if (ctl->globals.json == JSON_OFF && !ctl->globals.quiet &&
        (r != 0 || (follow && ctl_is_chatty(ctl))))
        output_summary(ctl, end, paths);
    return r;
}

static int check_results(const struct options *options, bool stays)
{
    const char *overwrite = options_get(options, "overwrite");

    if (!stays && (options_has(options, "results") || overwrite))
        return fail(
            ERROR_USAGE, NULL, "later: p2pctl task get ID DIR",
            "--results and --overwrite need --wait or -f: nobody is there to write results");
    if (overwrite && strcmp(overwrite, "newer") == 0)
        return fail_usage("--overwrite is never or always: a result has no time of its own");
    return file_check_overwrite(options);
}

static int check_place_of_results(const struct options *options)
{
    const char *directory = options_get(options, "results");

    return directory ? results_check(directory) : 0;
}

/* Everything that can be said about the task before its files are looked at. */
static int add_all(struct ctl *ctl, cJSON *parameters, bool stays)
{
    bool is_function = function_is_asked(&ctl->options);
    int r = is_function ? function_check(&ctl->options) : add_work(&ctl->options, parameters);

    if (r == 0)
        r = add_limits(&ctl->options, parameters);
    if (r == 0)
        r = add_place(ctl, parameters);
    return r == 0 ? check_results(&ctl->options, stays) : r;
}

/* One file after the other has a line of its own. */
static void show_progress(struct ctl *ctl, const cJSON *object, struct progress *progress,
                          char **name)
{
    const char *now = json_text(object, "name", "");

    if (!*name || strcmp(*name, now) != 0) {
        free(*name);
        *name = strdup(now);
        progress_rename(progress, ctl, *name ? *name : "");
    }
    progress_bytes(progress, json_number(object, "done_bytes", 0),
                   json_number(object, "total_bytes", 0));
}

/* Who interrupts it before it has an ID wants to go, and to know where it is: the answer is waited
 * for a moment, or until the next time. Return: as client_next(). */
static int ask_without_files(struct ctl *ctl, struct call call, cJSON **ret)
{
    bool last = false;
    int r = client_call(ctl, call, ret);

    if (r != CLIENT_INTERRUPTED)
        return r;
    client_leave(ctl);
    r = client_next(ctl, ret, &last);
    return r != 0 ? r : CLIENT_INTERRUPTED;
}

/* The call, with how far its files are. Return: as client_next(); CLIENT_INTERRUPTED with the
 * answer where that came all the same. */
static int ask(struct ctl *ctl, cJSON *parameters, const struct attachments *files, cJSON **ret)
{
    const struct call call = {"Submit", parameters, -EBADF, files->fds_count > 0, NULL};
    _cleanup_free_ char *name = NULL;
    struct progress progress;
    bool last = false;

    if (files->fds_count == 0)
        return ask_without_files(ctl, call, ret);
    progress_init(&progress, ctl, "");
    int r = client_start_with(ctl, call, files->fds, files->fds_count);
    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r == 0 && last)
            *ret = TAKE_PTR(object);
        else if (r == 0)
            show_progress(ctl, object, &progress, &name);
    }
    progress_wipe(&progress);
    return r;
}

int submit_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject(), *answer = NULL;
    _cleanup_(attachments_done) struct attachments files = {.fds_count = 0};
    bool stays = options_has(&ctl->options, "wait") || options_has(&ctl->options, "follow");
    int r = add_all(ctl, parameters, stays);

    if (r == 0)
        r = check_place_of_results(&ctl->options);
    if (r == 0 && function_is_asked(&ctl->options))
        r = function_add(&ctl->options, parameters);
    if (r == 0)
        r = attach_files(ctl, parameters, &files);
    if (r != 0)
        return r;
    if (!options_has(&ctl->options, "dry-run"))
        interrupt_catch();
    /* Files may take their time. */
    r = ask(ctl, TAKE_PTR(parameters), &files, &answer);
    if (r == CLIENT_INTERRUPTED)
        return detach(ctl, answer, stays);
    if (r != 0)
        return r;
    if (options_has(&ctl->options, "dry-run"))
        return show_placement(ctl, answer);
    if (stays)
        return stay(ctl, answer);
    r = print_answer(ctl, answer);
    if (r != 0 || ctl->globals.json != JSON_OFF)
        return r;
    say_submitted(ctl, answer);
    say_waiting(ctl, answer);
    return 0;
}
