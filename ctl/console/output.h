/* SPDX-License-Identifier: MIT */
#pragma once

/* What a task says, and how it ended: shared by `submit --wait`, `submit -f` and the task commands.
 */

#include <cjson/cJSON.h>
#include "ctl.h"
#include "console/render.h"

/**
 * output_stream() - show a task's output: its stdout on stdout, its stderr on stderr
 * @parameters:  of TaskLogs; with follow, a daemon that goes away meanwhile is waited for
 * @timestamps:  a clock before each line
 *
 * Return: 0 with the stream's last object; CLIENT_INTERRUPTED; or the exit code.
 */
int output_stream(struct ctl *ctl, const cJSON *parameters, bool timestamps, cJSON **ret_end);

/*
 * The output of a task that was just submitted: with @follow as it comes and until the end, else
 * what there is, of both streams or of @stream. A daemon that goes away meanwhile is waited for,
 * and nothing is shown twice. Return: as output_stream().
 */
int output_follow(struct ctl *ctl, const char *id, bool follow, const char *stream,
                  cJSON **ret_end);

/*
 * Whether --json wants a task's output in one object: it is no stream without --follow and
 * --json=lines. Then nothing is printed before output_print_whole().
 */
bool output_is_whole(const struct ctl *ctl);

/* @begin with what @end, from output_stream() or output_follow(), says besides. Return: as
 * render_json(). */
int output_print_whole(const struct ctl *ctl, const cJSON *begin, const cJSON *end);

/* With --json, where Ctrl-C ended it: nothing is known of the end of @id. @begin: as above. */
void output_print_unknown(const struct ctl *ctl, const char *id, const cJSON *begin);

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
