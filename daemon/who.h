/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whom a word of a command means. A name comes first; two members may bear the same, as a machine
 * that was installed anew and its former self do. So an address, and an id or its first digits,
 * mean members too, where nobody is called so.
 */

#include <stddef.h>
#include "swim/swim.h"

#define WHO_MAX 8

struct who {
    const struct swim_member *members[WHO_MAX]; /* borrowed from the core, until its next input */
    size_t count;                               /* of all that were found, also beyond WHO_MAX */
};

enum who_state {
    WHO_ANY,
    WHO_GONE, /* dead or left */
};

/*
 * Those in @state whom @text means. An address without a port has CONFIG_PORT_DEFAULT.
 * Return: whether it means anybody, in whatever state.
 */
bool who_find(const struct swim *swim, const char *text, enum who_state state, struct who *ret);
