/* SPDX-License-Identifier: MIT */
#include "swim/member.h"

#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

/* The finalizer of SplitMix64 (Steele, Lea, Flood). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t member_hash_id(const struct node_id *id)
{
    struct reader reader = reader_from(id->bytes, sizeof(id->bytes));
    uint64_t high = reader_u64(&reader);

    return mix(mix(high + UINT64_C(0x9e3779b97f4a7c15)) ^ reader_u64(&reader));
}

uint64_t member_hash(const struct member *member)
{
    const struct swim_incarnation *incarnation = &member->shown.incarnation;

    return mix(mix(member->hash ^ incarnation->generation) + incarnation->counter);
}

static int compare(uint64_t hash, const struct node_id *id, const struct member *member)
{
    if (hash != member->hash)
        return hash < member->hash ? -1 : 1;
    return memcmp(id, &member->shown.id, sizeof(*id));
}

size_t members_after(const struct members *members, const struct node_id *id)
{
    uint64_t hash = member_hash_id(id);
    size_t low = 0, high = members->all_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(hash, id, members->all[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void members_init(struct members *members, uint64_t seed)
{
    *members = (struct members){0};
    table_init(&members->by_id, sizeof(struct node_id), seed);
}

struct member *member_free(struct member *member)
{
    if (!member)
        return NULL;
    free(member->suspicion);
    free(member->meta);
    free(member->flaps);
    free(member);
    return NULL;
}

void members_done(struct swim *swim)
{
    table_for_each (&swim->members.by_id, struct member *, member)
        member_free(member);
    table_done(&swim->members.by_id);
    free(swim->members.all);
    free(swim->members.live);
}

static int reserve(struct member ***array, size_t *allocated, size_t count)
{
    if (count < *allocated)
        return 0;
    size_t size = MAX(*allocated * 2, (size_t)16);
    struct member **grown = reallocarray(*array, size, sizeof(**array));
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *allocated = size;
    return 0;
}

void member_show(struct swim *swim, struct member *member)
{
    struct members *members = &swim->members;
    size_t i = members_after(members, &member->shown.id);

    memmove(&members->all[i + 1], &members->all[i],
            (members->all_count - i) * sizeof(struct member *));
    members->all[i] = member;
    members->all_count++;
    member->is_forgotten = false;
}

void member_hide(struct swim *swim, struct member *member)
{
    struct members *members = &swim->members;
    size_t i = members_after(members, &member->shown.id);

    memmove(&members->all[i - 1], &members->all[i],
            (members->all_count - i) * sizeof(struct member *));
    members->all_count--;
    member->is_forgotten = true;
}

int member_add(struct swim *swim, const struct node_id *id, struct member **ret)
{
    struct members *members = &swim->members;
    int r;

    if (members->by_id.count >= SWIM_MEMBERS_MAX)
        return -ENOSPC;
    /* Room for everybody in both orders, so that no later step can fail. */
    r = reserve(&members->all, &members->all_allocated, members->by_id.count + 1);
    if (r < 0)
        return r;
    r = reserve(&members->live, &members->live_allocated, members->by_id.count + 1);
    if (r < 0)
        return r;
    struct member *member = calloc(1, sizeof(*member));
    if (!member)
        return -ENOMEM;
    member->shown.id = *id;
    member->shown.state = SWIM_LEFT;
    member->shown.first_seen_usec = member->shown.last_seen_usec = swim->now;
    member->shown.changed_usec = swim->now;
    member->hash = member_hash_id(id);
    rumor_init(&member->state_rumor, RUMOR_STATE);
    rumor_init(&member->load_rumor, RUMOR_LOAD);
    r = timer_init(&swim->timers, &member->timer, view_on_timer);
    if (r >= 0)
        r = timer_init(&swim->timers, &member->contact_timer, view_on_contact);
    if (r >= 0)
        r = table_insert(&members->by_id, &member->shown.id, member);
    if (r < 0) {
        timer_done(&swim->timers, &member->timer);
        timer_done(&swim->timers, &member->contact_timer);
        member_free(member);
        return r;
    }
    member_show(swim, member);
    *ret = member;
    return 0;
}

