/* SPDX-License-Identifier: MIT */
#include "sched/slots.h"

#include "sched/slots_core.h"

/*
 * For how long an attempt of another node goes on: until its lease is over. It is asked to be
 * renewed every third of it, and at once when the origin shows that it is there: what was asked
 * while it was away is lost, and the next question might come too late.
 */

void entry_set_lease(struct slots *slots, struct entry *entry, usec_t lease_usec)
{
    if (lease_usec == 0)
        return;
    entry->lease_usec = CLAMP(lease_usec, USEC_PER_SEC, USEC_PER_DAY);
    entry->lease_end_usec = usec_add(slots->now, entry->lease_usec);
    entry->renew_usec = usec_add(slots->now, entry->lease_usec / 3);
}

void entry_ask_renewal(struct slots *slots, struct entry *entry)
{
    if (entry->lease_usec == 0 || entry->public.state == SLOTS_ENDED ||
        entry->killing == KILL_LEASE || slots->now >= entry->lease_end_usec)
        return;
    entry->asked_usec = slots->now;
    entry->renew_usec = usec_add(slots->now, entry->lease_usec / 3);
    entry_tell(slots, entry, SLOTS_RENEW);
    entry_arm(slots, entry);
}

void slots_renewed(struct slots *slots, const struct slots_key *key, bool is_granted,
                   usec_t asked_usec, usec_t now)
{
    struct entry *entry = table_find(&slots->by_key, key);

    slots_advance(slots, now);
    if (!entry || entry->lease_usec == 0 || entry->public.state == SLOTS_ENDED)
        return;
    if (is_granted && entry->killing != KILL_LEASE) {
        usec_t end = usec_add(MIN(asked_usec, entry->asked_usec), entry->lease_usec);
        entry->lease_end_usec = MAX(entry->lease_end_usec, end);
    } else {
        entry->lease_end_usec = slots->now;
    }
    entry_check(slots, entry);
    slots_start_next(slots);
}

void slots_connected(struct slots *slots, const struct node_id *origin, usec_t now)
{
    slots_advance(slots, now);
    list_for_each (link, &slots->ended) {
        struct entry *entry = list_entry(link, struct entry, ended);
        if (node_id_is_equal(&entry->public.key.origin, origin))
            entry_tell(slots, entry, SLOTS_REPORT);
    }
    table_for_each (&slots->by_id, struct entry *, entry)
        if (node_id_is_equal(&entry->public.key.origin, origin))
            entry_ask_renewal(slots, entry);
}
