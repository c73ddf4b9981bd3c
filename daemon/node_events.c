/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "journal.h"
#include "remembered.h"
#include "swim/render.h"

#define PEERS_TEXT_MAX 1024

void node_watch(struct node *node, struct node_watch *watch)
{
    list_append(&node->watches, &watch->link);
}

const struct swim_member *node_find_member(const struct node *node, const char *name)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    return name ? swim_find_name(swim, name) : swim_get_self(swim);
}

int node_get_record(const struct swim_member *member, struct record *ret)
{
    return record_decode(swim_get_meta(member), member->meta_size, ret);
}

struct address node_find_address(const struct node_id *id, void *data)
{
    const struct node *node = data;
    const struct swim_member *member = swim_find(cluster_get_swim(node->cluster), id);

    return member ? member->address : (struct address){0};
}

void node_on_load(const struct swim_load *load, void *data)
{
    struct node *node = data;

    cluster_set_load(node->cluster, load);
}

/* "lab-01 10.0.4.11:7717, lab-03 10.0.4.13:7717, ..." */
static void format_peers(const struct swim *swim, char target[static PEERS_TEXT_MAX])
{
    char address[ADDRESS_TEXT_MAX];
    size_t used = 0;

    target[0] = '\0';
    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->is_self)
            continue;
        int size = snprintf(target + used, PEERS_TEXT_MAX - used, "%s%s %s", used > 0 ? ", " : "",
                            member->name, address_format(&member->address, address));
        if (size < 0 || (size_t)size >= PEERS_TEXT_MAX - used - 4) {
            strcpy(target + used, used > 0 ? "..." : "");
            return;
        }
        used += (size_t)size;
    }
}

static void tell_peer_list(const struct node *node, const struct swim_event *event)
{
    char peers[PEERS_TEXT_MAX];
    const char *name = event->member ? event->member->name : NULL;

    format_peers(cluster_get_swim(node->cluster), peers);
    journal_peer_list(name, event->member ? &event->member->address : &event->address, event->count,
                      peers);
}

/* "Dead Node:..." in the name of the accuser, at every node that hears of it. */
static void tell_dead(const struct node *node, const struct swim_event *event)
{
    char line[RENDER_TEXT_MAX];
    const struct swim_member *by =
        event->by ? event->by : swim_get_self(cluster_get_swim(node->cluster));

    render_dead_node(&event->member->address,
                     event->wall_usec > 0 ? event->wall_usec : node_wall(node), &by->address, line);
    journal_member_dead(event->member, event->by, event->text, line);
}

static void lose_transfers(const struct node *node, const struct swim_member *member)
{
    char reason[NODE_NAME_MAX + 16];

    snprintf(reason, sizeof(reason), "%s is dead", member->name);
    if (node->transfers)
        transfers_lose(node->transfers, &member->id, reason);
}

static void tell_suspect(const struct node *node, const struct swim_event *event)
{
    bool is_ours = event->by && event->by->is_self;

    journal_member_suspect(event->member, event->by,
                           is_ours ? node->config->membership.max_missed : 0, event->text);
}

static void tell_dead_report(const struct swim_event *event)
{
    char line[RENDER_TEXT_MAX];

    render_dead_node(&event->address, event->wall_usec,
                     event->by ? &event->by->address : &(struct address){0}, line);
    journal_dead_report(&(struct journal_report){.name = event->name,
                                                 .address = &event->address,
                                                 .by = event->by ? event->by->name : NULL,
                                                 .through = event->text,
                                                 .line = line});
}

static void tell_liveness(const struct node *node, const struct swim_event *event)
{
    char line[RENDER_TEXT_MAX];
    const struct address *self = &swim_get_self(cluster_get_swim(node->cluster))->address;
    const struct address *other = event->member ? &event->member->address : &event->address;
    const struct address *sender = event->is_outgoing ? self : other;
    bool is_request = event->type == SWIM_EVENT_LIVENESS_REQUEST;

    if (is_request)
        render_liveness_request(event->wall_usec, sender, line);
    else
        render_liveness_reply(event->wall_usec, event->is_outgoing ? other : self,
                              event->is_outgoing ? self : other, line);
    journal_liveness(event->member ? event->member->name : NULL, is_request, event->is_outgoing,
                     line);
}

