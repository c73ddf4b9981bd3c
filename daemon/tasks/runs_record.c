/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tasks/runs_core.h"

#define REASONS_MAX 64

static const char letters[_TASK_STATE_MAX] = {
    [TASK_SUCCEEDED] = 's', [TASK_FAILED] = 'f', [TASK_TIMED_OUT] = 't',
    [TASK_CANCELLED] = 'c', [TASK_LOST] = 'l',   [TASK_UNKNOWN] = 'u',
};

int run_letter_parse(char letter)
{
    for (int i = 0; i < _TASK_STATE_MAX; i++)
        if (letters[i] == letter && letter != '\0')
            return i;
    return -EINVAL;
}

int run_set_options(struct run *run, const struct run_options *options)
{
    int r = 0;

    run->options = *options;
    run->options.file = run->file = strdup(options->file);
    run->options.text = run->text = strdup(options->text);
    run->options.grammar.user = run->user = strdup(options->grammar.user);
    if (options->grammar.vars)
        r = task_words_copy(options->grammar.vars, &run->vars);
    run->options.grammar.vars = &run->vars;
    return run->file && run->text && run->user ? r : -ENOMEM;
}

void run_done(struct run *run)
{
    free(run->file);
    free(run->text);
    free(run->user);
    free(run->steps);
    task_words_done(&run->vars);
    task_words_done(&run->reasons);
}

const char *run_get_reason(const struct run *run, uint32_t step)
{
    const char *reason = run->workflow ? workflow_get_reason(run->workflow, step) : "";
    enum task_state end;

    if (*reason || run_get_end(run, step, &end) <= 0 || end != TASK_FAILED)
        return reason;
    for (size_t i = 0; i < run->reasons.count; i++) {
        char *text;
        if (strtoul(run->reasons.items[i], &text, 10) == step && *text == ' ')
            return text + 1;
    }
    return "";
}

/* Those of steps without a task, which nobody else keeps; as far as there is memory. */
static void keep_reasons(struct run *run)
{
    struct task_words kept = {0};
    uint64_t number;

    for (uint32_t i = 0; run->steps[i] && kept.count < REASONS_MAX; i++) {
        char text[16 + TASK_REASON_MAX + 1];
        const char *reason = run->steps[i] == letters[TASK_FAILED] ? run_get_reason(run, i) : "";
        (void)workflow_get_step(run->workflow, i, &number);
        if (!*reason || number > 0)
            continue;
        (void)snprintf(text, sizeof(text), "%u %s", i, reason);
        (void)task_words_add(&kept, text);
    }
    task_words_done(&run->reasons);
    run->reasons = kept;
}

int run_keep_steps(struct run *run)
{
    size_t count = workflow_get_plan(run->workflow)->steps_count;
    char *steps = malloc(count + 1);
    uint64_t number;

    if (!steps)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        bool has_ended = workflow_get_step(run->workflow, i, &number) == WORKFLOW_ENDED;
        steps[i] = has_ended ? letters[workflow_get_end(run->workflow, i)] : RUN_LETTER_NOT_RUN;
    }
    steps[count] = '\0';
    free(run->steps);
    run->steps = steps;
    keep_reasons(run);
    return 0;
}

static void count_step(const struct run *run, uint32_t step, struct workflow_statistics *statistics,
                       int change)
{
    uint32_t *count =
        run->steps[step] == letters[TASK_SUCCEEDED] ? &statistics->succeeded : &statistics->failed;

    *count += (uint32_t)change;
}

bool run_set_end(struct run *run, uint32_t step, enum task_state state)
{
    if (step >= run->statistics.total || run_letter_parse(run->steps[step]) < 0 ||
        run->steps[step] == letters[state])
        return false;
    count_step(run, step, &run->statistics, -1);
    run->steps[step] = letters[state];
    count_step(run, step, &run->statistics, 1);
    return true;
}

static void add_texts(cJSON *json, const char *key, const struct task_words *texts)
{
    cJSON *array = texts->count > 0 ? cJSON_AddArrayToObject(json, key) : NULL;

    for (size_t i = 0; i < texts->count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateString(texts->items[i]));
}

