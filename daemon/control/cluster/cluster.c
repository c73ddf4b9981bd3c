/* SPDX-License-Identifier: MIT */
#include "control/data/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "problems.h"
#include "remembered.h"

static const char *const state_names[_SWIM_STATE_MAX] = {
    [SWIM_ALIVE] = "alive", [SWIM_SUSPECT] = "suspect", [SWIM_DEAD] = "dead", [SWIM_LEFT] = "left"};

const char *member_state_name(const struct swim_member *member)
{
    return state_names[member->state];
}

static void add_msec(cJSON *json, const char *key, usec_t usec)
{
    json_add_double(json, key, usec > 0 ? (double)usec / (double)USEC_PER_MSEC : (double)NAN);
}

/* --- Members --- */

static void add_tags(cJSON *json, const struct record *record)
{
    cJSON *tags = cJSON_AddObjectToObject(json, "tags");

    for (size_t i = 0; i < record->tags_count; i++) {
        const char *equals = strchr(record->tags[i], '=');
        char key[sizeof(record->tags[0])];
        snprintf(key, sizeof(key), "%.*s", (int)(equals ? equals - record->tags[i] : 63),
                 record->tags[i]);
        cJSON_AddStringToObject(tags, key, equals ? equals + 1 : "");
    }
}

static void add_load(cJSON *json, const struct swim_member *member)
{
    if (member->state != SWIM_ALIVE) {
        json_add_null(json, "load");
        json_add_null(json, "slots");
        json_add_null(json, "running");
        json_add_null(json, "queue");
        json_add_null(json, "cpu");
        json_add_null(json, "mem");
        json_add_null(json, "rtt_ms");
        json_add_null(json, "loss");
        return;
    }
    json_add_double(json, "load", member->load.load_permille / 1000.0);
    json_add_u64(json, "slots", member->load.slots);
    json_add_u64(json, "running", member->load.running);
    json_add_u64(json, "queue", member->load.queued);
    json_add_double(json, "cpu", member->load.cpu_percent / 100.0);
    json_add_double(json, "mem", member->load.memory_percent / 100.0);
    add_msec(json, "rtt_ms", member->rtt_usec);
    json_add_double(json, "loss",
                    member->rtt_usec > 0 ? member->loss_permille / 1000.0 : (double)NAN);
}

static void add_record(cJSON *json, const struct record *record)
{
    char fingerprint[FINGERPRINT_TEXT_MAX];

    json_add_string(json, "version", *record->version ? record->version : NULL);
    if (record->protocol > 0)
        json_add_u64(json, "protocol", record->protocol);
    else
        json_add_null(json, "protocol");
    json_add_string(json, "python", *record->python ? record->python : NULL);
    json_add_string(
        json, "key",
        record->keys_count > 0 ? keyring_format_fingerprint(record->keys[0], fingerprint) : NULL);
}

/* When we last heard from it; of whom we have only heard, when that was, but for the dead: 0. */
static uint64_t last_seen(const struct node *node, const struct swim_member *member)
{
    bool is_gone = member->state == SWIM_DEAD || member->state == SWIM_LEFT;

    if (member->is_self)
        return node_wall(node);
    if (member->last_seen_usec > 0)
        return node_wall_of(node, member->last_seen_usec);
    return is_gone ? 0 : node_wall_of(node, member->first_seen_usec);
}

