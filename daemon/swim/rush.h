/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A rush: in a crowd, members come in such numbers that all processors of a lab are busy with it,
 * as when a thousand nodes start on two of them. Then everything is late, and who is late looks
 * dead: suspicions would make more work than there is, and so more of them. So while it lasts
 * nobody is probed and nobody accused, news wait until they fill packets, and what is missing is
 * fetched from partners. Seeds, of which all newcomers ask something, are late for longer.
 *
 * It is on while at least RUSH_MIN members and a 64th of all are new within the last span or two
 * (of a second, and 4 ms per member); or while RUSH_LIVES claims of life wait to be told on; and at
 * a newcomer to a crowd, until it knows three quarters of it; each for a minute at most, as who
 * dies meanwhile is not noticed, and anew only after ten seconds without. Deaths do not count, so a
 * lab that breaks down is watched as ever.
 */

#include <stdbool.h>
#include <stdint.h>
#include "base/usec.h"

#define RUSH_MIN   8
#define RUSH_SHARE 64
#define RUSH_LIVES 128

struct swim;
struct member;

/* A time in which there is a reason, again and again. */
struct rush_spell {
    usec_t began_usec;
    usec_t last_usec; /* 0 = there never was one */
};

/* Newcomers of this span of time, and of the one before. */
struct rush {
    usec_t span_usec; /* when this one began */
    uint32_t count;
    uint32_t before;
    struct rush_spell many;  /* so many newcomers */
    struct rush_spell lives; /* so many claims of life that wait */
    uint32_t expected;       /* members there are, as we heard when we joined */
    usec_t expected_usec;
};

/* A member came that was not known before. */
void rush_count(struct swim *swim);

/* One more claim of life waits to be told on. */
void rush_count_life(struct swim *swim);

/* We joined, and there are @count members. */
void rush_expect(struct swim *swim, uint32_t count);

bool rush_is_on(const struct swim *swim);

/* Whether @member is not to be accused because of it: in a rush nobody is, for a minute after it no
 * seed. */
bool rush_spares(const struct swim *swim, const struct member *member);
