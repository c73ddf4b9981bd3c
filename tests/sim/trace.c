/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define LINE_MAX_SIZE (SWIM_MESSAGE_MAX + 256)

const char *trace_state_name(enum swim_state state)
{
    static const char *const names[] = {"alive", "suspect", "dead", "left"};

    return state < _SWIM_STATE_MAX ? names[state] : "in no state";
}

static const char *name_of(const struct sim *sim, const struct swim_member *member)
{
    const struct sim_node *node = member ? sim_by_id(sim, &member->id) : NULL;

    return node ? node->name : "somebody";
}

static const char *name_at(const struct sim *sim, const struct address *address)
{
    const struct sim_node *node = sim_by_address(sim, address);

    return node ? node->name : "nobody's address";
}

static const char *name_of_id(const struct sim *sim, const struct node_id *id)
{
    const struct sim_node *node = sim_by_id(sim, id);

    return node ? node->name : "somebody";
}

/* What one member did, in words. */
static void tell_member(const struct sim_node *node, const struct swim_event *event, char *line,
                        size_t size)
{
    static const char *const words[] = {
        [SWIM_EVENT_MEMBER_JOINED] = "sees %s join",
        [SWIM_EVENT_MEMBER_SUSPECT] = "suspects %s",
        [SWIM_EVENT_MEMBER_ALIVE] = "sees %s alive again",
        [SWIM_EVENT_MEMBER_DEAD] = "sees %s dead",
        [SWIM_EVENT_MEMBER_LEFT] = "sees %s leave",
        [SWIM_EVENT_MEMBER_REAPED] = "forgets %s",
        [SWIM_EVENT_MEMBER_UPDATED] = "has news of %s",
        [SWIM_EVENT_DEAD_REPORT] = "is told that %s is dead",
        [SWIM_EVENT_NAME_CONFLICT] = "sees %s bear another's name",
        [SWIM_EVENT_MESSAGE_ACKED] = "knows that %s has the message",
    };
    const char *text = (size_t)event->type < ARRAY_SIZE(words) ? words[event->type] : NULL;
    const char *name = name_of(node->sim, event->member);
    const char *place = text ? strstr(text, "%s") : NULL;

    if (!place) {
        *line = '\0';
        return;
    }
    int length = snprintf(line, size, "%.*s%s%s", (int)(place - text), text, name, place + 2);
    if (event->by)
        snprintf(line + length, size - (size_t)length, ", says %s", name_of(node->sim, event->by));
}

/* The line of an event, or an empty one for what no scenario is about. */
static void tell(const struct sim_node *node, const struct swim_event *event, char *line,
                 size_t size)
{
    const struct sim *sim = node->sim;

    switch (event->type) {
    case SWIM_EVENT_JOIN_REQUEST:
        snprintf(line, size, "is asked to let %s in", name_at(sim, &event->address));
        break;
    case SWIM_EVENT_PEER_LIST:
        snprintf(line, size, "gets a list of %u from %s", event->count,
                 name_of(sim, event->member));
        break;
    case SWIM_EVENT_JOINED:
        snprintf(line, size, "has joined, %u seeds answered", event->count);
        break;
    case SWIM_EVENT_SEED_UNREACHABLE:
        snprintf(line, size, "cannot reach seed %s", name_at(sim, &event->address));
        break;
    case SWIM_EVENT_REPORTED:
        snprintf(line, size, "has its report of %s %sacknowledged by %s",
                 name_of(sim, event->member), event->is_fatal ? "not " : "", event->text);
        break;
    case SWIM_EVENT_ID_CONFLICT:
        snprintf(line, size, "meets its own id%s", event->is_fatal ? " and yields" : "");
        break;
    case SWIM_EVENT_GOSSIP:
        snprintf(line, size, "hears heartbeat %" PRIu64 " of %s", event->number,
                 name_at(sim, &event->address));
        break;
    case SWIM_EVENT_MESSAGE:
        snprintf(line, size, "hears \"%s\" from %s", event->text ? event->text : "",
                 name_of_id(sim, &event->origin));
        break;
    case SWIM_EVENT_PING:
        snprintf(line, size, "%s",
                 event->rtt_usec == USEC_INFINITY ? "gets no answer" : "gets an answer");
        break;
    case SWIM_EVENT_FREEZE:
        if (event->count > 0)
            snprintf(line, size, "may be the one cut off, suspects %u", event->count);
        else
            snprintf(line, size, "thinks no longer that it is cut off");
        break;
    case SWIM_EVENT_LEFT:
        snprintf(line, size, "has left");
        break;
    default:
        tell_member(node, event, line, size);
        break;
    }
}

/* FNV-1a: only to tell two runs apart. */
static void mix(uint64_t *hash, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        *hash = (*hash ^ (value >> (8 * i) & 0xff)) * UINT64_C(0x100000001b3);
}

void trace_event(const struct sim_node *node, const struct swim_event *event)
{
    struct sim *sim = node->sim;
    const struct sim_node *subject = event->member ? sim_by_id(sim, &event->member->id) : NULL;
    char line[LINE_MAX_SIZE];

    mix(&sim->hash, sim->now);
    mix(&sim->hash, (uint64_t)node->index << 32 | (uint64_t)event->type << 16 |
                        (subject ? subject->index : 0xffff));
    if (!sim->options.trace || node->is_hidden)
        return;
    tell(node, event, line, sizeof(line));
    if (*line)
        fprintf(sim->options.trace, "[%9.3f] %-4s %s\n", (double)sim->now / USEC_PER_SEC,
                node->name, line);
}

void trace_note(const struct sim *sim, const char *format, ...)
{
    va_list arguments;

    if (!sim->options.trace)
        return;
    fprintf(sim->options.trace, "[%9.3f] --   ", (double)sim->now / USEC_PER_SEC);
    va_start(arguments, format);
    vfprintf(sim->options.trace, format, arguments);
    va_end(arguments);
    fputc('\n', sim->options.trace);
}
