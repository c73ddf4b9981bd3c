/* SPDX-License-Identifier: MIT */
#include "config/events.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include "base/macro.h"
#include "base/text.h"

/* clang-format off */
static const struct event_info events[] = {
    [EVENT_NODE_STARTED] = {"node-started", "4bcaae755dd24b51927a5eb46021f93f", LOG_INFO, SUBSYSTEM_NODE},
    [EVENT_NODE_STOPPING] = {"node-stopping", "2d1d6601c57f46589305bbd017b80cfa", LOG_INFO, SUBSYSTEM_NODE},
    [EVENT_JOIN_REQUEST] = {"join-request", "51f52e5f1a6c429b9b6ec8e640c120f9", LOG_NOTICE, SUBSYSTEM_MEMBERSHIP},
    [EVENT_MEMBER_JOINED] = {"member-joined", "6c2308e4795d49e7a342bd32045aad9b", LOG_INFO, SUBSYSTEM_MEMBERSHIP},
    [EVENT_MEMBER_SUSPECT] = {"member-suspect", "0dc8123b4bb24ca490b1eca1b96a4d7a", LOG_NOTICE, SUBSYSTEM_MEMBERSHIP},
    [EVENT_MEMBER_ALIVE] = {"member-alive", "fd6351ef14ff48e0bd6144d30a0fdb3f", LOG_INFO, SUBSYSTEM_MEMBERSHIP},
    [EVENT_MEMBER_DEAD] = {"member-dead", "8e5bc98fd82b4ca58c660171f9b82436", LOG_NOTICE, SUBSYSTEM_MEMBERSHIP},
    [EVENT_MEMBER_LEFT] = {"member-left", "cc46939db74c46cc85edc04be22840d3", LOG_INFO, SUBSYSTEM_MEMBERSHIP},
    [EVENT_MEMBER_REAPED] = {"member-reaped", "8470d0306cfe4efd80272779ac2ff742", LOG_INFO, SUBSYSTEM_MEMBERSHIP},
    [EVENT_DEAD_REPORT] = {"dead-report", "84028aac15d64440b80e19544f5475ee", LOG_NOTICE, SUBSYSTEM_MEMBERSHIP},
    [EVENT_PEER_LIST] = {"peer-list", "f7f9f8b47d034383a689dbce0a490dda", LOG_INFO, SUBSYSTEM_MEMBERSHIP},
    [EVENT_NAME_CONFLICT] = {"name-conflict", "714040daa5004324914e2f447a159ef9", LOG_WARNING, SUBSYSTEM_MEMBERSHIP},
    [EVENT_ID_CONFLICT] = {"id-conflict", "113874292fe54072a9dd932cd40c6c00", LOG_ERR, SUBSYSTEM_MEMBERSHIP},
    [EVENT_CLUSTER_MISMATCH] = {"cluster-mismatch", "f630340a1d4b4994a41e124f014f3a29", LOG_WARNING, SUBSYSTEM_MEMBERSHIP},
    [EVENT_SEED_UNREACHABLE] = {"seed-unreachable", "67ca6b44500344b5879cf9ca53688286", LOG_NOTICE, SUBSYSTEM_MEMBERSHIP},
    [EVENT_KEY_CHANGED] = {"key-changed", "5b75ecf6092d4a558b6026c38b3cd9f4", LOG_NOTICE, SUBSYSTEM_NODE},
    [EVENT_GOSSIP] = {"gossip", "89b4e917e9c84243b5ab07d369a1f619", LOG_DEBUG, SUBSYSTEM_GOSSIP},
    [EVENT_MESSAGE] = {"message", "43999bd10c1c45df814d75cc0a41d25b", LOG_INFO, SUBSYSTEM_MESSAGES},
    [EVENT_LIVENESS] = {"liveness", "c07e0c74c5c745b1a7d91e98cd131ad5", LOG_DEBUG, SUBSYSTEM_LIVENESS},
    [EVENT_CONNECTION] = {"connection", "cf680efaac6b45998c8b28d3e599c7d9", LOG_DEBUG, SUBSYSTEM_NET},
    [EVENT_TASK_SUBMITTED] = {"task-submitted", "51e8607750434b40aa950cefc8e15a69", LOG_DEBUG, SUBSYSTEM_TASKS},
    [EVENT_TASK_PLACED] = {"task-placed", "3b923bca28fa482c98de686443f411f9", LOG_DEBUG, SUBSYSTEM_TASKS},
    [EVENT_TASK_STARTED] = {"task-started", "e6bf7d9eb5634f57aa9223583c3db0d4", LOG_DEBUG, SUBSYSTEM_TASKS},
    [EVENT_TASK_MOVED] = {"task-moved", "2ddd24cf82ae4b49b789a25d486392de", LOG_DEBUG, SUBSYSTEM_TASKS},
    [EVENT_TASK_LOST] = {"task-lost", "b10144fbbd774cb4a5f9d8caf3597f6f", LOG_NOTICE, SUBSYSTEM_TASKS},
    [EVENT_TASK_ENDED] = {"task-ended", "dea44929b20e46b7a6c48db59041433e", LOG_DEBUG, SUBSYSTEM_TASKS},
    [EVENT_FILE_STORED] = {"file-stored", "5b086cebf75c417e9f7f7b891192ea94", LOG_INFO, SUBSYSTEM_FILES},
    [EVENT_FILE_REMOVED] = {"file-removed", "f20c465837824f5d95de4879d4769708", LOG_INFO, SUBSYSTEM_FILES},
    [EVENT_MEM_CHANGED] = {"mem-changed", "0a2e6a00aa9b43a7b9072d7e5a414ae7", LOG_DEBUG, SUBSYSTEM_MEM},
    [EVENT_DRAIN] = {"drain", "5c9771ca50c04de18e6ee17663c44b05", LOG_NOTICE, SUBSYSTEM_NODE},
    [EVENT_UNDRAIN] = {"undrain", "bf36d7d317744d1f9d88232b9165a751", LOG_NOTICE, SUBSYSTEM_NODE},
    [EVENT_CONFIG_RELOADED] = {"config-reloaded", "08328dc67361455db5b439804c1e76e4", LOG_NOTICE, SUBSYSTEM_NODE},
    [EVENT_PROBLEM] = {"problem", "1fe543a832d3408ea58cc5fd44fec561", LOG_WARNING, SUBSYSTEM_NODE},
};
/* clang-format on */
static_assert(ARRAY_SIZE(events) == _EVENT_MAX, "an event without a row");

