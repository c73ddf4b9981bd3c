/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A connection for a worker thread: the same bytes as a stream, read and written by blocking calls
 * with deadlines. Made by stream_take_blocking() after the handshake. One thread uses it at a time;
 * only conn_abort() may be called from another.
 *
 * Deadlines are points on CLOCK_MONOTONIC, as conn_now() gives them; USEC_INFINITY waits for ever.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/address.h"
#include "base/id.h"
#include "base/macro.h"
#include "base/usec.h"
#include "net/gate.h"
#include "net/tls.h"

struct conn;

/* What a stream leaves behind; everything is taken over, also on failure, but the gate, which is
 * borrowed. */
struct conn_parts {
    int fd;
    struct tls_link *link;
    struct address address;
    struct gate *gate; /* NULL = no ticket */
    int ticket;
    uint8_t *early; /* bytes that were read already: early_used up to early_size */
    size_t early_used, early_size;
};

/* For stream.c. Return: 0, -ENOMEM. */
int conn_new(const struct conn_parts *parts, struct conn **ret);

/* Closes at once, without ceremony where conn_close() was not called. Returns NULL. */
struct conn *conn_free(struct conn *conn);
DEFINE_CLEANUP(struct conn *, conn_free)

usec_t conn_now(void);

/**
 * conn_read() - some bytes
 *
 * Return: 1..@size bytes; 0 at the peer's clean end; -ETIMEDOUT; -ECONNRESET where the connection
 * broke or was aborted, which includes an end without close_notify; -EPROTO for a damaged record.
 */
ssize_t conn_read(struct conn *conn, void *data, size_t size, usec_t deadline_usec);

/* Exactly @size bytes. Return: 0, or as above with -ECONNRESET for an early end. */
int conn_read_exactly(struct conn *conn, void *data, size_t size, usec_t deadline_usec);

/* All @size bytes. Return: 0; -ETIMEDOUT; -EPIPE or -ECONNRESET; -EPROTO. */
int conn_write(struct conn *conn, const void *data, size_t size, usec_t deadline_usec);

/* The same, which says in *@done how much has gone also where it fails. After -ETIMEDOUT the rest
 * may be written, from the same memory, and before anything else. */
int conn_write_some(struct conn *conn, const void *data, size_t size, usec_t deadline_usec,
                    size_t *done);

/* Tells the peer that no more comes, and waits for its end. Return: 0, or as conn_read. */
int conn_close(struct conn *conn, usec_t deadline_usec);

/* Makes every call of the owner fail soon. Safe from any thread while @conn lives. */
void conn_abort(struct conn *conn);

/*
 * Waits for something to read, also for the end. Return: 0; -ETIMEDOUT; -ECONNRESET.
 */
int conn_wait(struct conn *conn, usec_t deadline_usec);

/* To wait on in the loop while no thread uses the connection and conn_wait(now) would wait. */
int conn_get_fd(const struct conn *conn);

/* Tells the peer that no more comes, as far as that goes without waiting, and closes. Accepts NULL.
 * Returns NULL. */
struct conn *conn_end(struct conn *conn);

/* Whether the bytes are encrypted and authenticated. */
bool conn_is_sealed(const struct conn *conn);

const struct node_id *conn_get_peer(const struct conn *conn);
const struct address *conn_get_address(const struct conn *conn);
/* Whether the other end is on this machine. */
bool conn_is_near(const struct conn *conn);

enum tls_protocol conn_get_protocol(const struct conn *conn);
