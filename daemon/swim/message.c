/* SPDX-License-Identifier: MIT */
#include "swim/message.h"

#include <string.h>
#include "swim/wire.h"

#define FLAG_LAST 1

/* --- Writing --- */

/* Rumors travel fast; what may come late says how old it is. */
static bool has_age(const struct message *message)
{
    return message->type == MESSAGE_KEPT ||
           (message->type == MESSAGE_DIRECT && message->is_broadcast);
}

static void write_text(struct writer *writer, const struct message *message)
{
    wire_write_id(writer, &message->id);
    writer_u64(writer, message->incarnation.generation);
    writer_u64(writer, message->number);
    writer_u64(writer, message->wall_usec);
    if (message->type == MESSAGE_HEARTBEAT) {
        address_write(&message->address, writer);
        return;
    }
    if (message->type == MESSAGE_DIRECT)
        writer_u8(writer, message->is_broadcast);
    if (message->type == MESSAGE_KEPT)
        writer_string8(writer, message->claim.name);
    if (has_age(message))
        writer_u32(writer, message->age_msec);
    writer_string16(writer, message->text);
}

static void write_want(struct writer *writer, const struct message *message)
{
    if (message->count > MESSAGE_BUCKETS)
        writer->failed = true;
    writer_u8(writer, (uint8_t)message->count);
    for (size_t i = 0; i < message->count && writer_ok(writer); i++)
        writer_u32(writer, message->buckets[i]);
}

static void write_exchange(struct writer *writer, const struct message *message)
{
    writer_u32(writer, message->seq);
    switch (message->type) {
    case MESSAGE_WELCOME:
        writer_u64(writer, message->digest);
        writer_u32(writer, message->count);
        break;
    case MESSAGE_COMPARE:
        writer_u64(writer, message->digest);
        break;
    case MESSAGE_VECTOR:
        writer_u32(writer, message->count);
        for (size_t i = 0; i < MESSAGE_BUCKETS; i++)
            writer_u32(writer, message->buckets[i]);
        break;
    case MESSAGE_PULL:
        writer_u64(writer, message->mask);
        wire_write_id(writer, &message->cursor);
        writer_bytes(writer, message->marks.data, message->marks.size);
        break;
    case MESSAGE_REPORT:
        wire_write_id(writer, &message->id);
        wire_write_incarnation(writer, &message->incarnation);
        writer_u64(writer, message->wall_usec);
        address_write(&message->address, writer);
        writer_u8(writer, (uint8_t)message->count);
        writer->failed |= message->count > SWIM_HELPERS_MAX;
        for (size_t i = 0; i < message->count && !writer->failed; i++)
            wire_write_id(writer, &message->through[i]);
        break;
    case MESSAGE_LEAVE:
        wire_write_incarnation(writer, &message->incarnation);
        break;
    default: /* the number is all */
        break;
    }
}

static void write_probe(struct writer *writer, const struct message *message)
{
    writer_u32(writer, message->seq);
    if (message->type == MESSAGE_PING)
        writer_u64(writer, message->wall_usec);
    if (message->type == MESSAGE_ASK)
        wire_write_id(writer, &message->id);
    if (message->type == MESSAGE_ACK) {
        writer_u64(writer, message->digest);
        wire_write_load(writer, message->load_version, &message->load);
    }
}

static void write_body(struct writer *writer, const struct message *message)
{
    switch (message->type) {
    case MESSAGE_PING:
    case MESSAGE_ACK:
    case MESSAGE_ASK:
    case MESSAGE_NACK:
    case MESSAGE_RELAYED:
        write_probe(writer, message);
        break;
    case MESSAGE_ALIVE:
        claim_write(writer, &message->claim);
        break;
    case MESSAGE_SUSPECT:
    case MESSAGE_DEAD:
    case MESSAGE_LEFT:
        claim_write_short(writer, &message->claim);
        break;
    case MESSAGE_LOAD:
        wire_write_id(writer, &message->id);
        writer_u64(writer, message->incarnation.generation);
        wire_write_load(writer, message->load_version, &message->load);
        break;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_TEXT:
    case MESSAGE_DIRECT:
    case MESSAGE_KEPT:
        write_text(writer, message);
        break;
    case MESSAGE_HAVE:
        writer_u64(writer, message->digest);
        break;
    case MESSAGE_WANT:
        write_want(writer, message);
        break;
    case MESSAGE_RECEIPT:
        writer_u64(writer, message->incarnation.generation);
        writer_u64(writer, message->number);
        writer_u8(writer, message->is_broadcast);
        break;
    case MESSAGE_ADDRESS:
        address_write(&message->address, writer);
        break;
    default:
        write_exchange(writer, message);
        break;
    }
}

