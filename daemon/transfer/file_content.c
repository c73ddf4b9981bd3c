/* SPDX-License-Identifier: MIT */
#include "transfer/file_content.h"

#include <time.h>
#include "net/frame.h"

#define PATIENCE_USEC        (30 * USEC_PER_SEC) /* without one byte of what is to come */
#define ANSWER_PATIENCE_USEC (10 * USEC_PER_MIN)
#define PACE_STEP_USEC       (200 * USEC_PER_MSEC) /* then a cancelled job is noticed */
#define PACE_CHUNKS          16                    /* in a second, of all transfers together */
#define PACE_CHUNK_MIN       ((size_t)64)
#define PIECE_SIZE           ((size_t)16 * 1024) /* what has to be moved before patience ends */

EVP_MD_CTX *content_hash_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
        return context;
    EVP_MD_CTX_free(context);
    return NULL;
}

int content_hash_add(EVP_MD_CTX *context, const void *data, size_t size)
{
    return EVP_DigestUpdate(context, data, size) == 1 ? 0 : -EIO;
}

int content_hash_end(EVP_MD_CTX *context, uint8_t ret[static FILES_HASH_SIZE])
{
    return EVP_DigestFinal_ex(context, ret, NULL) == 1 ? 0 : -EIO;
}

bool file_job_is_cancelled(struct file_job *job)
{
    return atomic_load(&job->is_cancelled);
}

/* Waits until @size bytes may go. Return: 0, -ECANCELED. */
static int keep_pace(struct file_job *job, struct file_pace *pace, size_t size)
{
    usec_t now = conn_now(), at;
    uint64_t rate = atomic_load(&pace->rate);

    if (rate == 0)
        return 0;
    pthread_mutex_lock(&pace->lock);
    at = MAX(now, pace->next_usec);
    pace->next_usec = at + size * USEC_PER_SEC / rate;
    pthread_mutex_unlock(&pace->lock);
    for (; now < at && !file_job_is_cancelled(job); now = conn_now()) {
        usec_t step = MIN(at, now + PACE_STEP_USEC);
        struct timespec until = {.tv_sec = (time_t)(step / USEC_PER_SEC),
                                 .tv_nsec = (long)(step % USEC_PER_SEC * 1000)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    return file_job_is_cancelled(job) ? -ECANCELED : 0;
}

usec_t content_deadline(void)
{
    return conn_now() + PATIENCE_USEC;
}

usec_t content_answer_deadline(void)
{
    return conn_now() + ANSWER_PATIENCE_USEC;
}

size_t content_chunk_size(const struct file_job *job)
{
    uint64_t rate = atomic_load(&job->paces->out.rate);

    return rate == 0 ? FILE_WIRE_CHUNK
                     : (size_t)CLAMP(rate / PACE_CHUNKS, PACE_CHUNK_MIN, FILE_WIRE_CHUNK);
}

int content_send_frame(struct conn *conn, cJSON *frame)
{
    int r = frame ? frame_send(conn, frame, 0, content_deadline()) : -ENOMEM;

    cJSON_Delete(frame);
    return r;
}

int content_send_chunk(struct file_job *job, const uint8_t *data, size_t size)
{
    _cleanup_json_ cJSON *frame = file_wire_new("data");
    int r = keep_pace(job, &job->paces->out, size);

    if (r >= 0)
        r = frame ? frame_send(job->conn, frame, size, content_deadline()) : -ENOMEM;
    for (size_t done = 0; r >= 0 && done < size; done += PIECE_SIZE)
        r = conn_write(job->conn, data + done, MIN(PIECE_SIZE, size - done), content_deadline());
    return r;
}

/* A frame that carries no bytes, or the header of one that does. Return: 0, or why there is none.
 */
int content_receive_frame(struct file_job *job, usec_t until, cJSON **ret, size_t *ret_size)
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

/* Return: 1 for a chunk in @buffer, 0 at the end with the sender's hash, negative as usual. */
int content_receive_chunk(struct file_job *job, uint8_t *buffer, size_t *ret_size,
                          uint8_t hash[static FILES_HASH_SIZE])
{
    _cleanup_json_ cJSON *frame = NULL;
    int r = content_receive_frame(job, content_deadline(), &frame, ret_size);

    if (r < 0)
        return r;
    if (!file_wire_is(frame, "data"))
        return file_wire_read_done(frame, hash);
    for (size_t done = 0; done < *ret_size;) {
        ssize_t got = conn_read(job->conn, buffer + done, *ret_size - done, content_deadline());
        if (got <= 0)
            return got < 0 ? (int)got : -ECONNRESET;
        done += (size_t)got;
        r = keep_pace(job, &job->paces->in, (size_t)got);
        if (r < 0)
            return r;
    }
    return 1;
}

void file_job_drop_conn(struct file_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->conn = conn_free(job->conn);
    pthread_mutex_unlock(&job->lock);
}
