/* SPDX-License-Identifier: MIT */
#include "store/upload.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include "base/text.h"
#include "base/usec.h"
#include "store/files_core.h"

#define STREAM_STEP (1024 * 1024) /* a stream's promise grows by so much */
#define PART_SIZE   32

struct upload {
    struct files *files; /* borrowed */
    struct files_info info;
    enum upload_overwrite overwrite;
    EVP_MD_CTX *hash; /* owned */
    int fd;           /* owned */
    char part[PART_SIZE];
    uint64_t size; /* offered; FILES_SIZE_UNKNOWN for a stream */
    uint64_t arrived;
    uint64_t promised;
    uint64_t replaced; /* bytes that the store gets back when this commits */
    struct upload_refusal refusal;
};

static int refuse(struct upload *upload, int error, uint64_t size, uint64_t limit,
                  uint64_t available)
{
    upload->refusal = (struct upload_refusal){.size = size, .limit = limit, .available = available};
    return error;
}

/* Bytes that a user may still put on the disk; UINT64_MAX where it does not tell. */
static uint64_t disk_free(const struct files *files)
{
    struct statvfs status;

    if (fstatvfs(files->directory_fd, &status) < 0)
        return UINT64_MAX;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

bool files_is_disk_full(const struct files *files)
{
    return disk_free(files) <= files->limits.reserve;
}

/* Under files->mutex: whether @more bytes may be promised beyond what this upload has. */
static int check_promise(struct upload *upload, uint64_t more, uint64_t disk)
{
    const struct files *files = upload->files;
    const struct files_limits *limits = &files->limits;
    uint64_t size = upload->promised + more;
    uint64_t others =
        usec_sub(files->used, upload->replaced) + (files->promised - upload->promised);
    uint64_t coming = files->promised - files->arrived; /* still to be written by all */

    if (size > limits->file_max)
        return refuse(upload, -EFBIG, size, limits->file_max, limits->file_max);
    if (size > usec_sub(limits->quota, others))
        return refuse(upload, -EDQUOT, size, limits->quota, usec_sub(limits->quota, others));
    uint64_t room = usec_sub(usec_sub(disk, limits->reserve), coming);
    return more > room ? refuse(upload, -ENOSPC, size, limits->reserve, upload->promised + room)
                       : 0;
}

static int promise(struct upload *upload, uint64_t more)
{
    struct files *files = upload->files;
    uint64_t disk = disk_free(files);

    pthread_mutex_lock(&files->mutex);
    int r = check_promise(upload, more, disk);
    if (r == 0) {
        files->promised += more;
        upload->promised += more;
    }
    pthread_mutex_unlock(&files->mutex);
    return r;
}

/* Under change_mutex: whether the name may be taken, and what that gives back. */
static int check_target(struct upload *upload)
{
    struct files *files = upload->files;
    struct files_info stored = {0};
    struct stat status;
    int r = files_look(files, upload->info.name, &status);

    upload->replaced = 0;
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = files_load_info(files, upload->info.name, &status, &stored);
    if (r < 0)
        return r;
    if (upload->overwrite == UPLOAD_NEVER)
        return -EEXIST;
    if (upload->overwrite == UPLOAD_NEWER &&
        stored.modified_wall_usec >= upload->info.modified_wall_usec)
        return UPLOAD_KEPT;
    return files_get_indexed_size(files, upload->info.name, &upload->replaced);
}

static uint64_t wall_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static int begin_part(struct upload *upload)
{
    struct files *files = upload->files;

    upload->hash = EVP_MD_CTX_new();
    if (!upload->hash || EVP_DigestInit_ex(upload->hash, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    pthread_mutex_lock(&files->mutex);
    uint64_t number = files->parts++;
    pthread_mutex_unlock(&files->mutex);
    snprintf(upload->part, sizeof(upload->part), "%" PRIu64 ".part", number);
    upload->fd = openat(files->parts_fd, upload->part,
                        O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (upload->fd >= 0)
        return 0;
    return errno == EDQUOT ? -ENOSPC : -errno;
}

int upload_new(struct files *files, const struct upload_offer *offer,
               struct upload_refusal *refusal, struct upload **ret)
{
    const char *owner = offer->owner ? offer->owner : "";

    if (!text_is_file_name(offer->name) || strlen(owner) > FILES_OWNER_MAX ||
        !text_is_printable(owner))
        return -EINVAL;
    _cleanup_(upload_freep) struct upload *upload = calloc(1, sizeof(*upload));
    if (!upload)
        return -ENOMEM;
    *upload = (struct upload){
        .files = files, .overwrite = offer->overwrite, .fd = -EBADF, .size = offer->size};
    snprintf(upload->info.name, sizeof(upload->info.name), "%s", offer->name);
    snprintf(upload->info.owner, sizeof(upload->info.owner), "%s", owner);
    upload->info.modified_wall_usec =
        offer->modified_wall_usec ? offer->modified_wall_usec : wall_now();
    upload->info.is_executable = offer->is_executable;
    pthread_mutex_lock(&files->change_mutex);
    int r = check_target(upload);
    pthread_mutex_unlock(&files->change_mutex);
    if (r == 0)
        r = promise(upload, offer->size == FILES_SIZE_UNKNOWN ? 0 : offer->size);
    if (r == 0)
        r = begin_part(upload);
    if (r < 0 && refusal)
        *refusal = upload->refusal;
    if (r != 0)
        return r;
    *ret = TAKE_PTR(upload);
    return 0;
}

/* What was promised is stored now, or given up: it counts no more. */
static void settle(struct upload *upload)
{
    struct files *files = upload->files;

    pthread_mutex_lock(&files->mutex);
    files->promised -= upload->promised;
    files->arrived -= upload->arrived;
    pthread_mutex_unlock(&files->mutex);
    upload->promised = upload->arrived = 0;
}

struct upload *upload_free(struct upload *upload)
{
    if (!upload)
        return NULL;
    if (upload->fd >= 0) {
        (void)unlinkat(upload->files->parts_fd, upload->part, 0);
        close_fd(upload->fd);
    }
    settle(upload);
    EVP_MD_CTX_free(upload->hash);
    free(upload);
    return NULL;
}

void upload_get_refusal(const struct upload *upload, struct upload_refusal *ret)
{
    *ret = upload->refusal;
}

/* Makes room for @size bytes more: in steps, and exactly where a whole step is too much. */
static int extend(struct upload *upload, uint64_t size)
{
    if (upload->arrived + size <= upload->promised)
        return 0;
    if (upload->size != FILES_SIZE_UNKNOWN)
        return -EMSGSIZE;
    uint64_t missing = upload->arrived + size - upload->promised;
    if (missing < STREAM_STEP && promise(upload, STREAM_STEP) == 0)
        return 0;
    return promise(upload, missing);
}

static int write_all(struct upload *upload, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(upload->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
            return refuse(upload, -ENOSPC, upload->arrived + size, 0, upload->arrived);
        if (n < 0)
            return errno == EFBIG ? -EFBIG : -EIO;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int upload_write(struct upload *upload, const void *data, size_t size)
{
    int r = extend(upload, size);

    if (r == 0)
        r = write_all(upload, data, size);
    if (r == 0 && EVP_DigestUpdate(upload->hash, data, size) != 1)
        r = -ENOMEM;
    if (r < 0)
        return r;
    upload->arrived += size;
    pthread_mutex_lock(&upload->files->mutex);
    upload->files->arrived += size;
    pthread_mutex_unlock(&upload->files->mutex);
    return 0;
}

/* The part as it will be stored: complete, checked, with its time and mode, on the disk. */
static int seal_part(struct upload *upload, const uint8_t *sha256, uint64_t *ret_inode)
{
    uint64_t modified = upload->info.modified_wall_usec;
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(modified / USEC_PER_SEC),
         .tv_nsec = (long)(modified % USEC_PER_SEC) * 1000},
    };
    struct stat status;

    if (upload->size != FILES_SIZE_UNKNOWN && upload->arrived != upload->size)
        return -EMSGSIZE;
    if (EVP_DigestFinal_ex(upload->hash, upload->info.sha256, NULL) != 1)
        return -ENOMEM;
    if (sha256 && memcmp(sha256, upload->info.sha256, FILES_HASH_SIZE) != 0)
        return -EBADMSG;
    if (futimens(upload->fd, times) < 0 ||
        fchmod(upload->fd, upload->info.is_executable ? 0700 : 0600) < 0 || fsync(upload->fd) < 0 ||
        fstat(upload->fd, &status) < 0)
        return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
    upload->info.has_sha256 = true;
    upload->info.size = upload->arrived;
    /* A file system may keep less of a time than it was given. */
    upload->info.modified_wall_usec = files_modified_of(&status);
    *ret_inode = status.st_ino;
    return 0;
}

static int check_quota(struct upload *upload)
{
    struct files *files = upload->files;

    pthread_mutex_lock(&files->mutex);
    uint64_t quota = files->limits.quota, others = usec_sub(files->used, upload->replaced);
    pthread_mutex_unlock(&files->mutex);
    if (upload->info.size <= usec_sub(quota, others))
        return 0;
    return refuse(upload, -EDQUOT, upload->info.size, quota, usec_sub(quota, others));
}

/* Under change_mutex: index first, then the name; a start in between finds the name and corrects
 * the index. */
static int publish(struct upload *upload, uint64_t inode)
{
    struct files *files = upload->files;
    const char *name = upload->info.name;
    int r = check_target(upload);

    if (r == 0)
        r = check_quota(upload);
    if (r == 0)
        r = files_enter(files, &upload->info, inode);
    if (r != 0)
        return r;
    if (renameat2(files->parts_fd, upload->part, files->directory_fd, name, 0) < 0) {
        r = errno == ENOSPC || errno == EDQUOT ? -ENOSPC : errno == EISDIR ? -ELOOP : -EIO;
        (void)files_expel(files, name, inode);
        return r;
    }
    upload->fd = close_fd(upload->fd);
    /* From here on the new file is there; what fails now costs no more than its certainty. */
    r = files_expel_others(files, name, inode);
    return fsync(files->directory_fd) < 0 || r < 0 ? -EIO : 0;
}

int upload_commit(struct upload *upload, const uint8_t *sha256, struct files_info *ret)
{
    uint64_t inode = 0;
    int r = seal_part(upload, sha256, &inode);

    if (r < 0)
        return r;
    pthread_mutex_lock(&upload->files->change_mutex);
    r = publish(upload, inode);
    pthread_mutex_unlock(&upload->files->change_mutex);
    if (r != 0)
        return r;
    settle(upload);
    if (ret)
        *ret = upload->info;
    return 0;
}
