/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The membership core: who is there, who is not, and what they say. Pure: bytes and time in;
 * packets, events and one deadline out. It does no system call, reads no clock, logs nothing, and
 * is random only from its seed, so that the daemon and the simulator link the same objects.
 *
 * Sources: SWIM (Das, Gupta, Motivala, DSN 2002) and Lifeguard (arXiv:1707.00788v2); deviations are
 * collected in daemon/PROTOCOL.md. Packets here are plain; seal/ protects them on their way out.
 *
 * After every input call (receive, tick, or a command) the owner drains swim_next_packet() and
 * swim_next_event() until they return false, then arms one timer for swim_deadline(). What those
 * two return is borrowed until the next call of any function of this header.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/address.h"
#include "base/id.h"
#include "base/macro.h"
#include "base/text.h"
#include "base/usec.h"

#define SWIM_PACKET_MIN   474  /* what a link of 576 bytes takes, less IPv4, UDP and the seal */
#define SWIM_PACKET_MAX   1400 /* bytes of plain packet; the seal adds its own */
#define SWIM_META_MAX     512  /* bytes of a member's own record */
#define SWIM_MESSAGE_MAX  1024 /* bytes of a message's text */
#define SWIM_SEEDS_MAX    64
#define SWIM_HELPERS_MAX  16
#define SWIM_ACCUSERS_MAX 4 /* the first accuser, and up to three who confirm */
#define SWIM_MEMBERS_MAX  8192

enum _packed_ swim_state {
    SWIM_ALIVE,
    SWIM_SUSPECT,
    SWIM_DEAD,
    SWIM_LEFT,
    _SWIM_STATE_MAX,
};

/* Ordered first by generation (one per start of the node), then by counter (one per refutation). */
struct swim_incarnation {
    uint64_t generation;
    uint64_t counter;
};

/* What a member says about its work, on every acknowledgement. */
struct swim_load {
    uint16_t load_permille; /* 1000 = every slot busy, or the machine itself */
    uint16_t running;
    uint16_t queued;
    uint16_t slots;
    uint8_t cpu_percent;    /* load average of the machine per core; 255 = that or more */
    uint8_t memory_percent; /* of the machine's memory that is in use, 0..100 */
    bool draining;
};

/* Durations in usec, all above 0 unless said otherwise. */
struct swim_config {
    usec_t probe_interval_usec;
    usec_t probe_timeout_usec; /* at most half of probe_interval_usec */
    uint32_t indirect_probes;  /* members asked to probe for us, 0..SWIM_HELPERS_MAX */
    uint32_t max_missed;       /* consecutive requests before a probe failed, 1..10 */
    uint32_t suspicion_mult;   /* suspicion time = mult * log10(n + 1) * probe_interval */
    uint32_t suspicion_max;    /* up to so many times longer while nobody confirms, 1..20 */
    uint32_t health_max;  /* of local health, 0..SWIM_HEALTH_MAX; 0 = plain SWIM: nor is anybody
                             excused who did not run */
    uint32_t seed_quorum; /* seeds that must answer a join; 0 = floor(n/2)+1, capped at n */
    uint32_t unstable_flaps;
    usec_t unstable_window_usec;
    usec_t dead_retention_usec;
    usec_t rejoin_interval_usec;
    usec_t gossip_interval_usec;
    uint32_t gossip_fanout;
    usec_t sync_interval_usec;
    usec_t message_interval_usec; /* heartbeat gossip; 0 = off */
    uint32_t message_count;       /* of those after start; 0 = without end */
    usec_t load_interval_usec;
    uint32_t retransmit_mult;
    size_t packet_size_max; /* SWIM_PACKET_MIN..SWIM_PACKET_MAX */
    bool is_plain; /* for comparisons: nothing guards against this node's own slowness, neither
                      local health nor excuses nor doubts; the daemon never sets it */
};

/* The values of etc/p2pnode.conf. */
void swim_config_default(struct swim_config *ret);

