/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The hashes of all members' names, each as often as it is carried, in four bytes each: whether a
 * newcomer's name is taken is asked once per newcomer, and the answer is nearly always no. Yes
 * means: look closer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct names {
    uint32_t *slots; /* owned, open addressing, 0 = empty */
    size_t allocated;
    size_t count;
    uint32_t seed;
};

void names_init(struct names *names, uint64_t seed);

void names_done(struct names *names);

/* Return: 0, -ENOMEM. */
int names_add(struct names *names, const char *name);

/* @name was added. */
void names_remove(struct names *names, const char *name);

/* Whether more than one of those added may be @name. */
bool names_have_two(const struct names *names, const char *name);
