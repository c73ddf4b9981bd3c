/* SPDX-License-Identifier: MIT */
#include "transfer/file_job.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/text.h"
#include "net/frame.h"
#include "transfer/file_client.h"
#include "transfer/file_content.h"
#include "transfer/file_fd.h"
#include "transfer/file_fetch.h"
#include "transfer/file_pack.h"
#include "transfer/refusal.h"

/* --- Ends --- */

int file_job_fail(struct file_job *job, int r, const char *what)
{
    job->end.r = r;
    snprintf(job->end.reason, sizeof(job->end.reason), "%s: %s", what, strerror(-r));
    return r;
}

int file_job_fail_changed(struct file_job *job, const char *name)
{
    char text[FILE_WIRE_REASON_MAX];

    job->end.r = -ESTALE;
    snprintf(job->end.reason, sizeof(job->end.reason), "%s",
             refusal_explain(-ESTALE, name, &(struct upload_refusal){0}, text));
    return -ESTALE;
}

bool file_job_is_exact(const struct file_job *job)
{
    return !job->conn || conn_is_sealed(job->conn);
}

int file_job_fail_connection(struct file_job *job, int r)
{
    char span[32];

    if (r == -ETIMEDOUT || r == -ETIME) {
        usec_t patience = job->stalled_usec > 0 ? job->stalled_usec : job->paces->patience_usec;
        job->end.r = -EHOSTUNREACH;
        text_format_usec(r == -ETIME ? 2 * patience : patience, span);
        if (r == -ETIME)
            snprintf(job->end.reason, sizeof(job->end.reason),
                     "the other node is too slow: less than %zu bytes came in %s", CONTENT_PROGRESS,
                     span);
        else
            snprintf(job->end.reason, sizeof(job->end.reason),
                     "the other node has stalled: it neither sent nor took anything for %s", span);
        return job->end.r;
    }
    return file_job_fail(job, r == -EPIPE ? -ECONNRESET : r,
                         "the connection to the other node failed");
}

/* What the other node says instead of going on. */
int file_job_take_refusal(struct file_job *job, const cJSON *frame)
{
    char reason[FILE_WIRE_REASON_MAX];

    if (!file_wire_is(frame, "error"))
        return file_job_fail(job, -EBADMSG, "the other node broke the protocol");
    job->end.r = file_wire_read_error(frame, reason);
    snprintf(job->end.reason, sizeof(job->end.reason), "%s", reason);
    return job->end.r;
}

/* --- Here: between the descriptor and the own store --- */

static int agree_here(struct file_job *job, struct upload *upload)
{
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    uint64_t offset = upload_get_resumed(upload);
    uint8_t hash[FILES_HASH_SIZE];

    if (offset == 0)
        return 0;
    int r = hasher_new(&hasher);
    if (r >= 0)
        r = upload_get_hash(upload, hash);
    if (r >= 0)
        r = client_begins_with(job, hasher, offset, hash);
    return r != 0 ? MIN(r, 0) : upload_restart(upload);
}

/* Return: 0 at the end of the source, or as file_job_fail. */
static int fill_upload(struct file_job *job, struct upload *upload)
{
    struct upload_refusal refusal = {0};
    uint8_t *buffer;

    for (;;) {
        int r = upload_get_buffer(upload, &buffer);
        ssize_t got = r < 0 ? r : file_fd_read(job, buffer, UPLOAD_BUFFER_SIZE);
        if (got == -EAGAIN)
            continue;
        if (got < 0)
            return file_job_fail(job, (int)got, "cannot read the content");
        if (got == 0)
            return client_check_source(job);
        r = upload_write(upload, buffer, (size_t)got);
        if (r < 0) {
            upload_get_refusal(upload, &refusal);
            return client_fail_store(job, r, &refusal);
        }
        atomic_fetch_add(&job->done, (uint_fast64_t)got);
    }
}

static int put_here(struct file_job *job)
{
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct upload_refusal refusal = {0};
    int r = upload_new(job->files, &job->offer, &refusal, &upload);

    if (r == UPLOAD_KEPT) {
        job->end.r = r;
        return files_stat(job->files, job->name, &job->end.info);
    }
    if (r == -EEXIST &&
        files_stat_hashed(job->files, job->name, job->offer.size, job->offer.is_over,
                          &job->end.info) >= 0 &&
        client_keep_same(job, &job->end.info) == 0)
        return 0;
    if (r < 0)
        return client_fail_store(job, r, &refusal);
    r = agree_here(job, upload);
    if (r < 0)
        return file_job_fail(job, r, "cannot go on with the content");
    r = fill_upload(job, upload);
    if (r < 0)
        return r;
    r = upload_commit(upload, job->has_sha256 ? job->sha256 : NULL, &job->end.info);
    if (r == -EBADMSG)
        return file_job_fail_changed(job, job->stored);
    if (r < 0) {
        upload_get_refusal(upload, &refusal);
        return client_fail_store(job, r, &refusal);
    }
    job->end.r = r;
    return r == UPLOAD_KEPT ? files_stat(job->files, job->name, &job->end.info) : r;
}

