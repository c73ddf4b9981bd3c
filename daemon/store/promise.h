/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Room in the file store that is promised before the first byte comes: by quota, largest file and
 * what has to stay free on the disk. For upload.c and batch.c; one promise belongs to one thread.
 */

#include "store/files_core.h"
#include "store/upload.h"

struct promise {
    struct files *files; /* borrowed */
    uint64_t size;       /* promised */
    uint64_t before;     /* of it, to files before this one */
    uint64_t arrived;    /* of it, on the disk already */
    uint64_t entered;    /* bytes that count as stored already */
    uint64_t replaced;   /* bytes that the store gets back when all this is stored */
    int64_t growth;      /* what all know of it: files->growth */
    struct upload_refusal refusal;
};

/* Return: 0; -EFBIG, -EDQUOT or -ENOSPC with the numbers in promise->refusal. What waits to be
 * resumed makes room. */
int promise_extend(struct promise *promise, uint64_t more);

void promise_arrive(struct promise *promise, uint64_t size);
/* What has arrived is dropped, and still to come. */
void promise_restart(struct promise *promise);

/* The disk is full though there was room: others took it. Notes the numbers in promise->refusal,
 * for a file of @size bytes of which @written are there. */
void promise_note_full(struct promise *promise, uint64_t size, uint64_t written);

/* The directory of files takes no part, as parts_begin said: notes that in promise->refusal.
 * Return: -EIO; a full disk is -ENOSPC, as promise_note_full. */
int promise_note_error(struct promise *promise, int r);

/* What the store gets back. Others have no more room by that until it is stored, but what is
 * promised here takes less of theirs. */
void promise_set_replaced(struct promise *promise, uint64_t replaced);

/* One file of @size bytes, all arrived, is in the index: it counts as stored, no more as promised.
 */
void promise_enter(struct promise *promise, uint64_t size);

/* What is left of it is given up: it counts no more. */
void promise_settle(struct promise *promise);

/*
 * Under change_mutex: whether @name may be taken by a file of @modified_wall_usec. @inode: of its
 * row where it is in the index already, else 0. Return: 0 with the bytes that this gives back;
 * UPLOAD_KEPT; -EEXIST, -ELOOP, -EINVAL, -EIO.
 */
int promise_check_name(struct files *files, const char *name, uint64_t modified_wall_usec,
                       uint64_t inode, enum upload_overwrite overwrite, uint64_t *ret_replaced);

/* The same without the lock, before anything is written: a name that is free costs no more than a
 * look. */
int promise_look_name(struct files *files, const char *name, uint64_t modified_wall_usec,
                      enum upload_overwrite overwrite, uint64_t *ret_replaced);

/* Whether @size bytes are still within the quota when @replaced are gone. Return: 0; -EDQUOT with
 * the numbers. */
int promise_check_quota(struct files *files, uint64_t size, uint64_t replaced,
                        struct upload_refusal *refusal);