void member_fill(const struct node *node, const struct swim_member *member, cJSON *json)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    const struct swim_member *by = swim_find(swim, swim_get_reporter(member));
    char uuid[NODE_ID_TEXT_MAX], address[ADDRESS_TEXT_MAX], incarnation[48];
    struct record record = {0};

    (void)remembered_get_record(node, member, &record);
    json_add_string(json, "name", member->name);
    json_add_string(json, "uuid", node_id_format(&member->id, uuid));
    json_add_string(json, "role", member->is_seed ? "seed" : "peer");
    json_add_string(json, "state", state_names[member->state]);
    json_add_bool(json, "self", member->is_self);
    json_add_string(json, "address", address_format(&member->address, address));
    cJSON *types = cJSON_AddArrayToObject(json, "types");
    for (size_t i = 0; i < record.types_count; i++)
        cJSON_AddItemToArray(types, cJSON_CreateString(record.types[i]));
    add_tags(json, &record);
    add_load(json, member);
    json_add_time(json, "last_seen", last_seen(node, member));
    add_record(json, &record);
    snprintf(incarnation, sizeof(incarnation), "%llu.%llu",
             (unsigned long long)member->incarnation.generation,
             (unsigned long long)member->incarnation.counter);
    json_add_string(json, "incarnation", incarnation);
    json_add_u64(json, "flaps", swim_get_flaps(member));
    json_add_string(json, "reported_by", by ? by->name : NULL);
    json_add_bool(json, "draining", member->load.draining);
    json_add_bool(json, "unstable", member->is_unstable);
    json_add_time(json, "first_seen", node_wall_of(node, member->first_seen_usec));
}

static int compare_names(const void *a, const void *b)
{
    const struct swim_member *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

const struct swim_member **sort_members(const struct swim *swim)
{
    size_t count = swim_members_count(swim);
    const struct swim_member **members = calloc(count + 1, sizeof(const struct swim_member *));

    for (size_t i = 0; members && i < count; i++)
        members[i] = swim_member_at(swim, i);
    if (members)
        qsort(members, count, sizeof(const struct swim_member *), compare_names);
    return members;
}

void method_members(struct node *node, struct call *call)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    _cleanup_free_ const struct swim_member **members = sort_members(swim);
    cJSON *reply = call_new_reply("p2pctl.members/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "members");

    for (size_t i = 0; members && members[i]; i++) {
        cJSON *item = cJSON_CreateObject();
        member_fill(node, members[i], item);
        cJSON_AddItemToArray(list, item);
    }
    call_reply(call, reply);
}

void method_peers(struct node *node, struct call *call)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    _cleanup_free_ const struct swim_member **members = sort_members(swim);
    char address[ADDRESS_TEXT_MAX];
    cJSON *reply = call_new_reply("p2pctl.peers/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "peers");

    for (size_t i = 0; members && members[i]; i++) {
        const struct swim_member *member = members[i];
        if (member->is_self || member->state == SWIM_DEAD || member->state == SWIM_LEFT)
            continue;
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "name", member->name);
        json_add_string(item, "address", address_format(&member->address, address));
        cJSON_AddItemToArray(list, item);
    }
    call_reply(call, reply);
}

void method_show_node(struct node *node, struct call *call)
{
    const char *name = NULL;
    const struct swim_member *member;

    if (!read_string(call, "name", &name))
        return;
    member = node_find_member(node, name);
    if (!member) {
        call_fail(call, ERROR_NOT_FOUND, "p2pctl members", "no node is called \"%s\"", name);
        return;
    }
    cJSON *reply = call_new_reply("p2pctl.node/1");
    member_fill(node, member, cJSON_AddObjectToObject(reply, "member"));
    history_add_timeline(node->history, &call->caller, member->name,
                         cJSON_AddArrayToObject(reply, "timeline"));
    call_reply(call, reply);
}

/* --- Types --- */

static const char *name_of(const cJSON *type)
{
    return cJSON_GetObjectItemCaseSensitive(type, "name")->valuestring;
}

/* The row of a type, made where there is none. */
static cJSON *find_type(cJSON *list, const struct node *node, const char *name)
{
    json_for_each (item, list)
        if (strcmp(name_of(item), name) == 0)
            return item;
    cJSON *item = cJSON_CreateObject();
    json_add_string(item, "name", name);
    cJSON_AddArrayToObject(item, "nodes");
    cJSON_AddNumberToObject(item, "slots", 0);
    cJSON_AddNumberToObject(item, "free", 0);
    cJSON_AddArrayToObject(item, "for_some");
    json_add_string(item, "handler", tasks_get_handler(node->tasks, name));
    cJSON_AddItemToArray(list, item);
    return item;
}

