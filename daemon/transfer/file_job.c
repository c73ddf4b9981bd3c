/* SPDX-License-Identifier: MIT */
#include "transfer/file_job.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "transfer/file_content.h"

#define POLL_MSEC  200
#define ALIVE_USEC (10 * USEC_PER_SEC) /* of silence of a pipe; then the other node hears of it */

/* --- The client's descriptor --- */

/*
 * Waits until the descriptor can be read or written; a client's pipe may stay silent for ever.
 * Return: 0; -EAGAIN at the deadline; -ECANCELED; what poll said.
 */
static int wait_for(struct file_job *job, short events, usec_t deadline_usec)
{
    struct pollfd pollfd = {.fd = job->fd, .events = events};

    while (!file_job_is_cancelled(job)) {
        if (conn_now() >= deadline_usec)
            return -EAGAIN;
        int r = poll(&pollfd, 1, POLL_MSEC);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
    return -ECANCELED;
}

static bool has_hung_up(const struct file_job *job)
{
    struct pollfd pollfd = {.fd = job->guard_fd};

    return job->guard_fd >= 0 && poll(&pollfd, 1, 0) > 0;
}

/* Return: bytes, fewer than @size where the rest takes its time; 0 at the end; as wait_for. */
static ssize_t read_fd(struct file_job *job, uint8_t *data, size_t size)
{
    usec_t deadline = usec_add(conn_now(), ALIVE_USEC);
    size_t done = 0;

    while (done < size) {
        int r = wait_for(job, POLLIN, deadline);
        if (r == -EAGAIN && done > 0)
            break;
        if (r < 0)
            return r;
        ssize_t got = read(job->fd, data + done, size - done);
        if (got == 0 && has_hung_up(job))
            return -ECANCELED;
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        done += (size_t)MAX(got, (ssize_t)0);
    }
    return (ssize_t)done;
}

static bool is_regular(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static int write_fd(struct file_job *job, const uint8_t *data, size_t size)
{
    /* A pipe that is ready takes so much without waiting; only poll can be broken off. */
    size_t step = is_regular(job->fd) ? size : PIPE_BUF;

    while (size > 0) {
        int r = wait_for(job, POLLOUT, USEC_INFINITY);
        if (r < 0)
            return r;
        ssize_t put = write(job->fd, data, MIN(size, step));
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
        if (got == -EAGAIN)
            continue;
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
    _cleanup_hash_ EVP_MD_CTX *hash = content_hash_new();
    _cleanup_close_ int source = -EBADF;
    uint8_t sum[FILES_HASH_SIZE];
    ssize_t got;
    int r = hash ? files_open_read(job->files, job->name, &source, &job->end.info) : -ENOMEM;

    if (r < 0)
        return fail(job, r, "cannot open the file");
    atomic_store(&job->total, job->end.info.size);
    while ((got = read(source, buffer, FILE_WIRE_CHUNK)) > 0) {
        r = content_hash_add(hash, buffer, (size_t)got);
        if (r >= 0)
            r = write_fd(job, buffer, (size_t)got);
        if (r < 0)
            return fail(job, r, "cannot write the content");
        atomic_fetch_add(&job->done, (uint_fast64_t)got);
    }
    if (got < 0)
        return fail(job, -errno, "cannot read the file");
    r = content_hash_end(hash, sum);
    if (r < 0)
        return fail(job, r, "cannot hash");
    if (job->end.info.has_sha256 && memcmp(sum, job->end.info.sha256, sizeof(sum)) != 0)
        return fail_store(job, -EBADMSG, &(struct upload_refusal){0});
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
    _cleanup_hash_ EVP_MD_CTX *hash = content_hash_new();

    if (!hash)
        return fail(job, -ENOMEM, "cannot hash");
    for (;;) {
        ssize_t got = read_fd(job, buffer, content_chunk_size(job));
        if (got == -EAGAIN)
            got = 0;
        else if (got < 0)
            return fail(job, (int)got, "cannot read the content");
        else if (got == 0)
            return content_hash_end(hash, sum);
        int r = content_hash_add(hash, buffer, (size_t)got);
        if (r >= 0)
            r = content_send_chunk(job, buffer, (size_t)got);
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
    int r = content_send_frame(job->conn, file_wire_put(&job->offer));

    if (r >= 0)
        r = content_receive_frame(job, content_answer_deadline(), &answer, &size);
    if (r < 0)
        return fail_connection(job, r);
    if (!file_wire_is(answer, "go"))
        return take_stored(job, answer);
    r = send_content(job, buffer, sum);
    if (job->end.r < 0)
        return job->end.r;
    if (r >= 0)
        r = content_send_frame(job->conn, file_wire_done(sum));
    /* Where sending failed the other node may have said why before it closed. */
    usec_t until = r < 0 ? content_deadline() : content_answer_deadline();
    int q = content_receive_frame(job, until, &last, &size);
    if (q < 0)
        return fail_connection(job, r < 0 ? r : q);
    return take_stored(job, last);
}

static int get_there(struct file_job *job, uint8_t *buffer)
{
    _cleanup_hash_ EVP_MD_CTX *hash = content_hash_new();
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *question = file_wire_new("get");
    uint8_t sum[FILES_HASH_SIZE], told[FILES_HASH_SIZE];
    size_t size;
    int r;

    json_add_string(question, "name", job->name);
    r = content_send_frame(job->conn, question);
    if (r >= 0)
        r = hash ? content_receive_frame(job, content_answer_deadline(), &answer, &size) : -ENOMEM;
    if (r < 0)
        return fail_connection(job, r);
    if (!file_wire_is(answer, "file") || file_wire_read_info(answer, &job->end.info) < 0)
        return take_refusal(job, answer);
    atomic_store(&job->total, job->end.info.size);
    while ((r = content_receive_chunk(job, buffer, &size, told)) > 0) {
        if (size > job->end.info.size - atomic_load(&job->done))
            return fail_store(job, -EBADMSG, &(struct upload_refusal){0});
        r = content_hash_add(hash, buffer, size);
        if (r >= 0)
            r = write_fd(job, buffer, size);
        if (r < 0)
            return fail(job, r, "cannot write the content");
        atomic_fetch_add(&job->done, (uint_fast64_t)size);
    }
    if (r < 0)
        return fail_connection(job, r);
    /* As it was sent, and as it was when it was stored there: a disk may have changed it since. */
    if (content_hash_end(hash, sum) < 0 || memcmp(sum, told, sizeof(sum)) != 0 ||
        (job->end.info.has_sha256 && memcmp(sum, job->end.info.sha256, sizeof(sum)) != 0) ||
        atomic_load(&job->done) != job->end.info.size)
        return fail_store(job, -EBADMSG, &(struct upload_refusal){0});
    memcpy(job->end.info.sha256, sum, sizeof(sum));
    job->end.info.has_sha256 = true;
    return 0;
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
    file_job_drop_conn(job);
    job->end.elapsed_usec = conn_now() - started;
}

/* --- Life --- */

struct file_job *file_job_new(struct files *files, struct file_paces *paces, int fd,
                              usec_t idle_usec)
{
    struct file_job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->files = files;
    job->paces = paces;
    job->fd = fd;
    job->guard_fd = -EBADF;
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
    close_fd(job->guard_fd);
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
