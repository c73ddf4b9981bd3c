/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * SHA-256 of bytes that come piece by piece. What is long is hashed on a thread of its own, beside
 * the work that brings and stores the bytes: hashing is as much of it as all the rest together.
 * Where no processor is left for that, it would only take turns with the others, and the bytes go
 * from cache to cache each time. Belongs to one thread at a time; that of its own never touches
 * anything else.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

#define HASHER_SIZE    32
#define HASHER_PIECES  ((size_t)3) /* that may wait to be hashed */
#define HASHER_BUFFERS (HASHER_PIECES + 1)

struct hasher;

/* Return: 0, -ENOMEM. */
int hasher_new(struct hasher **ret);
struct hasher *hasher_free(struct hasher *hasher);
DEFINE_CLEANUP(struct hasher *, hasher_free)

/* How many threads of this machine move the bytes, the one that adds them included; 1 where it is
 * not said. */
void hasher_set_movers(struct hasher *hasher, int count);

/* The next bytes, which must stay as they are until HASHER_PIECES more pieces were added, or all is
 * hashed. Return: 0; -EIO where libcrypto fails, now or with an earlier piece. */
int hasher_add(struct hasher *hasher, const void *data, size_t size);

/* Until all is hashed. Return: 0; -EIO as above. */
int hasher_settle(struct hasher *hasher);

/*
 * The first @size bytes of @fd, whose position stays.
 * @is_over: looked at now and then, true = give up; NULL = never
 *
 * Return: 0; -EIO where there are fewer; -ENOMEM, -ECANCELED.
 */
int hasher_add_file(struct hasher *hasher, int fd, uint64_t size, const atomic_bool *is_over);

/* Of HASHER_BUFFERS buffers that take turns, the one after @buffer. */
static inline size_t hasher_next(size_t buffer)
{
    return (buffer + 1) % HASHER_BUFFERS;
}

/* The hash of all so far; more may follow. Return: 0, -EIO. */
int hasher_get(struct hasher *hasher, uint8_t ret[static HASHER_SIZE]);

/* Begins anew. Return: 0, -EIO. */
int hasher_reset(struct hasher *hasher);

/* Of bytes that are all there. Return: 0, -EIO. */
int hasher_once(struct hasher *hasher, const void *data, size_t size,
                uint8_t ret[static HASHER_SIZE]);
