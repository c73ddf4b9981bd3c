/* SPDX-License-Identifier: MIT */
#include <pwd.h>
#include <string.h>
#include "base/text.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "console/output.h"
#include "console/render.h"
#include "console/screen.h"
#include "since.h"
#include "task/wait.h"

/* The queue: list, logs, wait, cancel. `task show` is in task_show.c. */

static void state_cell(const struct ctl *ctl, const cJSON *task, struct cell *cell)
{
    const char *state = json_text(task, "state", "?");

    (void)ctl;
    cell_printf(cell, "%s", state);
    cell->tone = output_tone(state);
}

static void id_cell(const struct ctl *ctl, const cJSON *task, struct cell *cell)
{
    (void)ctl;
    cell_printf(cell, "%s", json_text(task, "short_id", json_text(task, "id", "?")));
}

static void wait_cell(const struct ctl *ctl, const cJSON *task, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    (void)ctl;
    if (json_is_set(task, "wait_s"))
        cell_printf(cell, "%s", render_span(json_number(task, "wait_s", 0), text));
}

/* Of a task that waits for its next attempt, how long the last one ran is no news. */
static void run_cell(const struct ctl *ctl, const cJSON *task, struct cell *cell)
{
    bool is_pending = strcmp(json_text(task, "state", ""), "pending") == 0;
    char text[RENDER_TEXT_MAX];

    (void)ctl;
    if (json_is_set(task, "run_s") && !is_pending)
        cell_printf(cell, "%s", render_span(json_number(task, "run_s", 0), text));
}

static void submitted_cell(const struct ctl *ctl, const cJSON *task, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(task, "submitted", NULL), text));
}

static void ended_cell(const struct ctl *ctl, const cJSON *task, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(task, "ended", NULL), text));
}

static const struct column task_columns[] = {
    {"ID", "id", COLUMN_NAME, id_cell},
    {"NAME", "name", 0, NULL},
    {"TYPE", "type", COLUMN_LOW, NULL},
    {"STATE", "state", COLUMN_NAME, state_cell},
    {"NODE", "node", COLUMN_NAME, NULL},
    {"USER", "user", COLUMN_LOW, NULL},
    {"WAIT", "wait_s", COLUMN_RIGHT | COLUMN_LOW, wait_cell},
    {"RUN", "run_s", COLUMN_RIGHT, run_cell},
    {"TRY", "attempt", COLUMN_RIGHT | COLUMN_LOW, NULL},
    {"REASON", "reason", COLUMN_BLANK, NULL},
    {"WORKFLOW", "workflow", COLUMN_EXTRA, NULL},
    {"EXIT", "exit", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
    {"SIGNAL", "signal", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
    {"SUBMITTED", "submitted", COLUMN_EXTRA | COLUMN_RIGHT, submitted_cell},
    {"ENDED", "ended", COLUMN_EXTRA | COLUMN_RIGHT, ended_cell},
    {"CONFIDENTIAL", "confidential", COLUMN_EXTRA, NULL},
};
const struct screen task_screen = {"tasks", task_columns, ARRAY_SIZE(task_columns)};

static const char *const task_states[] = {
    "pending", "running", "succeeded", "failed", "timed-out", "cancelled", "lost", "unknown", NULL};

/* As the daemon names users: those without a name by their number. */
static void add_user(cJSON *parameters)
{
    const struct passwd *user = getpwuid(geteuid());
    char number[16];

    snprintf(number, sizeof(number), "%u", (unsigned)geteuid());
    json_add_string(parameters, "user", user ? user->pw_name : number);
}

/* The daemon chooses; what --filter wants of them it does not know, and sends all. */
static cJSON *list_parameters(const struct ctl *ctl)
{
    static const char *const texts[] = {"state", "type", "workflow"};
    cJSON *parameters = client_parameters(ctl);

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (options_has(&ctl->options, texts[i]))
            json_add_string(parameters, texts[i], options_get(&ctl->options, texts[i]));
    if (options_has(&ctl->options, "mine"))
        add_user(parameters);
    if (options_has(&ctl->options, "all-nodes"))
        json_add_bool(parameters, "all_nodes", true);
    if (ctl->globals.filters_count > 0)
        json_add_bool(parameters, "all", true);
    return parameters;
}

/* The node all these tasks are of, or NULL: then their ids can be shown without it. */
static const char *common_origin(const cJSON *tasks)
{
    const char *origin = NULL;

    json_for_each (task, tasks) {
        const char *at = strchr(json_text(task, "id", ""), '@');
        if (!at || (origin && strcmp(origin, at + 1) != 0))
            return NULL;
        origin = at + 1;
    }
    return origin;
}

static void shorten_ids(cJSON *answer)
{
    const cJSON *tasks = json_member(answer, "tasks");

    if (!common_origin(tasks))
        return;
    json_for_each (task, tasks) {
        const char *id = json_text(task, "id", "");
        _cleanup_free_ char *text = strndup(id, (size_t)output_short_id_size(id));
        if (text)
            json_add_string(task, "short_id", text);
    }
}

static void task_footer(const struct ctl *ctl, const cJSON *answer, FILE *stream)
{
    static const char *const states[] = {"running",   "pending",   "failed", "timed-out",
                                         "succeeded", "cancelled", "lost",   "unknown"};
    const cJSON *tasks = json_member(answer, "tasks");
    const char *origin = common_origin(tasks), *separator = ": ";
    int total = cJSON_GetArraySize(tasks);

    (void)ctl;
    fprintf(stream, "%d task%s", total, PLURAL(total));
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        int count = 0;
        json_for_each (task, tasks)
            count += strcmp(json_text(task, "state", ""), states[i]) == 0;
        if (count == 0)
            continue;
        fprintf(stream, "%s%d %s", separator, count, states[i]);
        separator = ", ";
    }
    fputc('.', stream);
    if (origin && tasks->child) {
        const char *id = json_text(tasks->child, "id", "?");
        fprintf(stream, " IDs are of %s; elsewhere write %s.", origin, id);
    }
    fputc('\n', stream);
}

/* Nodes that did not answer are told beside the list. */
static void say_unanswered(const cJSON *answer)
{
    _cleanup_free_ char *names = screen_value(json_member(answer, "unanswered"));

    if (names && *names) {
        fputs("no answer: ", stderr);
        render_text(stderr, names, strlen(names));
        fputc('\n', stderr);
    }
}

/* So are those that a list of this length has no room for. */
static void say_left_out(const struct ctl *ctl, const cJSON *answer)
{
    json_for_each (item, json_member(answer, "left_out")) {
        fprintf(stderr, "left out: %.0f older tasks of ", json_number(item, "count", 0));
        render_tinted(ctl, stderr, TONE_PLAIN, json_text(item, "node", "?"));
        fputs(" that have ended; choose with -s, -t, -w, --since or --filter\n", stderr);
    }
}

int task_list_run(struct ctl *ctl)
{
    static const char *const choices[] = {"state", "type", "workflow", "since", NULL};
    _cleanup_json_ cJSON *answer = NULL, *parameters = list_parameters(ctl);
    int r = options_check_once(&ctl->options, choices);

    if (r == 0 && options_has(&ctl->options, "all-nodes") && ctl->globals.node)
        r = fail_usage("name a node, or say --all-nodes, but not both");
    if (r == 0)
        r = options_check_word(&ctl->options, "state", task_states);
    if (r == 0)
        r = since_add(ctl, parameters);
    if (r != 0)
        return r;
    r = client_list(ctl, (struct call){"ListTasks", TAKE_PTR(parameters), -1, false, NULL}, "tasks",
                    &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json == JSON_OFF) {
        shorten_ids(answer);
        say_unanswered(answer);
        say_left_out(ctl, answer);
    }
    return screen_show(ctl, &task_screen, answer, task_footer);
}

static int read_count(const struct options *options, const char *name, uint64_t *ret)
{
    const char *text = options_get(options, name);
    char *end = NULL;

    unsigned long long count = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || count > 1000000000)
        return fail_usage("--%s is a number, not \"%s\"", name, text);
    *ret = count;
    return 0;
}