/* Returns where the frame starts, for end_frame. */
static size_t begin_frame(struct writer *writer, enum message_type type)
{
    size_t start = writer->position;

    writer_u8(writer, (uint8_t)type);
    writer_u16(writer, 0);
    return start;
}

/* Puts the size into its place, or takes the whole frame back. */
static bool end_frame(struct writer *writer, size_t start)
{
    size_t size = writer->position - start - MESSAGE_FRAME;

    if (!writer_ok(writer)) {
        writer->failed = false;
        writer->position = start;
        return false;
    }
    writer->data[start + 1] = (uint8_t)(size >> 8);
    writer->data[start + 2] = (uint8_t)size;
    return true;
}

bool message_write(struct writer *writer, const struct message *message)
{
    size_t start = begin_frame(writer, message->type);

    write_body(writer, message);
    return end_frame(writer, start);
}

bool message_write_claim(struct writer *writer, const struct claim *claim)
{
    static const enum message_type types[] = {
        [SWIM_ALIVE] = MESSAGE_ALIVE,
        [SWIM_SUSPECT] = MESSAGE_SUSPECT,
        [SWIM_DEAD] = MESSAGE_DEAD,
        [SWIM_LEFT] = MESSAGE_LEFT,
    };
    size_t start = begin_frame(writer, types[claim->state]);

    if (claim->state == SWIM_ALIVE)
        claim_write(writer, claim);
    else
        claim_write_short(writer, claim);
    return end_frame(writer, start);
}

bool message_begin_page(struct writer *writer, uint32_t seq, size_t *ret_start)
{
    size_t start = begin_frame(writer, MESSAGE_PAGE);

    writer_u32(writer, seq);
    writer_u8(writer, 0);
    writer_u16(writer, 0);
    *ret_start = start;
    return writer_ok(writer);
}

bool message_add_entry(struct writer *writer, const struct claim *claim)
{
    size_t start = writer->position;

    claim_write(writer, claim);
    if (writer_ok(writer))
        return true;
    writer->failed = false;
    writer->position = start;
    return false;
}

void message_end_page(struct writer *writer, size_t start, bool is_last)
{
    size_t size = writer->position - start - MESSAGE_FRAME - MESSAGE_PAGE_SIZE;

    writer->data[start + MESSAGE_FRAME + 4] = is_last ? FLAG_LAST : 0;
    writer->data[start + MESSAGE_FRAME + 5] = (uint8_t)(size >> 8);
    writer->data[start + MESSAGE_FRAME + 6] = (uint8_t)size;
    (void)end_frame(writer, start);
}

/* --- Reading --- */

/* A boolean as a byte: 0 or 1. */
static bool read_bool(struct reader *reader)
{
    return wire_read_flags(reader, 1) != 0;
}

static void read_text(struct reader *reader, struct message *ret)
{
    ret->id = wire_read_member_id(reader);
    ret->incarnation.generation = reader_u64(reader);
    ret->number = reader_u64(reader);
    ret->wall_usec = reader_u64(reader);
    if (ret->type == MESSAGE_HEARTBEAT) {
        ret->address = address_read(reader);
        if (ret->address.family == 0)
            reader->failed = true;
        return;
    }
    if (ret->type == MESSAGE_DIRECT)
        ret->is_broadcast = read_bool(reader);
    if (ret->type == MESSAGE_KEPT) {
        reader_string8(reader, ret->claim.name, sizeof(ret->claim.name));
        if (!text_is_node_name(ret->claim.name))
            reader->failed = true;
    }
    ret->age_msec = has_age(ret) ? reader_u32(reader) : 0;
    reader_string16(reader, ret->text, sizeof(ret->text));
    if (!text_is_utf8(ret->text, strlen(ret->text)))
        reader->failed = true;
}

static void read_want(struct reader *reader, struct message *ret)
{
    ret->count = reader_u8(reader);
    if (ret->count > MESSAGE_BUCKETS)
        reader->failed = true;
    for (size_t i = 0; i < ret->count && reader_ok(reader); i++)
        ret->buckets[i] = reader_u32(reader);
}

static void read_page(struct reader *reader, struct message *ret)
{
    ret->is_last = wire_read_flags(reader, FLAG_LAST) != 0;
    ret->claims = reader_sub(reader, reader_u16(reader));
}

static void read_report(struct reader *reader, struct message *ret)
{
    ret->id = wire_read_member_id(reader);
    ret->incarnation = wire_read_incarnation(reader);
    ret->wall_usec = reader_u64(reader);
    ret->address = address_read(reader);
    ret->count = reader_u8(reader);
    if (ret->address.family == 0 || ret->count > SWIM_HELPERS_MAX) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < ret->count; i++)
        ret->through[i] = wire_read_member_id(reader);
}