static const char *const subsystems[] = {
    [SUBSYSTEM_NODE] = "node",         [SUBSYSTEM_MEMBERSHIP] = "membership",
    [SUBSYSTEM_LIVENESS] = "liveness", [SUBSYSTEM_GOSSIP] = "gossip",
    [SUBSYSTEM_MESSAGES] = "messages", [SUBSYSTEM_NET] = "net",
    [SUBSYSTEM_TASKS] = "tasks",       [SUBSYSTEM_FILES] = "files",
    [SUBSYSTEM_MEM] = "mem",
};
static_assert(ARRAY_SIZE(subsystems) == _SUBSYSTEM_MAX, "a subsystem without a name");

static const char *const levels[] = {
    [LOG_ERR] = "err",   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

const struct event_info *event_get_info(enum event event)
{
    assert((size_t)event < ARRAY_SIZE(events));
    return &events[event];
}

int event_find(const char *name, const char **ret_closest)
{
    const char *words[_EVENT_MAX + 1] = {NULL};

    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        words[i] = events[i].name;
        if (strcmp(name, words[i]) == 0)
            return (int)i;
    }
    if (ret_closest)
        *ret_closest = text_closest(name, words);
    return -ENOENT;
}

const char *subsystem_name(enum subsystem subsystem)
{
    assert((size_t)subsystem < ARRAY_SIZE(subsystems));
    return subsystems[subsystem];
}

int subsystem_parse(const char *text, enum subsystem *ret_subsystem, int *ret_level)
{
    const char *equals = strchr(text, '=');
    int level = equals ? level_parse(equals + 1) : -EINVAL;

    if (level < 0)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_SIZE(subsystems); i++)
        if (strlen(subsystems[i]) == (size_t)(equals - text) &&
            memcmp(subsystems[i], text, (size_t)(equals - text)) == 0) {
            *ret_subsystem = (enum subsystem)i;
            *ret_level = level;
            return 0;
        }
    return -EINVAL;
}

int level_parse(const char *text)
{
    for (size_t i = LOG_ERR; i < ARRAY_SIZE(levels); i++)
        if (strcmp(text, levels[i]) == 0)
            return (int)i;
    return -EINVAL;
}

const char *level_name(int level)
{
    return levels[CLAMP(level, LOG_ERR, LOG_DEBUG)];
}