static int logs_parameters(const struct ctl *ctl, cJSON *parameters)
{
    const struct options *options = &ctl->options;
    bool only_stdout = options_has(options, "stdout"), only_stderr = options_has(options, "stderr");
    static const char *const counts[][2] = {{"lines", "lines"}, {"attempt", "attempt"}};
    uint64_t count = 0;

    json_add_string(parameters, "id", options->words[0]);
    if (options_has(options, "follow"))
        json_add_bool(parameters, "follow", true);
    if (only_stdout != only_stderr)
        json_add_string(parameters, "stream", only_stdout ? "stdout" : "stderr");
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        if (!options_has(options, counts[i][0]))
            continue;
        int r = read_count(options, counts[i][0], &count);
        if (r != 0)
            return r;
        json_add_u64(parameters, counts[i][1], count);
    }
    return 0;
}

int task_logs_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = client_parameters(ctl), *end = NULL;
    bool follow = options_has(&ctl->options, "follow");
    int r = logs_parameters(ctl, parameters);

    if (r != 0)
        return r;
    if (follow)
        interrupt_catch();
    r = output_stream(ctl, parameters, options_has(&ctl->options, "timestamps"), &end);
    if (r == CLIENT_INTERRUPTED) {
        output_print_unknown(ctl, ctl->options.words[0], NULL);
        return 0;
    }
    if (r != 0)
        return r;
    if (output_is_whole(ctl)) {
        _cleanup_json_ cJSON *begin = cJSON_CreateObject();
        json_add_string(begin, "schema", "p2pctl.task-logs/1");
        return output_print_whole(ctl, begin, end);
    }
    if (json_is_set(end, "output_lost") && ctl->globals.json == JSON_OFF && !ctl->globals.quiet) {
        fputs("the output is not whole: ", stderr);
        render_tinted(ctl, stderr, TONE_PLAIN, json_text(end, "output_lost", ""));
        fputc('\n', stderr);
    }
    if (follow && ctl_is_chatty(ctl))
        output_summary(ctl, end, NULL);
    return 0;
}

