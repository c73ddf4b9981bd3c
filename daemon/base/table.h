/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Hash table from byte strings to pointers: open addressing, linear probing, keyed hash
 * (SipHash-1-3) against keys that a stranger chose. Keys are borrowed: they live in the object that
 * is the value and must not change while it is in the table. The table owns only its slots.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
    const void *key; /* borrowed; NULL = empty */
    void *value;     /* borrowed */
    uint32_t hash;
};

struct table {
    struct table_slot *slots; /* owned */
    size_t allocated;         /* 0 or a power of two */
    size_t count;
    size_t key_size; /* 0 = keys are NUL-terminated strings */
    uint64_t seed[2];
};

/* @key_size in bytes, 0 for strings. @seed keys the hash; a deterministic core passes its own. */
void table_init(struct table *table, size_t key_size, uint64_t seed);
void table_done(struct table *table);

/* Return: 0; -EEXIST where the key is there (nothing changes); -ENOMEM. */
int table_insert(struct table *table, const void *key, void *value);

/* Return: the value, or NULL. */
void *table_find(const struct table *table, const void *key);

/* Return: the value that was removed, or NULL. */
void *table_remove(struct table *table, const void *key);

/* The keyed hash of any bytes. */
uint64_t table_hash(const uint64_t key[2], const void *data, size_t size);

/* Walks in slot order: start with *i = 0; NULL at the end. Do not insert or remove meanwhile. */
void *table_next(const struct table *table, size_t *i);

#define table_for_each(table, type, entry)                                                         \
    for (size_t entry##_i = 0, entry##_once = 1; entry##_once; entry##_once = 0)                   \
        for (type entry; (entry = table_next(table, &entry##_i));)
