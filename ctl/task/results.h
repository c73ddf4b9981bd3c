/* SPDX-License-Identifier: MIT */
#pragma once

/* The results of tasks, written where their user wants them: `task get`, and `submit` at the end.
 */

#include <cjson/cJSON.h>
#include "ctl.h"

/**
 * results_get() - all results of a task
 * @directory:  where to; made if missing
 * @own:        the patterns are those of this user's own command line: their directories count,
 * wherever they are. Else only those below @directory do
 * @ret:        an array of the paths that were written, owned by the caller; also on failure
 *
 * Return: 0, or the exit code after telling.
 */
int results_get(struct ctl *ctl, const char *id, const char *directory, bool own, cJSON **ret);

/* Whether results can be written to @directory, or it can be made. Return: 0, or the exit code,
 * told. */
int results_check(const char *directory);
