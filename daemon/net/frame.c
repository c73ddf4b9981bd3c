/* SPDX-License-Identifier: MIT */
#include "net/frame.h"

#include <string.h>
#include "base/bytes.h"

#define PREFIX_SIZE 4

/* Return: 0 with a length that may follow; -EMSGSIZE. */
static int read_prefix(const uint8_t prefix[static PREFIX_SIZE], size_t *ret)
{
    struct reader reader = reader_from(prefix, PREFIX_SIZE);
    uint32_t size = reader_u32(&reader);

    if (size > FRAME_HEADER_MAX)
        return -EMSGSIZE;
    *ret = size;
    return 0;
}

static int parse_header(const uint8_t *data, size_t size, cJSON **ret, uint64_t *ret_body_size)
{
    _cleanup_json_ cJSON *header = NULL;
    uint64_t body_size = 0;
    int r;

    r = json_parse((const char *)data, size, &header);
    if (r < 0)
        return r;
    if (json_get_u64(header, "body", FRAME_BODY_MAX, &body_size) < 0)
        return -EBADMSG;
    *ret = TAKE_PTR(header);
    *ret_body_size = body_size;
    return 0;
}

int frame_parser_next(struct frame_parser *parser, const uint8_t *data, size_t size,
                      struct frame_piece *ret)
{
    struct frame_piece piece = {.header = NULL};
    size_t header_size;
    int r;

    if (parser->body_left > 0) {
        if (size == 0)
            return 0;
        piece.data = data;
        piece.size = piece.used = (size_t)MIN((uint64_t)size, parser->body_left);
        parser->body_left -= piece.size;
        piece.is_last = parser->body_left == 0;
        *ret = piece;
        return 1;
    }
    if (size < PREFIX_SIZE)
        return 0;
    r = read_prefix(data, &header_size);
    if (r < 0)
        return r;
    if (size - PREFIX_SIZE < header_size)
        return 0;
    r = parse_header(data + PREFIX_SIZE, header_size, &piece.header, &piece.body_size);
    if (r < 0)
        return r;
    parser->body_left = piece.body_size;
    piece.is_last = piece.body_size == 0;
    piece.used = PREFIX_SIZE + header_size;
    *ret = piece;
    return 1;
}

int frame_format(cJSON *header, uint64_t body_size, uint8_t **ret, size_t *ret_size)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ uint8_t *data = NULL;
    struct writer writer;
    size_t size;

    if (body_size > FRAME_BODY_MAX)
        return -EMSGSIZE;
    cJSON_DeleteItemFromObjectCaseSensitive(header, "body");
    if (body_size > 0)
        json_add_u64(header, "body", body_size);
    text = json_format(header);
    if (!text)
        return -ENOMEM;
    size = strlen(text);
    if (size > FRAME_HEADER_MAX)
        return -EMSGSIZE;
    data = malloc(PREFIX_SIZE + size);
    if (!data)
        return -ENOMEM;
    writer = writer_into(data, PREFIX_SIZE + size);
    writer_u32(&writer, (uint32_t)size);
    writer_bytes(&writer, text, size);
    *ret = TAKE_PTR(data);
    *ret_size = PREFIX_SIZE + size;
    return 0;
}

int frame_write(struct stream *stream, cJSON *header, const void *body, size_t body_size)
{
    _cleanup_free_ uint8_t *data = NULL;
    size_t size;
    int r;

    r = frame_format(header, body_size, &data, &size);
    if (r < 0)
        return r;
    if (body_size > STREAM_WRITE_MAX - size)
        return -EMSGSIZE;
    return stream_write_two(stream, data, size, body, body_size);
}

int frame_send(struct conn *conn, cJSON *header, uint64_t body_size, usec_t deadline_usec)
{
    _cleanup_free_ uint8_t *data = NULL;
    size_t size;
    int r;

    r = frame_format(header, body_size, &data, &size);
    if (r < 0)
        return r;
    return conn_write(conn, data, size, deadline_usec);
}

int frame_receive(struct conn *conn, usec_t deadline_usec, cJSON **ret, uint64_t *ret_body_size)
{
    _cleanup_free_ uint8_t *data = NULL;
    uint8_t prefix[PREFIX_SIZE];
    size_t size;
    ssize_t first;
    int r;

    first = conn_read(conn, prefix, 1, deadline_usec);
    if (first <= 0)
        return (int)first;
    r = conn_read_exactly(conn, prefix + 1, PREFIX_SIZE - 1, deadline_usec);
    if (r < 0)
        return r;
    r = read_prefix(prefix, &size);
    if (r < 0)
        return r;
    data = malloc(MAX(size, (size_t)1));
    if (!data)
        return -ENOMEM;
    r = conn_read_exactly(conn, data, size, deadline_usec);
    if (r < 0)
        return r;
    r = parse_header(data, size, ret, ret_body_size);
    return r < 0 ? r : 1;
}
