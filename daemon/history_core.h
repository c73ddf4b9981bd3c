/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of history share: history.c keeps and follows, history_answer.c lists. */

#include "history.h"

/* Events and messages alike; the strings follow the struct in one allocation. */
struct entry {
    uint64_t seq;
    uint64_t wall_usec;
    const char *type; /* of an event; static */
    const char *node; /* the member concerned, or the sender; NULL = none */
    const char *task;
    const char *message;
    const char *line;
    const char *record; /* one that the disk kept: the whole of it as JSON, and of the above only
                           seq, time and type */
    bool is_confidential;
};

struct ring {
    struct entry **entries; /* owned; max of them, the oldest at (next - count) */
    size_t max;
    size_t next;
    size_t count;
};

/* The frequent ones have rings of their own, lest they push out the others, and stay in memory. */
enum {
    RING_NAMED,
    RING_GOSSIP,
    RING_LIVENESS,
    RING_VALUES,
    _RING_MAX,
};

/* Rings with one numbering, and who follows them. */
struct stream {
    struct ring rings[_RING_MAX];
    uint64_t seq;
    struct list followers;
    const char *schema;
    const char *noun;
    /* One entry as it stands in a list (@is_stream: and as an answer of its own). */
    cJSON *(*render)(const struct entry *entry, bool is_stream);
};

struct history {
    struct stream events;
    struct stream messages;
    struct state *state; /* borrowed; NULL = in memory only */
    uint64_t saved_seq;
    size_t unsaved_count;
};

/* The i-th oldest. */
const struct entry *history_ring_get(const struct ring *ring, size_t i);
bool history_may_hear(const struct caller *caller, const struct entry *entry);
/* @types: globs; NULL or empty = all. */
bool history_is_wanted(const struct entry *entry, const cJSON *types);
/* @call hears from now on what is added, or has been answered. @types: borrowed of the call. */
void history_follow(struct stream *stream, struct call *call, const cJSON *types);
