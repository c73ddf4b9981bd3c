/* SPDX-License-Identifier: MIT */
#include "transfer/file_content.h"

#include <time.h>
#include "net/frame.h"

#define PATIENCE_USEC                                                                              \
    (30 * USEC_PER_SEC) /* for one chunk, either way: slower than 8 KiB/s is broken off */

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

bool file_job_is_cancelled(struct file_job *job)
{
    return atomic_load(&job->is_cancelled);
}

usec_t content_deadline(void)
{
    return conn_now() + PATIENCE_USEC;
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
    int r = frame ? frame_send(job->conn, frame, size, content_deadline()) : -ENOMEM;

    keep_pace(job->pace, size);
    return r < 0 ? r : conn_write(job->conn, data, size, content_deadline());
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
    if (file_wire_is(frame, "data")) {
        keep_pace(job->pace, *ret_size);
        r = conn_read_exactly(job->conn, buffer, *ret_size, content_deadline());
        return r < 0 ? r : 1;
    }
    return file_wire_read_done(frame, hash);
}

void file_job_drop_conn(struct file_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->conn = conn_free(job->conn);
    pthread_mutex_unlock(&job->lock);
}
