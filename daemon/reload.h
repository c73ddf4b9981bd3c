/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading the configuration again while the node runs: by SIGHUP, and by whoever asks and wants to
 * hear what came of it. The file is read on a thread; what it says is taken over between two turns
 * of the loop, as a whole or, where anything in it is wrong, not at all. One reload at a time: who
 * asks meanwhile gets the one after it, for the file may have changed since this one looked.
 */

#include "base/list.h"
#include "config/config.h"

struct node;

/* What came of it; borrowed for the call. */
struct reload_outcome {
    int r; /* 0; -EINVAL: errors say what is wrong, and nothing has changed; -ESHUTDOWN while the
              node stops; -ENOMEM, -EBUSY, -EAGAIN; else a part could not follow, as the log says */
    bool is_partial; /* in force, but for the errors */
    const struct config_strings *errors;
    const struct config_strings *changed; /* keys that are in force now */
    const struct config_strings *restart; /* keys that changed and need a restart */
};

/* Who waits for it; its owner embeds it. It is in no list any more when on_done is called. */
struct reload_wait {
    struct list link;
    void (*on_done)(const struct reload_outcome *outcome, void *data);
    void *data;
};

struct reload; /* one on its way */

struct reloads {
    struct list waiting;   /* for the next one */
    struct list served;    /* by the one on its way */
    struct reload *reload; /* on its way, owned by the worker; or NULL */
    bool is_wanted;        /* another one is to follow */
};

void reloads_init(struct reloads *reloads);

/* @wait: NULL = nobody waits. on_done may be called from within. */
void reload_start(struct node *node, struct reload_wait *wait);

/* @wait will not be called. */
void reload_forget(struct reload_wait *wait);
