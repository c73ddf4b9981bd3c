/* SPDX-License-Identifier: MIT */
#include "swim/kept.h"

#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

#define GRACE_USEC    USEC_PER_MIN          /* so long after its end a text is known as told */
#define SLACK_USEC    (5 * USEC_PER_SEC)    /* by which two nodes may differ about an age */
#define QUIET_USEC    USEC_PER_SEC          /* younger ones still travel as rumors */
#define WAIT_MIN_USEC (500 * USEC_PER_MSEC) /* between two fruitless questions */

struct text {
    struct list link;
    uint64_t hash;
    usec_t expires_usec; /* then it is no longer passed on */
    struct node_id author;
    char name[NODE_NAME_MAX + 1]; /* of the author, who may be long gone */
    uint64_t generation;
    uint64_t number;
    uint64_t wall_usec;
    char text[];
};

void kept_init(struct swim *swim)
{
    list_init(&swim->kept.texts);
}

static void text_forget(struct kept *kept, struct text *text)
{
    kept->gone_usec = MAX(kept->gone_usec, text->expires_usec);
    kept->count--;
    list_remove(&text->link);
    free(text);
}

void kept_done(struct swim *swim)
{
    list_for_each_safe (link, &swim->kept.texts)
        text_forget(&swim->kept, list_entry(link, struct text, link));
    free(swim->kept.told);
}

/* The hash of an id, over {hash of the author's id ^ generation, number}. */
static uint64_t hash_name(const struct message *message)
{
    struct node_id name;
    struct writer writer = writer_into(name.bytes, sizeof(name.bytes));

    writer_u64(&writer, member_hash_id(&message->id) ^ message->incarnation.generation);
    writer_u64(&writer, message->number);
    return member_hash_id(&name);
}

static bool is_named(const struct text *text, const struct message *message)
{
    return text->number == message->number && text->generation == message->incarnation.generation &&
           node_id_is_equal(&text->author, &message->id);
}

static bool was_told(const struct kept *kept, uint64_t hash)
{
    for (size_t i = 0; i < MIN(kept->told_count, (size_t)KEPT_TOLD_MAX); i++)
        if (kept->told[i] == hash)
            return true;
    return false;
}

static void remember(struct kept *kept, uint64_t hash)
{
    if (!kept->told)
        kept->told = calloc(KEPT_TOLD_MAX, sizeof(*kept->told));
    if (kept->told && !was_told(kept, hash))
        kept->told[kept->told_count++ % KEPT_TOLD_MAX] = hash;
}

static struct text *find(const struct kept *kept, const struct message *message)
{
    list_for_each (link, &kept->texts) {
        struct text *text = list_entry(link, struct text, link);
        if (is_named(text, message))
            return text;
    }
    return NULL;
}

static bool is_passed_on(const struct swim *swim, const struct text *text)
{
    return text->expires_usec > swim->now;
}

static void drop_old(struct swim *swim)
{
    list_for_each_safe (link, &swim->kept.texts) {
        struct text *text = list_entry(link, struct text, link);
        if (swim->now >= usec_add(text->expires_usec, GRACE_USEC))
            text_forget(&swim->kept, text);
    }
}

/* All nodes drop the same one, or nearly: the oldest. */
static void drop_oldest(struct kept *kept)
{
    struct text *oldest = NULL;

    list_for_each (link, &kept->texts) {
        struct text *text = list_entry(link, struct text, link);
        if (!oldest || text->expires_usec < oldest->expires_usec)
            oldest = text;
    }
    if (oldest)
        text_forget(kept, oldest);
}

void kept_add(struct swim *swim, const struct message *message, const char *author, usec_t age_usec)
{
    struct kept *kept = &swim->kept;
    size_t size = strlen(message->text) + 1;

    drop_old(swim);
    if (age_usec >= KEPT_USEC)
        return;
    remember(kept, hash_name(message));
    if (find(kept, message))
        return;
    struct text *text = malloc(sizeof(*text) + size);
    if (!text)
        return;
    *text = (struct text){.hash = hash_name(message),
                          .expires_usec = usec_add(swim->now, KEPT_USEC - age_usec),
                          .author = message->id,
                          .generation = message->incarnation.generation,
                          .number = message->number,
                          .wall_usec = message->wall_usec};
    memcpy(text->name, author, strlen(author) + 1);
    memcpy(text->text, message->text, size);
    list_append(&kept->texts, &text->link);
    kept->count++;
    if (kept->count > KEPT_MAX)
        drop_oldest(kept);
}

