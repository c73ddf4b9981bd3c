/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Frames and content of p2p-file/1 on the connection of a job, with its pace and its patience.
 * Shared by who asks (file_job.c) and who answers (file_serve.c). For threads
 * of the files lane.
 */

#include "store/hasher.h"
#include "transfer/file_job.h"
#include "transfer/file_wire.h"

bool file_job_is_cancelled(struct file_job *job);

/* Closes the connection, while the loop may want to abort it. */
void file_job_drop_conn(struct file_job *job);

/* Until when the other side has to say something. */
usec_t content_deadline(const struct file_job *job);

/* Bytes of one chunk of content to be sent: less than FILE_WIRE_CHUNK where the pace is slow. */
size_t content_chunk_size(const struct file_job *job);

/* Takes the frame over. Return: 0, -ENOMEM for NULL, or as conn_write. */
int content_send_frame(struct file_job *job, cJSON *frame);
/* So often the other side has to hear that this one is there. */
usec_t content_alive_interval(const struct file_job *job);

/* Says amid a content that comes that it has to wait. Return: 0, or as conn_write. */
int content_tell_alive(struct file_job *job);

/* @size 0 tells only that more will come. Return: 0, -ECANCELED, or as conn_write. */
int content_send_chunk(struct file_job *job, const uint8_t *data, size_t size);

/* A header, and how many bytes (at most FILE_WIRE_CHUNK) follow it. Return: 0; -ECONNRESET at the
 * end of the connection; as frame_receive. */
int content_receive_frame(struct file_job *job, usec_t until, cJSON **ret, size_t *ret_size);

/*
 * Around what takes the thread long while the other side waits for an answer: it is told so, by
 * file_job_tell(). The connection is not used meanwhile.
 */
void content_begin_work(struct file_job *job);
void content_end_work(struct file_job *job);

/*
 * For what the other side is waited for: a word that it is there; that it has looked at what it has
 * already; that its disk has all. While it waits for its turn, or works, it says so.
 */
enum content_answer { CONTENT_STILL, CONTENT_FIRST_ANSWER, CONTENT_LAST_ANSWER };
/* Return: as content_receive_frame. */
int content_receive_answer(struct file_job *job, enum content_answer kind, cJSON **ret,
                           size_t *ret_size);

/* The end of a content, with the sender's hash where it said one. */
struct content_end {
    bool has_sha256;
    uint8_t sha256[FILES_HASH_SIZE];
};

/*
 * @may_pause: whether the content's source may take its time, as a pipe does; else -ETIME where
 * less than CONTENT_PROGRESS bytes came in twice the patience. Return: 1 for a chunk in @buffer, 0
 * at the end, negative as usual.
 */
#define CONTENT_PROGRESS ((size_t)1024)
int content_receive_chunk(struct file_job *job, bool may_pause, uint8_t *buffer, size_t *ret_size,
                          struct content_end *end);

/* All @size bytes of a body, of which 16 KiB may take the patience. Return: 0, -ECANCELED, or as
 * conn_read. */
int content_receive_body(struct file_job *job, uint8_t *buffer, size_t size);

/* The same in the other direction. */
int content_send_body(struct file_job *job, const uint8_t *data, size_t size);
