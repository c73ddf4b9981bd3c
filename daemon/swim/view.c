/* SPDX-License-Identifier: MIT */
#include "swim/view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "swim/core.h"
#include "swim/refute.h"

#define CONTACT_INTERVAL_USEC (200 * USEC_PER_MSEC)
#define CONTACTS_MAX          6
#define RUMORS_BUSY           32 /* with so many queued, what came by pages is not passed on */

void view_claim(const struct swim *swim, const struct member *member, struct claim *ret)
{
    const struct swim_member *shown = &member->shown;
    const struct suspicion *suspicion = member_suspicion(member);

    *ret = (struct claim){
        .id = shown->id,
        .incarnation = shown->incarnation,
        .state = shown->state,
        .is_seed = shown->is_seed,
        .address = shown->address,
        .meta = swim_get_meta(shown),
        .meta_size = state_is_live(shown->state) ? shown->meta_size : 0,
        .load = shown->load,
        .load_version = member->load_version,
        .age_sec = (uint32_t)((swim->now - shown->changed_usec) / USEC_PER_SEC),
    };
    memcpy(ret->name, shown->name, strlen(shown->name) + 1);
    if (suspicion) {
        ret->accusers_count = suspicion->accusers_count;
        memcpy(ret->accusers, suspicion->accusers, sizeof(ret->accusers));
    } else if (shown->state == SWIM_DEAD) {
        ret->accusers_count = 1;
        ret->accusers[0] = *swim_get_reporter(shown);
    }
}

/* --- Flaps --- */

static bool is_within_window(const struct swim *swim, usec_t time)
{
    return time > 0 && swim->now - time < swim->config.unstable_window_usec;
}

static void set_unstable(struct swim *swim, struct member *member, bool is_unstable)
{
    if (member->shown.is_unstable == is_unstable)
        return;
    member->shown.is_unstable = is_unstable;
    event_add(swim, SWIM_EVENT_MEMBER_UPDATED, member);
}

void view_count_flaps(struct swim *swim, struct member *member)
{
    struct care *care = member_care(member);
    usec_t newest = 0;

    if (!care)
        return;
    care->flaps_count = 0;
    for (size_t i = 0; care->flaps && i < swim->config.unstable_flaps; i++) {
        care->flaps_count += is_within_window(swim, care->flaps[i]);
        newest = MAX(newest, care->flaps[i]);
    }
    if (care->flaps_count >= swim->config.unstable_flaps)
        set_unstable(swim, member, true);
    else if (care->flaps_count == 0)
        set_unstable(swim, member, false);
    if (member->shown.state != SWIM_ALIVE)
        return;
    if (care->flaps_count > 0)
        timer_set(&swim->timers, &care->timer, newest + swim->config.unstable_window_usec);
    else
        member_end_care(swim, member);
}

/* A death was refuted. The oldest entry makes room. */
static void add_flap(struct swim *swim, struct member *member)
{
    struct care *care = member_care(member);
    size_t oldest = 0;

    swim->flaps++;
    if (!care->flaps)
        care->flaps = calloc(swim->config.unstable_flaps, sizeof(usec_t));
    if (!care->flaps)
        return;
    for (size_t i = 1; i < swim->config.unstable_flaps; i++)
        if (care->flaps[i] < care->flaps[oldest])
            oldest = i;
    care->flaps[oldest] = swim->now;
}

/* --- Transitions --- */

static void end_suspicion(struct swim *swim, struct member *member)
{
    struct care *care = member_care(member);

    if (!care)
        return;
    if (care->suspicion) {
        free(care->suspicion);
        care->suspicion = NULL;
        freeze_drop_suspect(swim, false);
    }
    timer_set(&swim->timers, &care->timer, TIMER_NEVER);
    timer_set(&swim->timers, &care->contact_timer, TIMER_NEVER);
    care->reported_by = NODE_ID_NULL;
}

/* An end, or a suspicion; @ids are named with it. */
static void tell(struct swim *swim, enum swim_event_type type, const struct member *member,
                 const struct node_id *ids, size_t count)
{
    struct swim_event *event = event_add_names(swim, type, member, ids, count);
    const struct member *by = member_find(swim, swim_get_reporter(&member->shown));

    if (by)
        event->by = &by->shown;
}

