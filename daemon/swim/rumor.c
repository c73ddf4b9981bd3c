/* SPDX-License-Identifier: MIT */
#include "swim/rumor.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

#define MISFITS_MAX 4  /* so many that do not fit, and the packet counts as full */
#define ROOM_MIN    24 /* less room than that holds nothing */

/* A text on its way; owned by the queue. */
struct text {
    struct rumor rumor;
    size_t size;
    uint8_t frame[];
};

void rumors_init(struct rumors *rumors)
{
    *rumors = (struct rumors){0};
    for (size_t class = 0; class < _RUMOR_CLASS_MAX; class ++)
        for (size_t i = 0; i < RUMOR_SENT_MAX; i++)
            list_init(&rumors->levels[class][i]);
}

void rumors_done(struct rumors *rumors)
{
    for (size_t i = 0; i < RUMOR_SENT_MAX; i++)
        list_for_each_safe (link, &rumors->levels[RUMOR_TEXT][i]) {
            list_remove(link);
            free(list_entry(link, struct text, rumor.link));
        }
}

void rumor_init(struct rumor *rumor, enum rumor_class class)
{
    *rumor = (struct rumor){.class = (uint8_t) class};
    list_init(&rumor->link);
}

static void unlink_rumor(struct swim *swim, struct rumor *rumor)
{
    if (list_is_empty(&rumor->link))
        return;
    list_remove(&rumor->link);
    rumor->is_load_due = false;
    swim->rumors.counts[rumor->class]--;
}

void rumor_drop(struct swim *swim, struct rumor *rumor)
{
    bool is_text = rumor->class == RUMOR_TEXT && !list_is_empty(&rumor->link);

    unlink_rumor(swim, rumor);
    if (is_text)
        free(CONTAINER_OF(rumor, struct text, rumor));
}

/* The newest of a level goes first: old news has been heard by more. */
static void enqueue(struct swim *swim, struct rumor *rumor, bool is_urgent)
{
    rumor->sent = 0;
    list_prepend(&swim->rumors.levels[rumor->class][0], &rumor->link);
    swim->rumors.counts[rumor->class]++;
    if (is_urgent || rumor->class != RUMOR_TEXT || !gossip_is_crowd(swim))
        gossip_wake(swim, is_urgent);
}

void rumor_spread(struct swim *swim, struct rumor *rumor, bool is_urgent)
{
    assert(rumor->class != RUMOR_TEXT); /* dropping a text ends it */
    rumor_drop(swim, rumor);
    rumor->class = RUMOR_STATE;
    enqueue(swim, rumor, is_urgent);
}

void rumor_spread_load(struct swim *swim, struct member *member)
{
    struct rumor *rumor = &member->rumor;

    if (rumor->class == RUMOR_STATE && !list_is_empty(&rumor->link)) {
        rumor->is_load_due = true;
        return;
    }
    unlink_rumor(swim, rumor);
    rumor->class = RUMOR_LOAD;
    enqueue(swim, rumor, false);
}

void rumor_drop_load(struct swim *swim, struct member *member)
{
    member->rumor.is_load_due = false;
    if (member->rumor.class == RUMOR_LOAD)
        unlink_rumor(swim, &member->rumor);
}

static void drop_oldest_text(struct swim *swim)
{
    for (size_t i = RUMOR_SENT_MAX; i-- > 0;) {
        struct list *level = &swim->rumors.levels[RUMOR_TEXT][i];
        if (list_is_empty(level))
            continue;
        rumor_drop(swim, list_entry(level->previous, struct rumor, link));
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
        drop_oldest_text(swim);
    struct text *text = malloc(sizeof(*text) + writer.position);
    if (!text)
        return;
    rumor_init(&text->rumor, RUMOR_TEXT);
    text->size = writer.position;
    memcpy(text->frame, frame, writer.position);
    enqueue(swim, &text->rumor, is_urgent);
}

static bool write_load(struct draft *draft, const struct member *member)
{
    struct message message = {.type = MESSAGE_LOAD};

    message.id = member->shown.id;
    message.incarnation = member->shown.incarnation;
    message.load_version = member->load_version;
    message.load = member->shown.load;
    return message_write(&draft->writer, &message);
}

static bool write_rumor(struct draft *draft, struct rumor *rumor)
{
    struct claim claim;

    switch (rumor->class) {
    case RUMOR_STATE:
        view_claim(draft->swim, CONTAINER_OF(rumor, struct member, rumor), &claim);
        return message_write_claim(&draft->writer, &claim);
    case RUMOR_LOAD:
        return write_load(draft, CONTAINER_OF(rumor, struct member, rumor));
    default: {
        const struct text *text = CONTAINER_OF(rumor, struct text, rumor);
        if (writer_left(&draft->writer) < text->size)
            return false;
        writer_bytes(&draft->writer, text->frame, text->size);
        return true;
    }
    }
}

/* retransmit_mult * ceil(log10(n + 1)), SWIM 4.1's lambda log n. */
static uint32_t sent_max(const struct swim *swim)
{
    double n = (double)members_alive_count(&swim->members);
    uint32_t limit = swim->config.retransmit_mult * (uint32_t)ceil(log10(n + 1));

    return CLAMP(limit, 1U, (uint32_t)RUMOR_SENT_MAX);
}

/* What was written once more; or what no packet can hold, which is as good as sent. */
static void count_sent(struct swim *swim, struct rumor *rumor)
{
    if (++rumor->sent >= sent_max(swim)) {
        bool is_load_due = rumor->is_load_due;
        rumor_drop(swim, rumor);
        if (is_load_due)
            rumor_spread_load(swim, CONTAINER_OF(rumor, struct member, rumor));
        return;
    }
    list_remove(&rumor->link);
    list_prepend(&swim->rumors.levels[rumor->class][rumor->sent], &rumor->link);
}

void rumor_hear(struct swim *swim, struct rumor *rumor)
{
    if (rumor->class == RUMOR_STATE && !list_is_empty(&rumor->link) &&
        swim->rumors.counts[RUMOR_STATE] >= RUMORS_STORM)
        count_sent(swim, rumor);
}

/* From the least sent on. What was written waits aside until the packet is full, so that nothing is
 * written twice. */
static void fill_class(struct swim *swim, struct draft *draft, enum rumor_class class)
{
    struct list written;
    size_t misfits = 0;
    bool is_empty = draft->writer.position <= 1;

    if (swim->rumors.counts[class] == 0)
        return;
    list_init(&written);
    for (size_t i = 0; i < RUMOR_SENT_MAX && misfits < MISFITS_MAX; i++) {
        if (writer_left(&draft->writer) < ROOM_MIN)
            break;
        list_for_each_safe (link, &swim->rumors.levels[class][i]) {
            struct rumor *rumor = list_entry(link, struct rumor, link);
            if (write_rumor(draft, rumor) || is_empty) {
                list_remove(link);
                list_append(&written, link);
            } else if (++misfits >= MISFITS_MAX)
                break;
            is_empty = draft->writer.position <= 1;
        }
    }
    list_for_each_safe (link, &written)
        count_sent(swim, list_entry(link, struct rumor, link));
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
    return !list_is_empty(&rumors->levels[RUMOR_STATE][0]) ||
           !list_is_empty(&rumors->levels[RUMOR_TEXT][0]);
}
