/* SPDX-License-Identifier: MIT */
#include "strangers.h"

#include "journal.h"

#define PACE_USEC USEC_PER_SEC /* between new ones that are remembered */

static void remember(struct strangers *strangers, const struct address *from, uint32_t key_id,
                     usec_t now)
{
    struct stranger *oldest = &strangers->items[0];

    for (size_t i = 0; i < strangers->count; i++) {
        struct stranger *stranger = &strangers->items[i];
        if (stranger->key_id == key_id && address_is_equal(&stranger->address, from)) {
            stranger->last_usec = now;
            return;
        }
        if (stranger->last_usec < oldest->last_usec)
            oldest = stranger;
    }
    if (now < strangers->next_usec)
        return;
    strangers->next_usec = usec_add(now, PACE_USEC);
    if (strangers->count < STRANGERS_MAX)
        oldest = &strangers->items[strangers->count++];
    *oldest =
        (struct stranger){.address = *from, .key_id = key_id, .first_usec = now, .last_usec = now};
}

void strangers_acquit(struct strangers *strangers, const struct address *from)
{
    for (size_t i = strangers->count; i > 0; i--)
        if (address_is_equal(&strangers->items[i - 1].address, from))
            strangers->items[i - 1] = strangers->items[--strangers->count];
}

/*
 * Said of the first, and each time there are twice as many. Of what is forged only hellos count,
 * with which every stranger begins: the rest may be for the session that this node had before it
 * was restarted, from members that do not know of the new one yet.
 */
void strangers_watch(struct strangers *strangers, const struct seal_statistics *statistics,
                     const struct address *from, usec_t now)
{
    uint64_t foreign_keys = statistics->dropped[SEAL_DROP_KEY];
    uint64_t count = foreign_keys + statistics->foreign_hellos;

    if (foreign_keys > strangers->foreign_keys)
        remember(strangers, from, statistics->unknown_key_id, now);
    strangers->foreign_keys = foreign_keys;
    if (count == 0 || count < strangers->told_next)
        return;
    strangers->told_next = 2 * count;
    journal_cluster_mismatch(from, count);
}
