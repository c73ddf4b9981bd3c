/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One file on its way into the store: begin (every limit is checked before the first byte), write,
 * commit. Freed without a commit it leaves nothing. An upload belongs to one thread at a time;
 * uploads of several threads at once share the store's quota, and of two to one name the later
 * commit wins.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "store/files.h"

enum upload_overwrite {
    UPLOAD_NEVER,
    UPLOAD_NEWER, /* than the stored one, by modified_wall_usec */
    UPLOAD_ALWAYS,
};

struct upload_offer {
    const char *name;
    const char *owner;           /* at most FILES_OWNER_MAX bytes of UTF-8 */
    uint64_t size;               /* FILES_SIZE_UNKNOWN for a stream */
    uint64_t modified_wall_usec; /* 0 = now */
    bool is_executable;
    enum upload_overwrite overwrite;
};

/* The numbers of a refusal, for the caller's sentence. */
struct upload_refusal {
    uint64_t size;      /* what was offered, or has arrived of a stream */
    uint64_t limit;     /* file_max, quota, or reserve */
    uint64_t available; /* what would have fitted */
};

enum {
    UPLOAD_KEPT = 1, /* not newer than the stored file, which stays: nothing to upload */
};

struct upload;

/**
 * upload_new() - begins an upload
 * @refusal: filled for -EFBIG, -EDQUOT and -ENOSPC; NULL is allowed
 *
 * Return: 0; UPLOAD_KEPT; -EINVAL for a name or owner that is none; -EEXIST where the name is taken
 * and overwrite is never; -EFBIG above file_max; -EDQUOT above the quota; -ENOSPC where less than
 * the reserve would stay free; -ELOOP where the name belongs to something that is no regular file;
 * -EIO, -ENOMEM.
 */
int upload_new(struct files *files, const struct upload_offer *offer,
               struct upload_refusal *refusal, struct upload **ret);

/* Drops what has arrived. Returns NULL. */
struct upload *upload_free(struct upload *upload);
DEFINE_CLEANUP(struct upload *, upload_free)

/*
 * The next bytes. Return: 0; -EMSGSIZE above the size that was offered; for a stream -EFBIG,
 * -EDQUOT and -ENOSPC as above (upload_get_refusal has the numbers); -EIO. After an error only
 * upload_free helps.
 */
int upload_write(struct upload *upload, const void *data, size_t size);

void upload_get_refusal(const struct upload *upload, struct upload_refusal *ret);

/**
 * upload_commit() - makes the file durable and visible
 * @sha256: what it must be, FILES_HASH_SIZE bytes; NULL = whatever arrived
 * @ret:    what is stored now; NULL is allowed
 *
 * Return: 0; UPLOAD_KEPT where a file at least as new came meanwhile; -EMSGSIZE where bytes are
 * missing; -EBADMSG where the hash differs; -EEXIST, -EDQUOT, -ELOOP as above, where that changed
 * meanwhile; -ENOSPC, -EIO. On any failure the store is as before; -EIO alone may leave either
 * file, whole.
 */
int upload_commit(struct upload *upload, const uint8_t *sha256, struct files_info *ret);
