/* SPDX-License-Identifier: MIT */
#include "swim/join.h"

#include "swim/core.h"
#include "swim/refute.h"

#define RETRY_MIN_USEC  (200 * USEC_PER_MSEC)
#define RETRY_MAX_USEC  (5 * USEC_PER_SEC)
#define STAGGER_USEC    USEC_PER_SEC          /* between the seeds beyond the quorum */
#define FURTHER_USEC    (250 * USEC_PER_MSEC) /* between the addresses of one name */
#define TRIES_TOLD      3                     /* in vain, and a seed counts as unreachable */
#define EXTRA_TRIES_MAX 5
#define ASKED_MAX       3 /* members, for our address */

#define for_each_seed(join, seed)                                                                  \
    for (struct seed *seed = (join)->seeds; seed < (join)->seeds + JOIN_SLOTS_MAX; seed++)

static bool is_configured(const struct seed *seed)
{
    return seed->is_used && !seed->is_extra;
}

static uint32_t count_of(uint64_t entries)
{
    return (uint32_t)__builtin_popcountll(entries);
}

/* The live member that answered there, or that stands at the seed's address, or NULL. Who stood
 * there before probably still does: only otherwise all are looked at. */
static const struct member *find_standing(const struct swim *swim, const struct seed *seed)
{
    const struct member *member = member_find(swim, &seed->id);

    if (member && member->shown.turn > 0)
        return member;
    member = member_find(swim, &seed->at);
    if (member && member->shown.turn > 0 &&
        address_is_equal(&member->shown.address, &seed->address))
        return member;
    for (size_t i = 0; i < swim->members.live_count; i++)
        if (address_is_equal(&swim->members.live[i]->shown.address, &seed->address))
            return swim->members.live[i];
    return NULL;
}

static bool is_reachable(const struct swim *swim, const struct seed *seed)
{
    return find_standing(swim, seed) != NULL;
}

static bool has_answered(const struct swim *swim _unused_, const struct seed *seed)
{
    return seed->has_answered;
}

static bool is_any(const struct swim *swim _unused_, const struct seed *seed _unused_)
{
    return true;
}

/* The entries of which some address is so. */
static uint64_t entries_where(const struct swim *swim,
                              bool (*test)(const struct swim *swim, const struct seed *seed))
{
    uint64_t entries = 0;

    for (size_t i = 0; i < JOIN_SLOTS_MAX; i++) {
        const struct seed *seed = &swim->join.seeds[i];
        if (is_configured(seed) && test(swim, seed))
            entries |= seed->entries;
    }
    return entries;
}

/* All but those that are only ourselves. A name without an address as yet is one, too. */
static uint32_t count_configured(const struct swim *swim)
{
    const struct join *join = &swim->join;
    uint64_t all = join->entries < 64 ? (UINT64_C(1) << join->entries) - 1 : UINT64_MAX;

    return count_of(all & ~(join->own_entries & ~entries_where(swim, is_any)));
}

void join_count(const struct swim *swim, uint32_t *ret_configured, uint32_t *ret_reachable,
                uint32_t *ret_needed)
{
    uint32_t configured = count_configured(swim);
    uint32_t needed = swim->config.seed_quorum > 0 ? swim->config.seed_quorum : configured / 2 + 1;

    *ret_configured = configured;
    *ret_reachable = count_of(entries_where(swim, is_reachable));
    *ret_needed = MIN(needed, configured);
}

static void check_joined(struct swim *swim)
{
    struct join *join = &swim->join;
    uint32_t configured, reachable, needed;
    uint32_t answered = count_of(entries_where(swim, has_answered));

    join_count(swim, &configured, &reachable, &needed);
    if (join->is_joined || !join->has_seeds || answered < needed)
        return;
    join->is_joined = true;
    event_add(swim, SWIM_EVENT_JOINED, NULL)->count = answered;
}

/* --- Attempts --- */

