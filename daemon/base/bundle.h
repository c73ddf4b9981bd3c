/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A bundle: the files that go with a task, or come from it, one after the other in one file, so
 * that they are kept, sent and counted as one thing. After a mark each file has a head (below, all
 * numbers big-endian) and its bytes; the end of the bundle is the end of the file.
 *
 *   u32 mark of a head  u16 mode  u16 tag  u64 size  u16 length of the name  name  bytes
 *
 * Only regular files are in it. Names are paths below a directory: the same rules hold where they
 * are written and where they are read, so that none ever leads out of it. Everything here works on
 * descriptors of regular files with absolute offsets, and blocks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUNDLE_NAME_MAX  1023 /* bytes of a path */
#define BUNDLE_PARTS_MAX 32   /* names in a path */
#define BUNDLE_FILES_MAX 4096 /* of one bundle */
#define BUNDLE_MARK_SIZE ((uint64_t)8)
#define BUNDLE_HEAD_MAX  (18 + BUNDLE_NAME_MAX)

struct bundle_entry {
    char name[BUNDLE_NAME_MAX + 1]; /* "" = what a task gets as standard input */
    uint16_t mode;                  /* permissions, at most 0777 */
    uint16_t tag;                   /* of results: which pattern asked for it */
    uint64_t offset;                /* of its first byte in the bundle */
    uint64_t size;
};

/*
 * Whether @name is a path that may be in a bundle: relative, at most BUNDLE_PARTS_MAX names, each
 * one as text_is_file_name() has it; hence no "..", no "//", nothing that is not printable UTF-8.
 */
bool bundle_is_name(const char *name);

/* Whether files of these names want the same place: one name, or one below the other. */
bool bundle_is_clash(const char *a, const char *b);

/* Writes the mark of an empty bundle. Return: its size so far, or a negative errno. */
int64_t bundle_begin(int fd);

/**
 * bundle_add_head() - the head of the next file, whose bytes the caller copies behind it
 * @at: where the bundle ends so far
 *
 * Return: the offset for the bytes; -EINVAL for a name that is none; what writing said.
 */
int64_t bundle_add_head(int fd, uint64_t at, const struct bundle_entry *entry);

/**
 * bundle_next() - the file whose head is at @at
 * @at: 0 = the first one; afterwards offset + size of the one before
 *
 * Return: 1 with *@ret; 0 at the end; -EBADMSG for what is no whole bundle; -EIO and the like.
 */
int bundle_next(int fd, uint64_t at, struct bundle_entry *ret);

/* What is in a bundle. */
struct bundle_content {
    uint32_t count; /* of files, standard input not counted */
    uint64_t size;  /* of their bytes */
    bool has_stdin;
};

/*
 * Walks a whole bundle. Return: 0; -EBADMSG where it is none, also for more than BUNDLE_FILES_MAX
 * files, or two standard inputs; -EIO and the like.
 */
int bundle_check(int fd, struct bundle_content *ret);

/* The file called @name. Return: 1, 0 where there is none, or as bundle_next(). */
int bundle_find(int fd, const char *name, struct bundle_entry *ret);

/*
 * Copies @size bytes between two files. Return: 0; -ENODATA where @from ends before; what reading
 * or writing said.
 */
int bundle_copy(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t size);
