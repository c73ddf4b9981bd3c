/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What others say about this node, and its answer. Only we raise our counter: an accusation at our
 * incarnation or above is refuted with one above it (SWIM 4.2); an older one is answered with our
 * record. Our id at a generation that we never had, or at another address of the same generation,
 * is worn by somebody else: the newer one wins, and of two equally new ones the higher address.
 */

#include "swim/claim.h"

struct swim;
struct source;

/* Return: 0; -EBADMSG for a counter that jumped. */
int refute_hear(struct swim *swim, const struct source *source, const struct claim *claim);

/* A new record of ours: higher counter, digest, rumor. */
void refute_renew(struct swim *swim);

/*
 * Member @by sees us at @address. That is ours where the configured one is a wildcard: at once
 * while we know none, later where two members in a row say so (the node has moved).
 */
void refute_learn_address(struct swim *swim, const struct node_id *by,
                          const struct address *address);

/* Knows none again, and says so. Return: whether there was one that was learned. */
bool refute_lose_address(struct swim *swim);