/* The tombstone itself: dead or left, since @age_sec, by @by, until retention is over. */
static void set_tombstone(struct swim *swim, struct member *member, const struct claim *claim)
{
    member_set_state(swim, member, claim->state, &claim->incarnation);
    member_care(member)->reported_by =
        claim->accusers_count > 0 ? claim->accusers[0] : NODE_ID_NULL;
    member->shown.changed_usec = usec_sub(swim->now, claim->age_sec * USEC_PER_SEC);
    timer_set(&swim->timers, &member_care(member)->timer,
              usec_add(member->shown.changed_usec, swim->config.dead_retention_usec));
}

/* To dead or left, from whatever it was before. */
static void bury(struct swim *swim, struct member *member, const struct claim *claim)
{
    _cleanup_free_ struct suspicion *suspicion = TAKE_PTR(member_care(member)->suspicion);

    if (suspicion)
        freeze_drop_suspect(swim, claim->state == SWIM_DEAD);
    if (member->shown.state == claim->state) { /* of an earlier incarnation: nobody sees a change */
        member_set_state(swim, member, claim->state, &claim->incarnation);
        return;
    }
    set_tombstone(swim, member, claim);
    probe_forget(swim, member);
    rumor_drop_load(swim, member);
    if (claim->state == SWIM_LEFT) {
        tell(swim, SWIM_EVENT_MEMBER_LEFT, member, NULL, 0);
        return;
    }
    swim->deaths++;
    bool is_own = suspicion && suspicion->is_own;
    struct node_id seeds[SWIM_SEEDS_MAX];
    size_t count = is_own ? report_send(swim, member, &suspicion->evidence, seeds) : 0;
    tell(swim, SWIM_EVENT_MEMBER_DEAD, member, seeds, count);
}

void view_declare_dead(struct swim *swim, struct member *member)
{
    struct claim claim = {
        .incarnation = member->shown.incarnation,
        .state = SWIM_DEAD,
        .accusers = {member_suspicion(member)->is_own ? swim->self->shown.id
                                                      : member_suspicion(member)->accusers[0]},
        .accusers_count = 1,
    };

    bury(swim, member, &claim);
    rumor_spread(swim, member, true);
    /* The accused, should it live, is to be the first to know. */
    member_care(member)->contacted_usec = 0;
    view_contact(swim, member, &member->shown.address);
}

/* @evidence: of our own accusation; NULL = it is somebody else's. */
static void suspect(struct swim *swim, struct member *member, const struct claim *claim,
                    const struct evidence *evidence)
{
    bool is_new = member->shown.state == SWIM_ALIVE, is_news = false;
    usec_t earliest = usec_sub(swim->now, swim->config.probe_interval_usec);

    if (is_new && suspicion_begin(swim, member,
                                  evidence ? MAX(evidence->start_usec, earliest) : swim->now) < 0)
        return;
    for (size_t i = 0; i < claim->accusers_count; i++)
        is_news |= suspicion_confirm(swim, member, &claim->accusers[i]);
    if (member_suspicion(member)->accusers_count == 0) { /* accused by nobody but itself */
        end_suspicion(swim, member);
        view_count_flaps(swim, member);
        return;
    }
    if (is_new) {
        member_set_state(swim, member, SWIM_SUSPECT, &member->shown.incarnation);
        member_care(member)->reported_by = member_suspicion(member)->accusers[0];
        swim->suspicions++;
        tell(swim, SWIM_EVENT_MEMBER_SUSPECT, member, evidence ? evidence->through : NULL,
             evidence ? evidence->through_count : 0);
        if (!member_suspicion(member)->is_own)
            probe_verify(swim, member);
    }
    if (is_news) {
        suspicion_arm(swim, member);
        rumor_spread(swim, member, true);
    }
}

void view_accuse(struct swim *swim, struct member *member, const struct evidence *evidence)
{
    struct claim claim = {.accusers = {swim->self->shown.id}, .accusers_count = 1};

    suspect(swim, member, &claim, evidence);
    if (!member_suspicion(member))
        return;
    member_suspicion(member)->is_own = true;
    member_suspicion(member)->evidence = *evidence;
}

