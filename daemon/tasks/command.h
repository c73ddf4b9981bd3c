/* SPDX-License-Identifier: MIT */
#pragma once

/* What an attempt is for p2pnode-exec: words, environment and limits. */

#include "tasks/internal.h"

#define COMMAND_VARIABLES_MAX 12

struct command {
    const char **words; /* owned array of borrowed words */
    const char *environment[COMMAND_VARIABLES_MAX + TASK_WORDS_MAX + 1];
    char **handler;                 /* owned: the handler's words */
    char *outs[TASK_FILES_MAX + 1]; /* owned: the globs of results */
    char number[24];
    char variables[COMMAND_VARIABLES_MAX][160];
};

/* Texts are borrowed of @attempt. Return: 0; -ENOENT for a type that this node does not do; -EACCES
 * for one that is not for its user; -ENOMEM.
 */
int command_new(const struct tasks *tasks, const struct slots_attempt *attempt,
                struct command **ret);
struct command *command_free(struct command *command);
DEFINE_CLEANUP(struct command *, command_free)

/* Whether this node runs that for @user; NULL = it is not known who that is. */
bool command_permits(const struct tasks *tasks, enum task_kind kind, const char *type,
                     const char *user);
/* As struct place_facts has it of the own node. */
int command_check_spec(const struct task_spec *spec, void *tasks);

/* How much memory it may have: what it asks for, else what its type has, else any task; 0 = no
 * limit. */
uint64_t command_get_memory(const struct tasks *tasks, const struct task_spec *spec);
