/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What files.c and upload.c share. Two mutexes: changes are made under change_mutex, which may be
 * held for an fsync; the counters have their own, held for moments, so that the loop can ask.
 * Whoever takes both takes change_mutex first.
 */

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include "store/database.h"
#include "store/files.h"

struct files {
    pthread_mutex_t change_mutex; /* guards the index and the names in the directory */
    sqlite3 *database;            /* owned; NULL until the first question: files_get_index() */
    sqlite3_stmt *lookup;         /* owned; of files_load_info(), NULL until the first one */
    char *directory;              /* owned */
    char *index_path;             /* owned */
    int directory_fd;             /* owned; carries the lock of the store */
    int parts_fd;                 /* owned */

    pthread_mutex_t mutex; /* guards all below */
    struct files_limits limits;
    uint64_t count;
    uint64_t used;
    uint64_t promised;   /* bytes of uploads under way, arrived or not */
    uint64_t arrived;    /* of those, on the disk already */
    int64_t growth;      /* by so much those make what is used larger at most, as far as known */
    uint64_t kept;       /* bytes of parts that wait to be resumed */
    uint64_t parts;      /* names given to parts so far */
    size_t unnamed_left; /* parts without a name that may be opened */
    bool is_unnamed_known;
    bool has_unhashed; /* since files_hash_next() began anew, some may have been stored */
};

/* A stream of the entries of @fd, which stays the caller's; NULL with errno. */
DIR *files_open_stream(int fd);
void files_close_streamp(DIR **stream);
/* The next entry. Return: 1, 0 at the end, or what readdir said. */
int files_next_entry(DIR *stream, const char **ret);

/*
 * Under change_mutex: the index, which is opened when it is first asked for. A node that has no use
 * for files spares 70 KiB. Return: 0, -EIO and what else SQLite says, never -ENOENT.
 */
int files_get_index(struct files *files, sqlite3 **ret);

/* What is under @name: 0 with a regular file's status, -ENOENT, -ELOOP with another's, -EINVAL for
 * no name, -EIO. */
int files_look(struct files *files, const char *name, struct stat *ret);

/* Under change_mutex: as files_look, but -ESTALE with the status of what is no regular file where
 * one was stored. @but: the inode of a row that says nothing of it, or 0. */
int files_look_stored(struct files *files, const char *name, uint64_t but, struct stat *ret);

/* The time of the last change of the content, in the wall clock's microseconds. */
uint64_t files_modified_of(const struct stat *status);

/* Under change_mutex: the metadata of the file with that status, as of files_open_read. Return: 0,
 * -EIO, -EUCLEAN, -ENOMEM. */
int files_load_info(struct files *files, const char *name, const struct stat *status,
                    struct files_info *ret);

/* Under change_mutex: as files_stat. What was taken away by hand stops counting. */
int files_stat_locked(struct files *files, const char *name, struct stat *status,
                      struct files_info *ret);

/* So many more are stored, of so many bytes. */
void files_count(struct files *files, int64_t files_more, int64_t bytes_more);

/* Under change_mutex: steps a DELETE that returns sizes, and counts what goes. Return: 0, -EIO. */
int files_expel_rows(struct files *files, sqlite3_stmt *statement);

/* Under change_mutex: bytes that the index counts for @name. */
int files_get_indexed_size(struct files *files, const char *name, uint64_t *ret);

void files_set_unhashed(struct files *files, bool has_unhashed);

/* Under change_mutex: enters a file, which does not count yet: promise_enter(). */
int files_enter(struct files *files, const struct files_info *info, uint64_t inode);

/* Under change_mutex: takes out the file of that inode, or all of that name but one inode. */
int files_expel(struct files *files, const char *name, uint64_t inode);
int files_expel_others(struct files *files, const char *name, uint64_t inode);
