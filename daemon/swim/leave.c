/* SPDX-License-Identifier: MIT */
#include "swim/leave.h"

#include "swim/core.h"

#define DEADLINE_USEC (3 * USEC_PER_SEC)
#define RETRY_USEC    (300 * USEC_PER_MSEC)

static void end(struct swim *swim)
{
    swim->leave.is_active = false;
    timer_set(&swim->timers, &swim->leave.timer, TIMER_NEVER);
    event_add(swim, SWIM_EVENT_LEFT, swim->self)->count = (uint32_t)swim->leave.acked_count;
}

static bool has_acked(const struct leave *leave, const struct node_id *id)
{
    for (size_t i = 0; i < leave->acked_count; i++)
        if (node_id_is_equal(&leave->acked[i], id))
            return true;
    return false;
}

/*
 * Draws up to @limit of those who may still acknowledge: who is suspect may be dead, and who leaves
 * too is gone soon. Return: how many there are.
 */
static size_t draw(struct swim *swim, size_t limit, struct member **ret)
{
    const struct members *members = &swim->members;
    size_t count = 0;

    for (size_t i = 0; i < members->live_count; i++) {
        struct member *member = members->live[i];
        if (member->shown.state != SWIM_ALIVE || has_acked(&swim->leave, &member->shown.id))
            continue;
        size_t place = count < limit ? count : (size_t)rng_below(&swim->rng, count + 1);
        if (place < limit)
            ret[place] = member;
        count++;
    }
    return count;
}

static void on_timer(struct swim *swim, struct timer *timer)
{
    struct leave *leave = &swim->leave;
    struct member *targets[LEAVE_ACKS_MAX];
    struct message message = {.type = MESSAGE_LEAVE};
    size_t missing = usec_sub(leave->needed, leave->acked_count);
    size_t count = MIN(draw(swim, missing, targets), missing);

    if (swim->now >= leave->end_usec || count == 0) {
        end(swim);
        return;
    }
    message.seq = leave->seq;
    message.incarnation = swim->self->shown.incarnation;
    for (size_t i = 0; i < count; i++)
        packet_send_message(swim, &targets[i]->shown.address, &targets[i]->shown.id, &message);
    timer_set(&swim->timers, timer, MIN(swim->now + RETRY_USEC, leave->end_usec));
}

void leave_check(struct swim *swim)
{
    struct leave *leave = &swim->leave;

    if (leave->is_active && (leave->acked_count >= leave->needed || draw(swim, 0, NULL) == 0))
        end(swim);
}

int leave_init(struct swim *swim)
{
    return timer_init(&swim->timers, &swim->leave.timer, on_timer);
}

/* The binary logarithm of @n, rounded up. */
static size_t log2_up(size_t n)
{
    size_t bits = 0;

    while (((size_t)1 << bits) < n)
        bits++;
    return bits;
}

void leave_begin(struct swim *swim)
{
    struct leave *leave = &swim->leave;
    struct swim_incarnation incarnation = swim->self->shown.incarnation;

    if (swim->self->shown.state != SWIM_ALIVE)
        return;
    incarnation.counter++;
    member_set_state(swim, swim->self, SWIM_LEFT, &incarnation);
    rumor_drop_load(swim, swim->self);
    rumor_spread(swim, swim->self, true);
    leave->is_active = true;
    leave->acked_count = 0;
    leave->seq = core_next_seq(swim);
    leave->end_usec = swim->now + DEADLINE_USEC;
    leave->needed =
        CLAMP(log2_up(members_alive_count(&swim->members)), (size_t)1, (size_t)LEAVE_ACKS_MAX);
    on_timer(swim, &leave->timer);
}

void leave_undo(struct swim *swim)
{
    struct swim_incarnation incarnation = swim->self->shown.incarnation;

    if (swim->self->shown.state != SWIM_LEFT)
        return;
    swim->leave.is_active = false;
    timer_set(&swim->timers, &swim->leave.timer, TIMER_NEVER);
    incarnation.counter++;
    member_set_state(swim, swim->self, SWIM_ALIVE, &incarnation);
    rumor_spread(swim, swim->self, true);
    probe_wake(swim);
    gossip_start(swim);
    join_start(swim);
}

int leave_take(struct swim *swim, const struct source *source, const struct message *message)
{
    struct message answer = {.type = MESSAGE_LEAVE_ACK};
    struct claim claim = {
        .id = *source->id,
        .incarnation = message->incarnation,
        .state = SWIM_LEFT,
    };

    answer.seq = message->seq;
    packet_send_message(swim, source->address, source->id, &answer);
    int r = view_take_short(swim, source, &claim);
    leave_check(swim); /* one fewer to wait for */
    return r;
}

void leave_take_ack(struct swim *swim, const struct source *source, const struct message *message)
{
    struct leave *leave = &swim->leave;

    if (!leave->is_active || message->seq != leave->seq)
        return;
    if (has_acked(leave, source->id))
        return;
    leave->acked[leave->acked_count++] = *source->id;
    leave_check(swim);
}
