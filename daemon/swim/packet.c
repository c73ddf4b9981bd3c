/* SPDX-License-Identifier: MIT */
#include "swim/packet.h"

#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

void packets_init(struct packets *packets)
{
    *packets = (struct packets){0};
    list_init(&packets->queue);
}

void packets_done(struct packets *packets)
{
    while (packet_next(packets))
        continue;
}

/* Tells somebody what is held of it here, which it may refute, and where it is seen, if it moved.
 */
static void write_notice(struct draft *draft, const struct member *member)
{
    struct message message = {.type = MESSAGE_ADDRESS, .address = draft->to};
    struct claim claim;

    view_claim(draft->swim, member, &claim);
    draft->has_notice = message_write_claim(&draft->writer, &claim);
    if (!address_is_equal(&draft->to, &member->shown.address))
        (void)message_write(&draft->writer, &message);
}

void packet_begin(struct swim *swim, struct draft *draft, const struct address *to,
                  const struct node_id *to_id)
{
    struct member *member = to_id ? member_find(swim, to_id) : NULL;

    draft->swim = swim;
    draft->to = *to;
    draft->to_id = to_id ? *to_id : NODE_ID_NULL;
    draft->writer = writer_into(draft->data, swim->config.packet_size_max);
    draft->has_notice = false;
    writer_u8(&draft->writer, MESSAGE_VERSION);
    if (member && !member->shown.is_self && member->shown.state != SWIM_ALIVE &&
        member_care(member)) {
        write_notice(draft, member);
        member_care(member)->contacted_usec = swim->now;
    }
}

void packet_send_bare(struct draft *draft)
{
    struct packets *packets = &draft->swim->packets;
    size_t size = draft->writer.position;
    struct packet *packet;

    if (packets->count >= PACKETS_MAX || draft->to.family == 0 || address_is_wildcard(&draft->to))
        return;
    packet = malloc(sizeof(*packet) + size);
    if (!packet)
        return;
    *packet = (struct packet){.to = draft->to, .to_id = draft->to_id, .size = size};
    memcpy(packet->data, draft->data, size);
    list_append(&packets->queue, &packet->link);
    count_frames(packet->data, size, draft->swim->frames_sent);
    packets->count++;
}

void packet_send(struct draft *draft)
{
    rumor_fill(draft->swim, draft);
    packet_send_bare(draft);
}

void packet_send_message(struct swim *swim, const struct address *to, const struct node_id *to_id,
                         const struct message *message)
{
    struct draft draft;

    packet_begin(swim, &draft, to, to_id);
    if (message_write(&draft.writer, message))
        packet_send(&draft);
}

const struct packet *packet_next(struct packets *packets)
{
    struct packet *packet = list_first(&packets->queue, struct packet, link);

    free(packets->given);
    packets->given = packet;
    if (packet) {
        list_remove(&packet->link);
        packets->count--;
    }
    return packet;
}
