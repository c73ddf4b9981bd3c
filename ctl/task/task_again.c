/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/render.h"
#include "task/task_edit.h"

/* `task retry` and `task clean`: what can be done with tasks that have ended. */

int task_retry_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    bool all_failed = options_has(options, "all-failed");
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters, *args = NULL;

    if ((options->words_count > 0) == all_failed)
        return fail_usage("retry what? Give ids, or --all-failed");
    if (options_has(options, "edit") && options->words_count != 1)
        return fail_usage("--edit takes the id of one task");
    int r = options_has(options, "edit") ? task_edit_words(ctl, options->words[0], &args) : 0;
    if (r != 0)
        return r;
    parameters = cJSON_CreateObject();
    if (args)
        cJSON_AddItemToObject(parameters, "args", args);
    cJSON *ids = all_failed ? NULL : cJSON_AddArrayToObject(parameters, "ids");
    for (size_t i = 0; ids && i < options->words_count; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateString(options->words[i]));
    if (all_failed)
        json_add_bool(parameters, "all_failed", true);
    if (ctl->globals.node)
        json_add_string(parameters, "run_on", ctl->globals.node);
    r = client_call(ctl, (struct call){"RetryTask", parameters, -1, false, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, "tasks");
    json_for_each (task, json_member(answer, "tasks")) {
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(task, "id", "?"));
        putchar('\n');
    }
    if (all_failed && cJSON_GetArraySize(json_member(answer, "tasks")) == 0 && ctl_is_chatty(ctl))
        fputs("no task of yours has failed\n", stderr);
    return 0;
}

#define CLEAN_TEXT_MAX 96

static const char *const ended_states[] = {"succeeded", "failed",  "timed-out", "cancelled",
                                           "lost",      "unknown", NULL};

static int clean(struct ctl *ctl, bool is_dry_run, cJSON **ret)
{
    static const char *const texts[] = {"older", "state"};
    cJSON *parameters = client_parameters(ctl);

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (options_has(&ctl->options, texts[i]))
            json_add_string(parameters, texts[i], options_get(&ctl->options, texts[i]));
    if (is_dry_run)
        json_add_bool(parameters, "dry_run", true);
    return client_call(ctl, (struct call){"CleanTasks", parameters, -1, false, NULL}, ret);
}

/* "3 tasks", "3 tasks and 1 workflow". */
static void describe_clean(const cJSON *answer, char target[static CLEAN_TEXT_MAX])
{
    double tasks = json_number(answer, "cleaned", 0),
           workflows = json_number(answer, "workflows", 0);
    int size = snprintf(target, CLEAN_TEXT_MAX, "%.0f task%s", tasks, PLURAL(tasks));

    if (workflows > 0)
        (void)snprintf(target + size, CLEAN_TEXT_MAX - (size_t)size, " and %.0f workflow%s",
                       workflows, PLURAL(workflows));
}

int task_clean_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *counted = NULL, *answer = NULL;
    _cleanup_free_ char *question = NULL;
    char what[CLEAN_TEXT_MAX];
    int r = options_check_once(&ctl->options, (const char *const[]){"state", "older", NULL});

    if (r == 0)
        r = options_check_word(&ctl->options, "state", ended_states);
    if (r == 0)
        r = clean(ctl, true, &counted);
    if (r != 0)
        return r;
    describe_clean(counted, what);
    if (json_number(counted, "cleaned", 0) + json_number(counted, "workflows", 0) > 0) {
        if (asprintf(&question, "drop %s with output and results", what) < 0)
            return fail_memory();
        r = ctl_confirm(ctl, question);
    }
    if (r == 0)
        r = clean(ctl, false, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    describe_clean(answer, what);
    printf("dropped %s\n", what);
    if (json_number(answer, "held", 0) > 0 && !ctl->globals.quiet)
        fprintf(stderr, "%.0f more belong to workflows that go on, and stay\n",
                json_number(answer, "held", 0));
    return 0;
}
