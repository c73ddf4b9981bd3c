/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The console text of a run (cli.md §8), rendered from its events: the sentences of the first task
 * runner, word for word. Neighbouring tasks of one type are a batch; a batch has one line when its
 * last task has ended, "Task completed by peer handling type 'A'", or "Task failed by peer handling
 * type 'B': b3: exit 1".
 *
 * Pure: the caller feeds events and prints the lines it gets. Names it does not know are ignored.
 */

#include <stdbool.h>
#include <stddef.h>
#include "base/macro.h"

struct console;

/* Return: 0, -ENOMEM. "Discovering peers..." is the first line. */
int console_new(struct console **ret);
struct console *console_free(struct console *console);
DEFINE_CLEANUP(struct console *, console_free)

/*
 * The plan: @names in their order, "a1" "a2" …, each letters and a number; copied. At most once.
 * Return: 0; -EINVAL for a name of another form or named twice; -EEXIST for a second plan; -ENOMEM.
 */
int console_plan(struct console *console, const char *const *names, size_t count);

/* A task runs; only the first time counts. */
void console_started(struct console *console, const char *name);

/* A task has ended; @failure NULL = succeeded, else "exit 1". Only the first time counts. */
void console_ended(struct console *console, const char *name, const char *failure);

/* The run is over: batches that failed but did not finish get their line, then the last two follow.
 */
void console_end(struct console *console);

/* The next line without a newline, or NULL; borrowed until the next call of any function here. */
const char *console_next_line(struct console *console);
