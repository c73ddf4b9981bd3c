/* SPDX-License-Identifier: MIT */
#include "swim/refute.h"

#include <string.h>
#include "swim/core.h"

static void renew_above(struct swim *swim, uint64_t counter)
{
    struct swim_incarnation incarnation = swim->self->shown.incarnation;

    incarnation.counter = MAX(incarnation.counter, counter) + 1;
    member_set_state(swim, swim->self, swim->self->shown.state, &incarnation);
    if (swim->self->shown.state == SWIM_ALIVE)
        rumor_spread(swim, swim->self, true);
}

void refute_renew(struct swim *swim)
{
    renew_above(swim, 0);
}

/* Our record, straight to whoever is mistaken. */
static void answer(struct swim *swim, const struct source *source)
{
    struct claim claim;
    struct draft draft;

    view_claim(swim, swim->self, &claim);
    packet_begin(swim, &draft, source->address, source->id);
    if (message_write_claim(&draft.writer, &claim))
        packet_send(&draft);
}

static void tell_conflict(struct swim *swim, const struct address *address, bool is_fatal)
{
    struct swim_event *event = event_add(swim, SWIM_EVENT_ID_CONFLICT, swim->self);

    event->address = *address;
    event->is_fatal = is_fatal;
}

/* Whether somebody else wears our id. */
static bool is_double(const struct swim *swim, const struct claim *claim)
{
    const struct swim_member *own = &swim->self->shown;

    if (claim->incarnation.generation != own->incarnation.generation)
        return claim->incarnation.generation > own->incarnation.generation;
    return claim->state == SWIM_ALIVE && claim->incarnation.counter >= own->incarnation.counter &&
           !address_is_wildcard(&claim->address) && !address_is_wildcard(&own->address) &&
           !address_is_equal(&claim->address, &own->address);
}

/* Of two equally new wearers of one id the one with the higher address keeps it. */
static bool is_higher(const struct address *a, const struct address *b)
{
    int order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

    return order > 0 || (order == 0 && a->port > b->port);
}

int refute_hear(struct swim *swim, const struct source *source, const struct claim *claim)
{
    const struct swim_member *own = &swim->self->shown;
    int order = incarnation_compare(&claim->incarnation, &own->incarnation);
    bool is_other = is_double(swim, claim);

    if (incarnation_is_jump(&own->incarnation, &claim->incarnation))
        return -EBADMSG;
    if (is_other) {
        bool is_newer = claim->incarnation.generation > own->incarnation.generation;
        bool yields = claim->address.family != 0 && is_higher(&claim->address, &own->address);
        tell_conflict(swim, &claim->address, is_newer || yields);
        if (is_newer || yields)
            return 0;
    }
    if (own->state != SWIM_ALIVE)
        return 0;
    if (claim->state == SWIM_ALIVE) {
        /* A record that we never wrote: ours has to be above it, for the other wearer to hear. */
        if (order > 0 || (order == 0 && is_other))
            renew_above(swim, claim->incarnation.counter);
        return 0;
    }
    if (order >= 0) {
        probe_raise_health(swim);
        renew_above(swim, claim->incarnation.counter);
    }
    answer(swim, source);
    return 0;
}

/* What was learned once changes only when two others in a row say the same. */
static bool is_confirmed(struct swim *swim, const struct node_id *by, const struct address *address)
{
    bool is_second =
        address_is_equal(&swim->candidate, address) && !node_id_is_equal(&swim->candidate_by, by);

    swim->candidate = *address;
    swim->candidate_by = *by;
    return is_second;
}

void refute_learn_address(struct swim *swim, const struct node_id *by,
                          const struct address *address)
{
    const struct address *own = &swim->self->shown.address;
    struct address learned = *address;

    learned.port = own->port;
    if (!swim->is_address_learned || swim->self->shown.state != SWIM_ALIVE ||
        address_is_equal(&learned, own))
        return;
    if (!address_is_wildcard(own) && !is_confirmed(swim, by, &learned))
        return;
    event_add(swim, SWIM_EVENT_MEMBER_UPDATED, swim->self)->has_moved = !address_is_wildcard(own);
    swim->self->shown.address = learned;
    join_skip_own(swim);
    refute_renew(swim);
}

bool refute_lose_address(struct swim *swim)
{
    struct address *own = &swim->self->shown.address;

    if (!swim->is_address_learned || swim->self->shown.state != SWIM_ALIVE ||
        address_is_wildcard(own))
        return false;
    memset(own->bytes, 0, sizeof(own->bytes));
    event_add(swim, SWIM_EVENT_MEMBER_UPDATED, swim->self)->has_moved = true;
    refute_renew(swim);
    return true;
}
