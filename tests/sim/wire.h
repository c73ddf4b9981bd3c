/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What stands between a core and the network, as floor 4 does it in the daemon: the pump that
 * drains a core after every input, with the seal in between or, for speed, without. Without the
 * seal the simulator itself plays its part: it attests the sender and drops what is meant for
 * another id.
 */

#include "sim.h"

/* The seal of a starting node. Return: 0, or a negative errno of seal_new. */
int wire_open(struct sim_node *node);
void wire_close(struct sim_node *node);

/* The machine woke up: what the daemon does about its sessions. */
void wire_awake(struct sim_node *node);

/* One datagram from the network reaches a running node. */
void wire_receive(struct sim_node *node, const struct datagram *datagram);

/* Does what is due at the core and the seal. */
void wire_tick(struct sim_node *node);

/* Drains packets and events of the core until there are none. */
void wire_pump(struct sim_node *node);

/* When wire_tick is wanted next, on the node's own clock. */
usec_t wire_deadline(const struct sim_node *node);
