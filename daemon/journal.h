/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where everything that the daemon says goes: one typed function per named event, with a MESSAGE_ID
 * and PEER_* fields in the journal (its texts for operators are in systemd/p2pnode.catalog), and
 * the sink of the diagnostics of base/log. Targets: the journal, syslog, or stderr ("<5>" before
 * each line under systemd, plain on a terminal); beside them a plain file, where log.file asks for
 * one.
 *
 * There is one journal per process, as there is one log. Events come from the loop's thread only;
 * diagnostics from any. Nothing is kept here: who wants a history sets an observer. Text of other
 * nodes has to be validated before it comes here; control characters are replaced nevertheless.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/usec.h"
#include "config/config.h"
#include "config/events.h"
#include "swim/swim.h"

/* One PEER_ field of an event. */
struct journal_field {
    const char *name; /* "MEMBER", static; NULL ends a list */
    const char *text; /* NULL where it is a number */
    uint64_t number;
    bool is_number;
};

/* What the observer sees; all borrowed for the time of the call. */
struct journal_event {
    enum event event;
    const char *type; /* "member-dead" */
    int level;        /* LOG_ERR 3 ... LOG_DEBUG 7 */
    uint64_t wall_usec;
    const char *node; /* this node's name */
    const char *message;
    const struct journal_field *fields; /* only those with a value */
    const char *line;                   /* the seed's text, or NULL */
    bool is_confidential;               /* about a task that no other node may hear of */
};

/* The text of a field; NULL = it has none of that name. */
const char *journal_event_text(const struct journal_event *event, const char *name);

typedef void (*journal_observer_t)(const struct journal_event *event, void *data);

/* As sd_journal_sendv. */
typedef int (*journal_send_t)(const struct iovec *fields, int count);

/**
 * journal_open() - choose the target and become the sink of base/log
 *
 * May be called again after a reload. @config is not kept.
 *
 * Return: 0; negative errno where log.file cannot be opened (all else is in place then).
 */
int journal_open(const struct config *config);
void journal_close(void);

/* Sees every event, also those below the log level. NULL = none. @data is borrowed. */
void journal_set_observer(journal_observer_t observer, void *data);

/* Sends to @send instead of journald, whatever the target: for tests. NULL = back to normal. */
void journal_set_send(journal_send_t send);

/* A task in an event. NULL where a field has no value. */
struct journal_task {
    const char *id;       /* "42@lab-01" */
    const char *name;     /* "a1", a label, or NULL */
    const char *user;     /* "user1@lab-01" */
    const char *workflow; /* "w7@lab-01" */
    bool is_confidential; /* what is told of it stays on this node */
};

/* In all of these, strings may be NULL where they are not known; members are borrowed for the call.
 */
void journal_node_started(const struct node_id *id, const char *role,
                          const struct address *address);
void journal_node_stopping(const char *reason);
void journal_join_request(const char *name, const struct address *from);
void journal_member_joined(const struct swim_member *member);
/* @direct: requests of our own without an answer, 0 = it is somebody else's accusation; @through:
 * who were asked to try as well, or NULL. */
void journal_member_suspect(const struct swim_member *member, const struct swim_member *by,
                            uint32_t direct, const char *through);
void journal_member_alive(const struct swim_member *member);
/* @line: "Dead Node:IP:TIMESTAMP:IP" where this node is the one that reports, and @seeds whom to,
 * else NULL. */
void journal_member_dead(const struct swim_member *member, const struct swim_member *by,
                         const char *seeds, const char *line);
void journal_member_left(const struct swim_member *member);
void journal_member_reaped(const struct swim_member *member);
/* A report of a death: at the seed that was told, or at the reporter when it is over. */
struct journal_report {
    const char *name; /* of the dead, NULL = unknown */
    const struct address *address;
    const char *by;      /* the reporter */
    const char *through; /* who were asked to try as well, or NULL */
    const char *line;    /* the seed's text; not at the reporter */
    const char *seeds;   /* at the reporter, else NULL: these have acknowledged, or have not */
    bool has_acked;
};
void journal_dead_report(const struct journal_report *report);
/* @peers: "lab-01 10.0.4.11:7717, ..." */
void journal_peer_list(const char *seed, const struct address *address, size_t count,
                       const char *peers);
void journal_name_conflict(const char *name, const struct address *one,
                           const struct address *other);
void journal_id_conflict(const struct node_id *id, const struct address *other, bool is_fatal);
void journal_cluster_mismatch(const struct address *from, uint64_t count);
void journal_seed_unreachable(const char *seed);
/* @action: "installed" "used" "removed" */
void journal_key_changed(const char *fingerprint, const char *action);
/* Level info for the first log.gossip_first @number of a node, then debug. */
void journal_gossip(const char *name, uint64_t number, const char *line);
void journal_message(const char *sender, const char *text, bool is_broadcast);
void journal_liveness(const char *name, bool is_request, bool is_outgoing, const char *line);
/* @what: "opened" "closed" "refused" "failed"; @reason may be NULL. The last two are notices. */
void journal_connection(const char *name, const struct address *address, const char *protocol,
                        const char *what, const char *reason);
void journal_task_submitted(const struct journal_task *task);
void journal_task_placed(const struct journal_task *task, const char *node, const char *reason);
void journal_task_started(const struct journal_task *task, const char *node, uint32_t attempt);
void journal_task_moved(const struct journal_task *task, const char *source, const char *target,
                        const char *reason);
void journal_task_lost(const struct journal_task *task, const char *node, const char *reason);
/* @state: a word of the contract; every one but "succeeded" is a notice. @reason: "exit 1", NULL.
 */
void journal_task_ended(const struct journal_task *task, const char *node, const char *state,
                        const char *reason, usec_t run_usec);
/* @size of @count files, of which @name is the first. */
void journal_file_stored(const char *name, uint64_t size, const char *owner, size_t count);
void journal_file_removed(const char *name, uint64_t size, size_t count);
/* @action: "set" "removed" */
void journal_mem_changed(const char *key, const char *action, uint64_t version);
void journal_drain(const char *reason);
void journal_undrain(void);
void journal_config_reloaded(const struct config_strings *changed,
                             const struct config_strings *needs_restart);
/* @code: a short word as in status's problems; @is_over: the problem is gone. */
void journal_problem(const char *code, const char *node, const char *text, bool is_over);
