/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The verdict freeze: where a third of the lab, and at least five members, become suspect within
 * one suspicion window, it is more likely that this node and those that it still hears are the ones
 * cut off (a switch that restarts, a cable) than that all of those died at once. Each suspicion
 * that meets such a time gets one more window, once, so that what heals meanwhile costs no deaths;
 * and the node says that it may be the one cut off. Neither paper has it; what it gains is in
 * daemon/PROTOCOL.md.
 */

#include <stdbool.h>
#include <stddef.h>
#include "base/usec.h"

#define FREEZE_SUSPECTS_MIN 5
#define FREEZE_SHARE        3 /* one of so many of the lab, this node included */

struct swim;

struct freeze {
    size_t suspects_count; /* members that are suspect now */
    size_t deaths_count;   /* of suspects, within one window from deaths_usec on */
    usec_t deaths_usec;
    bool is_on;
};

/* A member has become suspect. */
void freeze_count_suspect(struct swim *swim);

/* A suspect is one no longer: it is dead, or not. */
void freeze_drop_suspect(struct swim *swim, bool is_dead);

/* A dead one lives after all. */
void freeze_drop_death(struct swim *swim);
