/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Frames on a TCP connection: u32 length, a JSON object of that length, and, where its "body" says
 * N, N raw bytes. The length, the size and depth of the JSON and the type of "body" are checked
 * before anything is stored; how large a body may be is the caller's business, who sees N before
 * the first byte. Layout in daemon/PROTOCOL.md, "TCP".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/json.h"
#include "base/usec.h"
#include "net/conn.h"
#include "net/stream.h"

#define FRAME_HEADER_MAX JSON_SIZE_MAX
#define FRAME_BODY_MAX   ((uint64_t)1 << 53)

struct frame_parser {
    uint64_t body_left; /* bytes of the current body that did not come yet */
};

#define FRAME_PARSER_NULL ((struct frame_parser){0})

/* A header, or the next part of a body. */
struct frame_piece {
    cJSON *header;       /* owned by the receiver; NULL for a part of a body */
    uint64_t body_size;  /* with a header: how much body follows */
    const uint8_t *data; /* part of a body, in the caller's buffer */
    size_t size;
    bool is_last; /* the frame ends with this piece */
    size_t used;  /* bytes of the input that this piece took */
};

/**
 * frame_parser_next() - the next piece of @size bytes from a stream
 *
 * The caller drops piece.used bytes from the front of its input and calls again until 0.
 *
 * Return: 1; 0 where more bytes are needed; -EMSGSIZE, -ELOOP, -EBADMSG for what is no frame, after
 * which the connection is of no use; -ENOMEM.
 */
int frame_parser_next(struct frame_parser *parser, const uint8_t *data, size_t size,
                      struct frame_piece *ret);

/**
 * frame_format() - length and header as bytes
 * @header:    gets a "body" with @body_size where that is above 0
 *
 * Return: 0 with *@ret owned by the caller; -EMSGSIZE, -ENOMEM.
 */
int frame_format(cJSON *header, uint64_t body_size, uint8_t **ret, size_t *ret_size);

/* A whole frame into the write buffer, all or nothing. Return: 0, as stream_write, -EMSGSIZE. */
int frame_write(struct stream *stream, cJSON *header, const void *body, size_t body_size);

/* For worker threads: the header; @body_size bytes must follow by conn_write. Return: as
 * conn_write, -EMSGSIZE. */
int frame_send(struct conn *conn, cJSON *header, uint64_t body_size, usec_t deadline_usec);

/*
 * For worker threads: a header; *@ret_body_size bytes follow by conn_read. Return: 1; 0 where the
 * peer ended cleanly between two frames; else as conn_read_exactly and frame_parser_next.
 */
int frame_receive(struct conn *conn, usec_t deadline_usec, cJSON **ret, uint64_t *ret_body_size);