struct member *member_find(const struct swim *swim, const struct node_id *id)
{
    return table_find(&swim->members.by_id, id);
}

/* A new member goes to a random place of the order (SWIM 4.3): ahead, it is met in this round. */
static void enter_order(struct swim *swim, struct member *member)
{
    struct members *members = &swim->members;
    size_t i = (size_t)rng_below(&swim->rng, members->live_count + 1);

    members->live[members->live_count] = members->live[i];
    if (i < members->live_count)
        members->live[i]->turn = members->live_count + 1;
    members->live[i] = member;
    member->turn = i + 1;
    members->live_count++;
    probe_wake(swim);
}

static void put(struct members *members, size_t i, struct member *member)
{
    members->live[i] = member;
    member->turn = i + 1;
}

/* The gap is closed so that nobody who is still to come in this round is passed over. */
static void leave_order(struct swim *swim, struct member *member)
{
    struct members *members = &swim->members;
    size_t i = member->turn - 1;

    if (i < members->position) {
        put(members, i, members->live[--members->position]);
        i = members->position;
    }
    if (i < --members->live_count)
        put(members, i, members->live[members->live_count]);
    member->turn = 0;
}

void member_set_state(struct swim *swim, struct member *member, enum swim_state state,
                      const struct swim_incarnation *incarnation)
{
    struct members *members = &swim->members;
    uint64_t before = members->digest;

    if (state_is_live(member->shown.state))
        members->digest ^= member_hash(member);
    if (member->shown.state != state)
        member->shown.changed_usec = swim->now;
    member->shown.state = state;
    member->shown.incarnation = *incarnation;
    if (state_is_live(state))
        members->digest ^= member_hash(member);
    if (members->digest != before)
        members->changed_usec = swim->now;
    if (state_is_live(state) && member->turn == 0 && !member->shown.is_self)
        enter_order(swim, member);
    else if (!state_is_live(state) && member->turn > 0)
        leave_order(swim, member);
}

/* Only dead and left ones, that are in no order, are ever removed, and new ones that were none yet.
 */
struct member *member_remove(struct swim *swim, struct member *member)
{
    probe_forget(swim, member);
    rumor_drop(swim, &member->state_rumor);
    rumor_drop(swim, &member->load_rumor);
    timer_done(&swim->timers, &member->timer);
    timer_done(&swim->timers, &member->contact_timer);
    if (!member->is_forgotten)
        member_hide(swim, member);
    table_remove(&swim->members.by_id, &member->shown.id);
    return member;
}

int member_set_meta(struct member *member, const uint8_t *meta, size_t size)
{
    uint8_t *copy = NULL;

    if (size > 0) {
        copy = malloc(size);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, meta, size);
    }
    free(member->meta);
    member->meta = copy;
    member->shown.meta = copy;
    member->shown.meta_size = size;
    return 0;
}

struct member *members_next(struct swim *swim)
{
    struct members *members = &swim->members;

    if (members->live_count == 0)
        return NULL;
    if (members->position >= members->live_count) {
        members->position = 0;
        for (size_t i = members->live_count; i > 1; i--) {
            size_t j = (size_t)rng_below(&swim->rng, i);
            struct member *other = members->live[j];
            put(members, j, members->live[i - 1]);
            put(members, i - 1, other);
        }
    }
    return members->live[members->position++];
}

static bool is_among(struct member *const *members, size_t count, const struct member *member)
{
    for (size_t i = 0; i < count; i++)
        if (members[i] == member)
            return true;
    return false;
}

size_t members_sample(struct swim *swim, size_t count, const struct member *except,
                      struct member **ret)
{
    const struct members *members = &swim->members;
    size_t eligible = members->live_count - (except && except->turn > 0 ? 1 : 0);
    bool is_all = count >= eligible;
    size_t found = 0;

    for (size_t i = 0; found < MIN(count, eligible); i++) {
        struct member *member =
            members->live[is_all ? i : (size_t)rng_below(&swim->rng, members->live_count)];
        if (member != except && (is_all || !is_among(ret, found, member)))
            ret[found++] = member;
    }
    return found;
}
