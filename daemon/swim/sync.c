/* SPDX-License-Identifier: MIT */
#include "swim/sync.h"

#include "swim/core.h"
#include "swim/marks.h"

#define RETRY_USEC       (100 * USEC_PER_MSEC) /* then twice as long, up to eight times */
#define RETRY_DOUBLINGS  3U
#define QUIET_USEC       (500 * USEC_PER_MSEC) /* digests may differ for so long: rumors travel */
#define RESTLESS_USEC    (2 * USEC_PER_SEC)    /* or so long, while our own table changes */
#define WAIT_MIN_USEC    USEC_PER_SEC
#define ENTRIES_PER_LANE 32  /* that are expected to come */
#define MARKS_PER_LANE   256 /* of those that are here */
#define PULL_SIZE        256 /* bytes of its packet that are not marks, a notice among them */
#define SETTLE_USEC      (200 * USEC_PER_MSEC) /* then twice as long each time */
#define SETTLES_MAX      4
#define MASK_ALL         UINT64_MAX
#define TABLE_MAX        64 /* members that one gives to whoever joins by it; else a share: */
#define SHARE            32

bool sync_is_joining(const struct swim *swim)
{
    return swim->sync.is_active && (swim->sync.peer.is_join || swim->sync.peer.is_rest);
}

static void begin_next(struct swim *swim);

static void tell_peer_list(struct swim *swim, const struct sync_peer *peer, uint32_t count)
{
    const struct member *member = member_find(swim, &peer->id);
    struct swim_event *event = event_add(swim, SWIM_EVENT_PEER_LIST, member);

    event->count = count;
    event->address = peer->address;
}

/* Of a large table whom we joined by gives a share only, for many may join by it at once: enough to
 * know others. One of them gives the rest. */
static void ask_for_rest(struct swim *swim)
{
    struct sync *sync = &swim->sync;
    struct member *other;

    if (members_sample(swim, 1, member_find(swim, &sync->peer.id), &other) == 0 ||
        sync->queue_count == SYNC_QUEUE_MAX)
        return;
    sync->queue[sync->queue_count++] = (struct sync_peer){.id = other->shown.id,
                                                          .address = other->shown.address,
                                                          .count = sync->peer.count,
                                                          .is_rest = true};
}

static void end(struct swim *swim, bool is_good)
{
    struct sync *sync = &swim->sync;

    sync->is_active = false;
    sync->compare_seq = 0;
    timer_set(&swim->timers, &sync->timer, TIMER_NEVER);
    if (is_good) {
        sync->last_usec = swim->now;
        sync->last_with = sync->peer.id;
        if (sync->peer.is_join) {
            tell_peer_list(swim, &sync->peer, MAX(sync->entries_count, sync->peer.count));
            if (sync->peer.count > TABLE_MAX)
                ask_for_rest(swim);
        }
    }
    begin_next(swim);
}

/* --- Asking --- */

static void send_compare(struct swim *swim)
{
    struct sync *sync = &swim->sync;
    struct message message = {.type = MESSAGE_COMPARE};

    message.seq = sync->compare_seq;
    message.digest = swim->members.digest;
    packet_send_message(swim, &sync->peer.address, &sync->peer.id, &message);
}

static void send_pull(struct swim *swim, const struct sync_lane *lane)
{
    const struct sync_peer *peer = &swim->sync.peer;
    struct message message = {.type = MESSAGE_PULL};
    uint8_t marks[MARKS_MAX * sizeof(uint32_t)];
    struct writer writer = writer_into(marks, sizeof(marks));

    marks_write(swim, lane->mask, &lane->cursor, swim->config.packet_size_max - PULL_SIZE, &writer);
    message.seq = lane->seq;
    message.mask = lane->mask;
    message.cursor = lane->cursor;
    message.marks = reader_from(marks, writer.position);
    packet_send_message(swim, &peer->address, &peer->id, &message);
}

