/* SPDX-License-Identifier: MIT */
#include "swim/member.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "swim/core.h"
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(place, size)   ((void)(place))
#define ASAN_UNPOISON_MEMORY_REGION(place, size) ((void)(place))
#endif

#define SLAB_MEMBERS 34 /* of 4 KiB */

static_assert(SWIM_META_MAX <= 0x3ff && SWIM_MEMBERS_MAX <= UINT16_MAX,
              "what a member has room for");

/* The finalizer of SplitMix64 (Steele, Lea, Flood). */
static uint64_t mix(uint64_t x)
{
    x = member_mix(x);
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

    return mix(mix(member_hash_id(&member->shown.id) ^ incarnation->generation) +
               incarnation->counter);
}

/* --- Places --- */

struct slab {
    struct slab *next;
    struct member members[SLAB_MEMBERS];
};

static void give_place(struct members *members, struct member *member)
{
    member->next = members->places;
    members->places = member;
    ASAN_POISON_MEMORY_REGION(&member->shown, sizeof(member->shown));
}

/* Return: zeros, or NULL: no memory. */
static struct member *take_place(struct members *members)
{
    if (!members->places) {
        struct slab *slab = malloc(sizeof(*slab));
        if (!slab)
            return NULL;
        slab->next = members->slabs;
        members->slabs = slab;
        for (size_t i = SLAB_MEMBERS; i-- > 0;)
            give_place(members, &slab->members[i]);
    }
    struct member *member = members->places;
    members->places = member->next;
    ASAN_UNPOISON_MEMORY_REGION(&member->shown, sizeof(member->shown));
    *member = (struct member){0};
    return member;
}

/* The owner of the core may look at what only the core may free. */
static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

static void free_care(struct care *care)
{
    if (!care)
        return;
    free(care->suspicion);
    free(care->flaps);
    free(care);
}

static void release(struct member *member)
{
    free_care(member_care(member));
    free(member->extra);
    free_text(member->shown.name);
}

void member_free(struct swim *swim, struct member *member)
{
    release(member);
    give_place(&swim->members, member);
}

void members_done(struct swim *swim)
{
    struct members *members = &swim->members;

    order_for_each(&members->all, entry) release(entry->member);
    order_for_each(&members->forgotten, entry) release(entry->member);
    for (struct slab *slab; (slab = members->slabs);) {
        members->slabs = slab->next;
        ASAN_UNPOISON_MEMORY_REGION(slab, sizeof(*slab));
        free(slab);
    }
    order_done(&members->all);
    order_done(&members->forgotten);
    order_done(&members->dead);
    names_done(&members->names);
    free(members->live);
}

/* Those who are to be contacted now and then are found without a look at all the others. One that
 * finds no memory is not contacted, and may come by itself. */
static void list_dead(struct members *members, struct member *member)
{
    bool is_dead =
        member->shown.state == SWIM_DEAD && !order_find(&members->forgotten, &member->shown.id);
    bool is_listed = order_find(&members->dead, &member->shown.id) != NULL;

    if (is_dead && !is_listed)
        (void)order_insert(&members->dead, member);
    else if (!is_dead && is_listed)
        order_remove(&members->dead, member);
}

int member_show(struct swim *swim, struct member *member)
{
    int r = order_insert(&swim->members.all, member);

    if (r < 0)
        return r;
    order_remove(&swim->members.forgotten, member);
    list_dead(&swim->members, member);
    return 0;
}

int member_hide(struct swim *swim, struct member *member)
{
    int r = order_insert(&swim->members.forgotten, member);

    if (r < 0)
        return r;
    order_remove(&swim->members.all, member);
    list_dead(&swim->members, member);
    return 0;
}

/* Room for all in the order of probing, so that no later step can fail. */
static int reserve_live(struct members *members)
{
    size_t count = members->all.count + members->forgotten.count + 1;
    size_t allocated = members->live_allocated + members->live_allocated / 16 + 8;

    if (count <= members->live_allocated)
        return 0;
    struct member **live = reallocarray(members->live, allocated, sizeof(*live));
    if (!live)
        return -ENOMEM;
    members->live = live;
    members->live_allocated = allocated;
    return 0;
}

static struct member *make(struct swim *swim, const struct node_id *id)
{
    struct member *member = take_place(&swim->members);

    if (!member)
        return NULL;
    member->shown.id = *id;
    member->shown.state = SWIM_LEFT;
    member->shown.first_seen_usec = swim->now;
    member->shown.changed_usec = swim->now;
    if (member_set_text(swim, member, "", NULL, 0) < 0) {
        member_free(swim, member);
        return NULL;
    }
    return member;
}

int member_add(struct swim *swim, const struct node_id *id, struct member **ret)
{
    struct members *members = &swim->members;
    struct member *member;
    int r;

    if (members->all.count + members->forgotten.count >= SWIM_MEMBERS_MAX)
        return -ENOSPC;
    r = reserve_live(members);
    if (r < 0)
        return r;
    member = make(swim, id);
    if (!member)
        return -ENOMEM;
    r = order_insert(&members->all, member);
    if (r < 0) {
        names_remove(&members->names, member->shown.name);
        member_free(swim, member);
        return r;
    }
    *ret = member;
    return 0;
}

int member_take_extra(struct member *member)
{
    if (!member->extra)
        member->extra = calloc(1, sizeof(*member->extra));
    return member->extra ? 0 : -ENOMEM;
}

