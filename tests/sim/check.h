/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The invariants. Safety is watched while the world runs: on every event, and on whole views at a
 * rate that costs a constant per step however many nodes there are (a world of up to eight is
 * looked at after every step). Liveness is asked for by whoever healed the world.
 *
 *   incarnation  nobody holds a higher incarnation for X than X ever used
 *   order        a view moves only up (incarnation, state) until it is reaped
 *   vanished     a member goes only by being reaped or forgotten
 *   ghost        nobody knows a node that never was
 *   merge        nobody knows a node of another cluster
 *   size         no packet above packet_size_max
 *   malformed    a core never refuses what another core wrote
 *   forged       the seal opens nothing that was damaged, and nothing in another's name
 *   replayed     the seal opens a datagram once
 *   burst        one input makes a bounded number of packets and events
 *   spin         a core has a bounded number of inputs per second, its own ticks among them
 *   suspicion    a healthy node in a calm network does not accuse a healthy node
 *   death        and no verdict falls on one
 *   rush         a core does without probes, as one does in a rush, for about a minute at most
 *   repeat       a message is told once
 *   convergence  after healing, all views are equal and right within a bound
 *   broadcast    a message sent in a healthy cluster reaches all
 *   lost         what one running node has heard by then, all hear after healing, whoever they were
 */

#include "sim.h"

struct check;

/* Return: 0, or -ENOMEM. */
int check_new(size_t nodes_max, struct check **ret);
struct check *check_free(struct check *check);
DEFINE_CLEANUP(struct check *, check_free)

/* @node let go of @subject: what it says of it from now on is new. */
void check_forgotten(struct sim_node *node, const struct sim_node *subject);

/* The node has a new core: its views start from nothing, its incarnation does not. */
void check_started(struct sim_node *node);

void check_packet(struct sim_node *node, const struct swim_packet *packet);
void check_event(struct sim_node *node, const struct swim_event *event);

/* After one input was drained, with what came out of it. */
void check_step(struct sim_node *node, size_t packets_count, size_t events_count);

/*
 * Whether all running nodes of each cluster see each other alive with the same incarnation, name,
 * address and metadata, and nobody else alive.
 * Return: NULL where they do, or what is wrong; borrowed until the next call.
 */
const char *check_difference(const struct sim *sim);

/* How long after healing everything the views may differ. */
usec_t check_settle_usec(const struct sim *sim);

/* From here on @text counts who hears it; check_reached says how many did. */
void check_expect(struct sim *sim, const char *text);
size_t check_reached(const struct sim *sim);

/* @node has sent @text to all. */
void check_said(struct sim_node *node, const char *text);

/*
 * Of the last broadcasts, one that some running node has heard, or its author has in mind, and
 * another has not. Return: NULL where there is none; borrowed until the next call.
 */
const char *check_unheard(const struct sim *sim);