static void arm(struct swim *swim)
{
    unsigned doublings = rush_is_on(swim) ? RETRY_DOUBLINGS : swim->sync.tries;
    usec_t wait = RETRY_USEC << MIN(doublings, RETRY_DOUBLINGS);

    timer_set(&swim->timers, &swim->sync.timer, swim->now + wait);
}

static uint64_t count_known(const struct swim *swim, uint64_t mask)
{
    uint64_t count = 0;

    for (unsigned bucket = 0; bucket < ORDER_BUCKETS; bucket++)
        count += mask >> bucket & 1 ? swim->members.all.buckets[bucket].count : 0;
    return count;
}

/* Deals the buckets of @mask out to lanes, as many as is worth it where the other has @count
 * members. */
static void begin_pulls(struct swim *swim, uint64_t mask, uint64_t count)
{
    struct sync *sync = &swim->sync;
    uint64_t buckets = (uint64_t)__builtin_popcountll(mask);
    uint64_t known = count_known(swim, mask);
    uint64_t missing = usec_sub(count * buckets / MESSAGE_BUCKETS, known);
    uint64_t worth = MAX(missing / ENTRIES_PER_LANE, known / MARKS_PER_LANE);
    size_t lanes = (size_t)CLAMP(worth, UINT64_C(1), MIN((uint64_t)SYNC_LANES_MAX, buckets));
    size_t dealt = 0;

    for (size_t i = 0; i < SYNC_LANES_MAX; i++)
        sync->lanes[i] = (struct sync_lane){0};
    for (unsigned bucket = 0; bucket < MESSAGE_BUCKETS; bucket++)
        if (mask >> bucket & 1)
            sync->lanes[dealt++ * lanes / buckets].mask |= UINT64_C(1) << bucket;
    for (size_t i = 0; i < lanes; i++) {
        sync->lanes[i].is_active = true;
        sync->lanes[i].seq = core_next_seq(swim);
        send_pull(swim, &sync->lanes[i]);
    }
    arm(swim);
}

/* Of a table of @count members as many buckets, beside each other, as hold about SHARE of them. */
static uint64_t draw_share(struct swim *swim, uint32_t count)
{
    unsigned buckets = MAX(MESSAGE_BUCKETS * SHARE / count, 1U);
    uint64_t mask = (UINT64_C(1) << buckets) - 1;

    return mask << rng_below(&swim->rng, MESSAGE_BUCKETS - buckets + 1);
}

static void begin(struct swim *swim, const struct sync_peer *peer)
{
    struct sync *sync = &swim->sync;
    size_t known = members_alive_count(&swim->members);

    sync->is_active = true;
    sync->peer = *peer;
    sync->tries = 0;
    sync->entries_count = 0;
    sync->compare_seq = 0;
    for (size_t i = 0; i < SYNC_LANES_MAX; i++)
        sync->lanes[i].is_active = false;
    /* Who knows next to nobody need not compare. */
    if (peer->is_join && known <= peer->count / 2 + 1) {
        begin_pulls(swim, peer->count > TABLE_MAX ? draw_share(swim, peer->count) : MASK_ALL,
                    peer->count);
        return;
    }
    if (peer->is_rest) {
        begin_pulls(swim, MASK_ALL, peer->count);
        return;
    }
    sync->compare_seq = core_next_seq(swim) | 1;
    send_compare(swim);
    arm(swim);
}

static void begin_next(struct swim *swim)
{
    struct sync *sync = &swim->sync;

    while (!sync->is_active && sync->queue_count > 0) {
        struct sync_peer peer = sync->queue[0];
        sync->queue_count--;
        for (size_t i = 0; i < sync->queue_count; i++)
            sync->queue[i] = sync->queue[i + 1];
        if (peer.is_join && peer.digest == swim->members.digest)
            tell_peer_list(swim, &peer, peer.count);
        else
            begin(swim, &peer);
    }
}

