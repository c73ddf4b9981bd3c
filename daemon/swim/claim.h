/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A claim: what somebody says about a member at one of its incarnations. It has two wire forms: in
 * full, as in ALIVE frames and in pages, and short, as in SUSPECT, DEAD and LEFT frames. What a
 * claim does to this node's view is view.h's part.
 */

#include "base/bytes.h"
#include "swim/swim.h"

#define CLAIM_ACCUSERS SWIM_ACCUSERS_MAX
#define CLAIM_JUMP_MAX ((uint64_t)UINT32_MAX) /* of an incarnation in one step */

/* What somebody says about a member. */
struct claim {
    struct node_id id;
    struct swim_incarnation incarnation;
    enum swim_state state;
    /* Only in ALIVE and pages. */
    bool is_seed;
    struct address address; /* wildcard only from the member itself, that does not know better */
    char name[NODE_NAME_MAX + 1];
    uint32_t age_sec;    /* dead and left: since when */
    const uint8_t *meta; /* borrowed from the packet or the member */
    size_t meta_size;    /* 0 for dead and left, that have no load either */
    struct swim_load load;
    uint32_t load_version;
    /* Of suspect (1..CLAIM_ACCUSERS) and dead (1). */
    struct node_id accusers[CLAIM_ACCUSERS];
    size_t accusers_count;
};

/* Orders first by generation, then by counter. Return: below, equal to or above 0. */
int incarnation_compare(const struct swim_incarnation *a, const struct swim_incarnation *b);

/* Whether a step from @from to @to is larger than any honest one. */
bool incarnation_is_jump(const struct swim_incarnation *from, const struct swim_incarnation *to);

/* Both leave errors to the writer, which fails where there is no room. */
void claim_write(struct writer *writer, const struct claim *claim);
void claim_write_short(struct writer *writer, const struct claim *claim);

/* Both check every field; a bad one makes the reader fail. @ret borrows from its bytes. */
void claim_read(struct reader *reader, struct claim *ret);
void claim_read_short(struct reader *reader, enum swim_state state, struct claim *ret);

static inline bool state_is_live(enum swim_state state)
{
    return state == SWIM_ALIVE || state == SWIM_SUSPECT;
}
