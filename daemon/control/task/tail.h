/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The last lines of what comes piece by piece. Pieces are copied; those that are surely too old are
 * dropped at once, so that not more is held than the lines that are wanted and one piece. Streams
 * are not told apart: a line ends where any of them ends one. Embedded in who reads.
 */

#include "base/list.h"
#include "store/output.h"

struct tail {
    struct list pieces;
    uint64_t lines;    /* that are wanted */
    uint64_t newlines; /* in all pieces */
    bool is_open;      /* the last line has no end yet */
};

void tail_init(struct tail *tail, uint64_t lines);
void tail_done(struct tail *tail);

/* Return: 0, -ENOMEM. */
int tail_add(struct tail *tail, const struct output_piece *piece);

/*
 * Hands out what is wanted, in order, each as large as it was added or, at the start, what is left
 * of it; then @function is called with each, and nothing is held any more.
 */
void tail_flush(struct tail *tail, void (*function)(const struct output_piece *piece, void *data),
                void *data);
