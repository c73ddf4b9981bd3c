/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What happened here: the last events and the last messages received, for `p2pctl events` and
 * `inbox`, and those who follow them live. Two bounded rings in memory; nothing here decides
 * anything.
 */

#include "base/id.h"
#include "base/usec.h"
#include "control/call.h"
#include "journal.h"

#define HISTORY_EVENTS_MAX 2048

struct history;

/* @messages_max: messages kept. Return: 0, -ENOMEM. */
int history_new(size_t messages_max, struct history **ret);

/* After the servers, which abandon the calls of those who follow. Returns NULL. */
struct history *history_free(struct history *history);
DEFINE_CLEANUP(struct history *, history_free)

/* An observer of the journal: keeps the event and shows it to those who follow. */
void history_add_event(const struct journal_event *event, void *history);

/* @sender: a node's name. */
void history_add_message(struct history *history, const char *sender, const char *text,
                         uint64_t wall_usec);

/* What happened to @name, oldest first: {time, text} for each event about it but the frequent ones.
 */
void history_add_timeline(const struct history *history, const char *name, cJSON *list);

/* Methods Events and Inbox. */
void history_serve_events(struct history *history, struct call *call, uint64_t wall_usec);
void history_serve_inbox(struct history *history, struct call *call, uint64_t wall_usec);
