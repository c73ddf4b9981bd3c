/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Leaving: our record becomes LEFT at an incarnation of its own, is spread like any news, and told
 * straight to random members until log2 n of them have acknowledged it, or all that are alive and
 * do not leave themselves, for at most 3 s. From then on we accuse nobody and refute nothing, but
 * still answer; until we are told to join again.
 */

#include "base/id.h"
#include "swim/timer.h"

#define LEAVE_ACKS_MAX 16

struct swim;
struct source;
struct message;

struct leave {
    struct timer timer; /* next try, or the end */
    bool is_active;
    uint32_t seq;
    usec_t end_usec;
    struct node_id acked[LEAVE_ACKS_MAX];
    size_t acked_count;
    size_t needed;
};

int leave_init(struct swim *swim);
void leave_begin(struct swim *swim);

/* We are a member again, at an incarnation above the good-bye's. Nothing happens where we are one.
 */
void leave_undo(struct swim *swim);

/* Ends our leave where nobody is left to wait for. */
void leave_check(struct swim *swim);

/* Return: 0, -EBADMSG. */
int leave_take(struct swim *swim, const struct source *source, const struct message *message);
void leave_take_ack(struct swim *swim, const struct source *source, const struct message *message);
