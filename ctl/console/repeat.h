/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which lines of a stream say nothing new: those that equal the last one about the same thing. The
 * daemon tells every step of a task, and not every step can be seen from outside.
 */

#include <stdbool.h>
#include "base/macro.h"
#include "base/table.h"

struct repeats {
    struct table table; /* of struct repeat by name; owned */
};

void repeats_init(struct repeats *repeats);
void repeats_done(struct repeats *repeats);

/*
 * Remembers @text as the last one about @name. Return: 1 where the one before was another, or there
 * was none; 0 where it was the same; -ENOMEM.
 */
int repeats_add(struct repeats *repeats, const char *name, const char *text);
