/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Tables. A screen is a table of columns; a row is a JSON object of the answer; -o, --sort and
 * --filter work on all screens alike. libsmartcols draws; which columns fit a terminal and what is
 * shortened is decided here, because libsmartcols cuts without a mark.
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include "base/macro.h"
#include "ctl.h"
#include "console/render.h"

#define SCREEN_COLUMNS_MAX 48

#define COLUMN_RIGHT (1U << 0) /* numbers */
#define COLUMN_LOW   (1U << 1) /* the first to go where the terminal is narrow */
#define COLUMN_EXTRA (1U << 2) /* shown only when -o asks for it */
#define COLUMN_NAME  (1U << 3) /* never shortened */
#define COLUMN_BLANK (1U << 4) /* nothing instead of "-" where there is no value */

/* What stands in one place of the table. */
struct cell {
    char *text; /* owned; NULL = no value */
    enum tone tone;
};

/* Sets the cell's text. Without memory the cell stays empty. */
void cell_printf(struct cell *cell, const char *format, ...) _printf_(2, 3);

struct column {
    const char *name; /* "NODE" */
    const char *key;  /* of the JSON object; what --sort compares */
    unsigned flags;
    /* NULL: the value of @key as text. */
    void (*format)(const struct ctl *ctl, const cJSON *row, struct cell *cell);
};

struct screen {
    const char *list; /* the key of the array in the answer: "members" */
    const struct column *columns;
    size_t columns_count;
};

/* The column called so, or whose key is that; NULL for none. */
const struct column *screen_find_column(const struct screen *screen, const char *name, size_t size);

/* Tells that there is none. Return: the exit code. */
int screen_fail_column(const struct screen *screen, const char *name, size_t size);

/* The value as text: a string as it is, numbers short, lists with commas, null "". Owned by the
 * caller. */
char *screen_value(const cJSON *value);

/* Drops the rows that a command's own options do not want. */
void screen_keep(const struct ctl *ctl, const char *list, cJSON *answer,
                 bool (*wanted)(const struct ctl *ctl, const cJSON *row));

/* What stands of @row in @column; text that is owned by the caller. */
void screen_fill_cell(const struct ctl *ctl, const struct column *column, const cJSON *row,
                      struct cell *cell);

/* Drops the rows that @text, "KEY=VAL", "KEY!=VAL" or "KEY~GLOB", does not want: by the value in
 * JSON, or as it is shown. */
int screen_filter(const struct ctl *ctl, const struct screen *screen, const char *text,
                  cJSON *rows);

/* The same for one row of a stream, with all of --filter; of an empty object: whether they are
 * right. */
int screen_wants(const struct ctl *ctl, const struct screen *screen, const cJSON *row, bool *ret);

/* Drops the rows that --filter does not want, and sorts by --sort. */
int screen_select(const struct ctl *ctl, const struct screen *screen, cJSON *answer);

/*
 * The table of the answer's list as lines, the head first unless --no-legend, no wider than @width
 * as far as its columns can be left out or shortened. *@ret is owned by the caller, NULL for none.
 */
int screen_format(const struct ctl *ctl, const struct screen *screen, const cJSON *answer,
                  size_t width, char **ret);

/* The same on stdout, for its terminal. */
int screen_print(const struct ctl *ctl, const struct screen *screen, const cJSON *answer);

/* What the parts of one list have in common: where their columns stand. */
struct screen_flow {
    bool is_begun;
    size_t widths[SCREEN_COLUMNS_MAX]; /* SIZE_MAX where the column is left out */
};

/*
 * One part of a list that is too long to be held: its table below the one before, or its JSON
 * lines; neither with --sort nor as one JSON. @flow is zero at first. Return: 0, or the exit code.
 */
int screen_show_part(const struct ctl *ctl, const struct screen *screen, cJSON *part,
                     struct screen_flow *flow);

/* The lists that `top` shows too, with the columns of their commands. */
extern const struct screen member_screen;
extern const struct screen task_screen;
extern const struct screen file_screen;
extern const struct screen event_screen;

/*
 * All of it: select, then JSON or the table and, for whoever wants a legend, the line that @footer
 * writes (NULL: none).
 */
int screen_show(struct ctl *ctl, const struct screen *screen, cJSON *answer,
                void (*footer)(const struct ctl *ctl, const cJSON *answer, FILE *stream));
