/* SPDX-License-Identifier: MIT */
#include "net/conn.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

struct conn {
    struct conn_parts parts;
};

static void release(const struct conn_parts *parts)
{
    (void)tls_link_free(parts->link);
    (void)close_fd(parts->fd);
    free(parts->early);
    if (parts->gate)
        gate_leave(parts->gate, parts->ticket);
}

int conn_new(const struct conn_parts *parts, struct conn **ret)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (!conn) {
        release(parts);
        return -ENOMEM;
    }
    conn->parts = *parts;
    *ret = conn;
    return 0;
}

struct conn *conn_free(struct conn *conn)
{
    if (conn)
        release(&conn->parts);
    free(conn);
    return NULL;
}

usec_t conn_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

/* Waits for @events (of epoll, whose values poll shares). Return: 0, -ETIMEDOUT, -ECONNRESET. */
static int wait_for(struct conn *conn, uint32_t events, usec_t deadline_usec)
{
    static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT, "same values");
    struct pollfd pollfd = {.fd = conn->parts.fd, .events = (short)events};

    for (;;) {
        usec_t left = usec_sub(deadline_usec, conn_now());
        int timeout = deadline_usec == USEC_INFINITY
                          ? -1
                          : (int)MIN(left / USEC_PER_MSEC + (left > 0), (usec_t)INT32_MAX);
        int r = poll(&pollfd, 1, timeout);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -ECONNRESET;
        if (r == 0 && conn_now() >= deadline_usec)
            return -ETIMEDOUT;
    }
}

static ssize_t read_early(struct conn_parts *parts, void *data, size_t size)
{
    size_t taken = MIN(size, parts->early_size - parts->early_used);

    memcpy(data, parts->early + parts->early_used, taken);
    parts->early_used += taken;
    if (parts->early_used == parts->early_size) {
        free(TAKE_PTR(parts->early));
        parts->early_used = parts->early_size = 0;
    }
    return (ssize_t)taken;
}

ssize_t conn_read(struct conn *conn, void *data, size_t size, usec_t deadline_usec)
{
    uint32_t events = 0;

    if (conn->parts.early)
        return read_early(&conn->parts, data, size);
    for (;;) {
        ssize_t done = tls_link_read(conn->parts.link, data, size, &events);
        if (done != -EAGAIN)
            return done;
        int r = wait_for(conn, events, deadline_usec);
        if (r < 0)
            return r;
    }
}

int conn_read_exactly(struct conn *conn, void *data, size_t size, usec_t deadline_usec)
{
    uint8_t *target = data;

    while (size > 0) {
        ssize_t done = conn_read(conn, target, size, deadline_usec);
        if (done < 0)
            return (int)done;
        if (done == 0)
            return -ECONNRESET;
        target += done;
        size -= (size_t)done;
    }
    return 0;
}

int conn_write_some(struct conn *conn, const void *data, size_t size, usec_t deadline_usec,
                    size_t *done)
{
    const uint8_t *source = data;
    uint32_t events = 0;

    for (*done = 0; *done < size;) {
        ssize_t gone = tls_link_write(conn->parts.link, source + *done, size - *done, &events);
        if (gone == -EAGAIN) {
            int r = wait_for(conn, events, deadline_usec);
            if (r < 0)
                return r;
            continue;
        }
        if (gone < 0)
            return (int)gone;
        *done += (size_t)gone;
    }
    return 0;
}

int conn_write(struct conn *conn, const void *data, size_t size, usec_t deadline_usec)
{
    size_t done;

    return conn_write_some(conn, data, size, deadline_usec, &done);
}

int conn_close(struct conn *conn, usec_t deadline_usec)
{
    uint8_t rest[4096];
    uint32_t events = 0;
    int r;

    while ((r = tls_link_shutdown(conn->parts.link, &events)) == -EAGAIN) {
        r = wait_for(conn, events, deadline_usec);
        if (r < 0)
            return r;
    }
    while (r == 0) {
        ssize_t done = conn_read(conn, rest, sizeof(rest), deadline_usec);
        if (done <= 0)
            return (int)done;
        /* A peer that goes on and on is not waited for. */
        if (conn_now() >= deadline_usec)
            r = -ETIMEDOUT;
    }
    return r;
}

void conn_abort(struct conn *conn)
{
    (void)shutdown(conn->parts.fd, SHUT_RDWR);
}

int conn_wait(struct conn *conn, usec_t deadline_usec)
{
    return conn->parts.early || tls_link_has_pending(conn->parts.link)
               ? 0
               : wait_for(conn, EPOLLIN, deadline_usec);
}

int conn_get_fd(const struct conn *conn)
{
    return conn->parts.fd;
}

struct conn *conn_end(struct conn *conn)
{
    uint32_t events;

    if (conn)
        (void)tls_link_shutdown(conn->parts.link, &events);
    return conn_free(conn);
}

bool conn_is_sealed(const struct conn *conn)
{
    return tls_link_is_sealed(conn->parts.link);
}

const struct node_id *conn_get_peer(const struct conn *conn)
{
    return tls_link_get_peer(conn->parts.link);
}

const struct address *conn_get_address(const struct conn *conn)
{
    return &conn->parts.address;
}

bool conn_is_near(const struct conn *conn)
{
    const struct address *peer = &conn->parts.address;
    struct sockaddr_storage sockaddr;
    socklen_t size = sizeof(sockaddr);
    struct address own;

    if (getsockname(conn->parts.fd, (struct sockaddr *)&sockaddr, &size) < 0 ||
        address_from_sockaddr((struct sockaddr *)&sockaddr, size, &own) < 0 ||
        own.family != peer->family)
        return false;
    return memcmp(own.bytes, peer->bytes, sizeof(own.bytes)) == 0 ||
           (own.family == 4 && own.bytes[0] == 127 && peer->bytes[0] == 127);
}

enum tls_protocol conn_get_protocol(const struct conn *conn)
{
    return tls_link_get_protocol(conn->parts.link);
}
