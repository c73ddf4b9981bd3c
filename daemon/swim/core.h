/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of struct swim, for the files of this folder. Each part keeps its state in a struct of
 * its own, declared in its own header; they meet here. An input sets the time (core_set_now),
 * changes parts, and leaves packets and events in their queues.
 */

#include "base/rng.h"
#include "swim/event.h"
#include "swim/freeze.h"
#include "swim/gossip.h"
#include "swim/join.h"
#include "swim/kept.h"
#include "swim/leave.h"
#include "swim/load.h"
#include "swim/member.h"
#include "swim/packet.h"
#include "swim/probe.h"
#include "swim/relay.h"
#include "swim/report.h"
#include "swim/rumor.h"
#include "swim/rush.h"
#include "swim/suspicion.h"
#include "swim/swim.h"
#include "swim/sync.h"
#include "swim/text.h"
#include "swim/view.h"

struct swim {
    struct swim_config config;
    struct rng rng;
    usec_t now;         /* latest time of any input */
    uint64_t wall_usec; /* wall clock at wall_at_usec */
    usec_t wall_at_usec;
    struct heap timers;
    uint32_t seq;
    bool is_address_learned;  /* the configured one is a wildcard, others tell */
    struct address candidate; /* what one other member says instead of what we learned */
    struct node_id candidate_by;
    struct member *self; /* borrowed from members */
    struct members members;
    struct rumors rumors;
    struct packets packets;
    struct events events;
    struct member *graves; /* members that are gone, kept while events may name them */
    struct probes probes;
    struct relays relays;
    struct freeze freeze;
    struct rush rush;
    struct gossip gossip;
    struct load load;
    struct sync sync;
    struct join join;
    struct reports reports;
    struct texts texts;
    struct kept kept;
    struct leave leave;
    uint64_t frames_received[_MESSAGE_TYPE_MAX], frames_sent[_MESSAGE_TYPE_MAX];
    uint64_t packets_received, packets_malformed, gossip_duplicates;
    uint64_t suspicions, suspicions_refuted, deaths, flaps;
    uint64_t token;
};

/* Whom a frame came from, as the seal attests. */
struct source {
    const struct node_id *id;
    const struct address *address;
};

bool core_config_is_valid(const struct swim_config *config);

/* Every input begins here, with its time. */
void core_begin(struct swim *swim, usec_t now);

/* count.c: adds the frames of a well-formed packet to those of their types. */
void count_frames(const void *packet, size_t size, uint64_t counts[static _MESSAGE_TYPE_MAX]);

/* Frees @member, which is in no table any more, once no event can name it. */
static inline void core_bury(struct swim *swim, struct member *member)
{
    member->next = swim->graves;
    swim->graves = member;
}

static inline uint64_t core_wall(const struct swim *swim)
{
    return swim->wall_usec + (swim->now - swim->wall_at_usec);
}

static inline uint32_t core_next_seq(struct swim *swim)
{
    return swim->seq++;
}

static inline bool core_is_self(const struct swim *swim, const struct node_id *id)
{
    return node_id_is_equal(id, &swim->self->shown.id);
}
