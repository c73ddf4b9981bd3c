/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How far the wall clocks of other members are from this node's, as their liveness requests say:
 * for `p2pctl doctor` only, nothing is decided by it. The last CLOCKS_MAX members that asked count.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/id.h"
#include "base/usec.h"

#define CLOCKS_MAX        64
#define CLOCKS_FRESH_USEC (10 * USEC_PER_MIN)

struct clocks {
    struct {
        struct node_id id;
        int64_t ahead_usec; /* of ours */
        usec_t heard_usec;
    } items[CLOCKS_MAX];
    size_t count;
    size_t next;
};

/* @wall_usec: of the member @id, when it was @own_wall_usec here. */
void clocks_hear(struct clocks *clocks, const struct node_id *id, uint64_t wall_usec,
                 uint64_t own_wall_usec, usec_t now);

/*
 * The median of how far others are ahead, of those heard lately: most clocks are right, so where it
 * is far from 0 this node's is wrong. Return: how many count; @ret is untouched where that is 0.
 */
size_t clocks_compare(const struct clocks *clocks, usec_t now, int64_t *ret_ahead_usec);
