/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "net/turn.h"

#define KEEPALIVE_IDLE_S  30
#define KEEPALIVE_PAUSE_S 10
#define KEEPALIVE_COUNT   3

static void tune_socket(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PAUSE_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static struct stream *allocate(const struct stream_config *config, int fd,
                               const struct address *address,
                               const struct stream_callbacks *callbacks, void *userdata)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return NULL;
    stream->callbacks = *callbacks;
    stream->userdata = userdata;
    stream->timeout_usec = config->handshake_timeout_usec;
    stream->fd = fd;
    stream->address = *address;
    stream->link_events = EPOLLIN;
    return stream;
}

/* Others know us by the address that we listen on; the port is the kernel's choice. */
static int bind_source(int fd, const struct address *source, const struct address *to)
{
    struct address own = *source;
    struct sockaddr_storage storage;
    const int on = 1;

    if (own.family != to->family || address_is_wildcard(&own))
        return 0;
    own.port = 0;
    socklen_t size = address_to_sockaddr(&own, &storage);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, (const struct sockaddr *)&storage, size) < 0 ? -errno : 0;
}

int stream_connect(const struct stream_config *config, const struct address *to,
                   const struct node_id *to_id, enum tls_protocol protocol,
                   const struct stream_callbacks *callbacks, void *userdata, struct stream **ret)
{
    _cleanup_(stream_freep) struct stream *stream = NULL;
    _cleanup_close_ int fd = -EBADF;
    struct sockaddr_storage storage;
    socklen_t size = address_to_sockaddr(to, &storage);
    int r;

    if (size == 0 || node_id_is_null(to_id) || node_id_is_equal(to_id, tls_get_id(config->tls)))
        return -EINVAL;
    fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    tune_socket(fd);
    r = bind_source(fd, &config->source, to);
    if (r < 0)
        return r;
    if (connect(fd, (const struct sockaddr *)&storage, size) < 0 && errno != EINPROGRESS)
        return -errno;
    stream = allocate(config, fd, to, callbacks, userdata);
    if (!stream)
        return -ENOMEM;
    (void)TAKE_FD(fd);
    stream->state = STREAM_CONNECTING;
    stream->peer = *to_id;
    stream->protocol = protocol;
    r = tls_link_connect(config->tls, stream->fd, to_id, protocol, &stream->link);
    if (r < 0)
        return r;
    r = turn_add_sources(stream, config);
    if (r < 0)
        return r;
    turn_arm(stream);
    *ret = TAKE_PTR(stream);
    return 0;
}

int stream_accept(const struct stream_config *config, const struct stream_arrival *arrival,
                  const struct stream_callbacks *callbacks, void *userdata, struct stream **ret)
{
    _cleanup_(stream_freep) struct stream *stream =
        allocate(config, arrival->fd, &arrival->from, callbacks, userdata);
    int r;

    if (!stream) {
        (void)close_fd(arrival->fd);
        if (arrival->gate)
            gate_leave(arrival->gate, arrival->ticket);
        return -ENOMEM;
    }
    stream->state = STREAM_HANDSHAKE;
    stream->gate = arrival->gate;
    stream->ticket = arrival->ticket;
    tune_socket(arrival->fd);
    r = tls_link_accept(config->tls, arrival->fd, &stream->link);
    if (r < 0)
        return r;
    r = turn_add_sources(stream, config);
    if (r < 0)
        return r;
    turn_arm(stream);
    *ret = TAKE_PTR(stream);
    return 0;
}

struct stream *stream_free(struct stream *stream)
{
    if (!stream)
        return NULL;
    stream->is_freed = true;
    if (stream->depth == 0)
        turn_destroy(stream);
    return NULL;
}

void stream_set_callbacks(struct stream *stream, const struct stream_callbacks *callbacks,
                          void *userdata)
{
    stream->callbacks = *callbacks;
    stream->userdata = userdata;
    stream->has_news = stream->in.size > 0;
    if (stream->has_news)
        turn_kick(stream);
}

