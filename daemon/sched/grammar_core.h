/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the grammar share: grammar.c reads words, groups and lines, grammar_detail.c
 * what stands behind "TASK:", grammar_key.c knows what each detail means, grammar_input.c files
 * that go with a task. Nobody else includes this.
 */

#include "base/table.h"
#include "sched/grammar.h"

struct grammar_error {
    uint32_t line, column;
    char *text; /* owned */
};

/* "a1: timeout=30s" is one of these. */
struct grammar_detail {
    char task[TASK_TYPE_MAX + 21];
    char *key, *value; /* owned */
    uint32_t line, column;
};

struct grammar_parser {
    const char *text; /* of one line; borrowed, not terminated */
    size_t size;
    size_t position;
    uint32_t line;
    struct workflow_plan *plan; /* owned */
    size_t steps_allocated;
    struct table by_name;              /* of struct workflow_step; keys in names */
    char (*names)[TASK_TYPE_MAX + 21]; /* owned: the spelling that is compared, of every step */
    struct grammar_detail *details;    /* owned */
    size_t details_count, details_allocated;
    struct grammar_error errors[GRAMMAR_ERRORS_MAX];
    size_t errors_kept, errors_count;
    bool in_group;
    uint32_t group_line, group_column, group_first; /* where it began; its first step */
    const struct grammar_options *options;
    bool *vars_used;      /* owned: of options->vars */
    size_t expanded_size; /* bytes that variables put in, all together */
};

/* Notes an error at a column of the current line, or at another place. */
void grammar_fail(struct grammar_parser *parser, size_t column, const char *format, ...)
    _printf_(3, 4);
void grammar_fail_at(struct grammar_parser *parser, uint32_t line, uint32_t column,
                     const char *format, ...) _printf_(4, 5);

/*
 * "a1" into letters and number, and into the one spelling that is compared ("a01" is "a1").
 * Return: 0; -EINVAL, and the error is noted at @column.
 */
int grammar_read_name(struct grammar_parser *parser, const char *word, size_t size, size_t column,
                      struct workflow_step *ret, char ret_key[static TASK_TYPE_MAX + 21]);

/* The current line is details of @task. Return: 0, -ENOMEM; errors in it are noted. */
int grammar_read_details(struct grammar_parser *parser, const char *task);

/*
 * One more input of @step, "SOURCE[=NAME]" as the detail `in` has it; a result of another task
 * makes that task one that is needed. Return: 0; -EINVAL; -EPERM where the other task is
 * confidential, and @step is not; -ENOTUNIQ where another input of @step has its place; -E2BIG for
 * too many; -ENOMEM. grammar_input.c
 */
int grammar_add_input(struct grammar_parser *parser, struct workflow_step *step, const char *text);

/*
 * The place of @path among the files that go with the list; one that is there already counts once.
 * Return: that; -E2BIG, -ENOMEM. grammar_input.c
 */
int grammar_add_local(struct workflow_plan *plan, const char *path);

/* One more step that must have ended well before. Return: its index; -EINVAL; -E2BIG; -ENOMEM. */
int grammar_add_need(struct grammar_parser *parser, struct workflow_step *step, const char *word,
                     size_t size);

/*
 * @value with its variables put in; owned by the caller. Return: 0; -E2BIG where they put in more
 * than GRAMMAR_SIZE_MAX; -ENOMEM.
 */
int grammar_expand(struct grammar_parser *parser, const char *value, char **ret);

/* All lines are read: details go to their tasks. Return: 0, -ENOMEM. */
int grammar_apply_details(struct grammar_parser *parser);
