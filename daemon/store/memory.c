/* SPDX-License-Identifier: MIT */
#include "store/memory.h"

#include <string.h>
#include "base/text.h"
#include "store/memory_core.h"

int memory_new(const struct memory_limits *limits, uint64_t seed, struct memory **ret)
{
    struct memory *memory = calloc(1, sizeof(*memory));

    if (!memory)
        return -ENOMEM;
    memory->limits = *limits;
    memory->reserved = memory->unfit = memory->unfit_now = UINT64_MAX;
    table_init(&memory->entries, 0, seed);
    list_init(&memory->dirty);
    *ret = memory;
    return 0;
}

static struct memory_entry *entry_free(struct memory_entry *entry)
{
    if (!entry)
        return NULL;
    free(entry->owner);
    free(entry->data);
    free(entry);
    return NULL;
}
DEFINE_CLEANUP(struct memory_entry *, entry_free)

struct memory *memory_free(struct memory *memory)
{
    if (!memory)
        return NULL;
    table_for_each (&memory->entries, struct memory_entry *, entry)
        entry_free(entry);
    table_done(&memory->entries);
    heap_done(&memory->expiries);
    free(memory);
    return NULL;
}

void memory_set_limits(struct memory *memory, const struct memory_limits *limits)
{
    memory->limits = *limits;
}

void memory_begin(struct memory *memory, uint64_t versions, uint64_t reserved)
{
    memory->floor = MAX(memory->floor, versions);
    memory->given = MAX(memory->given, versions);
    memory->reserved = reserved;
}

static uint64_t cost_of(size_t key_size, size_t owner_size, size_t size)
{
    return (uint64_t)MEMORY_ENTRY_SIZE + key_size + owner_size + size;
}

uint64_t memory_entry_cost(const struct memory_entry *entry)
{
    return cost_of(strlen(entry->key), strlen(entry->owner), entry->data ? entry->size : 0);
}

static bool is_there(const struct memory_entry *entry, usec_t now)
{
    return entry && entry->data && (entry->expiry.place == 0 || entry->expiry.time_usec > now);
}

void memory_mark_dirty(struct memory *memory, struct memory_entry *entry)
{
    list_remove(&entry->dirty);
    list_append(&memory->dirty, &entry->dirty);
}

void memory_drop(struct memory *memory, struct memory_entry *entry)
{
    list_remove(&entry->dirty);
    heap_remove(&memory->expiries, &entry->expiry);
    table_remove(&memory->entries, entry->key);
    memory->used -= memory_entry_cost(entry);
    entry_free(entry);
}

/* Turns an entry into the mark that tells the next save to delete it. */
static void bury(struct memory *memory, struct memory_entry *entry)
{
    memory->floor = MAX(memory->floor, entry->version);
    memory->used -= entry->size;
    memory->count--;
    free(TAKE_PTR(entry->data));
    entry->size = 0;
    heap_remove(&memory->expiries, &entry->expiry);
    memory_mark_dirty(memory, entry);
}

/* A key without a value. NULL without memory. */
static struct memory_entry *add_entry(struct memory *memory, const char *key)
{
    _cleanup_(entry_freep) struct memory_entry *entry = calloc(1, sizeof(*entry) + strlen(key) + 1);

    if (!entry)
        return NULL;
    list_init(&entry->dirty);
    strcpy(entry->key, key);
    entry->owner = strdup("");
    if (!entry->owner || table_insert(&memory->entries, entry->key, entry) < 0)
        return NULL;
    memory->used += memory_entry_cost(entry);
    return TAKE_PTR(entry);
}

/* On failure nothing changes. */
static int entry_set(struct memory *memory, struct memory_entry *entry,
                     const struct memory_change *change, usec_t expires_usec)
{
    const char *owner = change->owner ? change->owner : "";
    bool is_same_owner = strcmp(entry->owner, owner) == 0;
    _cleanup_free_ uint8_t *data = malloc(change->size + 1);
    _cleanup_free_ char *name = is_same_owner ? NULL : strdup(owner);

    if (!data || (!is_same_owner && !name))
        return -ENOMEM;
    int r = heap_set(&memory->expiries, &entry->expiry, expires_usec);
    if (r < 0)
        return r;
    memory->used -= memory_entry_cost(entry);
    memory->count += !entry->data;
    if (change->size > 0)
        memcpy(data, change->data, change->size);
    data[change->size] = '\0';
    free(entry->data);
    entry->data = TAKE_PTR(data);
    entry->size = change->size;
    if (name) {
        free(entry->owner);
        entry->owner = TAKE_PTR(name);
    }
    memory->used += memory_entry_cost(entry);
    return 0;
}

/* Sets @before, the entry of the key, or a new one where that is NULL. On failure nothing changes.
 */
static int store(struct memory *memory, struct memory_entry *before,
                 const struct memory_change *change, usec_t expires_usec, struct memory_entry **ret)
{
    struct memory_entry *entry = before ? before : add_entry(memory, change->key);
    int r = entry ? entry_set(memory, entry, change, expires_usec) : -ENOMEM;

    if (r == 0)
        *ret = entry;
    else if (entry && !before)
        memory_drop(memory, entry);
    return r;
}

/* Above all that the key ever had: also before it was removed, and what a crash forgot. */
static uint64_t next_version(const struct memory *memory, const struct memory_entry *before)
{
    return MAX(before ? before->version : 0, memory->floor) + 1;
}