static int get_here(struct file_job *job, uint8_t *buffers)
{
    _cleanup_(hasher_freep) struct hasher *hasher = NULL, *own = NULL;
    _cleanup_close_ int source = -EBADF;
    uint8_t hash[FILES_HASH_SIZE], sum[FILES_HASH_SIZE];
    uint64_t offset;
    size_t i = 0;
    ssize_t got;
    int r = hasher_new(&hasher);

    if (r >= 0)
        r = hasher_new(&own);
    if (r >= 0)
        r = files_open_read(job->files, job->name, &source, &job->end.info);
    if (r == -ESTALE)
        return file_job_fail_changed(job, job->name);
    if (r < 0)
        return file_job_fail(job, r, "cannot open the file");
    atomic_store(&job->total, job->end.info.size);
    r = client_look(job, hasher, &offset, hash);
    if (r < 0)
        return r;
    bool is_same = offset > 0 && offset <= job->end.info.size &&
                   hasher_add_file(own, source, offset, &job->is_cancelled) >= 0 &&
                   hasher_get(own, sum) >= 0 && memcmp(sum, hash, sizeof(sum)) == 0 &&
                   lseek(source, (off_t)offset, SEEK_SET) >= 0;
    r = client_begin(job, hasher, is_same ? offset : 0);
    for (; r >= 0; i = hasher_next(i)) {
        uint8_t *data = buffers + i * FILE_WIRE_CHUNK;
        got = read(source, data, FILE_WIRE_CHUNK);
        if (got == 0)
            break;
        r = got < 0 ? file_job_fail(job, -errno, "cannot read the file")
                    : client_take(job, hasher, data, (size_t)got);
    }
    return r < 0 ? r : client_check(job, hasher, &(struct content_end){0});
}

/* --- There: between the descriptor and another node's store --- */

/* The answer to a put, before or after its content. */
static int take_stored(struct file_job *job, const cJSON *frame)
{
    if (!file_wire_is(frame, "stored") && !file_wire_is(frame, "kept")) {
        struct files_info stored;
        int q = file_job_take_refusal(job, frame);
        if (q == -EEXIST && file_wire_read_info(frame, &stored) >= 0 &&
            client_keep_same(job, &stored) == 0)
            return 0;
        /* Nothing becomes damaged under way: it has been so in the own store. */
        return file_wire_says_damaged(frame) && job->has_sha256 && file_job_is_exact(job)
                   ? file_job_fail_changed(job, job->stored)
                   : q;
    }
    int r = file_wire_read_info(frame, &job->end.info);
    if (r < 0)
        return file_job_fail(job, r, "the other node broke the protocol");
    job->end.r = file_wire_is(frame, "kept") ? UPLOAD_KEPT : 0;
    job->is_reusable = true;
    return 0;
}

/* Says from where on the content comes. Return: 0, or as conn_write and hasher_add_file. */
static int agree_there(struct file_job *job, struct hasher *hasher, const cJSON *go)
{
    uint8_t hash[FILES_HASH_SIZE];
    uint64_t offset;
    int r = file_wire_read_offset(go, &offset, hash);

    if (r < 0 || offset == 0)
        return r;
    if (!job->offer.is_resumable || offset > job->offer.size)
        return -EBADMSG;
    content_begin_work(job);
    r = client_begins_with(job, hasher, offset, hash);
    content_end_work(job);
    if (r < 0)
        return r;
    if (r == 0)
        (void)hasher_reset(hasher);
    cJSON *frame = file_wire_new("from");
    json_add_u64(frame, "offset", r > 0 ? offset : 0);
    return content_send_frame(job, frame);
}

