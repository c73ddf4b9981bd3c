/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The node: every part of the daemon, built in floor order, and what ties them together. Parts do
 * not know each other; what one says (a member died, a connection is lost) is handed on here. The
 * control methods get the node and use its parts.
 *
 * node.c has its life, node_parts.c makes each part from the configuration, node_events.c hears
 * what the membership says.
 */

#include <systemd/sd-event.h>
#include "base/worker.h"
#include "allow.h"
#include "clocks.h"
#include "cluster.h"
#include "config/config.h"
#include "conflict.h"
#include "control/remote.h"
#include "varlink/server.h"
#include "drain.h"
#include "history.h"
#include "monitor.h"
#include "net/bind.h"
#include "net/listener.h"
#include "problems.h"
#include "record.h"
#include "reload.h"
#include "seal/keyring.h"
#include "seal/rotation.h"
#include "seal/wrap.h"
#include "store/files.h"
#include "store/memory.h"
#include "store/output.h"
#include "store/state.h"
#include "tasks/tasks.h"
#include "textfile.h"
#include "transfer/peers.h"
#include "transfer/transfers.h"

/* Of node_run: the node is to be made anew, with a new id. */
#define NODE_AGAIN (-1)

/* How far a stop is: work first, then the good-bye. Each step has an end of patience. */
enum node_stop_step {
    NODE_STOP_NONE,
    NODE_STOP_WORK,   /* what runs may end by itself, for stop_grace */
    NODE_STOP_KILL,   /* it did not */
    NODE_STOP_REPORT, /* the last results are on their way */
    NODE_STOP_LEAVE,  /* we say good-bye to the cluster */
    NODE_STOP_SAVE,   /* what is on its way to the disk is answered */
    NODE_STOP_END,
};

/* The stored file that was last said to be damaged. */
struct damage_told {
    usec_t usec; /* 0 = none */
    char name[FILES_NAME_MAX + 1];
    char place[NODE_NAME_MAX + 1]; /* the node that has it; "" = this one */
};

struct node {
    const char *instance;    /* borrowed from main */
    const char *config_path; /* borrowed from main */
    struct config *config;   /* owned, as all below that is no plain value */
    sd_event *event;
    char *state_dir;
    char *socket_path;
    char *socket_link;       /* at the standard place to another one; or NULL */
    struct keyring *keyring; /* NULL where nothing is encrypted */
    bool keyring_differs;    /* the configured file says something else than what is in use */
    struct worker *worker;
    sd_event_source *worker_source;
    struct state *state;
    struct state_start start; /* id, generation and the next numbers */
    struct output_store *outputs;
    struct bundles *bundles;
    struct files *files;
    struct memory *memory;
    struct history *history;
    struct monitor *monitor;
    struct allow allow;
    struct bind_sockets sockets; /* until their owners have them */
    struct udp *udp;
    struct cluster *cluster;
    struct tls *tls;
    struct gate *gate;
    struct listener *listener;
    struct peers *peers;
    struct transfers *transfers;
    struct tasks *tasks;
    struct remote *remote;
    struct server *server;
    struct textfile *textfile;
    sd_event_source *tick;       /* loads of others, members to remember, values to save */
    sd_event_source *stop_timer; /* the end of patience while stopping */
    struct list watches;
    struct list remembered; /* members of the last life of which no more is known since */
    struct damage_told damage_told;
    struct list moves;             /* files on their way, begun by clients: control/data/moving.h */
    struct key_change *key_change; /* on its way to the disk, owned by the worker; or NULL */
    size_t keys_brought;           /* keys on their way to members that lack them */
    bool keys_are_settled;         /* nothing to do about keys before a member changes */
    uint64_t started_wall_usec;
    usec_t started_usec;             /* the same moment on the monotonic clock */
    bool members_changed;            /* since they were last remembered */
    uint16_t rules;                  /* as in the record */
    bool status_changed;             /* since systemd was told */
    uint64_t values_saved_wall_usec; /* when memory was saved last, as far as it is to be */
    uint64_t loads_version;          /* of the loads that tasks/ knows */
    unsigned restless_ticks; /* so many in a row saw members change that were not remembered yet */
    usec_t rest_usec;        /* when to look again whether the node has come to rest */
    long faults;             /* pages touched anew until the last look, */
    long rest_faults;        /* and until the last rest */
    bool has_joined;         /* enough seeds have answered since start */
    enum node_stop_step stop_step;
    bool has_left;          /* said good-bye: by `p2pctl leave`, or to stop */
    int fatal;              /* why the process has to end, or 0 */
    struct renewal renewal; /* how it came to a new id */
    struct conflict conflict;
    struct drain drain;
    struct reloads reloads;
    struct problems problems; /* that the log has been told of */
    struct clocks clocks;     /* of other members */
    struct histogram rtt;     /* of liveness requests; on the scale histogram_network */
};

/**
 * node_new() - builds every part and binds every socket; ready to run when this returns
 * @instance: of the unit, "lab"
 * @path:     of the configuration's file, for reloads
 * @config:   taken over on success
 * @renewal:  how this process lost its id, after NODE_AGAIN; zeroed = it did not
 *
 * Says itself what went wrong. Return: 0, or the exit code for main (1, or 78 for the
 * configuration).
 */
