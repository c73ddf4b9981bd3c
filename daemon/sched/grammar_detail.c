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

/* What "${K}" at @text stands for; NULL where no variable is called so. */
static const char *find_var(struct grammar_parser *parser, const char *text, size_t *ret_size)
{
    const struct task_words *vars = parser->options->vars;
    const char *end = strchr(text, '}');

    if (!end)
        return NULL;
    size_t size = (size_t)(end - text) - 2;
    for (size_t i = 0; i < vars->count; i++)
        if (strncmp(vars->items[i], text + 2, size) == 0 && vars->items[i][size] == '=') {
            parser->vars_used[i] = true;
            *ret_size = size + 3;
            return vars->items[i] + size + 1;
        }
    return NULL;
}

/* Appends to a string of @size bytes that is owned by the caller. Return: 0, -ENOMEM. */
static int append(char **target, size_t *size, const char *text, size_t text_size)
{
    char *longer = realloc(*target, *size + text_size + 1);

    if (!longer)
        return -ENOMEM;
    memcpy(longer + *size, text, text_size);
    *size += text_size;
    longer[*size] = '\0';
    *target = longer;
    return 0;
}

int grammar_expand(struct grammar_parser *parser, const char *value, char **ret)
{
    _cleanup_free_ char *result = NULL;
    size_t size = 0, name_size = 0;
    int r = append(&result, &size, "", 0);

    while (r >= 0 && *value) {
        const char *start = parser->options->vars ? strstr(value, "${") : NULL;
        size_t plain = start ? (size_t)(start - value) : strlen(value);
        const char *text = start ? find_var(parser, start, &name_size) : NULL;
        if (start && !text) { /* a shell's */
            plain += 2;
            start = NULL;
        }
        r = append(&result, &size, value, plain);
        value += plain;
        if (r < 0 || !text)
            continue;
        parser->expanded_size += strlen(text);
        if (parser->expanded_size > GRAMMAR_SIZE_MAX)
            return -E2BIG;
        r = append(&result, &size, text, strlen(text));
        value += name_size;
    }
    if (r >= 0)
        *ret = TAKE_PTR(result);
    return r;
}
