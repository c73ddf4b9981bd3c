/* SPDX-License-Identifier: MIT */
#include "swim/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

void order_done(struct order *order)
{
    for (size_t i = 0; i < ORDER_BUCKETS; i++)
        free(order->buckets[i].entries);
    *order = (struct order){0};
}

static int compare(uint64_t hash, const struct node_id *id, const struct order_entry *entry)
{
    if (hash != entry->hash)
        return hash < entry->hash ? -1 : 1;
    return memcmp(id, &entry->member->shown.id, sizeof(*id));
}

/* The first place whose member comes after (@hash, @id). */
static size_t find_after(const struct order_bucket *bucket, uint64_t hash, const struct node_id *id)
{
    size_t low = 0, high = bucket->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(hash, id, &bucket->entries[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Hashes are spread evenly, so a member is near where its hash says: a look there spares most of a
 * search, which touches memory all over. */
static const struct order_entry *guess(const struct order_bucket *bucket, uint64_t hash)
{
    uint64_t share = hash << 6 >> 32;
    size_t i = (size_t)(share * bucket->count >> 32);

    while (i > 0 && bucket->entries[i].hash > hash)
        i--;
    while (i < bucket->count && bucket->entries[i].hash < hash)
        i++;
    return &bucket->entries[i];
}

struct member *order_find(const struct order *order, const struct node_id *id)
{
    uint64_t hash = member_hash_id(id);
    const struct order_bucket *bucket = &order->buckets[order_bucket_of(hash)];

    if (bucket->count == 0)
        return NULL;
    const struct order_entry *end = bucket->entries + bucket->count;
    for (const struct order_entry *entry = guess(bucket, hash); entry < end; entry++) {
        if (entry->hash != hash)
            break;
        if (node_id_is_equal(&entry->member->shown.id, id))
            return entry->member;
    }
    return NULL;
}

struct order_walk order_walk_after(const struct order *order, uint64_t mask,
                                   const struct node_id *id)
{
    struct order_walk walk = {.order = order, .mask = mask};

    if (!node_id_is_null(id)) {
        uint64_t hash = member_hash_id(id);
        walk.bucket = order_bucket_of(hash);
        walk.i = find_after(&order->buckets[walk.bucket], hash, id);
    }
    return walk;
}

struct member *order_walk_next(struct order_walk *walk)
{
    for (; walk->bucket < ORDER_BUCKETS; walk->bucket++, walk->i = 0) {
        const struct order_bucket *bucket = &walk->order->buckets[walk->bucket];
        if (walk->mask >> walk->bucket & 1 && walk->i < bucket->count)
            return bucket->entries[walk->i++].member;
    }
    return NULL;
}

/* One came to the bucket of @hash, or went. */
static void count(struct order *order, uint64_t hash, int change)
{
    for (unsigned i = order_bucket_of(hash); i < ORDER_BUCKETS; i++)
        order->ends[i] += (uint32_t)change;
    order->count += (size_t)change;
    order->version++;
}

int order_insert(struct order *order, struct member *member)
{
    uint64_t hash = member_hash_id(&member->shown.id);
    struct order_bucket *bucket = &order->buckets[order_bucket_of(hash)];

    if (bucket->count == bucket->allocated) {
        uint32_t allocated = bucket->allocated + bucket->allocated / 16 + 1;
        struct order_entry *entries = reallocarray(bucket->entries, allocated, sizeof(*entries));
        if (!entries)
            return -ENOMEM;
        bucket->entries = entries;
        bucket->allocated = allocated;
    }
    size_t i = find_after(bucket, hash, &member->shown.id);
    memmove(&bucket->entries[i + 1], &bucket->entries[i],
            (bucket->count - i) * sizeof(bucket->entries[0]));
    bucket->entries[i] = (struct order_entry){.hash = hash, .member = member};
    bucket->count++;
    count(order, hash, 1);
    return 0;
}

void order_remove(struct order *order, const struct member *member)
{
    uint64_t hash = member_hash_id(&member->shown.id);
    struct order_bucket *bucket = &order->buckets[order_bucket_of(hash)];
    size_t i = find_after(bucket, hash, &member->shown.id);

    memmove(&bucket->entries[i - 1], &bucket->entries[i],
            (bucket->count - i) * sizeof(bucket->entries[0]));
    bucket->count--;
    count(order, hash, -1);
}

struct member *order_at(const struct order *order, size_t i)
{
    size_t low = 0, high = ORDER_BUCKETS - 1;

    if (i >= order->count)
        return NULL;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (i < order->ends[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return order->buckets[low].entries[i - (order->ends[low] - order->buckets[low].count)].member;
}
