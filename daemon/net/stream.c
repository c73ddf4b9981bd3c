/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "net/buffer.h"

#define READ_SIZE         ((size_t)16 * 1024) /* a record of TLS */
#define READS_MAX         16                  /* per dispatch: others have a turn too */
#define WRITE_SIZE        ((size_t)64 * 1024)
#define WRITES_MAX        8
#define TIMER_ACCURACY    (10 * USEC_PER_MSEC)
#define KEEPALIVE_IDLE_S  30
#define KEEPALIVE_PAUSE_S 10
#define KEEPALIVE_COUNT   3

enum stream_state {
    STREAM_CONNECTING,
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_ENDING, /* stream_shutdown: what is queued goes out, then we end */
    STREAM_ENDED,  /* our direction is at its end, the peer's not yet */
    STREAM_CLOSED,
};

struct stream {
    enum stream_state state;
    struct stream_callbacks callbacks;
    void *userdata;  /* borrowed */
    struct tls *tls; /* borrowed */
    usec_t timeout_usec;
    int fd;                 /* owned, like the next five */
    sd_event_source *io;    /* first freed: before the fd */
    sd_event_source *timer; /* until ready, and after a shutdown */
    sd_event_source *kick;  /* runs the stream where no event of the socket would */
    struct tls_link *link;
    struct buffer in, out;
    struct address address;
    struct node_id peer;
    enum tls_protocol protocol;
    struct gate *gate; /* borrowed; NULL = no ticket */
    int ticket;
    uint32_t link_events; /* what a handshake or shutdown waits for */
    bool is_whole;        /* the link works, and our direction has not been ended */
    bool is_announced;    /* on_ready was called */
    bool has_news;        /* on_readable is due */
    bool is_draining;     /* on_drained is due when `out` is empty */
    unsigned depth;       /* of our own functions on the stack */
    bool is_freed;        /* the owner is done; freed when depth is 0 */
    char reason[STREAM_REASON_MAX];
};

static void destroy(struct stream *stream)
{
    uint32_t events;

    sd_event_source_disable_unref(stream->io);
    sd_event_source_disable_unref(stream->timer);
    sd_event_source_disable_unref(stream->kick);
    if (stream->link && stream->is_whole)
        (void)tls_link_shutdown(stream->link, &events);
    (void)tls_link_free(stream->link);
    (void)close_fd(stream->fd);
    buffer_done(&stream->in);
    buffer_done(&stream->out);
    if (stream->gate)
        gate_leave(stream->gate, stream->ticket);
    free(stream);
}

struct stream *stream_free(struct stream *stream)
{
    if (!stream)
        return NULL;
    stream->is_freed = true;
    if (stream->depth == 0)
        destroy(stream);
    return NULL;
}

static bool is_open(const struct stream *stream)
{
    return stream->state >= STREAM_OPEN && stream->state <= STREAM_ENDED;
}

static void close_stream(struct stream *stream, int error, const char *reason)
{
    if (stream->state == STREAM_CLOSED)
        return;
    stream->state = STREAM_CLOSED;
    if (error < 0)
        stream->is_whole = false;
    (void)snprintf(stream->reason, sizeof(stream->reason), "%s", reason);
    (void)sd_event_source_set_enabled(stream->io, SD_EVENT_OFF);
    if (stream->timer)
        (void)sd_event_source_set_enabled(stream->timer, SD_EVENT_OFF);
    if (!stream->is_freed)
        stream->callbacks.on_closed(stream, error, stream->userdata);
}

