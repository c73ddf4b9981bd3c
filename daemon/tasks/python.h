/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a node knows of Python: which version it has, and how a function is told to the interpreter.
 * The interpreter itself runs only below p2pnode-exec.
 */

#include "sched/task.h"

/*
 * The version of @interpreter into @target, "3.11", by the name of the file behind its links; "?"
 * where that does not tell, "" where nobody can execute it. Starts nothing. Returns @target.
 */
char *python_find_version(const char *interpreter, char *target, size_t size);

/*
 * @spec, a function, as the interpreter reads it: a file in memory with one JSON object {"file",
 * "function", "code", "args": [texts]}. Return: a descriptor, the caller's; or -errno.
 */
int python_make_job(const struct task_spec *spec);
