/* SPDX-License-Identifier: MIT */
#include "store/memory_core.h"

#define PART_SIZE 16384 /* bytes that a disk may have no room for, as a whole */
#define RESTS     5     /* saves, after one in parts that failed */

/* A batch on its way. Whatever changes meanwhile leaves its list for that of the memory. */
struct saving {
    struct memory *memory; /* borrowed */
    struct list entries;
    bool has_all;
    bool is_part; /* not of all that changed */
    bool is_removals;
};

/* Early enough: the disk may be behind for long while values are set as fast as they can be. */
static bool wants_versions(const struct memory *memory)
{
    return memory->asked == 0 && memory->given > memory->reserved - STATE_VERSIONS_AHEAD * 7 / 8;
}

bool memory_is_saved(const struct memory *memory, bool keeps_values)
{
    return list_is_empty(&memory->dirty) &&
           !(keeps_values && (memory->has_all || memory->has_drops));
}

bool memory_is_dirty(const struct memory *memory, bool keeps_values)
{
    return !memory_is_saved(memory, keeps_values) || wants_versions(memory) ||
           (!keeps_values && memory->failure < 0);
}

int memory_get_failure(const struct memory *memory)
{
    return memory->failure;
}

static void on_reserved(int r, void *data)
{
    struct memory *memory = data;

    if (r == 0)
        memory->reserved = memory->asked;
    memory->asked = 0;
}

static void reserve_versions(struct memory *memory, struct state_batch *batch)
{
    if (!wants_versions(memory))
        return;
    memory->asked = memory->given + STATE_VERSIONS_AHEAD;
    state_put_versions(batch, memory->asked);
    state_batch_after(batch, on_reserved, memory);
}

static void put(struct state_batch *batch, const struct memory_entry *entry)
{
    struct state_value value = {
        .key = entry->key,
        .data = entry->data,
        .size = entry->size,
        .version = entry->version,
        .expires_wall_usec = entry->expires_wall_usec,
        .modified_wall_usec = entry->modified_wall_usec,
        .owner = entry->owner,
    };

    if (entry->data)
        state_put_value(batch, &value);
    else
        state_delete_value(batch, entry->key, entry->version);
}

static void forget_failure(struct memory *memory)
{
    memory->failure = 0;
    memory->unfit = memory->unfit_now = UINT64_MAX;
    memory->rests = 0;
}

/* After the last of those that were on their way together. */
static void settle(struct memory *memory)
{
    if (memory->saving > 0)
        return;
    if (!memory->is_failing && !memory->has_drops &&
        (memory->has_puts || list_is_empty(&memory->dirty)))
        forget_failure(memory);
    if (memory->has_puts)
        memory->unfit = memory->unfit_now;
    memory->unfit_now = UINT64_MAX;
    memory->is_failing = memory->has_puts = false;
}

/* The least that had no room: any value of a part, the largest where all that changed was one
 * batch.
 */
static uint64_t find_unfit(const struct saving *saving)
{
    uint64_t cost, unfit = saving->is_part ? UINT64_MAX : 0;

    list_for_each (link, &saving->entries) {
        const struct memory_entry *entry = list_entry(link, struct memory_entry, dirty);
        if (!entry->data)
            continue;
        cost = memory_entry_cost(entry);
        unfit = saving->is_part ? MIN(unfit, cost) : MAX(unfit, cost);
    }
    return unfit > 0 ? unfit : UINT64_MAX;
}

/* What was not saved is dirty again; removals are tried again by the state, once it has them. */
static void on_saved(int r, void *data)
{
    _cleanup_free_ struct saving *saving = data;
    struct memory *memory = saving->memory;
    bool was_tried = r != -ECANCELED, is_lost = r < 0 && (!saving->is_removals || !was_tried);

    memory->saving--;
    /* What was never tried has not failed: the disk is only behind. Nor is anything saved by it. */
    if (r < 0 && was_tried) {
        memory->rests = memory->failure < 0 ? RESTS : 0;
        memory->failure = r;
        memory->is_failing = true;
    } else if (saving->is_removals && r == 0) {
        memory->rests = 0;
    }
    if (saving->is_removals && was_tried)
        memory->has_drops = r < 0;
    else if (was_tried)
        memory->has_puts = true;
    memory->has_all = memory->has_all || (saving->has_all && r < 0);
    if (is_lost && r == -ENOSPC)
        memory->unfit_now = MIN(memory->unfit_now, find_unfit(saving));
    list_for_each_safe (link, &saving->entries) {
        struct memory_entry *entry = list_entry(link, struct memory_entry, dirty);
        list_remove(link);
        if (is_lost)
            list_append(&memory->dirty, link);
        else if (!entry->data)
            memory_drop(memory, entry);
    }
    settle(memory);
}

