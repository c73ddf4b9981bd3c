/* SPDX-License-Identifier: MIT */
#include "console/output.h"

#include <string.h>
#include "client.h"
#include "console/failure.h"

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

static int write_output(const struct ctl *ctl, struct channel channels[static 2], bool timestamps,
                        const cJSON *object)
{
    bool is_error = strcmp(json_text(object, "stream", "stdout"), "stderr") == 0;
    struct channel *channel = &channels[is_error];
    _cleanup_free_ uint8_t *data = NULL;
    size_t size = 0;

    if (json_get_bytes(object, "data", &data, &size) < 0)
        return fail(ERROR_INTERNAL, NULL, NULL, "the daemon sends output that cannot be read");
    if (timestamps)
        write_stamped(ctl, channel, json_text(object, "time", NULL), data, size);
    else
        fwrite(data, 1, size, channel->stream);
    fflush(channel->stream);
    return 0;
}

int output_stream(struct ctl *ctl, cJSON *parameters, bool timestamps, cJSON **ret_end)
{
    struct channel channels[2] = {{stdout, false}, {stderr, false}};
    bool last = false;
    int r = client_start(ctl, (struct call){"TaskLogs", parameters, -1, true, NULL});

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r == 0 && ctl->globals.json != JSON_OFF)
            r = render_json_line(object);
        else if (r == 0 && !last)
            r = write_output(ctl, channels, timestamps, object);
        if (r == 0 && last && json_flag(object, "cut") && !ctl->globals.quiet &&
            ctl->globals.json == JSON_OFF)
            fputs("the output was longer; it was cut at tasks.output_max\n", stderr);
        if (r == 0 && last)
            *ret_end = TAKE_PTR(object);
    }
    return r;
}

bool output_has_ended(const cJSON *task)
{
    const char *state = json_text(task, "state", "");

    return strcmp(state, "pending") != 0 && strcmp(state, "running") != 0;
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
    fprintf(stderr, "; %d file%s:", count, count == 1 ? "" : "s");
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
    else if (!succeeded && json_is_set(task, "signal"))
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
