/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A virtual laboratory: N membership cores on one virtual clock and one virtual network. The cores
 * are the very objects that the daemon links; everything around them is made here, from one seed,
 * so that a run repeats itself to the byte. Nothing sleeps and nothing reads a clock.
 *
 * sim.[ch] is the clock and the heap of events, node.[ch] the life of a node; link.[ch] decides
 * what becomes of a datagram; wire.[ch] is what stands between a core and the network, plain or
 * sealed, and keys.[ch] what changes its keys; check.[ch] watches the invariants and trace.[ch]
 * tells what happened. Scenarios (script.[ch]) and storms (storm.[ch]) drive it. The world owns its
 * nodes and its datagrams, a node owns its core.
 */

#include <stdio.h>
#include "base/heap.h"
#include "base/list.h"
#include "base/rng.h"
#include "swim/swim.h"

#define SIM_NODES_MAX  8192
#define SIM_HEARD_MAX  16  /* texts that a node remembers, for scenarios */
#define SIM_INBOX_MAX  512 /* datagrams that wait for a stopped process, as in a socket buffer */
#define SIM_META_MAX   64
#define SIM_KEPT_MAX   32
#define SIM_OPENED_MAX 1024 /* datagrams that a node may not open again, of those that it knows */

enum sim_fault {
    FAULT_LOSS,
    FAULT_DUPLICATION,
    FAULT_REORDERING,
    FAULT_DELAY,
    FAULT_CUT,
    FAULT_PARTITION,
    FAULT_PAUSE,
    FAULT_KILL,
    FAULT_RESTART,
    FAULT_SUSPEND,
    FAULT_CLOCK_STEP,
    FAULT_SMALL_MTU,
    FAULT_BIT_FLIP,
    FAULT_REPLAY,
    FAULT_LEAVE,
    FAULT_MOVE,
    FAULT_TWO_CLUSTERS,
    FAULT_KEY_CHANGE,
    FAULT_KEY_CHANGE_CUT, /* the same in a partition */
    FAULT_DISK_FULL,
    FAULT_FSYNC_ERROR,
    FAULT_TORN_WRITE,
    _FAULT_MAX,
};

const char *sim_fault_name(enum sim_fault fault);

enum sim_state {
    NODE_OFF,
    NODE_RUNNING,
    NODE_PAUSED,    /* SIGSTOP: its clock runs on and its socket buffer fills */
    NODE_SUSPENDED, /* the machine sleeps: its clock stands and its datagrams are lost */
};

enum sim_event_type {
    SIM_TIMER,
    SIM_DATAGRAM,
};

struct sim_event {
    struct heap_entry entry;
    enum sim_event_type type;
};

/* One datagram under way, or waiting in the inbox of a stopped process. */
struct datagram {
    struct sim_event event;
    struct list link; /* of an inbox, or of the datagrams kept for a replay */
    struct address from;
    struct node_id from_id; /* what the seal would attest; unused where the wire is sealed */
    struct node_id to_id;   /* the same for the destination; null = whoever is there */
    uint64_t serial;        /* of the sending; copies and repetitions keep it */
    size_t target;          /* index of the node */
    bool is_flipped;        /* damaged on its way: must never open */
    size_t size;
    uint8_t data[];
};

struct sim;
struct seal;
struct keyring;
struct link;
struct check;

struct sim_node {
    struct sim *sim; /* borrowed */
    struct sim_event timer;
    size_t index;
    unsigned cluster;
    char name[NODE_NAME_MAX + 1];  /* here */
    char label[NODE_NAME_MAX + 1]; /* what the core calls itself; two may have the same */
    struct node_id id;
    struct address address; /* where the network delivers to it */
    bool is_wildcard;       /* the core is told 0.0.0.0 and has to learn it */
    bool is_seed;
    bool is_hidden;             /* its events are hashed and not printed */
    uint64_t generation;        /* of its latest life */
    uint64_t stored_generation; /* on its disk */
    enum sim_state state;
    bool is_leaving;
    bool has_left;
    bool has_joined;
    struct swim *swim; /* owned; NULL while off */
    struct seal *seal; /* owned; NULL while off, or where the wire is plain */

    struct keyring *keyring; /* owned; on its disk; NULL before its first start */
    uint64_t keys_base_sec;  /* wall clock - its own clock, at its start */
    usec_t off_usec;         /* since when it is off, on the world's clock */
    usec_t keys_usec;        /* when it looks after its keys next */
    uint32_t change_id;      /* of the key that it brings to all; 0 = none */

    int64_t skew_ppm;    /* its clock's error */
    usec_t slept_usec;   /* how long its monotonic clock stood in all */
    usec_t stopped_usec; /* since when it is paused or suspended */
    int64_t wall_step_usec;
    usec_t started_usec;
    usec_t disturbed_usec; /* last time that a fault touched it; 0 = never */
    usec_t rushed_usec;    /* since when its core is in a rush; 0 = it is not */
    bool is_starved;       /* of CPU: not healthy */
    uint32_t buried_count; /* times that somebody connected to it held it for dead while it ran */
    uint32_t lost_count;   /* the same, of those who were cut off from it */

