/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <errno.h>
#include <string.h>

int link_new(uint64_t seed, size_t nodes_max, struct link **ret)
{
    _cleanup_(link_freep) struct link *link = calloc(1, sizeof(*link));

    if (!link)
        return -ENOMEM;
    link->nodes_max = nodes_max;
    link->slow_usec = calloc(nodes_max, sizeof(*link->slow_usec));
    link->cuts = calloc(nodes_max * nodes_max, sizeof(*link->cuts));
    if (!link->slow_usec || !link->cuts)
        return -ENOMEM;
    rng_init(&link->rng, seed);
    link_heal(link);
    *ret = TAKE_PTR(link);
    return 0;
}

struct link *link_free(struct link *link)
{
    if (!link)
        return NULL;
    free(link->slow_usec);
    free(link->cuts);
    free(link);
    return NULL;
}

void link_heal(struct link *link)
{
    link->latency_min_usec = 200;
    link->latency_max_usec = 2 * USEC_PER_MSEC;
    link->late_max_usec = 0;
    link->loss = link->duplication = link->reordering = link->flips = link->replays = 0;
    memset(link->slow_usec, 0, link->nodes_max * sizeof(*link->slow_usec));
    link_heal_cuts(link);
}

void link_heal_cuts(struct link *link)
{
    if (link->has_cuts)
        memset(link->cuts, 0, link->nodes_max * link->nodes_max * sizeof(*link->cuts));
    link->has_cuts = false;
}

void link_cut(struct link *link, size_t source, size_t target, bool is_cut)
{
    link->cuts[source * link->nodes_max + target] = is_cut;
    link->has_cuts |= is_cut;
}

bool link_is_cut(const struct link *link, size_t source, size_t target)
{
    return link->has_cuts && link->cuts[source * link->nodes_max + target];
}

void link_partition(struct link *link, const bool *sides, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            if (sides[i] != sides[j])
                link_cut(link, i, j, true);
}

static bool happens(struct link *link, double probability)
{
    return probability > 0 && rng_unit(&link->rng) < probability;
}

static usec_t draw_delay(struct link *link, struct sim *sim, size_t source, size_t target)
{
    usec_t delay = link->latency_min_usec +
                   rng_below(&link->rng, link->latency_max_usec - link->latency_min_usec + 1);
    usec_t slow = link->slow_usec[source] + link->slow_usec[target];

    if (slow > 0) {
        delay += slow;
        sim_count_fault(sim, FAULT_DELAY);
    }
    if (happens(link, link->reordering)) {
        delay += rng_below(&link->rng, link->late_max_usec + 1);
        sim_count_fault(sim, FAULT_REORDERING);
    }
    return delay;
}

struct link_fate link_send(struct link *link, struct sim *sim, size_t source, size_t target)
{
    struct link_fate fate = {0};

    if (link_is_cut(link, source, target)) {
        sim->disturbed_usec = sim->now;
        return fate;
    }
    if (happens(link, link->loss)) {
        sim_count_fault(sim, FAULT_LOSS);
        return fate;
    }
    fate.copies = 1;
    while (fate.copies < LINK_COPIES_MAX && happens(link, link->duplication)) {
        sim_count_fault(sim, FAULT_DUPLICATION);
        fate.copies++;
    }
    for (size_t i = 0; i < fate.copies; i++)
        fate.delays_usec[i] = draw_delay(link, sim, source, target);
    fate.is_flipped = happens(link, link->flips);
    fate.is_replayed = happens(link, link->replays);
    return fate;
}

void link_flip(struct link *link, uint8_t *data, size_t size)
{
    data[rng_below(&link->rng, size)] ^= (uint8_t)(1 + rng_below(&link->rng, UINT8_MAX));
}
