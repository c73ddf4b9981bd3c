/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How busy members are. Our load rides on every acknowledgement; where the work changed, not only
 * how busy the machine itself is, it is spread to all as well, at most every load_interval. Loads
 * are ordered by a version within a generation of their member.
 */

#include "swim/timer.h"

struct swim;
struct member;
struct swim_load;

struct load {
    uint32_t version;
    uint64_t changes;   /* of anybody's, our own too */
    usec_t spread_usec; /* when ours was spread last; 0 = never */
    struct timer timer; /* armed while a change waits */
};

int load_init(struct swim *swim);

void load_set(struct swim *swim, const struct swim_load *load);

/*
 * What an ACK, a LOAD or a claim says of @member (not ourselves).
 * Return: whether it is news.
 */
bool load_take(struct swim *swim, struct member *member, uint64_t generation, uint32_t version,
               const struct swim_load *load);
