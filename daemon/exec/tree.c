/* SPDX-License-Identifier: MIT */
#include "exec/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "base/macro.h"

static void closedirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* Return: a stream with an offset of its own, or NULL. */
static DIR *open_directory(int fd, const char *name)
{
    int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (child < 0)
        return NULL;
    DIR *dir = fdopendir(child);
    if (!dir)
        close_fd(child);
    return dir;
}

/* A directory can be emptied or moved only by who may write to it; where that fails, so does what
 * follows. */
static void open_up(int fd, const char *name)
{
    if (fchmodat(fd, name, 0700, 0) < 0)
        log_debug_errno(-errno, "Cannot open up a directory that a task left: %m");
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * Empties the directory @name of @fd by unlinking its files and moving its directories up to @fd,
 * where their turn comes: so depth costs nothing. Return: whether anything went.
 */
static bool flatten(int fd, const char *name, uint64_t *serial)
{
    _cleanup_(closedirp) DIR *dir = open_directory(fd, name);
    struct dirent *entry;
    bool progress = false;
    char up[32];

    while (dir && (entry = readdir(dir))) {
        if (is_dots(entry->d_name))
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0) {
            progress = true;
        } else if (errno == EISDIR) {
            open_up(dirfd(dir), entry->d_name);
            snprintf(up, sizeof(up), "~%" PRIu64, (*serial)++);
            if (renameat2(dirfd(dir), entry->d_name, fd, up, RENAME_NOREPLACE) == 0 ||
                errno == EEXIST)
                progress = true; /* the next round tries another name */
        }
    }
    return progress;
}

/* Return: whether anything went; *@error is that of the last entry that would not. */
static bool sweep(DIR *dir, uint64_t *serial, int *error)
{
    struct dirent *entry;
    bool progress = false;

    *error = 0;
    rewinddir(dir);
    while ((entry = readdir(dir))) {
        if (is_dots(entry->d_name))
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0) {
            progress = true;
            continue;
        }
        if (errno == EISDIR) {
            open_up(dirfd(dir), entry->d_name);
            progress |= flatten(dirfd(dir), entry->d_name, serial);
            if (unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) == 0) {
                progress = true;
                continue;
            }
        }
        *error = -errno;
    }
    return progress;
}

int tree_empty(int fd)
{
    uint64_t serial = 0;
    int error = 0;

    (void)fchmod(fd, 0700);
    _cleanup_(closedirp) DIR *dir = open_directory(fd, ".");
    if (!dir)
        return -errno;
    /* Entries come and go while we read, so rounds are made until one finds nothing to do. */
    while (sweep(dir, &serial, &error))
        ;
    return error;
}

int tree_remove(int parent_fd, const char *name)
{
    _cleanup_close_ int fd =
        openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r;

    if (fd < 0)
        return -errno;
    r = tree_empty(fd);
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0)
        return r < 0 ? r : -errno;
    return 0;
}
