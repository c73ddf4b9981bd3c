/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

static void place(struct heap *heap, size_t i, struct heap_slot slot)
{
    heap->slots[i] = slot;
    slot.entry->place = i + 1;
}

static void sift_up(struct heap *heap, size_t i)
{
    struct heap_slot slot = heap->slots[i];

    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (heap->slots[parent].time_usec <= slot.time_usec)
            break;
        place(heap, i, heap->slots[parent]);
        i = parent;
    }
    place(heap, i, slot);
}

static void sift_down(struct heap *heap, size_t i)
{
    struct heap_slot slot = heap->slots[i];

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count &&
            heap->slots[child + 1].time_usec < heap->slots[child].time_usec)
            child++;
        if (heap->slots[child].time_usec >= slot.time_usec)
            break;
        place(heap, i, heap->slots[child]);
        i = child;
    }
    place(heap, i, slot);
}

void heap_done(struct heap *heap)
{
    free(heap->slots);
    *heap = HEAP_NULL;
}

int heap_set(struct heap *heap, struct heap_entry *entry, usec_t time_usec)
{
    if (time_usec == USEC_INFINITY) {
        heap_remove(heap, entry);
        return 0;
    }
    if (entry->place > 0) {
        usec_t before = entry->time_usec;
        entry->time_usec = heap->slots[entry->place - 1].time_usec = time_usec;
        if (time_usec < before)
            sift_up(heap, entry->place - 1);
        else
            sift_down(heap, entry->place - 1);
        return 0;
    }
    if (heap->count == heap->allocated) {
        size_t allocated = heap->allocated ? heap->allocated * 2 : 16;
        struct heap_slot *slots = reallocarray(heap->slots, allocated, sizeof(*slots));
        if (!slots)
            return -ENOMEM;
        heap->slots = slots;
        heap->allocated = allocated;
    }
    entry->time_usec = time_usec;
    place(heap, heap->count++, (struct heap_slot){.time_usec = time_usec, .entry = entry});
    sift_up(heap, heap->count - 1);
    return 0;
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
    if (entry->place == 0)
        return;
    size_t i = entry->place - 1;
    struct heap_slot last = heap->slots[--heap->count];
    entry->place = 0;
    if (last.entry == entry)
        return;
    place(heap, i, last);
    sift_up(heap, i);
    sift_down(heap, last.entry->place - 1);
}

struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->slots[0].entry : NULL;
}

usec_t heap_deadline(const struct heap *heap)
{
    return heap->count > 0 ? heap->slots[0].time_usec : USEC_INFINITY;
}
