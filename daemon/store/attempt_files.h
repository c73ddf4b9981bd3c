/* SPDX-License-Identifier: MIT */
#pragma once

/* Files in a folder of the state directory that belong to attempts of tasks, and to their records.
 */

#include <stdbool.h>
#include "base/id.h"

#define ATTEMPT_NAME_SIZE (NODE_ID_TEXT_MAX + 48)

struct attempt_name {
    struct node_id origin; /* null: of an own task */
    uint64_t number;
    uint32_t attempt;
};

/*
 * The folder @name of @directory, made where it is missing. Return: a descriptor, the caller's; or
 * what mkdir and open said.
 */
int attempt_files_open(const char *directory, const char *name);

/* "42.1.log", or with the origin before it; @suffix as ".log". */
void attempt_files_format(const struct attempt_name *name, const char *suffix,
                          char target[static ATTEMPT_NAME_SIZE]);

/* The reverse. Return: whether @text is one that attempt_files_format() would give. */
bool attempt_files_parse(const char *text, const char *suffix, struct attempt_name *ret);

/* Removes every file that @is_garbage names. Blocks. Return: 0, or what readdir and unlink said. */
typedef bool (*attempt_files_is_garbage_t)(const char *name, void *data);
int attempt_files_sweep(int directory_fd, attempt_files_is_garbage_t is_garbage, void *data);
