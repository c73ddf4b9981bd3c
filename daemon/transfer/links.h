/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Connections of p2p-file/1 that nobody uses just now, kept open for the next file: those that were
 * made here, by the node they go to, and those of other nodes, until something is asked on them.
 * All are watched in the loop, so that no thread waits for a question. Each is closed when it was
 * idle for long, or the other side ends it.
 */

#include <systemd/sd-event.h>
#include "base/address.h"
#include "net/conn.h"

#define LINKS_MAX 64 /* of each kind; then the one that is idle for longest goes */

struct links;

/* @on_question: takes over a connection of another node on which there is something to read. */
int links_new(sd_event *event, usec_t idle_usec, void (*on_question)(struct conn *conn, void *data),
              void *data, struct links **ret);
struct links *links_free(struct links *links); /* ends all */
DEFINE_CLEANUP(struct links *, links_free)

/* Keep a connection, which is taken over; it is closed where that cannot be. */
void links_keep_own(struct links *links, struct conn *conn);
void links_keep_served(struct links *links, struct conn *conn);

/* The connection to @id at @address that was used last, for the caller to own; or NULL. */
struct conn *links_take(struct links *links, const struct node_id *id,
                        const struct address *address);
