/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "store/batch.h"
#include "transfer/file_content.h"
#include "transfer/file_fetch.h"
#include "transfer/file_pack.h"
#include "transfer/refusal.h"

#define LINGER_USEC                                                                                \
    (20 * USEC_PER_MSEC) /* the next question of a sequence comes within so much                   \
                          */

static int refuse(struct file_job *job, int r, const char *name,
                  const struct upload_refusal *refusal)
{
    char reason[FILE_WIRE_REASON_MAX];

    file_job_note_refused(job, r, name);
    return content_send_frame(job, file_wire_error(r, refusal_explain(r, name, refusal, reason)));
}

void file_job_note_refused(struct file_job *job, int r, const char *name)
{
    if (r == -ESTALE)
        snprintf(job->changed, sizeof(job->changed), "%s", name);
}

void file_job_note_stored(struct file_job *job, const char *name, const char *owner, uint64_t size)
{
    struct transfers_stored *served = &job->served;

    if (served->count == 0) {
        strcpy(served->name, name);
        strcpy(served->owner, owner);
    }
    served->count++;
    served->size += size;
}

/* Content into the store. Return: 0 where the connection can go on; the client has been answered.
 */
static int receive_upload(struct file_job *job, struct upload *upload, const char *name,
                          bool may_pause)
{
    struct upload_refusal refusal = {0};
    struct content_end end = {0};
    struct files_info info;
    uint8_t *buffer;
    size_t size;
    int r;

    while ((r = upload_get_buffer(upload, &buffer)) == 0 &&
           (r = content_receive_chunk(job, may_pause, buffer, &size, &end)) > 0) {
        r = upload_write(upload, buffer, size);
        if (r < 0) {
            upload_get_refusal(upload, &refusal);
            (void)refuse(job, r, name, &refusal);
            return r; /* its content is on the wire still: only closing helps */
        }
    }
    /* In the clear nothing but the hash tells what a bit on the way became. */
    if (r == 0 && !end.has_sha256 && !conn_is_sealed(job->conn))
        r = -EBADMSG;
    if (r < 0)
        return r;
    content_begin_work(job);
    r = upload_commit(upload, end.has_sha256 ? end.sha256 : NULL, &info);
    content_end_work(job);
    if (r < 0) {
        upload_get_refusal(upload, &refusal);
        return refuse(job, r, name, &refusal);
    }
    if (r == 0)
        file_job_note_stored(job, info.name, info.owner, info.size);
    else if (files_stat(job->files, name, &info) < 0)
        return refuse(job, -EIO, name, &refusal);
    return content_send_frame(job, file_wire_info(r == UPLOAD_KEPT ? "kept" : "stored", &info));
}

/* Says what is here of the content, and hears from where on it comes. */
static int agree(struct file_job *job, struct upload *upload)
{
    _cleanup_json_ cJSON *go = file_wire_new("go"), *from = NULL;
    uint64_t here = upload_get_resumed(upload), offset = 0;
    uint8_t hash[FILES_HASH_SIZE] = {0};
    size_t size;
    int r = here > 0 ? upload_get_hash(upload, hash) : 0;

    if (r < 0)
        return r;
    file_wire_add_offset(go, here, hash);
    r = content_send_frame(job, TAKE_PTR(go));
    if (r < 0 || here == 0)
        return r;
    /* The other side reads as much as is here before it knows. */
    r = content_receive_answer(job, CONTENT_LAST_ANSWER, &from, &size);
    if (r < 0)
        return r;
    if (!file_wire_is(from, "from") || size > 0 ||
        json_get_u64(from, "offset", here, &offset) <= 0 || (offset > 0 && offset != here))
        return -EBADMSG;
    return offset > 0 ? 0 : upload_restart(upload);
}

/* Says what has the name, since the very content may have been put before. */
static int refuse_taken(struct file_job *job, const struct upload_offer *offer)
{
    char reason[FILE_WIRE_REASON_MAX];
    struct files_info info;

    content_begin_work(job);
    int r = files_stat_hashed(job->files, offer->name, offer->size, offer->is_over, &info);
    content_end_work(job);
    if (r < 0 || info.is_changed || info.size != offer->size)
        return refuse(job, -EEXIST, offer->name, &(struct upload_refusal){0});
    cJSON *frame = file_wire_info("error", &info);
    file_wire_add_error(frame, -EEXIST,
                        refusal_explain(-EEXIST, offer->name, &(struct upload_refusal){0}, reason));
    return content_send_frame(job, frame);
}

static int serve_put(struct file_job *job, const cJSON *frame)
{
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct upload_refusal refusal = {0};
    struct upload_offer offer;
    struct files_info info;
    int r = file_wire_read_put(frame, &offer);

    if (r < 0)
        return r;
    offer.is_over = &job->is_cancelled;
    offer.has_sender_near = conn_is_near(job->conn);
    if (!conn_is_sealed(job->conn))
        offer.is_hashed_later = false; /* the hash alone tells whether it is whole */
    content_begin_work(job);
    r = upload_new(job->files, &offer, &refusal, &upload);
    content_end_work(job);
    if (r == UPLOAD_KEPT && files_stat(job->files, offer.name, &info) >= 0)
        return content_send_frame(job, file_wire_info("kept", &info));
    if (r == -EEXIST)
        return refuse_taken(job, &offer);
    if (r != 0)
        return refuse(job, r < 0 ? r : -EIO, offer.name, &refusal);
    r = agree(job, upload);
    return r < 0 ? r : receive_upload(job, upload, offer.name, offer.size == FILES_SIZE_UNKNOWN);
}