struct swim_self {
    struct node_id id;
    uint64_t generation; /* above every generation this id ever used */
    char name[NODE_NAME_MAX + 1];
    bool is_seed;
    struct address address; /* where others reach us; a wildcard is learned from those who answer */
};

/*
 * One member as this node sees it. Borrowed from the core. There may be thousands, so every byte
 * counts: what most of them do not have is asked for with a function.
 */
struct swim_member {
    struct node_id id;
    struct swim_incarnation incarnation;
    const char *name;       /* never NULL; at most NODE_NAME_MAX bytes */
    usec_t first_seen_usec; /* all times are those of this node's monotonic clock */
    usec_t last_seen_usec;  /* last authenticated contact of any kind; 0 = there was none */
    usec_t changed_usec;    /* since when it is in this state */
    struct address address;
    uint32_t rtt_usec; /* smoothed; 0 = not measured */
    struct swim_load load;
    uint16_t meta_size : 10; /* 0..SWIM_META_MAX */
    enum swim_state state : 3;
    bool is_self : 1;
    bool is_seed : 1;
    bool is_unstable : 1;
    uint16_t loss_permille; /* of our liveness requests to it, of the last 16 or so */
    uint16_t turn;          /* the core's own: 1-based place in the probing order; 0 = none */
    uint16_t rumor;         /* and where the news of it wait; 0 = there are none */
};

/* Its opaque record of floor 4, meta_size bytes. */
const uint8_t *swim_get_meta(const struct swim_member *member);

/* Deaths that it refuted within unstable_window. */
uint32_t swim_get_flaps(const struct swim_member *member);

/* The accuser of a suspect or dead member; the null id otherwise. */
const struct node_id *swim_get_reporter(const struct swim_member *member);

enum swim_event_type {
    SWIM_EVENT_JOIN_REQUEST, /* a node asked to join through us: address, name */
    SWIM_EVENT_PEER_LIST, /* a seed answered our join: member = the seed, count = members it sent */
    SWIM_EVENT_JOINED,    /* quorum of seeds has answered: count = of them */
    SWIM_EVENT_SEED_UNREACHABLE, /* address gave no answer; told once until it answers again */
    SWIM_EVENT_MEMBER_JOINED,
    SWIM_EVENT_MEMBER_SUSPECT, /* by = accuser; where that is us: text = who were asked to try, too
                                */
    SWIM_EVENT_MEMBER_ALIVE,   /* refuted a suspicion, or is back from the dead */
    SWIM_EVENT_MEMBER_DEAD,    /* by = accuser; text = the seeds that we report it to, if any */
    SWIM_EVENT_MEMBER_LEFT,
    SWIM_EVENT_MEMBER_REAPED,  /* retention is over; member is gone after this event */
    SWIM_EVENT_MEMBER_UPDATED, /* meta, name or address changed */
    SWIM_EVENT_DEAD_REPORT,   /* we are a seed and were told: member = the dead, by = reporter, wall
                                 time, text = who were asked to try, too */
    SWIM_EVENT_REPORTED,      /* our report of a death is over: text = the seeds that acknowledged,
                                 or (is_fatal) those that did not */
    SWIM_EVENT_NAME_CONFLICT, /* member carries a name that another live member carries */
    SWIM_EVENT_ID_CONFLICT,   /* our id is in use by another; is_fatal says that we lost */
    SWIM_EVENT_GOSSIP, /* a heartbeat message TIMESTAMP:IP:MSG#: origin, address, wall time, number;
                          also our own */
    SWIM_EVENT_MESSAGE,          /* a text for this node: origin, text, is_broadcast, number */
    SWIM_EVENT_MESSAGE_ACKED,    /* our message `token` reached member */
    SWIM_EVENT_LIVENESS_REQUEST, /* debug: sent (is_outgoing) or received */
    SWIM_EVENT_LIVENESS_REPLY,
    SWIM_EVENT_PING,   /* answer to swim_ping: token, rtt_usec; USEC_INFINITY = none */
    SWIM_EVENT_FREEZE, /* so many members (count) are suspect at once that verdicts wait; 0 = over
                        */
    SWIM_EVENT_LEFT,   /* our own leave has been acknowledged by enough members, or timed out */
};

