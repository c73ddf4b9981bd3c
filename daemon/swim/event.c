/* SPDX-License-Identifier: MIT */
#include "swim/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

static struct event *event_free(struct event *event)
{
    if (!event)
        return NULL;
    free(event->text);
    free(event);
    return NULL;
}

void events_init(struct events *events)
{
    *events = (struct events){0};
    list_init(&events->queue);
}

void events_done(struct events *events)
{
    while (event_next(events))
        continue;
}

static struct event *add(struct swim *swim, enum swim_event_type type, const struct member *member)
{
    struct events *events = &swim->events;
    struct event *event = events->count < EVENTS_MAX ? calloc(1, sizeof(*event)) : NULL;

    if (!event)
        return NULL;
    event->shown.type = type;
    if (member) {
        event->shown.member = &member->shown;
        event->shown.address = member->shown.address;
        memcpy(event->shown.name, member->shown.name, strlen(member->shown.name) + 1);
    }
    list_append(&events->queue, &event->link);
    events->count++;
    return event;
}

struct swim_event *event_add(struct swim *swim, enum swim_event_type type,
                             const struct member *member)
{
    struct event *event = add(swim, type, member);

    return event ? &event->shown : &swim->events.scratch;
}

struct swim_event *event_add_text(struct swim *swim, enum swim_event_type type,
                                  const struct member *member, const char *text)
{
    char *copy = strdup(text);
    struct event *event = copy ? add(swim, type, member) : NULL;

    if (!event) {
        free(copy);
        return &swim->events.scratch;
    }
    event->text = copy;
    event->shown.text = copy;
    return &event->shown;
}

struct swim_event *event_add_names(struct swim *swim, enum swim_event_type type,
                                   const struct member *member, const struct node_id *ids,
                                   size_t count)
{
    char text[SWIM_MESSAGE_MAX + 1] = "";
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        const struct member *named = member_find(swim, &ids[i]);
        const char *name = named ? named->shown.name : "?";
        const char *gap = size > 0 ? ", " : "";
        if (size + strlen(gap) + strlen(name) + sizeof(", ...") > sizeof(text)) {
            strcpy(text + size, ", ...");
            break;
        }
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", gap, name);
    }
    return size > 0 ? event_add_text(swim, type, member, text) : event_add(swim, type, member);
}

const struct swim_event *event_next(struct events *events)
{
    struct event *event = list_first(&events->queue, struct event, link);

    events->given = event_free(events->given);
    if (!event)
        return NULL;
    list_remove(&event->link);
    events->count--;
    events->given = event;
    return &event->shown;
}
