/* SPDX-License-Identifier: MIT */
#include "swim/rumor.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

#define MISFITS_MAX 4  /* so many that do not fit, and the packet counts as full */
#define ROOM_MIN    24 /* less room than that holds nothing */

/* A text on its way. */
struct text_frame {
    size_t size;
    uint8_t frame[];
};

/* --- The pool --- */

/* Its first places are heads of lists: of the levels, of what is being written, of free places. */
enum {
    WRITTEN = _RUMOR_CLASS_MAX * RUMOR_SENT_MAX,
    FREE,
    _HEADS_MAX,
};

#define POOL_LEAST 320
#define POOL_MAX   (_HEADS_MAX + SWIM_MEMBERS_MAX + RUMOR_TEXTS_MAX)
static_assert(POOL_MAX <= UINT16_MAX && POOL_LEAST > _HEADS_MAX, "places are 16 bits");

static uint16_t head_of(enum rumor_class class, size_t sent)
{
    return (uint16_t)((size_t) class * RUMOR_SENT_MAX + sent);
}

static bool is_empty(const struct rumors *rumors, uint16_t head)
{
    return rumors->pool[head].next == head;
}

static void link_in(struct rumors *rumors, uint16_t after, uint16_t i)
{
    struct rumor *pool = rumors->pool;

    pool[i].previous = after;
    pool[i].next = pool[after].next;
    pool[pool[after].next].previous = i;
    pool[after].next = i;
}

static void link_out(struct rumors *rumors, uint16_t i)
{
    struct rumor *pool = rumors->pool;

    pool[pool[i].previous].next = pool[i].next;
    pool[pool[i].next].previous = pool[i].previous;
}

