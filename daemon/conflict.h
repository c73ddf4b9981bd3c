/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What becomes of a node that is not the only one with its id or its name.
 *
 * An id is somebody else's too after a disk was cloned. The membership decides who keeps it; the
 * loser ends here without a good-bye, which would be taken for the winner's, and begins anew in the
 * same process with a new id. What its disk says of tasks that have not ended, that of the winner
 * says, too: they run at both, and nobody but the operator knows where they should, so it is told.
 *
 * A name is what tasks and commands are addressed with, so two nodes of one name are one too many.
 * The later starter refuses, for good (exit 78, which systemd does not restart), but only while it
 * starts, and only when the other one has answered it: a machine that was installed anew has a new
 * id and is told of its former self, that is gone and not yet dead to all. Nodes that worked for
 * long and meet, when a partition heals, are told of and left to the operator.
 */

#include "base/id.h"
#include "swim/swim.h"

#define CONFLICT_TEXT_MAX 512

struct node;

/* How a process lost its id to another node. */
struct renewal {
    uint64_t wall_usec; /* 0 = it did not */
    struct node_id id;  /* the old one */
    struct address rival;
    uint32_t tasks; /* that had not ended */
};

struct conflict {
    bool has_rival; /* somebody has our name, and was there first */
    bool is_asking; /* whether it is there now */
    struct node_id rival;
    uint64_t token; /* of the question */
    bool is_refused;
    struct renewal renewal; /* of this life's id, which is lost */
};

static inline bool conflict_has_lost_id(const struct conflict *conflict)
{
    return conflict->renewal.wall_usec > 0;
}

/* Every event of the membership. */
void conflict_hear(struct node *node, const struct swim_event *event);

/* @renewal in words: who has the old id, and what to do. */
void conflict_describe_renewal(const struct renewal *renewal, char ret[static CONFLICT_TEXT_MAX]);

/* Says so in the log, at the start of the life with the new id. */
void conflict_tell_renewal(const struct node *node);

/* At the end of each turn of the loop: what cannot be done while events are heard. */
void conflict_turn(struct node *node);
