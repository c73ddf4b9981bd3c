/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The client's descriptor of a job: a regular file, or something that may stay silent for ever.
 * Only what poll() waits for can be broken off. For threads of the files lane.
 */

#include <sys/uio.h>
#include "transfer/file_job.h"

/*
 * Return: bytes, fewer than @size where the rest takes its time; 0 at the end; -EAGAIN where there
 * was nothing for 10 seconds; -ECANCELED, also where the client is gone and took his pipe with him;
 * what read or poll said.
 */
ssize_t file_fd_read(struct file_job *job, uint8_t *data, size_t size);

/*
 * What errno says of the descriptor, negated. A server of files may say ESTALE, which of a job
 * means that a stored file was changed, and a file of /sys EINVAL, which of a job means a bad name:
 * those are -EIO.
 */
int file_fd_errno(void);

/* All of it. Return: 0, -ECANCELED, what write or poll said. */
int file_fd_write(struct file_job *job, const uint8_t *data, size_t size);

/* The same of many pieces, into a regular file; they are used up. */
int file_fd_write_pieces(struct file_job *job, struct iovec *pieces, size_t count);
