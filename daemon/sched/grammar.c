/* SPDX-License-Identifier: MIT */
#include "sched/grammar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "sched/grammar_core.h"

#define TYPE_NUMBER_DIGITS 15
#define ERROR_TEXT_MAX     255
#define SHOWN_MAX          40 /* bytes of a word in an error */
#define HOW                "a task is a type letter and a number, for example "

struct workflow_plan *workflow_plan_free(struct workflow_plan *plan)
{
    if (!plan)
        return NULL;
    for (size_t i = 0; i < plan->steps_count; i++) {
        struct workflow_step *step = &plan->steps[i];
        task_spec_done(&step->spec);
        free(step->needs);
        for (size_t j = 0; j < step->inputs_count; j++) {
            free(step->inputs[j].source);
            free(step->inputs[j].name);
        }
        free(step->inputs);
    }
    task_words_done(&plan->locals);
    free(plan->steps);
    free(plan);
    return NULL;
}

void grammar_errors_done(struct grammar_errors *errors)
{
    for (size_t i = 0; i < errors->lines_count; i++)
        free(errors->lines[i]);
    free(errors->lines);
    *errors = (struct grammar_errors){0};
}

static void parser_done(struct grammar_parser *parser)
{
    workflow_plan_free(parser->plan);
    table_done(&parser->by_name);
    free(parser->names);
    for (size_t i = 0; i < parser->details_count; i++) {
        free(parser->details[i].key);
        free(parser->details[i].value);
    }
    free(parser->details);
    free(parser->vars_used);
    for (size_t i = 0; i < parser->errors_kept; i++)
        free(parser->errors[i].text);
}

static void _printf_(4, 0) fail(struct grammar_parser *parser, uint32_t line, uint32_t column,
                                const char *format, va_list arguments)
{
    char raw[ERROR_TEXT_MAX + 1], text[ERROR_TEXT_MAX + 1];

    parser->errors_count++;
    if (parser->errors_kept == GRAMMAR_ERRORS_MAX)
        return;
    (void)vsnprintf(raw, sizeof(raw), format, arguments);
    char *copy = strdup(task_format_text(text, sizeof(text), "%s", raw));
    if (copy)
        parser->errors[parser->errors_kept++] =
            (struct grammar_error){.line = line, .column = column, .text = copy};
}

void grammar_fail(struct grammar_parser *parser, size_t column, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail(parser, parser->line, (uint32_t)column + 1, format, arguments);
    va_end(arguments);
}

