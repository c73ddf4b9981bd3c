/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Members by the hash of their ids, in the order that is the same at all nodes: the 64 buckets of
 * the state exchange, each a sorted array. It finds a member, lists them by their place and walks
 * the buckets of a page, all in 16 bytes per member; one that comes or goes moves its bucket only.
 * The hash stands beside its member, so that most questions touch no other.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/id.h"

#define ORDER_BUCKETS 64

struct member;

struct order_entry {
    uint64_t hash;         /* of the member's id */
    struct member *member; /* borrowed */
};

struct order_bucket {
    struct order_entry *entries; /* owned, sorted by (hash, id) */
    uint32_t count;
    uint32_t allocated;
};

struct order {
    struct order_bucket buckets[ORDER_BUCKETS]; /* by the upper bits of the hash */
    uint32_t ends[ORDER_BUCKETS];               /* members in this bucket and in those before it */
    size_t count;
    uint64_t version; /* another one after each change */
};

/* Frees the arrays, not the members. */
void order_done(struct order *order);

/* @member is not in it. Return: 0, -ENOMEM. */
int order_insert(struct order *order, struct member *member);

/* @member is in it. */
void order_remove(struct order *order, const struct member *member);

/* Return: the member, or NULL. */
struct member *order_find(const struct order *order, const struct node_id *id);

/* The member at place @i of all, or NULL past the end. */
struct member *order_at(const struct order *order, size_t i);

/* Walks the members of some buckets in their order, while nobody comes or goes. */
struct order_walk {
    const struct order *order;
    uint64_t mask; /* bit i: bucket i */
    unsigned bucket;
    size_t i;
};

/* Begins with the first member that comes after @id; null: with the first of all. */
struct order_walk order_walk_after(const struct order *order, uint64_t mask,
                                   const struct node_id *id);

/* The next member, or NULL at the end. */
struct member *order_walk_next(struct order_walk *walk);

static inline unsigned order_bucket_of(uint64_t hash)
{
    return (unsigned)(hash >> 58);
}

#define order_for_each(order, entry)                                                               \
    for (const struct order_bucket *entry##_bucket = (order)->buckets;                             \
         entry##_bucket < (order)->buckets + ORDER_BUCKETS; entry##_bucket++)                      \
        for (const struct order_entry *entry = entry##_bucket->entries;                            \
             entry && entry < entry##_bucket->entries + entry##_bucket->count; entry++)
