/* SPDX-License-Identifier: MIT */
#include "data/part.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/macro.h"
#include "console/failure.h"

#define RESUMED_MIN ((off_t)1024 * 1024) /* what is shorter is not worth a file that stays */

void part_done(struct part *part)
{
    struct stat status;

    if (part->path &&
        !(part->is_resumable && fstat(part->fd, &status) == 0 && status.st_size >= RESUMED_MIN))
        unlink(part->path);
    free(part->path);
    close_fd(part->fd);
    *part = PART_NONE;
}

mode_t part_get_umask(void)
{
    static mode_t mask;
    static bool is_known;

    if (!is_known) {
        mask = umask(0);
        umask(mask);
        is_known = true;
    }
    return mask;
}

int part_open(const char *target, mode_t mode, struct part *part)
{
    const char *slash = strrchr(target, '/');
    char *path = NULL;

    if (asprintf(&path, "%.*s.p2pctl.XXXXXX", slash ? (int)(slash - target) + 1 : 0, target) < 0)
        return fail_memory();
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        int r = fail_to_write(target, errno);
        free(path);
        return r;
    }
    part->path = path;
    part->fd = fd;
    mode &= ~part_get_umask();
    if (mode != PART_MODE)
        (void)fchmod(fd, mode);
    return 0;
}

/* FNV-1a: a name for the part that fits, however long the target's is. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash;
}

/* Ours alone, and nobody else's trap in a directory that others can write. */
static bool is_ours(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
           status.st_nlink == 1 && !(status.st_mode & 022) && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

int part_open_again(const char *target, struct part *part)
{
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    _cleanup_free_ char *path = NULL;

    if (asprintf(&path, "%.*s.p2pctl-%016" PRIx64, (int)(name - target), target, hash_name(name)) <
        0)
        return fail_memory();
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, PART_MODE);
    if (fd < 0 || !is_ours(fd)) {
        close_fd(fd);
        return part_open(target, PART_MODE, part);
    }
    *part = (struct part){TAKE_PTR(path), fd, true};
    return 0;
}

int part_fail_exists(const char *target, const char *hint)
{
    return fail(ERROR_CONFLICT, NULL, hint, "%s exists already", target);
}

/* Where the file system cannot tell by itself, a second name can, if it knows that. Return: 0, -1
 * with errno. */
static int rename_new(const char *path, const char *target)
{
    if (renameat2(AT_FDCWD, path, AT_FDCWD, target, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL)
        return -1;
    if (link(path, target) == 0)
        return unlink(path);
    return errno == EEXIST ? -1 : rename(path, target);
}

int part_rename(struct part *part, const char *target, const char *hint)
{
    int r = hint ? rename_new(part->path, target) : rename(part->path, target);

    if (r < 0)
        return hint && errno == EEXIST ? part_fail_exists(target, hint)
                                       : fail_to_write(target, errno);
    free(part->path);
    part->path = NULL;
    return 0;
}

int part_keep(struct part *part, const char *target, const char *hint)
{
    return fsync(part->fd) < 0 ? fail_to_write(target, errno) : part_rename(part, target, hint);
}