void grammar_fail_at(struct grammar_parser *parser, uint32_t line, uint32_t column,
                     const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail(parser, line, column, format, arguments);
    va_end(arguments);
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

int grammar_read_name(struct grammar_parser *parser, const char *word, size_t size, size_t column,
                      struct workflow_step *ret, char ret_key[static TASK_TYPE_MAX + 21])
{
    int shown = (int)MIN(size, (size_t)SHOWN_MAX);
    size_t letters = 0, digits = 0, zeros = 0;
    uint64_t number = 0;

    while (letters < size && is_letter(word[letters]))
        letters++;
    while (letters + digits < size && is_digit(word[letters + digits])) {
        if (digits == zeros && word[letters + digits] == '0')
            zeros++;
        digits++;
    }
    if (letters + digits != size)
        grammar_fail(parser, column, "\"%.*s\" is not a task; " HOW "a1", shown, word);
    else if (letters == 0)
        grammar_fail(parser, column, "\"%.*s\" has no type; " HOW "a%.*s", shown, word, shown,
                     word);
    else if (digits == 0)
        grammar_fail(parser, column, "\"%.*s\" has no number; " HOW "%.*s1", shown, word, shown,
                     word);
    else if (letters > TASK_TYPE_MAX)
        grammar_fail(parser, column, "\"%.*s\" has a type of more than %d letters", shown, word,
                     TASK_TYPE_MAX);
    else if (digits - zeros > TYPE_NUMBER_DIGITS || size >= sizeof(ret->name))
        grammar_fail(parser, column, "\"%.*s\" has a number of more than %d digits", shown, word,
                     TYPE_NUMBER_DIGITS);
    else {
        for (size_t i = letters; i < size; i++)
            number = number * 10 + (uint64_t)(word[i] - '0');
        memcpy(ret->name, word, size);
        ret->name[size] = '\0';
        memcpy(ret->spec.type, word, letters);
        ret->spec.type[letters] = '\0';
        ret->spec.type_number = number;
        (void)snprintf(ret_key, TASK_TYPE_MAX + 21, "%s%" PRIu64, ret->spec.type, number);
        return 0;
    }
    return -EINVAL;
}

static int grow_steps(struct grammar_parser *parser)
{
    size_t allocated = parser->steps_allocated ? parser->steps_allocated * 2 : 64;

    if (parser->plan->steps_count < parser->steps_allocated)
        return 0;
    struct workflow_step *steps = reallocarray(parser->plan->steps, allocated, sizeof(*steps));
    if (!steps)
        return -ENOMEM;
    parser->plan->steps = steps;
    parser->steps_allocated = allocated;
    return 0;
}

static int add_step(struct grammar_parser *parser, const struct workflow_step *step, size_t column)
{
    struct workflow_plan *plan = parser->plan;
    int r = grow_steps(parser);

    if (r < 0)
        return r;
    plan->steps[plan->steps_count] = *step;
    plan->steps[plan->steps_count].line = parser->line;
    plan->steps[plan->steps_count].column = (uint32_t)column + 1;
    plan->steps[plan->steps_count].group = plan->groups_count;
    plan->steps_count++;
    if (!parser->in_group)
        plan->groups_count++;
    return 0;
}

static int read_task(struct grammar_parser *parser, size_t start)
{
    struct workflow_step step = {0};
    char key[TASK_TYPE_MAX + 21];

    if (grammar_read_name(parser, parser->text + start, parser->position - start, start, &step,
                          key) < 0)
        return 0;
    if (parser->plan->steps_count == GRAMMAR_TASKS_MAX) {
        grammar_fail(parser, start, "more than %d tasks", GRAMMAR_TASKS_MAX);
        return -E2BIG;
    }
    step.spec.retries = parser->options->retries;
    step.spec.retry_delay_usec = parser->options->retry_delay_usec;
    step.spec.retry_on = parser->options->retry_on;
    task_format_text(step.spec.user, sizeof(step.spec.user), "%s", parser->options->user);
    return add_step(parser, &step, start);
}

static void open_group(struct grammar_parser *parser)
{
    if (parser->in_group) {
        grammar_fail(parser, parser->position, "a group inside a group; close the first with }");
        return;
    }
    parser->in_group = true;
    parser->group_line = parser->line;
    parser->group_column = (uint32_t)parser->position + 1;
    parser->group_first = (uint32_t)parser->plan->steps_count;
}

static void close_group(struct grammar_parser *parser)
{
    if (!parser->in_group) {
        grammar_fail(parser, parser->position, "} without {");
        return;
    }
    if (parser->plan->steps_count == parser->group_first)
        grammar_fail_at(parser, parser->group_line, parser->group_column, "an empty group");
    else
        parser->plan->groups_count++;
    parser->in_group = false;
}

static void skip_word(struct grammar_parser *parser)
{
    while (parser->position < parser->size) {
        char c = parser->text[parser->position];
        if (is_blank(c) || c == '{' || c == '}' || c == '#')
            break;
        parser->position++;
    }
}

static void skip_blanks(struct grammar_parser *parser)
{
    while (parser->position < parser->size && is_blank(parser->text[parser->position]))
        parser->position++;
}

/* Whether the line is one of details; then the name has been read, and *ret_key is it or "". */
static bool read_detail_name(struct grammar_parser *parser, char ret_key[static TASK_TYPE_MAX + 21])
{
    size_t start = parser->position, end = start;
    struct workflow_step step;

    while (end < parser->size && !is_blank(parser->text[end]) &&
           !strchr("{}#:=", parser->text[end]))
        end++;
    if (end == parser->size || parser->text[end] != ':')
        return false;
    ret_key[0] = '\0';
    (void)grammar_read_name(parser, parser->text + start, end - start, start, &step, ret_key);
    parser->position = end + 1;
    return true;
}

static int read_line(struct grammar_parser *parser)
{
    char key[TASK_TYPE_MAX + 21];

    skip_blanks(parser);
    if (read_detail_name(parser, key))
        return key[0] != '\0' ? grammar_read_details(parser, key) : 0;
    for (;;) {
        skip_blanks(parser);
        if (parser->position == parser->size || parser->text[parser->position] == '#')
            return 0;
        if (parser->text[parser->position] == '{') {
            open_group(parser);
            parser->position++;
        } else if (parser->text[parser->position] == '}') {
            close_group(parser);
            parser->position++;
        } else {
            size_t start = parser->position;
            skip_word(parser);
            int r = read_task(parser, start);
            if (r < 0)
                return r;
        }
    }
}

static int read_text(struct grammar_parser *parser, const char *text, size_t size)
{
    const char *end = text + size;

    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        parser->text = text;
        parser->size = (size_t)((newline ? newline : end) - text);
        parser->position = 0;
        parser->line++;
        text += parser->size + 1;
        if (parser->size > GRAMMAR_LINE_MAX) {
            grammar_fail(parser, GRAMMAR_LINE_MAX, "the line is longer than %d bytes",
                         GRAMMAR_LINE_MAX);
            continue;
        }
        int r = read_line(parser);
        if (r == -E2BIG)
            return 0;
        if (r < 0)
            return r;
    }
    if (parser->in_group)
        grammar_fail_at(parser, parser->group_line, parser->group_column, "{ is never closed");
    if (parser->plan->steps_count == 0 && parser->errors_count == 0)
        grammar_fail_at(parser, 1, 1, "there is no task in the list");
    return 0;
}

