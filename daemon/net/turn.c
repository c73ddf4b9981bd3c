/* SPDX-License-Identifier: MIT */
#include "net/turn.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_SIZE      ((size_t)16 * 1024) /* a record of TLS */
#define READS_MAX      16                  /* per turn: others have one too */
#define WRITE_SIZE     ((size_t)64 * 1024)
#define WRITES_MAX     8
#define TIMER_ACCURACY (10 * USEC_PER_MSEC)

void turn_destroy(struct stream *stream)
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

bool turn_is_open(const struct stream *stream)
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

void turn_arm(struct stream *stream)
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
    stream->may_read = true; /* of what came with the handshake the socket tells nothing */
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
        /* Asking once more only to hear that there is nothing costs as much as what came. */
        if ((size_t)done < room && !tls_link_has_pending(stream->link))
            return 0;
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
    if (!stream->is_announced && turn_is_open(stream)) {
        stream->is_announced = true;
        stream->callbacks.on_ready(stream, stream->userdata);
    }
    if (!stream->is_freed && stream->has_news) {
        stream->has_news = false;
        stream->callbacks.on_readable(stream, stream->userdata);
    }
}

static void announce_drained(struct stream *stream)
{
    if (!stream->is_freed && stream->is_draining && stream->out.size == 0) {
        stream->is_draining = false;
        if (stream->callbacks.on_drained)
            stream->callbacks.on_drained(stream, stream->userdata);
    }
}

/* Moves bytes in both directions and tells the owner. */
static void transfer(struct stream *stream)
{
    int error = 0, more = 0, r;

    r = flush(stream);
    if (r >= 0 && end(stream) < 0)
        r = -ECONNRESET;
    if (stream->may_read)
        more = fill(stream, &error);
    stream->may_read = more > 0;
    announce(stream);
    /* What the owner answers goes at once. */
    if (r == 0 && !stream->is_freed && turn_is_open(stream))
        r = flush(stream);
    announce_drained(stream);
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
    if (turn_is_open(stream) && !stream->is_freed)
        transfer(stream);
    stream->depth--;
    if (stream->is_freed)
        turn_destroy(stream);
    else
        turn_arm(stream);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct stream *stream = userdata;

    (void)source;
    (void)fd;
    stream->may_read = stream->may_read || events & ~(uint32_t)EPOLLOUT;
    turn(stream);
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
        turn_destroy(stream);
    return 0;
}

void turn_kick(struct stream *stream)
{
    if (stream->state != STREAM_CLOSED)
        (void)sd_event_source_set_enabled(stream->kick, SD_EVENT_ONESHOT);
}

int turn_add_sources(struct stream *stream, const struct stream_config *config)
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
