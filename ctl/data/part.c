/* SPDX-License-Identifier: MIT */
#include "data/part.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/macro.h"
#include "console/failure.h"

#define RESUMED_MIN ((off_t)1024 * 1024) /* what is shorter is not worth a file that stays */
/* For so long the daemon may still have what its client left. */
#define ORPHAN_MSEC      1000
#define ORPHAN_STEP_MSEC 10

void part_done(struct part *part)
{
    struct stat status;

    if (part->path &&
        !(part->is_resumable && fstat(part->fd, &status) == 0 && status.st_size >= RESUMED_MIN))
        unlink(part->path);
    free(part->path);
    free(part->other);
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

/* Whether who locked it is gone: then only the daemon has it still, until it notices; or nobody any
 * more, since a moment ago. */
static bool is_orphan(int fd)
{
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    struct stat status;
    bool is_alive = false;
    FILE *locks = fstat(fd, &status) == 0 ? fopen("/proc/locks", "re") : NULL;

    if (!locks)
        return false;
    while (getline(&line, &size, locks) > 0) {
        uint64_t inode;
        int pid;
        /* The device may be another than that of stat(). */
        if (sscanf(line, "%*s FLOCK %*s %*s %d %*x:%*x:%" SCNu64, &pid, &inode) == 2 &&
            inode == status.st_ino)
            is_alive = is_alive || pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH;
    }
    (void)fclose(locks);
    return !is_alive;
}

/* Ours alone, and nobody else's trap in a directory that others can write. Return: 0, -EAGAIN where
 * it will be in a moment, -EBUSY. */
static int make_ours(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        status.st_nlink != 1 || status.st_mode & 022)
        return -EBUSY;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK && is_orphan(fd) ? -EAGAIN : -EBUSY;
}

/* @flags: O_CREAT, or 0. Return: a descriptor with the lock, or -EBUSY. It is opened anew each
 * time: what was found may have become the target meanwhile. */
static int open_ours(const char *path, int flags)
{
    for (int left = ORPHAN_MSEC / ORPHAN_STEP_MSEC; left >= 0; left--) {
        _cleanup_close_ int fd =
            open(path, O_RDWR | flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, PART_MODE);
        int r = fd < 0 ? -EBUSY : make_ours(fd);
        if (r == 0)
            return TAKE_FD(fd);
        if (r != -EAGAIN)
            break;
        (void)poll(NULL, 0, ORPHAN_STEP_MSEC);
    }
    return -EBUSY;
}

int part_open_again(const char *target, struct part *part)
{
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    _cleanup_free_ char *path = NULL;

    if (asprintf(&path, "%.*s.p2pctl-%016" PRIx64, (int)(name - target), target, hash_name(name)) <
        0)
        return fail_memory();
    int fd = open_ours(path, O_CREAT);
    if (fd < 0) {
        int r = part_open(target, PART_MODE, part);
        part->other = r == 0 ? TAKE_PTR(path) : NULL;
        return r;
    }
    *part = (struct part){TAKE_PTR(path), fd, true, NULL};
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

/* The target is there: what an earlier get left of it is of no use, unless somebody has it still.
 */
static void drop_other(const struct part *part)
{
    _cleanup_close_ int fd = part->other ? open_ours(part->other, 0) : -EBADF;

    if (fd >= 0)
        (void)unlink(part->other);
}

int part_rename(struct part *part, const char *target, const char *hint)
{
    int r = hint ? rename_new(part->path, target) : rename(part->path, target);

    if (r < 0)
        return hint && errno == EEXIST ? part_fail_exists(target, hint)
                                       : fail_to_write(target, errno);
    free(part->path);
    part->path = NULL;
    drop_other(part);
    return 0;
}

int part_keep(struct part *part, const char *target, const char *hint)
{
    return fsync(part->fd) < 0 ? fail_to_write(target, errno) : part_rename(part, target, hint);
}
