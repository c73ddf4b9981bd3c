/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * tasks.txt (cli.md §9): words that are tasks, `{ }` around those that may run at the same time,
 * `#` comments, and lines of details, "TASK: key=value …". From hostile bytes to a plan, or to the
 * list of all errors, each "file:line:col: text"; columns count bytes from 1.
 *
 * A detail line is a task's name, a colon right behind it, and pairs up to the end of the line;
 * values may be in double quotes, with \" and \\ inside. Details may stand before or after their
 * task. "${K}" in a value stands for what --var K=V says; other "${…}" stay as they are, for
 * shells. What a variable holds cannot change the form of the list: it is put in behind all
 * splitting.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "sched/task.h"

#define GRAMMAR_SIZE_MAX   ((size_t)4 * 1024 * 1024) /* bytes of a file */
#define GRAMMAR_TASKS_MAX  20000 /* a list is read in one turn of the loop: some 0.1 s */
#define GRAMMAR_LINE_MAX   65536 /* bytes */
#define GRAMMAR_ERRORS_MAX 100   /* that are kept; the rest is counted */
#define GRAMMAR_NEEDS_MAX  1000  /* of one task */

/* Options of a run that become part of every task. */
struct grammar_options {
    uint32_t retries;
    usec_t retry_delay_usec;
    unsigned retry_on;
    const char *user;              /* borrowed */
    const struct task_words *vars; /* "K=V", borrowed; NULL = none */
};

/* What happens to a list when one of its tasks fails. */
enum workflow_on_fail {
    WORKFLOW_ON_FAIL_DEFAULT,  /* what the options of the run say */
    WORKFLOW_ON_FAIL_STOP,     /* nothing further starts */
    WORKFLOW_ON_FAIL_SKIP,     /* those that need it are skipped, the others go on */
    WORKFLOW_ON_FAIL_CONTINUE, /* all go on */
};

enum workflow_input_type {
    WORKFLOW_INPUT_LOCAL,  /* a file of whoever runs the list: index in plan->locals */
    WORKFLOW_INPUT_STORED, /* of the shared store of the node: source */
    WORKFLOW_INPUT_RESULT, /* of an earlier step: index, source */
};

/* A file that a task finds in its work directory. */
struct workflow_input {
    enum workflow_input_type type;
    uint32_t index;
    char *source; /* owned; NULL for local ones */
    char *name;   /* owned: what the task calls it */
};

struct workflow_step {
    char name[TASK_TYPE_MAX + 21]; /* "a1" as it stands in the file */
    uint32_t group; /* steps of one group may run at the same time; grows from 0 by 1 */
    uint32_t line, column;
    struct task_spec spec; /* owned; step is its index, workflow is 0 */
    uint32_t *needs;       /* owned: steps that must have ended well before; all are earlier ones */
    size_t needs_count;
    enum workflow_on_fail on_fail;
    bool has_code;                 /* a call of a function; its code is a file that comes with */
    uint32_t code;                 /* the list, index in plan->locals: spec.python has none */
    struct workflow_input *inputs; /* owned */
    size_t inputs_count;           /* at most TASK_FILES_MAX */
};

struct workflow_plan {
    struct workflow_step *steps; /* owned */
    size_t steps_count;
    uint32_t groups_count;
    struct task_words locals; /* paths of files that go with the list, each once; TASK_FILES_MAX */
};

struct workflow_plan *workflow_plan_free(struct workflow_plan *plan);
DEFINE_CLEANUP(struct workflow_plan *, workflow_plan_free)

struct grammar_errors {
    char **lines; /* owned: "tasks.txt:1:7: …" */
    size_t lines_count;
    size_t count; /* of all errors, told or not */
};

void grammar_errors_done(struct grammar_errors *errors);

/**
 * grammar_parse() - reads a task list
 * @file:   its name for the messages
 * @errors: filled on -EINVAL; initialised by the caller, who owns what it gets
 *
 * Return: 0; -EINVAL with at least one error told (an empty list is one, and a file above
 * GRAMMAR_SIZE_MAX); -ENOMEM.
 */
int grammar_parse(const char *file, const char *text, size_t size,
                  const struct grammar_options *options, struct workflow_plan **ret,
                  struct grammar_errors *errors);
