/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Takes connections from the node's TCP socket, runs their handshakes and hands over those that
 * became ready. Bounded by a gate: all connections together, those of one node, and the handshakes
 * under way. Connections beyond a bound are closed at once, before any byte was read.
 */

#include <systemd/sd-event.h>
#include "base/macro.h"
#include "net/stream.h"

struct listener;

/* @stream is ready and belongs to the receiver, who gives it callbacks or frees it. */
typedef void (*listener_ready_t)(struct stream *stream, void *userdata);
/* May @address talk to us at all (security.allow)? NULL in the config = all may. */
typedef bool (*listener_allow_t)(const struct address *address, void *userdata);

struct listener_config {
    struct stream_config stream; /* for what is accepted */
    struct gate *gate;           /* borrowed: outlives the listener and its streams */
    size_t handshakes_max;       /* 1..; more are closed, those of the host with most first */
    listener_ready_t on_stream;
    listener_allow_t is_allowed;
    void *userdata;
};

struct listener_statistics {
    uint64_t accepted, refused_full, refused_network, refused_peer, handshakes_failed;
};

/*
 * @fd: listening and non-blocking, of bind_sockets_open(); taken over, also on failure.
 * Return: 0, -ENOMEM, what sd-event said.
 */
int listener_new(const struct listener_config *config, int fd, struct listener **ret);
/* Closes the socket and every handshake under way. Returns NULL. */
struct listener *listener_free(struct listener *listener);
DEFINE_CLEANUP(struct listener *, listener_free)

/* For those who come from now on. */
void listener_set_handshakes_max(struct listener *listener, size_t handshakes_max);

void listener_get_statistics(const struct listener *listener, struct listener_statistics *ret);