static int check_change(const struct memory *memory, const struct memory_change *change,
                        const struct memory_entry *before, usec_t now)
{
    uint64_t version = is_there(before, now) ? before->version : 0;

    if (!text_is_name(change->key) || !text_is_visible(change->key) || change->ttl_usec == 0)
        return -EINVAL;
    if (strlen(change->key) > memory->limits.key_max)
        return -ENAMETOOLONG;
    if (change->size > memory->limits.value_max)
        return -EMSGSIZE;
    if (change->if_absent && version > 0)
        return -EEXIST;
    if (change->has_if_version && change->if_version != version)
        return -ESTALE;
    if (next_version(memory, before) > memory->reserved)
        return -EBUSY;
    uint64_t cost =
        cost_of(strlen(change->key), change->owner ? strlen(change->owner) : 0, change->size);
    if (cost >= memory->unfit)
        return -EROFS;
    uint64_t others = memory->used - (before ? memory_entry_cost(before) : 0);
    return others > memory->limits.total_max || cost > memory->limits.total_max - others ? -ENOSPC
                                                                                         : 0;
}

int memory_set(struct memory *memory, const struct memory_change *change, usec_t now,
               uint64_t wall_usec, uint64_t *ret_version)
{
    struct memory_entry *entry, *before = table_find(&memory->entries, change->key);
    int r = check_change(memory, change, before, now);

    if (r == -ENOSPC && memory_deadline(memory) <= now) {
        memory_tick(memory, now);
        before = table_find(&memory->entries, change->key);
        r = check_change(memory, change, before, now);
    }
    if (r < 0)
        return r;
    uint64_t version = next_version(memory, before);
    r = store(memory, before, change, usec_add(now, change->ttl_usec), &entry);
    if (r != 0)
        return r;
    entry->version = version;
    memory->given = MAX(memory->given, version);
    entry->modified_wall_usec = wall_usec;
    entry->expires_wall_usec =
        change->ttl_usec == USEC_INFINITY ? 0 : usec_add(wall_usec, change->ttl_usec);
    memory_mark_dirty(memory, entry);
    *ret_version = version;
    return 0;
}

static struct memory_value show(const struct memory_entry *entry, usec_t now)
{
    return (struct memory_value){
        .key = entry->key,
        .data = entry->data,
        .size = entry->size,
        .version = entry->version,
        .ttl_usec =
            entry->expiry.place == 0 ? USEC_INFINITY : usec_sub(entry->expiry.time_usec, now),
        .modified_wall_usec = entry->modified_wall_usec,
        .owner = entry->owner,
    };
}

int memory_get(const struct memory *memory, const char *key, usec_t now, struct memory_value *ret)
{
    const struct memory_entry *entry = table_find(&memory->entries, key);

    if (!is_there(entry, now))
        return -ENOENT;
    *ret = show(entry, now);
    return 0;
}

int memory_remove(struct memory *memory, const char *key, usec_t now)
{
    struct memory_entry *entry = table_find(&memory->entries, key);

    if (!is_there(entry, now))
        return -ENOENT;
    bury(memory, entry);
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    const struct memory_value *left = a, *right = b;

    return strcmp(left->key, right->key);
}

int memory_list(const struct memory *memory, const char *prefix, usec_t now,
                struct memory_value **ret, size_t *ret_count)
{
    struct memory_value *values = calloc(memory->count + 1, sizeof(*values));
    size_t count = 0, prefix_size = strlen(prefix);

    if (!values)
        return -ENOMEM;
    table_for_each (&memory->entries, const struct memory_entry *, entry)
        if (is_there(entry, now) && strncmp(entry->key, prefix, prefix_size) == 0)
            values[count++] = show(entry, now);
    qsort(values, count, sizeof(*values), compare_keys);
    *ret = values;
    *ret_count = count;
    return 0;
}

void memory_tick(struct memory *memory, usec_t now)
{
    while (memory_deadline(memory) <= now)
        bury(memory, CONTAINER_OF(heap_first(&memory->expiries), struct memory_entry, expiry));
}

usec_t memory_deadline(const struct memory *memory)
{
    return heap_deadline(&memory->expiries);
}

size_t memory_count(const struct memory *memory)
{
    return memory->count;
}

uint64_t memory_used(const struct memory *memory)
{
    return memory->used;
}

int memory_load(struct memory *memory, const struct state_value *value, usec_t now,
                uint64_t wall_usec)
{
    const struct memory_change change = {
        .key = value->key, .data = value->data, .size = value->size, .owner = value->owner};
    bool is_mortal = value->expires_wall_usec > 0;
    struct memory_entry *entry;

    if (*value->key == '\0' || !text_is_printable(value->key) || value->version == 0)
        return -EINVAL;
    int r = store(memory, table_find(&memory->entries, value->key), &change,
                  is_mortal ? usec_add(now, usec_sub(value->expires_wall_usec, wall_usec))
                            : USEC_INFINITY,
                  &entry);
    if (r < 0)
        return r;
    entry->version = value->version;
    memory->given = MAX(memory->given, value->version);
    entry->expires_wall_usec = value->expires_wall_usec;
    entry->modified_wall_usec = value->modified_wall_usec;
    /* What is over already, or damaged, is buried, so that the next save deletes its row. */
    if (value->is_damaged || (is_mortal && value->expires_wall_usec <= wall_usec))
        bury(memory, entry);
    return 0;
}

void memory_skip(struct memory *memory, const struct state_value *value)
{
    memory->floor = MAX(memory->floor, value->version);
    memory->given = MAX(memory->given, value->version);
}
