/* SPDX-License-Identifier: MIT */
#include "sched/grammar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sched/grammar_core.h"

#define KEY_MAX 32

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* What a value in quotes says, from behind the opening one. Return: 0; -EINVAL (noted); -ENOMEM. */
static int read_quoted(struct grammar_parser *parser, size_t column, char **ret)
{
    _cleanup_free_ char *value = malloc(parser->size - parser->position + 1);
    size_t size = 0;

    if (!value)
        return -ENOMEM;
    for (; parser->position < parser->size; parser->position++) {
        char c = parser->text[parser->position];
        if (c == '"') {
            parser->position++;
            value[size] = '\0';
            *ret = TAKE_PTR(value);
            return 0;
        }
        if (c == '\\' && parser->position + 1 < parser->size &&
            strchr("\"\\", parser->text[parser->position + 1]))
            c = parser->text[++parser->position];
        value[size++] = c;
    }
    grammar_fail(parser, column, "the quote is never closed");
    return -EINVAL;
}

static int read_value(struct grammar_parser *parser, char **ret)
{
    size_t start = parser->position;
    int r;

    if (start < parser->size && parser->text[start] == '"') {
        parser->position++;
        r = read_quoted(parser, start, ret);
        if (r < 0)
            return r;
        if (parser->position < parser->size && !is_blank(parser->text[parser->position])) {
            free(TAKE_PTR(*ret));
            grammar_fail(parser, parser->position, "a space is missing behind the quote");
            return -EINVAL;
        }
        return 0;
    }
    while (parser->position < parser->size && !is_blank(parser->text[parser->position]))
        parser->position++;
    *ret = strndup(parser->text + start, parser->position - start);
    return *ret ? 0 : -ENOMEM;
}

static int keep_detail(struct grammar_parser *parser, const char *task, const char *key,
                       char *value, size_t column)
{
    if (parser->details_count == parser->details_allocated) {
        size_t allocated = parser->details_allocated ? parser->details_allocated * 2 : 32;
        struct grammar_detail *details = reallocarray(parser->details, allocated, sizeof(*details));
        if (!details)
            return -ENOMEM;
        parser->details = details;
        parser->details_allocated = allocated;
    }
    struct grammar_detail *detail = &parser->details[parser->details_count];
    *detail = (struct grammar_detail){
        .key = strdup(key), .line = parser->line, .column = (uint32_t)column + 1};
    if (!detail->key)
        return -ENOMEM;
    (void)snprintf(detail->task, sizeof(detail->task), "%s", task);
    detail->value = value;
    parser->details_count++;
    return 0;
}

/* One "key=value". Return: 0; -EINVAL (noted: the rest of the line means nothing); -ENOMEM. */
static int read_pair(struct grammar_parser *parser, const char *task)
{
    _cleanup_free_ char *value = NULL;
    char key[KEY_MAX + 1];
    size_t start = parser->position, size;
    int r;

    while (parser->position < parser->size && parser->text[parser->position] != '=' &&
           !is_blank(parser->text[parser->position]))
        parser->position++;
    size = parser->position - start;
    if (size == 0 || size > KEY_MAX || parser->position == parser->size ||
        parser->text[parser->position] != '=') {
        grammar_fail(parser, start,
                     "\"%.*s\" is not a detail; write KEY=VALUE, for example timeout=30s",
                     (int)MIN(size, (size_t)KEY_MAX), parser->text + start);
        return -EINVAL;
    }
    memcpy(key, parser->text + start, size);
    key[size] = '\0';
    parser->position++;
    r = read_value(parser, &value);
    if (r < 0)
        return r;
    r = keep_detail(parser, task, key, value, start);
    if (r >= 0)
        (void)TAKE_PTR(value);
    return r;
}

