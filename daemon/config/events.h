/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The named events of a node: the closed list of the contract, in one table that the journal, the
 * check of hooks and log.subsystems, the catalog and the tests share. An event has a word, a
 * MESSAGE_ID that never changes, the syslog level at which it is logged, and the subsystem whose
 * level filters it.
 */

#include <stddef.h>

enum event {
    EVENT_NODE_STARTED,
    EVENT_NODE_STOPPING,
    EVENT_JOIN_REQUEST,
    EVENT_MEMBER_JOINED,
    EVENT_MEMBER_SUSPECT,
    EVENT_MEMBER_ALIVE,
    EVENT_MEMBER_DEAD,
    EVENT_MEMBER_LEFT,
    EVENT_MEMBER_REAPED,
    EVENT_DEAD_REPORT,
    EVENT_PEER_LIST,
    EVENT_NAME_CONFLICT,
    EVENT_ID_CONFLICT,
    EVENT_CLUSTER_MISMATCH,
    EVENT_SEED_UNREACHABLE,
    EVENT_KEY_CHANGED,
    EVENT_GOSSIP,
    EVENT_MESSAGE,
    EVENT_LIVENESS,
    EVENT_CONNECTION,
    EVENT_TASK_SUBMITTED,
    EVENT_TASK_PLACED,
    EVENT_TASK_STARTED,
    EVENT_TASK_MOVED,
    EVENT_TASK_LOST,
    EVENT_TASK_ENDED,
    EVENT_FILE_STORED,
    EVENT_FILE_REMOVED,
    EVENT_MEM_CHANGED,
    EVENT_DRAIN,
    EVENT_UNDRAIN,
    EVENT_CONFIG_RELOADED,
    EVENT_PROBLEM,
    _EVENT_MAX,
};

enum subsystem {
    SUBSYSTEM_NODE,
    SUBSYSTEM_MEMBERSHIP,
    SUBSYSTEM_LIVENESS,
    SUBSYSTEM_GOSSIP,
    SUBSYSTEM_MESSAGES,
    SUBSYSTEM_NET,
    SUBSYSTEM_TASKS,
    SUBSYSTEM_FILES,
    SUBSYSTEM_MEM,
    _SUBSYSTEM_MAX,
};

struct event_info {
    const char *name;       /* "member-dead" */
    const char *message_id; /* 32 hex digits */
    int level;              /* LOG_ERR 3 ... LOG_DEBUG 7 */
    enum subsystem subsystem;
};

/* Never NULL for an event of the list. */
const struct event_info *event_get_info(enum event event);

/* Return: the event, or -ENOENT; *@ret_closest (where given) is then a suggestion or NULL. */
int event_find(const char *name, const char **ret_closest);

const char *subsystem_name(enum subsystem subsystem);

/* "gossip=debug". Return: 0 with the subsystem and the level (3..7); -EINVAL. */
int subsystem_parse(const char *text, enum subsystem *ret_subsystem, int *ret_level);

/* "err" "warning" "notice" "info" "debug". Return: the level, or -EINVAL. */
int level_parse(const char *text);
const char *level_name(int level);
