/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * For whoever looks on while tasks are to run: that one of them waits because no node can take it.
 * Looked at once a second, and told once for every reason.
 */

#include "sched/task.h"

struct node;
typedef struct sd_event_source sd_event_source;

struct stranded {
    struct node *node;      /* borrowed */
    sd_event_source *timer; /* owned */
    char told[TASK_REASON_MAX + 1];
    /* A task that is looked on and waits for a node, or NULL. */
    const struct task *(*find)(void *data);
    /* May end the looking on. */
    void (*tell)(const struct task *task, void *data);
    void *data; /* borrowed; of both */
};

/* Begins to look, with find, tell, data and node set. Without memory nothing will be told. */
void stranded_begin(struct stranded *stranded);
/* Also of one that never began. */
void stranded_end(struct stranded *stranded);
