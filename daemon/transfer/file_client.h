/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A client's end of a transfer, wherever the other one is: the source of a put, and the target of a
 * get, in which something may be already. On a thread, as all of file_job.
 */

#include "store/hasher.h"
#include "transfer/file_content.h"

/* What the store said about the file. Returns @r. */
int client_fail_store(struct file_job *job, int r, const struct upload_refusal *refusal);

/* --- The source of a put --- */

/* Whether it is what it was when it was offered. Return: 0, or as file_job_fail. */
int client_check_source(struct file_job *job);

/*
 * Whether the source begins with the @offset bytes of that hash, which are there already; then it
 * goes on behind them. Return: 1, 0, or what went wrong.
 */
int client_begins_with(struct file_job *job, struct hasher *hasher, uint64_t offset,
                       const uint8_t hash[static FILES_HASH_SIZE]);

/*
 * The name is taken by @stored. Where that is the very content that is to be put, as it is when the
 * answer to an earlier put was lost, it is kept. Return: 0 with the end, or -EEXIST.
 */
int client_keep_same(struct file_job *job, const struct files_info *stored);

/* --- The target of a get --- */

/* What the client has already, from an earlier get. Return: 0, or as file_job_fail. */
int client_look(struct file_job *job, struct hasher *hasher, uint64_t *ret,
                uint8_t hash[static FILES_HASH_SIZE]);

/* Goes on behind @offset, or where that is 0 from the beginning. Return: as above. */
int client_begin(struct file_job *job, struct hasher *hasher, uint64_t offset);

/* One piece of content. @data must stay as it is until the next one. Return: as above. */
int client_take(struct file_job *job, struct hasher *hasher, const uint8_t *data, size_t size);

/* Whether what came is what was stored: a disk may have changed it since. Return: as above. */
int client_check(struct file_job *job, struct hasher *hasher, const struct content_end *end);
