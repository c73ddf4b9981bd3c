/* SPDX-License-Identifier: MIT */
#include "remembered.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "node.h"

struct remembered {
    struct list link;
    struct node_id id;
    char name[NODE_NAME_MAX + 1];
    char address[ADDRESS_TEXT_MAX];
    uint64_t gone_wall_usec; /* since when it is not there, at the latest since our start */
    uint16_t slots;
    uint16_t meta_size;
    uint8_t meta[]; /* is a record */
};

static struct remembered *find(const struct node *node, const struct node_id *id)
{
    list_for_each (link, &node->remembered) {
        struct remembered *one = list_entry(link, struct remembered, link);
        if (node_id_is_equal(&one->id, id))
            return one;
    }
    return NULL;
}

static bool is_there(const struct swim_member *member)
{
    return member->state == SWIM_ALIVE || member->state == SWIM_SUSPECT;
}

static void forget(struct remembered *one)
{
    list_remove(&one->link);
    free(one);
}

void remembered_drop(struct node *node, const struct node_id *id)
{
    struct remembered *one = find(node, id);

    if (one)
        forget(one);
    node->members_changed = true;
}

void remembered_done(struct node *node)
{
    list_for_each_safe (link, &node->remembered)
        forget(list_entry(link, struct remembered, link));
}

static struct state_member describe(const struct remembered *one)
{
    return (struct state_member){.id = one->id,
                                 .name = one->name,
                                 .address = one->address,
                                 .gone_wall_usec = one->gone_wall_usec,
                                 .slots = one->slots,
                                 .meta = one->meta,
                                 .meta_size = one->meta_size};
}

bool remembered_find(const struct node *node, const char *name, struct state_member *ret)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    list_for_each (link, &node->remembered) {
        const struct remembered *one = list_entry(link, struct remembered, link);
        if (strcmp(one->name, name) != 0 || swim_find(swim, &one->id))
            continue;
        *ret = describe(one);
        return true;
    }
    return false;
}

/* --- At start --- */

static bool is_expired(const struct node *node, const struct remembered *one, uint64_t wall_usec)
{
    return usec_sub(wall_usec, one->gone_wall_usec) >= node->config->membership.dead_retention_usec;
}

/* Of bytes from the disk: what is no record, as that of an older version, is left out. */
static int keep(struct node *node, const struct state_member *member)
{
    struct record record;

    if (member->meta_size > SWIM_META_MAX || !text_is_node_name(member->name) ||
        node_id_is_null(&member->id) || node_id_is_equal(&member->id, &node->start.id) ||
        record_decode(member->meta, member->meta_size, &record) < 0)
        return 0;
    struct remembered *one = calloc(1, sizeof(*one) + member->meta_size);
    if (!one)
        return -ENOMEM;
    one->id = member->id;
    snprintf(one->name, sizeof(one->name), "%s", member->name);
    snprintf(one->address, sizeof(one->address), "%s", member->address);
    one->gone_wall_usec = member->gone_wall_usec > 0
                              ? MIN(member->gone_wall_usec, node->started_wall_usec)
                              : node->started_wall_usec;
    one->slots = (uint16_t)MIN(member->slots, (uint64_t)UINT16_MAX);
    one->meta_size = (uint16_t)member->meta_size;
    memcpy(one->meta, member->meta, member->meta_size);
    list_append(&node->remembered, &one->link);
    return 0;
}

/* Members of the last run are asked too: the seeds may be gone. */
static int load(const struct state_member *member, void *data)
{
    struct node *node = data;
    struct address address;

    if (address_parse(member->address, 0, &address) < 0)
        return 0;
    cluster_remember(node->cluster, &address);
    return keep(node, member);
}

int remembered_load(struct node *node)
{
    return state_load_members(node->state, load, node);
}

void remembered_take_up(struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    struct record record;

    list_for_each (link, &node->remembered) {
        const struct remembered *one = list_entry(link, struct remembered, link);
        if (swim_find(swim, &one->id) || record_decode(one->meta, one->meta_size, &record) < 0)
            continue;
        struct swim_member member = {
            .id = one->id, .name = one->name, .state = SWIM_DEAD, .load = {.slots = one->slots}};
        tasks_set_member(node->tasks, &member, &record);
    }
}

/* --- Later --- */

void remembered_tick(struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    list_for_each_safe (link, &node->remembered) {
        struct remembered *one = list_entry(link, struct remembered, link);
        /* Of those that the core knows, it says itself when they are gone for good. */
        if (swim_find(swim, &one->id) || !is_expired(node, one, node_wall(node)))
            continue;
        tasks_remove_member(node->tasks, &one->id);
        remembered_drop(node, &one->id);
    }
}

int remembered_get_record(const struct node *node, const struct swim_member *member,
                          struct record *ret)
{
    const struct remembered *one = NULL;

    if (!is_there(member) && member->meta_size == 0)
        one = find(node, &member->id);
    return one ? record_decode(one->meta, one->meta_size, ret) : node_get_record(member, ret);
}

void remembered_tell_tasks(struct node *node, const struct swim_member *member)
{
    struct swim_member told = *member;
    struct remembered *one = find(node, &member->id);
    struct record record;

    bool is_readable = remembered_get_record(node, member, &record) >= 0;
    if (one && member->meta_size > 0)
        forget(one);
    else if (one && !is_there(member))
        told.load.slots = one->slots;
    tasks_set_member(node->tasks, &told, is_readable ? &record : NULL);
}

/* --- To the disk --- */

struct snapshot {
    struct state_member members[CLUSTER_REMEMBERED_MAX];
    char addresses[CLUSTER_REMEMBERED_MAX][ADDRESS_TEXT_MAX];
    size_t count;
};

/* The dead, too: who restarts while it is cut off has no others to come back to. */
static void add_members(const struct node *node, bool is_dead, struct snapshot *snapshot)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        const struct remembered *one = member->meta_size == 0 ? find(node, &member->id) : NULL;
        size_t n = snapshot->count;
        if (member->is_self || member->state == SWIM_LEFT || n == CLUSTER_REMEMBERED_MAX ||
            (member->state == SWIM_DEAD) != is_dead)
            continue;
        address_format(&member->address, snapshot->addresses[n]);
        snapshot->members[n] = (struct state_member){
            .id = member->id,
            .name = member->name,
            .address = snapshot->addresses[n],
            .gone_wall_usec = is_dead ? node_wall_of(node, member->changed_usec) : 0,
            .slots = one ? one->slots : member->load.slots,
            .meta = one ? one->meta : swim_get_meta(member),
            .meta_size = one ? one->meta_size : member->meta_size};
        snapshot->count++;
    }
}

static void add_unheard(const struct node *node, struct snapshot *snapshot)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    list_for_each (link, &node->remembered) {
        const struct remembered *one = list_entry(link, struct remembered, link);
        if (snapshot->count < CLUSTER_REMEMBERED_MAX && !swim_find(swim, &one->id))
            snapshot->members[snapshot->count++] = describe(one);
    }
}

int remembered_save(struct node *node)
{
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;
    int r = state_batch_new(&batch);

    if (r < 0)
        return r;
    /* Too large for the stack, which never gets smaller. */
    _cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot)
        return -ENOMEM;
    add_members(node, false, snapshot);
    add_members(node, true, snapshot);
    add_unheard(node, snapshot);
    state_put_members(batch, snapshot->members, snapshot->count);
    return state_commit(node->state, &batch);
}
