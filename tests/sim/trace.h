/* SPDX-License-Identifier: MIT */
#pragma once

/* Says what happened: one line per event of a core, with the virtual time and the node that tells
 * it. */

#include "sim.h"

/* Adds the event to the run's hash and, where the world has a trace, prints its line. */
void trace_event(const struct sim_node *node, const struct swim_event *event);

/* A line about what the world does: "[    1.000] --   kill n2". */
void trace_note(const struct sim *sim, const char *format, ...) _printf_(2, 3);

const char *trace_state_name(enum swim_state state);
