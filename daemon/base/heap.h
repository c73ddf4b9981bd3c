/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Binary min-heap of deadlines. Entries are fields of their objects and remember their place, so
 * that removing or moving one is O(log n). The heap owns only its array, in which the times stand
 * beside the entries: comparing two touches neither object.
 */

#include <stdbool.h>
#include <stddef.h>
#include "base/usec.h"

struct heap_entry {
    usec_t time_usec;
    size_t place; /* 1-based; 0 = in no heap */
};

struct heap_slot {
    usec_t time_usec;         /* the entry's */
    struct heap_entry *entry; /* borrowed */
};

struct heap {
    struct heap_slot *slots; /* owned */
    size_t count;
    size_t allocated;
};

#define HEAP_NULL ((struct heap){0})

void heap_done(struct heap *heap);

/**
 * heap_set() - put @entry at @time_usec, inserting or moving it
 *
 * USEC_INFINITY removes it. Among equal times the order is a function of the calls alone, so a
 * simulation that repeats its calls repeats its order.
 *
 * Return: 0, or -ENOMEM (only when inserting; the entry then is in no heap).
 */
int heap_set(struct heap *heap, struct heap_entry *entry, usec_t time_usec);

void heap_remove(struct heap *heap, struct heap_entry *entry);

/* The earliest entry, or NULL. */
struct heap_entry *heap_first(const struct heap *heap);

/* The earliest time, or USEC_INFINITY. */
usec_t heap_deadline(const struct heap *heap);
