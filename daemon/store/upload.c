/* SPDX-License-Identifier: MIT */
#include "store/upload.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/text.h"
#include "base/usec.h"
#include "store/hasher.h"
#include "store/parts.h"
#include "store/promise.h"

#define STREAM_STEP   (1024 * 1024) /* a stream's promise grows by so much */
#define WRITEBACK_MIN ((uint64_t)8 * 1024 * 1024)

struct upload {
    struct files *files; /* borrowed */
    struct files_info info;
    enum upload_overwrite overwrite;
    const atomic_bool *is_over;
    struct hasher *hasher; /* owned */
    uint8_t *buffers;      /* owned: HASHER_BUFFERS of UPLOAD_BUFFER_SIZE; NULL until asked for */
    size_t buffer;         /* the one to be filled next */
    int fd;                /* owned */
    char part[PARTS_NAME_MAX];
    bool is_kept; /* the part stays where the upload does not end */
    bool is_lost; /* what arrived is of no use */
    bool is_hashed_later;
    bool is_taken; /* the name, by a file of @taken_size that may be the same */
    uint64_t taken_size;
    uint64_t size; /* offered; FILES_SIZE_UNKNOWN for a stream */
    uint64_t arrived;
    uint64_t resumed;    /* of those, what was here before */
    uint64_t written_up; /* of those, what the disk was told to write */
    struct promise promise;
};

/* Under change_mutex: whether the name may be taken, and what that gives back. */
static int check_target(struct upload *upload)
{
    uint64_t replaced;
    int r = promise_check_name(upload->files, upload->info.name, upload->info.modified_wall_usec, 0,
                               upload->overwrite, &replaced);

    promise_set_replaced(&upload->promise, replaced);
    return r;
}

static uint64_t wall_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* What makes two offers one upload. Return: 0, -ENOMEM, -EIO. */
static int make_key(const struct upload *upload, char target[static 33])
{
    char text[sizeof(upload->info.name) + sizeof(upload->info.owner) + 64];
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    uint8_t sum[HASHER_SIZE];
    int size = snprintf(text, sizeof(text), "%s/%s/%" PRIu64 "/%" PRIu64, upload->info.owner,
                        upload->info.name, upload->size, upload->info.modified_wall_usec);
    int r = hasher_new(&hasher);

    if (r == 0)
        r = hasher_once(hasher, text, (size_t)size, sum);
    if (r == 0)
        text_format_hex(sum, 16, target);
    return r;
}

/* Goes on from what an earlier upload left. Return: 0, -EIO, -ENOMEM, -ECANCELED. */
static int take_up(struct upload *upload, uint64_t size)
{
    int r = hasher_add_file(upload->hasher, upload->fd, size, upload->is_over);

    if (r == 0 && lseek(upload->fd, (off_t)size, SEEK_SET) < 0)
        r = -EIO;
    if (r < 0)
        return r;
    /* The other side compares with the hash of this; so that is known already. */
    upload->is_hashed_later = false;
    upload->arrived = upload->resumed = size;
    promise_arrive(&upload->promise, size);
    return 0;
}

static int begin_part(struct upload *upload, const struct upload_offer *offer)
{
    char key[33] = "";
    uint64_t size = 0;
    int r = hasher_new(&upload->hasher);

    bool is_resumable = offer->is_resumable && upload->size >= UPLOAD_RESUME_MIN &&
                        upload->size != FILES_SIZE_UNKNOWN &&
                        upload->files->limits.part_keep_usec > 0;
    if (r == 0)
        hasher_set_movers(upload->hasher, offer->has_sender_near ? 2 : 1);
    if (r == 0 && is_resumable)
        r = make_key(upload, key);
    if (r < 0)
        return r;
    r = parts_begin(upload->files, is_resumable ? key : NULL, upload->part, &upload->fd, &size,
                    &upload->is_kept);
    if (r < 0)
        return promise_note_error(&upload->promise, r);
    if (size == 0)
        return 0;
    r = size <= upload->size ? take_up(upload, size) : -EIO;
    return r == -EIO ? upload_restart(upload) : r;
}

static int begin(struct upload *upload, const struct upload_offer *offer)
{
    uint64_t size = upload->size == FILES_SIZE_UNKNOWN ? 0 : upload->size;
    int r = promise_extend(&upload->promise, size);

    if (r < 0)
        return r;
    r = begin_part(upload, offer);
    if (r == -ENOSPC)
        promise_note_full(&upload->promise, size, 0);
    return r;
}

/* A stream may be what is stored under its name already, which only its end tells. */
static bool may_be_same(struct upload *upload)
{
    struct files_info stored;

    if (upload->size != FILES_SIZE_UNKNOWN ||
        files_stat(upload->files, upload->info.name, &stored) < 0 || stored.is_changed ||
        !(stored.has_sha256 || stored.awaits_hash))
        return false;
    upload->is_taken = true;
    upload->taken_size = stored.size;
    return true;
}