/* Tells the loop what to wait for next. */
static void arm(struct stream *stream)
{
    uint32_t events = 0;

    if (stream->state == STREAM_CLOSED || stream->is_freed)
        return;
    if (stream->state == STREAM_CONNECTING)
        events = EPOLLOUT;
    else if (stream->state == STREAM_HANDSHAKE)
        events = stream->link_events;
    else {
        if (stream->in.size < STREAM_READ_MAX)
            events |= EPOLLIN;
        if (stream->out.size > 0 || stream->state == STREAM_ENDING)
            events |= EPOLLOUT;
    }
    (void)sd_event_source_set_io_events(stream->io, events);
    /* Without room to read, not even an error of the socket may wake us again and again. */
    (void)sd_event_source_set_enabled(stream->io, events ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void kick(struct stream *stream)
{
    if (stream->state != STREAM_CLOSED && stream->depth == 0)
        (void)sd_event_source_set_enabled(stream->kick, SD_EVENT_ONESHOT);
}

static const char *explain(int error)
{
    switch (error) {
    case -EPROTO:
        return "broken record";
    case -ECONNRESET:
        return "connection lost";
    case -EPIPE:
        return "connection closed by the other side";
    default:
        return strerror(-error);
    }
}

static void finish_connect(struct stream *stream)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error != 0) {
        close_stream(stream, -error, strerror(error));
        return;
    }
    stream->state = STREAM_HANDSHAKE;
}

static void do_handshake(struct stream *stream)
{
    int r = tls_link_handshake(stream->link, &stream->link_events);

    if (r == -EAGAIN)
        return;
    if (r < 0) {
        close_stream(stream, r,
                     r == -EPROTO ? "handshake refused: another key, cluster or node" : explain(r));
        return;
    }
    stream->peer = *tls_link_get_peer(stream->link);
    stream->protocol = tls_link_get_protocol(stream->link);
    if (stream->gate) {
        r = gate_identify(stream->gate, stream->ticket, &stream->peer);
        if (r < 0) {
            close_stream(stream, r, "too many connections of this node");
            return;
        }
    }
    stream->state = STREAM_OPEN;
    stream->is_whole = true;
    (void)sd_event_source_set_enabled(stream->timer, SD_EVENT_OFF);
}

/* Reads what there is room for. Return: 1 when there may be more, 0, or -1 where it is over. */
static int fill(struct stream *stream, int *ret_error)
{
    for (int i = 0; i < READS_MAX; i++) {
        size_t room = MIN(READ_SIZE, STREAM_READ_MAX - stream->in.size);
        uint32_t events;
        uint8_t *target;
        if (room == 0)
            return 0;
        int r = buffer_reserve(&stream->in, room, &target);
        if (r < 0) {
            *ret_error = r;
            return -1;
        }
        ssize_t done = tls_link_read(stream->link, target, room, &events);
        if (done == -EAGAIN) {
            if (stream->in.size == 0)
                buffer_done(&stream->in);
            return 0;
        }
        if (done <= 0) {
            *ret_error = (int)done;
            return -1;
        }
        buffer_add(&stream->in, (size_t)done);
        stream->has_news = true;
    }
    return 1;
}

/* Return: 1 when there is more that could go, 0, or a negative errno. */
static int flush(struct stream *stream)
{
    for (int i = 0; stream->out.size > 0; i++) {
        size_t size = MIN(WRITE_SIZE, stream->out.size);
        uint32_t events;
        if (i == WRITES_MAX)
            return 1;
        ssize_t done =
            tls_link_write(stream->link, stream->out.data + stream->out.start, size, &events);
        if (done == -EAGAIN)
            return 0;
        if (done < 0)
            return (int)done;
        buffer_drop(&stream->out, (size_t)done);
    }
    return 0;
}

/* Ends our direction when everything is out. Return: 0 or a negative errno. */
static int end(struct stream *stream)
{
    int r;

    if (stream->state != STREAM_ENDING || stream->out.size > 0)
        return 0;
    r = tls_link_shutdown(stream->link, &stream->link_events);
    if (r == -EAGAIN)
        return 0;
    if (r == 0) {
        stream->state = STREAM_ENDED;
        stream->is_whole = false;
    }
    return r;
}

/* The callbacks that are due; each may free the stream. */
static void announce(struct stream *stream)
{
    if (!stream->is_announced && is_open(stream)) {
        stream->is_announced = true;
        stream->callbacks.on_ready(stream, stream->userdata);
    }
    if (!stream->is_freed && stream->has_news) {
        stream->has_news = false;
        stream->callbacks.on_readable(stream, stream->userdata);
    }
    if (!stream->is_freed && stream->is_draining && stream->out.size == 0) {
        stream->is_draining = false;
        if (stream->callbacks.on_drained)
            stream->callbacks.on_drained(stream, stream->userdata);
    }
}

