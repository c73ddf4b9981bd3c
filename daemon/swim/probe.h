/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Failure detection (SWIM 3.1, 4.3): every probe_interval one member, in the order of the round, is
 * sent up to max_missed liveness requests. With the second one, indirect_probes others are asked to
 * try as well. A probe without any answer at the end of its interval is an accusation.
 *
 * Lifeguard, LHA-Probe: intervals and timeouts are stretched by the local health multiplier, that
 * counts signs of our own slowness. Its buddy system is packet.h's notice.
 *
 * Two more kinds of probes run beside the round: the verification of an accusation by the members
 * that its hash chooses, so that independent confirmations come within one interval; and the
 * operator's ping, a single request whose outcome is told.
 */

#include "base/list.h"
#include "swim/swim.h"
#include "swim/timer.h"

#define PROBE_REQUESTS_MAX 10 /* max_missed */
#define PROBE_VERIFIES_MAX 8
#define PROBE_PINGS_MAX    32
#define PROBE_HEALTH_MAX   8
#define PROBE_RTO_MIN_USEC (50 * USEC_PER_MSEC)

struct swim;
struct source;
struct member;
struct message;

enum probe_kind {
    PROBE_ROUND,
    PROBE_VERIFY,
    PROBE_PING,
    _PROBE_KIND_MAX,
};

/* Owned by the list of probes. */
struct probe {
    struct list link;
    struct timer timer; /* next request, or the end */
    enum probe_kind kind;
    struct member *target; /* borrowed; live, or the probe is dropped */
    uint32_t seq;          /* of the first request; the others follow, then that for the helpers */
    uint32_t sent_count;
    uint32_t requests_max;
    usec_t start_usec;
    usec_t end_usec;
    usec_t sent_usec[PROBE_REQUESTS_MAX];
    uint64_t wall_usec[PROBE_REQUESTS_MAX];
    struct node_id helpers[SWIM_HELPERS_MAX];
    size_t helpers_count;
    bool is_helped; /* the helpers have been asked */
    uint32_t nacks; /* bit i: helper i has answered */
    uint64_t token; /* of a ping */
};

struct probes {
    struct list active;
    size_t counts[_PROBE_KIND_MAX];
    struct timer round_timer;
    usec_t round_usec;     /* last one in which somebody was probed; 0 = none */
    uint32_t health;       /* Lifeguard's multiplier - 1, 0..PROBE_HEALTH_MAX */
    usec_t grace_end_usec; /* nobody is accused before */
    uint64_t rounds_count;
    uint64_t failed_count;
};

int probes_init(struct swim *swim);
void probes_done(struct swim *swim);

/* Somebody is there to be probed. */
void probe_wake(struct swim *swim);

/* A new suspicion that we are not behind: probe the suspect at once, if chosen. */
void probe_verify(struct swim *swim, struct member *member);

/* Return: 0, -ENOBUFS, -ENOMEM. */
int probe_ping(struct swim *swim, struct member *member, uint64_t token);

/* @member is no longer live. */
void probe_forget(struct swim *swim, struct member *member);

/* We were not running, or the machine slept: what is under way says nothing. */
void probe_excuse(struct swim *swim);

/* A sign that we are slow. */
void probe_raise_health(struct swim *swim);

/* Frames. An ACK that is no answer to any probe of ours: false. */
bool probe_take_ack(struct swim *swim, const struct source *source, const struct message *message);
void probe_take_relayed(struct swim *swim, const struct source *source,
                        const struct message *message);
void probe_take_nack(struct swim *swim, const struct source *source, const struct message *message);

/* How long to wait for an answer of @member: RFC 6298, within bounds, before health. */
usec_t probe_timeout(const struct swim *swim, const struct member *member);

/* Takes a measured round trip into the smoothed one. */
void probe_measure(struct member *member, usec_t rtt_usec);
