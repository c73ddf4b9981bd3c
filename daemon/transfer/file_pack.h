/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Many small files at once, on a thread of the files lane: they go in packs, one behind the other,
 * without an answer in between; the store makes them durable together. A file that is refused does
 * not hinder the others.
 */

#include "transfer/file_job.h"

struct batch;

/* The outcome of one, for which @reason NULL is what errno says. */
void transfer_item_settle(struct transfer_item *item, int r, const char *reason);

/* Puts the job's list, here or there. Its end fails where none of the files got an answer. */
void file_pack_put(struct file_job *job);

/*
 * The other side of it: the body of a pack of @size bytes is next. Its files go into *@batch, made
 * where that is NULL; with the last pack they are committed and answered. Return: 0, or why the
 * connection is of no use.
 */
int file_pack_serve(struct file_job *job, const cJSON *frame, size_t size, struct batch **batch);
