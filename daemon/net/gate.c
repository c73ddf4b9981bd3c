/* SPDX-License-Identifier: MIT */
#include "net/gate.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TICKETS_MAX (65536 + 64) /* net.connections_max, and a few at the door */

struct ticket {
    bool is_taken;
    struct node_id id; /* null = not yet known */
};

struct gate {
    pthread_mutex_t mutex; /* over all below: tickets come back from worker threads */
    size_t count;
    size_t total_max;
    size_t peer_max;
    struct ticket *tickets; /* owned; room of them, never fewer than any limit so far */
    size_t room;
};

int gate_new(size_t total_max, size_t peer_max, struct gate **ret)
{
    _cleanup_free_ struct gate *gate = calloc(1, sizeof(*gate));
    int r;

    if (!gate)
        return -ENOMEM;
    r = -pthread_mutex_init(&gate->mutex, NULL);
    if (r < 0)
        return r;
    r = gate_set_limits(gate, total_max, peer_max);
    if (r < 0) {
        (void)pthread_mutex_destroy(&gate->mutex);
        return r;
    }
    *ret = TAKE_PTR(gate);
    return 0;
}

struct gate *gate_free(struct gate *gate)
{
    if (!gate)
        return NULL;
    assert(gate->count == 0);
    (void)pthread_mutex_destroy(&gate->mutex);
    free(gate->tickets);
    free(gate);
    return NULL;
}

/* Under the mutex. */
static int make_room(struct gate *gate, size_t room)
{
    struct ticket *tickets;

    if (room <= gate->room)
        return 0;
    tickets = reallocarray(gate->tickets, room, sizeof(*tickets));
    if (!tickets)
        return -ENOMEM;
    memset(tickets + gate->room, 0, (room - gate->room) * sizeof(*tickets));
    gate->tickets = tickets;
    gate->room = room;
    return 0;
}

int gate_set_limits(struct gate *gate, size_t total_max, size_t peer_max)
{
    int r;

    if (total_max == 0 || total_max > TICKETS_MAX || peer_max == 0 || peer_max > total_max)
        return -EINVAL;
    (void)pthread_mutex_lock(&gate->mutex);
    r = make_room(gate, total_max);
    if (r >= 0) {
        gate->total_max = total_max;
        gate->peer_max = peer_max;
    }
    (void)pthread_mutex_unlock(&gate->mutex);
    return r;
}

int gate_enter(struct gate *gate)
{
    int ticket = -EMFILE;

    (void)pthread_mutex_lock(&gate->mutex);
    for (size_t i = 0; gate->count < gate->total_max && i < gate->room && ticket < 0; i++)
        if (!gate->tickets[i].is_taken) {
            gate->tickets[i] = (struct ticket){.is_taken = true};
            gate->count++;
            ticket = (int)i;
        }
    (void)pthread_mutex_unlock(&gate->mutex);
    return ticket;
}

int gate_identify(struct gate *gate, int ticket, const struct node_id *id)
{
    size_t others = 0;
    int r = 0;

    (void)pthread_mutex_lock(&gate->mutex);
    assert(gate->tickets[ticket].is_taken);
    for (size_t i = 0; i < gate->room; i++)
        if (gate->tickets[i].is_taken && i != (size_t)ticket &&
            node_id_is_equal(&gate->tickets[i].id, id))
            others++;
    if (others >= gate->peer_max)
        r = -EUSERS;
    else
        gate->tickets[ticket].id = *id;
    (void)pthread_mutex_unlock(&gate->mutex);
    return r;
}

void gate_leave(struct gate *gate, int ticket)
{
    (void)pthread_mutex_lock(&gate->mutex);
    assert(gate->tickets[ticket].is_taken);
    gate->tickets[ticket].is_taken = false;
    gate->count--;
    (void)pthread_mutex_unlock(&gate->mutex);
}

size_t gate_get_count(struct gate *gate)
{
    size_t count;

    (void)pthread_mutex_lock(&gate->mutex);
    count = gate->count;
    (void)pthread_mutex_unlock(&gate->mutex);
    return count;
}
