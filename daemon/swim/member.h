/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The member table: everybody this node knows, itself included, found by id, kept in one order that
 * is the same at all nodes (by a hash of the id), and, the live others among them, in the order in
 * which they are probed. The table owns its members. It keeps a digest of who is live at which
 * incarnation, by which two nodes see in 8 bytes whether they agree.
 *
 * What claims do to members is view.h's part; this is the bookkeeping.
 */

#include "base/table.h"
#include "swim/claim.h"
#include "swim/rumor.h"
#include "swim/timer.h"
#include "swim/window.h"

struct suspicion;

struct member {
    struct swim_member shown;   /* what the owner of the core sees; first */
    struct timer timer;         /* suspect: verdict; dead, left: reaping; alive: stable again */
    struct timer contact_timer; /* dead, left, and said to be alive: ask it again */
    uint64_t hash;              /* of the id: its place in the order */
    size_t turn;                /* 1-based place in the probing order; 0 = none */
    struct rumor state_rumor;   /* queued or not */
    struct rumor load_rumor;
    struct suspicion *suspicion; /* owned; exactly while suspect */
    uint8_t *meta;               /* owned; what shown.meta points to */
    uint32_t load_version;
    usec_t rtt_variance_usec;
    usec_t contacted_usec;   /* last time that it was told of its own death, 0 = never */
    uint32_t contacts_count; /* times that it was asked since somebody said so */
    struct address claimed;  /* where it is said to be */
    struct window heartbeats;
    struct window texts;
    usec_t *flaps;     /* owned ring of unstable_flaps times, or NULL */
    bool is_forgotten; /* by the operator: a tombstone that is not shown */
};

struct members {
    struct table by_id;
    struct member **all; /* owned, sorted by (hash, id); without the forgotten */
    size_t all_count;
    size_t all_allocated;
    struct member **live; /* borrowed from by_id: live others in the order of probing */
    size_t live_count;
    size_t live_allocated;
    size_t position; /* the next one to be probed */
    uint64_t digest;
    usec_t changed_usec; /* when the digest changed last */
};

void members_init(struct members *members, uint64_t seed);
void members_done(struct swim *swim);

/*
 * A member that is not live yet (state LEFT, incarnation 0), in no order but the table's.
 * Return: 0; -ENOSPC above SWIM_MEMBERS_MAX; -ENOMEM.
 */
int member_add(struct swim *swim, const struct node_id *id, struct member **ret);

/* Takes it out of everything. Return: the member, now the caller's. */
struct member *member_remove(struct swim *swim, struct member *member);
struct member *member_free(struct member *member);

/* Hides a tombstone from the listing, and shows it again. */
void member_hide(struct swim *swim, struct member *member);
void member_show(struct swim *swim, struct member *member);

struct member *member_find(const struct swim *swim, const struct node_id *id);

/* Changes what the digest covers; keeps digest and probing order right. */
void member_set_state(struct swim *swim, struct member *member, enum swim_state state,
                      const struct swim_incarnation *incarnation);

/* Return: 0, -ENOMEM (nothing changed). */
int member_set_meta(struct member *member, const uint8_t *meta, size_t size);

/* The next one of the round; reshuffles at its end (SWIM 4.3). NULL where nobody is live. */
struct member *members_next(struct swim *swim);

/* Up to @count different live others, drawn at random, none of them @except. */
size_t members_sample(struct swim *swim, size_t count, const struct member *except,
                      struct member **ret);

/* A hash of an id that is the same at all nodes, and one of a member at an incarnation. */
uint64_t member_hash_id(const struct node_id *id);
uint64_t member_hash(const struct member *member);

/* The smallest index of the order whose member comes after @id. */
size_t members_after(const struct members *members, const struct node_id *id);

static inline unsigned member_bucket(const struct member *member)
{
    return (unsigned)(member->hash >> 58);
}

/* This node and all live others. */
static inline size_t members_alive_count(const struct members *members)
{
    return members->live_count + 1;
}
