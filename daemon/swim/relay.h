/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Liveness requests on behalf of others (SWIM 3.1, ping-req): an answer is passed on as RELAYED; no
 * answer within 0.8 probe_timeout, in which there is a second request, as NACK (Lifeguard), so that
 * the asker can tell a silent target from a slow self. Only known members are probed, at the
 * address that we know.
 */

#include "base/address.h"
#include "base/id.h"
#include "base/list.h"
#include "swim/timer.h"

#define RELAYS_MAX 256

struct swim;
struct source;
struct message;

/* Owned by the list, which is in the order of deadlines: all wait equally long. */
struct relay {
    struct list link;
    struct node_id asker_id;
    struct address asker_address;
    uint32_t asker_seq;
    struct node_id target_id;
    uint32_t seq; /* of both requests */
    bool is_repeated;
    usec_t end_usec;
};

struct relays {
    struct list active;
    size_t count;
    struct timer timer;
};

int relays_init(struct swim *swim);
void relays_done(struct swim *swim);

void relay_take_ask(struct swim *swim, const struct source *source, const struct message *message);

/* An ACK that no probe of ours waits for. */
void relay_take_ack(struct swim *swim, const struct source *source, const struct message *message);
