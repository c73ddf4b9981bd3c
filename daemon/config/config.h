/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The configuration of a node: /etc/p2pnode/NAME.conf read with libconfig, overridden by the
 * environment, completed by defaults, checked as a whole. One table (table.c) has a row per key;
 * the loader, the environment, `config show`, `config dump-default`, the manual's lint and the
 * tests all walk it.
 *
 * Text with units stays at the edge: in here times are microseconds, sizes bytes. A struct config
 * changes only where a reload says so: it makes a second one, compares (config_diff) and takes over
 * what may change while the node runs (config_adopt). It owns everything it points to. Shared by
 * p2pnode and p2pctl; no clock, no socket, no name look-up.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "base/usec.h"

#define CONFIG_PORT_DEFAULT    7717
#define CONFIG_LIST_MAX        64         /* entries of any list in a file */
#define CONFIG_QUORUM_MAJORITY 0          /* floor(n/2)+1 */
#define CONFIG_QUORUM_ALL      UINT32_MAX /* every configured seed */

enum config_role { CONFIG_PEER, CONFIG_SEED };
enum config_cipher {
    CONFIG_CIPHER_AUTO,
    CONFIG_CIPHER_AES_256_GCM,
    CONFIG_CIPHER_CHACHA20_POLY1305
};
enum config_scheduler { CONFIG_ROUND_ROBIN, CONFIG_FIFO };
enum config_sandbox {
    CONFIG_SANDBOX_AUTO,
    CONFIG_SANDBOX_FULL,
    CONFIG_SANDBOX_NAMESPACES,
    CONFIG_SANDBOX_LANDLOCK,
    CONFIG_SANDBOX_NONE,
};
enum config_verify { CONFIG_VERIFY_SHA256 };
enum config_target {
    CONFIG_TARGET_AUTO,
    CONFIG_TARGET_JOURNAL,
    CONFIG_TARGET_SYSLOG,
    CONFIG_TARGET_STDERR,
};

/* Texts; also used for the errors of a load. All zero = empty. */
struct config_strings {
    char **items; /* owned, with what they point to; not NULL-terminated */
    size_t count;
};

struct config_node {
    char *name; /* never empty after loading: the host name up to its first dot */
    enum config_role role;
    char *cluster;
    struct config_strings tags; /* "room=2.07" */
};

struct config_listen {
    char *address; /* "" = all */
    uint32_t port; /* 0 = any free one */
    char *advertise;
    char *interface;
};

struct config_membership {
    uint32_t seed_quorum; /* a number, CONFIG_QUORUM_MAJORITY or CONFIG_QUORUM_ALL */
    usec_t probe_interval_usec;
    usec_t probe_timeout_usec; /* at most half of probe_interval_usec */
    uint32_t indirect_probes;
    uint32_t max_missed;
    uint32_t suspicion_mult;
    uint32_t suspicion_max;
    usec_t dead_retention_usec;
    usec_t rejoin_interval_usec;
    uint32_t unstable_flaps;
    usec_t unstable_window_usec;
    bool snapshot;
};

struct config_gossip {
    usec_t interval_usec;
    uint32_t fanout;
    usec_t sync_interval_usec;
    usec_t message_interval_usec; /* 0 = off */
    uint32_t message_count;       /* 0 = without end */
    usec_t load_interval_usec;
    uint32_t retransmit_mult;
    uint32_t mtu;
};

struct config_security {
    bool encrypt;
    char *keyring;
    enum config_cipher cipher;
    bool tls;                    /* in force only together with encrypt */
    struct config_strings allow; /* "10.0.4.0/24", "fd00::/64"; empty = all */
};

#define CONFIG_UNSET UINT64_MAX

/* One row of tasks.types. */
struct config_type {
    char *name;    /* letters only */
    char *command; /* "" = the built-in demo handler */
    uint32_t slots;
    uint32_t max;         /* of this type at once; 0 = no limit but the slots */
    usec_t timeout_usec;  /* CONFIG_UNSET = tasks.timeout; 0 = none */
    uint64_t memory_size; /* 0 = tasks.memory */
    struct config_strings users;
};

struct config_tasks {
    bool enabled;
    uint32_t slots; /* 0 = number of CPUs */
    uint32_t queue_max;
    enum config_scheduler scheduler;
    usec_t quantum_usec; /* 0 = off */
    usec_t lease_usec;
    usec_t rebalance_after_usec;
    usec_t timeout_usec; /* 0 = none */
    usec_t kill_grace_usec;
    uint32_t retries;
    usec_t retry_delay_usec;
    struct config_strings retry_on; /* of "node-lost" "no-space" "unreachable" "exit" */
    usec_t keep_usec;
    usec_t keep_failed_usec;
    uint64_t output_size_max;
    uint64_t result_size_max;
    bool allow_commands;
    bool allow_python;
    uint64_t memory_size; /* 0 = none */
    char *on_done;        /* "" = none */
    struct config_type *types;
    size_t types_count;
};

struct config_python {
    char *interpreter;
    uint32_t workers;
    uint32_t max_jobs;
    struct config_strings modules;
};

struct config_sandbox_rules {
    enum config_sandbox mode;
    bool network;
    struct config_strings read;  /* absolute paths */
    struct config_strings write; /* absolute paths */
};