/* Moves bytes in both directions and tells the owner. */
static void transfer(struct stream *stream)
{
    int error = 0, more, r;

    r = flush(stream);
    if (r >= 0 && end(stream) < 0)
        r = -ECONNRESET;
    more = fill(stream, &error);
    announce(stream);
    if (stream->is_freed)
        return;
    if (more < 0) {
        close_stream(stream, error, error == 0 ? "closed by the other side" : explain(error));
        return;
    }
    if (r < 0)
        close_stream(stream, r, explain(r));
    else if (more > 0)
        (void)sd_event_source_set_enabled(stream->kick, SD_EVENT_ONESHOT);
}

/* One turn of the stream, from whatever source. */
static void turn(struct stream *stream)
{
    stream->depth++;
    if (stream->state == STREAM_CONNECTING)
        finish_connect(stream);
    if (stream->state == STREAM_HANDSHAKE && !stream->is_freed)
        do_handshake(stream);
    if (is_open(stream) && !stream->is_freed)
        transfer(stream);
    stream->depth--;
    if (stream->is_freed)
        destroy(stream);
    else
        arm(stream);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source;
    (void)fd;
    (void)events;
    turn(userdata);
    return 0;
}

static int on_kick(sd_event_source *source, void *userdata)
{
    (void)source;
    turn(userdata);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct stream *stream = userdata;

    (void)source;
    (void)usec;
    stream->depth++;
    close_stream(stream, -ETIMEDOUT,
                 stream->state == STREAM_CONNECTING  ? "no answer"
                 : stream->state == STREAM_HANDSHAKE ? "handshake took too long"
                                                     : "the other side did not end");
    stream->depth--;
    if (stream->is_freed)
        destroy(stream);
    return 0;
}

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

static int add_sources(struct stream *stream, const struct stream_config *config)
{
    int r;

    r = sd_event_add_io(config->event, &stream->io, stream->fd, EPOLLIN | EPOLLOUT, on_io, stream);
    if (r < 0)
        return r;
    r = sd_event_add_time_relative(config->event, &stream->timer, CLOCK_MONOTONIC,
                                   stream->timeout_usec, TIMER_ACCURACY, on_timer, stream);
    if (r < 0)
        return r;
    r = sd_event_add_defer(config->event, &stream->kick, on_kick, stream);
    if (r < 0)
        return r;
    (void)sd_event_source_set_enabled(stream->kick, SD_EVENT_OFF);
    (void)sd_event_source_set_description(stream->io, "stream");
    (void)sd_event_source_set_description(stream->timer, "stream timeout");
    (void)sd_event_source_set_description(stream->kick, "stream turn");
    r = sd_event_source_set_priority(stream->io, config->priority);
    if (r >= 0)
        r = sd_event_source_set_priority(stream->timer, config->priority);
    if (r >= 0)
        r = sd_event_source_set_priority(stream->kick, config->priority);
    return MIN(r, 0);
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
    stream->tls = config->tls;
    stream->timeout_usec = config->handshake_timeout_usec;
    stream->fd = fd;
    stream->address = *address;
    stream->link_events = EPOLLIN;
    return stream;
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
    r = add_sources(stream, config);
    if (r < 0)
        return r;
    arm(stream);
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
    r = add_sources(stream, config);
    if (r < 0)
        return r;
    arm(stream);
    *ret = TAKE_PTR(stream);
    return 0;
}

void stream_set_callbacks(struct stream *stream, const struct stream_callbacks *callbacks,
                          void *userdata)
{
    stream->callbacks = *callbacks;
    stream->userdata = userdata;
    stream->has_news = stream->in.size > 0;
    if (stream->has_news)
        kick(stream);
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
    if (was_full && size > 0 && is_open(stream)) {
        arm(stream);
        /* TLS may hold bytes that the socket no longer shows. */
        (void)sd_event_source_set_enabled(stream->kick, SD_EVENT_ONESHOT);
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
    arm(stream);
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
    arm(stream);
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