int node_new(const char *instance, const char *path, struct config *config,
             const struct renewal *renewal, struct node **ret);
struct node *node_free(struct node *node);
DEFINE_CLEANUP(struct node *, node_free)

/* Runs until it was told to stop and has said good-bye. Return: the exit code; NODE_AGAIN, with
 * @ret. */
int node_run(struct node *node, struct renewal *ret);

/* Begins to stop, as SIGTERM does; nothing where that was begun before. */
void node_stop(struct node *node, const char *reason);

/* The time of this turn of the loop, and the wall clock. */
usec_t node_now(const struct node *node);
uint64_t node_wall(const struct node *node);

/* The wall-clock time of a point on the loop's clock. */
uint64_t node_wall_of(const struct node *node, usec_t usec);

/* The member that @name names, or this node for NULL; NULL where there is none. */
const struct swim_member *node_find_member(const struct node *node, const char *name);

/* What @member says about itself. Return: 0, -EBADMSG where it says nothing that can be read. */
int node_get_record(const struct swim_member *member, struct record *ret);

/* What gossip says about the others' load, as far as it changed: before work is placed. */
void node_refresh_loads(struct node *node);

/* Puts on the disk what changed in memory; @is_last: nothing changes any more. */
void node_save_values(struct node *node, bool is_last);
/* After the last of it: says what could not be saved. */
void node_tell_lost_values(const struct node *node);

/* Who watches hears every event of the membership; its owner embeds it and removes it. */
struct node_watch {
    struct list link;
    void (*on_event)(const struct swim_event *event, void *data);
    void *data;
};
void node_watch(struct node *node, struct node_watch *watch);

#define NODE_KEYS_GRACE_USEC     (10 * USEC_PER_MIN) /* of old keys, where nobody says another */
#define NODE_KEYS_GRACE_MAX_USEC (30 * USEC_PER_DAY)
#define NODE_KEYS_SETTLE_USEC    USEC_PER_MIN /* after a start: the clock may not be set yet */

/* Seconds since 1970 for the times of keys: of the wall clock at start, then of a clock that nobody
 * sets. A wall clock that jumps would end the grace of old keys at some nodes and not at others. */
uint64_t node_keys_now(const struct node *node);

/* node_keys.c: what the other live members say of their keys. Borrows from the node. */
struct node_keys {
    struct rotation_view view;
    struct rotation_report *reports;    /* owned, by report: */
    uint32_t (*keys)[RECORD_KEYS_MAX];  /* owned */
    const struct swim_member **members; /* owned */
};

/* Return: 0, -ENOMEM. node_keys_done is to be called in either case, with @ret zeroed before. */
int node_keys_look(const struct node *node, struct node_keys *ret);
void node_keys_done(struct node_keys *keys);

/*
 * The ring @next (copied) is written to the disk and then used everywhere; @action and @key_id are
 * for the journal. @done runs when that is over, with 0 or why not. Return: 0; -EBUSY where another
 * change is on its way; -ENOMEM.
 */
int node_keys_change(struct node *node, const struct keyring *next, const char *action,
                     uint32_t key_id, void (*done)(int r, void *data), void *data);

/* @key for @member, as the body of an InstallKey. Return: as wrap_key; -ENOKEY where it has no key
 * of ours. */
int node_keys_wrap(const struct node *node, const struct swim_member *member,
                   const struct keyring_key *key, uint8_t ret[static WRAP_SIZE]);

/* What is to be done about keys without being asked; once a second. */
void node_keys_tick(struct node *node);

/* Before the parts go: a change that is on its way ends on the disk. */
void node_keys_close(struct node *node);

/*
 * Whether the @i-th of those who wrote with a foreign key, and then of all members, missed a change
 * of keys: a stranger is worth a word where it is a member that is not alive here, or where this
 * node is alone. Return: 1 with all about it in @ret; 0; -ENOENT behind the last.
 */
#define NODE_KEYS_TEXT_MAX 512
int node_keys_describe(const struct node *node, size_t i, const char **ret_name,
                       uint64_t *ret_since_wall_usec, char ret[static NODE_KEYS_TEXT_MAX]);

/* tls_config.choose_key */
uint32_t node_keys_choose(const struct node_id *peer, void *data);

/* Tells the others what this node is. Return: 0, -EMSGSIZE. */
int node_tell_record(struct node *node);

/* node_parts.c: one floor each, to be called in this order. They say themselves what went wrong.
 * Return: 0 or a negative errno. */
int node_make_base(struct node *node);
int node_make_stores(struct node *node);
int node_make_cluster(struct node *node);
int node_make_transfer(struct node *node);
int node_make_tasks(struct node *node);
int node_make_control(struct node *node);

/* The configuration says something else now: every part hears it, also after one that could not
 * follow. Says itself what went wrong, and adds it to @ret_errors. Return: 0, or the first negative
 * errno. */
int node_parts_reload(struct node *node, struct config_strings *ret_errors);

/* node_events.c: from cluster.h and peers.h; @data is the node. */
void node_on_swim_event(const struct swim_event *event, void *data);
extern const struct peers_handler node_peers_handler;
/* Values for tasks_setup. */
struct address node_find_address(const struct node_id *id, void *data);
void node_on_load(const struct swim_load *load, void *data);
