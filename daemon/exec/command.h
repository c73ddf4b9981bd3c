/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The last step of a task's own process: find the command in its sandbox and become it. Exit codes
 * and messages are those of a shell.
 */

#define COMMAND_PATH "/usr/local/bin:/usr/bin:/bin" /* where the task's environment has no PATH */

/*
 * Runs @words with @environment, both NULL-terminated, and does not return: a command that is not
 * found exits 127, one that cannot be executed 126, with a line on stderr. {"@demo", ...} prints
 * the demo line. Allocates nothing.
 */
_Noreturn void command_run(char *const *words, char *const *environment);
