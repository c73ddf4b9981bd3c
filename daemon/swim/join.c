/* SPDX-License-Identifier: MIT */
#include "swim/join.h"

#include "swim/core.h"
#include "swim/refute.h"

#define RETRY_MIN_USEC  (200 * USEC_PER_MSEC)
#define RETRY_MAX_USEC  (5 * USEC_PER_SEC)
#define STAGGER_USEC    USEC_PER_SEC /* between the seeds beyond the quorum */
#define TRIES_TOLD      3            /* in vain, and a seed counts as unreachable */
#define EXTRA_TRIES_MAX 5

#define for_each_seed(join, seed)                                                                  \
    for (struct seed *seed = (join)->seeds; seed < (join)->seeds + JOIN_SLOTS_MAX; seed++)

static bool is_configured(const struct seed *seed)
{
    return seed->is_used && !seed->is_extra;
}

static uint32_t needed_of(const struct swim *swim, uint32_t configured)
{
    uint32_t needed = swim->config.seed_quorum > 0 ? swim->config.seed_quorum : configured / 2 + 1;

    return MIN(needed, configured);
}

/* Whether a live member stands at the seed's address, or answered there. */
static bool is_reachable(const struct swim *swim, const struct seed *seed)
{
    const struct member *member = member_find(swim, &seed->id);

    if (member && member->turn > 0)
        return true;
    for (size_t i = 0; i < swim->members.live_count; i++)
        if (address_is_equal(&swim->members.live[i]->shown.address, &seed->address))
            return true;
    return false;
}

void join_count(const struct swim *swim, uint32_t *ret_configured, uint32_t *ret_reachable,
                uint32_t *ret_needed)
{
    uint32_t configured = 0, reachable = 0;

    for (size_t i = 0; i < JOIN_SLOTS_MAX; i++) {
        const struct seed *seed = &swim->join.seeds[i];
        configured += is_configured(seed);
        reachable += is_configured(seed) && is_reachable(swim, seed);
    }
    *ret_configured = configured;
    *ret_reachable = reachable;
    *ret_needed = needed_of(swim, configured);
}

static void check_joined(struct swim *swim)
{
    struct join *join = &swim->join;
    uint32_t configured = 0, answered = 0;

    for_each_seed(join, seed)
    {
        configured += is_configured(seed);
        answered += is_configured(seed) && seed->has_answered;
    }
    if (join->is_joined || !join->has_seeds || answered < needed_of(swim, configured))
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

    seed->seq = core_next_seq(swim);
    seed->tries++;
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
    if (is_silent && !seed->is_told) {
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
    found->id = NODE_ID_NULL;
    found->tries = 0;
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

/* The quorum at once, in random order; the others one by one, for as long as it is not reached. */
static void contact(struct swim *swim, struct seed **seeds, size_t count)
{
    uint32_t configured, reachable, needed;
    usec_t stagger = 0;

    join_count(swim, &configured, &reachable, &needed);
    rng_shuffle(&swim->rng, (void **)seeds, count);
    for (size_t i = 0; i < count; i++) {
        if (i < needed)
            start_attempts(swim, seeds[i]);
        else
            timer_set(&swim->timers, &seeds[i]->timer, swim->now + (stagger += STAGGER_USEC));
    }
}

void join_set_seeds(struct swim *swim, const struct address *seeds, size_t count)
{
    struct join *join = &swim->join;
    struct seed *added[SWIM_SEEDS_MAX];
    size_t added_count = 0;

    join->has_seeds = true;
    for_each_seed(join, seed)
    {
        bool is_kept = false;
        for (size_t i = 0; i < count; i++)
            is_kept |= address_is_equal(&seeds[i], &seed->address);
        if (is_configured(seed) && !is_kept)
            drop(swim, seed);
    }
    for (size_t i = 0; i < MIN(count, (size_t)SWIM_SEEDS_MAX); i++) {
        if (find_address(join, &seeds[i]) || seeds[i].family == 0 ||
            address_is_equal(&seeds[i], &swim->self->shown.address))
            continue;
        struct seed *seed = add(swim, &seeds[i], false);
        if (seed)
            added[added_count++] = seed;
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

    if (seed)
        drop(swim, seed);
    check_joined(swim);
}

/* --- Rejoining --- */

static struct seed *pick_unreachable(struct swim *swim)
{
    struct seed *picked = NULL;
    uint64_t count = 0;

    for_each_seed(&swim->join, seed) if (is_configured(seed) && !timer_is_armed(&seed->timer) &&
                                         !is_reachable(swim, seed) &&
                                         rng_below(&swim->rng, ++count) == 0) picked = seed;
    return picked;
}

static void contact_one_dead(struct swim *swim)
{
    struct member *picked = NULL;
    uint64_t count = 0;

    order_for_each(&swim->members.all, entry) if (entry->member->shown.state == SWIM_DEAD &&
                                                  rng_below(&swim->rng, ++count) == 0) picked =
        entry->member;
    if (picked)
        view_contact(swim, picked, &picked->shown.address);
}

static void on_rejoin(struct swim *swim, struct timer *timer)
{
    struct seed *seed;

    if (swim->self->shown.state != SWIM_ALIVE) {
        timer_set(&swim->timers, timer, TIMER_NEVER);
        return;
    }
    timer_set(&swim->timers, timer, swim->now + swim->config.rejoin_interval_usec);
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
    timer_set(&swim->timers, &swim->join.rejoin_timer,
              swim->now + swim->config.rejoin_interval_usec / 2 +
                  rng_below(&swim->rng, swim->config.rejoin_interval_usec / 2 + 1));
}

/* --- Frames --- */

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
    answer.digest = swim->members.digest;
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
        sync_begin_join(swim, &peer);
        check_joined(swim);
        return;
    }
}