struct config_files {
    char *dir; /* relative to the state directory, or absolute */
    uint64_t quota_size;
    uint64_t file_size_max; /* the quota bounds it too */
    uint64_t reserve_size;
    enum config_verify verify;
    usec_t part_keep_usec;
};

struct config_mem {
    uint64_t limit_size;
    uint64_t value_size_max; /* the limit bounds it too */
    uint32_t key_size_max;
    bool persist;
};

struct config_messages {
    uint32_t keep;
    uint64_t text_size_max;
    char *handler;
};

struct config_net {
    usec_t tcp_connect_timeout_usec;
    usec_t tcp_idle_usec;
    uint32_t connections_max;
    uint32_t transfers_max;
    uint64_t rate_limit; /* bytes per second, node and direction; 0 = none */
};

struct config_control {
    char *socket; /* "" = INSTANCE.sock in the run directory */
    uint32_t mode;
    char *user_group;
    char *admin_group;
    uint32_t clients_max;
};

struct config_log {
    uint32_t level; /* LOG_ERR 3 ... LOG_DEBUG 7 */
    enum config_target target;
    uint32_t facility;                /* index in: daemon user local0 ... local7; see journal.c */
    struct config_strings subsystems; /* "gossip=debug", checked */
    char *file;
    uint32_t gossip_first;
};

struct config_metrics {
    char *textfile;
    usec_t interval_usec;
};

struct config_hook {
    char *event; /* one of the events of journal.h */
    char *command;
};

struct config {
    struct config_node node;
    struct config_listen listen;
    struct config_strings seeds; /* as written: "10.0.4.2:7717", "[fd00::2]:7717", "seed-1.lab" */
    char *seeds_file;
    struct config_membership membership;
    struct config_gossip gossip;
    struct config_security security;
    struct config_tasks tasks;
    struct config_python python;
    struct config_sandbox_rules sandbox;
    struct config_files files;
    struct config_mem mem;
    struct config_messages messages;
    struct config_net net;
    struct config_control control;
    char *state_dir; /* "" = $STATE_DIRECTORY and what contract.md says */
    usec_t stop_grace_usec;
    struct config_log log;
    struct config_metrics metrics;
    struct config_hook *hooks;
    size_t hooks_count;

    struct config_strings all_seeds; /* seeds, then the lines of seeds_file; no duplicates */
    struct config_strings
        origins; /* per key, in the table's order: "default", "lab.conf:12", "env NAME" */
    struct config_strings warnings; /* what is no error, each a line like those */
};

/**
 * config_load() - read, override, complete and check
 * @path:        the file; NULL = defaults and environment only
 * @environment: "NAME=VALUE" strings ending with NULL, as environ; NULL = none
 * @errors:      gets every complaint of all stages, each one line "file:line: text" (or
 * "environment: text"); empty before and on success; config_strings_done() frees it
 *
 * Return: 0; -EINVAL with at least one error told; -ENOMEM.
 */
int config_load(const char *path, char *const *environment, struct config **ret,
                struct config_strings *errors);
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free)

void config_strings_done(struct config_strings *strings);
#define _cleanup_strings_ _cleanup_(config_strings_done)
bool config_strings_contain(const struct config_strings *strings, const char *text);

/**
 * config_diff() - what a reload changes
 * @ret_changed: paths of all keys whose values differ
 * @ret_restart: those of them that are not reloadable: the caller keeps the old value and reports
 *               "needs restart: listen.port"
 *
 * Return: 0, -ENOMEM. The contents of seeds_file count as "seeds_file".
 */
int config_diff(const struct config *before, const struct config *after,
                struct config_strings *ret_changed, struct config_strings *ret_restart);

/*
 * Takes over all reloadable values of @loaded, with their origins; @loaded has the former ones
 * then. What is not reloadable stays where it is, so that borrowed texts of those keys stay good.
 */
void config_adopt(struct config *config, struct config *loaded);

/* The keys in the order of the annotated file: 0 <= index < config_keys_count(). */
size_t config_keys_count(void);
const char *config_key_path(size_t index); /* "membership.probe_interval" */
const char *config_key_help(
    size_t index); /* one or more lines, no full stop; "" = the name says it */

/* The index of @path; -ENOENT where there is none, with a suggestion or NULL in *@ret_closest. */
int config_key_find(const char *path, const char **ret_closest);

/*
 * The value as it would stand in a file: `"1s"`, `7717`, `true`, `( "a", "b" )`. Owned by the
 * caller; NULL without memory. config_load reads back exactly what this writes.
 */
char *config_format_value(const struct config *config, size_t index);

/* Where the value comes from: "default", "/etc/p2pnode/lab.conf:12", "env P2PNODE_LISTEN_PORT". */
const char *config_origin(const struct config *config, size_t index);

/* The environment variable of a key: "P2PNODE_LISTEN_PORT". Owned by the caller; NULL without
 * memory. */
char *config_variable(size_t index);

/*
 * The annotated file with every key at its default, as shipped in etc/p2pnode/p2pnode.conf.example.
 * Owned by the caller; NULL without memory.
 */
char *config_dump_default(void);
