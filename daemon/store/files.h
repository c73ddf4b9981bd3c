/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The file store: plain files in one flat directory (peer_storage), their metadata in a small index
 * database beside them. A file becomes visible at once and whole, or not at all: it is written
 * under
 * "-parts/", synced, entered into the index, and renamed into place. The index tells files apart by
 * inode, so that a crash between the index and the rename leaves the old file with its old
 * metadata; what belongs to nothing is dropped at the next start. Names that begin with '-' are
 * ours: no user can give one.
 *
 * Everything here blocks and may be called from several threads at once, except files_open and
 * files_free: floor 3 calls it on the files lane. files_usage does not block and is for the loop.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

#define FILES_NAME_MAX     255
#define FILES_OWNER_MAX    127
#define FILES_HASH_SIZE    32
#define FILES_MESSAGE_MAX  2048
#define FILES_LIST_MAX     10000 /* entries of one page */
#define FILES_SIZE_UNKNOWN UINT64_MAX

/* Permissions of what was put, 0 to 0777, with this bit; 0 where nobody told but is_executable. Who
 * may run or write with the rights of somebody else is never among them. */
#define FILES_MODE_KNOWN 01000u

struct files_limits {
    uint64_t quota;          /* bytes of all files */
    uint64_t file_max;       /* bytes of one */
    uint64_t reserve;        /* bytes that stay free on the disk */
    uint64_t part_keep_usec; /* how long what was interrupted waits to be resumed; 0 = not at all */
};

struct files;

/**
 * files_open() - opens the store in @directory, which is made (0700) where it is not there
 * @message: on failure, a sentence for the operator
 *
 * Removes what a crash left, but for what can be resumed, and takes up files that were put there by
 * hand (without a hash).
 *
 * Return: 0; -EBUSY where another process has it; -EUCLEAN where the index is damaged; -ENOTSUP
 * where a newer version wrote it; -ENOSPC, -EIO, -ENOMEM, or what opening said.
 */
int files_open(const char *directory, const struct files_limits *limits,
               char message[static FILES_MESSAGE_MAX], struct files **ret);

/* No upload may be under way. Returns NULL. */
struct files *files_free(struct files *files);
DEFINE_CLEANUP(struct files *, files_free)

void files_set_limits(struct files *files, const struct files_limits *limits);

struct files_usage {
    uint64_t count;
    uint64_t used;      /* bytes of complete files */
    uint64_t under_way; /* bytes promised to uploads */
    uint64_t quota;
};
void files_get_usage(struct files *files, struct files_usage *ret);

/* Bytes that a user may still put on their disk, files.reserve included; UINT64_MAX where it does
 * not tell. */
uint64_t files_get_disk_free(const struct files *files);

/* Whether their disk has room for no further file, however small. */
bool files_has_no_inodes(const struct files *files);

/* Whether a file may be stored at all, as far as a look tells. Return: 0; -ENOENT where the
 * directory is gone, -EROFS, -EACCES. */
int files_check_directory(const struct files *files);

/* Borrowed: where they are. */
const char *files_get_directory(const struct files *files);

/* Drops what waited to be resumed for longer than part_keep_usec. */
void files_expire_parts(struct files *files, uint64_t now_wall_usec);

struct files_info {
    char name[FILES_NAME_MAX + 1];
    char owner[FILES_OWNER_MAX + 1]; /* "" = not known */
    uint64_t size;
    uint64_t modified_wall_usec;
    uint8_t sha256[FILES_HASH_SIZE];
    bool has_sha256;  /* false for a file that was put here by hand */
    bool awaits_hash; /* files_hash_next() */
    bool is_changed;  /* it was stored, and is not what was stored any more: see files_open_read */
    bool is_executable;
    uint16_t mode; /* as of FILES_MODE_KNOWN */
};

/* What its permissions are, as far as they are known. */
static inline uint16_t files_get_permissions(uint16_t mode, bool is_executable)
{
    return mode & FILES_MODE_KNOWN ? mode & 0777 : is_executable ? 0755 : 0644;
}

/* Return: 0; -EINVAL for a name that is none; -ENOENT; -EIO; for what is no regular file -ESTALE
 * where one was stored, else -ELOOP. */
int files_stat(struct files *files, const char *name, struct files_info *ret);

/*
 * Opens a file for reading; the descriptor is the caller's, and stays good when the file is
 * replaced or removed meanwhile. The hash is that of what was stored: a disk may have changed a
 * byte since, so whoever reads to the end compares.
 *
 * Return: as files_stat; -ESTALE where size or time are not what was stored, since somebody wrote
 * into the file or put another in its place; or -EMFILE and the like. What only has another inode
 * is taken for the same: it came out of a backup.
 */
int files_open_read(struct files *files, const char *name, int *ret_fd, struct files_info *ret);

#define FILES_UNREADABLE 2

/**
 * files_hash_next() - hashes a file that was stored without its hash (upload_offer.is_hashed_later)
 * @name:    the one after which it is looked for, "" = from the beginning; then the one that was
 *           found
 * @is_over: true = give up
 *
 * What was changed meanwhile stays as it is. Return: 1; FILES_UNREADABLE where that one could not
 * be read now, which may be another time; 0 where there is none after @name; -ECANCELED, -EIO,
 * -ENOMEM.
 */
int files_hash_next(struct files *files, char name[static FILES_NAME_MAX + 1],
                    const atomic_bool *is_over);

/* Whether there may be such a file that was not looked at yet. Does not block. */
bool files_awaits_hash(struct files *files);

/*
 * As files_stat; where the file has @size bytes, which others are compared with, also with a hash
 * that it waits for. @is_over: as above, or NULL. Return: also -ECANCELED, -ENOMEM.
 */
int files_stat_hashed(struct files *files, const char *name, uint64_t size,
                      const atomic_bool *is_over, struct files_info *ret);

/* What has taken a file's place goes as well, but for a directory. Return: 0 with what was removed
 * in *@ret; else as files_stat, -ELOOP for a directory. */
int files_remove(struct files *files, const char *name, struct files_info *ret);

/* What became of one of many that were to be removed. */
struct files_removal {
    const char *name; /* borrowed */
    int r;            /* as of files_remove */
    uint64_t size;    /* where r is 0 */
};

/* Many at once, with one sync; one that cannot be removed does not hinder the others. */
void files_remove_many(struct files *files, struct files_removal *removals, size_t count);

struct files_query {
    const char *glob;  /* "*", "?", "[a-z]", and "\\" before what stands for itself; or exactly the
                          name; NULL = all; at most 255 bytes */
    const char *after; /* the last name of the page before; "" = from the beginning */
    size_t limit;      /* 1..FILES_LIST_MAX */
    bool is_brief;     /* name and size as of the index: no file is looked at */
};

/**
 * files_list() - one page of the files whose name matches, ordered by name
 * @ret:    an array for the caller to free
 *
 * Return: 0; -EINVAL; -EIO; -ENOMEM.
 */
int files_list(struct files *files, const struct files_query *query, struct files_info **ret,
               size_t *ret_count);
