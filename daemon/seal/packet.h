/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The wire format of sealed datagrams: headers, bodies of the handshake, and the bytes that a tag
 * binds beyond them. Reading and writing only; all offsets are in packet.c and in
 * daemon/PROTOCOL.md.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/bytes.h"
#include "base/id.h"
#include "base/text.h"
#include "seal/crypto.h"

#define SESSION_ID_SIZE 16
#define CHALLENGE_SIZE  8
#define COOKIE_SIZE     16 /* u64 when it was made, u64 of a MAC */

#define PACKET_HEADER_LONG  26 /* of hello, challenge, echo */
#define PACKET_HEADER_SHORT 5  /* of data */
#define PACKET_HELLO_SIZE   (PACKET_HEADER_LONG + 40 + CRYPTO_TAG_SIZE)
/* As large as a hello, so that an answer is never larger than what it answers. */
#define PACKET_CHALLENGE_SIZE PACKET_HELLO_SIZE
#define PACKET_ECHO_PREFIX    (16 + COOKIE_SIZE) /* before the plain packet */
#define PACKET_BOUND_MAX      (16 + 1 + NODE_NAME_MAX + PACKET_HEADER_LONG + 4 * 16)

enum packet_type {
    PACKET_HELLO = 1,
    PACKET_CHALLENGE = 2,
    PACKET_ECHO = 3,
    PACKET_DATA = 4,
};

struct packet {
    enum packet_type type;
    uint8_t algorithm; /* long headers only, like the next two */
    uint32_t key_id;
    uint8_t session[SESSION_ID_SIZE];
    uint32_t counter;
    const uint8_t *header; /* borrowed: as it is on the wire */
    size_t header_size;
    const uint8_t *sealed; /* borrowed: body and tag */
    size_t sealed_size;
};

/* Return: 0; -EBADMSG for another version or type, or a length that the type cannot have. */
int packet_read(const void *data, size_t size, struct packet *ret);

/* Writes the header alone, and points packet->header there. */
void packet_write_header(struct packet *packet, struct writer *writer);

/* Who speaks to whom in which sessions. Zeros where a type does not know. */
struct packet_binding {
    const char *cluster;
    struct node_id sender; /* data only: the others carry it sealed */
    const uint8_t *sender_session;
    struct node_id destination;
    const uint8_t *destination_session; /* NULL = unknown */
};

/* Return: the bytes used of @target: what a tag binds beside the body. */
size_t packet_format_binding(const struct packet *packet, const struct packet_binding *binding,
                             uint8_t target[static PACKET_BOUND_MAX]);

struct packet_hello {
    struct node_id sender;
    struct node_id destination; /* null = whoever has this address */
    uint8_t challenge[CHALLENGE_SIZE];
};

struct packet_challenge {
    struct node_id sender;
    uint8_t echo[CHALLENGE_SIZE]; /* of the hello */
    uint8_t cookie[COOKIE_SIZE];
};

struct packet_echo {
    struct node_id sender;
    uint8_t cookie[COOKIE_SIZE];
    const uint8_t *plain; /* borrowed */
    size_t plain_size;
};

/* Bodies. Writers have room by construction; readers return 0 or -EBADMSG. */
void packet_write_hello(const struct packet_hello *hello, struct writer *writer);
int packet_read_hello(const uint8_t *data, size_t size, struct packet_hello *ret);
void packet_write_challenge(const struct packet_challenge *challenge, struct writer *writer);
int packet_read_challenge(const uint8_t *data, size_t size, struct packet_challenge *ret);
void packet_write_echo(const struct packet_echo *echo, struct writer *writer);
int packet_read_echo(const uint8_t *data, size_t size, struct packet_echo *ret);
