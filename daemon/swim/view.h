/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What claims do to this node's view of the others, and to itself. A view moves only up the order
 * (incarnation, state), alive < suspect < dead < left (SWIM 4.2): what is older changes nothing.
 * Dead and left members stay as tombstones that only the member's own contact lifts; whoever claims
 * one to be alive only makes us ask it. Claims about ourselves are refuted with a higher counter.
 *
 * Return values: 0 also where a claim changes nothing; -EBADMSG where no honest node makes it.
 */

#include "swim/claim.h"

struct swim;
struct source;
struct evidence;
struct member;
struct timer;

/* A claim in full, from an ALIVE frame or a page (@is_page). */
int view_take_entry(struct swim *swim, const struct source *source, const struct claim *claim,
                    bool is_page);

/* A short claim: suspect, dead or left. */
int view_take_short(struct swim *swim, const struct source *source, const struct claim *claim);

/* What this node claims of @member at this moment. Borrows from it. */
void view_claim(const struct swim *swim, const struct member *member, struct claim *ret);

/*
 * Our own probe of @member failed: accuse it, or confirm the accusation.
 */
void view_accuse(struct swim *swim, struct member *member, const struct evidence *evidence);

/* The suspicion of @member is over: the verdict. */
void view_declare_dead(struct swim *swim, struct member *member);

/* Any authenticated packet of a live or dead member came in. */
void view_note_contact(struct swim *swim, struct member *member, const struct address *address);

/* Tells a member that is not alive here what is held of it, at most every 200 ms. */
void view_contact(struct swim *swim, struct member *member, const struct address *address);

/* Counts the flaps that are still within the window, and arms the end of instability. */
void view_count_flaps(struct swim *swim, struct member *member);

/* A member's timer by state: verdict, end of retention, end of instability. */
void view_on_timer(struct swim *swim, struct timer *timer);

/* Asks a tombstone again whether it lives, as somebody said. */
void view_on_contact(struct swim *swim, struct timer *timer);