static void enqueue(struct swim *swim, const struct sync_peer *peer)
{
    struct sync *sync = &swim->sync;

    if (sync->is_active && !peer->is_join && node_id_is_equal(&sync->peer.id, &peer->id))
        return;
    for (size_t i = 0; i < sync->queue_count; i++)
        if (node_id_is_equal(&sync->queue[i].id, &peer->id))
            return;
    if (sync->queue_count < SYNC_QUEUE_MAX)
        sync->queue[sync->queue_count++] = *peer;
    begin_next(swim);
}

void sync_begin_join(struct swim *swim, const struct sync_peer *peer)
{
    swim->sync.settles_count = 0;
    timer_set(&swim->timers, &swim->sync.settle_timer, swim->now + SETTLE_USEC);
    enqueue(swim, peer);
}

/* While nothing changes between two digests, asking again is fruitless and gets rarer. */
static void ask(struct swim *swim, const struct node_id *id, const struct address *address,
                uint64_t digest)
{
    struct sync *sync = &swim->sync;
    bool is_same = sync->own_digest == swim->members.digest && sync->peer_digest == digest;
    usec_t wait = is_same ? sync->wait_usec : WAIT_MIN_USEC;

    if (swim->self->shown.state != SWIM_ALIVE ||
        (sync->asked_usec > 0 && swim->now - sync->asked_usec < wait))
        return;
    sync->wait_usec = is_same ? MIN(2 * sync->wait_usec, swim->config.sync_interval_usec) : wait;
    sync->asked_usec = swim->now;
    sync->own_digest = swim->members.digest;
    sync->peer_digest = digest;
    enqueue(swim, &(struct sync_peer){.id = *id, .address = *address});
}

void sync_ask(struct swim *swim, const struct node_id *id, const struct address *address)
{
    ask(swim, id, address, 0);
}

static void on_timer(struct swim *swim, struct timer *timer _unused_)
{
    struct sync *sync = &swim->sync;

    if (++sync->tries >= SYNC_TRIES_MAX) {
        end(swim, false);
        return;
    }
    if (sync->compare_seq != 0)
        send_compare(swim);
    for (size_t i = 0; i < SYNC_LANES_MAX; i++)
        if (sync->lanes[i].is_active)
            send_pull(swim, &sync->lanes[i]);
    arm(swim);
}

void sync_with_any(struct swim *swim)
{
    struct member *member;

    if (gossip_draw(swim, 1, &member) > 0)
        enqueue(swim,
                &(struct sync_peer){.id = member->shown.id, .address = member->shown.address});
}

static void on_settle(struct swim *swim, struct timer *timer)
{
    struct sync *sync = &swim->sync;

    sync_with_any(swim);
    timer_set(&swim->timers, timer,
              ++sync->settles_count < SETTLES_MAX ? swim->now + (SETTLE_USEC << sync->settles_count)
                                                  : TIMER_NEVER);
}

/* No digest for a whole interval: ask for one. */
static void on_round(struct swim *swim, struct timer *timer)
{
    timer_set(&swim->timers, timer, swim->now + swim->config.sync_interval_usec);
    if (swim->now - swim->sync.compared_usec >= swim->config.sync_interval_usec)
        sync_with_any(swim);
}

int sync_init(struct swim *swim)
{
    struct sync *sync = &swim->sync;
    int r = timer_init(&swim->timers, &sync->timer, on_timer);

    if (r < 0)
        return r;
    r = timer_init(&swim->timers, &sync->settle_timer, on_settle);
    if (r < 0)
        return r;
    r = timer_init(&swim->timers, &sync->round_timer, on_round);
    if (r < 0)
        return r;
    sync->compared_usec = swim->now;
    timer_set(&swim->timers, &sync->round_timer, swim->now + swim->config.sync_interval_usec);
    return 0;
}

/* --- What comes in --- */

void sync_take_digest(struct swim *swim, const struct source *source, uint64_t digest)
{
    struct sync *sync = &swim->sync;

    sync->compared_usec = swim->now;
    if (digest == swim->members.digest) {
        sync->differs_since_usec = 0;
        return;
    }
    if (sync->differs_since_usec == 0)
        sync->differs_since_usec = swim->now;
    if (swim->now - swim->members.changed_usec < QUIET_USEC &&
        swim->now - sync->differs_since_usec < RESTLESS_USEC)
        return;
    ask(swim, source->id, source->address, digest);
}

