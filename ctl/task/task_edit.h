/* SPDX-License-Identifier: MIT */
#pragma once

/* `task retry --edit`: the words of a task, changed in the user's editor. */

#include <cjson/cJSON.h>
#include "ctl.h"

/*
 * @ret: the words as the user left them, an array of strings, for the caller.
 * Return: 0, or the exit code after the failure was told.
 */
int task_edit_words(struct ctl *ctl, const char *id, cJSON **ret);
