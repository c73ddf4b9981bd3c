/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The control socket: accepts clients, knows who they are (peer.h), cuts
 * their bytes into calls and gives those to one dispatch function, the next one of a client when
 * the one before has been answered. It knows no method. Everything about one client is bounded: the
 * size of a call, what is read ahead, bytes that wait for a slow reader.
 */

#include <systemd/sd-event.h>
#include "varlink/call.h"

struct server;

struct server_config {
    const char *path; /* of the socket; a stale one is replaced, a live one refused */
    mode_t mode;      /* of the socket */
    const char
        *user_group; /* may call; "" or unknown: only root, the daemon's own user and admins */
    const char *admin_group; /* may call what administrators may */
    size_t clients_max;      /* who may call; one user has seven eighths of them at most */
    int listen_fd;           /* from socket activation, taken over; -EBADF: bind @path */
};

/* Owns the call from here on; must answer it, now or later. */
typedef void (*server_dispatch_t)(struct call *call, void *data);

/**
 * server_new() - bind and listen
 *
 * Return: 0; -EADDRINUSE where another daemon answers at the path; or what the system said.
 */
int server_new(sd_event *event, const struct server_config *config, server_dispatch_t dispatch,
               void *data, struct server **ret);

/*
 * Who may connect from now on, of @config: mode, groups and clients_max. Clients that are there
 * keep what they may. Return: 0, -ENOMEM, or what chmod said.
 */
int server_set_access(struct server *server, const struct server_config *config);

/* Closes the clients (their calls are abandoned) and removes the socket. Returns NULL. */
struct server *server_free(struct server *server);
DEFINE_CLEANUP(struct server *, server_free)

/* Calls answered, by outcome. */
void server_get_statistics(const struct server *server, uint64_t *ret_answered,
                           uint64_t *ret_failed);
