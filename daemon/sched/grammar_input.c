/* SPDX-License-Identifier: MIT */
#include "sched/grammar.h"

#include <errno.h>
#include <string.h>
#include "base/bundle.h"
#include "sched/grammar_core.h"

int grammar_add_local(struct workflow_plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->locals.count; i++)
        if (strcmp(plan->locals.items[i], path) == 0)
            return (int)i;
    if (plan->locals.count == TASK_FILES_MAX)
        return -E2BIG;
    int r = task_words_add(&plan->locals, path);
    return r < 0 ? r : (int)plan->locals.count - 1;
}

/* @text without its "=NAME", which may change it. Return: 0; -EINVAL; -E2BIG; -ENOMEM. */
static int read_source(struct grammar_parser *parser, struct workflow_step *step, char *text,
                       struct workflow_input *ret)
{
    char *slash = strchr(text, '/');
    int r = 0;

    if (*text != '@') {
        ret->type = WORKFLOW_INPUT_LOCAL;
        r = *text ? grammar_add_local(parser->plan, text) : -EINVAL;
    } else if (!slash) {
        ret->type = WORKFLOW_INPUT_STORED;
        ret->source = strdup(text + 1);
        if (!text_is_file_name(text + 1))
            return -EINVAL;
    } else {
        ret->type = WORKFLOW_INPUT_RESULT;
        ret->source = strdup(slash + 1);
        if (!bundle_is_name(slash + 1))
            return -EINVAL;
        r = grammar_add_need(parser, step, text + 1, (size_t)(slash - text) - 1);
    }
    if (r < 0)
        return r;
    ret->index = (uint32_t)r;
    return ret->type == WORKFLOW_INPUT_LOCAL || ret->source ? 0 : -ENOMEM;
}

/* What a confidential task makes stays at its node, too: whoever takes it must not run elsewhere.
 */
static bool leaks(const struct grammar_parser *parser, const struct workflow_step *step,
                  const struct workflow_input *input)
{
    return input->type == WORKFLOW_INPUT_RESULT && !step->spec.is_confidential &&
           parser->plan->steps[input->index].spec.is_confidential;
}

static void input_done(struct workflow_input *input)
{
    free(input->source);
    free(input->name);
}

int grammar_add_input(struct grammar_parser *parser, struct workflow_step *step, const char *text)
{
    _cleanup_(input_done) struct workflow_input input = {0};
    _cleanup_free_ char *source = strdup(text);
    char *equals = source ? strrchr(source, '=') : NULL, *slash;
    int r;

    if (!source)
        return -ENOMEM;
    if (step->inputs_count == TASK_FILES_MAX)
        return -E2BIG;
    if (equals)
        *equals = '\0';
    slash = strrchr(source, '/');
    input.name = strdup(equals           ? equals + 1
                        : slash          ? slash + 1
                        : *source == '@' ? source + 1
                                         : source);
    if (!input.name)
        return -ENOMEM;
    if (!bundle_is_name(input.name))
        return -EINVAL;
    for (size_t i = 0; i < step->inputs_count; i++)
        if (bundle_is_clash(step->inputs[i].name, input.name))
            return -ENOTUNIQ;
    r = read_source(parser, step, source, &input);
    if (r < 0)
        return r;
    if (leaks(parser, step, &input))
        return -EPERM;
    struct workflow_input *inputs =
        reallocarray(step->inputs, step->inputs_count + 1, sizeof(*inputs));
    if (!inputs)
        return -ENOMEM;
    step->inputs = inputs;
    step->inputs[step->inputs_count++] = input;
    input = (struct workflow_input){0};
    return 0;
}