char *run_record_format(const struct run *run)
{
    const struct run_options *options = &run->options;
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    json_add_string(json, "file", options->file);
    json_add_string(json, "text", options->text);
    json_add_string(json, "order", workflow_order_name(options->workflow.order));
    json_add_bool(json, "keep_going", options->workflow.is_keep_going);
    json_add_bool(json, "wait_types", options->waits_for_types);
    json_add_u64(json, "inputs", options->inputs.bundle);
    json_add_string(json, "user", options->grammar.user);
    json_add_u64(json, "retries", options->grammar.retries);
    json_add_u64(json, "retry_delay_usec", options->grammar.retry_delay_usec);
    json_add_u64(json, "retry_on", options->grammar.retry_on);
    add_texts(json, "vars", &run->vars);
    add_texts(json, "reasons", &run->reasons);
    json_add_u64(json, "started_wall_usec", run->started_wall_usec);
    json_add_u64(json, "ended_wall_usec", run->ended_wall_usec);
    json_add_u64(json, "resumed_wall_usec", run->resumed_wall_usec);
    if (run->steps)
        json_add_string(json, "steps", run->steps);
    json_add_bool(json, "cancelled", run->statistics.is_cancelled);
    return json_format(json);
}

static int parse_texts(const cJSON *json, const char *key, struct task_words *texts)
{
    const cJSON *array = NULL;
    int r = json_get_array(json, key, &array);

    json_for_each (item, array) {
        if (r >= 0)
            r = cJSON_IsString(item) ? task_words_add(texts, item->valuestring) : -EBADMSG;
    }
    return r < 0 ? r : 0;
}

static int parse_options(const cJSON *json, struct run_options *ret)
{
    const char *order = "strict";
    uint64_t retries = 0, retry_on = 0;

    if (json_get_string(json, "file", &ret->file) <= 0 ||
        json_get_string(json, "text", &ret->text) <= 0 ||
        json_get_string(json, "order", &order) < 0 ||
        json_get_bool(json, "keep_going", &ret->workflow.is_keep_going) < 0 ||
        json_get_bool(json, "wait_types", &ret->waits_for_types) < 0 ||
        json_get_u64(json, "inputs", UINT64_MAX, &ret->inputs.bundle) < 0 ||
        json_get_string(json, "user", &ret->grammar.user) <= 0 ||
        json_get_u64(json, "retries", TASK_RETRIES_MAX, &retries) < 0 ||
        json_get_u64(json, "retry_delay_usec", USEC_PER_DAY, &ret->grammar.retry_delay_usec) < 0 ||
        json_get_u64(json, "retry_on", UINT16_MAX, &retry_on) < 0)
        return -EBADMSG;
    int value = workflow_order_parse(order);
    ret->workflow.order = value < 0 ? WORKFLOW_STRICT : (enum workflow_order)value;
    ret->grammar.retries = (uint32_t)retries;
    ret->grammar.retry_on = (unsigned)retry_on;
    return 0;
}

/* The letters, and what they add up to. */
static int parse_steps(const cJSON *json, struct run *run)
{
    struct workflow_statistics *statistics = &run->statistics;
    const char *steps = NULL;

    if (json_get_bool(json, "cancelled", &statistics->is_cancelled) < 0 ||
        json_get_string(json, "steps", &steps) < 0)
        return -EBADMSG;
    if (!steps)
        return 0;
    run->steps = strdup(steps);
    if (!run->steps)
        return -ENOMEM;
    statistics->total = (uint32_t)strlen(steps);
    for (; *steps; steps++) {
        int state = run_letter_parse(*steps);
        if (state == TASK_SUCCEEDED)
            statistics->succeeded++;
        else if (state >= 0)
            statistics->failed++;
        else
            statistics->skipped++;
    }
    return 0;
}

int run_record_parse(const char *record, struct run *run)
{
    _cleanup_(task_words_done) struct task_words vars = {0};
    struct run_options options = {.grammar.vars = &vars};
    _cleanup_json_ cJSON *json = NULL;
    int r = json_parse_up_to(record, strlen(record), RUN_RECORD_MAX, &json);

    if (r >= 0)
        r = parse_options(json, &options);
    if (r >= 0)
        r = parse_texts(json, "vars", &vars);
    if (r >= 0)
        r = run_set_options(run, &options);
    if (r >= 0)
        r = parse_steps(json, run);
    if (r >= 0)
        r = parse_texts(json, "reasons", &run->reasons);
    if (r >= 0 &&
        (json_get_u64(json, "started_wall_usec", UINT64_MAX, &run->started_wall_usec) < 0 ||
         json_get_u64(json, "ended_wall_usec", UINT64_MAX, &run->ended_wall_usec) < 0 ||
         json_get_u64(json, "resumed_wall_usec", UINT64_MAX, &run->resumed_wall_usec) < 0))
        r = -EBADMSG;
    if (r >= 0 && run->ended_wall_usec > 0 && !run->steps)
        r = -EBADMSG;
    return r;
}
