/* SPDX-License-Identifier: MIT */
#include "swim/text.h"

#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

#define TRIES_TO_ALL 7
#define TRIES_TO_ONE 8
#define DOUBLINGS                                                                                  \
    2 /* of the wait for one: somebody sits there until it is known to have arrived                \
       */
#define PAUSE_USEC (20 * USEC_PER_MSEC) /* between two bursts */

static void outgoing_free(struct swim *swim, struct outgoing *outgoing)
{
    list_remove(&outgoing->link);
    timer_done(&swim->timers, &outgoing->timer);
    swim->texts.count--;
    free(outgoing->waiting);
    free(outgoing);
}

void texts_init(struct swim *swim)
{
    list_init(&swim->texts.active);
}

void texts_done(struct swim *swim)
{
    list_for_each_safe (link, &swim->texts.active)
        outgoing_free(swim, list_entry(link, struct outgoing, link));
}

/*
 * To all: the first copy is the rumor's; then 1, 2, 4 ... waits between the tries. To one: 1, 2, 4,
 * 4 ... waits, eight tries in 5 s, so that at 30 % loss one in 200 is not known to have arrived.
 */
static usec_t wait_of(const struct swim *swim, const struct outgoing *outgoing)
{
    usec_t wait = swim->config.gossip_interval_usec;

    if (!outgoing->message.is_broadcast)
        return wait << MIN(outgoing->tries, (uint32_t)DOUBLINGS);
    return (wait + 4 * gossip_spacing(swim)) << outgoing->tries;
}

static void drop_waiting(struct outgoing *outgoing, size_t i)
{
    outgoing->waiting[i] = outgoing->waiting[--outgoing->waiting_count];
}

static void send_copies(struct swim *swim, struct outgoing *outgoing)
{
    for (size_t sent = 0; sent < TEXTS_BURST && outgoing->position < outgoing->waiting_count;) {
        const struct member *member = member_find(swim, &outgoing->waiting[outgoing->position]);
        if (!member || member->shown.turn == 0) {
            drop_waiting(outgoing, outgoing->position);
            continue;
        }
        outgoing->message.age_msec =
            (uint32_t)((swim->now - outgoing->started_usec) / USEC_PER_MSEC);
        packet_send_message(swim, &member->shown.address, &member->shown.id, &outgoing->message);
        outgoing->position++;
        sent++;
    }
}

static void on_timer(struct swim *swim, struct timer *timer)
{
    struct outgoing *outgoing = CONTAINER_OF(timer, struct outgoing, timer);

    if (outgoing->tries >= (outgoing->message.is_broadcast ? TRIES_TO_ALL : TRIES_TO_ONE)) {
        outgoing_free(swim, outgoing);
        return;
    }
    send_copies(swim, outgoing);
    if (outgoing->waiting_count == 0) {
        outgoing_free(swim, outgoing);
    } else if (outgoing->position < outgoing->waiting_count) {
        timer_set(&swim->timers, timer, swim->now + PAUSE_USEC);
    } else {
        outgoing->position = 0;
        timer_set(&swim->timers, timer, swim->now + wait_of(swim, outgoing));
        outgoing->tries++;
    }
}

static void tell(struct swim *swim, const struct message *message, const char *name)
{
    const struct member *author = member_find(swim, &message->id);
    struct swim_event *event = event_add_text(swim, SWIM_EVENT_MESSAGE, author, message->text);

    memcpy(event->name, name, strlen(name) + 1);
    event->origin = message->id;
    event->number = message->number;
    event->wall_usec = message->wall_usec;
    event->is_broadcast = message->is_broadcast;
}

static void tell_acked(struct swim *swim, const struct member *member, uint64_t token,
                       uint64_t number)
{
    struct swim_event *event = event_add(swim, SWIM_EVENT_MESSAGE_ACKED, member);

    event->token = token;
    event->number = number;
}

