/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Rounds of dissemination: while rumors wait, every gossip_interval a packet of them goes to
 * min(random(1..n), fanout) random members. Fresh states and texts do not wait for their time: a
 * round for them follows at once, though never sooner than a twentieth of the interval after the
 * last one (longer above 64 members), so that a burst of news travels in few full packets.
 *
 * The heartbeat gossip of the first description, TIMESTAMP:IP:MSG#, is spread here too.
 */

#include <stdbool.h>
#include <stddef.h>
#include "swim/timer.h"

struct swim;
struct member;
struct source;
struct message;

#define GOSSIP_PARTNERS_MAX 128
#define GOSSIP_CROWD        64 /* more members than that restrain themselves */

/* In a crowd: some members, for as long as nobody comes or goes. */
struct partners {
    struct member *members[GOSSIP_PARTNERS_MAX]; /* borrowed from the order of that version */
    size_t count;
    uint64_t version;
};

struct gossip {
    struct partners partners;
    struct timer timer;
    usec_t round_usec; /* last round; 0 = none */
    struct timer heartbeat_timer;
    uint64_t heartbeats_count; /* of ours */
};

int gossip_init(struct swim *swim);

/* The heartbeats go on; they stop by themselves when we leave. */
void gossip_start(struct swim *swim);

/* Something waits to be spread. */
void gossip_wake(struct swim *swim, bool is_urgent);

/* Whether there are so many members that each does less for the others: it gossips with partners
 * only, and heartbeats ride on what is sent anyway, instead of making rounds. */
bool gossip_is_crowd(const struct swim *swim);

/*
 * Draws up to @count live others to tell something, or to ask: in a crowd of the partners that this
 * node has, where one of them lives. Return: how many; in a crowd fewer where some are dead.
 */
size_t gossip_draw(struct swim *swim, size_t count, struct member **ret);

/* How long at least between two rounds. */
usec_t gossip_spacing(const struct swim *swim);

void gossip_take_heartbeat(struct swim *swim, const struct message *message);
