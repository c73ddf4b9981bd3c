/* SPDX-License-Identifier: MIT */
#pragma once

/* The names in a directory: one look at it instead of one at each of thousands of targets. */

#include <stdbool.h>
#include <stddef.h>

struct present {
    char **names; /* owned, sorted; NULL = not known */
    size_t count, allocated;
};

/* A directory that cannot be read, or with more than @max names, is not known. */
void present_find(struct present *present, const char *directory, size_t max);

/* False: it had no such name. */
bool present_may_have(const struct present *present, const char *name);

void present_done(struct present *present);