int upload_new(struct files *files, const struct upload_offer *offer,
               struct upload_refusal *refusal, struct upload **ret)
{
    const char *owner = offer->owner ? offer->owner : "";

    if (!text_is_file_name(offer->name) || !text_is_visible(offer->name) ||
        strlen(owner) > FILES_OWNER_MAX || !text_is_printable(owner))
        return -EINVAL;
    _cleanup_(upload_freep) struct upload *upload = calloc(1, sizeof(*upload));
    if (!upload)
        return -ENOMEM;
    *upload = (struct upload){.files = files,
                              .overwrite = offer->overwrite,
                              .is_over = offer->is_over,
                              .fd = -EBADF,
                              .size = offer->size,
                              .is_hashed_later = offer->is_hashed_later &&
                                                 offer->size >= UPLOAD_HASHED_LATER_MIN &&
                                                 offer->size != FILES_SIZE_UNKNOWN,
                              .promise = {.files = files}};
    snprintf(upload->info.name, sizeof(upload->info.name), "%s", offer->name);
    snprintf(upload->info.owner, sizeof(upload->info.owner), "%s", owner);
    upload->info.modified_wall_usec =
        offer->modified_wall_usec ? offer->modified_wall_usec : wall_now();
    upload->info.is_executable = offer->is_executable;
    upload->info.mode = offer->mode;
    uint64_t replaced;
    int r = promise_look_name(files, upload->info.name, upload->info.modified_wall_usec,
                              upload->overwrite, &replaced);
    promise_set_replaced(&upload->promise, replaced);
    if (r == -EEXIST && may_be_same(upload))
        r = 0;
    if (r == 0)
        r = begin(upload, offer);
    if (r < 0 && refusal)
        *refusal = upload->promise.refusal;
    if (r != 0)
        return r;
    *ret = TAKE_PTR(upload);
    return 0;
}

struct upload *upload_free(struct upload *upload)
{
    if (!upload)
        return NULL;
    if (upload->fd >= 0 && upload->is_kept && !upload->is_lost && upload->arrived > 0)
        parts_keep(upload->files, upload->arrived);
    else if (upload->fd >= 0)
        (void)unlinkat(upload->files->parts_fd, upload->part, 0);
    close_fd(upload->fd);
    promise_settle(&upload->promise);
    hasher_free(upload->hasher);
    free(upload->buffers);
    free(upload);
    return NULL;
}

void upload_get_refusal(const struct upload *upload, struct upload_refusal *ret)
{
    *ret = upload->promise.refusal;
    ret->is_least = upload->size == FILES_SIZE_UNKNOWN;
}

uint64_t upload_get_resumed(const struct upload *upload)
{
    return upload->resumed;
}

int upload_get_hash(struct upload *upload, uint8_t ret[static FILES_HASH_SIZE])
{
    return hasher_get(upload->hasher, ret);
}

int upload_restart(struct upload *upload)
{
    promise_restart(&upload->promise);
    upload->arrived = upload->resumed = upload->written_up = 0;
    if (ftruncate(upload->fd, 0) < 0 || lseek(upload->fd, 0, SEEK_SET) < 0)
        return -EIO;
    return hasher_reset(upload->hasher);
}

int upload_get_buffer(struct upload *upload, uint8_t **ret)
{
    if (!upload->buffers)
        upload->buffers = malloc(HASHER_BUFFERS * UPLOAD_BUFFER_SIZE);
    if (!upload->buffers)
        return -ENOMEM;
    *ret = upload->buffers + upload->buffer * UPLOAD_BUFFER_SIZE;
    return 0;
}

/* Makes room for @size bytes more: in steps, and exactly where a whole step is too much. */
static int extend(struct upload *upload, uint64_t size)
{
    if (upload->is_taken && upload->arrived + size > upload->taken_size)
        return -EEXIST;
    if (upload->arrived + size <= upload->promise.size)
        return 0;
    if (upload->size != FILES_SIZE_UNKNOWN)
        return -EMSGSIZE;
    uint64_t missing = upload->arrived + size - upload->promise.size;
    if (missing < STREAM_STEP && promise_extend(&upload->promise, STREAM_STEP) == 0)
        return 0;
    return promise_extend(&upload->promise, missing);
}

/* @coming: bytes that follow what has arrived. */
static uint64_t size_known(const struct upload *upload, size_t coming)
{
    return upload->size == FILES_SIZE_UNKNOWN ? upload->arrived + coming : upload->size;
}