void view_contact(struct swim *swim, struct member *member, const struct address *address)
{
    struct draft draft;

    if (member_care(member)->contacted_usec > 0 &&
        swim->now - member_care(member)->contacted_usec < CONTACT_INTERVAL_USEC)
        return;
    packet_begin(swim, &draft, address, &member->shown.id);
    if (draft.has_notice)
        packet_send_bare(&draft);
}

void view_note_contact(struct swim *swim, struct member *member, const struct address *address)
{
    member->shown.last_seen_usec = swim->now;
    if (member_suspicion(member) && !swim->config.is_plain)
        suspicion_refresh(swim, member);
    if (member->shown.state != SWIM_ALIVE)
        view_contact(swim, member, address);
}

/* --- Claims of life --- */

/* Whether another live member has the same name: told once per newcomer. */
static void check_name(struct swim *swim, const struct member *member)
{
    const struct member *other = member_find_double(swim, member);

    if (other)
        event_add(swim, SWIM_EVENT_NAME_CONFLICT, member)->by = &other->shown;
}

/* Takes over what the claim says beside state and incarnation. Return: whether it differs. */
static int take_record(struct swim *swim, struct member *member, const struct claim *claim,
                       const struct address *address)
{
    struct swim_member *shown = &member->shown;
    bool is_same = shown->meta_size == claim->meta_size &&
                   (claim->meta_size == 0 ||
                    memcmp(swim_get_meta(shown), claim->meta, claim->meta_size) == 0) &&
                   strcmp(shown->name, claim->name) == 0;
    bool differs =
        !is_same || !address_is_equal(&shown->address, address) || shown->is_seed != claim->is_seed;

    if (!is_same) {
        int r = member_set_text(swim, member, claim->name, claim->meta, claim->meta_size);
        if (r < 0)
            return r;
    }
    shown->address = *address;
    shown->is_seed = claim->is_seed;
    return differs;
}

/* What a claim with a higher incarnation makes of a member. Return: 0, or -ENOMEM with nothing
 * done. */
static int revive(struct swim *swim, struct member *member, const struct claim *claim,
                  const struct address *address, bool is_new)
{
    struct swim_member before = member->shown;
    bool is_restart = claim->incarnation.generation > before.incarnation.generation;
    bool is_renamed = strcmp(before.name, claim->name) != 0;
    struct swim_event *event = NULL;
    int differs = take_record(swim, member, claim, address);

    if (differs < 0)
        return differs;
    end_suspicion(swim, member);
    member_set_state(swim, member, SWIM_ALIVE, &claim->incarnation);
    if (is_restart) { /* another process: its counters start anew, and it owes no answers */
        probe_forget(swim, member);
        member->load_version = 0;
        member->shown.rtt_usec = 0;
    }
    (void)load_take(swim, member, claim->incarnation.generation, claim->load_version, &claim->load);
    if (is_new || before.state == SWIM_LEFT)
        event = event_add(swim, SWIM_EVENT_MEMBER_JOINED, member);
    else if (before.state != SWIM_ALIVE) {
        if (before.state == SWIM_SUSPECT)
            swim->suspicions_refuted++;
        else
            freeze_drop_death(swim);
        /* Lost packets make suspects of the healthiest; what a task cannot bear is a death. */
        if (before.state == SWIM_DEAD && !is_restart)
            add_flap(swim, member);
        event = event_add(swim, SWIM_EVENT_MEMBER_ALIVE, member);
    } else if (differs || is_restart)
        event = event_add(swim, SWIM_EVENT_MEMBER_UPDATED, member);
    if (event)
        event->has_moved = !is_new && !address_is_equal(&before.address, address);
    view_count_flaps(swim, member);
    if (is_new)
        rush_count(swim);
    if (is_new || is_renamed)
        check_name(swim, member);
    return 0;
}

/* A wildcard stands for where the packet came from, and only its author may use it. */
static int resolve_address(const struct source *source, const struct claim *claim, bool is_own,
                           struct address *ret)
{
    struct address address = claim->address;

    if (address_is_wildcard(&address)) {
        if (!is_own || !state_is_live(claim->state))
            return -EBADMSG;
        memcpy(address.bytes, source->address->bytes, sizeof(address.bytes));
        address.family = source->address->family;
    }
    *ret = address;
    return 0;
}

