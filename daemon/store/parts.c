/* SPDX-License-Identifier: MIT */
#include "store/parts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include "base/unnamed.h"
#include "base/usec.h"

#define KEPT_SUFFIX ".kept"
#define UNNAMED_MAX 4096 /* of all uploads together */
#define TRIES_MAX   100  /* of a part that others drop again and again */

static bool is_kept_name(const char *name)
{
    size_t size = strlen(name);

    return size > strlen(KEPT_SUFFIX) && size < PARTS_NAME_MAX &&
           strcmp(name + size - strlen(KEPT_SUFFIX), KEPT_SUFFIX) == 0;
}

static void count_kept(struct files *files, uint64_t more, uint64_t less)
{
    pthread_mutex_lock(&files->mutex);
    files->kept += more - MIN(less, files->kept + more);
    pthread_mutex_unlock(&files->mutex);
}

/* The part, if it is there and nobody works on it: locked. Return: a descriptor; -EWOULDBLOCK where
 * somebody does; -ESTALE where it was dropped meanwhile; -ENOENT. */
static int open_locked(struct files *files, const char *name, int flags, struct stat *ret)
{
    _cleanup_close_ int fd =
        openat(files->parts_fd, name, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, ret) < 0)
        return -errno;
    if (!S_ISREG(ret->st_mode))
        return -ELOOP;
    return ret->st_nlink == 0 ? -ESTALE : TAKE_FD(fd);
}

