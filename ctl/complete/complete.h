/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What may stand at the end of a command line, for the shells: words of the command table, and
 * names that the running daemon has. It says nothing on stderr, and waits for nobody long.
 */

#include "ctl.h"

/* Prints one candidate per line, "WORD<tab>what it is"; ":files" = names of files fit too. */
int complete_words(struct ctl *ctl, const char *const *words, size_t count);

/* complete_live.c: what a kind of words may be. The line is "WORD" or "WORD<tab>help". */
enum complete_kind {
    COMPLETE_NOTHING,
    COMPLETE_FILES,
    COMPLETE_NODES,
    COMPLETE_GONE,   /* nodes that may be forgotten */
    COMPLETE_PLACES, /* nodes, each with a colon behind */
    COMPLETE_SELECTORS,
    COMPLETE_TASKS,
    COMPLETE_WORKFLOWS,
    COMPLETE_TYPES,
    COMPLETE_STORED,
    COMPLETE_VALUES,
    COMPLETE_KEYS,
    COMPLETE_INSTANCES,
    COMPLETE_CONFIG,
    COMPLETE_EVENTS,
    COMPLETE_COMMANDS,
};
void complete_print(struct ctl *ctl, enum complete_kind kind);
