/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where the files of tasks are kept, as bundles (base/bundle.h) in "taskfiles" of the state
 * directory: the inputs of the own tasks until those are forgotten, the results of each attempt at
 * its origin as long, and at the worker until the origin has them. A bundle is written as a part,
 * and is there, whole and durable, when the part is kept; what a crash left of parts, and bundles
 * that no record knows, go at the next start.
 *
 * What blocks says so, and may be called from any thread; the rest belongs to the loop.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/id.h"
#include "base/macro.h"
#include "base/worker.h"
#include "store/state.h"

enum bundles_kind {
    BUNDLES_IN,  /* number = that of struct task_files; origin and attempt are 0 */
    BUNDLES_OUT, /* of an attempt; origin null = of an own task */
};

struct bundles_key {
    enum bundles_kind kind;
    struct node_id origin;
    uint64_t number;
    uint32_t attempt;
};

struct bundles;

/*
 * @directory: of the state; "taskfiles" is made in it. @state is borrowed. Return: 0,
 * -ENOMEM, or what mkdir and open said.
 */
int bundles_new(const char *directory, struct state *state, struct bundles **ret);
/* After worker and state. Returns NULL. */
struct bundles *bundles_free(struct bundles *bundles);
DEFINE_CLEANUP(struct bundles *, bundles_free)

/*
 * At the start: removes parts, and bundles whose key @is_known denies. Blocks. Return: 0, or what
 * readdir said.
 */
typedef bool (*bundles_known_t)(const struct bundles_key *key, void *data);
int bundles_sweep(struct bundles *bundles, bundles_known_t is_known, void *data);

/* A bundle that is being written. */
struct bundles_part {
    const struct bundles *bundles; /* borrowed; NULL = there is none */
    int fd;                        /* owned; for reading and writing */
    uint64_t serial;
};
#define BUNDLES_PART_NONE ((struct bundles_part){.fd = -EBADF})

/* Blocks. Return: 0, or what open said. */
int bundles_create(struct bundles *bundles, struct bundles_part *ret);

/* Makes it durable and gives it the name of @key, in place of an older one; closes it. Blocks.
 * Return: 0; or what fsync or rename said, and the part stays. */
int bundles_keep(struct bundles_part *part, const struct bundles_key *key);

/* Drops a part that was not kept. Blocks for a moment. */
void bundles_part_done(struct bundles_part *part);

/* A file without a name, for what need not survive. Blocks. Return: the descriptor, or -errno. */
int bundles_create_unnamed(struct bundles *bundles);

/* Blocks. Return: a descriptor for reading; -ENOENT; or what open said. */
int bundles_open_read(const struct bundles *bundles, const struct bundles_key *key);

/* What -@r means there: as strerror(), but where the disk has no inode, or a file may not be so
 * large. Blocks for a moment. */
const char *bundles_explain(const struct bundles *bundles, int r);

/* How much more fits on the disk if @reserve bytes are to stay free. */
uint64_t bundles_get_space(const struct bundles *bundles, uint64_t reserve);

/* Removes the bundle when @batch is durable. */
void bundles_remove(struct bundles *bundles, const struct bundles_key *key,
                    struct state_batch *batch);