/* Whether the asker has the first @offset bytes of this. Return: 1, 0, or as hasher_add_file. */
static int has_start(struct file_job *job, struct hasher *hasher, int fd, uint64_t offset,
                     const uint8_t hash[static FILES_HASH_SIZE])
{
    uint8_t sum[FILES_HASH_SIZE];
    content_begin_work(job);
    int r = hasher_add_file(hasher, fd, offset, &job->is_cancelled);

    if (r >= 0)
        r = hasher_get(hasher, sum);
    content_end_work(job);
    return r < 0 ? r : memcmp(sum, hash, sizeof(sum)) == 0;
}

/* The content from where the descriptor stands. It is hashed only where nobody knows its hash. */
static int send_file(struct file_job *job, int fd, struct hasher *hasher, bool is_hashed)
{
    _cleanup_free_ uint8_t *buffers = malloc(HASHER_BUFFERS * FILE_WIRE_CHUNK);
    uint8_t sum[FILES_HASH_SIZE];
    ssize_t got = 1;
    int r = buffers ? 0 : -ENOMEM;

    for (size_t i = 0; r >= 0 && got > 0; i = hasher_next(i)) {
        uint8_t *data = buffers + i * FILE_WIRE_CHUNK;
        got = read(fd, data, content_chunk_size(job));
        r = got < 0 ? -errno : got > 0 && is_hashed ? hasher_add(hasher, data, (size_t)got) : 0;
        if (r >= 0 && got > 0)
            r = content_send_chunk(job, data, (size_t)got);
    }
    /* The buffers go. */
    int q = is_hashed ? hasher_get(hasher, sum) : 0;
    r = r < 0 ? r : q;
    return r < 0 ? r : content_send_frame(job, file_wire_done(is_hashed ? sum : NULL));
}

static int serve_get(struct file_job *job, const cJSON *frame)
{
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    _cleanup_close_ int source = -EBADF;
    uint8_t hash[FILES_HASH_SIZE];
    const char *name = NULL;
    struct files_info info;
    uint64_t offset = 0;
    int r = hasher_new(&hasher);

    if (json_get_string(frame, "name", &name) <= 0 || r < 0 ||
        file_wire_read_offset(frame, &offset, hash) < 0)
        return -EBADMSG;
    r = files_open_read(job->files, name, &source, &info);
    if (r < 0)
        return refuse(job, r, name, &(struct upload_refusal){0});
    r = offset > 0 && offset <= info.size ? has_start(job, hasher, source, offset, hash) : 0;
    if (r < 0)
        return r;
    if (r == 0) {
        offset = 0;
        (void)hasher_reset(hasher); /* where it fails, so does hashing */
    }
    if (lseek(source, (off_t)offset, SEEK_SET) < 0)
        return -errno;
    cJSON *answer = file_wire_info("file", &info);
    if (offset > 0)
        json_add_u64(answer, "offset", offset);
    r = content_send_frame(job, answer);
    return r < 0 ? r : send_file(job, source, hasher, !info.has_sha256);
}

/* Return: 0 where the connection can go on. */
static int serve_one(struct file_job *job, struct batch **batch)
{
    _cleanup_json_ cJSON *frame = NULL;
    size_t size;
    int r = content_receive_frame(job, content_deadline(job), &frame, &size);

    if (r < 0)
        return r;
    if (file_wire_is(frame, "pack"))
        return file_pack_serve(job, frame, size, batch);
    if ((size > 0 && !file_wire_is(frame, "fetch")) || *batch)
        return -EBADMSG;
    if (file_wire_is(frame, "fetch"))
        return file_fetch_serve(job, frame, size);
    if (file_wire_is(frame, "put"))
        return serve_put(job, frame);
    if (file_wire_is(frame, "get"))
        return serve_get(job, frame);
    return file_wire_is(frame, "still") ? content_send_frame(job, file_wire_new("still"))
                                        : -EBADMSG;
}

void file_job_serve(struct file_job *job)
{
    _cleanup_(batch_freep) struct batch *batch = NULL;
    int r = 0;

    while (r >= 0 && !file_job_is_cancelled(job)) {
        r = serve_one(job, &batch);
        if (r >= 0 && !batch &&
            (job->served.count > 0 || *job->changed ||
             conn_wait(job->conn, conn_now() + LINGER_USEC) < 0))
            break;
    }
    job->is_reusable = r >= 0 && !file_job_is_cancelled(job);
    if (job->is_reusable)
        return;
    (void)conn_close(job->conn, conn_now() + USEC_PER_SEC);
    file_job_drop_conn(job);
}
