/* SPDX-License-Identifier: MIT */
#include "sched/grammar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/words.h"
#include "sched/grammar_core.h"

/* What the details of a step have done so far. */
struct applied {
    uint32_t seen;                     /* a bit per key */
    const struct grammar_detail *args; /* borrowed; NULL = there are none */
};

/* One detail on its way into its task. */
struct setting {
    struct grammar_parser *parser;
    struct workflow_step *step;
    struct task_spec *spec; /* of the step */
    const char *value;      /* with its variables put in, but for keys that split words */
};

/* Variables are put in when the words have been split: what they hold stays in its word. */
static int add_word(struct grammar_parser *parser, struct task_words *words, const char *word)
{
    _cleanup_free_ char *expanded = NULL;
    int r = grammar_expand(parser, word, &expanded);

    return r < 0 ? r : task_words_add(words, expanded);
}

static int split_words(const struct setting *setting, struct task_words *words)
{
    _cleanup_free_ char **split = NULL;
    int count = words_split(setting->value, &split), r = MIN(count, 0);

    for (int i = 0; r >= 0 && i < count; i++)
        r = add_word(setting->parser, words, split[i]);
    return r;
}

static int set_args(const struct setting *setting)
{
    return split_words(setting, &setting->spec->args);
}

/* The command comes first, whatever the order of the details; args follow it. */
static int set_run(const struct setting *setting)
{
    _cleanup_(task_words_done) struct task_words words = {0};
    struct task_spec *spec = setting->spec;
    int r = split_words(setting, &words);

    for (size_t i = 0; r >= 0 && i < spec->args.count; i++)
        r = task_words_add(&words, spec->args.items[i]);
    if (r < 0)
        return r;
    if (words.count == 0 || words.items[0][0] == '\0')
        return -EINVAL;
    struct task_words old = spec->args;
    spec->args = words;
    words = old;
    spec->is_command = true;
    (void)snprintf(spec->type, sizeof(spec->type), "%s", TASK_TYPE_COMMAND);
    return 0;
}

static int set_timeout(const struct setting *setting)
{
    usec_t timeout;
    int r = text_parse_usec(setting->value, &timeout);

    if (r < 0 || timeout > TASK_NUMBER_MAX)
        return -EINVAL;
    setting->spec->timeout_usec = timeout > 0 ? timeout : TASK_TIMEOUT_NONE;
    return 0;
}

static int set_memory(const struct setting *setting)
{
    uint64_t size;
    int r = text_parse_size(setting->value, &size);

    if (r < 0 || size == 0 || size > TASK_NUMBER_MAX)
        return -EINVAL;
    setting->spec->memory_size = size;
    return 0;
}

static int set_cpus(const struct setting *setting)
{
    uint32_t cpus = 0;
    int r = text_parse_milli(setting->value, &cpus);

    if (r < 0 || cpus < TASK_CPUS_MIN || cpus > TASK_CPUS_MAX * 1000)
        return -EINVAL;
    setting->spec->cpus_milli = cpus;
    return 0;
}

