/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What has arrived of uploads, in "-parts/" of the file store. A part is dropped with its upload,
 * unless that may be resumed: then it has the name of what was offered, is found again by the same
 * offer, over a crash too, and is dropped when it is part_keep old or its room is needed. Whoever
 * works on a part holds its flock(), so that nobody else writes, counts or drops it.
 *
 * For files.c, upload.c and batch.c; what they share is in files_core.h.
 */

#include <stdint.h>
#include "store/files_core.h"

#define PARTS_NAME_MAX 48

/**
 * parts_begin() - a part to write into
 * @key: what may be resumed, of [0-9a-f], at most 32 bytes; NULL = nothing may
 * @ret_size: bytes that are there already; 0 where there is no key, or somebody works on that part
 * @ret_is_kept: whether parts_keep may be called
 *
 * Return: 0; -ENOSPC, -EMFILE and what else open says.
 */
int parts_begin(struct files *files, const char *key, char name[static PARTS_NAME_MAX], int *ret_fd,
                uint64_t *ret_size, bool *ret_is_kept);

/*
 * The same without a name: nobody sees it, and nothing of it outlives its descriptor. Return: 0;
 * -EMFILE where so many are open that parts_begin() has to do, or the file system or a rule of the
 * system are against it; what else open says.
 */
int parts_begin_unnamed(struct files *files, int *ret_fd);
/* Closes it. */
void parts_end_unnamed(struct files *files, int fd);

/* Gives it the name of a part. Return: as unnamed_link. */
int parts_name(struct files *files, int fd, char name[static PARTS_NAME_MAX]);

/* Leaves @size bytes for the next upload of the same. The descriptor may be closed then. */
void parts_keep(struct files *files, uint64_t size);

/* Drops the part that is the oldest of those that nobody works on. Return: whether there was one.
 */
bool parts_evict(struct files *files);

/* At the start: drops what nobody can resume, counts the rest. Return: 0, or what the directory
 * said. */
int parts_recover(struct files *files);
