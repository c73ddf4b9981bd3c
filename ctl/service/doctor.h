/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The parts of `p2pctl doctor`: what can be seen without a daemon, and the report for others.
 */

#include <cjson/cJSON.h>
#include "ctl.h"

/* Whether @check was asked for; without any word all are. */
bool doctor_wants(const struct ctl *ctl, const char *check);

/* doctor_local.c: an answer as of the method Doctor, found without a daemon. NULL without memory.
 */
cJSON *doctor_look(const struct ctl *ctl);

/*
 * doctor_report.c: @answer, and what the daemon (@is_running) says of itself, into the file @path,
 * without texts of messages, tasks and files, and with other names for addresses. Return: 0, or the
 * exit code.
 */
int doctor_write_report(struct ctl *ctl, const char *path, const cJSON *answer, bool is_running);
