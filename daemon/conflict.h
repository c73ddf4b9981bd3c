/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What becomes of a node that is not the only one with its id or its name.
 *
 * An id is somebody else's too after a disk was cloned. The membership decides who keeps it; the
 * loser ends here without a good-bye, which would be taken for the winner's, and begins anew in the
 * same process with a new id.
 *
 * A name is what tasks and commands are addressed with, so two nodes of one name are one too many.
 * The later starter refuses, for good (exit 78, which systemd does not restart), but only while it
 * starts, and only when the other one has answered it: a machine that was installed anew has a new
 * id and is told of its former self, that is gone and not yet dead to all. Nodes that worked for
 * long and meet, when a partition heals, are told of and left to the operator.
 */

#include "base/id.h"
#include "swim/swim.h"

struct node;

struct conflict {
    bool has_rival; /* somebody has our name, and was there first */
    bool is_asking; /* whether it is there now */
    struct node_id rival;
    uint64_t token; /* of the question */
    bool is_refused;
    bool loses_id;
};

/* Every event of the membership. */
void conflict_hear(struct node *node, const struct swim_event *event);

/* At the end of each turn of the loop: what cannot be done while events are heard. */
void conflict_turn(struct node *node);