int files_check_directory(const struct files *files)
{
    struct stat status;

    if (fstat(files->parts_fd, &status) < 0 ||
        faccessat(files->parts_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return -errno;
    return status.st_nlink == 0 ? -ENOENT : 0;
}

const char *files_get_directory(const struct files *files)
{
    return files->directory;
}

static void name_new(struct files *files, char name[static PARTS_NAME_MAX])
{
    pthread_mutex_lock(&files->mutex);
    uint64_t number = files->parts++;
    pthread_mutex_unlock(&files->mutex);
    snprintf(name, PARTS_NAME_MAX, "%" PRIu64 ".part", number);
}

static int begin_new(struct files *files, char name[static PARTS_NAME_MAX], int *ret_fd)
{
    name_new(files, name);
    int fd =
        openat(files->parts_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno == EDQUOT ? -ENOSPC : -errno;
    *ret_fd = fd;
    return 0;
}

int parts_begin(struct files *files, const char *key, char name[static PARTS_NAME_MAX], int *ret_fd,
                uint64_t *ret_size, bool *ret_is_kept)
{
    struct stat status = {0};
    int fd = -EWOULDBLOCK;

    *ret_size = 0;
    *ret_is_kept = false;
    if (key) {
        snprintf(name, PARTS_NAME_MAX, "%.32s" KEPT_SUFFIX, key);
        for (int i = 0; i < TRIES_MAX && (i == 0 || fd == -ESTALE); i++)
            fd = open_locked(files, name, O_CREAT, &status);
    }
    if (fd < 0)
        return begin_new(files, name, ret_fd);
    count_kept(files, 0, (uint64_t)status.st_size);
    *ret_size = (uint64_t)status.st_size;
    *ret_is_kept = true;
    *ret_fd = fd;
    return 0;
}

void parts_keep(struct files *files, uint64_t size)
{
    count_kept(files, size, 0);
}

/* --- Without a name --- */

int parts_name(struct files *files, int fd, char name[static PARTS_NAME_MAX])
{
    name_new(files, name);
    return unnamed_link(fd, files->parts_fd, name);
}

/* How many there may be. */
static size_t count_unnamed(struct files *files)
{
    char name[PARTS_NAME_MAX];

    name_new(files, name);
    size_t max = unnamed_count_max(files->parts_fd, name, UNNAMED_MAX);
    /* The table of descriptors grows once, not in steps, each of which would stop all threads for
     * some ms. */
    if (max > 0)
        (void)close_fd(fcntl(files->parts_fd, F_DUPFD_CLOEXEC, UNNAMED_MAX / 2));
    return max;
}

int parts_begin_unnamed(struct files *files, int *ret_fd)
{
    pthread_mutex_lock(&files->mutex);
    bool is_known = files->is_unnamed_known;
    pthread_mutex_unlock(&files->mutex);
    size_t max = is_known ? 0 : count_unnamed(files);

    pthread_mutex_lock(&files->mutex);
    if (!files->is_unnamed_known)
        files->unnamed_left = max;
    files->is_unnamed_known = true;
    bool has_room = files->unnamed_left > 0;
    files->unnamed_left -= has_room;
    pthread_mutex_unlock(&files->mutex);
    if (!has_room)
        return -EMFILE;
    int fd = unnamed_open(files->parts_fd, O_WRONLY, 0600);
    if (fd < 0) {
        parts_end_unnamed(files, fd);
        return fd;
    }
    *ret_fd = fd;
    return 0;
}

void parts_end_unnamed(struct files *files, int fd)
{
    close_fd(fd);
    pthread_mutex_lock(&files->mutex);
    files->unnamed_left++;
    pthread_mutex_unlock(&files->mutex);
}

/* --- What waits to be resumed --- */

static bool is_older(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

bool parts_evict(struct files *files)
{
    _cleanup_(files_close_streamp) DIR *stream = files_open_stream(files->parts_fd);
    _cleanup_close_ int oldest_fd = -EBADF;
    char oldest_name[PARTS_NAME_MAX] = "";
    struct stat oldest = {0};
    const char *name = "";

    while (stream && files_next_entry(stream, &name) > 0) {
        struct stat status = {0};
        _cleanup_close_ int fd =
            is_kept_name(name) ? open_locked(files, name, 0, &status) : -ENOENT;
        if (fd < 0 || (oldest_fd >= 0 && !is_older(&status, &oldest)))
            continue;
        close_fd(oldest_fd);
        oldest_fd = TAKE_FD(fd);
        oldest = status;
        strcpy(oldest_name, name);
    }
    if (oldest_fd < 0 || unlinkat(files->parts_fd, oldest_name, 0) < 0)
        return false;
    count_kept(files, 0, (uint64_t)oldest.st_size);
    return true;
}

/* Whether a part may stay; then it counts. */
static bool is_worth_keeping(struct files *files, const char *name, uint64_t now)
{
    struct stat status = {0};
    _cleanup_close_ int fd = is_kept_name(name) ? open_locked(files, name, 0, &status) : -ENOENT;

    if (fd < 0 || usec_sub(now, files_modified_of(&status)) > files->limits.part_keep_usec)
        return false;
    count_kept(files, (uint64_t)status.st_size, 0);
    return true;
}

int parts_recover(struct files *files)
{
    _cleanup_(files_close_streamp) DIR *stream = files_open_stream(files->parts_fd);
    const char *name = "";
    struct timespec now;
    int r;

    if (!stream)
        return -errno;
    clock_gettime(CLOCK_REALTIME, &now);
    while ((r = files_next_entry(stream, &name)) > 0)
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            !is_worth_keeping(files, name, (uint64_t)now.tv_sec * USEC_PER_SEC) &&
            unlinkat(files->parts_fd, name, 0) < 0)
            return -errno;
    return r;
}

void files_expire_parts(struct files *files, uint64_t now_wall_usec)
{
    _cleanup_(files_close_streamp) DIR *stream = files_open_stream(files->parts_fd);
    const char *name = "";

    while (stream && files_next_entry(stream, &name) > 0) {
        struct stat status = {0};
        _cleanup_close_ int fd =
            is_kept_name(name) ? open_locked(files, name, 0, &status) : -ENOENT;
        pthread_mutex_lock(&files->mutex);
        uint64_t keep = files->limits.part_keep_usec;
        pthread_mutex_unlock(&files->mutex);
        if (fd >= 0 && usec_sub(now_wall_usec, files_modified_of(&status)) > keep &&
            unlinkat(files->parts_fd, name, 0) == 0)
            count_kept(files, 0, (uint64_t)status.st_size);
    }
}
