/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A task that is a call of a Python function: the code travels with the task as text, the arguments
 * are the words of the task, each JSON ("[1, 2]") or, by name, KEY=JSON ("scale=2"). Nobody but the
 * interpreter of the node that runs it reads the code; here only its form is looked at.
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/macro.h"

#define TASK_CODE_MAX     ((size_t)256 * 1024) /* bytes; as JSON it has to fit a frame's header */
#define TASK_FILE_MAX     255                  /* bytes */
#define TASK_FUNCTION_MAX 127                  /* bytes */

struct task_python {
    char *code;                   /* owned */
    char file[TASK_FILE_MAX + 1]; /* what tracebacks call it: "stats.py" */
    char function[TASK_FUNCTION_MAX + 1];
};

struct task_python *task_python_free(struct task_python *python);
DEFINE_CLEANUP(struct task_python *, task_python_free)

/* Texts too long for their fields are cut, which task_python_check() then cannot tell: the caller
 * has looked. Return: 0, -ENOMEM. */
int task_python_new(const char *file, const char *function, const char *code,
                    struct task_python **ret);

/* Return: NULL; or a constant sentence about what is wrong. */
const char *task_python_check(const struct task_python *python);

/* Whether nodes with these versions ("3.11"; "" = none, "?" = not known) may run code differently.
 */
bool task_python_differs(const char *version, const char *other);

/* Return: NULL without memory. */
cJSON *task_python_to_json(const struct task_python *python);

/* Return: 0; -EBADMSG; -ENOMEM. */
int task_python_from_json(const cJSON *json, struct task_python **ret);