static int add_ids(const struct options *options, cJSON *parameters)
{
    cJSON *ids = cJSON_AddArrayToObject(parameters, "ids");

    for (size_t i = 0; ids && i < options->words_count; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateString(options->words[i]));
    return ids ? 0 : fail_memory();
}

static int detach_wait(const struct options *options)
{
    static const char *const texts[] = {"wait again with: p2pctl task wait",
                                        "\ncancel it with: p2pctl task cancel"};
    _cleanup_free_ char *hints = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&hints, &size);

    for (size_t i = 0; stream && i < ARRAY_SIZE(texts); i++) {
        fputs(texts[i], stream);
        for (size_t j = 0; j < options->words_count; j++)
            fprintf(stream, " %s", options->words[j]);
    }
    if (!stream || fclose(stream) != 0)
        return fail_memory();
    return fail_interrupted(hints, "detached: the work goes on");
}

/* Waited for a state: 0 where they had it, or with --any one of them; 1 where one ended without. */
static int state_result(const struct ctl *ctl, const cJSON *tasks)
{
    bool is_any = options_has(&ctl->options, "any");
    size_t reached = 0, missed = 0;

    json_for_each (task, tasks) {
        /* An older daemon of another node does not say. */
        bool has_reached =
            json_is_set(task, "reached")
                ? json_flag(task, "reached")
                : strcmp(json_text(task, "state", ""), options_get(&ctl->options, "state")) == 0;
        reached += has_reached;
        missed += !has_reached;
        if (!has_reached && output_has_ended(task) && ctl->globals.json == JSON_OFF &&
            !ctl->globals.quiet)
            output_summary(ctl, task, NULL);
    }
    return (is_any ? reached > 0 : missed == 0) ? 0 : error_get_exit(ERROR_INTERNAL);
}

/* With one task its own code; with several 1 where any did not succeed. */
static int wait_result(const struct ctl *ctl, const cJSON *answer)
{
    const cJSON *tasks = json_member(answer, "tasks");
    bool single = ctl->options.words_count == 1;
    int result = 0;

    if (options_has(&ctl->options, "state"))
        return state_result(ctl, tasks);
    json_for_each (task, tasks) {
        if (!output_has_ended(task)) /* with --any not all have */
            continue;
        int code = output_exit_code(task);
        if (code != 0)
            result = single ? code : error_get_exit(ERROR_INTERNAL);
        if (ctl->globals.json == JSON_OFF &&
            (ctl_is_chatty(ctl) || (code != 0 && !ctl->globals.quiet)))
            output_summary(ctl, task, NULL);
    }
    return result;
}

int task_wait_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    const struct wait wait = {.ids = ctl->options.words,
                              .count = ctl->options.words_count,
                              .is_any = options_has(&ctl->options, "any"),
                              .state = options_get(&ctl->options, "state"),
                              .timeout = options_get(&ctl->options, "timeout"),
                              .is_elsewhere = true};
    int r = options_check_once(&ctl->options, (const char *const[]){"state", NULL});

    if (r == 0)
        r = options_check_word(&ctl->options, "state", task_states);
    if (r != 0)
        return r;
    interrupt_catch();
    r = wait_for_tasks(ctl, &wait, &answer);
    if (r == CLIENT_INTERRUPTED)
        return detach_wait(&ctl->options);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF) {
        r = render_json(ctl, answer, "tasks");
        if (r != 0)
            return r;
    }
    return wait_result(ctl, answer);
}

int task_cancel_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = client_parameters(ctl), *answer = NULL;
    const struct options *options = &ctl->options;
    static const char *const texts[] = {"type", "signal", "grace"};
    bool all = options_has(options, "all");
    int r = options_check_signal(options);

    if (r != 0)
        return r;
    if ((options->words_count > 0) + all + options_has(options, "type") != 1)
        return fail_usage("cancel what? Give ids, or --all, or --type T");
    if (options->words_count > 0)
        r = add_ids(options, parameters);
    if (r != 0)
        return r;
    if (all)
        json_add_bool(parameters, "all", true);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (options_has(options, texts[i]))
            json_add_string(parameters, texts[i], options_get(options, texts[i]));
    r = client_call(ctl, (struct call){"CancelTask", TAKE_PTR(parameters), -1, false, NULL},
                    &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, "tasks");
    json_for_each (task, json_member(answer, "tasks")) {
        const char *state = json_text(task, "state", "");
        bool is_ended = output_has_ended(task) && strcmp(state, "cancelled") != 0;
        if (!is_ended)
            printf("%s ", strcmp(state, "running") == 0 ? "cancelling" : "cancelled");
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(task, "id", "?"));
        if (is_ended) {
            fputs(" has ended already: ", stdout);
            render_tinted(ctl, stdout, TONE_PLAIN, state);
        }
        putchar('\n');
    }
    return 0;
}