/* Return: 0 when all has gone; below that either the job has failed, or sending did. */
static int send_content(struct file_job *job, struct hasher *hasher, uint8_t *buffers)
{
    bool is_hashed = !conn_is_sealed(job->conn);
    uint8_t sum[FILES_HASH_SIZE];

    for (size_t i = 0;; i = hasher_next(i)) {
        uint8_t *data = buffers + i * FILE_WIRE_CHUNK;
        ssize_t got = file_fd_read(job, data, content_chunk_size(job));
        if (got == -EAGAIN)
            got = 0;
        else if (got < 0)
            return file_job_fail(job, (int)got, "cannot read the content");
        else if (got == 0)
            break;
        int r = is_hashed ? hasher_add(hasher, data, (size_t)got) : 0;
        if (r >= 0)
            r = content_send_chunk(job, data, (size_t)got);
        if (r < 0)
            return r;
        atomic_fetch_add(&job->done, (uint_fast64_t)got);
    }
    int r = client_check_source(job);
    if (r >= 0 && is_hashed)
        r = hasher_get(hasher, sum);
    if (r < 0)
        return r;
    return content_send_frame(job, file_wire_done(job->has_sha256 ? job->sha256
                                                  : is_hashed     ? sum
                                                                  : NULL));
}

static int put_there(struct file_job *job, uint8_t *buffers)
{
    _cleanup_json_ cJSON *answer = NULL, *last = NULL;
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    size_t size;
    int r = hasher_new(&hasher);

    if (r >= 0)
        r = content_send_frame(job, file_wire_put(&job->offer));
    if (r >= 0)
        r = content_receive_answer(job, CONTENT_FIRST_ANSWER, &answer, &size);
    if (r < 0)
        return file_job_fail_connection(job, r);
    if (!file_wire_is(answer, "go"))
        return take_stored(job, answer);
    r = agree_there(job, hasher, answer);
    if (r < 0)
        return file_job_fail_connection(job, r);
    r = send_content(job, hasher, buffers);
    if (job->end.r < 0)
        return job->end.r;
    if (r == -ETIMEDOUT)
        return file_job_fail_connection(job, r);
    /* Where sending failed the other node may have said why before it closed. */
    int q = content_receive_answer(job, CONTENT_LAST_ANSWER, &last, &size);
    if (q < 0)
        return file_job_fail_connection(job, r < 0 ? r : q);
    return take_stored(job, last);
}

