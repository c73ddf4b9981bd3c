/* SPDX-License-Identifier: MIT */
#include "sched/slots.h"

#include <errno.h>
#include <string.h>
#include "sched/slots_core.h"

/*
 * Attempts of other nodes that went back without having begun. Their origin may not have heard it:
 * it may be dead for now. When it asks for them it is told again, and so knows of a task that must
 * not run twice that it did not run at all. A start of this node forgets them.
 */

struct back {
    struct slots_key key;
    enum slots_handback reason;
    struct list link; /* in slots->backs, oldest first */
};

static void forget(struct slots *slots, struct back *back)
{
    (void)table_remove(&slots->back_by_key, &back->key);
    list_remove(&back->link);
    free(back);
}

void slots_remember_back(struct slots *slots, const struct slots_key *key,
                         enum slots_handback reason)
{
    struct back *back;

    if (node_id_is_equal(&key->origin, &slots->config.id))
        return;
    back = calloc(1, sizeof(*back));
    if (!back)
        return; /* then its origin has to take it for lost */
    back->key = *key;
    back->reason = reason;
    list_init(&back->link);
    if (table_insert(&slots->back_by_key, &back->key, back) < 0) {
        free(back);
        return;
    }
    list_append(&slots->backs, &back->link);
    struct back *oldest = list_first(&slots->backs, struct back, link);
    if (oldest && slots->back_by_key.count > SLOTS_BACKS_MAX)
        forget(slots, oldest);
}

void slots_backs_done(struct slots *slots)
{
    for (struct back *back; (back = list_first(&slots->backs, struct back, link));)
        forget(slots, back);
    table_done(&slots->back_by_key);
}

bool slots_was_handed_back(const struct slots *slots, const struct slots_key *key,
                           enum slots_handback *ret)
{
    const struct back *back = table_find(&slots->back_by_key, key);

    if (back)
        *ret = back->reason;
    return back;
}

void slots_not_begun(struct slots *slots, uint64_t id, usec_t now)
{
    struct entry *entry = table_find(&slots->by_id, &id);
    struct task_end end = {.type = TASK_END_NOT_RUN};

    if (!entry || entry->public.state != SLOTS_STARTING)
        return;
    switch (entry->killing) {
    case KILL_LEASE:
    case KILL_EVICT:
    case KILL_STOP:
        slots->now = MAX(slots->now, now);
        entry_hand_back(slots, entry,
                        entry->killing == KILL_LEASE ? SLOTS_HANDBACK_RECALLED
                                                     : SLOTS_HANDBACK_DRAINING);
        slots_tick(slots, now);
        break;
    case KILL_NONE:
    case KILL_TIMEOUT:
    case KILL_CANCEL:
        slots_exited(slots, id, &end, now);
        break;
    }
}
