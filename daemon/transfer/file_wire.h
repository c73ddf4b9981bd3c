/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The frames of p2p-file/1 as values: what a file is, why one was refused. PROTOCOL.md, "Files".
 * Content travels as frames of at most FILE_WIRE_CHUNK bytes, so that a file of unknown size needs
 * no rule of its own, and ends with its SHA-256.
 */

#include "base/json.h"
#include "store/files.h"
#include "store/upload.h"

#define FILE_WIRE_CHUNK      ((size_t)256 * 1024)
#define FILE_WIRE_REASON_MAX 256

/* {"op": op}; NULL without memory, which the adders and frame_send take for -ENOMEM. */
cJSON *file_wire_new(const char *op);
bool file_wire_is(const cJSON *frame, const char *op);

cJSON *file_wire_put(const struct upload_offer *offer);
/* Strings are borrowed from @frame. Return: 0, -EBADMSG. */
int file_wire_read_put(const cJSON *frame, struct upload_offer *ret);

/* What is stored, or comes: op "stored", "kept", "file". */
cJSON *file_wire_info(const char *op, const struct files_info *info);
int file_wire_read_info(const cJSON *frame, struct files_info *ret);

/* The end of a content. Return of reading: 0, -EBADMSG. */
cJSON *file_wire_done(const uint8_t hash[static FILES_HASH_SIZE]);
int file_wire_read_done(const cJSON *frame, uint8_t ret[static FILES_HASH_SIZE]);

/* A refusal: errno by name, and a sentence. Reading gives a negative errno always. */
cJSON *file_wire_error(int r, const char *reason);
int file_wire_read_error(const cJSON *frame, char reason[static FILE_WIRE_REASON_MAX]);

/* The sentence for what upload.h and files.h said about @name on node "this". Returns @target. */
char *file_wire_explain(int r, const char *name, const struct upload_refusal *refusal,
                        char target[static FILE_WIRE_REASON_MAX]);
