/* SPDX-License-Identifier: MIT */
#pragma once

/* What `file put` and `file get` share. */

#include <sys/stat.h>
#include "client.h"
#include "console/progress.h"
#include "ctl.h"
#include "data/part.h"
#include "data/place.h"

/* The stream of PutFile or GetFile with its progress. Return: 0 with the last object, or the exit
 * code. */
int file_transfer(struct ctl *ctl, struct call call, const char *name, cJSON **ret_end);

/* How far it is after an answer that is not the last, or what it waits for: @before is done before
 * it. */
void file_show_progress(struct progress *progress, const cJSON *object, double before,
                        double total);

/* The line that says it is done, or the object with --json. */
int file_show_end(const struct ctl *ctl, const cJSON *end);

/* Why what was there was kept, for a sentence; whether it is said, what --overwrite=newer kept
 * always; and the sentence. */
const char *file_kept_word(const struct ctl *ctl);
/* Ctrl-C ended the transfer of @name. Return: the exit code. */
int file_fail_interrupted(const struct ctl *ctl, const char *name);

bool file_tells_kept(const struct ctl *ctl);
void file_tell_kept(const struct ctl *ctl, const char *name);

/* Whether it makes sense to go on with the next file after that exit code. */
bool file_may_go_on(int r);

/* Whether @name can be a stored file's. Return: 0, or the exit code after telling. */
int file_check_name(const char *name);

/* Whether --overwrite is one of its words. */
int file_check_overwrite(const struct options *options);

/* Whether --rate is a size that no node takes for a stall. */
#define FILE_RATE_MIN ((uint64_t)1024)
int file_check_rate(const struct options *options);

/* What a glob means; of a million files no more is held. */
struct file_names {
    struct file_name {
        char *name; /* owned */
        uint64_t size;
    } * items; /* owned */
    size_t count, allocated;
    bool is_exact; /* one is called exactly as what was looked for, and alone was meant */
};

void file_names_done(struct file_names *names);

/* What is stored at @place under its rest: the file of exactly that name, or else all that match it
 * as a glob. Return: 0, also where there is none; or the exit code. */
int file_find(struct ctl *ctl, const struct place *place, struct file_names *ret);

/* The same on all nodes, with the nodes: `files` and `unanswered` of a list. */
int file_find_everywhere(struct ctl *ctl, const char *text, cJSON **ret);

/* Whether --all-nodes and a node are not said both. Return: 0, or the exit code after telling. */
int file_check_all_nodes(const struct ctl *ctl, const struct place *place);

int file_fail_no_match(const struct ctl *ctl, const struct place *place);

/* Whether @text means names rather than being one. */
bool file_is_glob(const char *text);

/* Copies a stored file to where @target says, on any node. @is_get: from whoever has it, where no
 * node is named. */
int file_copy(struct ctl *ctl, const struct place *source, const struct place *target, bool is_get);

/* "DIRECTORY/NAME", for the caller to free; or NULL. */
char *file_path_in(const char *directory, const char *name);

/* Whether --overwrite=newer leaves what lies at @target now: what was got is no younger. */
bool file_is_to_be_kept(const struct ctl *ctl, const char *target, const cJSON *end);

/* What is said where a target exists that --overwrite does not allow to replace; NULL = it does. */
const char *file_get_hint(const struct ctl *ctl);

/* --verify: reads what lies on the disk once more, as somebody else would. Return: 0, or the exit
 * code. */
int file_verify(const struct part *part, const char *target, const cJSON *end);

/*
 * Whether @target may be replaced by @name of @source, by --overwrite and by what it is: a device,
 * a pipe or a socket never is, nor the link to one. Return: 0, also where there is nothing; or the
 * exit code after telling.
 */
int file_check_target(const struct ctl *ctl, const struct place *source, const char *name,
                      const char *target);

/* The permissions, before the umask. */
mode_t file_get_mode(const cJSON *end);

void file_set_modified(int fd, const cJSON *end);

