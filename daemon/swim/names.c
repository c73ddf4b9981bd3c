/* SPDX-License-Identifier: MIT */
#include "swim/names.h"

#include <errno.h>
#include <stdlib.h>

/* FNV-1a from a secret start; never 0. Names that collide by chance cost a closer look. */
static uint32_t hash_of(const struct names *names, const char *name)
{
    uint32_t hash = names->seed;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 0x01000193;
    return hash > 0 ? hash : 1;
}

void names_init(struct names *names, uint64_t seed)
{
    *names = (struct names){.seed = (uint32_t)(seed >> 32)};
}

void names_done(struct names *names)
{
    free(names->slots);
    *names = (struct names){0};
}

static void put(struct names *names, uint32_t hash)
{
    size_t mask = names->allocated - 1, i = hash & mask;

    while (names->slots[i] != 0)
        i = (i + 1) & mask;
    names->slots[i] = hash;
}

static int grow(struct names *names)
{
    struct names grown = {.seed = names->seed,
                          .allocated = names->allocated ? names->allocated * 2 : 16};

    grown.slots = calloc(grown.allocated, sizeof(*grown.slots));
    if (!grown.slots)
        return -ENOMEM;
    for (size_t i = 0; i < names->allocated; i++)
        if (names->slots[i] != 0)
            put(&grown, names->slots[i]);
    grown.count = names->count;
    free(names->slots);
    *names = grown;
    return 0;
}

int names_add(struct names *names, const char *name)
{
    if (4 * (names->count + 1) > 3 * names->allocated) {
        int r = grow(names);
        if (r < 0)
            return r;
    }
    put(names, hash_of(names, name));
    names->count++;
    return 0;
}

void names_remove(struct names *names, const char *name)
{
    uint32_t hash = hash_of(names, name);
    size_t mask = names->allocated - 1, hole = hash & mask;

    while (names->slots[hole] != hash)
        hole = (hole + 1) & mask;
    /* Shift back whatever stood behind the hole only because the hole was taken. */
    for (size_t i = (hole + 1) & mask; names->slots[i] != 0; i = (i + 1) & mask)
        if (((i - (names->slots[i] & mask)) & mask) >= ((i - hole) & mask)) {
            names->slots[hole] = names->slots[i];
            hole = i;
        }
    names->slots[hole] = 0;
    names->count--;
}

bool names_have_two(const struct names *names, const char *name)
{
    uint32_t hash = hash_of(names, name);
    size_t mask = names->allocated - 1, found = 0;

    if (names->allocated == 0)
        return false;
    for (size_t i = hash & mask; names->slots[i] != 0; i = (i + 1) & mask)
        found += names->slots[i] == hash;
    return found > 1;
}
