/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of a stream: its state, and one turn of it, which is all that it does when the loop
 * calls. A turn goes as far as the socket lets it (connect, handshake, write, read) and then tells
 * the owner, who may free the stream at any of these points. Used by stream.c alone.
 */

#include "net/buffer.h"
#include "net/stream.h"

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
    void *userdata; /* borrowed */
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
    bool may_read;        /* the socket has something, or TLS may hold it */
    bool is_draining;     /* on_drained is due when `out` is empty */
    unsigned depth;       /* of our own functions on the stack */
    bool is_freed;        /* the owner is done; freed when depth is 0 */
    char reason[STREAM_REASON_MAX];
};

/* Adds the sources to the loop. Return: 0, or what sd-event said. */
int turn_add_sources(struct stream *stream, const struct stream_config *config);

/* Tells the loop what to wait for next. */
void turn_arm(struct stream *stream);

/* Asks for a turn soon, without an event of the socket. */
void turn_kick(struct stream *stream);

/* Connected, through the handshake, and not yet at its end. */
bool turn_is_open(const struct stream *stream);

/* The last moment. Not inside a turn. */
void turn_destroy(struct stream *stream);
