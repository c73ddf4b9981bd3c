/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The last step of a task's own process: find the command in its sandbox and become it. Exit codes
 * and messages are those of a shell.
 */

/* Where its environment has no PATH. */
#define COMMAND_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/*
 * Becomes @words with @environment, both NULL-terminated. Return, where it cannot: the exit code,
 * 127 for a command that is not found and 126 for one that cannot be executed, told in a line on
 * stderr. {"@demo",
 * ...} prints the demo line and gives 0. Allocates nothing.
 */
int command_run(char *const *words, char *const *environment);
