/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Packets on their way out. A draft is filled on the caller's stack, then sent into a bounded queue
 * that the owner of the core drains. Whoever is written to while suspect, dead or left is told so
 * first (Lifeguard's buddy system), and every packet but a page takes rumors along.
 */

#include "base/list.h"
#include "swim/message.h"

#define PACKETS_MAX 4096

struct swim;
struct member;

struct packet {
    struct list link;
    struct address to;
    struct node_id to_id;
    size_t size;
    uint8_t data[];
};

struct packets {
    struct list queue;
    size_t count;
    struct packet *given; /* what swim_next_packet returned last */
};

struct draft {
    struct swim *swim;
    struct address to;
    struct node_id to_id;
    struct writer writer;
    bool has_notice;
    uint8_t data[SWIM_PACKET_MAX];
};

void packets_init(struct packets *packets);
void packets_done(struct packets *packets);

/* @to_id NULL = whoever is there. */
void packet_begin(struct swim *swim, struct draft *draft, const struct address *to,
                  const struct node_id *to_id);

/* Queues it, with rumors or without; drops it where the queue is full, as a network would. */
void packet_send(struct draft *draft);
void packet_send_bare(struct draft *draft);

/* One frame in a packet of its own, and rumors. */
void packet_send_message(struct swim *swim, const struct address *to, const struct node_id *to_id,
                         const struct message *message);

/* Takes the next one, and frees the one given before. Return: NULL at the end. */
const struct packet *packet_next(struct packets *packets);
