/* SPDX-License-Identifier: MIT */
#include "control/task/tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"

struct held {
    struct list link;
    uint64_t newlines;
    struct output_piece piece; /* its data are these: */
    uint8_t data[];
};

void tail_init(struct tail *tail, uint64_t lines)
{
    *tail = (struct tail){.lines = lines};
    list_init(&tail->pieces);
}

static void drop(struct tail *tail, struct held *held)
{
    tail->newlines -= held->newlines;
    list_remove(&held->link);
    free(held);
}

void tail_done(struct tail *tail)
{
    list_for_each_safe (link, &tail->pieces)
        drop(tail, list_entry(link, struct held, link));
}

static uint64_t count_newlines(const uint8_t *data, size_t size)
{
    uint64_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += data[i] == '\n';
    return count;
}

int tail_add(struct tail *tail, const struct output_piece *piece)
{
    struct held *held, *first;

    if (piece->size == 0)
        return 0;
    held = malloc(sizeof(*held) + piece->size);
    if (!held)
        return -ENOMEM;
    held->piece = *piece;
    memcpy(held->data, piece->data, piece->size);
    held->piece.data = held->data;
    held->newlines = count_newlines(held->data, piece->size);
    list_init(&held->link);
    list_append(&tail->pieces, &held->link);
    tail->newlines += held->newlines;
    tail->is_open = held->data[piece->size - 1] != '\n';
    /* One line end more than wanted stays: behind it the wanted ones begin. */
    while ((first = list_first(&tail->pieces, struct held, link)) != held &&
           tail->newlines - first->newlines > tail->lines)
        drop(tail, first);
    return 0;
}

void tail_flush(struct tail *tail, void (*function)(const struct output_piece *piece, void *data),
                void *data)
{
    uint64_t lines = tail->newlines + tail->is_open;
    uint64_t skip = lines - MIN(lines, tail->lines);
    struct held *held;

    while ((held = list_first(&tail->pieces, struct held, link))) {
        struct output_piece *piece = &held->piece;
        for (; piece->size > 0 && skip > 0; piece->data++, piece->size--, piece->offset++)
            skip -= *piece->data == '\n';
        if (piece->size > 0)
            function(piece, data);
        drop(tail, held);
    }
    tail->is_open = false;
}
