/* SPDX-License-Identifier: MIT */
#include "sched/place.h"

#include <stdio.h>
#include <string.h>
#include "sched/place_core.h"

/* The best of a sample of those that would take it. */

#define FREE_WEIGHT 16 /* of a free slot; a full node has 1 */

/* Draws one of @count candidates by the weight of its free slots, and takes it out of the array. */
static struct node *draw(struct place *place, struct node **candidates, size_t *count)
{
    uint64_t total = 0, point;
    size_t i = 0;

    for (size_t k = 0; k < *count; k++)
        total += 1 + (uint64_t)FREE_WEIGHT * place_free_slots(&candidates[k]->public);
    point = rng_below(&place->rng, total);
    for (; i < *count - 1; i++) {
        uint64_t weight = 1 + (uint64_t)FREE_WEIGHT * place_free_slots(&candidates[i]->public);
        if (point < weight)
            break;
        point -= weight;
    }
    struct node *drawn = candidates[i];
    candidates[i] = candidates[--*count];
    return drawn;
}

static void rank(struct place_best *best, const struct place_node *node,
                 const struct task_spec *spec)
{
    size_t i = best->count;

    while (i > 0 && place_is_better(node, best->nodes[i - 1], spec))
        i--;
    if (i == PLACE_BEST_MAX)
        return;
    best->count = MIN(best->count + 1, (size_t)PLACE_BEST_MAX);
    memmove(best->nodes + i + 1, best->nodes + i, (best->count - i - 1) * sizeof(best->nodes[0]));
    best->nodes[i] = node;
}

/* The best of a sample of the candidates, which it consumes. Draws are random, so ties are too. */
static void choose(struct place *place, const struct task_spec *spec, struct node **candidates,
                   size_t count, struct place_best *ret)
{
    *ret = (struct place_best){0};
    while (count > 0 && ret->sampled < PLACE_SAMPLE_MAX) {
        struct node *node = draw(place, candidates, &count);
        ret->sampled++;
        rank(ret, &node->public, spec);
    }
}

/* All that would take it; who is to be avoided only where it is the only one. */
static size_t collect(const struct place *place, const struct task_spec *spec,
                      const struct place_past *past, struct node **candidates)
{
    const struct node_id *avoid = past ? past->avoid : NULL;
    struct node *avoided = NULL;
    size_t count = 0;

    for (size_t i = 0; i < place->nodes_count; i++) {
        struct node *node = place->nodes[i];
        if (place_judge(&node->public, spec, past) < FIT_FULL)
            continue;
        if (avoid && node_id_is_equal(&node->public.facts.id, avoid))
            avoided = node;
        else
            candidates[count++] = node;
    }
    if (count == 0 && avoided)
        candidates[count++] = avoided;
    return count;
}

void place_choose_best(struct place *place, const struct task_spec *spec,
                       const struct place_past *past, struct place_best *ret,
                       char reason[static TASK_REASON_MAX + 1])
{
    _cleanup_free_ struct node **candidates = calloc(place->nodes_count + 1, sizeof(*candidates));

    *ret = (struct place_best){0};
    if (!candidates) {
        (void)snprintf(reason, TASK_REASON_MAX + 1, "out of memory");
        return;
    }
    choose(place, spec, candidates, collect(place, spec, past, candidates), ret);
    if (ret->count == 0)
        place_explain_none(place, spec, past, reason);
}

const struct place_node *place_choose(struct place *place, const struct task_spec *spec,
                                      const struct place_past *past,
                                      char reason[static TASK_REASON_MAX + 1])
{
    struct place_best best;

    place_choose_best(place, spec, past, &best, reason);
    if (best.count == 0)
        return NULL;
    place_explain_choice(place, best.nodes[0], spec, best.sampled, reason);
    return best.nodes[0];
}
