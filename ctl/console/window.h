/* SPDX-License-Identifier: MIT */
#pragma once

/* -f, -n and --since of `events` and `inbox`, and how such a stream ends. */

#include <cjson/cJSON.h>
#include "ctl.h"

/* Adds follow, lines and since to @parameters, as the options say. */
int window_add(const struct ctl *ctl, cJSON *parameters);

/*
 * The exit code of a stream that ended with @result of client_next(): Ctrl-C is the usual end, and
 * programs get their {"type":"end"} then too.
 */
int window_end(const struct ctl *ctl, int result);
