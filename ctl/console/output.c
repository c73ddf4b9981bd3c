/* SPDX-License-Identifier: MIT */
#include "console/output.h"

#include <string.h>
#include "again.h"
#include "client.h"
#include "console/failure.h"
#include "console/progress.h"
#include "task/wait.h"

#define PATHS_SHOWN 8 /* in one line */

/* One of the task's two streams, for the clock before its lines. */
struct channel {
    FILE *stream;
    bool in_line;
};

static void write_stamped(const struct ctl *ctl, struct channel *channel, const char *time,
                          const uint8_t *data, size_t size)
{
    char clock[RENDER_TEXT_MAX];

    render_clock(ctl, time, clock);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) + 1 : size;
        if (!channel->in_line)
            fprintf(channel->stream, "%s  ", clock);
        fwrite(data, 1, length, channel->stream);
        channel->in_line = !end;
        data += length;
        size -= length;
    }
}

/* What comes of one task, and how much of it was shown before the connection was lost. */
struct flow {
    struct ctl *ctl; /* borrowed */
    struct channel channels[2];
    bool timestamps;
    const char *id;   /* borrowed */
    double attempt;   /* the last one that was shown */
    size_t shown[2];  /* how far each of its streams was shown */
    size_t passed[2]; /* the same, of this connection */
    struct again again;
    struct progress progress; /* of its files */
    char name[160];
    cJSON *whole; /* owned; the output, where it is not printed as it comes; else NULL */
};

static struct flow new_flow(struct ctl *ctl, const char *id)
{
    return (struct flow){.ctl = ctl,
                         .id = id,
                         .channels = {{stdout, false}, {stderr, false}},
                         .whole = output_is_whole(ctl) ? cJSON_CreateArray() : NULL};
}

static void flow_done(struct flow *flow)
{
    cJSON_Delete(flow->whole);
}

/* How many of the @size bytes of @object were shown already. */
static size_t count_shown(struct flow *flow, const cJSON *object, bool is_error, size_t size)
{
    double attempt = json_number(object, "attempt", 0);

    if (attempt < flow->attempt)
        return size;
    if (attempt > flow->attempt) {
        flow->attempt = attempt;
        memset(flow->shown, 0, sizeof(flow->shown));
        memset(flow->passed, 0, sizeof(flow->passed));
    }
    size_t *passed = &flow->passed[is_error], *shown = &flow->shown[is_error];
    *passed = (size_t)json_number(object, "offset", (double)*passed); /* older ones tell none */
    size_t known = MIN(*shown - MIN(*passed, *shown), size);
    *passed += size;
    *shown = MAX(*shown, *passed);
    return known;
}

static int write_json(struct flow *flow, const cJSON *object)
{
    cJSON *item = flow->whole ? cJSON_Duplicate(object, true) : NULL;

    if (!item)
        return flow->whole ? fail_memory() : render_json_line(object);
    cJSON_DeleteItemFromObjectCaseSensitive(item, "type");
    cJSON_AddItemToArray(flow->whole, item);
    return 0;
}

static int write_output(struct flow *flow, const cJSON *object)
{
    bool is_error = strcmp(json_text(object, "stream", "stdout"), "stderr") == 0;
    struct channel *channel = &flow->channels[is_error];
    _cleanup_free_ uint8_t *data = NULL;
    size_t size = 0;

    if (json_get_bytes(object, "data", &data, &size) < 0)
        return fail(ERROR_INTERNAL, NULL, NULL, "the daemon sends output that cannot be read");
    size_t known = count_shown(flow, object, is_error, size);
    if (known == size)
        return 0;
    if (flow->ctl->globals.json != JSON_OFF)
        return write_json(flow, object);
    if (flow->timestamps)
        write_stamped(flow->ctl, channel, json_text(object, "time", NULL), data + known,
                      size - known);
    else
        fwrite(data + known, 1, size - known, channel->stream);
    fflush(channel->stream);
    return 0;
}

/* "files → lab-05    21.5 MiB of 63.4 MiB   34%" */
static void show_progress(struct flow *flow, const cJSON *object)
{
    char name[sizeof(flow->name)];

    snprintf(name, sizeof(name), "files %s %s", render_mark(MARK_ARROW),
             json_text(object, "node", "?"));
    if (strcmp(name, flow->name) != 0) {
        strcpy(flow->name, name);
        progress_rename(&flow->progress, flow->ctl, flow->name);
    }
    progress_bytes(&flow->progress, json_number(object, "done_bytes", 0),
                   json_number(object, "total_bytes", 0));
}

