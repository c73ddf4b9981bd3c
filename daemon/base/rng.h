/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Deterministic pseudo-random numbers (xoshiro256**, Blackman and Vigna) for the pure cores: the
 * same seed gives the same run. Never for keys, nonces or session ids.
 */

#include <stdint.h>
#include <stddef.h>

struct rng {
    uint64_t state[4];
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);

/* Uniform in [0, bound); @bound above 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* Uniform in [0, 1). */
double rng_unit(struct rng *rng);

/* Fisher-Yates over @count pointers. */
void rng_shuffle(struct rng *rng, void **items, size_t count);
