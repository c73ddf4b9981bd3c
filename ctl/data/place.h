/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * "[NODE:]REST": a thing on a node. The part before the first colon is a node where it can be one;
 * ":REST" is the way to write a rest with a colon in it.
 */

#include "base/text.h"
#include "ctl.h"

struct place {
    char node[NODE_NAME_MAX + 1]; /* "" = not said */
    const char *rest;             /* borrowed */
};

void place_parse(const char *word, struct place *ret);

/* Whether @word is "NODE:" or "NODE:REST" and not a path that happens to look so ("./a:b", "/a:b").
 */
bool place_is_named(const char *word);

/* Parameters for a call that acts there: -N is what counts where the place does not say. */
cJSON *place_parameters(const struct ctl *ctl, const struct place *place);
