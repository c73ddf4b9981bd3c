/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the words of a scenario's line mean: nodes, ranges of them, durations and shares. Each
 * returns -EINVAL, or NULL, with the reason in @script->problem where a word means nothing.
 */

#include "command.h"

/* Nodes that follow each other. */
struct words_range {
    size_t first;
    size_t end;
};

typedef void (*words_action_t)(struct sim_node *node);

int words_complain(struct script *script, const char *format, ...) _printf_(2, 3);
int words_read_time(struct script *script, const char *text, usec_t *ret);

/* "12.5%" as 0.125. */
int words_read_share(struct script *script, const char *text, double *ret);

struct sim_node *words_find(struct script *script, const char *name);

/* "n3", "n3..n7" or "all". */
int words_find_range(struct script *script, const char *word, struct words_range *ret);

/* Does it with each node that is named, in this order. */
int words_each(struct script *script, char **words, size_t count, words_action_t action);
