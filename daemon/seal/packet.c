/* SPDX-License-Identifier: MIT */
#include "seal/packet.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "seal/seal.h"

/* The first byte: version in the upper half, type in the lower one. */
#define VERSION 1
#define LABEL   "p2pnode datagram" /* 16 bytes before everything bound */

static_assert(sizeof(LABEL) - 1 == 16, "counted in PACKET_BOUND_MAX");
static_assert(PACKET_HEADER_LONG + PACKET_ECHO_PREFIX + CRYPTO_TAG_SIZE == SEAL_OVERHEAD_MAX,
              "what seal.h promises");

static const uint8_t zeros[16];

static bool has_size(const struct packet *packet, size_t size)
{
    switch (packet->type) {
    case PACKET_HELLO:
        return size == PACKET_HELLO_SIZE;
    case PACKET_CHALLENGE:
        return size == PACKET_CHALLENGE_SIZE;
    case PACKET_ECHO:
        return size >= PACKET_HEADER_LONG + PACKET_ECHO_PREFIX + CRYPTO_TAG_SIZE;
    case PACKET_DATA:
        return size > PACKET_HEADER_SHORT + CRYPTO_TAG_SIZE;
    }
    return false;
}

int packet_read(const void *data, size_t size, struct packet *ret)
{
    struct reader reader = reader_from(data, size);
    struct packet packet = {.header = data};
    uint8_t first = reader_u8(&reader);

    if (first >> 4 != VERSION || (first & 15) < PACKET_HELLO || (first & 15) > PACKET_DATA ||
        size > SEAL_DATAGRAM_MAX)
        return -EBADMSG;
    packet.type = (enum packet_type)(first & 15);
    if (packet.type != PACKET_DATA) {
        packet.algorithm = reader_u8(&reader);
        packet.key_id = reader_u32(&reader);
        reader_copy(&reader, packet.session, sizeof(packet.session));
    }
    packet.counter = reader_u32(&reader);
    packet.header_size = reader.position;
    packet.sealed_size = reader_left(&reader);
    packet.sealed = reader_bytes(&reader, packet.sealed_size);
    if (!reader_ok(&reader) || !has_size(&packet, size))
        return -EBADMSG;
    *ret = packet;
    return 0;
}

void packet_write_header(struct packet *packet, struct writer *writer)
{
    size_t start = writer->position;

    packet->header = writer->data + start;
    writer_u8(writer, (uint8_t)(VERSION << 4 | packet->type));
    if (packet->type != PACKET_DATA) {
        writer_u8(writer, packet->algorithm);
        writer_u32(writer, packet->key_id);
        writer_bytes(writer, packet->session, sizeof(packet->session));
    }
    writer_u32(writer, packet->counter);
    packet->header_size = writer->position - start;
}

size_t packet_format_binding(const struct packet *packet, const struct packet_binding *binding,
                             uint8_t target[static PACKET_BOUND_MAX])
{
    struct writer writer = writer_into(target, PACKET_BOUND_MAX);

    writer_bytes(&writer, LABEL, sizeof(LABEL) - 1);
    writer_string8(&writer, binding->cluster);
    writer_bytes(&writer, packet->header, packet->header_size);
    writer_bytes(&writer, binding->sender.bytes, sizeof(binding->sender.bytes));
    writer_bytes(&writer, binding->sender_session, SESSION_ID_SIZE);
    writer_bytes(&writer, binding->destination.bytes, sizeof(binding->destination.bytes));
    writer_bytes(&writer, binding->destination_session ? binding->destination_session : zeros,
                 SESSION_ID_SIZE);
    assert(writer_ok(&writer));
    return writer.position;
}

void packet_write_hello(const struct packet_hello *hello, struct writer *writer)
{
    writer_bytes(writer, hello->sender.bytes, sizeof(hello->sender.bytes));
    writer_bytes(writer, hello->destination.bytes, sizeof(hello->destination.bytes));
    writer_bytes(writer, hello->challenge, sizeof(hello->challenge));
}

int packet_read_hello(const uint8_t *data, size_t size, struct packet_hello *ret)
{
    struct reader reader = reader_from(data, size);
    struct packet_hello hello;

    reader_copy(&reader, hello.sender.bytes, sizeof(hello.sender.bytes));
    reader_copy(&reader, hello.destination.bytes, sizeof(hello.destination.bytes));
    reader_copy(&reader, hello.challenge, sizeof(hello.challenge));
    if (!reader_done(&reader) || node_id_is_null(&hello.sender))
        return -EBADMSG;
    *ret = hello;
    return 0;
}

void packet_write_challenge(const struct packet_challenge *challenge, struct writer *writer)
{
    writer_bytes(writer, challenge->sender.bytes, sizeof(challenge->sender.bytes));
    writer_bytes(writer, challenge->echo, sizeof(challenge->echo));
    writer_bytes(writer, challenge->cookie, sizeof(challenge->cookie));
}

int packet_read_challenge(const uint8_t *data, size_t size, struct packet_challenge *ret)
{
    struct reader reader = reader_from(data, size);
    struct packet_challenge challenge;

    reader_copy(&reader, challenge.sender.bytes, sizeof(challenge.sender.bytes));
    reader_copy(&reader, challenge.echo, sizeof(challenge.echo));
    reader_copy(&reader, challenge.cookie, sizeof(challenge.cookie));
    if (!reader_done(&reader) || node_id_is_null(&challenge.sender))
        return -EBADMSG;
    *ret = challenge;
    return 0;
}

void packet_write_echo(const struct packet_echo *echo, struct writer *writer)
{
    writer_bytes(writer, echo->sender.bytes, sizeof(echo->sender.bytes));
    writer_bytes(writer, echo->cookie, sizeof(echo->cookie));
    if (echo->plain_size > 0)
        writer_bytes(writer, echo->plain, echo->plain_size);
}

int packet_read_echo(const uint8_t *data, size_t size, struct packet_echo *ret)
{
    struct reader reader = reader_from(data, size);
    struct packet_echo echo;

    reader_copy(&reader, echo.sender.bytes, sizeof(echo.sender.bytes));
    reader_copy(&reader, echo.cookie, sizeof(echo.cookie));
    echo.plain_size = reader_left(&reader);
    echo.plain = reader_bytes(&reader, echo.plain_size);
    if (!reader_done(&reader) || node_id_is_null(&echo.sender))
        return -EBADMSG;
    *ret = echo;
    return 0;
}