static int read_number(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
    uint32_t number = 0;

    if (*text == '\0' || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
        return -EINVAL;
    for (; *text; text++)
        number = number * 10 + (uint32_t)(*text - '0');
    if (number < min || number > max)
        return -EINVAL;
    *ret = number;
    return 0;
}

static int set_retries(const struct setting *setting)
{
    return read_number(setting->value, 0, TASK_RETRIES_MAX, &setting->spec->retries);
}

static int set_slots(const struct setting *setting)
{
    return read_number(setting->value, 1, TASK_SLOTS_MAX, &setting->spec->slots);
}

static int set_confidential(const struct setting *setting)
{
    const char *value = setting->value;
    bool is_yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;

    if (!is_yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
        return -EINVAL;
    setting->spec->is_confidential = is_yes;
    return 0;
}

static int set_node(const struct setting *setting)
{
    if (!text_is_node_name(setting->value))
        return -EINVAL;
    (void)snprintf(setting->spec->node, sizeof(setting->spec->node), "%s", setting->value);
    return 0;
}

static int set_name(const struct setting *setting)
{
    if (*setting->value == '\0' || !task_is_label(setting->value))
        return -EINVAL;
    (void)snprintf(setting->spec->name, sizeof(setting->spec->name), "%s", setting->value);
    return 0;
}

/* p2pnode's own names are refused here, where the line can be told. */
static int set_env(const struct setting *setting)
{
    if (!task_word_is_variable(setting->value) || strncmp(setting->value, "P2P_", 4) == 0)
        return -EINVAL;
    return task_words_add(&setting->spec->env, setting->value);
}

static int set_on_fail(const struct setting *setting)
{
    static const char *const names[] = {[WORKFLOW_ON_FAIL_STOP] = "stop",
                                        [WORKFLOW_ON_FAIL_SKIP] = "skip",
                                        [WORKFLOW_ON_FAIL_CONTINUE] = "continue"};

    for (size_t i = WORKFLOW_ON_FAIL_STOP; i < ARRAY_SIZE(names); i++)
        if (strcmp(setting->value, names[i]) == 0) {
            setting->step->on_fail = (enum workflow_on_fail)i;
            return 0;
        }
    return -EINVAL;
}

/* The spelling that is compared, as grammar_read_name() makes it: "a01" is "a1". */
static int make_key(const char *word, size_t size, char ret[static TASK_TYPE_MAX + 21])
{
    size_t letters = 0, zeros;

    while (letters < size && ((word[letters] >= 'a' && word[letters] <= 'z') ||
                              (word[letters] >= 'A' && word[letters] <= 'Z')))
        letters++;
    for (zeros = letters; zeros + 1 < size && word[zeros] == '0';)
        zeros++;
    if (letters + size - zeros > TASK_TYPE_MAX + 20)
        return -EINVAL;
    (void)snprintf(ret, TASK_TYPE_MAX + 21, "%.*s%.*s", (int)letters, word, (int)(size - zeros),
                   word + zeros);
    return 0;
}

/*
 * One more step that must have ended well before. It has to be an earlier one: then no circle can
 * come about, and no order of the list can make it wait for ever.
 */
int grammar_add_need(struct grammar_parser *parser, struct workflow_step *step, const char *word,
                     size_t size)
{
    char key[TASK_TYPE_MAX + 21];
    const struct workflow_step *other =
        make_key(word, size, key) < 0 ? NULL : table_find(&parser->by_name, key);

    if (!other || other >= step)
        return -EINVAL;
    uint32_t index = (uint32_t)(other - parser->plan->steps);
    for (size_t i = 0; i < step->needs_count; i++)
        if (step->needs[i] == index)
            return (int)index;
    if (step->needs_count == GRAMMAR_NEEDS_MAX)
        return -E2BIG;
    uint32_t *needs = reallocarray(step->needs, step->needs_count + 1, sizeof(*needs));
    if (!needs)
        return -ENOMEM;
    step->needs = needs;
    step->needs[step->needs_count++] = index;
    return (int)index;
}

static int set_needs(const struct setting *setting)
{
    const char *word = setting->value;
    int r = *word ? 0 : -EINVAL;

    while (r >= 0 && *word) {
        size_t size = strcspn(word, ", \t");
        r = size > 0 ? grammar_add_need(setting->parser, setting->step, word, size) : 0;
        word += size;
        word += *word != '\0';
    }
    return MIN(r, 0);
}

static int set_in(const struct setting *setting)
{
    return grammar_add_input(setting->parser, setting->step, setting->value);
}

static int set_out(const struct setting *setting)
{
    if (!task_is_out(setting->value) || setting->spec->outs.count == TASK_FILES_MAX)
        return -EINVAL;
    return task_words_add(&setting->spec->outs, setting->value);
}

/* "dir/stats.py:mean": the last colon counts. The code itself comes with the list. */
static int set_python(const struct setting *setting)
{
    struct workflow_step *step = setting->step;
    const char *colon = strrchr(setting->value, ':');
    _cleanup_free_ char *path =
        colon ? strndup(setting->value, (size_t)(colon - setting->value)) : NULL;
    const char *slash = path ? strrchr(path, '/') : NULL, *file = slash ? slash + 1 : path;
    _cleanup_(task_python_freep) struct task_python *python = NULL;
    int r;

    if (setting->spec->is_command)
        return -EEXIST;
    if (!path)
        return colon ? -ENOMEM : -EINVAL;
    if (!text_is_file_name(file) || strlen(colon + 1) > TASK_FUNCTION_MAX)
        return -EINVAL;
    r = task_python_new(file, colon + 1, "", &python);
    if (r < 0)
        return r;
    if (task_python_check(python))
        return -EINVAL;
    r = grammar_add_local(setting->parser->plan, path);
    if (r < 0)
        return r;
    step->has_code = true;
    step->code = (uint32_t)r;
    setting->spec->python = TAKE_PTR(python);
    (void)snprintf(setting->spec->type, sizeof(setting->spec->type), "%s", TASK_TYPE_PYTHON);
    return 0;
}

struct detail_key {
    const char *name;
    unsigned flags;
    int (*set)(const struct setting *setting);
    const char *expected;
};

#define KEY_REPEATED (1U << 0) /* may be given more than once for a task */
#define KEY_SPLIT    (1U << 1) /* split into words before variables are put in */

/* In the order in which they apply: run looks at args, in at confidential. */
static const struct detail_key keys[] = {
    {"args", KEY_SPLIT, set_args, "words, at most 1024 and 64 KiB, quotes closed"},
    {"run", KEY_SPLIT, set_run, "a command, at most 1024 words and 64 KiB, quotes closed"},
    {"timeout", 0, set_timeout, "a duration below 285 years, for example 30s, or 0 for no limit"},
    {"memory", 0, set_memory, "a size above 0 and up to 8PiB, for example 512MiB"},
    {"cpus", 0, set_cpus, "a number from 0.01 to 1024, for example 1.5"},
    {"retries", 0, set_retries, "a number from 0 to 1000"},
    {"slots", 0, set_slots, "a number from 1 to 1024"},
    {"confidential", 0, set_confidential, "yes or no"},
    {"node", 0, set_node, "the name of a node"},
    {"name", 0, set_name, "at most 63 bytes of printable text, and nothing that cannot be seen"},
    {"env", KEY_REPEATED, set_env,
     "NAME=VALUE, with letters, digits and _ in NAME, which does not begin with P2P_; at most 1024 "
     "and 64 KiB"},
    {"needs", 0, set_needs, "tasks that stand before it in the list, for example a1,b2"},
    {"on_fail", 0, set_on_fail, "stop, skip or continue"},
    {"in", KEY_REPEATED, set_in,
     "a file, @STORED or @TASK/RESULT of a task before it, perhaps =NAME; at most 64"},
    {"out", KEY_REPEATED, set_out,
     "a path below the work directory, without \"..\", perhaps with wildcards and =DIR, for "
     "example "
     "plot*.png; at most 64"},
    {"python", 0, set_python,
     "FILE:FUNCTION of Python code, for example stats.py:mean; at most 64 files go with a list"},
};

static void check_key(struct grammar_parser *parser, const struct grammar_detail *detail)
{
    const char *names[ARRAY_SIZE(keys) + 1] = {0};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(detail->key, keys[i].name) == 0)
            return;
        names[i] = keys[i].name;
    }
    const char *closest = text_closest(detail->key, names);
    if (closest)
        grammar_fail_at(parser, detail->line, detail->column,
                        "unknown detail \"%s\"; did you mean \"%s\"?", detail->key, closest);
    else
        grammar_fail_at(parser, detail->line, detail->column, "unknown detail \"%s\"", detail->key);
}

