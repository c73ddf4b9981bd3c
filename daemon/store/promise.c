/* SPDX-License-Identifier: MIT */
#include "store/promise.h"

#include <sys/statvfs.h>
#include "base/disk.h"
#include "base/usec.h"
#include "store/parts.h"

uint64_t files_get_disk_free(const struct files *files)
{
    struct statvfs status;

    if (fstatvfs(files->directory_fd, &status) < 0)
        return UINT64_MAX;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

bool files_has_no_inodes(const struct files *files)
{
    return disk_has_no_inodes(files->directory_fd);
}

static int refuse(struct promise *promise, int error, uint64_t size, uint64_t limit,
                  uint64_t available)
{
    promise->refusal =
        (struct upload_refusal){.size = size, .limit = limit, .available = available};
    return error;
}

void promise_note_full(struct promise *promise, uint64_t size, uint64_t written)
{
    const struct files *files = promise->files;
    uint64_t room = written + usec_sub(files_get_disk_free(files), files->limits.reserve);

    /* What was freed since then did not help. */
    (void)refuse(promise, -ENOSPC, size, files->limits.reserve, MIN(room, usec_sub(size, 1)));
    promise->refusal.has_no_inodes = files_has_no_inodes(files);
}

int promise_note_error(struct promise *promise, int r)
{
    if (r == -ENOSPC)
        return r;
    promise->refusal = (struct upload_refusal){.directory = promise->files->directory, .error = -r};
    return -EIO;
}

/* Under files->mutex, after each change: who replaces more than it brings gives others nothing
 * before it is there. */
static void note_growth(struct promise *promise)
{
    int64_t entered = (int64_t)promise->entered, all = (int64_t)promise->size + entered;
    int64_t growth = MAX(all - (int64_t)promise->replaced, 0) - entered;

    promise->files->growth += growth - promise->growth;
    promise->growth = growth;
}

/* Under files->mutex: what is used when all is stored that is under way, without what @promise
 * brings and replaces. At least that is there, also where what it replaces has been removed. */
static uint64_t used_then(const struct files *files, const struct promise *promise)
{
    int64_t used = (int64_t)files->used + files->growth - promise->growth;
    uint64_t least = files->promised - promise->size;

    return (uint64_t)MAX(used - (int64_t)promise->replaced, (int64_t)least);
}

/* Under files->mutex: whether @more bytes may be promised beyond what this one has. */
static int check(struct promise *promise, uint64_t more, uint64_t disk)
{
    const struct files *files = promise->files;
    const struct files_limits *limits = &files->limits;
    uint64_t size = promise->size - promise->before + more;
    uint64_t others = used_then(files, promise) + promise->before;
    uint64_t coming = files->promised - files->arrived; /* still to be written by all */

    if (size > limits->file_max)
        return refuse(promise, -EFBIG, size, limits->file_max, limits->file_max);
    if (size > usec_sub(limits->quota, others))
        return refuse(promise, -EDQUOT, size, limits->quota, usec_sub(limits->quota, others));
    uint64_t room = usec_sub(usec_sub(disk, limits->reserve), coming);
    return more > room ? refuse(promise, -ENOSPC, size, limits->reserve, size - more + room) : 0;
}

/* Under files->mutex: whether what waits to be resumed takes more than the quota leaves. */
static bool is_crowded(const struct files *files)
{
    const struct promise none = {.size = 0};

    return files->kept > 0 && files->kept > usec_sub(files->limits.quota, used_then(files, &none));
}

int promise_extend(struct promise *promise, uint64_t more)
{
    struct files *files = promise->files;
    bool is_crowd;
    int r;

    do {
        uint64_t disk = files_get_disk_free(files);
        pthread_mutex_lock(&files->mutex);
        r = check(promise, more, disk);
        if (r == 0) {
            files->promised += more;
            promise->size += more;
            note_growth(promise);
        }
        is_crowd = is_crowded(files);
        pthread_mutex_unlock(&files->mutex);
    } while (r == -ENOSPC && parts_evict(files));
    while (is_crowd && parts_evict(files)) {
        pthread_mutex_lock(&files->mutex);
        is_crowd = is_crowded(files);
        pthread_mutex_unlock(&files->mutex);
    }
    return r;
}

void promise_arrive(struct promise *promise, uint64_t size)
{
    promise->arrived += size;
    pthread_mutex_lock(&promise->files->mutex);
    promise->files->arrived += size;
    pthread_mutex_unlock(&promise->files->mutex);
}

void promise_restart(struct promise *promise)
{
    pthread_mutex_lock(&promise->files->mutex);
    promise->files->arrived -= promise->arrived;
    pthread_mutex_unlock(&promise->files->mutex);
    promise->arrived = 0;
}

void promise_set_replaced(struct promise *promise, uint64_t replaced)
{
    if (replaced == promise->replaced)
        return;
    pthread_mutex_lock(&promise->files->mutex);
    promise->replaced = replaced;
    note_growth(promise);
    pthread_mutex_unlock(&promise->files->mutex);
}

void promise_enter(struct promise *promise, uint64_t size)
{
    struct files *files = promise->files;

    pthread_mutex_lock(&files->mutex);
    files->count++;
    files->used += size;
    files->promised -= size;
    files->arrived -= size;
    promise->size -= size;
    promise->entered += size;
    note_growth(promise);
    pthread_mutex_unlock(&files->mutex);
    promise->arrived -= size;
}

void promise_settle(struct promise *promise)
{
    pthread_mutex_lock(&promise->files->mutex);
    promise->files->promised -= promise->size;
    promise->files->arrived -= promise->arrived;
    promise->size = promise->before = promise->arrived = 0;
    promise->replaced = promise->entered = 0;
    note_growth(promise);
    pthread_mutex_unlock(&promise->files->mutex);
}

int promise_check_name(struct files *files, const char *name, uint64_t modified_wall_usec,
                       uint64_t inode, enum upload_overwrite overwrite, uint64_t *ret_replaced)
{
    struct files_info stored = {0};
    struct stat status;
    int r = files_look_stored(files, name, inode, &status);
    bool is_taken = r == -ESTALE; /* by something that is no file */

    *ret_replaced = 0;
    if (r == -ENOENT)
        return 0;
    if (is_taken)
        r = S_ISDIR(status.st_mode) ? -ELOOP : 0;
    if (r == 0 && overwrite == UPLOAD_NEVER)
        return -EEXIST;
    if (r == 0 && overwrite == UPLOAD_NEWER && !is_taken)
        r = files_load_info(files, name, &status, &stored);
    if (r < 0)
        return r;
    if (overwrite == UPLOAD_NEWER && !is_taken && !stored.is_changed &&
        stored.modified_wall_usec >= modified_wall_usec)
        return UPLOAD_KEPT;
    return files_get_indexed_size(files, name, ret_replaced);
}

int promise_look_name(struct files *files, const char *name, uint64_t modified_wall_usec,
                      enum upload_overwrite overwrite, uint64_t *ret_replaced)
{
    struct stat status;

    if (files_look(files, name, &status) == -ENOENT) {
        *ret_replaced = 0;
        return 0;
    }
    pthread_mutex_lock(&files->change_mutex);
    int r = promise_check_name(files, name, modified_wall_usec, 0, overwrite, ret_replaced);
    pthread_mutex_unlock(&files->change_mutex);
    return r;
}

int promise_check_quota(struct files *files, uint64_t size, uint64_t replaced,
                        struct upload_refusal *refusal)
{
    pthread_mutex_lock(&files->mutex);
    uint64_t quota = files->limits.quota, left = usec_sub(quota, usec_sub(files->used, replaced));
    pthread_mutex_unlock(&files->mutex);
    if (size <= left)
        return 0;
    *refusal = (struct upload_refusal){.size = size, .limit = quota, .available = left};
    return -EDQUOT;
}