static void send_join(struct swim *swim, struct seed *seed)
{
    struct message message = {.type = MESSAGE_ADDRESS, .address = seed->address};
    struct claim claim;
    struct draft draft;

    view_claim(swim, swim->self, &claim);
    packet_begin(swim, &draft, &seed->address, NULL);
    (void)message_write_claim(&draft.writer, &claim);
    (void)message_write(&draft.writer, &message);
    message.type = MESSAGE_JOIN;
    message.seq = seed->seq;
    if (message_write(&draft.writer, &message))
        packet_send_bare(&draft);
}

static void attempt(struct swim *swim, struct seed *seed)
{
    usec_t limit = MIN(RETRY_MAX_USEC, swim->config.rejoin_interval_usec);
    usec_t wait = MIN(RETRY_MIN_USEC << MIN(seed->tries, 10U), limit);

    /* One number for all tries: an answer that comes late is an answer. */
    if (seed->tries++ == 0)
        seed->seq = core_next_seq(swim);
    send_join(swim, seed);
    timer_set(&swim->timers, &seed->timer,
              swim->now + wait * 3 / 4 + rng_below(&swim->rng, wait / 2 + 1));
}

static void on_seed_timer(struct swim *swim, struct timer *timer)
{
    struct seed *seed = CONTAINER_OF(timer, struct seed, timer);
    bool is_silent = seed->tries >= TRIES_TOLD;

    timer_set(&swim->timers, timer, TIMER_NEVER);
    if (swim->self->shown.state != SWIM_ALIVE)
        return;
    /* Of the addresses of one name one is enough. */
    if (!seed->is_extra && !seed->has_answered &&
        !(seed->entries & ~entries_where(swim, has_answered)))
        return;
    /* An address given by hand, or remembered from the last life, is no seed. */
    if (is_silent && !seed->is_told && !seed->is_extra) {
        seed->is_told = true;
        event_add(swim, SWIM_EVENT_SEED_UNREACHABLE, NULL)->address = seed->address;
    }
    if (seed->is_extra && seed->tries >= EXTRA_TRIES_MAX) {
        seed->is_used = false;
        return;
    }
    /* After the quorum it is up to the rejoin rounds, once the tries of one are over. */
    if (!seed->is_extra && swim->join.is_joined && (seed->tries == 0 || is_silent))
        return;
    attempt(swim, seed);
}

static void start_attempts(struct swim *swim, struct seed *seed)
{
    seed->tries = 0;
    attempt(swim, seed);
}

/* --- Configuration --- */

static struct seed *find_address(struct join *join, const struct address *address)
{
    for_each_seed(join, seed) if (is_configured(seed) &&
                                  address_is_equal(&seed->address, address)) return seed;
    return NULL;
}

static struct seed *add(struct swim *swim, const struct address *address, bool is_extra)
{
    size_t count = 0;
    struct seed *found = NULL;

    for_each_seed(&swim->join, seed)
    {
        count += seed->is_used && seed->is_extra == is_extra;
        if (!seed->is_used && !found)
            found = seed;
    }
    if (!found || count >= (is_extra ? JOIN_EXTRAS_MAX : SWIM_SEEDS_MAX))
        return NULL;
    found->address = *address;
    found->id = found->at = NODE_ID_NULL;
    found->tries = 0;
    found->entries = 0;
    found->is_used = true;
    found->is_extra = is_extra;
    found->has_answered = found->is_told = false;
    return found;
}

static void drop(struct swim *swim, struct seed *seed)
{
    timer_set(&swim->timers, &seed->timer, TIMER_NEVER);
    seed->is_used = false;
}

/*
 * The quorum at once, in random order; the others one by one, for as long as it is not reached; a
 * further address of the same name soon (as RFC 8305 does between address families).
 */
