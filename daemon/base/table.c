/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3, Aumasson and Bernstein, with the rounds that hash tables use. */
uint64_t table_hash(const uint64_t key[2], const void *bytes, size_t size)
{
    const uint8_t *data = bytes;
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    uint64_t tail = (uint64_t)size << 56;
    size_t i;

    for (i = 0; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t shift = 0; i < size; i++, shift += 8)
        tail |= (uint64_t)data[i] << shift;
    v[3] ^= tail;
    sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t key_length(const struct table *table, const void *key)
{
    return table->key_size > 0 ? table->key_size : strlen(key);
}

static uint32_t hash_of(const struct table *table, const void *key)
{
    return (uint32_t)table_hash(table->seed, key, key_length(table, key));
}

static bool is_equal(const struct table *table, const void *a, const void *b)
{
    return table->key_size > 0 ? memcmp(a, b, table->key_size) == 0 : strcmp(a, b) == 0;
}

/* The slot of @key, or the empty one where it would go. The table has an empty slot. */
static struct table_slot *slot_of(const struct table *table, const void *key, uint32_t hash)
{
    size_t mask = table->allocated - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct table_slot *slot = &table->slots[i];
        if (!slot->key || (slot->hash == hash && is_equal(table, slot->key, key)))
            return slot;
    }
}

static int grow(struct table *table)
{
    size_t allocated = table->allocated ? table->allocated * 2 : 8;
    struct table_slot *slots = calloc(allocated, sizeof(*slots));
    struct table before = *table;

    if (!slots)
        return -ENOMEM;
    table->slots = slots;
    table->allocated = allocated;
    for (size_t i = 0; i < before.allocated; i++)
        if (before.slots[i].key)
            *slot_of(table, before.slots[i].key, before.slots[i].hash) = before.slots[i];
    free(before.slots);
    return 0;
}

void table_init(struct table *table, size_t key_size, uint64_t seed)
{
    *table = (struct table){.key_size = key_size, .seed = {seed, ~seed * 0x9e3779b97f4a7c15}};
}

void table_done(struct table *table)
{
    free(table->slots);
    table->slots = NULL;
    table->allocated = table->count = 0;
}

int table_insert(struct table *table, const void *key, void *value)
{
    if (4 * (table->count + 1) > 3 * table->allocated) {
        int r = grow(table);
        if (r < 0)
            return r;
    }
    uint32_t hash = hash_of(table, key);
    struct table_slot *slot = slot_of(table, key, hash);
    if (slot->key)
        return -EEXIST;
    *slot = (struct table_slot){.key = key, .value = value, .hash = hash};
    table->count++;
    return 0;
}

void *table_find(const struct table *table, const void *key)
{
    return table->count > 0 ? slot_of(table, key, hash_of(table, key))->value : NULL;
}

void *table_remove(struct table *table, const void *key)
{
    if (table->count == 0)
        return NULL;
    struct table_slot *slot = slot_of(table, key, hash_of(table, key));
    void *value = slot->value;
    size_t mask = table->allocated - 1, hole = (size_t)(slot - table->slots);

    if (!slot->key)
        return NULL;
    /* Shift back whatever stood behind the hole only because the hole was taken. */
    for (size_t i = (hole + 1) & mask; table->slots[i].key; i = (i + 1) & mask)
        if (((i - (table->slots[i].hash & mask)) & mask) >= ((i - hole) & mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    table->slots[hole] = (struct table_slot){0};
    table->count--;
    return value;
}

void *table_next(const struct table *table, size_t *i)
{
    while (*i < table->allocated) {
        const struct table_slot *slot = &table->slots[(*i)++];
        if (slot->key)
            return slot->value;
    }
    return NULL;
}
