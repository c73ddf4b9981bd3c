/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Scenarios: a text of commands, and below a line of four dashes the trace that they are to leave.
 * One command per line, `#` begins a comment. `sim --help` lists the commands; a scenario fails
 * where a condition is not reached, an invariant breaks or the trace differs.
 */

#include <stdbool.h>

/*
 * Runs the scenario at @path. With @rewrite the expected trace is replaced by what happened.
 * Return: 0 where it passed; 1 where it failed, told on stderr; a negative errno where it cannot be
 * read.
 */
int script_run(const char *path, bool rewrite);