/* By name. cJSON_InsertItemInArray of 1.7.15 loses what it puts behind what it put first. */
static void sort_types(cJSON *list)
{
    for (int left = cJSON_GetArraySize(list); left > 0; left--) {
        cJSON *first = list->child, *other = first;
        for (int i = 1; i < left; i++) {
            other = other->next;
            if (strcmp(name_of(other), name_of(first)) < 0)
                first = other;
        }
        cJSON_AddItemToArray(list, cJSON_DetachItemViaPointer(list, first));
    }
}

static void add_to(cJSON *item, const char *key, uint64_t count)
{
    cJSON *number = cJSON_GetObjectItemCaseSensitive(item, key);

    if (number)
        cJSON_SetNumberValue(number, number->valuedouble + (double)count);
}

/* What @member, whose record is @record, does of its type @i. Of others the `max` is known, not how
 * many run. */
static void add_type(const struct node *node, const struct swim_member *member,
                     const struct record *record, size_t i, cJSON *item)
{
    const bool accepts =
        member->state == SWIM_ALIVE && !member->load.draining && !member->is_unstable;
    const struct record_limits *limits = &record->limits[i];
    const uint64_t max = limits->max > 0 ? limits->max : UINT64_MAX;
    uint64_t count = usec_sub(member->load.slots, member->load.running);

    if (member->is_self)
        count = MIN(count, slots_get_free(tasks_get_slots(node->tasks), record->types[i]));
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(item, "nodes"),
                         cJSON_CreateString(member->name));
    if (limits->is_for_some)
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(item, "for_some"),
                             cJSON_CreateString(member->name));
    add_to(item, "slots", MIN(member->load.slots, max));
    add_to(item, "free", accepts ? MIN(count, max) : 0);
}

/* Types of this node that are not for @user. */
static void add_refused(const struct node *node, const char *user, cJSON *reply)
{
    const struct config_tasks *config = &node->config->tasks;

    if (!user) {
        json_add_null(reply, "refused");
        return;
    }
    cJSON *list = cJSON_AddArrayToObject(reply, "refused");
    for (size_t i = 0; i < config->types_count; i++)
        if (!tasks_permit(node->tasks, config->types[i].name, user))
            cJSON_AddItemToArray(list, cJSON_CreateString(config->types[i].name));
}