static void read_exchange(struct reader *reader, struct message *ret)
{
    ret->seq = reader_u32(reader);
    switch (ret->type) {
    case MESSAGE_WELCOME:
        ret->digest = reader_u64(reader);
        ret->count = reader_u32(reader);
        break;
    case MESSAGE_COMPARE:
        ret->digest = reader_u64(reader);
        break;
    case MESSAGE_VECTOR:
        ret->count = reader_u32(reader);
        for (size_t i = 0; i < MESSAGE_BUCKETS; i++)
            ret->buckets[i] = reader_u32(reader);
        break;
    case MESSAGE_PULL:
        ret->mask = reader_u64(reader);
        ret->cursor = wire_read_id(reader);
        ret->marks = reader_sub(reader, reader_left(reader));
        reader->failed |= ret->marks.size % sizeof(uint32_t) != 0;
        break;
    case MESSAGE_PAGE:
        read_page(reader, ret);
        break;
    case MESSAGE_REPORT:
        read_report(reader, ret);
        break;
    case MESSAGE_LEAVE:
        ret->incarnation = wire_read_incarnation(reader);
        break;
    default: /* the number is all */
        break;
    }
}

static void read_probe(struct reader *reader, struct message *ret)
{
    ret->seq = reader_u32(reader);
    if (ret->type == MESSAGE_PING)
        ret->wall_usec = reader_u64(reader);
    if (ret->type == MESSAGE_ASK)
        ret->id = wire_read_member_id(reader);
    if (ret->type == MESSAGE_ACK) {
        ret->digest = reader_u64(reader);
        wire_read_load(reader, &ret->load_version, &ret->load);
    }
}

static void read_body(struct reader *reader, struct message *ret)
{
    switch (ret->type) {
    case MESSAGE_PING:
    case MESSAGE_ACK:
    case MESSAGE_ASK:
    case MESSAGE_NACK:
    case MESSAGE_RELAYED:
        read_probe(reader, ret);
        break;
    case MESSAGE_ALIVE:
        claim_read(reader, &ret->claim);
        if (ret->claim.state != SWIM_ALIVE)
            reader->failed = true;
        break;
    case MESSAGE_SUSPECT:
        claim_read_short(reader, SWIM_SUSPECT, &ret->claim);
        break;
    case MESSAGE_DEAD:
        claim_read_short(reader, SWIM_DEAD, &ret->claim);
        break;
    case MESSAGE_LEFT:
        claim_read_short(reader, SWIM_LEFT, &ret->claim);
        break;
    case MESSAGE_LOAD:
        ret->id = wire_read_member_id(reader);
        ret->incarnation.generation = reader_u64(reader);
        wire_read_load(reader, &ret->load_version, &ret->load);
        break;
    case MESSAGE_HEARTBEAT:
    case MESSAGE_TEXT:
    case MESSAGE_DIRECT:
    case MESSAGE_KEPT:
        read_text(reader, ret);
        break;
    case MESSAGE_HAVE:
        ret->digest = reader_u64(reader);
        break;
    case MESSAGE_WANT:
        read_want(reader, ret);
        break;
    case MESSAGE_RECEIPT:
        ret->incarnation.generation = reader_u64(reader);
        ret->number = reader_u64(reader);
        ret->is_broadcast = read_bool(reader);
        break;
    case MESSAGE_ADDRESS:
        ret->address = address_read(reader);
        if (address_is_wildcard(&ret->address) || ret->address.family == 0)
            reader->failed = true;
        break;
    default:
        read_exchange(reader, ret);
        break;
    }
}

bool message_begin(struct reader *reader)
{
    return reader_u8(reader) == MESSAGE_VERSION && reader_ok(reader);
}

int message_read(struct reader *reader, struct message *ret)
{
    while (reader_left(reader) > 0) {
        uint8_t type = reader_u8(reader);
        struct reader body = reader_sub(reader, reader_u16(reader));

        if (!reader_ok(reader) || type == 0)
            return -EBADMSG;
        if (type >= _MESSAGE_TYPE_MAX)
            continue;
        ret->type = (enum message_type)type;
        read_body(&body, ret);
        return reader_done(&body) ? 1 : -EBADMSG;
    }
    return reader_ok(reader) ? 0 : -EBADMSG;
}

int message_read_entry(struct reader *claims, struct claim *ret)
{
    if (claims->position == claims->size)
        return 0;
    claim_read(claims, ret);
    return reader_ok(claims) ? 1 : -EBADMSG;
}