static int write_all(struct upload *upload, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(upload->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) {
            promise_note_full(&upload->promise, size_known(upload, size), upload->arrived);
            return -ENOSPC;
        }
        if (n < 0 && errno == EFBIG) {
            upload->promise.refusal = (struct upload_refusal){.size = size_known(upload, size)};
            return -EFBIG;
        }
        if (n < 0)
            return -EIO;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Has the disk begin with what came, so that the fsync at the end finds little to do. */
static void begin_writeback(struct upload *upload)
{
    if (upload->arrived - upload->written_up < WRITEBACK_MIN)
        return;
    (void)sync_file_range(upload->fd, (off_t)upload->written_up,
                          (off_t)(upload->arrived - upload->written_up), SYNC_FILE_RANGE_WRITE);
    upload->written_up = upload->arrived;
}

/* In the upload's own buffer the bytes may be hashed later; others have to be by the return. */
static int hash(struct upload *upload, const uint8_t *data, size_t size)
{
    int r = hasher_add(upload->hasher, data, size);

    if (upload->buffers && data == upload->buffers + upload->buffer * UPLOAD_BUFFER_SIZE) {
        upload->buffer = hasher_next(upload->buffer);
        return r;
    }
    return r < 0 ? r : hasher_settle(upload->hasher);
}

int upload_write(struct upload *upload, const void *data, size_t size)
{
    int r = extend(upload, size);

    if (r == 0 && !upload->is_hashed_later)
        r = hash(upload, data, size);
    if (r == 0)
        r = write_all(upload, data, size);
    if (r < 0) {
        upload->is_lost = true;
        return r;
    }
    upload->arrived += size;
    promise_arrive(&upload->promise, size);
    begin_writeback(upload);
    return 0;
}

/* The hash of all that has come. Return: 0, -EIO, -ENOMEM, -ECANCELED. */
static int hash_all(struct upload *upload)
{
    int r = 0;

    if (upload->is_hashed_later)
        r = hasher_add_file(upload->hasher, upload->fd, upload->arrived, upload->is_over);
    upload->is_hashed_later = false;
    if (r == 0)
        r = hasher_get(upload->hasher, upload->info.sha256);
    upload->info.has_sha256 = r == 0;
    return r;
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
    int r = sha256 || !upload->is_hashed_later ? hash_all(upload) : 0;
    if (r < 0)
        return r;
    if (sha256 && memcmp(sha256, upload->info.sha256, FILES_HASH_SIZE) != 0)
        return -EBADMSG;
    if (futimens(upload->fd, times) < 0 ||
        fchmod(upload->fd, upload->info.is_executable ? 0700 : 0600) < 0 || fsync(upload->fd) < 0 ||
        fstat(upload->fd, &status) < 0) {
        return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
    }
    upload->info.awaits_hash = upload->is_hashed_later;
    upload->info.size = upload->arrived;
    /* A file system may keep less of a time than it was given. */
    upload->info.modified_wall_usec = files_modified_of(&status);
    *ret_inode = status.st_ino;
    return 0;
}

/* Under change_mutex: index first, then the name; a start in between finds the name and corrects
 * the index. */
static int publish(struct upload *upload, uint64_t inode)
{
    struct files *files = upload->files;
    const char *name = upload->info.name;
    int r = check_target(upload);

    if (r == 0)
        r = promise_check_quota(files, upload->info.size, upload->promise.replaced,
                                &upload->promise.refusal);
    if (r == 0)
        r = files_enter(files, &upload->info, inode);
    if (r != 0)
        return r;
    promise_enter(&upload->promise, upload->info.size);
    if (renameat2(files->parts_fd, upload->part, files->directory_fd, name, 0) < 0) {
        r = errno == ENOSPC || errno == EDQUOT ? -ENOSPC : errno == EISDIR ? -ELOOP : -EIO;
        (void)files_expel(files, name, inode);
        return r;
    }
    upload->fd = close_fd(upload->fd);
    /* From here on the new file is there; what fails now costs no more than its certainty. */
    r = files_expel_others(files, name, inode);
    promise_set_replaced(&upload->promise, 0);
    return fsync(files->directory_fd) < 0 || r < 0 ? -EIO : 0;
}

/* Whether the name was taken by the very content that has come. */
static bool is_stored(struct upload *upload)
{
    struct files_info stored;

    return files_stat_hashed(upload->files, upload->info.name, upload->info.size, upload->is_over,
                             &stored) == 0 &&
           !stored.is_changed && stored.has_sha256 && stored.size == upload->info.size &&
           (upload->info.has_sha256 || hash_all(upload) == 0) &&
           memcmp(stored.sha256, upload->info.sha256, FILES_HASH_SIZE) == 0;
}

int upload_commit(struct upload *upload, const uint8_t *sha256, struct files_info *ret)
{
    uint64_t inode = 0;

    upload->is_lost = true;
    int r = seal_part(upload, sha256, &inode);

    if (r == 0) {
        pthread_mutex_lock(&upload->files->change_mutex);
        r = publish(upload, inode);
        pthread_mutex_unlock(&upload->files->change_mutex);
    }
    if (r == -ENOSPC)
        promise_note_full(&upload->promise, upload->arrived, 0);
    if (r == -EEXIST && is_stored(upload))
        r = UPLOAD_KEPT;
    if (r != 0)
        return r;
    promise_settle(&upload->promise);
    if (ret)
        *ret = upload->info;
    return 0;
}
