/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One named event on its way out: the line, its fields for the journal, the same as JSON for the
 * observer, and the level that decides whether it is logged. Whoever taps the log hears more. Knows
 * no event by itself: journal.c has a function for each. Also the sink of base/log.
 */

#include "journal.h"

/* Of a list of fields; without a text and not a number one is left out. */
#define TEXT(key, value) ((struct journal_field){.name = (key), .text = (value)})
#define NUMBER(key, value)                                                                         \
    ((struct journal_field){.name = (key), .number = (value), .is_number = true})
#define FIELDS(...) ((const struct journal_field[]){__VA_ARGS__, {.name = NULL}})
#define NO_FIELDS   ((const struct journal_field[]){{.name = NULL}})

/* The mark of an event that no other node may hear of: in the journal PEER_CONFIDENTIAL=1. */
#define CONFIDENTIAL(yes)                                                                          \
    ((struct journal_field){.name = "CONFIDENTIAL", .number = 1, .is_number = (yes)})

/* @line: the seed's text, or NULL. @format makes the message. */
void emit(enum event event, int level, const char *line, const struct journal_field *fields,
          const char *format, ...) _printf_(5, 6);

/* As journal_open and its kin. */
int emit_open(const struct config *config);
void emit_close(void);
void emit_set_observer(journal_observer_t observer, void *data);

/* One line of the log, or what would be one at a higher level; all borrowed for the call. */
struct emit_line {
    int level;
    enum subsystem subsystem; /* of an event */
    const char *event;        /* its word, static; NULL = a diagnostic of base/log */
    uint64_t wall_usec;
    const char *text;
    const char *line; /* the seed's text, or NULL */
    bool stays;       /* on this node: it is about a confidential task, or may be */
};

/* Called from any thread, under a lock: must not log. */
typedef void (*emit_tap_t)(const struct emit_line *line, void *data);

/* @tap hears all lines up to @level, whatever the log is set to. NULL = nobody. */
void emit_set_tap(emit_tap_t tap, void *data, int level);

/* This node's name. */
const char *emit_get_node(void);
