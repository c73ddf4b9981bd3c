/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * --watch: the same question again and again. A terminal is redrawn; a pipe gets the rows that
 * changed, so that a log of them stays short.
 */

#include <cjson/cJSON.h>
#include "ctl.h"

/* Runs the command until Ctrl-C, which is the usual end. Return: the exit code. */
int watch_run(struct ctl *ctl);

/* Drops the rows of @list that were shown before and only aged since. */
void watch_drop_shown(struct ctl *ctl, const char *list, cJSON *answer);