struct swim_event {
    enum swim_event_type type;
    const struct swim_member *member; /* the subject, if it is a known member */
    const struct swim_member *by;     /* accuser or reporter, if known */
    struct address address;           /* of the subject, or of the origin of a gossip */
    struct node_id origin;            /* of a message */
    char name[NODE_NAME_MAX + 1];     /* of the subject or origin */
    uint64_t wall_usec;               /* the sender's clock, where the wire carries one */
    uint64_t number;                  /* Msg# of a gossip or message */
    uint64_t token;
    usec_t rtt_usec;
    uint32_t count;
    bool is_broadcast;
    bool is_outgoing;
    bool is_fatal;
    bool has_moved; /* of MEMBER_JOINED, ALIVE, UPDATED: it had another address before */
    /*
     * At most SWIM_MESSAGE_MAX bytes; NULL where there is none. Lists of members are names:
     * "lab-01, lab-03", the end of a long one is "...".
     */
    const char *text;
};

struct swim_packet {
    struct address to;
    struct node_id to_id; /* null while the id behind the address is not known: join */
    const uint8_t *data;
    size_t size;
};

struct swim;

/**
 * swim_new() - a core that knows only itself
 * @seed:      of its randomness; the same inputs with the same seed give the same outputs
 * @now:       monotonic; never goes back in later calls (an earlier time counts as the latest one)
 * @wall_usec: wall clock at @now, for time stamps on the wire
 *
 * Return: 0; -EINVAL where @config or @self is out of the ranges above; -ENOMEM.
 */
int swim_new(const struct swim_config *config, const struct swim_self *self, uint64_t seed,
             usec_t now, uint64_t wall_usec, struct swim **ret);
struct swim *swim_free(struct swim *swim);
DEFINE_CLEANUP(struct swim *, swim_free)

/**
 * swim_receive() - one plain packet, authenticated as coming from member @from_id at @from
 *
 * Return: 0; -EBADMSG where it is malformed (nothing of it has an effect past the damage; counted).
 */
int swim_receive(struct swim *swim, const struct address *from, const struct node_id *from_id,
                 const void *data, size_t size, usec_t now);

/*
 * A configuration was reloaded: intervals under way are not waited for longer than the new ones.
 * Return: 0; -EINVAL where it is out of the ranges above; -EMSGSIZE where our own record does not
 * fit into packet_size_max. Then all stays as it was.
 */
int swim_set_config(struct swim *swim, const struct swim_config *config, usec_t now);

/* Does what is due. Early or late calls are harmless. */
void swim_tick(struct swim *swim, usec_t now);

bool swim_next_packet(struct swim *swim, struct swim_packet *ret);
bool swim_next_event(struct swim *swim, struct swim_event *ret);

/* When swim_tick wants to be called next; USEC_INFINITY = never. */
usec_t swim_deadline(const struct swim *swim);

/* One address of a configured seed. */
struct swim_seed {
    struct address address;
    uint32_t entry; /* 0..entries - 1: which seed; a name may have several addresses */
};

/*
 * Replaces the seeds' addresses (at most SWIM_SEEDS_MAX; own address is skipped) and contacts the
 * new ones. @entries: so many seeds are configured, those without an address too (at most
 * SWIM_SEEDS_MAX).
 */
void swim_set_seeds(struct swim *swim, const struct swim_seed *seeds, size_t count,
                    uint32_t entries, usec_t now);

/* Contacts one more address once: `p2pctl join ADDR`; undoes a leave. Return: 0, -ENOSPC. */
int swim_join(struct swim *swim, const struct address *address, usec_t now);

/*
 * Spread as an update of the own record.
 * Return: 0; -EMSGSIZE above SWIM_META_MAX or what a small packet_size_max can carry; -ENOMEM.
 */
int swim_set_meta(struct swim *swim, const void *meta, size_t size, usec_t now);

/*
 * The address that this node was told by others is not its own any more: it becomes unknown, the
 * others see it where the next packet comes from, and some of them are asked where that is.
 * Return: whether it was known by others' word, and so is unknown now.
 */
