/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A call of a Python function on the command line: --python FILE:FUNC or --code STR --function F,
 * and its arguments in JSON.
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include "options.h"

/* Whether the command line asks for a function, or for a part of one. */
bool function_is_asked(const struct options *options);

/* What can be told of it before any file is read. Return: as function_add(). */
int function_check(const struct options *options);

/* Adds "python" and "args" of the method Submit, after function_check(). Return: 0, or the exit
 * code after the mistake was told. */
int function_add(const struct options *options, cJSON *parameters);
