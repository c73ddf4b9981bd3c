/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Frames and content of p2p-file/1 on the connection of a job, with its pace and its patience; and
 * the hash of content. Shared by who asks (file_job.c) and who answers (file_serve.c). For threads
 * of the files lane.
 */

#include <openssl/evp.h>
#include "transfer/file_job.h"
#include "transfer/file_wire.h"

static inline void content_hash_freep(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}
#define _cleanup_hash_ _cleanup_(content_hash_freep)

/* SHA-256. Return: NULL without memory. */
EVP_MD_CTX *content_hash_new(void);
/* Return: 0, -EIO where libcrypto fails. */
int content_hash_add(EVP_MD_CTX *context, const void *data, size_t size);
int content_hash_end(EVP_MD_CTX *context, uint8_t ret[static FILES_HASH_SIZE]);

bool file_job_is_cancelled(struct file_job *job);

/* Closes the connection, while the loop may want to abort it. */
void file_job_drop_conn(struct file_job *job);

/* Until when the other side has to say something. */
usec_t content_deadline(void);
/* The same where it may have to wait for its disk, or for its turn, before it can. */
usec_t content_answer_deadline(void);

/* Bytes of one chunk of content to be sent: less than FILE_WIRE_CHUNK where the pace is slow. */
size_t content_chunk_size(const struct file_job *job);

/* Takes the frame over. Return: 0, -ENOMEM for NULL, or as conn_write. */
int content_send_frame(struct conn *conn, cJSON *frame);
/* @size 0 tells only that more will come. Return: 0, -ECANCELED, or as conn_write. */
int content_send_chunk(struct file_job *job, const uint8_t *data, size_t size);

/* A header, and how many bytes (at most FILE_WIRE_CHUNK) follow it. Return: 0; -ECONNRESET at the
 * end of the connection; as frame_receive. */
int content_receive_frame(struct file_job *job, usec_t until, cJSON **ret, size_t *ret_size);

/* Return: 1 for a chunk in @buffer, 0 at the end with the sender's hash, negative as usual. */
int content_receive_chunk(struct file_job *job, uint8_t *buffer, size_t *ret_size,
                          uint8_t hash[static FILES_HASH_SIZE]);
