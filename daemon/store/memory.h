/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The memory store: this node's own values by key. Everything is in memory, so that a get or set
 * never waits; what changed is put into a batch of the state database now and then (memory_save),
 * so a crash may lose the last moment. Values are any bytes. Owned by the node, used in the loop's
 * thread only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "base/usec.h"
#include "store/state.h"

#define MEMORY_ENTRY_SIZE 64 /* counted for every key beside its key, value and owner */

struct memory_limits {
    uint64_t total_max; /* bytes: keys, values, owners and MEMORY_ENTRY_SIZE for each */
    size_t value_max;
    size_t key_max; /* 1..255 */
};

struct memory;

/* @seed keys the hash table. Return: 0, -ENOMEM. */
int memory_new(const struct memory_limits *limits, uint64_t seed, struct memory **ret);
struct memory *memory_free(struct memory *memory);
DEFINE_CLEANUP(struct memory *, memory_free)

/*
 * From here on versions are above @versions, and none above @reserved is given, since a crash would
 * forget it: that limit is moved with the saves. Both are of state_start. Before the first set.
 */
void memory_begin(struct memory *memory, uint64_t versions, uint64_t reserved);

/* What is there already stays, also where it is more. */
void memory_set_limits(struct memory *memory, const struct memory_limits *limits);

struct memory_change {
    const char *key; /* 1..key_max bytes of printable UTF-8 */
    const void *data;
    size_t size;
    const char *owner; /* NULL = "" */
    usec_t ttl_usec;   /* USEC_INFINITY = for ever; 0 is -EINVAL */
    bool if_absent;
    bool has_if_version;
    uint64_t if_version; /* 0 = absent */
};

/**
 * memory_set() - stores a value
 * @now:         monotonic
 * @ret_version: one more for each change of the key. A key that is new begins above all that any
 *               removed, expired or lost value had, at 1 where there was none: no two values of a
 *               key ever have the same
 *
 * Return: 0; -EBUSY where the disk did not take note of versions for STATE_VERSIONS_AHEAD of them;
 * -EINVAL for a key that is none, or a ttl of 0; -ENAMETOOLONG above key_max; -EMSGSIZE
 * above value_max; -ENOSPC where the total would be above its limit; -EROFS where the disk had no
 * room for one of this size at the last save; -EEXIST where if_absent and it
 * is there; -ESTALE where it has another version than if_version; -ENOMEM.
 */
int memory_set(struct memory *memory, const struct memory_change *change, usec_t now,
               uint64_t wall_usec, uint64_t *ret_version);

struct memory_value {
    const char *key;
    const uint8_t *data; /* NUL-terminated beyond size */
    size_t size;
    uint64_t version;
    usec_t ttl_usec; /* left; USEC_INFINITY = for ever */
    uint64_t modified_wall_usec;
    const char *owner;
};

/* Borrowed until the next change. Return: 0, -ENOENT. */
int memory_get(const struct memory *memory, const char *key, usec_t now, struct memory_value *ret);

/* Return: 0, -ENOENT. */
int memory_remove(struct memory *memory, const char *key, usec_t now);

/*
 * The values whose key begins with @prefix ("" = all), ordered by key bytes: an array for the
 * caller to free, with contents borrowed until the next change. Return: 0, -ENOMEM.
 */
int memory_list(const struct memory *memory, const char *prefix, usec_t now,
                struct memory_value **ret, size_t *ret_count);

/* Drops what is over. Early calls are harmless; an expired value is never seen even without. */
void memory_tick(struct memory *memory, usec_t now);
usec_t memory_deadline(const struct memory *memory);

size_t memory_count(const struct memory *memory);
uint64_t memory_used(const struct memory *memory); /* bytes, as counted against total_max */

/*
 * Loading at the start: one stored value, for state_load_values. Expired and damaged ones are
 * skipped, and their versions not given again; those above the limits are kept. Return: 0, -EINVAL
 * for a row that cannot be one, -ENOMEM.
 */
int memory_load(struct memory *memory, const struct state_value *value, usec_t now,
                uint64_t wall_usec);

/* Instead of memory_load: the value is not kept, but its version is not given again. */
void memory_skip(struct memory *memory, const struct state_value *value);

/* Whether memory_save has anything to do. */
bool memory_is_dirty(const struct memory *memory, bool keeps_values);

/* Whether the disk has all that it is to have; what is on its way counts as if it had. */
bool memory_is_saved(const struct memory *memory, bool keeps_values);

/* Why what was to be saved at last is not saved, as the batch said; 0 = it is. */
int memory_get_failure(const struct memory *memory);

/*
 * Puts what changed since the last save into @batch; without @keeps_values no values, but what has
 * to be known of their versions. What of it fails is put again. After a failure a batch has what
 * fits together only, and true means: commit it, and call this again with another one. Before the
 * first of them removals have to be saved then. The memory must outlive the batch.
 */
bool memory_save(struct memory *memory, struct state_batch *batch, bool keeps_values);

/* After a failure: @drops, of state_drops_new(), may have room where nothing else has. */
void memory_save_removals(struct memory *memory, struct state_batch *drops);

/* As memory_save at the end, after which nothing is set: the versions go on where they are. */
bool memory_save_last(struct memory *memory, struct state_batch *batch, bool keeps_values);