    uint8_t meta[SIM_META_MAX];
    size_t meta_size;
    uint64_t
        *opened; /* owned; serials, each at its place modulo the size; NULL where wires are plain */
    struct list inbox;
    size_t inbox_count;
    uint64_t steps;
    usec_t armed_usec;    /* what its timer is set to, on its own clock */
    usec_t inputs_second; /* in which inputs_count counts */
    uint32_t inputs_count;

    char *heard[SIM_HEARD_MAX]; /* owned */
    size_t heard_count;
    bool *told_dead; /* owned; by index of the dead */
    uint32_t conflicts_count;
};

struct sim_options {
    struct swim_config config;
    uint64_t seed;
    size_t nodes_max;
    bool is_sealed;
    bool is_mistaken; /* verdicts on healthy nodes are counted, and no failure */
    FILE *trace;      /* borrowed; NULL = silent */
};

struct sim {
    struct sim_options options;
    struct heap events;
    struct rng rng; /* of the world: skews, order after a pause; the link has its own */
    usec_t now;
    struct sim_node **nodes; /* owned */
    size_t nodes_count;
    struct link *link;                   /* owned */
    struct check *check;                 /* owned */
    struct datagram *kept[SIM_KEPT_MAX]; /* owned; old datagrams for a replay */
    uint64_t faults[_FAULT_MAX];
    uint64_t steps;
    uint64_t datagrams;
    uint64_t key_changes;          /* begun */
    usec_t keys_changed_usec;      /* last time that a ring changed */
    uint64_t false_deaths;         /* verdicts on healthy nodes */
    uint64_t false_deaths_healthy; /* of those, at healthy nodes */
    uint64_t accusations;          /* suspicions that a node raised by itself */
    uint64_t accusations_alive;    /* those of nodes that ran */
    usec_t input_cost_usec;        /* of the machine that all nodes share; 0 = it is fast */
    usec_t start_cost_usec;        /* of the start of a node, likewise */
    usec_t node_usec;              /* sum over nodes of the time that they ran */
    uint64_t hash;                 /* of all events in their order: equal hashes, equal runs */
    char *failure;                 /* owned; the first broken invariant, or NULL */
    usec_t disturbed_usec;         /* last time that a fault touched the network; 0 = never */
};

/* Return: 0, or -ENOMEM. */
int sim_new(const struct sim_options *options, struct sim **ret);
struct sim *sim_free(struct sim *sim);
DEFINE_CLEANUP(struct sim *, sim_free)

/* Adds a node that is off. @name NULL = "n1", "n2", ... Return: the node, owned by @sim; NULL: no
 * memory. */
struct sim_node *sim_add(struct sim *sim, const char *name, unsigned cluster);

/*
 * Starts or restarts a node: same id, higher generation. It knows the seeds of its cluster and,
 * with clusters mixed up on purpose, those of the others too.
 */
void sim_start(struct sim_node *node);
void sim_kill(struct sim_node *node);

/*
 * A node that is off is started, and its disk fails as it stores the new generation: it is full, or
 * says that nothing is safe, or the power goes. As with the daemon's database the write is there
 * as a whole or not at all, and a node that has not stored its generation does not begin.
 */
void sim_start_in_vain(struct sim_node *node, enum sim_fault fault);
void sim_leave(struct sim_node *node);
void sim_pause(struct sim_node *node);
void sim_resume(struct sim_node *node); /* from a pause or a suspension */
void sim_suspend(struct sim_node *node);
void sim_step_wall(struct sim_node *node, int64_t step_usec);
void sim_move(struct sim_node *node);     /* kill, then start at another address */
void sim_renumber(struct sim_node *node); /* another address while it runs, as by a new lease */

/* As p2pctl forget. Return: as swim_forget. */
int sim_forget(struct sim_node *node, const struct sim_node *subject);
void sim_change_meta(struct sim_node *node);

/* Begins to change the key of its cluster, as `p2pctl keys rotate`; nothing where the wire is
 * plain. */
void sim_change_key(struct sim_node *node);

/* @target NULL = all. Return: as swim_send_message. */
int sim_send(struct sim_node *node, const struct sim_node *target, const char *text);
void sim_join(struct sim_node *node, const struct address *address);

/* Runs everything that is due up to @until, or up to the first broken invariant. */
void sim_run(struct sim *sim, usec_t until);

/* The node's own monotonic clock, and its wall clock. */
usec_t sim_local_time(const struct sim_node *node);
uint64_t sim_wall_time(const struct sim_node *node);

/* Whether the process is up and answers. */
static inline bool sim_is_running(const struct sim_node *node)
{
    return node->state == NODE_RUNNING;
}

struct sim_node *sim_find(const struct sim *sim, const char *name);
struct sim_node *sim_by_address(const struct sim *sim, const struct address *address);
struct sim_node *sim_by_id(const struct sim *sim, const struct node_id *id);

/* Takes note that a fault hit the network, or one node. */
void sim_count_fault(struct sim *sim, enum sim_fault fault);
void sim_disturb(struct sim_node *node, enum sim_fault fault);

/* Keeps the first failure: "[   11.200] n1  order: ...". */
void sim_fail(struct sim *sim, const struct sim_node *node, const char *format, ...) _printf_(3, 4);

/* Hands a datagram of @node to the network; used by the wire. */
void sim_post(struct sim_node *node, const struct address *target, const struct node_id *target_id,
              const void *data, size_t size);