static void spread_learnt(struct swim *swim, struct member *member, bool is_page)
{
    if (!is_page)
        rumor_spread(swim, member, true);
    else if (!sync_is_joining(swim) && !rush_is_on(swim) &&
             swim->rumors.counts[RUMOR_STATE] < RUMORS_BUSY)
        rumor_spread(swim, member, false);
}

/* Hearsay about a tombstone. Datagrams get lost: it is asked several times. */
static void ask_the_dead(struct swim *swim, struct member *member, const struct address *address)
{
    member_care(member)->claimed = *address;
    if (timer_is_armed(&member_care(member)->contact_timer))
        return;
    member_care(member)->contacts_count = 0;
    view_on_contact(swim, &member_care(member)->contact_timer);
}

void view_on_contact(struct swim *swim, struct timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct care, contact_timer)->member;

    timer_set(&swim->timers, timer, TIMER_NEVER);
    if (state_is_live(member->shown.state) || member_care(member)->contacts_count >= CONTACTS_MAX ||
        swim->self->shown.state != SWIM_ALIVE)
        return;
    view_contact(swim, member, &member_care(member)->claimed);
    member_care(member)->contacts_count++;
    timer_set(&swim->timers, timer, swim->now + CONTACT_INTERVAL_USEC);
}

/* @source speaks as @member, from somewhere else: a copied disk, started in the same second. No
 * digest tells the two apart, so it hears from us what its double says. */
static void tell_double(struct swim *swim, const struct source *source, const struct member *member)
{
    struct claim claim;
    struct draft draft;

    view_claim(swim, member, &claim);
    packet_begin(swim, &draft, source->address, source->id);
    if (message_write_claim(&draft.writer, &claim))
        packet_send_bare(&draft);
}

static int take_alive(struct swim *swim, const struct source *source, const struct claim *claim,
                      bool is_page)
{
    struct member *member = member_find(swim, &claim->id);
    bool is_own = node_id_is_equal(source->id, &claim->id), is_new = !member;
    struct address address;
    int r = resolve_address(source, claim, is_own, &address);

    if (r < 0)
        return r;
    if (is_new) {
        if (claim->incarnation.counter > CLAIM_JUMP_MAX)
            return -EBADMSG;
        if (member_add(swim, &claim->id, &member) < 0)
            return 0;
    } else if (incarnation_is_jump(&member->shown.incarnation, &claim->incarnation))
        return -EBADMSG;
    int order = incarnation_compare(&claim->incarnation, &member->shown.incarnation);
    if (!is_new && !state_is_live(member->shown.state) && (!is_own || order <= 0)) {
        if (order > 0 || is_page)
            ask_the_dead(swim, member, order > 0 ? &address : &member->shown.address);
        return 0;
    }
    if (!is_new && order <= 0) {
        (void)load_take(swim, member, claim->incarnation.generation, claim->load_version,
                        &claim->load);
        if (order == 0 && is_own && !address_is_wildcard(&claim->address) &&
            !address_is_equal(&address, &member->shown.address))
            tell_double(swim, source, member);
        else if (order == 0 && member->shown.state == SWIM_ALIVE && !is_page)
            rumor_hear(swim, member);
        return 0;
    }
    bool was_forgotten = member_is_forgotten(swim, member);
    if (was_forgotten && member_show(swim, member) < 0)
        return 0;
    /* Without memory the old view stands, and another claim will come. */
    if (revive(swim, member, claim, &address, is_new || was_forgotten) >= 0)
        spread_learnt(swim, member, is_page);
    else if (is_new)
        member_free(swim, member_remove(swim, member));
    return 0;
}

/* --- Claims of death --- */

/*
 * Deviation: a death comes after a suspicion that all who are connected have heard of. One of a
 * member that is alive here comes from the other side of a cut, or from somebody who was cut off:
 * it is an accusation, which the member has the time of one answer to refute. And where verdicts
 * are frozen, so are those of others: one node that does not see it kills for all.
 */
