/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "transfer/transfers_core.h"

/* Whose turn it is. */

#define STILL_USEC (2 * USEC_PER_SEC) /* in which less than STILL_SIZE is no progress */
#define STILL_SIZE ((uint64_t)16 * 1024)

/* What one asker may have of @all, so that there is one for others. */
static size_t share_of(size_t all)
{
    return MAX(all - 1, (size_t)1);
}

static bool is_same_asker(const struct transfer *a, const struct transfer *b)
{
    return a->is_own ? a->user && b->user && strcmp(a->user, b->user) == 0
                     : node_id_is_equal(&a->place.id, &b->place.id);
}

size_t transfers_get_threads(size_t transfers_max)
{
    return MAX(transfers_max, TRANSFERS_THREADS_MAX);
}

bool transfer_has_turn(const struct transfer *transfer)
{
    struct transfers *transfers = transfer->transfers;
    size_t places_max = transfers->config.transfers_max,
           threads_max = transfers_get_threads(places_max);
    size_t threads = 0, threads_asker = 0, places = 0, places_asker = 0;

    list_for_each (link, transfer->is_own ? &transfers->own : &transfers->served) {
        const struct transfer *other = list_entry(link, struct transfer, link);
        if (!other->is_running)
            continue;
        bool is_ours = is_same_asker(transfer, other);
        /* What is between here and here needs nothing of the network. */
        bool has_place = !other->is_still && other->place.is_self == transfer->place.is_self;
        threads++;
        threads_asker += is_ours;
        places += has_place;
        places_asker += has_place && is_ours;
    }
    if (threads >= threads_max || threads_asker >= share_of(threads_max))
        return false;
    /* What another node wants of us may be of each of its users, who have their shares there. */
    return transfer->is_own ? places < places_max && places_asker < share_of(places_max)
                            : places < places_max || places_asker == 0;
}

static void look_at(struct transfer *transfer, usec_t now)
{
    uint64_t moved = atomic_load(&transfer->job->moved) + atomic_load(&transfer->job->done);

    if (moved < transfer->moved || moved - transfer->moved >= STILL_SIZE) {
        transfer->moved = moved;
        transfer->moved_usec = now;
    }
    transfer->is_still =
        transfer->is_on_thread && now >= usec_add(transfer->moved_usec, STILL_USEC);
}

void transfers_look(struct transfers *transfers)
{
    usec_t now = conn_now();

    list_for_each (link, &transfers->own)
        look_at(list_entry(link, struct transfer, link), now);
    list_for_each (link, &transfers->served)
        look_at(list_entry(link, struct transfer, link), now);
}
