/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Keepers between two tasks (exec/keeper.h), the last used first. They end when they were not
 * needed for SPARES_IDLE_USEC, so an idle node has none.
 */

#include <systemd/sd-event.h>
#include "exec/child.h"

#define SPARES_MAX       32
#define SPARES_IDLE_USEC (5 * USEC_PER_SEC)

struct spares {
    sd_event *event;  /* borrowed */
    struct list list; /* of struct exec_child, owned */
    size_t count;
    sd_event_source *timer; /* owned */
    /* What becomes of one that is ended: the child is the callee's, and its process to be waited
     * for. */
    void (*on_ended)(struct exec_child *child, void *data);
    void *data; /* borrowed */
};

/* Return: 0, or what sd-event said. */
int spares_init(struct spares *spares, sd_event *event,
                void (*on_ended)(struct exec_child *child, void *data), void *data);

/* Frees them all; their processes end by themselves. */
void spares_done(struct spares *spares);

/* Takes a child that is free; ended at once where there are SPARES_MAX. */
void spares_put(struct spares *spares, struct exec_child *child);

/* One that can hold @job, now the caller's; or NULL. */
struct exec_child *spares_take(struct spares *spares, const struct supervisor_job *job);

/* Ends all. */
void spares_end(struct spares *spares);

/* The one with that process, or NULL. */
struct exec_child *spares_find(const struct spares *spares, pid_t pid);

/* Its process is gone. */
void spares_forget(struct spares *spares, struct exec_child *child);