const uint8_t *stream_peek(const struct stream *stream, size_t *ret_size)
{
    static const uint8_t nothing[1];

    *ret_size = stream->in.size;
    return stream->in.size > 0 ? stream->in.data + stream->in.start : nothing;
}

void stream_consume(struct stream *stream, size_t size)
{
    bool was_full = stream->in.size >= STREAM_READ_MAX;

    if (size > 0)
        buffer_drop(&stream->in, size);
    if (was_full && size > 0 && turn_is_open(stream)) {
        turn_arm(stream);
        /* TLS may hold bytes that the socket no longer shows. */
        stream->may_read = true;
        turn_kick(stream);
    }
}

int stream_write_two(struct stream *stream, const void *first, size_t first_size,
                     const void *second, size_t second_size)
{
    uint8_t *target;
    int r;

    if (stream->state != STREAM_OPEN)
        return -ENOTCONN;
    if (first_size > STREAM_WRITE_MAX - stream->out.size ||
        second_size > STREAM_WRITE_MAX - stream->out.size - first_size)
        return -ENOBUFS;
    if (first_size + second_size == 0)
        return 0;
    r = buffer_reserve(&stream->out, first_size + second_size, &target);
    if (r < 0)
        return r;
    if (first_size > 0)
        memcpy(target, first, first_size);
    if (second_size > 0)
        memcpy(target + first_size, second, second_size);
    buffer_add(&stream->out, first_size + second_size);
    stream->is_draining = true;
    /* A turn sends it: this one where we are in its middle. Only what the socket does not take then
     * waits for it. */
    if (stream->depth == 0)
        turn_kick(stream);
    return 0;
}

int stream_write(struct stream *stream, const void *data, size_t size)
{
    return stream_write_two(stream, data, size, NULL, 0);
}

size_t stream_get_write_space(const struct stream *stream)
{
    return stream->state == STREAM_OPEN ? STREAM_WRITE_MAX - stream->out.size : 0;
}

size_t stream_get_write_queued(const struct stream *stream)
{
    return stream->out.size;
}

void stream_shutdown(struct stream *stream)
{
    if (stream->state != STREAM_OPEN)
        return;
    stream->state = STREAM_ENDING;
    (void)sd_event_source_set_time_relative(stream->timer, stream->timeout_usec);
    (void)sd_event_source_set_enabled(stream->timer, SD_EVENT_ONESHOT);
    turn_arm(stream);
}

int stream_take_blocking(struct stream *stream, struct conn **ret)
{
    struct conn_parts parts;

    if (stream->state != STREAM_OPEN)
        return -ENOTCONN;
    if (stream->out.size > 0)
        return -EBUSY;
    parts = (struct conn_parts){
        .fd = stream->fd,
        .link = stream->link,
        .address = stream->address,
        .gate = stream->gate,
        .ticket = stream->ticket,
        .early = stream->in.data,
        .early_used = stream->in.start,
        .early_size = stream->in.start + stream->in.size,
    };
    /* The socket leaves the loop before anybody else may use it. */
    stream->io = sd_event_source_disable_unref(stream->io);
    stream->fd = -EBADF;
    stream->link = NULL;
    stream->gate = NULL;
    stream->in = (struct buffer){0};
    stream->state = STREAM_CLOSED;
    (void)stream_free(stream);
    return conn_new(&parts, ret);
}

bool stream_is_ready(const struct stream *stream)
{
    return stream->state == STREAM_OPEN;
}

const struct node_id *stream_get_peer(const struct stream *stream)
{
    return &stream->peer;
}

const struct address *stream_get_address(const struct stream *stream)
{
    return &stream->address;
}

enum tls_protocol stream_get_protocol(const struct stream *stream)
{
    return stream->protocol;
}

const char *stream_get_reason(const struct stream *stream)
{
    return stream->reason;
}
