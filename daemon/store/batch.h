/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Many small files on their way into the store at once: each is written as it comes, and all become
 * durable and visible together, with one sync of the file system and one transaction of the index.
 * A file that is refused does not hinder the others. Freed without a commit it leaves nothing.
 * Belongs to one thread at a time; the rules are those of upload.h.
 */

#include "store/files.h"
#include "store/upload.h"

#define BATCH_FILES_MAX 4096
#define BATCH_BYTES_MAX ((uint64_t)64 * 1024 * 1024)

struct batch;

/* Return: 0, -EINVAL for an owner that is none, -ENOMEM, -EIO. */
int batch_new(struct files *files, const char *owner, enum upload_overwrite overwrite,
              struct batch **ret);
struct batch *batch_free(struct batch *batch);
DEFINE_CLEANUP(struct batch *, batch_free)

struct batch_file {
    const char *name;
    uint64_t modified_wall_usec; /* 0 = now */
    bool is_executable;
    uint16_t mode; /* as of FILES_MODE_KNOWN */
};

/*
 * Adds one file, of which all bytes are here. Return: 0, also where it is refused, which
 * batch_get_result tells (-EEXIST for the second of one name, whatever may be overwritten); -ENOSPC
 * where the batch has no room for it: commit and clear it first; -ENOMEM.
 */
int batch_add(struct batch *batch, const struct batch_file *file, const void *data, size_t size);

/* Makes the files durable and visible, or refuses them. Once before batch_clear. */
void batch_commit(struct batch *batch);

/* For the next files. */
void batch_clear(struct batch *batch);

size_t batch_count(const struct batch *batch);

struct batch_result {
    int r;            /* 0, UPLOAD_KEPT, or the negative errno of upload_new, _write or _commit */
    const char *name; /* borrowed until batch_clear */
    uint64_t size;
    uint8_t sha256[FILES_HASH_SIZE]; /* where r is 0 */
    struct upload_refusal refusal;
};

/* After batch_commit. @i below batch_count, in the order of batch_add. */
void batch_get_result(const struct batch *batch, size_t i, struct batch_result *ret);
