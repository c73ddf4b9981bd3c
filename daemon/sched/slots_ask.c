/* SPDX-License-Identifier: MIT */
#include "sched/slots.h"

#include <errno.h>
#include <string.h>
#include "sched/slots_core.h"

#define MACHINE_STEP_PERMILLE 250

/*
 * What origins are told that ask before they place an attempt. Two that ask at the same moment must
 * not both see the last free slot: so a place is kept for whoever asked first, in what the others
 * are told. It binds nobody: an offer is taken whether a place was kept for it or not.
 */

int slots_check_room(const struct slots *slots, const struct node_id *origin, const char *type,
                     enum task_kind kind)
{
    bool is_own = node_id_is_equal(origin, &slots->config.id);

    if (slots->is_draining)
        return -ESHUTDOWN;
    if (slots->is_unable)
        return -ENODEV;
    if (slots->config.slots == 0 || !slots_find_type_name(slots, type, kind) ||
        (kind == TASK_COMMAND && !is_own && !slots->config.has_commands) ||
        (kind == TASK_PYTHON && !is_own && !slots->config.has_python))
        return -ENOENT;
    return slots->queued >= slots->config.queue_max ? -EBUSY : 0;
}

uint32_t slots_get_reached_max(const struct slots *slots, const char *name, enum task_kind kind)
{
    const struct slots_type *type = slots_find_type_name(slots, name, kind);

    return type && slots_is_at_max(slots, type) ? type->max : 0;
}

static bool is_place_of(const struct kept_place *place, const struct slots_key *key)
{
    return place->until_usec > 0 && memcmp(&place->key, key, sizeof(*key)) == 0;
}

static uint32_t count_places(const struct slots *slots, const struct slots_key *but)
{
    uint32_t count = 0;

    for (size_t i = 0; i < SLOTS_PLACES_MAX; i++)
        count += slots->places[i].until_usec > slots->now && !is_place_of(&slots->places[i], but);
    return count;
}

void slots_set_machine_load(struct slots *slots, uint32_t load_permille)
{
    uint32_t step = MACHINE_STEP_PERMILLE;

    for (uint64_t limit = 1000; load_permille >= limit; limit *= 2)
        step *= 2;
    slots->machine_permille = load_permille - load_permille % step;
}

void slots_get_load(const struct slots *slots, struct slots_load *ret)
{
    uint32_t count = slots->config.slots;
    uint64_t busy = (uint64_t)slots->running + slots->queued;
    uint32_t permille = count > 0 ? (uint32_t)(busy * 1000 / count) : 0;

    *ret = (struct slots_load){
        .slots = slots->is_unable ? 0 : count,
        .used = slots->used,
        .running = slots->running,
        .queued = slots->queued,
        .unacked = slots->unacked,
        .load_permille = MAX(permille, slots->machine_permille),
        .is_draining = slots->is_draining,
    };
}

int slots_ask(struct slots *slots, const struct slots_key *key, const struct slots_wish *wish,
              usec_t now, struct slots_load *ret)
{
    int r;

    slots->now = MAX(slots->now, now);
    slots_get_load(slots, ret);
    /* That nothing can run now is for gossip to tell, which also tells when that is over. */
    ret->slots = slots->config.slots;
    r = slots_check_room(slots, &key->origin, wish->type, wish->kind);
    if (r < 0)
        return r;
    if (!slots->places)
        slots->places = calloc(SLOTS_PLACES_MAX, sizeof(*slots->places));
    if (!slots->places)
        return -ENOMEM;
    slots_release(slots, key);
    ret->queued += count_places(slots, key);
    slots->places[slots->places_next] =
        (struct kept_place){.key = *key, .until_usec = usec_add(slots->now, SLOTS_PLACE_KEEP_USEC)};
    slots->places_next = (slots->places_next + 1) % SLOTS_PLACES_MAX;
    return 0;
}

void slots_release(struct slots *slots, const struct slots_key *key)
{
    for (size_t i = 0; slots->places && i < SLOTS_PLACES_MAX; i++)
        if (is_place_of(&slots->places[i], key))
            slots->places[i].until_usec = 0;
}
