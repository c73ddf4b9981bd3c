/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One TCP connection in the loop, under TLS (or, where security.tls is off, after one line of text
 * that says the same in the clear): connecting with a deadline, buffers with bounds in both
 * directions, a clean end. It carries bytes; frame.h puts frames on it.
 *
 * Owned by whoever made it or was given it by the listener. Callbacks come from the loop only,
 * never from inside a call of this header; freeing the stream is allowed in each of them. After
 * on_closed nothing more comes and the owner frees the stream.
 *
 * The program ignores SIGPIPE.
 *
 * Back-pressure: the stream stops reading while STREAM_READ_MAX bytes wait to be consumed, and
 * stream_write refuses what would not fit into STREAM_WRITE_MAX. What is readable stays so:
 * on_readable comes again only when more bytes arrived.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "base/address.h"
#include "base/id.h"
#include "base/macro.h"
#include "base/usec.h"
#include "net/conn.h"
#include "net/gate.h"
#include "net/tls.h"

#define STREAM_READ_MAX                                                                            \
    ((size_t)1024 * 1024 + 64 * 1024) /* holds the largest header of a frame                       \
                                       */
#define STREAM_WRITE_MAX  ((size_t)4 * 1024 * 1024)
#define STREAM_REASON_MAX 128

struct stream;

struct stream_callbacks {
    /* The handshake is done: peer and protocol are known. */
    void (*on_ready)(struct stream *stream, void *userdata);
    /* stream_peek has more bytes than at the last call. */
    void (*on_readable)(struct stream *stream, void *userdata);
    /* All that was written has been handed to the kernel. May be NULL. */
    void (*on_drained)(struct stream *stream, void *userdata);
    /*
     * It is over: @error 0 = the peer ended it cleanly (bytes may still be there to peek), else a
     * negative errno: -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EPROTO (refused handshake, bad
     * record).
     */
    void (*on_closed)(struct stream *stream, int error, void *userdata);
};

struct stream_config {
    sd_event *event;               /* borrowed */
    struct tls *tls;               /* borrowed: outlives the stream and what is taken from it */
    int64_t priority;              /* of the sources in the loop */
    usec_t handshake_timeout_usec; /* from connect or accept to ready */
    struct address source;         /* to connect from, with any port; wildcard or none = any */
};

/**
 * stream_connect() - a connection to node @to_id at @to
 * @callbacks: copied
 *
 * Return: 0 (on_ready or on_closed follows); -EINVAL for a null id or our own; what socket() or
 * connect() said; -ENOMEM; -EIO.
 */
int stream_connect(const struct stream_config *config, const struct address *to,
                   const struct node_id *to_id, enum tls_protocol protocol,
                   const struct stream_callbacks *callbacks, void *userdata, struct stream **ret);

/* What came in at the door. */
struct stream_arrival {
    int fd; /* of accept() */
    struct address from;
    struct gate *gate; /* NULL, or borrowed: outlives the stream and what is taken from it */
    int ticket;        /* of the gate */
};

/**
 * stream_accept() - the other side of it
 * @arrival: its fd and ticket are taken over, also on failure
 *
 * Return: 0 (on_ready or on_closed follows); -ENOMEM; -EIO.
 */
int stream_accept(const struct stream_config *config, const struct stream_arrival *arrival,
                  const struct stream_callbacks *callbacks, void *userdata, struct stream **ret);

/* Closes at once; what is not sent is lost. Accepts NULL. Returns NULL. */
struct stream *stream_free(struct stream *stream);
DEFINE_CLEANUP(struct stream *, stream_free)

/* A new owner. @callbacks copied. on_readable comes if bytes are there already. */
void stream_set_callbacks(struct stream *stream, const struct stream_callbacks *callbacks,
                          void *userdata);

/* The bytes that wait; *@ret_size 0 and a non-NULL pointer where none do. Borrowed until the next
 * call. */
const uint8_t *stream_peek(const struct stream *stream, size_t *ret_size);
/* @size at most what stream_peek gave. */
void stream_consume(struct stream *stream, size_t size);

/*
 * All or nothing. Return: 0; -ENOBUFS where it does not fit now (wait for on_drained); -ENOTCONN
 * before on_ready, after stream_shutdown or after the end; -ENOMEM.
 */
int stream_write(struct stream *stream, const void *data, size_t size);
/* The same for two parts, of which both or none are queued. */
int stream_write_two(struct stream *stream, const void *first, size_t first_size,
                     const void *second, size_t second_size);
size_t stream_get_write_space(const struct stream *stream);
size_t stream_get_write_queued(const struct stream *stream);

/* Sends what is queued, then ends our direction cleanly. on_closed comes when the peer has ended
 * too, or handshake_timeout_usec later. */
void stream_shutdown(struct stream *stream);

/**
 * stream_take_blocking() - leave the loop
 *
 * Only after on_ready and with nothing queued to write. The stream is freed; bytes that were
 * already read are the first that conn_read() returns.
 *
 * Return: 0; -ENOTCONN, -EBUSY where bytes wait to be written (the stream stays); -ENOMEM.
 */
int stream_take_blocking(struct stream *stream, struct conn **ret);

bool stream_is_ready(const struct stream *stream);
const struct node_id *stream_get_peer(
    const struct stream *stream); /* null before on_ready if accepted */
const struct address *stream_get_address(const struct stream *stream);
enum tls_protocol stream_get_protocol(const struct stream *stream);

/* Why it ended, for a person: "handshake refused: wrong key or node". Empty before on_closed. */
const char *stream_get_reason(const struct stream *stream);
