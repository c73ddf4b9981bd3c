/* SPDX-License-Identifier: MIT */
#include "transfer/file_fd.h"

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include "transfer/file_content.h"

#define POLL_MSEC 200

int file_fd_errno(void)
{
    return errno == ESTALE || errno == EINVAL ? -EIO : -errno;
}

/*
 * Waits until the descriptor can be read or written; a client's pipe may stay silent for ever.
 * Return: 0; -EAGAIN at the deadline; -ECANCELED; what poll said.
 */
static int wait_for(struct file_job *job, short events, usec_t deadline_usec)
{
    struct pollfd pollfd = {.fd = job->fd, .events = events};

    if (job->is_regular)
        return file_job_is_cancelled(job) ? -ECANCELED : 0;
    while (!file_job_is_cancelled(job)) {
        if (conn_now() >= deadline_usec)
            return -EAGAIN;
        int r = poll(&pollfd, 1, POLL_MSEC);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return file_fd_errno();
    }
    return -ECANCELED;
}

static bool has_hung_up(const struct file_job *job)
{
    struct pollfd pollfd = {.fd = job->guard_fd};

    return job->guard_fd >= 0 && poll(&pollfd, 1, 0) > 0;
}

ssize_t file_fd_read(struct file_job *job, uint8_t *data, size_t size)
{
    usec_t deadline = usec_add(conn_now(), content_alive_interval(job));
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
            return file_fd_errno();
        done += (size_t)MAX(got, (ssize_t)0);
    }
    return (ssize_t)done;
}

int file_fd_write(struct file_job *job, const uint8_t *data, size_t size)
{
    /* A pipe that is ready takes so much without waiting; only poll can be broken off. */
    size_t step = job->is_regular ? size : PIPE_BUF;

    while (size > 0) {
        int r = wait_for(job, POLLOUT, usec_add(conn_now(), content_alive_interval(job)));
        if (r == -EAGAIN && (r = job->conn ? content_tell_alive(job) : 0) >= 0)
            continue;
        if (r < 0)
            return r;
        ssize_t put = write(job->fd, data, MIN(size, step));
        if (put < 0 && errno != EINTR && errno != EAGAIN)
            return file_fd_errno();
        data += MAX(put, (ssize_t)0);
        size -= (size_t)MAX(put, (ssize_t)0);
    }
    return 0;
}

int file_fd_write_pieces(struct file_job *job, struct iovec *pieces, size_t count)
{
    while (count > 0) {
        if (file_job_is_cancelled(job))
            return -ECANCELED;
        ssize_t put = writev(job->fd, pieces, (int)MIN(count, (size_t)IOV_MAX));
        if (put < 0 && errno != EINTR)
            return file_fd_errno();
        size_t left = (size_t)MAX(put, (ssize_t)0);
        for (; count > 0 && left >= pieces->iov_len; pieces++, count--)
            left -= pieces->iov_len;
        if (count > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + left;
            pieces->iov_len -= left;
        }
    }
    return 0;
}
