/* SPDX-License-Identifier: MIT */
#include "seal/replay.h"

static uint64_t *word_of(struct replay *replay, uint32_t counter)
{
    return &replay->words[counter / 64 % REPLAY_WORDS];
}

void replay_begin(struct replay *replay, uint32_t counter)
{
    for (int i = 0; i < REPLAY_WORDS; i++)
        replay->words[i] = UINT64_MAX;
    *word_of(replay, counter) = UINT64_MAX >> (63 - counter % 64);
    replay->top = counter;
}

bool replay_is_seen(const struct replay *replay, uint32_t counter)
{
    if (counter > replay->top)
        return false;
    if (replay->top - counter >= REPLAY_WINDOW)
        return true;
    return replay->words[counter / 64 % REPLAY_WORDS] >> (counter % 64) & 1;
}

void replay_mark(struct replay *replay, uint32_t counter)
{
    if (counter > replay->top) {
        uint32_t words = counter / 64 - replay->top / 64;

        for (uint32_t i = 1; i <= words && i <= REPLAY_WORDS; i++)
            replay->words[(replay->top / 64 + i) % REPLAY_WORDS] = 0;
        replay->top = counter;
    }
    *word_of(replay, counter) |= (uint64_t)1 << (counter % 64);
}