static int take_object(struct flow *flow, cJSON *object, bool last)
{
    const struct globals *globals = &flow->ctl->globals;
    const char *type = json_text(object, "type", "");

    if (strcmp(type, "progress") != 0)
        progress_wipe(&flow->progress);
    if (!last && strcmp(type, "output") == 0)
        return write_output(flow, object);
    if (flow->whole) {
        if (last)
            cJSON_AddItemToObject(object, "output", TAKE_PTR(flow->whole));
        return 0;
    }
    if (globals->json != JSON_OFF)
        return render_json_line(object);
    if (strcmp(type, "progress") == 0)
        show_progress(flow, object);
    if (strcmp(type, "waiting") == 0)
        wait_tell(flow->ctl, json_text(object, "id", ""), "", json_text(object, "reason", ""));
    if (last && json_flag(object, "cut") && !json_is_set(object, "output_lost") && !globals->quiet)
        fputs("the output was longer; it was cut at tasks.output_max\n", stderr);
    return 0;
}

/* It would be followed for nobody. Whose it is may have been told there. */
static int fail_shown(const struct flow *flow)
{
    char hint[256];

    snprintf(hint, sizeof(hint), "it is that of %.100s: p2pctl task show %.100s", flow->id,
             flow->id);
    return fail_output(hint);
}

/* One call to its end. Return: 0 with the last object; CLIENT_INTERRUPTED, CLIENT_LOST; or the exit
 * code. */
static int take_stream(struct flow *flow, cJSON *parameters, cJSON **ret_end)
{
    bool last = false;
    int r = client_start(flow->ctl, (struct call){"TaskLogs", parameters, -1, true, NULL});

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(flow->ctl, &object, &last);
        if (r == 0) {
            again_heard(&flow->again);
            r = take_object(flow, object, last);
        }
        if (r == 0 && ferror(stdout))
            r = fail_shown(flow);
        if (r == 0 && last)
            *ret_end = TAKE_PTR(object);
    }
    progress_wipe(&flow->progress);
    return r;
}

/* What to ask when the daemon is there again: what comes before what was shown is known. */
static cJSON *parameters_again(const struct flow *flow, const cJSON *parameters)
{
    cJSON *again = cJSON_Duplicate(parameters, true);

    if (flow->attempt > 0)
        cJSON_DeleteItemFromObjectCaseSensitive(again, "lines");
    return again;
}

/* A daemon that goes away meanwhile is waited for. @verb: of the command to come back with. Return:
 * as take_stream(), but for CLIENT_LOST. */
static int survive(struct flow *flow, const char *verb, const cJSON *parameters, cJSON **ret_end)
{
    struct ctl *ctl = flow->ctl;
    _cleanup_free_ char *command = NULL;
    int r = client_connect(ctl);

    if (r != 0)
        return r;
    if (asprintf(&command, "%s %.*s", verb, output_short_id_size(flow->id), flow->id) < 0) {
        command = NULL;
        return fail_memory();
    }
    client_survive(ctl);
    r = take_stream(flow, cJSON_Duplicate(parameters, true), ret_end);
    while (r == CLIENT_LOST) {
        memset(flow->passed, 0, sizeof(flow->passed));
        r = again_connect(ctl, &flow->again, flow->id, command);
        if (r == 0)
            r = take_stream(flow, parameters_again(flow, parameters), ret_end);
    }
    return r;
}

int output_stream(struct ctl *ctl, const cJSON *parameters, bool timestamps, cJSON **ret_end)
{
    _cleanup_(flow_done) struct flow flow = new_flow(ctl, json_text(parameters, "id", ""));

    flow.timestamps = timestamps;
    if (json_flag(parameters, "follow"))
        return survive(&flow, "task logs -f", parameters, ret_end);
    return take_stream(&flow, cJSON_Duplicate(parameters, true), ret_end);
}

static cJSON *new_parameters(const char *id, bool follow, const char *stream)
{
    cJSON *parameters = cJSON_CreateObject();

    json_add_string(parameters, "id", id);
    if (stream)
        json_add_string(parameters, "stream", stream);
    if (follow)
        json_add_bool(parameters, "follow", true);
    return parameters;
}

int output_follow(struct ctl *ctl, const char *id, bool follow, const char *stream, cJSON **ret_end)
{
    _cleanup_(flow_done) struct flow flow = new_flow(ctl, id);
    _cleanup_json_ cJSON *parameters = new_parameters(id, follow, stream);

    return survive(&flow, "task wait", parameters, ret_end);
}

bool output_is_whole(const struct ctl *ctl)
{
    return (ctl->globals.json == JSON_SHORT || ctl->globals.json == JSON_PRETTY) &&
           !options_has(&ctl->options, "follow");
}

int output_print_whole(const struct ctl *ctl, const cJSON *begin, const cJSON *end)
{
    _cleanup_json_ cJSON *whole = cJSON_Duplicate(begin, true);

    json_for_each (item, end) {
        if (strcmp(item->string, "type") == 0) /* that of the stream, not of the task */
            continue;
        cJSON_DeleteItemFromObjectCaseSensitive(whole, item->string);
        cJSON_AddItemToObject(whole, item->string, cJSON_Duplicate(item, true));
    }
    return whole ? render_json(ctl, whole, NULL) : fail_memory();
}

