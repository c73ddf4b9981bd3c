/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of frames share: wire.c has those of attempts and output, wire_ask.c those
 * before an attempt, wire_files.c those of files. */

#include "tasks/internal.h"

#define WIRE_NUMBER_MAX ((uint64_t)1 << 53)

/* A frame of an attempt that came; everything is borrowed for the call. */
struct incoming {
    struct tasks *tasks;
    const struct node_id *from;
    const cJSON *header;
    const void *body;
    size_t body_size;
    uint64_t number;
    uint64_t attempt;
};

/* A field that has to be there: 0 and a malformed frame are told apart by the return value. */
bool wire_read_u64(const struct incoming *in, const char *key, uint64_t max, uint64_t *ret);

cJSON *wire_new_frame(const char *op, uint64_t number, uint64_t attempt);

/*
 * Takes the frame over. The member's address comes from the placement's list of nodes; without one,
 * only an open connection will do. Return: as peers_send().
 */
int wire_send(struct tasks *tasks, const struct node_id *to, cJSON *frame, const void *body,
              size_t body_size);

/* Those of what comes return false where it is malformed. wire_ask.c */
bool wire_take_ask(const struct incoming *in);
bool wire_take_room(const struct incoming *in);
bool wire_take_release(const struct incoming *in);

/* wire_files.c */
bool wire_take_fetch(const struct incoming *in);
bool wire_take_piece(const struct incoming *in);
