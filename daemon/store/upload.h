/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One file on its way into the store: begin (every limit is checked before the first byte), write,
 * commit. Freed without a commit it leaves nothing that can be seen; what may be resumed goes on
 * from what had arrived when the same is offered again within part_keep. An upload belongs to one
 * thread at a time; uploads of several threads at once share the store's quota, and of two to one
 * name the later commit wins.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "store/files.h"

#define UPLOAD_BUFFER_SIZE ((size_t)256 * 1024)
/* Of what is smaller the hash is there before anybody could miss it. */
#define UPLOAD_HASHED_LATER_MIN ((uint64_t)64 * 1024 * 1024)
#define UPLOAD_RESUME_MIN       ((uint64_t)1024 * 1024) /* what is smaller begins anew */

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
    uint16_t mode; /* as of FILES_MODE_KNOWN */
    /* From UPLOAD_HASHED_LATER_MIN on: not before it is stored, but by files_hash_next(). */
    bool is_hashed_later;
    bool is_resumable; /* the same name, owner, size and time mean the same content */
    enum upload_overwrite overwrite;
    const atomic_bool *is_over; /* true = nobody waits, give up what takes long; NULL = never */
    bool has_sender_near;       /* on this machine, where it takes a processor */
};

/* The numbers of a refusal, for the caller's sentence. */
struct upload_refusal {
    uint64_t size;         /* what was offered, or has arrived of a stream */
    uint64_t limit;        /* file_max, quota, or reserve; 0 = one of the system */
    uint64_t available;    /* what would have fitted */
    bool is_least;         /* of a stream: there may be more than size */
    bool has_no_inodes;    /* that is what the disk has no room for, whatever the numbers say */
    const char *directory; /* borrowed of the store: it takes no file, with -EIO; NULL = it does */
    int error;             /* what was said there, positive */
};

enum {
    UPLOAD_KEPT = 1, /* not newer than the stored file, or the same: that stays */
};

struct upload;

/**
 * upload_new() - begins an upload
 * @refusal: filled for -EFBIG, -EDQUOT and -ENOSPC; NULL is allowed
 *
 * Return: 0; UPLOAD_KEPT; -EINVAL for a name or owner that is none; -EEXIST where the name is taken
 * and overwrite is never, unless a stream may prove to be what is stored there; -EFBIG above
 * file_max; -EDQUOT above the quota; -ENOSPC where less than the reserve would stay free; -ELOOP
 * where the name belongs to something that is no regular file; -ECANCELED by @offer->is_over;
 * -EIO, -ENOMEM.
 */
int upload_new(struct files *files, const struct upload_offer *offer,
               struct upload_refusal *refusal, struct upload **ret);

/* Drops what has arrived, unless it can be resumed and nothing failed. Returns NULL. */
struct upload *upload_free(struct upload *upload);
DEFINE_CLEANUP(struct upload *, upload_free)

/*
 * The next bytes. Return: 0; -EMSGSIZE above the size that was offered; for a stream -EEXIST,
 * -EFBIG, -EDQUOT and -ENOSPC as above (upload_get_refusal has the numbers); -EIO. After an error
 * only upload_free helps.
 */
int upload_write(struct upload *upload, const void *data, size_t size);

/* How much was here already: what is written next follows it. */
uint64_t upload_get_resumed(const struct upload *upload);

/* The SHA-256 of what is here. Return: 0, -EIO. */
int upload_get_hash(struct upload *upload, uint8_t ret[static FILES_HASH_SIZE]);

/* Drops what is here: it is of another content. Return: 0, -EIO. */
int upload_restart(struct upload *upload);

/*
 * A buffer of UPLOAD_BUFFER_SIZE for the next upload_write, which hashes from it while the one
 * after is filled. Bytes anywhere else are hashed by its return. Return: 0, -ENOMEM.
 */
int upload_get_buffer(struct upload *upload, uint8_t **ret);

void upload_get_refusal(const struct upload *upload, struct upload_refusal *ret);

/**
 * upload_commit() - makes the file durable and visible
 * @sha256: what it must be, FILES_HASH_SIZE bytes; NULL = whatever arrived
 * @ret:    what is stored now, without a hash where that comes later; NULL is allowed
 *
 * Return: 0; UPLOAD_KEPT where a file at least as new, or the same content, came meanwhile;
 * -EMSGSIZE where bytes are missing; -EBADMSG where the hash differs; -EEXIST, -EDQUOT, -ELOOP as
 * above, where that changed meanwhile; -ECANCELED, -ENOSPC, -EIO, -ENOMEM. On any failure the store
 * is as before; -EIO alone may leave either file, whole.
 */
int upload_commit(struct upload *upload, const uint8_t *sha256, struct files_info *ret);
