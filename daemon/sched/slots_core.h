/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the slots share: slots.c has the calls of the owner, slots_queue.c whose turn
 * it is, slots_run.c the life of one attempt, slots_ask.c what those who ask are told,
 * slots_lease.c for how long those of other nodes go on, slots_back.c what never began. Nobody else
 * includes this.
 */

#include "base/heap.h"
#include "base/list.h"
#include "base/table.h"
#include "sched/slots.h"

#define SLOTS_GONE_MAX     1024 /* attempts that are remembered as not here */
#define SLOTS_REPORT_FIRST (5 * USEC_PER_SEC)
#define SLOTS_REPORT_MAX   USEC_PER_MIN
#define SLOTS_USER_KEY_MAX (TASK_USER_MAX + 1 + NODE_ID_TEXT_MAX)
#define SLOTS_NEVER        (USEC_INFINITY - 1) /* a timer that is kept in the heap, but not due */

/* Whose turn it is: a user of an origin, with what waits. Exists while something does. */
struct user {
    char key[SLOTS_USER_KEY_MAX + 1];
    struct list link;  /* in slots->users, in the order of turns */
    struct list queue; /* of struct entry */
};

enum kill_reason {
    KILL_NONE,
    KILL_TIMEOUT,
    KILL_CANCEL,
    KILL_LEASE,
    KILL_EVICT,
    KILL_STOP,
};

struct entry {
    struct slots_attempt public; /* first: what the outside gets */
    struct list queue;           /* in its user's queue, or in slots->active */
    struct list ended;           /* in slots->ended, oldest first */
    struct list told;            /* in slots->telling */
    struct user *user;           /* borrowed; NULL unless queued */
    struct heap_entry timer;
    unsigned actions;              /* bits of enum slots_action_type */
    const struct slots_type *type; /* borrowed from slots->config */
    uint32_t used;                 /* slots it takes while it runs */
    usec_t slice_usec;             /* when its turn began */
    usec_t ran_usec;               /* before this turn */
    usec_t lease_usec;             /* 0 = none */
    usec_t lease_end_usec;
    usec_t renew_usec;
    usec_t asked_usec;
    enum kill_reason killing;
    int signal;
    usec_t kill_usec; /* when KILL follows; USEC_INFINITY once it did */
    usec_t report_usec, report_delay_usec;
    enum slots_handback reason;
};

/* A place that is kept for an attempt of which an origin asked. */
struct kept_place {
    struct slots_key key;
    usec_t until_usec; /* 0 = none */
};

struct slots {
    struct slots_config config; /* types owned */
    struct slots_type *types;   /* owned; one more at the end, for commands */
    uint32_t *running_types;    /* owned; how many of each type run */
    struct table by_key, by_id; /* of struct entry; by_id owns */
    struct table by_user;       /* of struct user, owned */
    struct list users;
    struct list active; /* in a slot, by the begin of their turn */
    struct list ended;
    struct list telling;
    struct heap timers;
    usec_t now;
    uint64_t next_id;
    uint32_t used, running, queued, paused, unacked;
    usec_t slice_end_usec;     /* when the first turn ends that somebody waits for */
    uint32_t machine_permille; /* how busy the machine itself is */
    bool is_draining;
    bool is_stopping;
    bool is_unable;         /* nothing can run here */
    struct slots_key *gone; /* owned; ring of SLOTS_GONE_MAX, NULL before the first attempt */
    size_t gone_next;
    struct table back_by_key; /* of struct back, owned: what was handed back */
    struct list backs;
    struct kept_place *places; /* owned; ring of SLOTS_PLACES_MAX, NULL before the first question */
    size_t places_next;
    struct entry *dropped; /* freed with the next call */
};

/* slots_queue.c */
/* At the end of its user's queue; what is paused at the beginning. Return: 0, -ENOMEM. */
int queue_add(struct slots *slots, struct entry *entry);
void queue_remove(struct slots *slots, struct entry *entry);

bool slots_is_at_max(const struct slots *slots, const struct slots_type *type);

/* The one whose turn it is and for which there is room, or NULL. */
struct entry *queue_next(struct slots *slots);

/* Whether a user other than that of @entry waits for a turn. */
bool queue_has_other(const struct slots *slots, const struct entry *entry);
void queue_done(struct slots *slots);

/* slots_run.c */
int entry_new(struct slots *slots, const struct slots_key *key, const char *origin_name,
              const struct task_spec *spec, struct entry **ret);
void entry_free(struct slots *slots, struct entry *entry);
void entry_tell(struct slots *slots, struct entry *entry, enum slots_action_type type);
/* Also what was paused. */
void entry_start(struct slots *slots, struct entry *entry);
int entry_pause(struct slots *slots, struct entry *entry); /* 0, -ENOMEM */
void entry_kill(struct slots *slots, struct entry *entry, enum kill_reason reason, int signal,
                usec_t grace_usec);
void entry_end(struct slots *slots, struct entry *entry, const struct task_end *end);
void entry_hand_back(struct slots *slots, struct entry *entry, enum slots_handback reason);
void entry_drop(struct slots *slots, struct entry *entry);
void entry_check(struct slots *slots, struct entry *entry);
void entry_arm(struct slots *slots, struct entry *entry);
const struct slots_type *slots_find_type(const struct slots *slots, const struct task_spec *spec);

/* Its type as configured here, or NULL. */
const struct slots_type *slots_find_type_name(const struct slots *slots, const char *name,
                                              enum task_kind kind);

/* Whether such an attempt of @origin would be taken now: 0, -ESHUTDOWN, -ENOENT, -EBUSY. */
int slots_check_room(const struct slots *slots, const struct node_id *origin, const char *type,
                     enum task_kind kind);

/* slots.c */
void slots_advance(struct slots *slots, usec_t now);
/* Whoever's turn it is begins. */
void slots_start_next(struct slots *slots);

/* slots_lease.c */
/* @lease_usec: 0 = none */
void entry_set_lease(struct slots *slots, struct entry *entry, usec_t lease_usec);
/* Asks now, where there is a lease that is not over. */
void entry_ask_renewal(struct slots *slots, struct entry *entry);

/* slots_back.c */
/* That @key went back to its origin, for slots_was_handed_back(). */
void slots_remember_back(struct slots *slots, const struct slots_key *key,
                         enum slots_handback reason);
void slots_backs_done(struct slots *slots);

/* Makes the ring of those that are gone; most nodes never need it. Return: 0, -ENOMEM. */
int slots_make_gone(struct slots *slots);

/* After slots_make_gone(). */
void slots_remember_gone(struct slots *slots, const struct slots_key *key);