/* Return: 0, -ENOMEM. */
static int resize(struct rumors *rumors, size_t allocated)
{
    struct rumor *pool = reallocarray(rumors->pool, allocated, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    rumors->pool = pool;
    for (size_t i = rumors->allocated; i < allocated; i++)
        link_in(rumors, FREE, (uint16_t)i);
    rumors->allocated = allocated;
    return 0;
}

static void empty_pool(struct rumors *rumors)
{
    for (unsigned head = 0; head < _HEADS_MAX; head++)
        rumors->pool[head].previous = rumors->pool[head].next = (uint16_t)head;
    rumors->allocated = _HEADS_MAX;
}

/* Return: a place, in no list; 0: no memory. */
static uint16_t take_place(struct rumors *rumors)
{
    size_t larger = MIN(2 * rumors->allocated, (size_t)POOL_MAX);

    if (is_empty(rumors, FREE) && (larger == rumors->allocated || resize(rumors, larger) < 0))
        return 0;
    uint16_t i = rumors->pool[FREE].next;
    link_out(rumors, i);
    return i;
}

/* After a storm its pool is given back. */
static void give_place(struct rumors *rumors, uint16_t i)
{
    link_in(rumors, FREE, i);
    if (rumors_count(rumors) > 0 || rumors->allocated <= POOL_LEAST || !is_empty(rumors, WRITTEN))
        return;
    empty_pool(rumors);
    (void)resize(rumors, POOL_LEAST);
}

int rumors_init(struct swim *swim)
{
    struct rumors *rumors = &swim->rumors;

    rumors->pool = calloc(POOL_LEAST, sizeof(*rumors->pool));
    if (!rumors->pool)
        return -ENOMEM;
    empty_pool(rumors);
    return resize(rumors, POOL_LEAST);
}

/* --- Queueing --- */

/* Takes it out of its list; its place is the caller's. */
static void unlink_rumor(struct rumors *rumors, uint16_t i)
{
    link_out(rumors, i);
    rumors->pool[i].is_load_due = false;
    rumors->counts[rumors->pool[i].class]--;
    rumors->lives_count -= rumors->pool[i].is_life;
    rumors->pool[i].is_life = false;
}

static void drop_text(struct rumors *rumors, uint16_t i)
{
    unlink_rumor(rumors, i);
    free(rumors->pool[i].text);
    give_place(rumors, i);
}

void rumor_drop(struct swim *swim, struct member *member)
{
    uint16_t i = member->shown.rumor;

    if (i == 0)
        return;
    member->shown.rumor = 0;
    unlink_rumor(&swim->rumors, i);
    give_place(&swim->rumors, i);
}

void rumors_done(struct swim *swim)
{
    struct rumors *rumors = &swim->rumors;

    for (size_t sent = 0; rumors->pool && sent < RUMOR_SENT_MAX; sent++)
        while (!is_empty(rumors, head_of(RUMOR_TEXT, sent)))
            drop_text(rumors, rumors->pool[head_of(RUMOR_TEXT, sent)].next);
    free(rumors->pool);
}

/* The newest of a level goes first: old news has been heard by more. */
static void enqueue(struct swim *swim, uint16_t i, enum rumor_class class, bool is_urgent)
{
    struct rumors *rumors = &swim->rumors;

    rumors->pool[i].class = (uint8_t) class;
    rumors->pool[i].sent = 0;
    rumors->pool[i].is_load_due = false;
    link_in(rumors, head_of(class, 0), i);
    rumors->counts[class]++;
    rumors->pool[i].is_life =
        class == RUMOR_STATE && rumors->pool[i].member->shown.state == SWIM_ALIVE;
    rumors->lives_count += rumors->pool[i].is_life;
    if (rumors->pool[i].is_life)
        rush_count_life(swim);
    if (is_urgent || class != RUMOR_TEXT || !gossip_is_crowd(swim))
        gossip_wake(swim, is_urgent);
}

/* The news of @member in their place, and as never sent. */
static void renew(struct swim *swim, struct member *member, enum rumor_class class, bool is_urgent)
{
    struct rumors *rumors = &swim->rumors;
    uint16_t i = member->shown.rumor;

    if (i != 0)
        unlink_rumor(rumors, i);
    else
        i = take_place(rumors);
    if (i == 0)
        return;
    rumors->pool[i].member = member;
    member->shown.rumor = i;
    enqueue(swim, i, class, is_urgent);
}

void rumor_spread(struct swim *swim, struct member *member, bool is_urgent)
{
    renew(swim, member, RUMOR_STATE, is_urgent);
}

static bool waits_as(const struct swim *swim, const struct member *member, enum rumor_class class)
{
    return member->shown.rumor != 0 && swim->rumors.pool[member->shown.rumor].class == class;
}

void rumor_spread_load(struct swim *swim, struct member *member)
{
    if (waits_as(swim, member, RUMOR_STATE))
        swim->rumors.pool[member->shown.rumor].is_load_due = true;
    else
        renew(swim, member, RUMOR_LOAD, false);
}

void rumor_drop_load(struct swim *swim, struct member *member)
{
    if (waits_as(swim, member, RUMOR_STATE))
        swim->rumors.pool[member->shown.rumor].is_load_due = false;
    else
        rumor_drop(swim, member);
}

static void drop_oldest_text(struct rumors *rumors)
{
    for (size_t sent = RUMOR_SENT_MAX; sent-- > 0;) {
        uint16_t head = head_of(RUMOR_TEXT, sent);
        if (is_empty(rumors, head))
            continue;
        drop_text(rumors, rumors->pool[head].previous);
        return;
    }
}

void rumor_spread_text(struct swim *swim, const struct message *message, bool is_urgent)
{
    uint8_t frame[SWIM_PACKET_MAX];
    struct writer writer = writer_into(frame, swim->config.packet_size_max - 1);

    if (!message_write(&writer, message))
        return;
    if (swim->rumors.counts[RUMOR_TEXT] >= RUMOR_TEXTS_MAX)
        drop_oldest_text(&swim->rumors);
    struct text_frame *text = malloc(sizeof(*text) + writer.position);
    uint16_t i = text ? take_place(&swim->rumors) : 0;
    if (i == 0) {
        free(text);
        return;
    }
    text->size = writer.position;
    memcpy(text->frame, frame, writer.position);
    swim->rumors.pool[i].text = text;
    enqueue(swim, i, RUMOR_TEXT, is_urgent);
}

/* --- Sending --- */

static bool write_load(struct draft *draft, const struct member *member)
{
    struct message message = {.type = MESSAGE_LOAD};

    message.id = member->shown.id;
    message.incarnation = member->shown.incarnation;
    message.load_version = member->load_version;
    message.load = member->shown.load;
    return message_write(&draft->writer, &message);
}

static bool write_rumor(struct draft *draft, const struct rumor *rumor)
{
    struct claim claim;

    switch (rumor->class) {
    case RUMOR_STATE:
        view_claim(draft->swim, rumor->member, &claim);
        return message_write_claim(&draft->writer, &claim);
    case RUMOR_LOAD:
        return write_load(draft, rumor->member);
    default:
        if (writer_left(&draft->writer) < rumor->text->size)
            return false;
        writer_bytes(&draft->writer, rumor->text->frame, rumor->text->size);
        return true;
    }
}

/* retransmit_mult * ceil(log10(n + 1)), SWIM 4.1's lambda log n. */
static uint32_t sent_max(const struct swim *swim)
{
    double n = (double)members_alive_count(&swim->members);
    uint32_t limit = swim->config.retransmit_mult * (uint32_t)ceil(log10(n + 1));

    if (rush_is_on(swim))
        limit /= 2;
    return CLAMP(limit, 1U, (uint32_t)RUMOR_SENT_MAX);
}

/* What was written once more; or what no packet can hold, which is as good as sent. */
static void count_sent(struct swim *swim, uint16_t i)
{
    struct rumors *rumors = &swim->rumors;
    struct rumor *rumor = &rumors->pool[i];

    if (++rumor->sent < sent_max(swim)) {
        link_out(rumors, i);
        link_in(rumors, head_of(rumor->class, rumor->sent), i);
        return;
    }
    if (rumor->class == RUMOR_TEXT) {
        drop_text(rumors, i);
        return;
    }
    struct member *member = rumor->member;
    bool is_load_due = rumor->is_load_due;
    rumor_drop(swim, member);
    if (is_load_due)
        rumor_spread_load(swim, member);
}

void rumor_hear(struct swim *swim, struct member *member)
{
    if (waits_as(swim, member, RUMOR_STATE) && gossip_is_crowd(swim))
        count_sent(swim, member->shown.rumor);
}

/* From the least sent on. What was written waits aside until the packet is full, so that nothing is
 * written twice. */
static void fill_class(struct swim *swim, struct draft *draft, enum rumor_class class)
{
    struct rumors *rumors = &swim->rumors;
    struct rumor *pool = rumors->pool;
    size_t misfits = 0;
    bool is_first = draft->writer.position <= 1;

    if (rumors->counts[class] == 0)
        return;
    for (size_t sent = 0; sent < RUMOR_SENT_MAX && misfits < MISFITS_MAX; sent++) {
        uint16_t head = head_of(class, sent);
        if (writer_left(&draft->writer) < ROOM_MIN)
            break;
        for (uint16_t i = pool[head].next, next = pool[i].next; i != head;
             i = next, next = pool[i].next) {
            if (write_rumor(draft, &pool[i]) || is_first) {
                link_out(rumors, i);
                link_in(rumors, pool[WRITTEN].previous, i);
            } else if (++misfits >= MISFITS_MAX)
                break;
            is_first = draft->writer.position <= 1;
        }
    }
    while (!is_empty(rumors, WRITTEN))
        count_sent(swim, rumors->pool[WRITTEN].next);
}

void rumor_fill(struct swim *swim, struct draft *draft)
{
    struct rumors *rumors = &swim->rumors;
    bool is_texts_turn = rumors->is_texts_turn && rumors->counts[RUMOR_TEXT] > 0;

    if (rumors_count(rumors) == 0)
        return;
    if (rumors->counts[RUMOR_TEXT] > 0)
        rumors->is_texts_turn = !rumors->is_texts_turn;
    if (is_texts_turn)
        fill_class(swim, draft, RUMOR_TEXT);
    fill_class(swim, draft, RUMOR_STATE);
    if (!is_texts_turn)
        fill_class(swim, draft, RUMOR_TEXT);
    fill_class(swim, draft, RUMOR_LOAD);
}

bool rumors_are_fresh(const struct rumors *rumors)
{
    return !is_empty(rumors, head_of(RUMOR_STATE, 0)) || !is_empty(rumors, head_of(RUMOR_TEXT, 0));
}