/* Return: 0; -EINVAL, -E2BIG where the value is not what the key expects; -EPERM for a result that
 * would leave its node, -ENOTUNIQ for the place of another input, -EEXIST for a function where
 * there is a command; -ENOMEM. */
static int set_value(struct grammar_parser *parser, const struct grammar_detail *detail,
                     const struct detail_key *key, struct workflow_step *step)
{
    struct setting setting = {
        .parser = parser, .step = step, .spec = &step->spec, .value = detail->value};
    _cleanup_free_ char *expanded = NULL;

    if (!(key->flags & KEY_SPLIT)) {
        int r = grammar_expand(parser, detail->value, &expanded);
        if (r < 0)
            return r;
        setting.value = expanded;
    }
    return key->set(&setting);
}

/* @r: what set_value() said. */
static void tell(struct grammar_parser *parser, const struct grammar_detail *detail,
                 const struct detail_key *key, const struct workflow_step *step, int r)
{
    if (parser->expanded_size > GRAMMAR_SIZE_MAX)
        grammar_fail_at(parser, detail->line, detail->column,
                        "with its variables the list is longer than %zu bytes", GRAMMAR_SIZE_MAX);
    else if (r == -EPERM)
        grammar_fail_at(parser, detail->line, detail->column,
                        "%s=%.60s: a result of a confidential task; make %s confidential, too: "
                        "confidential=yes",
                        key->name, detail->value, step->name);
    else if (r == -ENOTUNIQ)
        grammar_fail_at(parser, detail->line, detail->column,
                        "%s=%.60s: the place of another file of %s; give it one of its own: =NAME",
                        key->name, detail->value, step->name);
    else if (r == -EEXIST)
        grammar_fail_at(parser, detail->line, detail->column,
                        "%s=%.60s: a task is a command or a function, not both", key->name,
                        detail->value);
    else
        grammar_fail_at(parser, detail->line, detail->column, "%s=%.60s: expected %s", key->name,
                        detail->value, key->expected);
}

