/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is to be passed on: rumors ride on every packet, least-sent first, and leave the queue after
 * retransmit_mult * ceil(log10(n + 1)) transmissions (SWIM 4.1). Three classes share a packet:
 * states of members, texts, and loads. States and texts take turns at going first, so that neither
 * starves the other; loads take what is left.
 *
 * A rumor on a state or a load is written from what the member is when it leaves: a newer one
 * replaces the older by itself. A member has one, for a state that is alive tells the load too; a
 * load that changes meanwhile follows when the state has been told. A text is a frame that the
 * queue owns.
 *
 * Rumors stand in a pool that grows with what waits, and are known by their place there, which is
 * never 0. One that finds no memory is not passed on, as datagrams are lost.
 */

#include "swim/message.h"

#define RUMOR_TEXTS_MAX 256 /* then the one sent most often goes */
#define RUMOR_SENT_MAX  96

struct swim;
struct draft;
struct member;

enum rumor_class {
    RUMOR_STATE,
    RUMOR_TEXT,
    RUMOR_LOAD,
    _RUMOR_CLASS_MAX,
};

struct text_frame;

/* In a circular list: of a level, or of the places that are free. */
struct rumor {
    union {
        struct member *member;   /* borrowed */
        struct text_frame *text; /* owned */
    };
    uint16_t previous;
    uint16_t next;
    uint8_t class; /* enum rumor_class */
    uint8_t sent;
    bool is_load_due; /* of a state: the load is to follow */
    bool is_life;     /* of a state: alive when it was queued */
};

struct rumors {
    struct rumor *pool; /* owned; begins with the heads of the levels, by class and times sent */
    size_t allocated;
    size_t counts[_RUMOR_CLASS_MAX];
    size_t lives_count; /* of the states */
    bool is_texts_turn;
};

/* Return: 0, -ENOMEM. */
int rumors_init(struct swim *swim);
void rumors_done(struct swim *swim);

/* Queues or renews a member's state as never sent. @is_urgent: the next round does not wait for its
 * time. */
void rumor_spread(struct swim *swim, struct member *member, bool is_urgent);

/* The same for its load, and away with it. */
void rumor_spread_load(struct swim *swim, struct member *member);
void rumor_drop_load(struct swim *swim, struct member *member);

/*
 * Somebody told us what we were to tell. In a crowd that spares us one of our own transmissions: so
 * what few have heard of goes first, and half of all packets never leave.
 */
void rumor_hear(struct swim *swim, struct member *member);

/* What is said of @member, whatever it is. */
void rumor_drop(struct swim *swim, struct member *member);

/* Queues a text; one that finds no memory is lost, as datagrams are. */
void rumor_spread_text(struct swim *swim, const struct message *message, bool is_urgent);

/* Fills what is left of a packet, and counts what was put in. */
void rumor_fill(struct swim *swim, struct draft *draft);

static inline size_t rumors_count(const struct rumors *rumors)
{
    return rumors->counts[RUMOR_STATE] + rumors->counts[RUMOR_TEXT] + rumors->counts[RUMOR_LOAD];
}

/* Whether a state or a text waits that was never sent. */
bool rumors_are_fresh(const struct rumors *rumors);