bool swim_lose_address(struct swim *swim, usec_t now);

/*
 * No packet is larger from now on: a path takes less than was thought.
 * Return: 0; -ERANGE below SWIM_PACKET_MIN or above SWIM_PACKET_MAX; -EMSGSIZE where our own record
 * does not fit. Then all stays as it was.
 */
int swim_set_packet_size(struct swim *swim, size_t size_max);
void swim_set_load(struct swim *swim, const struct swim_load *load, usec_t now);

/* The wall clock stepped, or the machine slept: nobody is suspected for one interval. */
void swim_set_wall(struct swim *swim, uint64_t wall_usec, usec_t now, bool has_slept);

/**
 * swim_send_message() - a text to one member (@to) or to all (@to NULL)
 * @ret_token: names it in SWIM_EVENT_MESSAGE_ACKED, one event per member that acknowledged
 *
 * Return: 0; -EMSGSIZE; -ENOENT for an unknown @to; -ENOBUFS where too many are under way.
 */
int swim_send_message(struct swim *swim, const struct node_id *to, const char *text, usec_t now,
                      uint64_t *ret_token);

/* Bytes that a text may have: SWIM_MESSAGE_MAX, or less where packets are small. */
size_t swim_message_size_max(const struct swim *swim);

/* One liveness request outside of the rounds. Return: 0, -ENOENT, -ENOBUFS. */
int swim_ping(struct swim *swim, const struct node_id *id, usec_t now, uint64_t *ret_token);

/* Drops a dead or left member at once. Return: 0, -ENOENT, -ENOMEM, -EBUSY while it is alive or
 * suspect. */
int swim_forget(struct swim *swim, const struct node_id *id, usec_t now);

/* Tells all that we go; SWIM_EVENT_LEFT follows within 3 s. */
void swim_leave(struct swim *swim, usec_t now);

/* Members in a stable order, self included, dead and left ones too. */
size_t swim_members_count(const struct swim *swim);
const struct swim_member *swim_member_at(const struct swim *swim, size_t i);
const struct swim_member *swim_find(const struct swim *swim, const struct node_id *id);
const struct swim_member *swim_find_name(const struct swim *swim, const char *name);
const struct swim_member *swim_get_self(const struct swim *swim);

/* Another number after each change of a member's load. */
uint64_t swim_loads_version(const struct swim *swim);

/* Whether members come in such numbers that whatever can wait should: see rush.h. */
bool swim_is_rushed(const struct swim *swim);

/* Who accuses a suspect: each of them had no answer, neither directly nor through others. */
struct swim_suspicion {
    struct node_id accusers[SWIM_ACCUSERS_MAX];
    size_t accusers_count;
    struct node_id through[SWIM_HELPERS_MAX]; /* if this node is among them: through whom in vain */
    size_t through_count;
};

/* Return: whether member @id is suspect. */
bool swim_get_suspicion(const struct swim *swim, const struct node_id *id,
                        struct swim_suspicion *ret);

struct swim_statistics {
    uint32_t seeds_configured, seeds_reachable, seeds_needed;
    uint64_t packets_received, packets_malformed, gossip_duplicates;
    uint64_t probes, probes_failed, suspicions, suspicions_refuted, deaths;
    uint64_t flaps;        /* deaths of others that they refuted */
    uint32_t health;       /* Lifeguard's local health multiplier, 0 = healthy */
    uint32_t suspects;     /* members that are suspect now */
    bool is_frozen;        /* so many that verdicts wait: this node may be the one cut off */
    usec_t last_sync_usec; /* 0 = never, as the two below */
    usec_t last_probe_usec;
    usec_t last_gossip_usec;
    struct node_id last_sync_with;
};

/* The @i-th type of frames: how many came and went. Return: its name, "ping"; NULL past the last.
 */
const char *swim_get_frames(const struct swim *swim, size_t i, uint64_t *ret_received,
                            uint64_t *ret_sent);

void swim_get_statistics(const struct swim *swim, struct swim_statistics *ret);