/* Return: 0 at the end of the content; or as file_job_fail. */
static int receive_content(struct file_job *job, struct hasher *hasher, uint8_t *buffers)
{
    struct content_end end = {0};
    size_t size;
    int r;

    for (size_t i = 0;; i = hasher_next(i)) {
        uint8_t *data = buffers + i * FILE_WIRE_CHUNK;
        r = content_receive_chunk(job, false, data, &size, &end);
        if (r <= 0)
            break;
        if (size > job->end.info.size - atomic_load(&job->done))
            return client_fail_store(job, -EBADMSG, &(struct upload_refusal){0});
        r = client_take(job, hasher, data, size);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return file_job_fail_connection(job, r);
    /* An older node takes for a question what it left unread. */
    job->is_reusable = !job->has_told;
    return client_check(job, hasher, &end);
}

static int get_there(struct file_job *job, uint8_t *buffers)
{
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    cJSON *question = file_wire_new("get");
    uint8_t hash[FILES_HASH_SIZE];
    uint64_t offset, agreed = 0;
    size_t size;
    int r = hasher_new(&hasher);

    json_add_string(question, "name", job->name);
    if (r >= 0)
        r = client_look(job, hasher, &offset, hash);
    if (r < 0) {
        cJSON_Delete(question);
        return job->end.r < 0 ? r : file_job_fail(job, r, "cannot hash");
    }
    file_wire_add_offset(question, offset, hash);
    r = content_send_frame(job, question);
    if (r >= 0)
        r = content_receive_answer(job, CONTENT_FIRST_ANSWER, &answer, &size);
    if (r < 0)
        return file_job_fail_connection(job, r);
    if (!file_wire_is(answer, "file") || file_wire_read_info(answer, &job->end.info) < 0)
        return file_job_take_refusal(job, answer);
    if (json_get_u64(answer, "offset", job->end.info.size, &agreed) < 0 ||
        (agreed > 0 && agreed != offset))
        return file_job_fail(job, -EBADMSG, "the other node broke the protocol");
    atomic_store(&job->total, job->end.info.size);
    hasher_set_movers(hasher, conn_is_near(job->conn) ? 2 : 1);
    r = client_begin(job, hasher, agreed);
    return r < 0 ? r : receive_content(job, hasher, buffers);
}

/* --- Running --- */

/* Whether a connection that was used before still goes to somebody. */
static bool is_answered(struct file_job *job)
{
    _cleanup_json_ cJSON *answer = NULL;
    size_t size;

    return content_send_frame(job, file_wire_new("still")) >= 0 &&
           content_receive_answer(job, CONTENT_STILL, &answer, &size) >= 0 &&
           file_wire_is(answer, "still");
}

/* What is put is a file of the own store. */
static int open_stored(struct file_job *job)
{
    struct files_info info;

    close_fd(job->fd);
    int r = files_open_read(job->files, job->stored, &job->fd, &info);
    if (r < 0) {
        job->fd = -EBADF;
        return r == -ESTALE ? file_job_fail_changed(job, job->stored)
                            : file_job_fail(job, r, "cannot open the file");
    }
    memcpy(job->sha256, info.sha256, sizeof(job->sha256));
    job->has_sha256 = info.has_sha256;
    job->offer.is_hashed_later = job->offer.is_hashed_later && !info.has_sha256;
    job->offer.size = info.size;
    job->offer.modified_wall_usec = info.modified_wall_usec;
    job->offer.is_executable = info.is_executable;
    job->offer.mode = info.mode;
    atomic_store(&job->total, info.size);
    return 0;
}

/* What the descriptor is, which is the same when the job has to run again. */
static void look_at_fd(struct file_job *job)
{
    job->is_regular = fstat(job->fd, &job->source) == 0 && S_ISREG(job->source.st_mode);
    /* What begins in the middle of a file is not found again. */
    if (!job->is_regular || lseek(job->fd, 0, SEEK_CUR) != 0)
        job->offer.is_resumable = false;
}

static void run(struct file_job *job, uint8_t *buffers)
{
    if (job->stored && open_stored(job) < 0)
        return;
    look_at_fd(job);
    if (job->count > 0)
        (void)(job->is_put ? file_pack_put(job) : file_fetch_get(job));
    else if (job->conn)
        (void)(job->is_put ? put_there(job, buffers) : get_there(job, buffers));
    else
        (void)(job->is_put ? put_here(job) : get_here(job, buffers));
}

void file_job_run(struct file_job *job)
{
    _cleanup_free_ uint8_t *buffers = malloc(HASHER_BUFFERS * FILE_WIRE_CHUNK);
    usec_t started = conn_now();

    job->is_reusable = false;
    job->is_stale = job->is_reused && !is_answered(job) && !file_job_is_cancelled(job);
    if (!buffers)
        (void)file_job_fail(job, -ENOMEM, "cannot transfer");
    else if (!job->is_stale)
        run(job, buffers);
    if (job->conn && !job->is_reusable) {
        if (job->end.r >= 0 && !job->is_stale)
            (void)conn_close(job->conn, conn_now() + USEC_PER_SEC);
        file_job_drop_conn(job);
    }
    job->end.elapsed_usec = conn_now() - started;
    job->end.resumed = atomic_load(&job->resumed);
    job->end.owner = job->owner;
    job->end.list = job->list;
    job->end.count = job->count;
}

/* --- Life --- */

struct file_job *file_job_new(struct files *files, struct file_paces *paces, int fd)
{
    struct file_job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->files = files;
    job->paces = paces;
    job->fd = fd;
    job->guard_fd = -EBADF;
    atomic_store(&job->total, FILES_SIZE_UNKNOWN);
    pthread_mutex_init(&job->lock, NULL);
    pthread_mutex_init(&job->pace.lock, NULL);
    return job;
}

struct file_job *file_job_free(struct file_job *job)
{
    if (!job)
        return NULL;
    conn_free(job->conn);
    close_fd(job->fd);
    close_fd(job->guard_fd);
    pthread_mutex_destroy(&job->pace.lock);
    pthread_mutex_destroy(&job->lock);
    transfer_list_free(job->list, job->count);
    free(job->stored);
    free(job->name);
    free(job->owner);
    free(job);
    return NULL;
}

void file_job_tell(struct file_job *job, usec_t interval_usec)
{
    usec_t now = conn_now();

    pthread_mutex_lock(&job->lock);
    if (job->is_working && job->conn && now >= usec_add(job->told_usec, interval_usec)) {
        _cleanup_json_ cJSON *frame = file_wire_new("wait");
        job->told_usec = now;
        /* Nothing else is being written there: half of a frame means that nobody reads. */
        if (frame && frame_send(job->conn, frame, 0, now) < 0)
            conn_abort(job->conn);
    }
    pthread_mutex_unlock(&job->lock);
}

void file_job_cancel(struct file_job *job)
{
    atomic_store(&job->is_cancelled, true);
    pthread_mutex_lock(&job->lock);
    if (job->conn)
        conn_abort(job->conn);
    pthread_mutex_unlock(&job->lock);
}