void output_print_unknown(const struct ctl *ctl, const char *id, const cJSON *begin)
{
    static const char *const unknown[] = {"state",  "node",    "exit", "signal",      "run_s",
                                          "reason", "attempt", "cut",  "output_lost", "output"};
    bool is_whole = output_is_whole(ctl);
    _cleanup_json_ cJSON *end = cJSON_CreateObject();

    if (ctl->globals.json == JSON_OFF)
        return;
    json_add_string(end, "type", "end");
    json_add_string(end, "id", id);
    for (size_t i = 0; i < ARRAY_SIZE(unknown) - !is_whole; i++)
        json_add_null(end, unknown[i]);
    (void)(is_whole ? output_print_whole(ctl, begin, end) : render_json_line(end));
}

bool output_has_ended(const cJSON *task)
{
    const char *state = json_text(task, "state", "");

    return strcmp(state, "pending") != 0 && strcmp(state, "running") != 0;
}

bool output_has_crashed(const cJSON *task)
{
    return json_is_set(task, "signal") && strcmp(json_text(task, "state", ""), "failed") == 0;
}

int output_exit_code(const cJSON *task)
{
    const char *state = json_text(task, "state", "");

    if (strcmp(state, "succeeded") == 0)
        return 0;
    if (strcmp(state, "timed-out") == 0)
        return error_get_exit(ERROR_TIMEOUT);
    if (json_is_set(task, "exit"))
        return (int)json_number(task, "exit", 0) & 0xff;
    if (json_is_set(task, "signal"))
        return (128 + (int)json_number(task, "signal", 0)) & 0xff;
    if (strcmp(state, "cancelled") == 0)
        return 128 + 15;
    return EXIT_OWN_FAILURE;
}

enum tone output_tone(const char *state)
{
    static const struct {
        const char *state;
        enum tone tone;
    } tones[] = {
        {"running", TONE_GOOD}, {"succeeded", TONE_GOOD}, {"pending", TONE_WARN},
        {"failed", TONE_BAD},   {"timed-out", TONE_BAD},  {"lost", TONE_BAD},
        {"unknown", TONE_BAD},  {"cancelled", TONE_DIM},
    };

    for (size_t i = 0; i < ARRAY_SIZE(tones); i++)
        if (strcmp(tones[i].state, state) == 0)
            return tones[i].tone;
    return TONE_PLAIN;
}

/* "; 2 files: ./plot1.png ./plot2.png" */
static void print_paths(const struct ctl *ctl, const cJSON *paths)
{
    int count = cJSON_GetArraySize(paths), shown = 0;

    if (count == 0)
        return;
    fprintf(stderr, "; %d file%s:", count, PLURAL(count));
    json_for_each (path, paths) {
        if (shown++ == PATHS_SHOWN) {
            fprintf(stderr, " %s", render_mark(MARK_ELLIPSIS));
            break;
        }
        fputc(' ', stderr);
        render_tinted(ctl, stderr, TONE_PLAIN, cJSON_IsString(path) ? path->valuestring : "?");
    }
}

void output_summary(const struct ctl *ctl, const cJSON *task, const cJSON *paths)
{
    const char *state = json_text(task, "state", "?"), *node = json_text(task, "node", NULL);
    const char *reason = json_text(task, "reason", "");
    bool succeeded = strcmp(state, "succeeded") == 0;
    char elapsed[RENDER_TEXT_MAX], how[32] = "";

    render_tinted(ctl, stderr, output_tone(state), render_mark(succeeded ? MARK_DONE : MARK_DEAD));
    fputc(' ', stderr);
    render_tinted(ctl, stderr, TONE_PLAIN, json_text(task, "id", "?"));
    fputc(' ', stderr);
    render_tinted(ctl, stderr, TONE_PLAIN, state);
    if (!succeeded && json_is_set(task, "exit"))
        snprintf(how, sizeof(how), "exit %.0f", json_number(task, "exit", 0));
    else if (output_has_crashed(task))
        snprintf(how, sizeof(how), "signal %.0f", json_number(task, "signal", 0));
    if (*how)
        fprintf(stderr, ": %s", how);
    if (node) {
        fputs(" on ", stderr);
        render_tinted(ctl, stderr, TONE_PLAIN, node);
    }
    if (json_is_set(task, "run_s"))
        fprintf(stderr, " in %s", render_elapsed(json_number(task, "run_s", 0), elapsed));
    if (json_number(task, "attempt", 0) > 0)
        fprintf(stderr, " (attempt %.0f)", json_number(task, "attempt", 0));
    if (!succeeded && *reason && strcmp(reason, how) != 0 && strcmp(reason, state) != 0) {
        fputs("; ", stderr);
        render_tinted(ctl, stderr, TONE_PLAIN, reason);
    }
    print_paths(ctl, paths);
    fputc('\n', stderr);
}

int output_short_id_size(const char *id)
{
    return (int)strcspn(id, "@");
}
