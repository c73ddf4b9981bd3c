/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * User messages. Each is named by its author's id and generation and a number, told once and
 * acknowledged with a receipt. One to a single member is sent again until the receipt is there. One
 * to all is a rumor, and its author sends it again itself to those whose receipt is missing, so
 * that a broadcast reaches all even where rumors are lost. Who was not there then gets it from
 * whoever kept it (kept.h).
 */

#include "base/id.h"
#include "base/list.h"
#include "swim/message.h"
#include "swim/timer.h"

#define TEXTS_MAX   64 /* under way at once */
#define TEXTS_BURST 32 /* copies of one text that leave at once */

struct swim;
struct source;
struct member;

/* Owned by the list. */
struct outgoing {
    struct list link;
    struct timer timer;
    uint64_t token;
    usec_t started_usec;
    struct message message;
    uint32_t tries;
    size_t position;         /* in waiting: the next one to be sent to in this try */
    struct node_id *waiting; /* owned; whose receipt is missing */
    size_t waiting_count;
};

struct texts {
    struct list active;
    size_t count;
    uint64_t number; /* of our last one */
};

void texts_init(struct swim *swim);
void texts_done(struct swim *swim);

/* As swim_message_size_max. */
size_t text_size_max(const struct swim *swim);

/* Return: as swim_send_message. */
int text_send(struct swim *swim, const struct member *to, const char *text, uint64_t *ret_token);

/* Frames: TEXT, DIRECT and KEPT, and their RECEIPT. */
void text_take(struct swim *swim, const struct source *source, const struct message *message);
void text_take_receipt(struct swim *swim, const struct source *source,
                       const struct message *message);