bool kept_has(const struct swim *swim, const struct message *message)
{
    return was_told(&swim->kept, hash_name(message)) || find(&swim->kept, message);
}

bool kept_proves_new(const struct swim *swim, const struct message *message, usec_t age_usec)
{
    usec_t expires = usec_add(swim->now, usec_sub(KEPT_USEC, age_usec));

    return age_usec < KEPT_USEC && !kept_has(swim, message) &&
           (swim->kept.gone_usec == 0 || expires > usec_add(swim->kept.gone_usec, SLACK_USEC));
}

void kept_age(struct swim *swim, usec_t slept_usec)
{
    list_for_each (link, &swim->kept.texts) {
        struct text *text = list_entry(link, struct text, link);
        text->expires_usec = usec_sub(text->expires_usec, slept_usec);
    }
    swim->kept.gone_usec = usec_sub(swim->kept.gone_usec, slept_usec);
}

/* --- Comparing --- */

static uint64_t digest_of(struct swim *swim)
{
    uint64_t digest = 0;

    drop_old(swim);
    list_for_each (link, &swim->kept.texts) {
        const struct text *text = list_entry(link, struct text, link);
        if (is_passed_on(swim, text) && text->expires_usec <= swim->now + KEPT_USEC - QUIET_USEC)
            digest ^= text->hash;
    }
    return digest;
}

void kept_write_digest(struct swim *swim, struct draft *draft)
{
    struct message message = {.type = MESSAGE_HAVE};

    if (swim->kept.count == 0)
        return;
    message.digest = digest_of(swim);
    if (message.digest != 0)
        (void)message_write(&draft->writer, &message);
}

static void send_want(struct swim *swim, const struct source *source)
{
    struct message message = {.type = MESSAGE_WANT};

    list_for_each (link, &swim->kept.texts)
        message.buckets[message.count++] = (uint32_t)list_entry(link, struct text, link)->hash;
    packet_send_message(swim, source->address, source->id, &message);
}

void kept_take_digest(struct swim *swim, const struct source *source, uint64_t digest)
{
    struct kept *kept = &swim->kept;
    const struct member *member = member_find(swim, source->id);
    uint64_t own = digest_of(swim);
    bool is_hungry = kept->is_hungry;

    kept->is_hungry = false;
    if (!member || member->shown.turn == 0 || swim->self->shown.state != SWIM_ALIVE)
        return;
    if (digest == own)
        return;
    /* While nothing changes between two digests, asking again is fruitless and gets rarer. */
    bool is_same = kept->own_digest == own && kept->peer_digest == digest;
    usec_t wait = is_same ? kept->wait_usec : WAIT_MIN_USEC;
    if (!is_hungry && kept->asked_usec > 0 && swim->now - kept->asked_usec < wait)
        return;
    kept->wait_usec = is_same ? MIN(2 * wait, swim->config.sync_interval_usec) : wait;
    kept->asked_usec = swim->now;
    kept->own_digest = own;
    kept->peer_digest = digest;
    send_want(swim, source);
}

/* --- Giving --- */

static bool is_wanted(const struct text *text, const struct message *want)
{
    for (uint32_t i = 0; i < want->count; i++)
        if (want->buckets[i] == (uint32_t)text->hash)
            return false;
    return true;
}

static bool write_text(const struct swim *swim, struct draft *draft, const struct text *text)
{
    struct message message = {.type = MESSAGE_KEPT};

    message.id = text->author;
    message.incarnation.generation = text->generation;
    message.number = text->number;
    message.wall_usec = text->wall_usec;
    message.age_msec =
        (uint32_t)((KEPT_USEC - MIN(text->expires_usec - swim->now, KEPT_USEC)) / USEC_PER_MSEC);
    memcpy(message.claim.name, text->name, sizeof(text->name));
    memcpy(message.text, text->text, strlen(text->text) + 1);
    return message_write(&draft->writer, &message);
}

void kept_take_want(struct swim *swim, const struct source *source, const struct message *message)
{
    struct draft draft;
    size_t written = 0;

    packet_begin(swim, &draft, source->address, source->id);
    if (writer_left(&draft.writer) < KEPT_COMPANY)
        return;
    draft.writer.size -= KEPT_COMPANY;
    list_for_each (link, &swim->kept.texts) {
        const struct text *text = list_entry(link, struct text, link);
        if (is_passed_on(swim, text) && is_wanted(text, message))
            written += write_text(swim, &draft, text);
    }
    draft.writer.size += KEPT_COMPANY;
    if (written == 0)
        return;
    kept_write_digest(swim, &draft);
    packet_send_bare(&draft);
}
