/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What stands in for TLS where security.tls is off: one line from the client that says what the PSK
 * identity and ALPN would have said, one line of answer, then plain bytes. It proves nothing; it
 * only keeps clusters and versions apart. Used by tls.c alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/id.h"
#include "base/text.h"

#define CLEAR_LINE_MAX 256

struct clear {
    int fd; /* borrowed */
    bool is_client;
    bool has_sent;             /* the client: its line is out */
    char line[CLEAR_LINE_MAX]; /* the client's line */
    char protocol[33];         /* as the client says, like the next three */
    char cluster[NODE_NAME_MAX + 1];
    struct node_id client;
    struct node_id server;
};

void clear_init_client(struct clear *clear, int fd, const char *cluster, const char *protocol,
                       const struct node_id *client, const struct node_id *server);
void clear_init_server(struct clear *clear, int fd);

/* Return: 1 done (a server may now look at what the client said); -EAGAIN; -EPROTO; -ECONNRESET. */
int clear_greet(struct clear *clear, uint32_t *ret_events);

/* The server's answer, when it likes what it heard. Return: 1, or -ECONNRESET. */
int clear_welcome(struct clear *clear);

/* As tls_link_read() and tls_link_write(). */
ssize_t clear_read(struct clear *clear, void *data, size_t size, uint32_t *ret_events);
ssize_t clear_write(struct clear *clear, const void *data, size_t size, uint32_t *ret_events);
