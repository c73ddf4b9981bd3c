/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The pooled p2p-task/1 connections to other nodes: opened when something is to be sent, shared by
 * both directions, closed when idle. What travels are frames: a JSON header with an "op", and
 * bytes. Who sends needs no connection in hand; who loses one is told, and sends again what
 * matters.
 *
 * To one node all frames go through one connection, in order, until that is lost.
 */

#include <systemd/sd-event.h>
#include "base/address.h"
#include "base/id.h"
#include "base/json.h"
#include "base/usec.h"
#include "net/stream.h"
#include "net/tls.h"

#define PEERS_QUEUE_MAX ((size_t)8 * 1024 * 1024) /* bytes that wait for one node */
#define PEERS_SMALL_MAX ((size_t)1024)            /* a frame of so much may wait beyond that, */
#define PEERS_SPARE_MAX ((size_t)1024 * 1024)     /* up to so much: that there was no room, say */
#define PEERS_BODY_MAX  ((size_t)2 * 1024 * 1024) /* of one frame */

struct peers;

struct peers_config {
    struct tls *tls; /* borrowed */
    struct node_id self;
    struct address source; /* to connect from, as of struct stream_config */
    usec_t connect_timeout_usec;
    usec_t idle_usec;
    size_t connections_max; /* to all nodes together */
};

struct peers_handler {
    /* One frame from @from; header and body are borrowed for the call, but what is wanted for
     * longer may be taken out of the header. */
    void (*on_frame)(const struct node_id *from, cJSON *header, const void *body, size_t body_size,
                     void *data);
    /*
     * The connection to @id is gone, or could not be made: what was sent since the last frame from
     * there may be lost. @r says why; -ENOTCONN for a clean end. Not told where a connection ends
     * because it was idle: nothing is lost with it.
     */
    void (*on_lost)(const struct node_id *id, int r, void *data);
    /* All that was queued for @id has left; may be NULL. */
    void (*on_drained)(const struct node_id *id, void *data);
    /*
     * For the journal: "opened" "closed" "refused" "failed"; the last says that there never was a
     * connection, there is no other, and nothing of what was queued has left.
     */
    void (*on_connection)(const struct node_id *id, const struct address *address, const char *what,
                          int r, void *data);
    /* Where @id is, for a frame that was sent without an address; family 0 = not known. May be
     * NULL. */
    struct address (*find_address)(const struct node_id *id, void *data);
};

/* Return: 0, -ENOMEM. */
int peers_new(sd_event *event, const struct peers_config *config,
              const struct peers_handler *handler, void *data, struct peers **ret);
struct peers *peers_free(struct peers *peers); /* closes all, tells nobody */
DEFINE_CLEANUP(struct peers *, peers_free)

/* Limits for what begins from now on. */
void peers_set_limits(struct peers *peers, usec_t connect_timeout_usec, usec_t idle_usec,
                      size_t connections_max);

/* Takes over an accepted connection whose handshake named p2p-task/1. */
void peers_adopt(struct peers *peers, struct stream *stream);

/**
 * peers_send() - queue one frame for a node
 * @address: where it is, should a connection be needed
 * @header:  borrowed; "body" is added where there are bytes
 *
 * Return: 0; -ENOBUFS where PEERS_QUEUE_MAX or connections_max is reached; -ENOMEM; -EMSGSIZE
 * above PEERS_BODY_MAX; -EHOSTUNREACH where there is neither connection nor address. A
 * connection that fails later is told by on_lost.
 */
int peers_send(struct peers *peers, const struct node_id *to, const struct address *address,
               cJSON *header, const void *body, size_t body_size);

/*
 * The node is dead, or it or this machine is elsewhere: no word will come over the connections that
 * there are, and TCP would not say so for a long time. They end, and on_lost tells of it, with @r
 * as the reason.
 */
void peers_lose(struct peers *peers, const struct node_id *id, int r);

/* Bytes that wait for @to. */
size_t peers_pending(const struct peers *peers, const struct node_id *to);

/* While held, an idle connection is kept alive rather than closed. Counted; release what was held.
 */
void peers_hold(struct peers *peers, const struct node_id *id);
void peers_release(struct peers *peers, const struct node_id *id);

size_t peers_connections(const struct peers *peers);
