/* SPDX-License-Identifier: MIT */
#pragma once

/* Events on their way to the owner of the core, in order, in a bounded queue. */

#include "base/list.h"
#include "swim/swim.h"

#define EVENTS_MAX (3 * SWIM_MEMBERS_MAX)

struct swim;
struct member;

struct event {
    struct list link;
    struct swim_event shown;
    char *text; /* owned, or NULL */
};

struct events {
    struct list queue;
    size_t count;
    struct event *given;       /* what swim_next_event returned last */
    struct swim_event scratch; /* takes what finds no place */
};

void events_init(struct events *events);
void events_done(struct events *events);

/*
 * Queues an event about @member (or NULL), with its name and address, to be filled in further by
 * the caller. Return: the event, never NULL: without room or memory it is one that nobody reads.
 */
struct swim_event *event_add(struct swim *swim, enum swim_event_type type,
                             const struct member *member);

/* The same with a text: the names of members, as far as they are known here. */
struct swim_event *event_add_names(struct swim *swim, enum swim_event_type type,
                                   const struct member *member, const struct node_id *ids,
                                   size_t count);

/* The same with a text, which is copied. */
struct swim_event *event_add_text(struct swim *swim, enum swim_event_type type,
                                  const struct member *member, const char *text);

/* Takes the next one, and frees the one given before. Return: NULL at the end. */
const struct swim_event *event_next(struct events *events);