int grammar_read_details(struct grammar_parser *parser, const char *task)
{
    size_t before = parser->details_count;

    if (memchr(parser->text, '\0', parser->size)) {
        grammar_fail(parser, 0, "a NUL byte in the line");
        return 0;
    }
    for (;;) {
        while (parser->position < parser->size && is_blank(parser->text[parser->position]))
            parser->position++;
        if (parser->position == parser->size || parser->text[parser->position] == '#')
            break;
        int r = read_pair(parser, task);
        if (r == -EINVAL)
            return 0;
        if (r < 0)
            return r;
    }
    if (parser->details_count == before)
        grammar_fail(parser, 0, "no details behind \"%s:\"", task);
    return 0;
}

/* Words between blanks; quotes of both kinds hold words together and vanish. */
static int split_words(const char *text, struct task_words *words)
{
    _cleanup_free_ char *word = malloc(strlen(text) + 1);
    size_t size = 0;
    bool in_word = false;
    char quote = '\0';

    if (!word)
        return -ENOMEM;
    for (;; text++) {
        if (*text == '\0' || (quote == '\0' && is_blank(*text))) {
            word[size] = '\0';
            int r = in_word ? task_words_add(words, word) : 0;
            if (r < 0 || *text == '\0')
                return r < 0 ? r : quote ? -EINVAL : 0;
            in_word = false;
            size = 0;
        } else if (quote == '\0' && (*text == '"' || *text == '\'')) {
            quote = *text;
            in_word = true;
        } else if (quote != '\0' && *text == quote) {
            quote = '\0';
        } else {
            word[size++] = *text;
            in_word = true;
        }
    }
}

static int set_args(struct task_spec *spec, const char *value)
{
    return split_words(value, &spec->args);
}

/* The command comes first, whatever the order of the details; args follow it. */
static int set_run(struct task_spec *spec, const char *value)
{
    _cleanup_(task_words_done) struct task_words words = {0};
    int r = split_words(value, &words);

    for (size_t i = 0; r >= 0 && i < spec->args.count; i++)
        r = task_words_add(&words, spec->args.items[i]);
    if (r < 0)
        return r;
    if (words.count == 0)
        return -EINVAL;
    struct task_words old = spec->args;
    spec->args = words;
    words = old;
    spec->is_command = true;
    (void)snprintf(spec->type, sizeof(spec->type), "%s", TASK_TYPE_COMMAND);
    return 0;
}

static int set_timeout(struct task_spec *spec, const char *value)
{
    usec_t timeout;
    int r = text_parse_usec(value, &timeout);

    if (r < 0 || timeout == 0)
        return -EINVAL;
    spec->timeout_usec = timeout;
    return 0;
}

static int set_memory(struct task_spec *spec, const char *value)
{
    uint64_t size;
    int r = text_parse_size(value, &size);

    if (r < 0 || size == 0)
        return -EINVAL;
    spec->memory_size = size;
    return 0;
}

static int set_retries(struct task_spec *spec, const char *value)
{
    uint32_t number = 0;

    if (*value == '\0' || strlen(value) > 4 || strspn(value, "0123456789") != strlen(value))
        return -EINVAL;
    for (; *value; value++)
        number = number * 10 + (uint32_t)(*value - '0');
    if (number > TASK_RETRIES_MAX)
        return -EINVAL;
    spec->retries = number;
    return 0;
}

