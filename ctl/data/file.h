/* SPDX-License-Identifier: MIT */
#pragma once

/* What `file put` and `file get` share. */

#include "client.h"
#include "ctl.h"
#include "data/place.h"

/* The stream of PutFile or GetFile with its progress. Return: 0 with the last object, or the exit
 * code. */
int file_transfer(struct ctl *ctl, struct call call, const char *name, cJSON **ret_end);

/* The line that says it is done, or the object with --json. */
int file_show_end(const struct ctl *ctl, const cJSON *end);

/* Whether @name can be a stored file's. Return: 0, or the exit code after telling. */
int file_check_name(const char *name);

/* Whether --overwrite is one of its words. */
int file_check_overwrite(const struct options *options);

/* Whether --rate is a size. */
int file_check_rate(const struct options *options);

/* What is stored at @place, by the glob that its rest is. Return: 0, or the exit code. */
int file_list(struct ctl *ctl, const struct place *place, bool all_nodes, cJSON **ret);

/* Whether @text means names rather than being one. */
bool file_is_glob(const char *text);

/* Copies a stored file to where @target says, on any node. @waits: until it is there. */
int file_copy(struct ctl *ctl, const struct place *source, const struct place *target, bool waits);

/* A small file that goes along with others. */
#define FILE_PACKED_MAX ((size_t)256 * 1024)

struct file_source {
    const char *path; /* borrowed */
    const char *name; /* to be stored as; borrowed */
    uint64_t size;
};

/* Stores small files in few calls. Return: 0, or the exit code of the first failure; all were told.
 */
int file_pack_put(struct ctl *ctl, const struct place *target, const struct file_source *sources,
                  size_t count);

/* Adds what a put says about every file: --overwrite, --rate, and whether it waits. */
void file_add_options(const struct ctl *ctl, cJSON *parameters, bool waits);