static void fill_message(struct swim *swim, const struct member *to, const char *text,
                         struct message *ret)
{
    *ret = (struct message){.type = MESSAGE_DIRECT, .is_broadcast = !to};
    ret->id = swim->self->shown.id;
    ret->incarnation = swim->self->shown.incarnation;
    ret->number = swim->texts.number + 1;
    ret->wall_usec = core_wall(swim);
    memcpy(ret->text, text, strlen(text) + 1);
}

static int allocate(struct swim *swim, size_t waiting_count, struct outgoing **ret)
{
    struct outgoing *outgoing = calloc(1, sizeof(*outgoing));

    if (!outgoing)
        return -ENOMEM;
    list_init(&outgoing->link);
    outgoing->started_usec = swim->now;
    outgoing->waiting = calloc(MAX(waiting_count, (size_t)1), sizeof(struct node_id));
    if (!outgoing->waiting || timer_init(&swim->timers, &outgoing->timer, on_timer) < 0) {
        free(outgoing->waiting);
        free(outgoing);
        return -ENOMEM;
    }
    *ret = outgoing;
    return 0;
}

/* What is left of a packet for a text, in its longest frame, KEPT, and with what goes along. */
size_t text_size_max(const struct swim *swim)
{
    size_t others = 1 + MESSAGE_FRAME + sizeof(struct node_id) + 3 * sizeof(uint64_t) + 1 +
                    strlen(swim->self->shown.name) + sizeof(uint32_t) + sizeof(uint16_t) +
                    KEPT_COMPANY;

    return MIN((size_t)SWIM_MESSAGE_MAX, swim->config.packet_size_max - others);
}

static void start(struct swim *swim, struct outgoing *outgoing, const struct member *to)
{
    if (to) {
        outgoing->waiting[outgoing->waiting_count++] = to->shown.id;
        on_timer(swim, &outgoing->timer);
        return;
    }
    for (size_t i = 0; i < swim->members.live_count; i++)
        outgoing->waiting[outgoing->waiting_count++] = swim->members.live[i]->shown.id;
    kept_add(swim, &outgoing->message, swim->self->shown.name, 0);
    struct message rumor = outgoing->message;
    rumor.type = MESSAGE_TEXT;
    rumor_spread_text(swim, &rumor, true);
    timer_set(&swim->timers, &outgoing->timer, swim->now + wait_of(swim, outgoing));
}

int text_send(struct swim *swim, const struct member *to, const char *text, uint64_t *ret_token)
{
    struct outgoing *outgoing;
    int r;

    if (strlen(text) > text_size_max(swim))
        return -EMSGSIZE;
    if (swim->texts.count >= TEXTS_MAX)
        return -ENOBUFS;
    r = allocate(swim, to ? 1 : swim->members.live_count, &outgoing);
    if (r < 0)
        return r;
    list_append(&swim->texts.active, &outgoing->link);
    swim->texts.count++;
    fill_message(swim, to, text, &outgoing->message);
    swim->texts.number++;
    uint64_t token = outgoing->token = ++swim->token;
    if (to && to->shown.is_self) {
        tell(swim, &outgoing->message, to->shown.name);
        tell_acked(swim, to, token, outgoing->message.number);
        outgoing_free(swim, outgoing);
    } else
        start(swim, outgoing, to);
    *ret_token = token;
    return 0;
}

/* --- What comes in --- */

/*
 * Whether it was never told here; takes note of it. The window knows the last numbers of an
 * author's present life; the list knows what came late, out of the window, from an earlier life, or
 * before its author was known.
 */
static bool note(struct swim *swim, struct member *author, const struct message *message)
{
    uint64_t generation = message->incarnation.generation;
    usec_t age = message->age_msec * USEC_PER_MSEC;

    if (kept_has(swim, message) || member_take_extra(author) < 0)
        return false;
    if (message->type == MESSAGE_KEPT) {
        bool is_new = kept_proves_new(swim, message, age);
        if (!is_new || !window_covers(&author->extra->texts, generation, message->number))
            return is_new;
    }
    return window_add(&author->extra->texts, generation, message->number);
}