static void contact(struct swim *swim, struct seed **seeds, size_t count)
{
    uint32_t configured, reachable, needed;
    usec_t stagger = 0, next = 0;
    uint64_t begun = 0;

    join_count(swim, &configured, &reachable, &needed);
    rng_shuffle(&swim->rng, (void **)seeds, count);
    for (size_t i = 0; i < count; i++) {
        bool is_further = !(seeds[i]->entries & ~begun);
        if (!is_further && count_of(begun) < needed) {
            begun |= seeds[i]->entries;
            start_attempts(swim, seeds[i]);
        } else
            timer_set(&swim->timers, &seeds[i]->timer,
                      swim->now +
                          (is_further ? (next += FURTHER_USEC) : (stagger += STAGGER_USEC)));
    }
}

static bool is_kept(const struct seed *seed, const struct swim_seed *seeds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (address_is_equal(&seeds[i].address, &seed->address))
            return true;
    return false;
}

void join_set_seeds(struct swim *swim, const struct swim_seed *seeds, size_t count,
                    uint32_t entries)
{
    struct join *join = &swim->join;
    struct seed *added[SWIM_SEEDS_MAX];
    size_t added_count = 0;

    join->has_seeds = true;
    join->entries = MIN(entries, (uint32_t)SWIM_SEEDS_MAX);
    join->own_entries = 0;
    for_each_seed(join, seed)
    {
        if (is_configured(seed) && !is_kept(seed, seeds, count))
            drop(swim, seed);
        seed->entries = 0;
    }
    for (size_t i = 0; i < MIN(count, (size_t)SWIM_SEEDS_MAX); i++) {
        struct seed *seed = find_address(join, &seeds[i].address);
        if (seeds[i].entry >= join->entries || seeds[i].address.family == 0)
            continue;
        uint64_t entry = UINT64_C(1) << seeds[i].entry;
        if (address_is_equal(&seeds[i].address, &swim->self->shown.address)) {
            join->own_entries |= entry;
            continue;
        }
        if (!seed && (seed = add(swim, &seeds[i].address, false)))
            added[added_count++] = seed;
        if (seed)
            seed->entries |= entry;
    }
    contact(swim, added, added_count);
    check_joined(swim);
}

int join_add_extra(struct swim *swim, const struct address *address)
{
    struct seed *seed = add(swim, address, true);

    if (!seed)
        return -ENOSPC;
    start_attempts(swim, seed);
    return 0;
}

void join_skip_own(struct swim *swim)
{
    struct seed *seed = find_address(&swim->join, &swim->self->shown.address);

    if (seed) {
        swim->join.own_entries |= seed->entries;
        drop(swim, seed);
    }
    check_joined(swim);
}

/* --- Rejoining --- */

/* As entries_where(is_reachable), and notes who stands there. */
static uint64_t look_around(struct swim *swim)
{
    uint64_t entries = 0;

    for_each_seed(&swim->join, seed)
    {
        const struct member *member = is_configured(seed) ? find_standing(swim, seed) : NULL;
        if (!member)
            continue;
        seed->at = member->shown.id;
        entries |= seed->entries;
    }
    return entries;
}

static struct seed *pick_unreachable(struct swim *swim)
{
    uint64_t count = 0, reachable = look_around(swim);
    struct seed *picked = NULL;

    for_each_seed(&swim->join, seed) if (is_configured(seed) && !timer_is_armed(&seed->timer) &&
                                         (seed->entries & ~reachable) &&
                                         rng_below(&swim->rng, ++count) == 0) picked = seed;
    return picked;
}

static void contact_one_dead(struct swim *swim)
{
    struct member *picked = NULL;
    uint64_t count = 0;

    order_for_each(&swim->members.dead, entry) if (rng_below(&swim->rng, ++count) == 0) picked =
        entry->member;
    if (picked)
        view_contact(swim, picked, &picked->shown.address);
}

/* Not in step with those who started together: what is cut in two is then tried all the time. */
static usec_t draw_wait(struct swim *swim)
{
    usec_t interval = swim->config.rejoin_interval_usec;

    return interval / 2 + rng_below(&swim->rng, interval + 1);
}

