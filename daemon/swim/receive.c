/* SPDX-License-Identifier: MIT */
#include "swim/receive.h"

#include "swim/core.h"
#include "swim/refute.h"

static void take_ping(struct swim *swim, const struct source *source, const struct message *message)
{
    const struct member *member = member_find(swim, source->id);
    struct message answer = {.type = MESSAGE_ACK};
    struct swim_event *event;
    struct draft draft;

    event = event_add(swim, SWIM_EVENT_LIVENESS_REQUEST, member);
    event->wall_usec = message->wall_usec;
    event->address = *source->address;
    answer.seq = message->seq;
    answer.digest = swim->members.digest;
    answer.load_version = swim->self->load_version;
    answer.load = swim->self->shown.load;
    packet_begin(swim, &draft, source->address, source->id);
    if (message_write(&draft.writer, &answer)) {
        kept_write_digest(swim, &draft);
        packet_send(&draft);
    }
    event = event_add(swim, SWIM_EVENT_LIVENESS_REPLY, member);
    event->wall_usec = message->wall_usec;
    event->address = *source->address;
    event->is_outgoing = true;
    /* Who probes us and is not in our table has one that we want. */
    if (!member)
        sync_ask(swim, source->id, source->address);
}

static void take_ack(struct swim *swim, const struct source *source, const struct message *message)
{
    struct member *member = member_find(swim, source->id);

    if (member)
        (void)load_take(swim, member, member->shown.incarnation.generation, message->load_version,
                        &message->load);
    if (probe_take_ack(swim, source, message))
        sync_take_digest(swim, source, message->digest);
    else
        relay_take_ack(swim, source, message);
}

static void take_load(struct swim *swim, const struct message *message)
{
    struct member *member = member_find(swim, &message->id);

    if (member && load_take(swim, member, message->incarnation.generation, message->load_version,
                            &message->load))
        rumor_spread_load(swim, member);
}

static int take_exchange(struct swim *swim, const struct source *source, struct message *message)
{
    switch (message->type) {
    case MESSAGE_JOIN:
        join_take_join(swim, source, message);
        return 0;
    case MESSAGE_WELCOME:
        join_take_welcome(swim, source, message);
        return 0;
    case MESSAGE_ADDRESS:
        refute_learn_address(swim, source->id, &message->address);
        return 0;
    case MESSAGE_COMPARE:
        sync_take_compare(swim, source, message);
        return 0;
    case MESSAGE_VECTOR:
        sync_take_vector(swim, source, message);
        return 0;
    case MESSAGE_PULL:
        sync_take_pull(swim, source, message);
        return 0;
    case MESSAGE_PAGE:
        return sync_take_page(swim, source, message);
    case MESSAGE_REPORT:
        return report_take(swim, source, message);
    case MESSAGE_REPORT_ACK:
        report_take_ack(swim, source, message);
        return 0;
    case MESSAGE_LEAVE:
        return leave_take(swim, source, message);
    case MESSAGE_LEAVE_ACK:
        leave_take_ack(swim, source, message);
        return 0;
    default:
        return 0;
    }
}

static int take(struct swim *swim, const struct source *source, struct message *message)
{
    switch (message->type) {
    case MESSAGE_PING:
        take_ping(swim, source, message);
        return 0;
    case MESSAGE_ACK:
        take_ack(swim, source, message);
        return 0;
    case MESSAGE_ASK:
        relay_take_ask(swim, source, message);
        return 0;
    case MESSAGE_NACK:
        probe_take_nack(swim, source, message);
        return 0;
    case MESSAGE_RELAYED:
        probe_take_relayed(swim, source, message);
        return 0;
    case MESSAGE_ALIVE:
        return view_take_entry(swim, source, &message->claim, false);
    case MESSAGE_SUSPECT:
    case MESSAGE_DEAD:
    case MESSAGE_LEFT:
        return view_take_short(swim, source, &message->claim);
    case MESSAGE_LOAD:
        take_load(swim, message);
        return 0;
    case MESSAGE_HEARTBEAT:
        gossip_take_heartbeat(swim, message);
        return 0;
    case MESSAGE_TEXT:
    case MESSAGE_DIRECT:
    case MESSAGE_KEPT:
        text_take(swim, source, message);
        return 0;
    case MESSAGE_RECEIPT:
        text_take_receipt(swim, source, message);
        return 0;
    case MESSAGE_HAVE:
        kept_take_digest(swim, source, message->digest);
        return 0;
    case MESSAGE_WANT:
        kept_take_want(swim, source, message);
        return 0;
    default:
        return take_exchange(swim, source, message);
    }
}

int receive_packet(struct swim *swim, const struct source *source, const void *data, size_t size)
{
    struct reader reader = reader_from(data, size);
    struct message message;
    int r = message_begin(&reader) ? 0 : -EBADMSG, result = r;

    while (r >= 0 && (r = message_read(&reader, &message)) > 0) {
        swim->frames_received[message.type]++;
        if (take(swim, source, &message) < 0)
            result = -EBADMSG;
    }
    if (r < 0)
        result = r;
    struct member *member = member_find(swim, source->id);
    if (member)
        view_note_contact(swim, member, source->address);
    return result;
}
