/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The member table: everybody this node knows, itself included, found by id, kept in one order that
 * is the same at all nodes (by a hash of the id), and, the live others among them, in the order in
 * which they are probed. The table owns its members. It keeps digests of who is live at which
 * incarnation, one per bucket of the order, by which two nodes see in 8 bytes whether they agree.
 *
 * Thousands of members are remembered by each of thousands of simulated nodes, and most of them
 * are just alive. So a member has what all need, in a place of a slab, its name and metadata in one
 * piece as long as they are; and it has an `extra` only while it is suspect, dead, left or has
 * refuted something lately (its `care`), or since it has sent a text or a heartbeat to all. With
 * its places in the orders that is less than 200 bytes beside name and metadata.
 *
 * What claims do to members is view.h's part; this is the bookkeeping.
 */

#include "swim/claim.h"
#include "swim/names.h"
#include "swim/order.h"
#include "swim/rumor.h"
#include "swim/timer.h"
#include "swim/window.h"

struct slab;
struct suspicion;

/* Of a member that is not simply alive. */
struct care {
    struct member *member;       /* whose it is */
    struct timer timer;          /* suspect: verdict; dead, left: reaping; alive: stable again */
    struct timer contact_timer;  /* dead, left, and said to be alive: ask it again */
    struct node_id reported_by;  /* the first accuser of a suspect or dead member, or null */
    usec_t contacted_usec;       /* last time that it was told of its own death, 0 = never */
    uint32_t contacts_count;     /* times that it was asked since somebody said so */
    struct address claimed;      /* where it is said to be */
    struct suspicion *suspicion; /* owned; exactly while suspect */
    usec_t *flaps;               /* owned ring of unstable_flaps times, or NULL */
    uint32_t flaps_count;        /* of those that are within unstable_window */
};

/* What most members lack. */
struct extra {
    struct care *care; /* owned; NULL while it is alive and refuted nothing */
    struct window heartbeats;
    struct window texts;
};

struct member {
    struct swim_member shown; /* what the owner of the core sees; first */
    struct extra *extra;      /* owned; NULL while there is none of it */
    union {
        struct {
            uint32_t load_version;
            uint32_t rtt_variance_usec;
        };
        struct member *next; /* of those that are gone, or of the free places */
    };
};

struct members {
    struct slab *slabs;     /* owned: all that there are */
    struct member *places;  /* free ones of the slabs */
    struct order all;       /* without the forgotten */
    struct order forgotten; /* by the operator: tombstones that are not shown */
    struct order dead;      /* the dead of all */
    struct names names;     /* of all */
    struct member **live;   /* borrowed: live others in the order of probing */
    size_t live_count;
    size_t live_allocated;
    size_t position; /* the next one to be probed */
    uint64_t digest;
    uint64_t digests[ORDER_BUCKETS]; /* their XOR is the digest */
    usec_t changed_usec;             /* when the digest changed last */
};

void members_done(struct swim *swim);

/*
 * A member that is not live yet (state LEFT, incarnation 0), in no order but the table's.
 * Return: 0; -ENOSPC above SWIM_MEMBERS_MAX; -ENOMEM.
 */
int member_add(struct swim *swim, const struct node_id *id, struct member **ret);

/* Takes it out of everything. Return: the member, now the caller's. */
struct member *member_remove(struct swim *swim, struct member *member);
void member_free(struct swim *swim, struct member *member);

/* Hides a tombstone from the listing, and shows it again. Return: 0, -ENOMEM (nothing changed). */
int member_hide(struct swim *swim, struct member *member);
int member_show(struct swim *swim, struct member *member);

/* Makes sure that it has an extra, or a care. Return: 0, -ENOMEM. */
int member_take_extra(struct member *member);
int member_take_care(struct swim *swim, struct member *member);

/* It is alive and has nothing left to be stable from. */
void member_end_care(struct swim *swim, struct member *member);

struct member *member_find(const struct swim *swim, const struct node_id *id);

/* Changes what the digest covers; keeps digest and probing order right. */
void member_set_state(struct swim *swim, struct member *member, enum swim_state state,
                      const struct swim_incarnation *incarnation);

/* What it says of itself; @name may be what it has. Return: 0, -ENOMEM (nothing changed). */
int member_set_text(struct swim *swim, struct member *member, const char *name, const void *meta,
                    size_t meta_size);

/* Another live member of the same name, or NULL. */
struct member *member_find_double(const struct swim *swim, const struct member *member);

/* The next one of the round; reshuffles at its end (SWIM 4.3). NULL where nobody is live. */
struct member *members_next(struct swim *swim);

/* Up to @count different live others, drawn at random, none of them @except. */
size_t members_sample(struct swim *swim, size_t count, const struct member *except,
                      struct member **ret);

/* A hash of an id that is the same at all nodes, and one of a member at an incarnation. */
uint64_t member_hash_id(const struct node_id *id);
uint64_t member_hash(const struct member *member);

/* The first step of SplitMix64's finalizer: spreads the upper bits of what two hashes differ in. */
static inline uint64_t member_mix(uint64_t x)
{
    return (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* By the operator: a tombstone that is not shown. */
bool member_is_forgotten(const struct swim *swim, const struct member *member);

/* NULL while it is alive and refuted nothing. */
static inline struct care *member_care(const struct member *member)
{
    return member->extra ? member->extra->care : NULL;
}

/* NULL unless it is suspect. */
static inline struct suspicion *member_suspicion(const struct member *member)
{
    return member_care(member) ? member_care(member)->suspicion : NULL;
}

/* This node and all live others. */
static inline size_t members_alive_count(const struct members *members)
{
    return members->live_count + 1;
}
