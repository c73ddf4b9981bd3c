/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Anti-entropy over datagrams. Every acknowledgement carries the digest of the sender's live
 * members. Where it differs from ours for longer than a rumor takes, we COMPARE: the other answers
 * with a VECTOR, one digest per bucket of the table, and does the same with us. The buckets that
 * differ are then pulled: each PULL is answered with one PAGE, so nothing is ever pushed; up to
 * SYNC_LANES_MAX pulls run at once, each walking its share of the buckets, and are repeated when
 * unanswered. Pages list dead and left members too, whom the digests do not cover: a tombstone
 * matters only against somebody who holds the member for live.
 *
 * One exchange runs at a time; others wait in a short queue. After a join a few more follow soon,
 * with random members: when many start together, what the seed knew then was not all.
 */

#include "base/address.h"
#include "base/id.h"
#include "swim/message.h"
#include "swim/timer.h"

#define SYNC_LANES_MAX 8
#define SYNC_QUEUE_MAX 8
#define SYNC_TRIES_MAX 6

struct swim;
struct source;
struct member;

/* Somebody to exchange with. */
struct sync_peer {
    struct node_id id;
    struct address address;
    bool is_join;    /* the first exchange after its WELCOME */
    bool is_rest;    /* the second: what the first did not give */
    uint64_t digest; /* of a WELCOME */
    uint32_t count;  /* members there are, by a WELCOME */
};

struct sync_lane {
    bool is_active;
    uint32_t seq;
    uint64_t mask;         /* buckets */
    struct node_id cursor; /* last member received */
};

struct sync {
    struct timer timer;        /* repeats what is unanswered */
    struct timer settle_timer; /* some more exchanges soon after a join */
    uint32_t settles_count;
    struct timer round_timer; /* every sync_interval, where no digest came meanwhile */
    bool is_active;
    struct sync_peer peer;
    uint32_t compare_seq; /* of our COMPARE; 0 = none waits */
    uint32_t tries;       /* since something came */
    uint32_t entries_count;
    struct sync_lane lanes[SYNC_LANES_MAX];
    struct sync_peer queue[SYNC_QUEUE_MAX];
    size_t queue_count;
    usec_t differs_since_usec; /* digests differ since; 0 = they do not */
    usec_t asked_usec;         /* last exchange begun for two digests that differed: these */
    uint64_t own_digest;
    uint64_t peer_digest;
    usec_t wait_usec;     /* before the next one while they stay the same */
    usec_t compared_usec; /* last time that a digest came */
    usec_t last_usec;     /* last exchange that ended well */
    struct node_id last_with;
};

int sync_init(struct swim *swim);

/* Whether the table is being filled for the first time. */
bool sync_is_joining(const struct swim *swim);

/* Somebody knows more than we do: exchange with it, soon. */
void sync_ask(struct swim *swim, const struct node_id *id, const struct address *address);

/* Exchanges with somebody, soon. */
void sync_with_any(struct swim *swim);

/* After a WELCOME. */
void sync_begin_join(struct swim *swim, const struct sync_peer *peer);

/* The digest of an acknowledgement. */
void sync_take_digest(struct swim *swim, const struct source *source, uint64_t digest);

/* Frames. */
void sync_take_compare(struct swim *swim, const struct source *source,
                       const struct message *message);
void sync_take_vector(struct swim *swim, const struct source *source,
                      const struct message *message);
void sync_take_pull(struct swim *swim, const struct source *source, struct message *message);
int sync_take_page(struct swim *swim, const struct source *source, struct message *message);
