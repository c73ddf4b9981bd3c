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

static void on_timer(struct swim *swim, struct timer *timer)
{
    struct relay *relay;

    while ((relay = list_first(&swim->relays.active, struct relay, link)) &&
           relay->end_usec <= swim->now) {
        answer(swim, &relay->asker_address, &relay->asker_id, relay->asker_seq, MESSAGE_NACK);
        relay_free(swim, relay);
    }
    timer_set(&swim->timers, timer, relay ? relay->end_usec : TIMER_NEVER);
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

    if (target && target->turn > 0 && swim->relays.count < RELAYS_MAX)
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
    if (!timer_is_armed(&swim->relays.timer))
        timer_set(&swim->timers, &swim->relays.timer, relay->end_usec);
    struct message ping = {.type = MESSAGE_PING};
    ping.seq = relay->seq;
    ping.wall_usec = core_wall(swim);
    packet_send_message(swim, &target->shown.address, &target->shown.id, &ping);
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
