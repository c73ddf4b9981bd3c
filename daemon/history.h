/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What happened here: the last events and the last messages received, for `p2pctl events` and
 * `inbox`, and those who follow them live. Nothing here decides anything.
 *
 * Events are in bounded rings in memory: gossip and liveness, which come every second, and changes
 * of values, which programs make by the thousand, in rings of their own, and all others in one that
 * is also kept on disk, where the last HISTORY_STORED_MAX
 * survive a restart. They are written some at a time, on the commits lane, and read back there; an
 * answer is what the disk has and what memory has, each once. Messages are in memory only.
 *
 * Of confidential tasks callers of other nodes hear nothing, neither in a list nor as they follow.
 */

#include "base/id.h"
#include "base/usec.h"
#include "varlink/call.h"
#include "journal.h"
#include "store/state.h"

#define HISTORY_EVENTS_MAX   512 /* in memory */
#define HISTORY_GOSSIP_MAX   256
#define HISTORY_LIVENESS_MAX 128
#define HISTORY_VALUES_MAX   128
#define HISTORY_STORED_MAX   STATE_ROWS_MAX

struct history;

/* @messages_max: messages kept. Return: 0, -ENOMEM. */
int history_new(size_t messages_max, struct history **ret);

/* So many messages from now on; the newest stay. Return: 0, -ENOMEM. */
int history_set_messages_max(struct history *history, size_t messages_max);

/* After the servers, which abandon the calls of those who follow. Returns NULL. */
struct history *history_free(struct history *history);
DEFINE_CLEANUP(struct history *, history_free)

/* An observer of the journal: keeps the event and shows it to those who follow. */
void history_add_event(const struct journal_event *event, void *history);

/*
 * From here on events are kept in @state too, which is borrowed and goes after the last call that
 * was served. @next_event: the number of the first one, in whose place what was told before comes.
 */
void history_attach(struct history *history, struct state *state, uint64_t next_event);

/* Hands what happened since the last time to the disk: every second or so, and at the end. */
void history_save(struct history *history);

/* @sender: a node's name. */
void history_add_message(struct history *history, const char *sender, const char *text,
                         uint64_t wall_usec);

/* What happened to @name, oldest first: {time, text} for each event about it but the frequent ones,
 * as far as @caller may hear of it. */
void history_add_timeline(const struct history *history, const struct caller *caller,
                          const char *name, cJSON *list);

/* Methods Events and Inbox. */
void history_serve_events(struct history *history, struct call *call, uint64_t wall_usec);
void history_serve_inbox(struct history *history, struct call *call, uint64_t wall_usec);
