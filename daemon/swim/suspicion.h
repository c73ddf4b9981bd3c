/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How long a suspect has to refute: Lifeguard's dynamic suspicion timeout (LHA-Suspicion). It
 * begins at suspicion_max times the minimum and shrinks to the minimum as other members accuse
 * independently, so that one slow accuser alone takes long to kill.
 *
 * Deviation: the accuser's clock starts with the first request that had no answer, at most one
 * probe interval back; and whoever has a packet from the suspect meanwhile gives it another
 * minimum.
 */

#include "base/usec.h"
#include "swim/claim.h"

#define SUSPICION_CONFIRMATIONS 3 /* the paper's K */

struct swim;
struct member;

/* What an accusation of our own rests on: a probe without any answer. */
struct evidence {
    usec_t start_usec; /* of its first request */
    size_t through_count;
    struct node_id through[SWIM_HELPERS_MAX]; /* who were asked to try as well */
};

/* Owned by its member, exactly while that is suspect. */
struct suspicion {
    struct node_id accusers[CLAIM_ACCUSERS];
    size_t accusers_count; /* 1..CLAIM_ACCUSERS */
    size_t confirmations_max;
    usec_t start_usec;
    usec_t refreshed_usec;    /* last packet of the suspect itself; 0 = none */
    usec_t extra_usec;        /* what the freeze adds, or 0 */
    bool is_own;              /* we are among the accusers */
    struct evidence evidence; /* of our own accusation */
};

/**
 * suspicion_timeout() - Lifeguard, LHA-Suspicion
 * @confirmations: beside the first accuser, 0..@confirmations_max
 *
 * max - (max - min) * log(c + 1) / log(k + 1), at least min.
 *
 * Return: a duration in [@min_usec, @max_usec]; @min_usec where nobody is there to confirm.
 */
usec_t suspicion_timeout(usec_t min_usec, usec_t max_usec, size_t confirmations,
                         size_t confirmations_max);

/* suspicion_mult * max(1, log10(n + 1)) * probe_interval. */
usec_t suspicion_min(const struct swim *swim);

/* Of a member that has none. Return: 0, -ENOMEM (then there is no suspicion). */
int suspicion_begin(struct swim *swim, struct member *member, usec_t start_usec);

/* The freeze: one more window, once. */
void suspicion_extend(struct swim *swim, struct member *member);

/* Return: whether @accuser is one more that counts. */
bool suspicion_confirm(struct swim *swim, struct member *member, const struct node_id *accuser);

/* Sets the member's timer anew. */
void suspicion_arm(struct swim *swim, struct member *member);

/* The suspect was heard of. */
void suspicion_refresh(struct swim *swim, struct member *member);

/* All verdicts that are due within one probe interval wait for that long. */
void suspicion_postpone_all(struct swim *swim);
