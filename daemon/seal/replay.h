/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which of the latest 1,024 counters of one session have been seen (RFC 6479: a ring of words, so
 * that moving on clears whole words). Asked after the tag was checked: a forged counter must not
 * move it.
 */

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WINDOW 1024
#define REPLAY_WORDS  (REPLAY_WINDOW / 64 + 1) /* one more, as the newest word is partly ahead */

struct replay {
    uint64_t words[REPLAY_WORDS];
    uint32_t top; /* the highest counter seen */
};

/* A session whose first packet is @counter: that one and everything before it count as seen. */
void replay_begin(struct replay *replay, uint32_t counter);

/* Whether @counter was seen, or is too old to tell. */
bool replay_is_seen(const struct replay *replay, uint32_t counter);

void replay_mark(struct replay *replay, uint32_t counter);
