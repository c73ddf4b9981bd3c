/* SPDX-License-Identifier: MIT */
#pragma once

/* What `file put` and `file get` share. */

#include "client.h"
#include "ctl.h"

/* The stream of PutFile or GetFile with its progress. Return: 0 with the last object, or the exit
 * code. */
int file_transfer(struct ctl *ctl, struct call call, const char *name, cJSON **ret_end);

/* The line that says it is done, or the object with --json. */
int file_show_end(const struct ctl *ctl, const cJSON *end);

/* Whether @name can be a stored file's. Return: 0, or the exit code after telling. */
int file_check_name(const char *name);

/* Whether --overwrite is one of its words. */
int file_check_overwrite(const struct options *options);
