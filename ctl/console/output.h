/* SPDX-License-Identifier: MIT */
#pragma once

/* What a task says, and how it ended: shared by `submit --wait`, `submit -f` and the task commands.
 */

#include <cjson/cJSON.h>
#include "ctl.h"
#include "console/render.h"

/**
 * output_stream() - show a task's output: its stdout on stdout, its stderr on stderr
 * @parameters:  of TaskLogs; taken over
 * @timestamps:  a clock before each line
 *
 * Return: 0 with the stream's last object; CLIENT_INTERRUPTED; or the exit code.
 */
int output_stream(struct ctl *ctl, cJSON *parameters, bool timestamps, cJSON **ret_end);

/*
 * The output of a task that was just submitted: with @follow as it comes and until the end, else
 * what there is, of both streams or of @stream. A daemon that goes away meanwhile is waited for,
 * and nothing is shown twice. Return: as output_stream().
 */
int output_follow(struct ctl *ctl, const char *id, bool follow, const char *stream,
                  cJSON **ret_end);

/* The last line of a stream of --json that Ctrl-C ended: nothing is known of the end of @id. */
void output_print_end(const struct ctl *ctl, const char *id);

bool output_has_ended(const cJSON *task);

/* Whether it failed by a signal; one that was cancelled or ran too long got its from us. */
bool output_has_crashed(const cJSON *task);

/*
 * The code to hand on for a task that has ended, as a shell would: its own, 128 + signal, 124 for a
 * time limit, 125 where it has none (lost, unknown).
 */
int output_exit_code(const cJSON *task);

/*
 * "✓ 43@lab-01 succeeded on lab-05 in 12.4s (attempt 1); 1 file: ./plot1.png" on stderr. @paths:
 * an array of results that were written, or NULL.
 */
void output_summary(const struct ctl *ctl, const cJSON *task, const cJSON *paths);

/* What @state means. */
enum tone output_tone(const char *state);

/* "42" of "42@lab-01": how the user may call it here. */
int output_short_id_size(const char *id);