static void tell_gossip(const struct swim_event *event)
{
    char line[RENDER_TEXT_MAX];

    render_gossip(event->wall_usec, &event->address, event->number, line);
    journal_gossip(event->name, event->number, line);
}

static void tell_seed_unreachable(const struct swim_event *event)
{
    char address[ADDRESS_TEXT_MAX];

    journal_seed_unreachable(address_format(&event->address, address));
}

/* As in status's problems. */
static void tell_freeze(const struct swim_event *event)
{
    char text[128];

    snprintf(text, sizeof(text), "I may be the one cut off: %u members are suspect at once",
             event->count);
    journal_problem("cut-off", NULL, event->count > 0 ? text : "I may have been the one cut off",
                    event->count == 0);
}

static void take_message(struct node *node, const struct swim_event *event)
{
    journal_message(event->name, event->text, event->is_broadcast);
    history_add_message(node->history, event->name, event->text,
                        event->wall_usec > 0 ? event->wall_usec : node_wall(node));
}

static void tell(struct node *node, const struct swim_event *event)
{
    switch (event->type) {
    case SWIM_EVENT_JOIN_REQUEST:
        journal_join_request(event->name, &event->address);
        break;
    case SWIM_EVENT_PEER_LIST:
        tell_peer_list(node, event);
        break;
    case SWIM_EVENT_SEED_UNREACHABLE:
        tell_seed_unreachable(event);
        break;
    case SWIM_EVENT_MEMBER_JOINED:
        journal_member_joined(event->member);
        break;
    case SWIM_EVENT_MEMBER_SUSPECT:
        tell_suspect(node, event);
        break;
    case SWIM_EVENT_MEMBER_ALIVE:
        journal_member_alive(event->member);
        break;
    case SWIM_EVENT_MEMBER_DEAD:
        tell_dead(node, event);
        lose_transfers(node, event->member);
        break;
    case SWIM_EVENT_MEMBER_LEFT:
        journal_member_left(event->member);
        break;
    case SWIM_EVENT_MEMBER_REAPED:
        journal_member_reaped(event->member);
        break;
    case SWIM_EVENT_DEAD_REPORT:
        tell_dead_report(event);
        break;
    case SWIM_EVENT_REPORTED:
        journal_dead_report(&(struct journal_report){.name = event->name,
                                                     .address = &event->address,
                                                     .seeds = event->text,
                                                     .has_acked = !event->is_fatal});
        break;
    case SWIM_EVENT_NAME_CONFLICT:
        journal_name_conflict(event->name, &event->address, event->by ? &event->by->address : NULL);
        break;
    case SWIM_EVENT_ID_CONFLICT:
        journal_id_conflict(&node->start.id, &event->address, event->is_fatal);
        break;
    case SWIM_EVENT_GOSSIP:
        tell_gossip(event);
        break;
    case SWIM_EVENT_MESSAGE:
        take_message(node, event);
        break;
    case SWIM_EVENT_LIVENESS_REQUEST:
    case SWIM_EVENT_LIVENESS_REPLY:
        tell_liveness(node, event);
        break;
    case SWIM_EVENT_FREEZE:
        tell_freeze(event);
        break;
    case SWIM_EVENT_JOINED:
    case SWIM_EVENT_MEMBER_UPDATED:
    case SWIM_EVENT_MESSAGE_ACKED:
    case SWIM_EVENT_PING:
    case SWIM_EVENT_LEFT:
        break;
    }
}

static bool is_about_member(enum swim_event_type type)
{
    switch (type) {
    case SWIM_EVENT_MEMBER_JOINED:
    case SWIM_EVENT_MEMBER_SUSPECT:
    case SWIM_EVENT_MEMBER_ALIVE:
    case SWIM_EVENT_MEMBER_DEAD:
    case SWIM_EVENT_MEMBER_LEFT:
    case SWIM_EVENT_MEMBER_UPDATED:
        return true;
    default:
        return false;
    }
}

