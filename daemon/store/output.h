/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What tasks print: stdout and stderr of an attempt, in the order of arrival with the time of each
 * piece, while it runs and after. Up to OUTPUT_MEMORY_MAX bytes stay in memory and end as a blob in
 * the very transaction that stores the result; more goes to tasks/NUMBER.ATTEMPT.log in the state
 * directory. Beyond the limit the rest is dropped, and a mark says where.
 *
 * The origin keeps the output of its tasks; a worker keeps that of attempts whose result its origin
 * has not acknowledged (then the key has an origin, and the file's name too).
 *
 * Called in the loop; disk is touched on the commits lane only, in order: what a result says is on
 * the disk before the result is. Free in the order worker, state, output.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/id.h"
#include "base/macro.h"
#include "base/worker.h"
#include "store/state.h"

#define OUTPUT_MEMORY_MAX  ((size_t)64 * 1024)        /* of one output, before it goes to a file */
#define OUTPUT_PENDING_MAX ((size_t)1024 * 1024)      /* of one output, on its way to the file */
#define OUTPUT_TOTAL_MAX   ((size_t)64 * 1024 * 1024) /* of all outputs, before all go to files */
#define OUTPUT_DISK_RESERVE                                                                        \
    ((uint64_t)8 * 1024 * 1024)                 /* left free, for the record of how it ended */
#define OUTPUT_READ_MAX    ((size_t)256 * 1024) /* of one read */
#define OUTPUT_WAITING_MAX 1024                 /* reads that wait for more */

enum output_stream {
    OUTPUT_STDOUT = 1,
    OUTPUT_STDERR = 2,
    OUTPUT_CUT = 3, /* only when reading: from here on something was dropped; output_cut_error() */
};

struct output_key {
    struct node_id origin; /* null = this node */
    uint64_t number;
    uint32_t attempt;
};

struct output_store;
struct output;

/* @directory: of the state; "tasks" is made in it. Return: 0, -ENOMEM, or what mkdir and open said.
 */
int output_store_new(const char *directory, struct state *state, struct worker *worker,
                     struct output_store **ret);
/* Frees live outputs too; reads that wait end with -ECANCELED. Returns NULL. */
struct output_store *output_store_free(struct output_store *store);
DEFINE_CLEANUP(struct output_store *, output_store_free)

/*
 * At the start: removes log files whose key @is_known denies. Blocks. Return: 0, or what readdir
 * said.
 */
typedef bool (*output_known_t)(const struct output_key *key, void *data);
int output_store_sweep(struct output_store *store, output_known_t is_known, void *data);

/**
 * output_new() - a live output
 * @size_max: bytes of text kept; the pieces' own overhead may take as much again
 * @on_room:  called in the loop when output_room was short and has grown; may be NULL
 *
 * Owned by the store, which forgets it when it was finished and stored, or removed.
 * Return: 0, -EEXIST, -ENOMEM.
 */
int output_new(struct output_store *store, const struct output_key *key, uint64_t size_max,
               void (*on_room)(void *data), void *data, struct output **ret);

/*
 * Who is told when the first of a live output is dropped: @error is an errno, why it could not be
 * kept, or 0 where it is above the limit. Called in the loop; it must not append or finish.
 */
typedef void (*output_cut_t)(const struct output_key *key, int error, void *data);
void output_store_watch(struct output_store *store, output_cut_t on_cut, void *data);

/* The live (or finished and not yet stored) output of @key, or NULL. */
struct output *output_find(const struct output_store *store, const struct output_key *key);

/* Bytes that may be appended now without outrunning the disk; whoever reads the task stops at 0. */
size_t output_room(struct output *output);

/*
 * Keeps @size bytes that arrived at @wall_usec. What is above the limit is dropped, and counted.
 * Return: 0; -ENOMEM (nothing kept); -ESHUTDOWN after output_seal or output_finish.
 */
int output_append(struct output *output, enum output_stream stream, uint64_t wall_usec,
                  const void *data, size_t size);

/* Marks that something was dropped before it came here, with the errno for which it was, or 0;
 * nothing is kept from then on. */
int output_cut(struct output *output, uint64_t wall_usec, int error);

struct output_size {
    uint64_t kept[2]; /* bytes: stdout, stderr */
    uint64_t dropped;
    int error; /* 0, or why the file could not be written: the rest was dropped */
};
void output_get_size(const struct output *output, struct output_size *ret);

/* The last bytes of @stream that are in memory still, at most @size. Return: how many. */
size_t output_peek_tail(const struct output *output, enum output_stream stream, char *target,
                        size_t size);

/* Nothing more comes, and who reads it hears so. It stays in memory, until output_finish() or
 * output_remove(). */
void output_seal(struct output *output);

/*
 * Nothing more comes: puts the output into @batch, with which it becomes durable. Where that batch
 * fails the output stays, to be finished again. Return: 0; -EALREADY where an earlier batch has it;
 * -EBUSY, -EAGAIN, -ENOMEM (all: come again).
 */
int output_finish(struct output *output, struct state_batch *batch);

/* Forgets @key, live or stored: now for readers, on the disk when @batch is durable. */
void output_remove(struct output_store *store, const struct output_key *key,
                   struct state_batch *batch);

struct output_query {
    uint64_t cursor;   /* 0, or output_chunk.next of the read before */
    bool streams[3];   /* [OUTPUT_STDOUT], [OUTPUT_STDERR] wanted */
    bool is_following; /* at the end of a live output, wait for more instead of answering empty */
};

struct output_piece {
    enum output_stream stream;
    uint64_t wall_usec;
    const uint8_t *data;
    size_t size;
    uint64_t offset; /* in its stream; for who counts: a read leaves it 0 */
};

/* Of an OUTPUT_CUT: the errno for which something was dropped; 0 = it is above the limit. */
int output_cut_error(const struct output_piece *piece);

struct output_chunk {
    const struct output_piece *pieces; /* borrowed for the call */
    size_t count;
    uint64_t next; /* cursor of the next read */
    bool is_end;   /* nothing comes after, ever */
};

/*
 * @r 0 with a chunk, possibly without a piece for us; -ENOENT where there is no such output;
 * -EINVAL for a cursor that no read returned; -ECANCELED at the end of the program; -EIO, -EUCLEAN,
 * -ENOMEM. Called in the loop, once, never from within output_read.
 */
typedef void (*output_done_t)(int r, const struct output_chunk *chunk, void *data);

struct output_read;

/**
 * output_read() - reads at most OUTPUT_READ_MAX bytes from a cursor on
 * @ret: for output_cancel, until @done was called; NULL is allowed
 *
 * Return: 0; -EBUSY above OUTPUT_WAITING_MAX, or where the lane is full; -EAGAIN, -ENOMEM.
 */
int output_read(struct output_store *store, const struct output_key *key,
                const struct output_query *query, output_done_t done, void *data,
                struct output_read **ret);

/* Whether it has read all that there is, and waits for more. */
bool output_is_waiting(const struct output_read *read);

/* @done will not be called. */
void output_cancel(struct output_read *read);