/* A small file that goes along with others. */
#define FILE_PACKED_MAX ((size_t)256 * 1024)

struct file_source {
    const char *path; /* borrowed */
    const char *name; /* to be stored as; borrowed */
    bool is_left;
};

/*
 * Stores small files in few calls. is_left says which are none, and have to be put alone. Return:
 * 0, or the exit code of the first failure; all were told.
 */
int file_pack_put(struct ctl *ctl, const struct place *target, struct file_source *sources,
                  size_t count);

#define FILE_MANY_MIN 16 /* fewer go one by one */

/*
 * Gets small files of one node into a directory in few calls. @sources: name, and size where it is
 * known (else FILE_SIZE_UNKNOWN). is_left says which have to be got alone. Return: as above.
 */
#define FILE_SIZE_UNKNOWN UINT64_MAX
struct file_wanted {
    const char *name; /* borrowed */
    uint64_t size;
    bool is_left;
};
int file_fetch(struct ctl *ctl, const struct place *source, const char *directory,
               struct file_wanted *wanted, size_t count);

/* --- What put and get of many files show (file_many.c) --- */

/* What became of them so far. */
struct file_sum {
    size_t count; /* of all that were meant */
    size_t moved;
    size_t kept;
    uint64_t bytes; /* of those that moved */
    int failure;    /* the first exit code */
    char name[32];  /* "400 files", for the progress */
};

/* Their packs: the first small, since it is waited for; and what goes with one call. */
#define FILE_PACK_FIRST     256
#define FILE_PACK_BYTES_MAX ((uint64_t)16 * 1024 * 1024)
#define FILE_PACK_NAMES_MAX ((size_t)512 * 1024) /* a call has at most 1 MiB of JSON */

/*
 * What packs go over: two connections in turns, so that one pack moves while the other waits for a
 * disk or for its reader. The daemon may have no place for the second.
 */
struct file_lanes {
    struct ctl *ctl;  /* borrowed */
    struct ctl other; /* the same with a connection of its own */
    size_t sent;
    bool is_parallel;
};

#define FILE_LANES_MAX 2

/* @is_parallel: whether the order of the packs is of no matter. */
void file_lanes_init(struct file_lanes *lanes, struct ctl *ctl, bool is_parallel);

/* Opens the second one where there is to be one. Return: 0, also where there is no place for it; or
 * the exit code. */
int file_lanes_open(struct file_lanes *lanes);

/* Whose turn it is. */
struct ctl *file_lanes_next(struct file_lanes *lanes);

void file_lanes_done(struct file_lanes *lanes);

/* How many of @left files, @max at most, go into the next pack: ever fewer towards the end, where
 * nothing else is under way. */
size_t file_pack_count(size_t left, size_t max);

/* Whether there are so many that of each nothing is shown. */
bool file_is_brief(const struct ctl *ctl, const struct file_sum *sum);

/* What one of them ended with; it does not hinder the others. */
void file_note(struct file_sum *sum, int r);

/* Ctrl-C and the progress, from the first to the last. @sum has the count and stays where it is. */
void file_begin_many(const struct ctl *ctl, struct file_sum *sum, struct progress *progress);

/* Tells the sum where there were too many for one line each. @r: what ended them all, or 0. Return:
 * the exit code. */
int file_end_many(const struct ctl *ctl, const struct file_sum *sum,
                  const struct progress *progress, int r);

/*
 * One that has come: with --json as the end of a transfer of it alone. @item: name, size_bytes,
 * modified, executable; @sha256 NULL where the one that is there was kept. Return: 0, or the exit
 * code.
 */
int file_show_one(const struct ctl *ctl, struct file_sum *sum, const char *schema, const cJSON *end,
                  const cJSON *item, const char *owner, const char *sha256);

/* Adds what a put says about every file: --overwrite, --rate, and whether it waits. */
void file_add_options(const struct ctl *ctl, cJSON *parameters, bool waits);
