/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Commands that the administrator wants to be run at events: `hooks` and `messages.handler`. The
 * daemon has the keys and the network, so it runs nothing itself: p2pnode-exec does, in the sandbox
 * of tasks and without a slot. Without a shell, a few at a time, with a limit of time; what comes
 * too fast is dropped, and how much is told. Nothing waits for a hook.
 */

#include <systemd/sd-event.h>
#include "base/list.h"
#include "config/config.h"
#include "exec/client.h"
#include "journal.h"

#define HOOKS_QUEUE_MAX    64
#define HOOKS_RUNNING_MAX  4
#define HOOKS_TIMEOUT_USEC (30 * USEC_PER_SEC) /* then TERM, */
#define HOOKS_GRACE_USEC   (5 * USEC_PER_SEC)  /* and so much later KILL */

/* Owned by struct tasks. */
struct hooks {
    sd_event *event;          /* borrowed, as the two below */
    struct exec *const *exec; /* where p2pnode-exec is; *exec may be NULL */
    const struct config *config;
    struct list queue;
    struct list running;
    size_t queued_count;
    size_t running_count;
    uint64_t next_id;
    uint64_t dropped_count; /* since that was told */
    bool is_dropping;       /* that was told, and the queue has not been empty since */
    sd_event_source *timer; /* starts what waits */
};

/* Return: 0, or what sd-event said. */
int hooks_init(struct hooks *hooks, sd_event *event, const struct config *config,
               struct exec *const *exec);
void hooks_done(struct hooks *hooks);

/* Whether the configuration has any. */
bool hooks_are_wanted(const struct config *config);

/* From the journal: queues the commands for @event. */
void hooks_hear(struct hooks *hooks, const struct journal_event *event);

/* Queues @command for @event, beside those that the configuration has. */
void hooks_add(struct hooks *hooks, const char *command, const struct journal_event *event);

/* From p2pnode-exec. Return: whether @id is that of a hook. */
bool hooks_on_output(struct hooks *hooks, uint64_t id, const void *bytes, size_t size);
bool hooks_on_exit(struct hooks *hooks, uint64_t id, const struct exec_status *status);