/* Every task is listed once; fills the table by which details find theirs. */
static int index_steps(struct grammar_parser *parser)
{
    struct workflow_plan *plan = parser->plan;

    parser->names = calloc(plan->steps_count + 1, sizeof(*parser->names));
    if (!parser->names)
        return -ENOMEM;
    for (size_t i = 0; i < plan->steps_count; i++) {
        struct workflow_step *step = &plan->steps[i];
        char *key = parser->names[i];
        step->spec.step = (uint32_t)i;
        (void)snprintf(key, sizeof(parser->names[i]), "%s%" PRIu64, step->spec.type,
                       step->spec.type_number);
        const struct workflow_step *first = table_find(&parser->by_name, key);
        if (first) {
            grammar_fail_at(parser, step->line, step->column,
                            "\"%s\" is listed twice; first in line %u", step->name, first->line);
            continue;
        }
        int r = table_insert(&parser->by_name, key, step);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare_errors(const void *a, const void *b)
{
    const struct grammar_error *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return (x->column > y->column) - (x->column < y->column);
}

static int hand_over_errors(struct grammar_parser *parser, const char *file,
                            struct grammar_errors *errors)
{
    qsort(parser->errors, parser->errors_kept, sizeof(parser->errors[0]), compare_errors);
    errors->lines = calloc(parser->errors_kept + 1, sizeof(*errors->lines));
    if (!errors->lines)
        return -ENOMEM;
    for (size_t i = 0; i < parser->errors_kept; i++) {
        const struct grammar_error *error = &parser->errors[i];
        size_t size = strlen(file) + strlen(error->text) + 32;
        errors->lines[i] = malloc(size);
        if (!errors->lines[i])
            return -ENOMEM;
        (void)snprintf(errors->lines[i], size, "%s:%u:%u: %s", file, error->line, error->column,
                       error->text);
        errors->lines_count++;
    }
    errors->count = parser->errors_count;
    return -EINVAL;
}

static int parse(struct grammar_parser *parser, const char *text, size_t size)
{
    int r;

    parser->plan = calloc(1, sizeof(*parser->plan));
    if (!parser->plan)
        return -ENOMEM;
    if (size > GRAMMAR_SIZE_MAX) {
        grammar_fail_at(parser, 1, 1, "the file has more than %zu bytes", GRAMMAR_SIZE_MAX);
        return 0;
    }
    r = read_text(parser, text, size);
    if (r < 0)
        return r;
    r = index_steps(parser);
    if (r < 0)
        return r;
    return grammar_apply_details(parser);
}

int grammar_parse(const char *file, const char *text, size_t size,
                  const struct grammar_options *options, struct workflow_plan **ret,
                  struct grammar_errors *errors)
{
    _cleanup_(parser_done) struct grammar_parser parser = {.options = options};
    int r;

    /* The words are the user's own: a fixed seed only costs him his own time. */
    table_init(&parser.by_name, 0, 0);
    r = parse(&parser, text, size);
    if (r < 0)
        return r;
    if (parser.errors_count > 0)
        return hand_over_errors(&parser, file, errors);
    *ret = TAKE_PTR(parser.plan);
    return 0;
}