void method_types(struct node *node, struct call *call)
{
    const char *user = NULL;

    if (!read_string(call, "user", &user))
        return;
    const struct swim *swim = cluster_get_swim(node->cluster);
    cJSON *reply = call_new_reply("p2pctl.types/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "types");
    _cleanup_free_ const struct swim_member **members = sort_members(swim);
    struct record record;

    for (size_t i = 0; members && members[i]; i++) {
        const struct swim_member *member = members[i];
        if (member->state == SWIM_DEAD || member->state == SWIM_LEFT ||
            node_get_record(member, &record) < 0)
            continue;
        for (size_t j = 0; j < record.types_count; j++)
            add_type(node, member, &record, j, find_type(list, node, record.types[j]));
    }
    sort_types(list);
    add_refused(node, user, reply);
    call_reply(call, reply);
}

/* --- Status --- */

void members_count(const struct swim *swim, struct member_counts *ret)
{
    *ret = (struct member_counts){.nodes = swim_members_count(swim)};
    for (size_t i = 0; i < ret->nodes; i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        bool is_draining = member->state == SWIM_ALIVE && member->load.draining;
        ret->draining += is_draining;
        ret->states[member->state] += !is_draining;
        ret->others_alive += member->state == SWIM_ALIVE && !member->is_self;
    }
}

static void add_node_summary(const struct node *node, cJSON *reply)
{
    const struct swim_member *self = swim_get_self(cluster_get_swim(node->cluster));
    struct slots_load load;
    char uuid[NODE_ID_TEXT_MAX];
    cJSON *json = cJSON_AddObjectToObject(reply, "node");

    slots_get_load(tasks_get_slots(node->tasks), &load);
    json_add_string(json, "name", self->name);
    json_add_string(json, "uuid", node_id_format(&node->start.id, uuid));
    json_add_string(json, "role", self->is_seed ? "seed" : "peer");
    json_add_string(json, "state", state_names[self->state]);
    json_add_string(json, "version", P2PNODE_VERSION);
    json_add_u64(json, "pid", (uint64_t)getpid());
    json_add_time(json, "started", node->started_wall_usec);
    json_add_u64(json, "uptime_s",
                 usec_sub(node_wall(node), node->started_wall_usec) / USEC_PER_SEC);
    json_add_bool(json, "accepting", load.slots > 0 && !load.is_draining);
    json_add_bool(json, "draining", load.is_draining);
    json_add_string(json, "drain_reason", *node->drain.reason ? node->drain.reason : NULL);
}

static void add_cluster_summary(const struct node *node, const struct member_counts *counts,
                                const struct swim_statistics *statistics, cJSON *reply)
{
    cJSON *json = cJSON_AddObjectToObject(reply, "cluster");

    json_add_string(json, "name", node->config->node.cluster);
    json_add_u64(json, "nodes", counts->nodes);
    json_add_u64(json, "alive", counts->states[SWIM_ALIVE]);
    json_add_u64(json, "suspect", counts->states[SWIM_SUSPECT]);
    json_add_u64(json, "draining", counts->draining);
    json_add_u64(json, "dead", counts->states[SWIM_DEAD]);
    json_add_u64(json, "left", counts->states[SWIM_LEFT]);
    cJSON *seeds = cJSON_AddObjectToObject(json, "seeds");
    json_add_u64(seeds, "configured", statistics->seeds_configured);
    json_add_u64(seeds, "reachable", statistics->seeds_reachable);
    json_add_u64(seeds, "needed", statistics->seeds_needed);
}

static int compare_usec(const void *a, const void *b)
{
    usec_t x = *(const usec_t *)a, y = *(const usec_t *)b;

    return (x > y) - (x < y);
}

static void add_rtts(const struct swim *swim, cJSON *json)
{
    size_t count = 0, members = swim_members_count(swim);
    _cleanup_free_ usec_t *rtts = calloc(members + 1, sizeof(*rtts));

    for (size_t i = 0; rtts && i < members; i++)
        if (swim_member_at(swim, i)->rtt_usec > 0)
            rtts[count++] = swim_member_at(swim, i)->rtt_usec;
    if (count > 0)
        qsort(rtts, count, sizeof(*rtts), compare_usec);
    add_msec(json, "rtt_p50_ms", count > 0 ? rtts[count / 2] : 0);
    add_msec(json, "rtt_p99_ms", count > 0 ? rtts[MIN(count * 99 / 100, count - 1)] : 0);
}

/* Of our last liveness requests to all that are alive, how many were not answered. */
static double mean_loss(const struct swim *swim)
{
    uint64_t permille = 0, count = 0;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->state == SWIM_ALIVE && member->rtt_usec > 0) {
            permille += member->loss_permille;
            count++;
        }
    }
    return count > 0 ? (double)permille / (double)count / 1000 : (double)NAN;
}

static void add_moment(const struct node *node, cJSON *json, const char *key, usec_t usec)
{
    json_add_time(json, key, usec > 0 ? node_wall_of(node, usec) : 0);
}

static void add_gossip_summary(const struct node *node, const struct swim_statistics *statistics,
                               cJSON *reply)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    char address[ADDRESS_TEXT_MAX], fingerprint[FINGERPRINT_TEXT_MAX];
    cJSON *json = cJSON_AddObjectToObject(reply, "gossip");
    bool is_encrypted = node->config->security.encrypt;

    json_add_string(json, "address", address_format(&swim_get_self(swim)->address, address));
    json_add_bool(json, "encrypted", is_encrypted);
    json_add_string(
        json, "key",
        is_encrypted ? keyring_format_fingerprint(node->keyring->keys[0].id, fingerprint) : NULL);
    add_rtts(swim, json);
    json_add_double(json, "loss", mean_loss(swim));
    const struct swim_member *peer = swim_find(swim, &statistics->last_sync_with);
    add_moment(node, json, "last_sync", statistics->last_sync_usec);
    json_add_string(json, "last_sync_with", peer ? peer->name : NULL);
    add_moment(node, json, "last_probe", statistics->last_probe_usec);
    add_moment(node, json, "last_gossip", statistics->last_gossip_usec);
}