/* Return: 0, -ENOMEM; errors are noted. */
static int apply(struct grammar_parser *parser, const struct grammar_detail *detail,
                 const struct detail_key *key, struct workflow_step *step, struct applied *applied)
{
    uint32_t bit = 1U << (key - keys);
    int r;

    if ((applied->seen & bit) && !(key->flags & KEY_REPEATED)) {
        grammar_fail_at(parser, detail->line, detail->column, "\"%s\" is given twice for %s",
                        key->name, step->name);
        return 0;
    }
    applied->seen |= bit;
    if (key->set == set_args)
        applied->args = detail;
    r = set_value(parser, detail, key, step);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        tell(parser, detail, key, step, r);
    return 0;
}

/* What a function is called with is JSON, each word a value of its own. @from: the words' detail.
 */
static void check_arguments(struct grammar_parser *parser, const struct workflow_step *step,
                            const struct grammar_detail *from)
{
    const struct task_words *args = &step->spec.args;

    for (size_t i = 0; i < args->count; i++)
        if (!json_is_value(text_skip_name(args->items[i])))
            grammar_fail_at(parser, from->line, from->column, "%s: argument %zu is no JSON: %.64s",
                            step->name, i + 1, args->items[i]);
    size_t again = task_words_find_repeated(args);
    if (again != SIZE_MAX)
        grammar_fail_at(parser, from->line, from->column,
                        "%s: argument %zu gives a name a second value: %.64s", step->name,
                        again + 1, args->items[again]);
}

/* A command or a function shows as the task it stands for; and every specification is checked as a
 * whole: what its details could not be told of one by one. @applied: of every step. */
static void finish_steps(struct grammar_parser *parser, const struct applied *applied)
{
    struct workflow_plan *plan = parser->plan;
    char reason[TASK_REASON_MAX + 1];

    for (size_t i = 0; i < plan->steps_count; i++) {
        struct workflow_step *step = &plan->steps[i];
        if ((step->spec.is_command || step->has_code) && step->spec.name[0] == '\0')
            (void)snprintf(step->spec.name, sizeof(step->spec.name), "%s", step->name);
        if (step->has_code && applied[i].args)
            check_arguments(parser, step, applied[i].args);
        if (task_spec_check(&step->spec, reason) < 0)
            grammar_fail_at(parser, step->line, step->column, "%s: %s", step->name, reason);
    }
}

/* A variable that nothing stands for is a misspelt one, here or in the list. */
static void check_vars(struct grammar_parser *parser)
{
    const struct task_words *vars = parser->options->vars;

    for (size_t i = 0; vars && i < vars->count; i++)
        if (!parser->vars_used[i])
            grammar_fail_at(parser, 1, 1, "no detail has ${%.*s}, which --var gives a value",
                            (int)MIN(strcspn(vars->items[i], "="), (size_t)40), vars->items[i]);
}

int grammar_apply_details(struct grammar_parser *parser)
{
    const struct task_words *vars = parser->options->vars;
    _cleanup_free_ struct applied *applied =
        calloc(parser->plan->steps_count + 1, sizeof(*applied));

    parser->vars_used = calloc((vars ? vars->count : 0) + 1, sizeof(*parser->vars_used));
    if (!applied || !parser->vars_used)
        return -ENOMEM;
    for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
        for (size_t i = 0; i < parser->details_count; i++) {
            const struct grammar_detail *detail = &parser->details[i];
            struct workflow_step *step;
            if (strcmp(detail->key, keys[k].name) != 0)
                continue;
            step = table_find(&parser->by_name, detail->task);
            if (!step)
                continue;
            int r = apply(parser, detail, &keys[k], step, &applied[step - parser->plan->steps]);
            if (r < 0)
                return r;
        }
    }
    for (size_t i = 0; i < parser->details_count; i++) {
        const struct grammar_detail *detail = &parser->details[i];
        if (!table_find(&parser->by_name, detail->task))
            grammar_fail_at(parser, detail->line, 1, "\"%s\" is not in the list", detail->task);
        check_key(parser, detail);
    }
    check_vars(parser);
    finish_steps(parser, applied);
    return 0;
}
