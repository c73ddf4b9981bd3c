/* SPDX-License-Identifier: MIT */
#include "transfer/file_job.h"

#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "net/frame.h"
#include "transfer/file_wire.h"

#define PATIENCE_USEC                                                                              \
    (30 * USEC_PER_SEC) /* for one chunk, either way: slower than 8 KiB/s is broken off */
#define POLL_MSEC  200
#define STORED_MAX 65536

/* --- Hash --- */

static void hash_freep(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}
#define _cleanup_hash_ _cleanup_(hash_freep)

static EVP_MD_CTX *hash_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
        return context;
    EVP_MD_CTX_free(context);
    return NULL;
}

static int hash_add(EVP_MD_CTX *context, const void *data, size_t size)
{
    return EVP_DigestUpdate(context, data, size) == 1 ? 0 : -EIO;
}

static int hash_end(EVP_MD_CTX *context, uint8_t ret[static FILES_HASH_SIZE])
{
    return EVP_DigestFinal_ex(context, ret, NULL) == 1 ? 0 : -EIO;
}

/* --- Pace and cancelling --- */

static void keep_pace(struct file_pace *pace, size_t size)
{
    usec_t now = conn_now(), at;

    if (pace->rate == 0)
        return;
    pthread_mutex_lock(&pace->lock);
    at = MAX(now, pace->next_usec);
    pace->next_usec = at + size * USEC_PER_SEC / pace->rate;
    pthread_mutex_unlock(&pace->lock);
    struct timespec until = {.tv_sec = (time_t)(at / USEC_PER_SEC),
                             .tv_nsec = (long)(at % USEC_PER_SEC * 1000)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static bool is_cancelled(struct file_job *job)
{
    return atomic_load(&job->is_cancelled);
}

static usec_t deadline(void)
{
    return conn_now() + PATIENCE_USEC;
}

/* --- The client's descriptor --- */

/* Waits until the descriptor can be read or written; a client's pipe may stay silent for ever. */
static int wait_for(struct file_job *job, short events)
{
    struct pollfd pollfd = {.fd = job->fd, .events = events};

    while (!is_cancelled(job)) {
        int r = poll(&pollfd, 1, POLL_MSEC);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
    return -ECANCELED;
}

static ssize_t read_fd(struct file_job *job, uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        int r = wait_for(job, POLLIN);
        if (r < 0)
            return r;
        ssize_t got = read(job->fd, data + done, size - done);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        done += (size_t)MAX(got, (ssize_t)0);
    }
    return (ssize_t)done;
}

static int write_fd(struct file_job *job, const uint8_t *data, size_t size)
{
    while (size > 0) {
        int r = wait_for(job, POLLOUT);
        if (r < 0)
            return r;
        ssize_t put = write(job->fd, data, size);
        if (put < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        data += MAX(put, (ssize_t)0);
        size -= (size_t)MAX(put, (ssize_t)0);
    }
    return 0;
}

/* --- Ends --- */

static int fail(struct file_job *job, int r, const char *what)
{
    job->end.r = r;
    snprintf(job->end.reason, sizeof(job->end.reason), "%s: %s", what, strerror(-r));
    return r;
}

static int fail_store(struct file_job *job, int r, const struct upload_refusal *refusal)
{
    char text[FILE_WIRE_REASON_MAX];

    job->end.r = r;
    snprintf(job->end.reason, sizeof(job->end.reason), "%s",
             file_wire_explain(r, job->name, refusal, text));
    return r;
}

/* --- Here: between the descriptor and the own store --- */

static int put_here(struct file_job *job, uint8_t *buffer)
{
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct upload_refusal refusal = {0};
    int r = upload_new(job->files, &job->offer, &refusal, &upload);

    if (r == UPLOAD_KEPT) {
        job->end.r = r;
        return files_stat(job->files, job->name, &job->end.info);
    }
    if (r < 0)
        return fail_store(job, r, &refusal);
    for (;;) {
        ssize_t got = read_fd(job, buffer, FILE_WIRE_CHUNK);
        if (got < 0)
            return fail(job, (int)got, "cannot read the content");
        if (got == 0)
            break;
        r = upload_write(upload, buffer, (size_t)got);
        if (r < 0) {
            upload_get_refusal(upload, &refusal);
            return fail_store(job, r, &refusal);
        }
        atomic_fetch_add(&job->done, (uint_fast64_t)got);
    }
    r = upload_commit(upload, NULL, &job->end.info);
    if (r < 0) {
        upload_get_refusal(upload, &refusal);
        return fail_store(job, r, &refusal);
    }
    job->end.r = r;
    return r;
}

static int get_here(struct file_job *job, uint8_t *buffer)
{
    _cleanup_hash_ EVP_MD_CTX *hash = hash_new();
    _cleanup_close_ int source = -EBADF;
    uint8_t sum[FILES_HASH_SIZE];
    ssize_t got;
    int r = hash ? files_open_read(job->files, job->name, &source, &job->end.info) : -ENOMEM;

    if (r < 0)
        return fail(job, r, "cannot open the file");
    atomic_store(&job->total, job->end.info.size);
    while ((got = read(source, buffer, FILE_WIRE_CHUNK)) > 0) {
        r = hash_add(hash, buffer, (size_t)got);
        if (r >= 0)
            r = write_fd(job, buffer, (size_t)got);
        if (r < 0)
            return fail(job, r, "cannot write the content");
        atomic_fetch_add(&job->done, (uint_fast64_t)got);
    }
    if (got < 0)
        return fail(job, -errno, "cannot read the file");
    r = hash_end(hash, sum);
    if (r >= 0 && job->end.info.has_sha256 && memcmp(sum, job->end.info.sha256, sizeof(sum)) != 0)
        return fail_store(job, -EBADMSG, &(struct upload_refusal){0});
    return r;
}

/* --- Content on a connection --- */

static int send_frame(struct conn *conn, cJSON *frame)
{
    int r = frame ? frame_send(conn, frame, 0, deadline()) : -ENOMEM;

    cJSON_Delete(frame);
    return r;
}

static int send_chunk(struct file_job *job, const uint8_t *data, size_t size)
{
    _cleanup_json_ cJSON *frame = file_wire_new("data");
    int r = frame ? frame_send(job->conn, frame, size, deadline()) : -ENOMEM;

    keep_pace(job->pace, size);
    return r < 0 ? r : conn_write(job->conn, data, size, deadline());
}

/* A frame that carries no bytes, or the header of one that does. Return: 0, or why there is none.
 */
static int receive_frame(struct file_job *job, usec_t until, cJSON **ret, size_t *ret_size)
{
    uint64_t size;
    int r = frame_receive(job->conn, until, ret, &size);

    if (r <= 0)
        return r < 0 ? r : -ECONNRESET;
    if (size > FILE_WIRE_CHUNK) {
        cJSON_Delete(*ret);
        *ret = NULL;
        return -EMSGSIZE;
    }
    *ret_size = (size_t)size;
    return 0;
}

/* --- There: between the descriptor and another node's store --- */

/* What the other node says instead of going on. */
static int take_refusal(struct file_job *job, const cJSON *frame)
{
    char reason[FILE_WIRE_REASON_MAX];

    if (!file_wire_is(frame, "error"))
        return fail(job, -EBADMSG, "the other node broke the protocol");
    job->end.r = file_wire_read_error(frame, reason);
    snprintf(job->end.reason, sizeof(job->end.reason), "%s", reason);
    return job->end.r;
}

static int fail_connection(struct file_job *job, int r)
{
    return fail(job, r == -EPIPE ? -ECONNRESET : r, "the connection to the other node failed");
}

/* The answer to a put, before or after its content. */
static int take_stored(struct file_job *job, const cJSON *frame)
{
    if (!file_wire_is(frame, "stored") && !file_wire_is(frame, "kept"))
        return take_refusal(job, frame);
    int r = file_wire_read_info(frame, &job->end.info);
    if (r < 0)
        return fail(job, r, "the other node broke the protocol");
    job->end.r = file_wire_is(frame, "kept") ? UPLOAD_KEPT : 0;
    return 0;
}

static int send_content(struct file_job *job, uint8_t *buffer, uint8_t sum[static FILES_HASH_SIZE])
{
    _cleanup_hash_ EVP_MD_CTX *hash = hash_new();

    if (!hash)
        return fail(job, -ENOMEM, "cannot hash");
    for (;;) {
        ssize_t got = read_fd(job, buffer, FILE_WIRE_CHUNK);
        if (got < 0)
            return fail(job, (int)got, "cannot read the content");
        if (got == 0)
            return hash_end(hash, sum);
        int r = hash_add(hash, buffer, (size_t)got);
        if (r >= 0)
            r = send_chunk(job, buffer, (size_t)got);
        if (r < 0)
            return r;
        atomic_fetch_add(&job->done, (uint_fast64_t)got);
    }
}

static int put_there(struct file_job *job, uint8_t *buffer)
{
    _cleanup_json_ cJSON *answer = NULL, *last = NULL;
    uint8_t sum[FILES_HASH_SIZE];
    size_t size;
    int r = send_frame(job->conn, file_wire_put(&job->offer));

    if (r >= 0)
        r = receive_frame(job, deadline(), &answer, &size);
    if (r < 0)
        return fail_connection(job, r);
    if (!file_wire_is(answer, "go"))
        return take_stored(job, answer);
    r = send_content(job, buffer, sum);
    if (job->end.r < 0)
        return job->end.r;
    if (r >= 0)
        r = send_frame(job->conn, file_wire_done(sum));
    /* Where sending failed the other node may have said why before it closed. */
    int q = receive_frame(job, deadline(), &last, &size);
    if (q < 0)
        return fail_connection(job, r < 0 ? r : q);
    return take_stored(job, last);
}

/* Return: 1 for a chunk in @buffer, 0 at the end with the sender's hash, negative as usual. */
static int receive_chunk(struct file_job *job, uint8_t *buffer, size_t *ret_size,
                         uint8_t hash[static FILES_HASH_SIZE])
{
    _cleanup_json_ cJSON *frame = NULL;
    int r = receive_frame(job, deadline(), &frame, ret_size);

    if (r < 0)
        return r;
    if (file_wire_is(frame, "data")) {
        keep_pace(job->pace, *ret_size);
        r = conn_read_exactly(job->conn, buffer, *ret_size, deadline());
        return r < 0 ? r : 1;
    }
    return file_wire_read_done(frame, hash);
}

static int get_there(struct file_job *job, uint8_t *buffer)
{
    _cleanup_hash_ EVP_MD_CTX *hash = hash_new();
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *question = file_wire_new("get");
    uint8_t sum[FILES_HASH_SIZE], told[FILES_HASH_SIZE];
    size_t size;
    int r;

    json_add_string(question, "name", job->name);
    r = send_frame(job->conn, question);
    if (r >= 0)
        r = hash ? receive_frame(job, deadline(), &answer, &size) : -ENOMEM;
    if (r < 0)
        return fail_connection(job, r);
    if (!file_wire_is(answer, "file") || file_wire_read_info(answer, &job->end.info) < 0)
        return take_refusal(job, answer);
    atomic_store(&job->total, job->end.info.size);
    while ((r = receive_chunk(job, buffer, &size, told)) > 0) {
        r = hash_add(hash, buffer, size);
        if (r >= 0)
            r = write_fd(job, buffer, size);
        if (r < 0)
            return fail(job, r, "cannot write the content");
        atomic_fetch_add(&job->done, (uint_fast64_t)size);
    }
    if (r < 0)
        return fail_connection(job, r);
    if (hash_end(hash, sum) < 0 || memcmp(sum, told, sizeof(sum)) != 0 ||
        atomic_load(&job->done) != job->end.info.size)
        return fail_store(job, -EBADMSG, &(struct upload_refusal){0});
    memcpy(job->end.info.sha256, sum, sizeof(sum));
    job->end.info.has_sha256 = true;
    return 0;
}

static void drop_conn(struct file_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->conn = conn_free(job->conn);
    pthread_mutex_unlock(&job->lock);
}

void file_job_run(struct file_job *job)
{
    _cleanup_free_ uint8_t *buffer = malloc(FILE_WIRE_CHUNK);
    usec_t started = conn_now();

    if (!buffer)
        (void)fail(job, -ENOMEM, "cannot transfer");
    else if (job->conn)
        (void)(job->is_put ? put_there(job, buffer) : get_there(job, buffer));
    else
        (void)(job->is_put ? put_here(job, buffer) : get_here(job, buffer));
    if (job->conn && job->end.r >= 0)
        (void)conn_close(job->conn, conn_now() + USEC_PER_SEC);
    drop_conn(job);
    job->end.elapsed_usec = conn_now() - started;
}

/* --- Another node's questions --- */

static int refuse(struct file_job *job, int r, const char *name,
                  const struct upload_refusal *refusal)
{
    char reason[FILE_WIRE_REASON_MAX];

    return send_frame(job->conn, file_wire_error(r, file_wire_explain(r, name, refusal, reason)));
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

    while ((r = receive_chunk(job, buffer, &size, hash)) > 0) {
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
    return send_frame(job->conn, file_wire_info(r == UPLOAD_KEPT ? "kept" : "stored", &info));
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
        return send_frame(job->conn, file_wire_info("kept", &info));
    if (r != 0)
        return refuse(job, r < 0 ? r : -EIO, offer.name, &refusal);
    r = send_frame(job->conn, file_wire_new("go"));
    return r < 0 ? r : receive_upload(job, upload, offer.name, buffer);
}

static int serve_get(struct file_job *job, const cJSON *frame, uint8_t *buffer)
{
    _cleanup_hash_ EVP_MD_CTX *hash = hash_new();
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
    r = send_frame(job->conn, file_wire_info("file", &info));
    while (r >= 0 && (got = read(source, buffer, FILE_WIRE_CHUNK)) != 0) {
        if (got < 0)
            return -errno;
        r = hash_add(hash, buffer, (size_t)got);
        if (r >= 0)
            r = send_chunk(job, buffer, (size_t)got);
    }
    if (r >= 0)
        r = hash_end(hash, sum);
    return r < 0 ? r : send_frame(job->conn, file_wire_done(sum));
}

void file_job_serve(struct file_job *job)
{
    _cleanup_free_ uint8_t *buffer = malloc(FILE_WIRE_CHUNK);

    for (int r = buffer ? 0 : -ENOMEM; r >= 0 && !is_cancelled(job);) {
        _cleanup_json_ cJSON *frame = NULL;
        size_t size;
        r = receive_frame(job, conn_now() + job->idle_usec, &frame, &size);
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
    drop_conn(job);
}

/* --- Life --- */

struct file_job *file_job_new(struct files *files, struct file_pace *pace, int fd, usec_t idle_usec)
{
    struct file_job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->files = files;
    job->pace = pace;
    job->fd = fd;
    job->idle_usec = idle_usec;
    atomic_store(&job->total, FILES_SIZE_UNKNOWN);
    pthread_mutex_init(&job->lock, NULL);
    return job;
}

struct file_job *file_job_free(struct file_job *job)
{
    if (!job)
        return NULL;
    conn_free(job->conn);
    close_fd(job->fd);
    pthread_mutex_destroy(&job->lock);
    free(job->stored);
    free(job->name);
    free(job->owner);
    free(job);
    return NULL;
}

void file_job_cancel(struct file_job *job)
{
    atomic_store(&job->is_cancelled, true);
    pthread_mutex_lock(&job->lock);
    if (job->conn)
        conn_abort(job->conn);
    pthread_mutex_unlock(&job->lock);
}
