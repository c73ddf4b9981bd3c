/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The lower half of `p2pctl top`: one of four lists, as the command of that list would show it,
 * with a row that is chosen, columns as of -o, and a filter: a word that a row has to have
 * somewhere, or what --filter takes. It knows no terminal and asks no daemon.
 */

#include <cjson/cJSON.h>
#include <stdio.h>
#include "ctl.h"
#include "console/screen.h"

enum pane_kind { PANE_NODES, PANE_TASKS, PANE_FILES, PANE_EVENTS, _PANE_MAX };

#define PANE_TEXT_MAX 128

struct pane {
    enum pane_kind kind;
    char selected[PANE_TEXT_MAX];           /* the key of the row that is chosen, or "" */
    char filter[PANE_TEXT_MAX];             /* "" = all rows */
    char columns[_PANE_MAX][PANE_TEXT_MAX]; /* as -o takes them; "" = those of the command */
    size_t first;                           /* row at the top */
};

/* "tasks", the list of its answer. */
const char *pane_get_list(const struct pane *pane);

/* What names a row of that list: an id, a name, a number. */
void pane_row_key(enum pane_kind kind, const cJSON *row, char target[static PANE_TEXT_MAX]);

/* The columns shown where nothing was chosen, as -o takes them. */
void pane_list_columns(const struct pane *pane, char target[static PANE_TEXT_MAX]);

/* Drops what the filter does not want from @answer. Return: 0, or an exit code, told. */
int pane_filter(const struct ctl *ctl, const struct pane *pane, cJSON *answer);

/* One row up (-1) or down (1); the first one where none was chosen. */
void pane_move(struct pane *pane, const cJSON *answer, int step);

/*
 * Exactly @lines lines of @columns: the head, and the rows around the chosen one. Return: 0; or an
 * exit code, told, for columns that there are not: then there are those of before.
 */
int pane_draw(const struct ctl *ctl, struct pane *pane, const cJSON *answer, size_t columns,
              size_t lines, FILE *out);
