/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/output.h"
#include "console/render.h"
#include "task/run.h"
#include "console/screen.h"

/* `p2pctl workflow`: what `run` started, and its history. */

static void state_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    const char *state = json_text(row, "state", "?");

    (void)ctl;
    cell_printf(cell, "%s", state);
    cell->tone = output_tone(state);
}

/* "4/11": those that are over, of all. */
static void done_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    (void)ctl;
    cell_printf(cell, "%.0f/%.0f", json_number(row, "succeeded", 0) + json_number(row, "failed", 0),
                json_number(row, "total", 0));
}

static void started_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(row, "started", NULL), text));
}

static void ended_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(row, "ended", NULL), text));
}

static void took_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    (void)ctl;
    cell_printf(cell, "%s", render_span(json_number(row, "elapsed_s", 0), text));
}

static void run_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    (void)ctl;
    if (json_is_set(row, "run_s"))
        cell_printf(cell, "%s", render_span(json_number(row, "run_s", 0), text));
}

static void id_cell(const struct ctl *ctl, const cJSON *row, struct cell *cell)
{
    const char *id = json_text(row, "id", NULL);

    (void)ctl;
    if (id)
        cell_printf(cell, "%.*s", output_short_id_size(id), id);
}

int workflow_list_run(struct ctl *ctl)
{
    static const struct column columns[] = {
        {"ID", "id", COLUMN_NAME, NULL},
        {"STATE", "state", COLUMN_NAME, state_cell},
        {"DONE", "succeeded", COLUMN_RIGHT, done_cell},
        {"FAILED", "failed", COLUMN_RIGHT, NULL},
        {"USER", "user", COLUMN_LOW, NULL},
        {"STARTED", "started", COLUMN_RIGHT, started_cell},
        {"TOOK", "elapsed_s", COLUMN_RIGHT | COLUMN_LOW, took_cell},
        {"FILE", "file", 0, NULL},
        {"ENDED", "ended", COLUMN_EXTRA | COLUMN_RIGHT, ended_cell},
        {"ORDER", "order", COLUMN_EXTRA, NULL},
        {"RUNNING", "running", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
        {"WAITING", "waiting", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
        {"SKIPPED", "skipped", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
    };
    static const struct screen screen = {"workflows", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL;
    int r =
        client_list(ctl, (struct call){"ListWorkflows", client_parameters(ctl), -1, false, NULL},
                    "workflows", &answer);

    return r != 0 ? r : screen_show(ctl, &screen, answer, NULL);
}

/* "w7@lab-01  failed: 3 of 11 succeeded, 1 failed, 7 not run, after 12.4s". */
static void print_state(const struct ctl *ctl, const cJSON *workflow, FILE *stream)
{
    static const char *const counts[][2] = {{"failed", "failed"},
                                            {"running", "running"},
                                            {"waiting", "waiting"},
                                            {"skipped", "not run"}};
    const char *state = json_text(workflow, "state", "?");
    char text[RENDER_TEXT_MAX];

    render_tinted(ctl, stream, TONE_BOLD, json_text(workflow, "id", "?"));
    fputs("  ", stream);
    render_tinted(ctl, stream, output_tone(state), state);
    fprintf(stream, ": %.0f of %.0f succeeded", json_number(workflow, "succeeded", 0),
            json_number(workflow, "total", 0));
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        if (json_number(workflow, counts[i][0], 0) > 0)
            fprintf(stream, ", %.0f %s", json_number(workflow, counts[i][0], 0), counts[i][1]);
    fprintf(stream, ", after %s\n", render_elapsed(json_number(workflow, "elapsed_s", 0), text));
}

static void print_head(const struct ctl *ctl, const cJSON *workflow)
{
    const char *at = strchr(json_text(workflow, "id", ""), '@');

    print_state(ctl, workflow, stdout);
    fputs("    Owner: ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(workflow, "user", "?"));
    render_tinted(ctl, stdout, TONE_PLAIN, at ? at : "");
    fputs(", list ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(workflow, "file", "?"));
    fputs(", order ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(workflow, "order", "?"));
    puts(json_flag(workflow, "keep_going") ? ", keep going" : "");
}

int workflow_show_run(struct ctl *ctl)
{
    static const struct column columns[] = {{"STEP", "step", COLUMN_RIGHT, NULL},
                                            {"TASK", "task", COLUMN_NAME, NULL},
                                            {"ID", "id", COLUMN_NAME, id_cell},
                                            {"STATE", "state", COLUMN_NAME, state_cell},
                                            {"NODE", "node", COLUMN_NAME, NULL},
                                            {"RUN", "run_s", COLUMN_RIGHT, run_cell},
                                            {"TRY", "attempt", COLUMN_RIGHT | COLUMN_LOW, NULL},
                                            {"REASON", "reason", COLUMN_BLANK, NULL}};
    static const struct screen screen = {"steps", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL;
    const char *id = ctl->options.words[0];

    if (options_has(&ctl->options, "follow"))
        return run_attach(ctl, id);
    cJSON *parameters = client_parameters(ctl);
    json_add_string(parameters, "id", id);
    int r = client_list(ctl, (struct call){"ShowWorkflow", parameters, -1, false, NULL}, "steps",
                        &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json == JSON_OFF)
        print_head(ctl, answer);
    return screen_show(ctl, &screen, answer, NULL);
}

/* One of the calls that change a workflow. Return: 0 with the answer, or the exit code. */
static int change(struct ctl *ctl, const char *method, cJSON *parameters, cJSON **ret)
{
    json_add_string(parameters, "id", ctl->options.words[0]);
    return client_call(ctl, (struct call){method, parameters, -1, false, NULL}, ret);
}

int workflow_resume_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = client_parameters(ctl);

    if (options_has(&ctl->options, "failed"))
        json_add_bool(parameters, "failed", true);
    int r = change(ctl, "ResumeWorkflow", parameters, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    const char *id = json_text(answer, "id", "?");
    puts(id);
    if (ctl_is_chatty(ctl))
        fprintf(stderr, "goes on; look on with: p2pctl workflow show -f %.*s\n",
                output_short_id_size(id), id);
    return 0;
}

int workflow_cancel_run(struct ctl *ctl)
{
    static const char *const texts[] = {"signal", "grace"};
    _cleanup_json_ cJSON *answer = NULL;
    int r = options_check_signal(&ctl->options);

    if (r != 0)
        return r;
    cJSON *parameters = client_parameters(ctl);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (options_has(&ctl->options, texts[i]))
            json_add_string(parameters, texts[i], options_get(&ctl->options, texts[i]));
    r = change(ctl, "CancelWorkflow", parameters, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    const char *state = json_text(answer, "state", "?"), *id = json_text(answer, "id", "?");
    if (strcmp(state, "running") == 0)
        printf("cancelling %s\n", id);
    else if (strcmp(state, "cancelled") == 0)
        printf("cancelled %s\n", id);
    else
        printf("%s has ended already: %s\n", id, state);
    return 0;
}