static struct saving *begin_saving(struct memory *memory, struct state_batch *batch)
{
    struct saving *saving = malloc(sizeof(*saving));

    if (!saving)
        return NULL;
    *saving = (struct saving){.memory = memory};
    list_init(&saving->entries);
    memory->saving++;
    state_batch_after(batch, on_saved, saving);
    return saving;
}

static void put_into(struct saving *saving, struct state_batch *batch, struct memory_entry *entry)
{
    put(batch, entry);
    list_remove(&entry->dirty);
    list_append(&saving->entries, &entry->dirty);
}

/* All that changed; after a failure a part that is not too large to fit. Return: whether there is
 * more. */
static bool save_values(struct memory *memory, struct state_batch *batch)
{
    bool has_all = memory->has_all, in_parts = memory->failure < 0 && !has_all;
    uint64_t size = 0;

    if (!has_all && list_is_empty(&memory->dirty))
        return false;
    struct saving *saving = begin_saving(memory, batch);
    if (!saving)
        return false;
    saving->has_all = has_all;
    saving->is_part = in_parts;
    memory->has_all = false;
    if (has_all) {
        state_clear_values(batch);
        table_for_each (&memory->entries, struct memory_entry *, entry)
            memory_mark_dirty(memory, entry);
    }
    list_for_each_safe (link, &memory->dirty) {
        struct memory_entry *entry = list_entry(link, struct memory_entry, dirty);
        size += memory_entry_cost(entry);
        /* A large one goes alone, to take no small one down with it. */
        if (in_parts && size > PART_SIZE && !list_is_empty(&saving->entries))
            return true;
        put_into(saving, batch, entry);
    }
    return false;
}

void memory_save_removals(struct memory *memory, struct state_batch *drops)
{
    struct saving *saving = memory->has_drops ? begin_saving(memory, drops) : NULL;

    list_for_each_safe (link, &memory->dirty) {
        struct memory_entry *entry = list_entry(link, struct memory_entry, dirty);
        if (!entry->data && (saving || (saving = begin_saving(memory, drops))))
            put_into(saving, drops, entry);
    }
    if (saving)
        saving->is_removals = true;
}

/* The first save after it puts all, which deletes what was removed meanwhile. */
static void forget_changes(struct memory *memory)
{
    forget_failure(memory);
    if (list_is_empty(&memory->dirty))
        return;
    list_for_each_safe (link, &memory->dirty) {
        struct memory_entry *entry = list_entry(link, struct memory_entry, dirty);
        if (entry->data)
            list_remove(link);
        else
            memory_drop(memory, entry);
    }
    memory->has_all = true;
}

static bool rests(struct memory *memory)
{
    if (memory->failure == 0 || memory->rests == 0)
        return false;
    memory->rests--;
    return true;
}

bool memory_save(struct memory *memory, struct state_batch *batch, bool keeps_values)
{
    bool has_more = false;

    if (!keeps_values)
        forget_changes(memory);
    else if (!rests(memory))
        has_more = save_values(memory, batch);
    reserve_versions(memory, batch);
    return has_more;
}

bool memory_save_last(struct memory *memory, struct state_batch *batch, bool keeps_values)
{
    /* A save that is still on its way, or a part, may fail alone: the versions that it takes along
     * are lost. */
    bool is_all = memory->saving == 0 && memory->failure == 0;

    memory->rests = 0;
    bool has_more = memory_save(memory, batch, keeps_values);
    if (is_all)
        state_put_versions(batch, keeps_values ? memory->floor : memory->given);
    return has_more;
}
