/* SPDX-License-Identifier: MIT */
#include "transfer/file_content.h"

#define STORED_MAX 65536 /* names told to the journal, of one connection */

static int refuse(struct file_job *job, int r, const char *name,
                  const struct upload_refusal *refusal)
{
    char reason[FILE_WIRE_REASON_MAX];

    return content_send_frame(job->conn,
                              file_wire_error(r, file_wire_explain(r, name, refusal, reason)));
}

static void note_stored(struct file_job *job, const struct files_info *info)
{
    if (job->stored_count >= STORED_MAX)
        return;
    struct files_info *stored = reallocarray(job->stored, job->stored_count + 1, sizeof(*stored));
    if (!stored)
        return;
    job->stored = stored;
    stored[job->stored_count++] = *info;
}

/* Content into the store. Return: 0 where the connection can go on; the client has been answered.
 */
static int receive_upload(struct file_job *job, struct upload *upload, const char *name,
                          uint8_t *buffer)
{
    struct upload_refusal refusal = {0};
    struct files_info info;
    uint8_t hash[FILES_HASH_SIZE];
    size_t size;
    int r;

    while ((r = content_receive_chunk(job, buffer, &size, hash)) > 0) {
        r = upload_write(upload, buffer, size);
        if (r < 0) {
            upload_get_refusal(upload, &refusal);
            (void)refuse(job, r, name, &refusal);
            return r; /* its content is on the wire still: only closing helps */
        }
    }
    if (r < 0)
        return r;
    r = upload_commit(upload, hash, &info);
    if (r < 0) {
        upload_get_refusal(upload, &refusal);
        return refuse(job, r, name, &refusal);
    }
    if (r == 0)
        note_stored(job, &info);
    return content_send_frame(job->conn,
                              file_wire_info(r == UPLOAD_KEPT ? "kept" : "stored", &info));
}

static int serve_put(struct file_job *job, const cJSON *frame, uint8_t *buffer)
{
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct upload_refusal refusal = {0};
    struct upload_offer offer;
    struct files_info info;
    int r = file_wire_read_put(frame, &offer);

    if (r < 0)
        return r;
    r = upload_new(job->files, &offer, &refusal, &upload);
    if (r == UPLOAD_KEPT && files_stat(job->files, offer.name, &info) >= 0)
        return content_send_frame(job->conn, file_wire_info("kept", &info));
    if (r != 0)
        return refuse(job, r < 0 ? r : -EIO, offer.name, &refusal);
    r = content_send_frame(job->conn, file_wire_new("go"));
    return r < 0 ? r : receive_upload(job, upload, offer.name, buffer);
}

static int serve_get(struct file_job *job, const cJSON *frame, uint8_t *buffer)
{
    _cleanup_hash_ EVP_MD_CTX *hash = content_hash_new();
    _cleanup_close_ int source = -EBADF;
    const char *name = NULL;
    struct files_info info;
    uint8_t sum[FILES_HASH_SIZE];
    ssize_t got;
    int r;

    if (json_get_string(frame, "name", &name) <= 0 || !hash)
        return -EBADMSG;
    r = files_open_read(job->files, name, &source, &info);
    if (r < 0)
        return refuse(job, r, name, &(struct upload_refusal){0});
    r = content_send_frame(job->conn, file_wire_info("file", &info));
    while (r >= 0 && (got = read(source, buffer, content_chunk_size(job))) != 0) {
        if (got < 0)
            return -errno;
        r = content_hash_add(hash, buffer, (size_t)got);
        if (r >= 0)
            r = content_send_chunk(job, buffer, (size_t)got);
    }
    if (r >= 0)
        r = content_hash_end(hash, sum);
    return r < 0 ? r : content_send_frame(job->conn, file_wire_done(sum));
}

void file_job_serve(struct file_job *job)
{
    _cleanup_free_ uint8_t *buffer = malloc(FILE_WIRE_CHUNK);

    for (int r = buffer ? 0 : -ENOMEM; r >= 0 && !file_job_is_cancelled(job);) {
        _cleanup_json_ cJSON *frame = NULL;
        size_t size;
        r = content_receive_frame(job, conn_now() + job->idle_usec, &frame, &size);
        if (r < 0 || size > 0)
            break;
        if (file_wire_is(frame, "put"))
            r = serve_put(job, frame, buffer);
        else if (file_wire_is(frame, "get"))
            r = serve_get(job, frame, buffer);
        else
            r = -EBADMSG;
    }
    (void)conn_close(job->conn, conn_now() + USEC_PER_SEC);
    file_job_drop_conn(job);
}
