/* SPDX-License-Identifier: MIT */
#include "transfer/file_client.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "transfer/file_fd.h"
#include "transfer/refusal.h"

int client_fail_store(struct file_job *job, int r, const struct upload_refusal *refusal)
{
    char text[FILE_WIRE_REASON_MAX];

    job->end.r = r;
    snprintf(job->end.reason, sizeof(job->end.reason), "%s",
             refusal_explain(r, job->name, refusal, text));
    return r;
}

static void begin_at(struct file_job *job, uint64_t offset)
{
    atomic_store(&job->resumed, offset);
    atomic_store(&job->done, offset);
}

/* --- The source of a put --- */

int client_check_source(struct file_job *job)
{
    struct stat status;

    if (!job->is_regular || fstat(job->fd, &status) < 0 ||
        (status.st_mtim.tv_sec == job->source.st_mtim.tv_sec &&
         status.st_mtim.tv_nsec == job->source.st_mtim.tv_nsec &&
         status.st_size == job->source.st_size))
        return 0;
    return client_fail_store(job, -EMSGSIZE, &(struct upload_refusal){0});
}

int client_begins_with(struct file_job *job, struct hasher *hasher, uint64_t offset,
                       const uint8_t hash[static FILES_HASH_SIZE])
{
    uint8_t sum[FILES_HASH_SIZE];
    int r = hasher_add_file(hasher, job->fd, offset, &job->is_cancelled);

    if (r >= 0)
        r = hasher_get(hasher, sum);
    if (r < 0)
        return r == -EIO ? 0 : r;
    if (memcmp(sum, hash, sizeof(sum)) != 0 || lseek(job->fd, (off_t)offset, SEEK_SET) < 0)
        return 0;
    begin_at(job, offset);
    return 1;
}

int client_keep_same(struct file_job *job, const struct files_info *stored)
{
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    uint8_t sum[FILES_HASH_SIZE] = {0};

    /* Only of a regular file that is read from its beginning can the content be looked at. */
    if (!job->offer.is_resumable || !stored->has_sha256 || stored->is_changed ||
        stored->size != job->offer.size)
        return -EEXIST;
    int r = hasher_new(&hasher);
    if (r >= 0)
        r = hasher_add_file(hasher, job->fd, stored->size, &job->is_cancelled);
    if (r >= 0)
        r = hasher_get(hasher, sum);
    if (r < 0 || memcmp(sum, stored->sha256, sizeof(sum)) != 0)
        return -EEXIST;
    job->end.r = UPLOAD_KEPT;
    job->end.info = *stored;
    return 0;
}

/* --- The target of a get --- */

int client_look(struct file_job *job, struct hasher *hasher, uint64_t *ret,
                uint8_t hash[static FILES_HASH_SIZE])
{
    struct stat status;
    int r = 0;

    *ret = 0;
    if (!job->offer.is_resumable || !job->is_regular || fstat(job->fd, &status) < 0 ||
        status.st_size == 0)
        return 0;
    r = hasher_add_file(hasher, job->fd, (uint64_t)status.st_size, &job->is_cancelled);
    if (r >= 0)
        r = hasher_get(hasher, hash);
    if (r < 0)
        return file_job_fail(job, r, "cannot read what is there already");
    *ret = (uint64_t)status.st_size;
    return 0;
}

int client_begin(struct file_job *job, struct hasher *hasher, uint64_t offset)
{
    begin_at(job, offset);
    if (!job->offer.is_resumable || !job->is_regular)
        return 0;
    if ((offset == 0 && (ftruncate(job->fd, 0) < 0 || hasher_reset(hasher) < 0)) ||
        lseek(job->fd, (off_t)offset, SEEK_SET) < 0)
        return file_job_fail(job, file_fd_errno(), "cannot write the content");
    return 0;
}

int client_take(struct file_job *job, struct hasher *hasher, const uint8_t *data, size_t size)
{
    int r = hasher_add(hasher, data, size);

    if (r >= 0)
        r = file_fd_write(job, data, size);
    if (r < 0)
        return file_job_fail(job, r, "cannot write the content");
    atomic_fetch_add(&job->done, (uint_fast64_t)size);
    return 0;
}

int client_check(struct file_job *job, struct hasher *hasher, const struct content_end *end)
{
    uint8_t sum[FILES_HASH_SIZE];
    int r = hasher_get(hasher, sum);

    if (r < 0)
        return file_job_fail(job, r, "cannot hash");
    bool is_other = job->end.info.has_sha256 && memcmp(sum, job->end.info.sha256, sizeof(sum)) != 0;
    if (is_other && file_job_is_exact(job))
        return file_job_fail_changed(job, job->name);
    if (is_other || (end->has_sha256 && memcmp(sum, end->sha256, sizeof(sum)) != 0) ||
        atomic_load(&job->done) != job->end.info.size)
        return client_fail_store(job, -EBADMSG, &(struct upload_refusal){0});
    memcpy(job->end.info.sha256, sum, sizeof(sum));
    job->end.info.has_sha256 = true;
    return 0;
}
