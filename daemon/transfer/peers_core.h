/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of peers share: peers.c opens connections and moves frames, peers_idle.c sees to
 * connections of which nobody has any use.
 */

#include "base/list.h"
#include "base/table.h"
#include "net/frame.h"
#include "transfer/peers.h"

/* A frame that waits for room in the stream. */
struct waiting {
    struct list link;
    size_t size;
    uint8_t data[];
};

/* One connection and the frame that is coming in on it. */
struct connection {
    struct list link;
    struct peer *peer; /* borrowed */
    struct stream *stream;
    struct frame_parser parser;
    cJSON *header; /* of the frame whose body comes, or NULL */
    uint8_t *body;
    size_t body_size;
    size_t body_done;
    bool is_open;   /* frames may have gone over it */
    bool is_ending; /* it was idle: nothing more is written to it */
    bool is_told;   /* the other side said that it was idle, and reads on until we have ended too */
};

struct peer {
    struct node_id id;   /* key in the table */
    struct peers *peers; /* borrowed */
    struct address address;
    struct list connections; /* the first one is written to */
    struct list queue;
    size_t queue_size;
    size_t holds;
    usec_t active_usec;
};

struct peers {
    struct peers_config config;
    struct peers_handler handler;
    void *data; /* borrowed */
    sd_event *event;
    sd_event_source *timer;
    struct table by_id;
    size_t connections_count;
};

/* peers.c */
usec_t peers_now(const struct peers *peers);
/* The one that is written to, or NULL. */
struct connection *peers_get_writer(const struct peer *peer);
/* Made where there is none; NULL without memory. */
struct peer *peers_get_peer(struct peers *peers, const struct node_id *id);
/* Frees a peer that nobody has any use for. */
void peers_release_if_idle(struct peer *peer);
/* One frame behind those that wait. Return: 0, -ENOBUFS, -ENOMEM. */
int peers_enqueue(struct peer *peer, cJSON *header, const void *body, size_t body_size);
/* Writes what waits, as far as there is room. */
void peers_flush(struct peer *peer);
/* Nothing more is written to it; what was written arrives, and what comes meanwhile is read. */
void peers_end_connection(struct connection *connection);

/* peers_idle.c */
int peers_on_timer(sd_event_source *source, uint64_t usec, void *data);
