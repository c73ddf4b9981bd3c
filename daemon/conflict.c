/* SPDX-License-Identifier: MIT */
#include "conflict.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include "base/log.h"
#include "journal.h"
#include "node.h"

#define START_USEC (30 * USEC_PER_SEC) /* so long after its start a node may still refuse */

/* Both sides come to the same answer. */
static bool is_later(const struct swim_member *own, const struct swim_member *other)
{
    if (own->incarnation.generation != other->incarnation.generation)
        return own->incarnation.generation > other->incarnation.generation;
    return memcmp(&own->id, &other->id, sizeof(own->id)) > 0;
}

static void hear_name(struct node *node, const struct swim_event *event)
{
    const struct swim_member *own = swim_get_self(cluster_get_swim(node->cluster));
    const struct swim_member *other = event->member == own ? event->by : event->member;
    bool is_ours = event->member == own || event->by == own;

    if (!is_ours || !other || node->renewal.wall_usec > 0 || node->conflict.is_refused ||
        usec_sub(node_wall(node), node->started_wall_usec) > START_USEC || !is_later(own, other))
        return;
    node->conflict.has_rival = true;
    node->conflict.rival = other->id;
}

static void refuse(struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    const struct swim_member *own = swim_get_self(swim);
    const struct swim_member *other = swim_find(swim, &node->conflict.rival);
    char text[ADDRESS_TEXT_MAX], other_text[ADDRESS_TEXT_MAX];

    if (!other)
        return;
    log_error("The name %s is in use by the node at %s, which was there before this one at %s",
              own->name, address_format(&other->address, other_text),
              address_format(&own->address, text));
    log_error("hint: give this node another name with node.name");
    node->conflict.is_refused = true;
    node_stop(node, "its name is in use");
}

/* Without room on the disk it is tried again when the conflict is told again. */
static void renew_id(struct node *node, const struct address *rival)
{
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;
    struct origin_statistics statistics = {0};
    sd_id128_t random;
    struct node_id id;
    int r = sd_id128_randomize(&random);

    if (r >= 0)
        r = state_batch_new(&batch);
    if (r < 0)
        return;
    memcpy(id.bytes, random.bytes, sizeof(id.bytes));
    state_put_id(batch, &id);
    r = state_commit(node->state, &batch);
    if (r < 0) {
        log_error_errno(r, "Cannot store a new id: %m");
        return;
    }
    /* The store writes what waits when it is closed, before the node is made anew. */
    if (node->tasks)
        origin_get_statistics(tasks_get_origin(node->tasks), &statistics);
    node->conflict.renewal = (struct renewal){.wall_usec = node_wall(node),
                                              .id = node->start.id,
                                              .rival = *rival,
                                              .tasks = statistics.pending + statistics.running};
    (void)sd_event_exit(node->event, 0);
}

void conflict_describe_renewal(const struct renewal *renewal, char ret[static CONFLICT_TEXT_MAX])
{
    char uuid[NODE_ID_TEXT_MAX], address[ADDRESS_TEXT_MAX], tasks[128] = "";

    if (renewal->tasks > 0)
        snprintf(tasks, sizeof(tasks),
                 ", and %u task%s that had not ended run%s there, too: p2pctl task list; cancel "
                 "what is there twice",
                 renewal->tasks, PLURAL(renewal->tasks), renewal->tasks == 1 ? "s" : "");
    snprintf(ret, CONFLICT_TEXT_MAX,
             "the node at %s has the id %s, which was this one's: the state directory of one is a "
             "copy of the other's. This node took a new id%s",
             address_format(&renewal->rival, address), node_id_format(&renewal->id, uuid), tasks);
}

void conflict_tell_renewal(const struct node *node)
{
    char text[CONFLICT_TEXT_MAX];

    if (node->renewal.wall_usec == 0)
        return;
    conflict_describe_renewal(&node->renewal, text);
    journal_problem("id-conflict", NULL, text, false);
}

void conflict_hear(struct node *node, const struct swim_event *event)
{
    struct conflict *conflict = &node->conflict;

    switch (event->type) {
    case SWIM_EVENT_ID_CONFLICT:
        if (event->is_fatal && !conflict_has_lost_id(conflict))
            renew_id(node, &event->address);
        return;
    case SWIM_EVENT_NAME_CONFLICT:
        hear_name(node, event);
        return;
    case SWIM_EVENT_PING:
        if (!conflict->is_asking || event->token != conflict->token)
            return;
        conflict->is_asking = false;
        if (event->rtt_usec == USEC_INFINITY)
            return;
        conflict->has_rival = false;
        refuse(node);
        return;
    default:
        return;
    }
}

void conflict_turn(struct node *node)
{
    struct conflict *conflict = &node->conflict;
    const struct swim_member *other;

    if (!conflict->has_rival || conflict->is_asking)
        return;
    other = swim_find(cluster_get_swim(node->cluster), &conflict->rival);
    /* It is asked again for as long as it is held for live. */
    if (!other || (other->state != SWIM_ALIVE && other->state != SWIM_SUSPECT) ||
        cluster_ping(node->cluster, &conflict->rival, &conflict->token) < 0)
        conflict->has_rival = false;
    else
        conflict->is_asking = true;
}
