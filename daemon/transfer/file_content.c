/* SPDX-License-Identifier: MIT */
#include "transfer/file_content.h"

#include <time.h>
#include "net/frame.h"
#include "store/hasher.h"

#define PACE_STEP_USEC (200 * USEC_PER_MSEC) /* then a cancelled job is noticed */
#define PACE_CHUNKS    16                    /* in a second, of all transfers together */
#define PACE_CHUNK_MIN ((size_t)64)
#define PIECE_SIZE     ((size_t)16 * 1024) /* what has to be moved before patience ends */

bool file_job_is_cancelled(struct file_job *job)
{
    return atomic_load(&job->is_cancelled);
}

/* When @size bytes of @pace may go. */
static usec_t take_turn(struct file_pace *pace, usec_t now, size_t size)
{
    uint64_t rate = atomic_load(&pace->rate);

    if (rate == 0)
        return now;
    pthread_mutex_lock(&pace->lock);
    usec_t at = MAX(now, pace->next_usec);
    pace->next_usec = at + size * USEC_PER_SEC / rate;
    pthread_mutex_unlock(&pace->lock);
    return at;
}

/* Waits until @size bytes may go, by the node's pace and by the job's own. Return: 0, -ECANCELED,
 * or as conn_write. */
static int keep_pace(struct file_job *job, struct file_pace *pace, size_t size)
{
    usec_t now, at, own, told;

    if (atomic_load(&pace->rate) == 0 && atomic_load(&job->pace.rate) == 0)
        return 0;
    now = conn_now();
    at = take_turn(pace, now, size);
    own = take_turn(&job->pace, now, size);
    at = MAX(at, own);
    told = now;
    for (; now < at && !file_job_is_cancelled(job); now = conn_now()) {
        if (pace == &job->paces->in && now >= usec_add(told, content_alive_interval(job))) {
            int r = content_tell_alive(job);
            if (r < 0)
                return r;
            told = now;
        }
        usec_t step = MIN(at, now + PACE_STEP_USEC);
        struct timespec until = {.tv_sec = (time_t)(step / USEC_PER_SEC),
                                 .tv_nsec = (long)(step % USEC_PER_SEC * 1000)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    return file_job_is_cancelled(job) ? -ECANCELED : 0;
}

usec_t content_deadline(const struct file_job *job)
{
    return conn_now() + job->paces->patience_usec;
}

size_t content_chunk_size(const struct file_job *job)
{
    uint64_t rate = atomic_load(&job->paces->out.rate), own = atomic_load(&job->pace.rate);

    if (own > 0 && (rate == 0 || own < rate))
        rate = own;
    return rate == 0 ? FILE_WIRE_CHUNK
                     : (size_t)CLAMP(rate / PACE_CHUNKS, PACE_CHUNK_MIN, FILE_WIRE_CHUNK);
}

int content_send_frame(struct file_job *job, cJSON *frame)
{
    int r = frame ? frame_send(job->conn, frame, 0, content_deadline(job)) : -ENOMEM;

    cJSON_Delete(frame);
    return r;
}

usec_t content_alive_interval(const struct file_job *job)
{
    return job->paces->patience_usec / 3;
}

int content_tell_alive(struct file_job *job)
{
    job->has_told = true;
    return content_send_frame(job, file_wire_new("wait"));
}

/* Whether the other side, which takes nothing, said meanwhile that it has to be waited for. */
static bool is_told_to_wait(struct file_job *job)
{
    bool is_told = false;

    while (conn_wait(job->conn, conn_now()) == 0) {
        _cleanup_json_ cJSON *frame = NULL;
        size_t size;
        if (content_receive_frame(job, conn_now() + USEC_PER_SEC, &frame, &size) < 0 ||
            !file_wire_is(frame, "wait"))
            return false;
        is_told = true;
    }
    return is_told;
}

static int write_piece(struct file_job *job, const uint8_t *data, size_t size)
{
    usec_t started;
    size_t gone;
    int r;

    do {
        started = conn_now();
        r = conn_write_some(job->conn, data, size, content_deadline(job), &gone);
        data += gone;
        size -= gone;
    } while (r == -ETIMEDOUT && is_told_to_wait(job));
    /* Its patience may have ended first, with what the network had kept from it. */
    usec_t stalled = usec_sub(conn_now(), started);
    if ((r != -EPIPE && r != -ECONNRESET) || stalled < job->paces->patience_usec / 2)
        return r;
    job->stalled_usec = stalled;
    return -ETIMEDOUT;
}

static int write_pieces(struct file_job *job, const uint8_t *data, size_t size)
{
    int r = 0;

    for (size_t done = 0; r >= 0 && done < size; done += PIECE_SIZE) {
        size_t piece = MIN(PIECE_SIZE, size - done);
        r = write_piece(job, data + done, piece);
        atomic_fetch_add(&job->moved, (uint_fast64_t)piece);
    }
    return r;
}

int content_send_chunk(struct file_job *job, const uint8_t *data, size_t size)
{
    _cleanup_json_ cJSON *frame = file_wire_new("data");
    _cleanup_free_ uint8_t *header = NULL;
    size_t header_size;
    int r = keep_pace(job, &job->paces->out, size);

    if (r >= 0)
        r = frame ? frame_format(frame, size, &header, &header_size) : -ENOMEM;
    if (r >= 0)
        r = write_piece(job, header, header_size);
    return r < 0 ? r : write_pieces(job, data, size);
}

/* Whether the body is of many files. */
static bool is_of_many(const cJSON *frame)
{
    static const char *const ops[] = {"pack", "packed", "fetch", "fetched"};

    for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
        if (file_wire_is(frame, ops[i]))
            return true;
    return false;
}

/* A frame that carries no bytes, or the header of one that does. Return: 0, or why there is none.
 */
int content_receive_frame(struct file_job *job, usec_t until, cJSON **ret, size_t *ret_size)
{
    uint64_t size;
    int r = frame_receive(job->conn, until, ret, &size);

    if (r <= 0)
        return r < 0 ? r : -ECONNRESET;
    if (size > (is_of_many(*ret) ? FILE_WIRE_PACK_MAX : FILE_WIRE_CHUNK)) {
        cJSON_Delete(*ret);
        *ret = NULL;
        return -EMSGSIZE;
    }
    *ret_size = (size_t)size;
    return 0;
}

static void set_working(struct file_job *job, bool is_working)
{
    pthread_mutex_lock(&job->lock);
    job->is_working = is_working;
    job->told_usec = conn_now();
    pthread_mutex_unlock(&job->lock);
}

void content_begin_work(struct file_job *job)
{
    set_working(job, true);
}

void content_end_work(struct file_job *job)
{
    set_working(job, false);
}

int content_receive_answer(struct file_job *job, enum content_answer kind, cJSON **ret,
                           size_t *ret_size)
{
    usec_t patience = kind == CONTENT_STILL ? job->still_usec : job->paces->patience_usec;

    for (;;) {
        _cleanup_json_ cJSON *frame = NULL;
        int r = content_receive_frame(job, conn_now() + patience, &frame, ret_size);
        bool is_put_off = r >= 0 && file_wire_is(frame, "wait");
        atomic_store(&job->is_put_off, is_put_off && kind != CONTENT_LAST_ANSWER);
        if (is_put_off)
            continue;
        if (r >= 0)
            *ret = TAKE_PTR(frame);
        return r;
    }
}

int content_receive_body(struct file_job *job, uint8_t *buffer, size_t size)
{
    usec_t deadline = content_deadline(job);
    size_t due = PIECE_SIZE; /* what has to be there until then */

    for (size_t done = 0; done < size;) {
        ssize_t got = conn_read(job->conn, buffer + done, size - done, deadline);
        if (got <= 0)
            return got < 0 ? (int)got : -ECONNRESET;
        done += (size_t)got;
        atomic_fetch_add(&job->moved, (uint_fast64_t)got);
        usec_t slept = conn_now();
        int r = keep_pace(job, &job->paces->in, (size_t)got);
        if (r < 0)
            return r;
        deadline += usec_sub(conn_now(), slept);
        if (done >= due) {
            deadline = content_deadline(job);
            due = done + PIECE_SIZE;
        }
    }
    return 0;
}

/* Whether what came in the time since @started is progress. Return: 0, -ETIME. */
static int check_progress(struct file_job *job, usec_t started, size_t size)
{
    job->waited_usec += usec_sub(conn_now(), started);
    job->waited_size += size;
    if (job->waited_size < CONTENT_PROGRESS)
        return job->waited_usec > 2 * job->paces->patience_usec ? -ETIME : 0;
    job->waited_usec = 0;
    job->waited_size = 0;
    return 0;
}

int content_receive_chunk(struct file_job *job, bool may_pause, uint8_t *buffer, size_t *ret_size,
                          struct content_end *end)
{
    _cleanup_json_ cJSON *frame = NULL;
    usec_t started = conn_now();
    int r = content_receive_frame(job, content_deadline(job), &frame, ret_size);

    if (r < 0)
        return r;
    if (file_wire_is(frame, "data")) {
        r = may_pause ? 0 : check_progress(job, started, *ret_size);
        if (r >= 0)
            r = content_receive_body(job, buffer, *ret_size);
        return r < 0 ? r : 1;
    }
    r = file_wire_read_done(frame, end->sha256);
    if (r < 0)
        return r;
    end->has_sha256 = r > 0;
    return 0;
}

int content_send_body(struct file_job *job, const uint8_t *data, size_t size)
{
    size_t step = content_chunk_size(job);
    int r = 0;

    for (size_t done = 0; r >= 0 && done < size; done += step) {
        size_t piece = MIN(step, size - done);
        r = keep_pace(job, &job->paces->out, piece);
        if (r >= 0)
            r = write_pieces(job, data + done, piece);
    }
    return r;
}

void file_job_drop_conn(struct file_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->conn = conn_free(job->conn);
    pthread_mutex_unlock(&job->lock);
}
