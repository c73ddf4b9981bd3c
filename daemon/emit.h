/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One named event on its way out: the line, its fields for the journal, the same as JSON for the
 * observer, and the level that decides whether it is logged. Knows no event by itself: journal.c
 * has a function for each. Also the sink of base/log.
 */

#include "journal.h"

/* One PEER_ field; without a text and not a number it is left out. */
struct field {
    const char *name; /* "MEMBER"; NULL ends a list */
    const char *text;
    uint64_t number;
    bool is_number;
};

#define TEXT(key, value)   ((struct field){.name = (key), .text = (value)})
#define NUMBER(key, value) ((struct field){.name = (key), .number = (value), .is_number = true})
#define FIELDS(...)        ((const struct field[]){__VA_ARGS__, {.name = NULL}})
#define NO_FIELDS          ((const struct field[]){{.name = NULL}})

/* @line: the seed's text, or NULL. @format makes the message. */
void emit(enum event event, int level, const char *line, const struct field *fields,
          const char *format, ...) _printf_(5, 6);

/* As journal_open and its kin. */
int emit_open(const struct config *config);
void emit_close(void);
void emit_set_observer(journal_observer_t observer, void *data);

/* This node's name. */
const char *emit_get_node(void);
