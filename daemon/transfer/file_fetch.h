/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Many small files asked for at once, on a thread of the files lane: the names go in one frame, and
 * what is stored under them comes in few, one behind the other. One that cannot be had does not
 * hinder the others.
 */

#include "transfer/file_job.h"

/* Gets the job's list, from here or there, into its descriptor. Its end fails where none of the
 * files got an answer. */
void file_fetch_get(struct file_job *job);

/*
 * The other side of it: a body of @size bytes with the names is next. Return: 0, or why the
 * connection is of no use.
 */
int file_fetch_serve(struct file_job *job, const cJSON *frame, size_t size);