static bool is_doubtful(const struct swim *swim, const struct member *member,
                        const struct claim *claim, int order)
{
    const struct suspicion *suspicion = member_suspicion(member);

    if (claim->state != SWIM_DEAD || order != 0 || swim->config.is_plain)
        return false;
    if (!suspicion)
        return member->shown.state == SWIM_ALIVE;
    return swim->now - member->shown.changed_usec < swim->config.probe_timeout_usec ||
           (suspicion->extra_usec > 0 &&
            swim->now < suspicion->start_usec + suspicion_min(swim) + suspicion->extra_usec);
}

static int take_end(struct swim *swim, struct member *member, const struct claim *claim,
                    bool is_page)
{
    int order = incarnation_compare(&claim->incarnation, &member->shown.incarnation);

    if (incarnation_is_jump(&member->shown.incarnation, &claim->incarnation))
        return -EBADMSG;
    if (order < 0 || (order == 0 && claim->state <= member->shown.state))
        return 0;
    if (is_doubtful(swim, member, claim, order)) {
        suspect(swim, member, claim, NULL);
        return 0;
    }
    if (member_take_care(swim, member) < 0)
        return 0;
    bury(swim, member, claim);
    if (!member_is_forgotten(swim, member))
        spread_learnt(swim, member, is_page);
    return 0;
}

/* Somebody who died before we came: known from now on, but no news. */
static void add_tombstone(struct swim *swim, const struct claim *claim)
{
    struct member *member;

    if (claim->age_sec * USEC_PER_SEC >= swim->config.dead_retention_usec ||
        claim->incarnation.counter > CLAIM_JUMP_MAX || address_is_wildcard(&claim->address) ||
        member_add(swim, &claim->id, &member) < 0)
        return;
    if (member_take_care(swim, member) < 0 ||
        take_record(swim, member, claim, &claim->address) < 0) {
        member_free(swim, member_remove(swim, member));
        return;
    }
    set_tombstone(swim, member, claim);
}

static int take_suspect(struct swim *swim, const struct source *source, struct member *member,
                        const struct claim *claim)
{
    int order = incarnation_compare(&claim->incarnation, &member->shown.incarnation);

    if (incarnation_is_jump(&member->shown.incarnation, &claim->incarnation))
        return -EBADMSG;
    if (order > 0 && state_is_live(member->shown.state))
        sync_ask(swim, source->id, source->address);
    if (order == 0 && state_is_live(member->shown.state))
        suspect(swim, member, claim, NULL);
    return 0;
}

int view_take_entry(struct swim *swim, const struct source *source, const struct claim *claim,
                    bool is_page)
{
    if (core_is_self(swim, &claim->id))
        return refute_hear(swim, source, claim);
    if (state_is_live(claim->state)) {
        int r = take_alive(swim, source, claim, is_page);
        struct member *member = member_find(swim, &claim->id);
        if (r < 0 || claim->state == SWIM_ALIVE || !member)
            return r;
        return take_suspect(swim, source, member, claim);
    }
    struct member *member = member_find(swim, &claim->id);
    if (member)
        return take_end(swim, member, claim, is_page);
    add_tombstone(swim, claim);
    return 0;
}

int view_take_short(struct swim *swim, const struct source *source, const struct claim *claim)
{
    struct member *member;

    if (core_is_self(swim, &claim->id))
        return refute_hear(swim, source, claim);
    member = member_find(swim, &claim->id);
    if (!member) { /* only a live member's record can be fetched, and is worth it */
        if (claim->state == SWIM_SUSPECT)
            sync_ask(swim, source->id, source->address);
        return 0;
    }
    if (claim->state == SWIM_SUSPECT)
        return take_suspect(swim, source, member, claim);
    return take_end(swim, member, claim, false);
}

void view_on_timer(struct swim *swim, struct timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct care, timer)->member;

    timer_set(&swim->timers, timer, TIMER_NEVER);
    if (member_suspicion(member)) {
        view_declare_dead(swim, member);
    } else if (member->shown.state == SWIM_ALIVE) {
        view_count_flaps(swim, member);
    } else {
        if (!member_is_forgotten(swim, member))
            event_add(swim, SWIM_EVENT_MEMBER_REAPED, member);
        core_bury(swim, member_remove(swim, member));
    }
}