/*
 * One that somebody kept for us. Its author, or a later life of it, may have come and gone while we
 * were away: then only the list can tell whether it is new. A receipt is of use to a living author
 * alone.
 */
static void take_kept(struct swim *swim, struct member *author, const struct message *message)
{
    uint64_t generation = message->incarnation.generation, age = message->age_msec * USEC_PER_MSEC;
    bool is_known = author && generation <= author->shown.incarnation.generation;
    bool is_current = author && generation == author->shown.incarnation.generation;
    bool is_own = author && author->shown.is_self, is_new = false;
    struct message told = *message;
    struct message receipt = {.type = MESSAGE_RECEIPT, .is_broadcast = true};

    /* Ours are known in this life; one of an earlier life only has its place in the list. */
    if (is_own && (is_current || !is_known))
        return;
    if (!is_own)
        is_new = is_known ? note(swim, author, message) : kept_proves_new(swim, message, age);
    kept_add(swim, message, message->claim.name, age);
    if (!is_new)
        return;
    swim->kept.is_hungry = true;
    receipt.incarnation = message->incarnation;
    receipt.number = message->number;
    if (is_current && author->shown.turn > 0)
        packet_send_message(swim, &author->shown.address, &author->shown.id, &receipt);
    told.is_broadcast = true;
    tell(swim, &told, message->claim.name);
}

/* Comes as a rumor, or from its author. */
static void take_fresh(struct swim *swim, const struct source *source, struct member *author,
                       const struct message *message)
{
    struct message told = *message;
    struct message receipt = {.type = MESSAGE_RECEIPT};
    bool is_rumor = message->type == MESSAGE_TEXT;

    if (author->shown.is_self ||
        message->incarnation.generation != author->shown.incarnation.generation ||
        (!is_rumor && !node_id_is_equal(&message->id, source->id)))
        return;
    told.is_broadcast = is_rumor || message->is_broadcast;
    bool is_new = note(swim, author, message);
    if (!is_new)
        swim->gossip_duplicates++;
    if (is_new || !is_rumor) {
        receipt.incarnation = message->incarnation;
        receipt.number = message->number;
        receipt.is_broadcast = told.is_broadcast;
        packet_send_message(swim, &author->shown.address, &author->shown.id, &receipt);
    }
    if (!is_new)
        return;
    if (told.is_broadcast)
        kept_add(swim, message, author->shown.name, message->age_msec * USEC_PER_MSEC);
    if (is_rumor)
        rumor_spread_text(swim, message, true);
    tell(swim, &told, author->shown.name);
}

void text_take(struct swim *swim, const struct source *source, const struct message *message)
{
    struct member *author = member_find(swim, &message->id);

    /* Without knowing its author no rumor can be told from a repeated one: it will come again. */
    if (message->type == MESSAGE_KEPT)
        take_kept(swim, author, message);
    else if (author)
        take_fresh(swim, source, author, message);
}

static struct outgoing *find_outgoing(struct swim *swim, const struct message *receipt)
{
    list_for_each (link, &swim->texts.active) {
        struct outgoing *outgoing = list_entry(link, struct outgoing, link);
        if (outgoing->message.number == receipt->number &&
            outgoing->message.incarnation.generation == receipt->incarnation.generation)
            return outgoing;
    }
    return NULL;
}

void text_take_receipt(struct swim *swim, const struct source *source,
                       const struct message *message)
{
    struct outgoing *outgoing = find_outgoing(swim, message);
    const struct member *member = member_find(swim, source->id);

    for (size_t i = 0; outgoing && i < outgoing->waiting_count; i++)
        if (node_id_is_equal(&outgoing->waiting[i], source->id)) {
            drop_waiting(outgoing, i);
            tell_acked(swim, member, outgoing->token, outgoing->message.number);
            if (outgoing->waiting_count == 0)
                outgoing_free(swim, outgoing);
            return;
        }
}
