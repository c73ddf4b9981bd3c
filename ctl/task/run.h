/* SPDX-License-Identifier: MIT */
#pragma once

/* What `run` and `workflow show -f` share, and the files of `run`. */

#include <cjson/cJSON.h>
#include "ctl.h"

/* The list and all that the options say of it, as parameters of Run. Return: 0, or the exit code.
 */
int run_read_options(const struct options *options, cJSON *parameters);

/* Looks on while the workflow of that id runs, with its console text from the beginning on. Return:
 * the exit code. */
int run_attach(struct ctl *ctl, const char *id);
