/* SPDX-License-Identifier: MIT */
#pragma once

/* What memory.c, which has the values, shares with memory_save.c, which brings them to the disk. */

#include "base/heap.h"
#include "base/list.h"
#include "base/table.h"
#include "store/memory.h"

struct memory_entry {
    char *owner;   /* owned */
    uint8_t *data; /* owned; NULL = removed, and only waiting for the next save */
    size_t size;
    uint64_t version;
    uint64_t expires_wall_usec; /* 0 = never */
    uint64_t modified_wall_usec;
    struct heap_entry expiry; /* monotonic */
    struct list dirty;        /* in the memory's list, if it changed since the last save, or in
                                 that of a save */
    char key[];
};

struct memory {
    struct memory_limits limits;
    struct table entries; /* owns the entries */
    struct heap expiries;
    struct list dirty;
    uint64_t used;   /* removed entries count until they are saved, so that they are bounded too */
    size_t count;    /* without removed ones */
    bool has_all;    /* the disk knows nothing: the next save puts all */
    size_t saving;   /* saves of values that have not come back */
    int failure;     /* why what was to be saved is not, or 0 */
    bool is_failing; /* one of those that are coming back together has failed */
    bool has_puts;   /* one of them was of values, not of removals */
    bool has_drops;  /* the state has removals that it could not make */
    unsigned rests;  /* so many saves before values are tried again */
    uint64_t unfit;  /* the smallest that had no room on the disk, as its cost; or UINT64_MAX */
    uint64_t unfit_now; /* the same of those that are coming back */
    uint64_t floor;     /* no version up to it is given: values that are gone may have had it */
    uint64_t given;     /* the highest that any value here has or had */
    uint64_t reserved;  /* what a start after a crash begins above: nothing higher is given */
    uint64_t asked;     /* what the disk was asked to reserve; 0 = it is not being asked */
};

/* As counted against the total. */
uint64_t memory_entry_cost(const struct memory_entry *entry);

/* Has the next save see it. */
void memory_mark_dirty(struct memory *memory, struct memory_entry *entry);

/* Frees it. */
void memory_drop(struct memory *memory, struct memory_entry *entry);
