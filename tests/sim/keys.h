/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The key rings of sealed nodes and their changes under way, as floor 4 has them in the daemon:
 * rings are on disks and outlive a restart, members report theirs in their records, every node does
 * what seal/rotation.h advises it, and a key goes to another node by a connection that the network
 * may refuse. Nodes that share no key with anybody are stranded: an invariant, but for those that
 * were off for too long, to whom somebody carries a key.
 */

#include "sim.h"

struct keyring;

#define KEYS_GRACE_USEC (4 * USEC_PER_MIN) /* of old keys: longer than storms last */

/* The ring of a starting node: what its disk has. NULL without memory. */
const struct keyring *keys_open(struct sim_node *node);
void keys_free(struct sim_node *node);

/* Writes what the node reports of its ring over the start of its metadata. */
void keys_write_report(struct sim_node *node);

/* Does what is due. */
void keys_tick(struct sim_node *node);
/* When keys_tick is wanted next, on the node's own clock. */
usec_t keys_deadline(const struct sim_node *node);

/* Fails the run where the rings of the nodes that are up do not hold together. */
void keys_check(struct sim *sim);

/* Whether all nodes that are up have one key, and the same. */
bool keys_are_one(const struct sim *sim);
/* How many there are in the ring. */
size_t keys_count(const struct sim_node *node);
