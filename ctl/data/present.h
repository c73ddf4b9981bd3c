/* SPDX-License-Identifier: MIT */
#pragma once

/* The names in a directory: one look at it instead of one at each of thousands of targets. */

#include "base/table.h"

struct present {
    struct table names; /* owned texts, which are key and value */
    bool is_known;
};

/* A directory that cannot be read, or with more than @max names, is not known. */
void present_find(struct present *present, const char *directory, size_t max);

/* False: it had no such name. */
bool present_may_have(const struct present *present, const char *name);

void present_done(struct present *present);
