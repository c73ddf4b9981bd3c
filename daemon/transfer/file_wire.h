/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The frames of p2p-file/1 as values: what a file is, why one was refused. PROTOCOL.md, "Files".
 * Content travels as frames of at most FILE_WIRE_CHUNK bytes, so that a file of unknown size needs
 * no rule of its own, and ends with its SHA-256.
 */

#include <string.h>
#include "base/bytes.h"
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

/* The end of a content. @hash NULL: the connection is sealed, and says as much. Return of reading:
 * 1 with the hash, 0 without, -EBADMSG. */
cJSON *file_wire_done(const uint8_t *hash);
int file_wire_read_done(const cJSON *frame, uint8_t ret[static FILES_HASH_SIZE]);

/* Adds what one side has of a content already: @offset bytes of that hash. 0 adds nothing. */
void file_wire_add_offset(cJSON *frame, uint64_t offset,
                          const uint8_t hash[static FILES_HASH_SIZE]);
/* Return: 0, with 0 where nothing was said; -EBADMSG. */
int file_wire_read_offset(const cJSON *frame, uint64_t *ret, uint8_t hash[static FILES_HASH_SIZE]);

/*
 * Permissions of many files: three octal digits for each, or three hyphens where nobody told. Older
 * nodes say nothing, so reading gives NULL, and 0 for each. Return of reading: 0, -EBADMSG where it
 * is not for so many.
 */
#define FILE_WIRE_MODE_SIZE 3
void file_wire_write_mode(char target[static FILE_WIRE_MODE_SIZE + 1], uint16_t mode);
int file_wire_read_modes(const cJSON *frame, size_t count, const char **ret);
uint16_t file_wire_get_mode(const char *modes, size_t i);

/* Many small files in one frame, "pack": a table of them in its body, then their contents. */
#define FILE_WIRE_PACK_MAX ((size_t)1024 * 1024) /* bytes of a body */

struct file_wire_pack {
    const char *owner; /* borrowed from the frame */
    enum upload_overwrite overwrite;
    size_t count;
    const char *modes; /* borrowed from the frame: see file_wire_get_mode */
    bool is_last;      /* an answer is wanted for all since the last one */
};
cJSON *file_wire_pack(const struct file_wire_pack *pack);
int file_wire_read_pack(const cJSON *frame, struct file_wire_pack *ret);

/* One row of the table. */
struct file_wire_row {
    char name[FILES_NAME_MAX + 1];
    uint32_t size;
    uint64_t modified_wall_usec;
    bool is_executable;
};
#define FILE_WIRE_ROW_SIZE(name) (strlen(name) + 14)
void file_wire_write_row(struct writer *writer, const char *name, uint32_t size,
                         uint64_t modified_wall_usec, bool is_executable);
/* Whether there was one. The name may be anything that fits. */
bool file_wire_read_row(struct reader *reader, struct file_wire_row *ret);

/* The answer to packs: a body of FILES_HASH_SIZE for each file, and what was not stored. */
cJSON *file_wire_packed(size_t count);
/* Of very many only the numbers of @refusal, which may be NULL, are told instead of @reason. */
void file_wire_add_result(cJSON *frame, size_t i, int r, const char *reason,
                          const struct upload_refusal *refusal);
/* @reason may be NULL; of @refusal the size is not known, and the rest is 0 where nobody told. */
typedef int (*file_wire_take_t)(size_t i, int r, const char *reason,
                                const struct upload_refusal *refusal, void *data);
/* Calls @take for each file that was not stored. Return: 0, -EBADMSG. */
int file_wire_read_packed(const cJSON *frame, size_t count, file_wire_take_t take, void *data);

/* Many small files asked for at once, "fetch": a body of names. */
cJSON *file_wire_fetch(size_t count);
/* Return: 0, -EBADMSG for a frame that is none or more than BATCH_FILES_MAX names. */
int file_wire_read_fetch(const cJSON *frame, size_t *ret_count);

/* What comes of the next of them, "fetched": @count are settled, which file_wire_add_result() says
 * of those that do not come; in the body the others, a head and the content each. */
cJSON *file_wire_fetched(void);
void file_wire_end_fetched(cJSON *frame, size_t count, bool is_last);
/* Calls @take for each that does not come. Return: 0, -EBADMSG, also for more than @max. */
int file_wire_read_fetched(const cJSON *frame, size_t max, size_t *ret_count, bool *ret_is_last,
                           file_wire_take_t take, void *data);

/* All of @info but the name, which the asker knows. */
#define FILE_WIRE_HEAD_MAX (4 + 8 + 1 + FILES_HASH_SIZE + 1 + FILES_OWNER_MAX)
void file_wire_write_head(struct writer *writer, const struct files_info *info);
/* Whether there was one. @ret->name stays as it is. */
bool file_wire_read_head(struct reader *reader, struct files_info *ret);

/* A refusal: errno by name, and a sentence. Reading gives a negative errno always. One that is
 * about a stored file may be added to its file_wire_info(). */
cJSON *file_wire_error(int r, const char *reason);
void file_wire_add_error(cJSON *frame, int r, const char *reason);
int file_wire_read_error(const cJSON *frame, char reason[static FILE_WIRE_REASON_MAX]);

/* Whether it is an `error` that names "damaged", as file_wire_read_error does for a name that it
 * does not know. */
bool file_wire_says_damaged(const cJSON *frame);
