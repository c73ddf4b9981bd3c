/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One picture of `p2pctl top`, made from what the daemon says: lines of a given width, no more of
 * them than fit. It knows no terminal: top.c has that.
 */

#include <cjson/cJSON.h>
#include <stdio.h>
#include "ctl.h"
#include "cluster/pane.h"

#define FRAME_COLUMNS_MIN 80
#define FRAME_ROWS_MIN    24

/* Answers of the daemon, all owned by whoever fills it. */
struct view {
    cJSON *status;
    cJSON *members;
    cJSON *rows; /* the list of the pane, in the order in which it is shown */
    cJSON *events;
    cJSON *messages;
    struct pane *pane; /* borrowed */
    const char *note;  /* instead of the keys; or NULL */
};

/* Writes exactly @rows lines, each of @columns, to @out. Return: as pane_draw. */
int frame_draw(const struct ctl *ctl, const struct view *view, size_t columns, size_t rows,
               FILE *out);

/* Puts the tasks into the order in which they are shown: those under way, then the newest. */
void frame_sort_tasks(cJSON *tasks);
