/* SPDX-License-Identifier: MIT */

/*
 * A task list from anybody: either a plan in which every step is well-formed and in its order, or
 * errors that are safe to print, never both. A plan is then run to its end, and its console text
 * made; every step is submitted once, and every line of the text is one of the known sentences.
 */

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/bundle.h"
#include "base/console.h"
#include "sched/grammar.h"
#include "sched/task_json.h"
#include "sched/workflow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_errors(const struct grammar_errors *errors)
{
    assert(errors->lines_count > 0 && errors->lines_count <= GRAMMAR_ERRORS_MAX);
    assert(errors->count >= errors->lines_count);
    for (size_t i = 0; i < errors->lines_count; i++) {
        const char *line = errors->lines[i];
        assert(strncmp(line, "tasks.txt:", 10) == 0);
        assert(text_is_utf8(line, strlen(line)));
        for (const char *c = line; *c; c++)
            assert((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

static void check_plan(const struct workflow_plan *plan)
{
    char reason[TASK_REASON_MAX + 1];
    uint32_t group = 0;

    assert(plan->steps_count > 0 && plan->steps_count <= GRAMMAR_TASKS_MAX);
    for (size_t i = 0; i < plan->steps_count; i++) {
        const struct workflow_step *step = &plan->steps[i];
        assert(task_spec_check(&step->spec, reason) == 0);
        assert(step->group == group || step->group == group + 1);
        assert(step->spec.step == i && step->line > 0 && step->column > 0);
        assert(step->needs_count <= GRAMMAR_NEEDS_MAX);
        for (size_t j = 0; j < step->needs_count; j++)
            assert(step->needs[j] < i);
        assert(step->inputs_count <= TASK_FILES_MAX);
        for (size_t j = 0; j < step->inputs_count; j++) {
            const struct workflow_input *input = &step->inputs[j];
            assert(bundle_is_name(input->name));
            assert(input->type != WORKFLOW_INPUT_LOCAL || input->index < plan->locals.count);
            assert(input->type != WORKFLOW_INPUT_RESULT || input->index < i);
        }
        group = step->group;
    }
    assert(plan->groups_count == group + 1);
    assert(plan->locals.count <= TASK_FILES_MAX);
}

/* What goes to a worker comes back the same. */
static void check_json(const struct task_spec *spec)
{
    _cleanup_json_ cJSON *json = task_spec_to_json(spec), *parsed = NULL;
    _cleanup_free_ char *text = json ? json_format(json) : NULL;
    struct task_spec copy;

    if (!text || strlen(text) > JSON_SIZE_MAX)
        return;
    assert(json_parse(text, strlen(text), &parsed) == 0);
    assert(task_spec_from_json(parsed, &copy) == 0);
    assert(copy.args.count == spec->args.count && copy.env.count == spec->env.count);
    for (size_t i = 0; i < spec->args.count; i++)
        assert(strcmp(copy.args.items[i], spec->args.items[i]) == 0);
    task_spec_done(&copy);
}

static void plan_console(struct console *console, const struct workflow_plan *plan)
{
    const char **names = calloc(plan->steps_count, sizeof(*names));

    assert(names);
    for (size_t i = 0; i < plan->steps_count; i++)
        names[i] = plan->steps[i].name;
    assert(console_plan(console, names, plan->steps_count) == 0);
    free(names);
}

static void drain(struct console *console)
{
    for (const char *line; (line = console_next_line(console));)
        assert(strncmp(line, "Discovering ", 12) == 0 || strncmp(line, "Initiating ", 11) == 0 ||
               strncmp(line, "Assigning ", 10) == 0 || strncmp(line, "Executing ", 10) == 0 ||
               strncmp(line, "Task ", 5) == 0 || strncmp(line, "Terminating ", 12) == 0 ||
               strncmp(line, "Disconnected ", 13) == 0);
}

/* Every step fails where the byte @dice says so. Takes the plan over. */
static void run(struct workflow_plan *plan, uint8_t dice)
{
    struct workflow_options options = {.order = dice % 3, .is_keep_going = dice & 4};
    struct workflow_statistics statistics;
    struct workflow_action action;
    struct workflow *workflow;
    struct console *console;
    uint64_t number = 0;

    assert(workflow_new(1, &options, plan, &workflow) == 0);
    assert(console_new(&console) == 0);
    plan_console(console, plan);
    workflow_start(workflow);
    while (workflow_next_action(workflow, &action) && action.type == WORKFLOW_SUBMIT) {
        bool has_failed = (action.step * 7 + dice) % 31 == 0;
        check_json(action.spec);
        workflow_submitted(workflow, action.step, ++number);
        console_started(console, plan->steps[action.step].name);
        workflow_ended(workflow, action.step, has_failed ? TASK_FAILED : TASK_SUCCEEDED);
        console_ended(console, plan->steps[action.step].name, has_failed ? "exit 1" : NULL);
        drain(console);
    }
    console_end(console);
    drain(console);
    workflow_get_statistics(workflow, &statistics);
    assert(statistics.is_done && statistics.waiting == 0 && statistics.submitted == 0);
    assert(statistics.succeeded + statistics.failed == number);
    assert(number + statistics.skipped == statistics.total);
    console_free(console);
    workflow_free(workflow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grammar_options options = {.retries = 2, .user = "user1"};
    struct grammar_errors errors = {0};
    struct workflow_plan *plan = NULL;
    struct task_words vars = {0};
    int r;

    assert(task_words_add(&vars, "K=a b=\"c\"} ${K}") == 0);
    /* A variable that is not used is an error: only where it is. */
    options.vars = size > 0 && memmem(data, size, "${K}", 4) ? &vars : NULL;
    r = grammar_parse("tasks.txt", (const char *)data, size, &options, &plan, &errors);

    assert(r == 0 || r == -EINVAL);
    if (r == 0) {
        assert(errors.count == 0);
        check_plan(plan);
        run(plan, size > 0 ? data[size / 2] : 0);
    } else {
        assert(!plan);
        check_errors(&errors);
    }
    grammar_errors_done(&errors);
    task_words_done(&vars);
    return 0;
}