void sync_take_compare(struct swim *swim, const struct source *source,
                       const struct message *message)
{
    struct message answer = {.type = MESSAGE_VECTOR};
    struct draft draft;

    answer.seq = message->seq;
    answer.count = (uint32_t)members_alive_count(&swim->members);
    for (size_t i = 0; i < MESSAGE_BUCKETS; i++)
        answer.buckets[i] = (uint32_t)swim->members.digests[i];
    packet_begin(swim, &draft, source->address, source->id);
    if (message_write(&draft.writer, &answer))
        packet_send(&draft);
    /* It goes both ways: who asks may know what we do not. */
    sync_take_digest(swim, source, message->digest);
}

void sync_take_vector(struct swim *swim, const struct source *source, const struct message *message)
{
    struct sync *sync = &swim->sync;
    uint64_t mask = 0;

    if (!sync->is_active || sync->compare_seq == 0 || message->seq != sync->compare_seq ||
        !node_id_is_equal(&sync->peer.id, source->id))
        return;
    sync->compare_seq = 0;
    sync->tries = 0;
    for (unsigned i = 0; i < MESSAGE_BUCKETS; i++)
        if ((uint32_t)swim->members.digests[i] != message->buckets[i])
            mask |= UINT64_C(1) << i;
    if (mask == 0)
        end(swim, true);
    else
        begin_pulls(swim, mask, MAX((uint64_t)message->count, members_alive_count(&swim->members)));
}

void sync_take_pull(struct swim *swim, const struct source *source, struct message *message)
{
    struct order_walk walk = order_walk_after(&swim->members.all, message->mask, &message->cursor);
    const struct member *member;
    struct draft draft;
    struct claim claim;
    struct marks marks;
    size_t start;

    marks_read(&message->marks, &marks);
    packet_begin(swim, &draft, source->address, source->id);
    if (!message_begin_page(&draft.writer, message->seq, &start))
        return;
    size_t first = draft.writer.position;
    while ((member = order_walk_next(&walk))) {
        if (marks_have(&marks, marks_of(member)))
            continue;
        view_claim(swim, member, &claim);
        /* An entry that no packet of ours can hold is left out. */
        if (!message_add_entry(&draft.writer, &claim) && draft.writer.position > first)
            break;
    }
    message_end_page(&draft.writer, start, !member);
    packet_send_bare(&draft);
}

static struct sync_lane *find_lane(struct sync *sync, uint32_t seq)
{
    for (size_t i = 0; i < SYNC_LANES_MAX; i++)
        if (sync->lanes[i].is_active && sync->lanes[i].seq == seq)
            return &sync->lanes[i];
    return NULL;
}

static bool has_lanes(const struct sync *sync)
{
    for (size_t i = 0; i < SYNC_LANES_MAX; i++)
        if (sync->lanes[i].is_active)
            return true;
    return false;
}

int sync_take_page(struct swim *swim, const struct source *source, struct message *message)
{
    struct sync *sync = &swim->sync;
    struct sync_lane *lane = find_lane(sync, message->seq);
    struct node_id cursor = NODE_ID_NULL;
    struct claim claim;
    int r, result = 0;

    if (!sync->is_active || !lane || !node_id_is_equal(&sync->peer.id, source->id))
        return 0;
    while ((r = message_read_entry(&message->claims, &claim)) > 0) {
        cursor = claim.id;
        sync->entries_count++;
        if (view_take_entry(swim, source, &claim, true) < 0)
            result = -EBADMSG;
    }
    if (r < 0)
        return r;
    sync->tries = 0;
    if (message->is_last || node_id_is_null(&cursor)) {
        lane->is_active = false;
    } else {
        lane->cursor = cursor;
        lane->seq = core_next_seq(swim);
        send_pull(swim, lane);
    }
    if (has_lanes(sync))
        arm(swim);
    else
        end(swim, true);
    return result;
}