static void on_rejoin(struct swim *swim, struct timer *timer)
{
    struct seed *seed;

    if (swim->self->shown.state != SWIM_ALIVE) {
        timer_set(&swim->timers, timer, TIMER_NEVER);
        return;
    }
    timer_set(&swim->timers, timer, swim->now + draw_wait(swim));
    seed = pick_unreachable(swim);
    if (seed)
        start_attempts(swim, seed);
    contact_one_dead(swim);
}

void join_hurry(struct swim *swim)
{
    struct seed *seeds[JOIN_SLOTS_MAX];
    uint32_t configured, reachable, needed;
    size_t count = 0;

    join_count(swim, &configured, &reachable, &needed);
    for_each_seed(&swim->join, seed) if (is_configured(seed)) seeds[count++] = seed;
    rng_shuffle(&swim->rng, (void **)seeds, count);
    for (size_t i = 0; i < MIN(count, (size_t)needed); i++)
        start_attempts(swim, seeds[i]);
}

void join_ask_around(struct swim *swim)
{
    struct member *asked[ASKED_MAX];
    size_t count = members_sample(swim, ASKED_MAX, NULL, asked);

    for (size_t i = 0; i < count; i++)
        (void)join_add_extra(swim, &asked[i]->shown.address);
}

int join_init(struct swim *swim)
{
    struct join *join = &swim->join;

    for_each_seed(join, seed)
    {
        int r = timer_init(&swim->timers, &seed->timer, on_seed_timer);
        if (r < 0)
            return r;
    }
    int r = timer_init(&swim->timers, &join->rejoin_timer, on_rejoin);
    if (r < 0)
        return r;
    join_start(swim);
    return 0;
}

void join_start(struct swim *swim)
{
    timer_set(&swim->timers, &swim->join.rejoin_timer, swim->now + draw_wait(swim));
}

/* --- Frames --- */

/* Digests are of the living: of two that know each other they are equal, and would keep the
 * newcomer from pulling what we know of the dead. */
static bool has_only_tombstones_to_tell(const struct swim *swim)
{
    size_t alive = members_alive_count(&swim->members);

    return alive <= 2 && swim->members.all.count > alive;
}

void join_take_join(struct swim *swim, const struct source *source, const struct message *message)
{
    struct message answer = {.type = MESSAGE_WELCOME};
    struct swim_event *event =
        event_add(swim, SWIM_EVENT_JOIN_REQUEST, member_find(swim, source->id));
    struct claim claim;
    struct draft draft;

    event->address = *source->address;
    if (swim->self->shown.state != SWIM_ALIVE)
        return;
    answer.seq = message->seq;
    answer.digest = has_only_tombstones_to_tell(swim) ? 0 : swim->members.digest;
    answer.count = (uint32_t)members_alive_count(&swim->members);
    answer.address = *source->address;
    view_claim(swim, swim->self, &claim);
    packet_begin(swim, &draft, source->address, source->id);
    (void)message_write_claim(&draft.writer, &claim);
    (void)message_write(&draft.writer, &answer);
    answer.type = MESSAGE_ADDRESS;
    if (message_write(&draft.writer, &answer))
        packet_send(&draft);
}

void join_take_welcome(struct swim *swim, const struct source *source,
                       const struct message *message)
{
    struct sync_peer peer = {.id = *source->id, .address = *source->address, .is_join = true};

    for_each_seed(&swim->join, seed)
    {
        if (!seed->is_used || seed->tries == 0 || seed->seq != message->seq)
            continue;
        seed->id = *source->id;
        seed->tries = 0;
        seed->has_answered = true;
        seed->is_told = false;
        timer_set(&swim->timers, &seed->timer, TIMER_NEVER);
        if (seed->is_extra)
            seed->is_used = false;
        peer.digest = message->digest;
        peer.count = message->count;
        rush_expect(swim, message->count);
        sync_begin_join(swim, &peer);
        check_joined(swim);
        return;
    }
}
