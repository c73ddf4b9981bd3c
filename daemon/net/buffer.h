/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Bytes that come in at one end and go out at the other, with a limit. Empty buffers hold no
 * memory, so that an idle connection costs none.
 */

#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data; /* owned */
    size_t start;  /* of what is in it */
    size_t size;
    size_t allocated;
};

void buffer_done(struct buffer *buffer);

/* Room for @size more bytes at *@ret. Return: 0, -ENOMEM. Then buffer_add() says how many there
 * are. */
int buffer_reserve(struct buffer *buffer, size_t size, uint8_t **ret);
void buffer_add(struct buffer *buffer, size_t size);

/* Drops @size bytes, at most buffer->size, from the front. */
void buffer_drop(struct buffer *buffer, size_t size);