static int set_confidential(struct task_spec *spec, const char *value)
{
    bool is_yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;

    if (!is_yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
        return -EINVAL;
    spec->is_confidential = is_yes;
    return 0;
}

static int set_node(struct task_spec *spec, const char *value)
{
    if (!text_is_node_name(value))
        return -EINVAL;
    (void)snprintf(spec->node, sizeof(spec->node), "%s", value);
    return 0;
}

static int set_name(struct task_spec *spec, const char *value)
{
    if (*value == '\0' || strlen(value) > TASK_NAME_MAX)
        return -EINVAL;
    (void)snprintf(spec->name, sizeof(spec->name), "%s", value);
    return 0;
}

static int set_env(struct task_spec *spec, const char *value)
{
    return strchr(value, '=') ? task_words_add(&spec->env, value) : -EINVAL;
}

struct detail_key {
    const char *name;
    int (*set)(struct task_spec *spec, const char *value); /* NULL: not in this version */
    bool is_repeated;
    const char *expected;
};

/* In the order in which they apply: run looks at args. */
static const struct detail_key keys[] = {
    {"args", set_args, false, "words, at most 1024 and 64 KiB, quotes closed"},
    {"run", set_run, false, "a command, quotes closed"},
    {"timeout", set_timeout, false, "a duration above 0, for example 30s"},
    {"memory", set_memory, false, "a size above 0, for example 512MiB"},
    {"retries", set_retries, false, "a number from 0 to 1000"},
    {"confidential", set_confidential, false, "yes or no"},
    {"node", set_node, false, "the name of a node"},
    {"name", set_name, false, "at most 63 bytes of text"},
    {"env", set_env, true, "NAME=VALUE"},
    {"in", NULL, false, NULL},
    {"out", NULL, false, NULL},
    {"needs", NULL, false, NULL},
    {"python", NULL, false, NULL},
    {"slots", NULL, false, NULL},
    {"on_fail", NULL, false, NULL},
};

static const struct detail_key *find_key(struct grammar_parser *parser,
                                         const struct grammar_detail *detail)
{
    const char *names[ARRAY_SIZE(keys) + 1] = {0};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(detail->key, keys[i].name) == 0)
            return &keys[i];
        names[i] = keys[i].name;
    }
    const char *closest = text_closest(detail->key, names);
    if (closest)
        grammar_fail_at(parser, detail->line, detail->column,
                        "unknown detail \"%s\"; did you mean \"%s\"?", detail->key, closest);
    else
        grammar_fail_at(parser, detail->line, detail->column, "unknown detail \"%s\"", detail->key);
    return NULL;
}

/* Checks the detail's key and task; keys that are given twice are found by @seen, a bit per key. */
static int apply(struct grammar_parser *parser, const struct grammar_detail *detail,
                 const struct detail_key *key, struct workflow_step *step, uint32_t *seen)
{
    uint32_t bit = 1U << (key - keys);
    int r;

    if (!key->set) {
        grammar_fail_at(parser, detail->line, detail->column,
                        "this version does not know what to do with \"%s\"", key->name);
        return 0;
    }
    if ((*seen & bit) && !key->is_repeated) {
        grammar_fail_at(parser, detail->line, detail->column, "\"%s\" is given twice for %s",
                        key->name, step->name);
        return 0;
    }
    *seen |= bit;
    r = key->set(&step->spec, detail->value);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        grammar_fail_at(parser, detail->line, detail->column, "%s=%.60s: expected %s", key->name,
                        detail->value, key->expected);
    return 0;
}

/* A command shows as the task it stands for; and every specification is checked as a whole. */
static void finish_steps(struct grammar_parser *parser)
{
    struct workflow_plan *plan = parser->plan;
    char reason[TASK_REASON_MAX + 1];

    for (size_t i = 0; i < plan->steps_count; i++) {
        struct workflow_step *step = &plan->steps[i];
        if (step->spec.is_command && step->spec.name[0] == '\0')
            (void)snprintf(step->spec.name, sizeof(step->spec.name), "%s", step->name);
        if (task_spec_check(&step->spec, reason) < 0)
            grammar_fail_at(parser, step->line, step->column, "%s: %s", step->name, reason);
    }
}

int grammar_apply_details(struct grammar_parser *parser)
{
    _cleanup_free_ uint32_t *seen = calloc(parser->plan->steps_count + 1, sizeof(*seen));

    if (!seen)
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
            int r = apply(parser, detail, &keys[k], step, &seen[step - parser->plan->steps]);
            if (r < 0)
                return r;
        }
    }
    for (size_t i = 0; i < parser->details_count; i++) {
        const struct grammar_detail *detail = &parser->details[i];
        if (!table_find(&parser->by_name, detail->task))
            grammar_fail_at(parser, detail->line, 1, "\"%s\" is not in the list", detail->task);
        (void)find_key(parser, detail);
    }
    finish_steps(parser);
    return 0;
}