static void update_member(struct node *node, const struct swim_event *event)
{
    if (event->type == SWIM_EVENT_MEMBER_REAPED)
        tasks_remove_member(node->tasks, &event->member->id);
    else
        remembered_tell_tasks(node, event->member);
    if (event->type == SWIM_EVENT_MEMBER_REAPED || event->type == SWIM_EVENT_MEMBER_LEFT)
        remembered_drop(node, &event->member->id);
    node->members_changed = true;
    node->keys_are_settled = false;
    node->status_changed = true;
}

/* Connections with somebody who is dead would stay silent for long, and so would those of an
 * address that somebody, or this node, no longer has. */
static void drop_connections(struct node *node, const struct swim_event *event)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    if (event->type == SWIM_EVENT_MEMBER_DEAD)
        peers_lose(node->peers, &event->member->id, -EHOSTDOWN);
    if (!event->has_moved)
        return;
    if (!event->member->is_self)
        peers_lose(node->peers, &event->member->id, -EHOSTUNREACH);
    else
        for (size_t i = 0; i < swim_members_count(swim); i++)
            peers_lose(node->peers, &swim_member_at(swim, i)->id, -EADDRNOTAVAIL);
}

void node_on_swim_event(const struct swim_event *event, void *data)
{
    struct node *node = data;

    tell(node, event);
    conflict_hear(node, event);
    /* Not before everything is built: the core speaks up while it is being set up. */
    if (node->tasks && event->member &&
        (is_about_member(event->type) || event->type == SWIM_EVENT_MEMBER_REAPED)) {
        update_member(node, event);
        drop_connections(node, event);
    }
    if (event->type == SWIM_EVENT_LIVENESS_REPLY && !event->is_outgoing)
        histogram_add(&node->rtt, &histogram_network, event->rtt_usec);
    if (event->type == SWIM_EVENT_LIVENESS_REQUEST && !event->is_outgoing && event->member)
        clocks_hear(&node->clocks, &event->member->id, event->wall_usec, node_wall(node),
                    node_now(node));
    if (event->type == SWIM_EVENT_JOINED)
        node->has_joined = true;
    if (event->type == SWIM_EVENT_LEFT)
        node->has_left = true;
    list_for_each_safe (link, &node->watches) {
        struct node_watch *watch = list_entry(link, struct node_watch, link);
        watch->on_event(event, watch->data);
    }
}

/* --- Connections --- */

static void on_frame(const struct node_id *from, cJSON *header, const void *body, size_t body_size,
                     void *data)
{
    struct node *node = data;

    if (!tasks_on_frame(node->tasks, from, header, body, body_size))
        (void)remote_on_frame(node->remote, from, header, body, body_size);
}

static void on_lost(const struct node_id *id, int r, void *data)
{
    struct node *node = data;

    tasks_on_lost(node->tasks, id);
    remote_on_lost(node->remote, id, r);
}

static void on_drained(const struct node_id *id, void *data)
{
    struct node *node = data;

    tasks_on_drained(node->tasks, id);
}

static void on_connection(const struct node_id *id, const struct address *address, const char *what,
                          int r, void *data)
{
    struct node *node = data;
    const struct swim_member *member = swim_find(cluster_get_swim(node->cluster), id);

    journal_connection(member ? member->name : NULL, address, tls_protocol_name(TLS_PROTOCOL_TASK),
                       what, r < 0 ? strerror(-r) : NULL);
    if (strcmp(what, "opened") == 0)
        tasks_on_connected(node->tasks, id);
    else if (strcmp(what, "failed") == 0)
        tasks_on_unreachable(node->tasks, id);
}

const struct peers_handler node_peers_handler = {
    .on_frame = on_frame,
    .on_lost = on_lost,
    .on_drained = on_drained,
    .on_connection = on_connection,
    .find_address = node_find_address,
};
