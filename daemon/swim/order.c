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

size_t order_after(const struct order *order, const struct node_id *id)
{
    uint64_t hash = member_hash_id(id);

    return find_after(&order->buckets[order_bucket_of(hash)], hash, id);
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
    order->count++;
    order->version++;
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
    order->count--;
    order->version++;
}

struct member *order_at(const struct order *order, size_t i)
{
    for (size_t bucket = 0; bucket < ORDER_BUCKETS; bucket++) {
        if (i < order->buckets[bucket].count)
            return order->buckets[bucket].entries[i].member;
        i -= order->buckets[bucket].count;
    }
    return NULL;
}
