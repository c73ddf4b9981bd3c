/* SPDX-License-Identifier: MIT */
#include "swim/relay.h"

#include <stdlib.h>
#include "swim/core.h"

static void relay_free(struct swim *swim, struct relay *relay)
{
    list_remove(&relay->link);
    swim->relays.count--;
    free(relay);
}

static void answer(struct swim *swim, const struct address *to, const struct node_id *to_id,
                   uint32_t seq, enum message_type type)
{
    struct message message = {.type = type};

    message.seq = seq;
    packet_send_message(swim, to, to_id, &message);
}

static void send_request(struct swim *swim, const struct relay *relay)
{
    const struct member *target = member_find(swim, &relay->target_id);
    struct message ping = {.type = MESSAGE_PING};

    if (!target || target->shown.turn == 0)
        return;
    ping.seq = relay->seq;
    ping.wall_usec = core_wall(swim);
    packet_send_message(swim, &target->shown.address, &target->shown.id, &ping);
}

/* Half of the time without an answer: once more. */
static void repeat_requests(struct swim *swim)
{
    usec_t half = swim->config.probe_timeout_usec * 2 / 5;

    list_for_each (link, &swim->relays.active) {
        struct relay *relay = list_entry(link, struct relay, link);
        if (relay->end_usec > swim->now + half)
            break;
        if (!relay->is_repeated)
            send_request(swim, relay);
        relay->is_repeated = true;
    }
}

/* The next thing to do about any of them. */
static void arm(struct swim *swim)
{
    usec_t half = swim->config.probe_timeout_usec * 2 / 5;
    usec_t time = TIMER_NEVER;

    list_for_each (link, &swim->relays.active) {
        const struct relay *relay = list_entry(link, struct relay, link);
        time = MIN(time, relay->is_repeated ? relay->end_usec : relay->end_usec - half);
        if (!relay->is_repeated)
            break;
    }
    timer_set(&swim->timers, &swim->relays.timer, time);
}

static void on_timer(struct swim *swim, struct timer *timer _unused_)
{
    struct relay *relay;

    while ((relay = list_first(&swim->relays.active, struct relay, link)) &&
           relay->end_usec <= swim->now) {
        answer(swim, &relay->asker_address, &relay->asker_id, relay->asker_seq, MESSAGE_NACK);
        relay_free(swim, relay);
    }
    repeat_requests(swim);
    arm(swim);
}

int relays_init(struct swim *swim)
{
    list_init(&swim->relays.active);
    return timer_init(&swim->timers, &swim->relays.timer, on_timer);
}

void relays_done(struct swim *swim)
{
    list_for_each_safe (link, &swim->relays.active)
        relay_free(swim, list_entry(link, struct relay, link));
}

void relay_take_ask(struct swim *swim, const struct source *source, const struct message *message)
{
    const struct member *target = member_find(swim, &message->id);
    struct relay *relay = NULL;

    if (target && target->shown.turn > 0 && swim->relays.count < RELAYS_MAX)
        relay = malloc(sizeof(*relay));
    if (!relay) {
        answer(swim, source->address, source->id, message->seq, MESSAGE_NACK);
        return;
    }
    *relay = (struct relay){
        .asker_id = *source->id,
        .asker_address = *source->address,
        .asker_seq = message->seq,
        .target_id = message->id,
        .seq = core_next_seq(swim),
        .end_usec = swim->now + swim->config.probe_timeout_usec * 4 / 5,
    };
    list_append(&swim->relays.active, &relay->link);
    swim->relays.count++;
    send_request(swim, relay);
    arm(swim);
}

void relay_take_ack(struct swim *swim, const struct source *source, const struct message *message)
{
    list_for_each_safe (link, &swim->relays.active) {
        struct relay *relay = list_entry(link, struct relay, link);
        if (relay->seq != message->seq || !node_id_is_equal(&relay->target_id, source->id))
            continue;
        answer(swim, &relay->asker_address, &relay->asker_id, relay->asker_seq, MESSAGE_RELAYED);
        relay_free(swim, relay);
        return;
    }
}