int member_take_care(struct swim *swim, struct member *member)
{
    struct care *care;
    int r;

    if (member_care(member))
        return 0;
    care = member_take_extra(member) >= 0 ? calloc(1, sizeof(*care)) : NULL;
    if (!care)
        return -ENOMEM;
    care->member = member;
    r = timer_init(&swim->timers, &care->timer, view_on_timer);
    if (r >= 0)
        r = timer_init(&swim->timers, &care->contact_timer, view_on_contact);
    if (r < 0) {
        timer_done(&swim->timers, &care->timer);
        free(care);
        return r;
    }
    member->extra->care = care;
    return 0;
}

void member_end_care(struct swim *swim, struct member *member)
{
    struct care *care = member_care(member);

    if (!care)
        return;
    timer_done(&swim->timers, &care->timer);
    timer_done(&swim->timers, &care->contact_timer);
    free_care(care);
    member->extra->care = NULL;
    if (member->extra->heartbeats.generation == 0 && member->extra->texts.generation == 0) {
        free(member->extra);
        member->extra = NULL;
    }
}

struct member *member_find(const struct swim *swim, const struct node_id *id)
{
    struct member *member = order_find(&swim->members.all, id);

    return member ? member : order_find(&swim->members.forgotten, id);
}

bool member_is_forgotten(const struct swim *swim, const struct member *member)
{
    return order_find(&swim->members.forgotten, &member->shown.id) != NULL;
}

static void put(struct members *members, size_t i, struct member *member)
{
    members->live[i] = member;
    member->shown.turn = (uint16_t)(i + 1);
}

/* A new member goes to a random place of the order (SWIM 4.3): ahead, it is met in this round. */
static void enter_order(struct swim *swim, struct member *member)
{
    struct members *members = &swim->members;
    size_t i = (size_t)rng_below(&swim->rng, members->live_count + 1);

    if (i < members->live_count)
        put(members, members->live_count, members->live[i]);
    put(members, i, member);
    members->live_count++;
    probe_wake(swim);
}

/* The gap is closed so that nobody who is still to come in this round is passed over. */
static void leave_order(struct swim *swim, struct member *member)
{
    struct members *members = &swim->members;
    size_t i = member->shown.turn - 1U;

    if (i < members->position) {
        put(members, i, members->live[--members->position]);
        i = members->position;
    }
    if (i < --members->live_count)
        put(members, i, members->live[members->live_count]);
    member->shown.turn = 0;
}

static void fold(struct members *members, const struct member *member)
{
    uint64_t hash = member_hash(member);

    members->digest ^= hash;
    members->digests[order_bucket_of(member_hash_id(&member->shown.id))] ^= hash;
}

void member_set_state(struct swim *swim, struct member *member, enum swim_state state,
                      const struct swim_incarnation *incarnation)
{
    struct members *members = &swim->members;
    uint64_t before = members->digest;

    if (state_is_live(member->shown.state))
        fold(members, member);
    if (member->shown.state != state)
        member->shown.changed_usec = swim->now;
    member->shown.state = state;
    member->shown.incarnation = *incarnation;
    if (state_is_live(state))
        fold(members, member);
    if (members->digest != before)
        members->changed_usec = swim->now;
    list_dead(members, member);
    if (state_is_live(state) && member->shown.turn == 0 && !member->shown.is_self)
        enter_order(swim, member);
    else if (!state_is_live(state) && member->shown.turn > 0)
        leave_order(swim, member);
}

/* Only dead and left ones, that are in no order, are ever removed, and new ones that were none yet.
 */
struct member *member_remove(struct swim *swim, struct member *member)
{
    struct members *members = &swim->members;

    probe_forget(swim, member);
    rumor_drop(swim, member);
    member_end_care(swim, member);
    names_remove(&members->names, member->shown.name);
    order_remove(member_is_forgotten(swim, member) ? &members->forgotten : &members->all, member);
    if (order_find(&members->dead, &member->shown.id))
        order_remove(&members->dead, member);
    return member;
}

int member_set_text(struct swim *swim, struct member *member, const char *name, const void *meta,
                    size_t meta_size)
{
    struct swim_member *shown = &member->shown;
    size_t name_size = strlen(name) + 1;
    char *text = malloc(name_size + meta_size);

    if (!text || names_add(&swim->members.names, name) < 0) {
        free(text);
        return -ENOMEM;
    }
    memcpy(text, name, name_size);
    if (meta_size > 0)
        memcpy(text + name_size, meta, meta_size);
    if (shown->name)
        names_remove(&swim->members.names, shown->name);
    free_text(shown->name);
    shown->name = text;
    shown->meta_size = meta_size & 0x3ff;
    return 0;
}

const uint8_t *swim_get_meta(const struct swim_member *shown)
{
    return (const uint8_t *)shown->name + strlen(shown->name) + 1;
}

uint32_t swim_get_flaps(const struct swim_member *shown)
{
    const struct member *member = (const void *)shown;

    return member_care(member) ? member_care(member)->flaps_count : 0;
}

const struct node_id *swim_get_reporter(const struct swim_member *shown)
{
    static const struct node_id nobody = {{0}};
    const struct member *member = (const void *)shown;

    return member_care(member) ? &member_care(member)->reported_by : &nobody;
}

struct member *member_find_double(const struct swim *swim, const struct member *member)
{
    if (!names_have_two(&swim->members.names, member->shown.name))
        return NULL;
    order_for_each(
        &swim->members.all,
        entry) if (entry->member != member && state_is_live(entry->member->shown.state) &&
                   strcmp(entry->member->shown.name, member->shown.name) == 0) return entry->member;
    return NULL;
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
    size_t eligible = members->live_count - (except && except->shown.turn > 0 ? 1 : 0);
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
