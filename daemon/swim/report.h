/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Dead reports: whoever accused a member by its own failed probe, and then sees it dead, tells
 * every live seed, with the time, and repeats that until each has acknowledged, for half a minute
 * at most. The report is a death claim of its sender too. The seed keeps who reported whom, when,
 * and how: directly, and through whom in vain.
 */

#include "base/address.h"
#include "base/id.h"
#include "base/list.h"
#include "swim/suspicion.h"
#include "swim/swim.h"
#include "swim/timer.h"

#define REPORTS_MAX       64
#define REPORTS_HEARD_MAX 64 /* that are remembered, so that a repeated one is told once */

struct source;
struct member;
struct message;

enum report_answer {
    REPORT_WAITS,
    REPORT_ACKED,
    REPORT_FAILED,
};

/* Owned by the list. */
struct report {
    struct list link;
    struct timer timer;
    uint32_t seq;
    uint32_t tries;
    struct node_id id;
    struct swim_incarnation incarnation;
    struct address address; /* of the dead */
    uint64_t wall_usec;
    struct evidence evidence;
    struct node_id seeds[SWIM_SEEDS_MAX];
    enum report_answer answers[SWIM_SEEDS_MAX];
    size_t seeds_count;
};

struct reports {
    struct list active;
    size_t count;
    uint64_t heard[REPORTS_HEARD_MAX]; /* hashes, a ring */
    size_t heard_count;
};

void reports_init(struct swim *swim);
void reports_done(struct swim *swim);

/* @member has just died, and we had accused it. Return: how many seeds are told: @ret_seeds. */
size_t report_send(struct swim *swim, const struct member *member, const struct evidence *evidence,
                   struct node_id ret_seeds[static SWIM_SEEDS_MAX]);

/* Return: 0, -EBADMSG as view_take_short. */
int report_take(struct swim *swim, const struct source *source, const struct message *message);
void report_take_ack(struct swim *swim, const struct source *source, const struct message *message);