static void add_net_summary(const struct node *node, cJSON *reply)
{
    cJSON *json = cJSON_AddObjectToObject(reply, "net");

    json_add_u64(json, "connections", peers_connections(node->peers));
    json_add_u64(json, "connections_max", node->config->net.connections_max);
}

static void add_task_summary(const struct node *node, cJSON *reply)
{
    struct slots_load load;
    struct origin_statistics statistics;
    uint64_t succeeded, failed;
    cJSON *json = cJSON_AddObjectToObject(reply, "tasks");

    slots_get_load(tasks_get_slots(node->tasks), &load);
    origin_get_statistics(tasks_get_origin(node->tasks), &statistics);
    tasks_count_ended(node->tasks, node_wall(node), &succeeded, &failed);
    json_add_u64(json, "slots", load.slots);
    json_add_u64(json, "running", load.running);
    json_add_u64(json, "pending", statistics.pending);
    json_add_u64(json, "succeeded_24h", succeeded);
    json_add_u64(json, "failed_24h", failed);
    cJSON *types = cJSON_AddArrayToObject(json, "types");
    for (size_t i = 0; i < node->config->tasks.types_count; i++)
        cJSON_AddItemToArray(types, cJSON_CreateString(node->config->tasks.types[i].name));
}

static void add_store_summaries(const struct node *node, cJSON *reply)
{
    struct files_usage usage;
    cJSON *files = cJSON_AddObjectToObject(reply, "files"),
          *mem = cJSON_AddObjectToObject(reply, "mem");

    files_get_usage(node->files, &usage);
    json_add_u64(files, "count", usage.count);
    json_add_u64(files, "used_bytes", usage.used);
    json_add_u64(files, "quota_bytes", usage.quota);
    json_add_u64(mem, "keys", memory_count(node->memory));
    json_add_u64(mem, "used_bytes", memory_used(node->memory));
    json_add_u64(mem, "limit_bytes", node->config->mem.limit_size);
    json_add_u64(mem, "value_max_bytes", node->config->mem.value_size_max);
}

/* --- Problems --- */

struct problem_list {
    cJSON *json;
    bool is_degraded;
};

static void add_problem(const struct problem *problem, void *data)
{
    struct problem_list *list = data;
    cJSON *json = cJSON_CreateObject();

    json_add_string(json, "code", problem->code);
    json_add_string(json, "node", problem->node);
    json_add_time(json, "since", problem->since_wall_usec);
    json_add_string(json, "message", problem->message);
    cJSON_AddItemToArray(list->json, json);
    list->is_degraded |= problem->degrades;
}

void method_status(struct node *node, struct call *call)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    struct problem_list problems = {.json = cJSON_CreateArray()};
    struct swim_statistics statistics;
    struct member_counts counts;
    cJSON *reply = call_new_reply("p2pctl.status/1");

    swim_get_statistics(swim, &statistics);
    members_count(swim, &counts);
    problems_each(node, add_problem, &problems);
    json_add_string(reply, "instance", node->instance);
    json_add_bool(reply, "running", true);
    json_add_string(reply, "health", problems.is_degraded ? "degraded" : "ok");
    add_node_summary(node, reply);
    add_cluster_summary(node, &counts, &statistics, reply);
    add_gossip_summary(node, &statistics, reply);
    add_net_summary(node, reply);
    add_task_summary(node, reply);
    add_store_summaries(node, reply);
    cJSON_AddItemToObject(reply, "problems", problems.json);
    file_add_transfers(node, reply);
    call_reply(call, reply);
}
