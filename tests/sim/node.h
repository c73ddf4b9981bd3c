/* SPDX-License-Identifier: MIT */
#pragma once

/* The life of one node, as the world's loop sees it: what drivers may do to it is in sim.h. */

#include "sim.h"

/* Also ends its process. Returns NULL. */
struct sim_node *node_free(struct sim_node *node);

/* Drains what an input from elsewhere left behind, and arms its timer. */
void node_settle(struct sim_node *node);

void node_run_timer(struct sim_node *node);

/* Takes @datagram over: handles it, keeps it while the process is stopped, or drops it. */
void node_receive(struct sim_node *node, struct datagram *datagram);
