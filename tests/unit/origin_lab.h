/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests of an origin alone share: nodes by number, and what it wants, as text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "sched/origin.h"

static const char *const types[] = {"a", "b"};

static struct place_facts facts_of(unsigned number)
{
    struct place_facts facts = {
        .id = {{(uint8_t)number}},
        .generation = 100,
        .state = PLACE_ALIVE,
        .is_self = number == 1,
        .has_tasks = true,
        .has_commands = true,
        .slots = 4,
        .types = types,
        .types_count = 2,
    };

    (void)snprintf(facts.name, sizeof(facts.name), "lab-%02u", number);
    return facts;
}

/*
 * What it wants now, as "commit 1, send 1.1 lab-02, ": the attempt where there is one. Commits
 * succeed at once unless @hold.
 */
static const char *drain(struct origin *origin, bool hold, usec_t now)
{
    static const char *const names[] = {
        [ORIGIN_COMMIT] = "commit",   [ORIGIN_ACCEPTED] = "accepted", [ORIGIN_PLACED] = "placed",
        [ORIGIN_SEND] = "send",       [ORIGIN_QUERY] = "query",       [ORIGIN_CANCEL] = "cancel",
        [ORIGIN_RECALL] = "recall",   [ORIGIN_ACK] = "ack",           [ORIGIN_STARTED] = "started",
        [ORIGIN_MOVED] = "moved",     [ORIGIN_LOST] = "lost",         [ORIGIN_ENDED] = "ended",
        [ORIGIN_FORGET] = "forget",   [ORIGIN_DENIED] = "denied",     [ORIGIN_ASK] = "ask",
        [ORIGIN_RELEASE] = "release",
    };
    static char all[8192];
    struct origin_action action;

    all[0] = '\0';
    while (origin_next_action(origin, &action)) {
        char text[512];
        int used = snprintf(text, sizeof(text), "%s %d", names[action.type], (int)action.number);
        switch (action.type) {
        case ORIGIN_ASK:
        case ORIGIN_RELEASE:
        case ORIGIN_SEND:
        case ORIGIN_QUERY:
        case ORIGIN_CANCEL:
        case ORIGIN_RECALL:
        case ORIGIN_ACK:
            used += snprintf(text + used, sizeof(text) - (size_t)used, ".%d lab-%02u",
                             (int)action.attempt, action.node.bytes[0]);
            break;
        case ORIGIN_MOVED:
            used += snprintf(text + used, sizeof(text) - (size_t)used, " (from %s: %s)",
                             action.previous, action.text);
            break;
        case ORIGIN_LOST:
            used += snprintf(text + used, sizeof(text) - (size_t)used, " (%s)", action.text);
            break;
        case ORIGIN_ENDED:
            used += snprintf(text + used, sizeof(text) - (size_t)used, " %s",
                             task_state_name(action.task->state));
            break;
        default:
            break;
        }
        (void)snprintf(text + used, sizeof(text) - (size_t)used, ", ");
        strncat(all, text, sizeof(all) - strlen(all) - 1);
        if (action.type == ORIGIN_COMMIT && !hold)
            origin_committed(origin, action.number, action.revision, now);
    }
    return all;
}

static const char *actions(struct origin *origin, usec_t now)
{
    return drain(origin, false, now);
}

static struct node_id node(unsigned number)
{
    return (struct node_id){{(uint8_t)number}};
}
