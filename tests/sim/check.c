/* SPDX-License-Identifier: MIT */
#include "check_core.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "link.h"
#include "trace.h"

#define BURST_PACKETS_MAX   128 /* a tick after a pause has copies of several broadcasts to send */
#define BURST_EVENTS_MAX    32  /* and one per member, for a page or a reaping of all */
#define INPUTS_BASE         600 /* per second: an inbox after a pause */
#define INPUTS_PER_NODE     20
#define SCAN_CROWD          1000
#define SCAN_SMALL          8 /* a world of so many is looked at after every step */
#define SCAN_PER_STEP       4 /* members that a larger one costs per step, a crowd a quarter of it */
#define HEALTH_MULTIPLE_MAX 9 /* by which Lifeguard stretches a probe at most */
/* A rush is over after a minute; who is alone does not look at its clock more often. */
#define RUSH_MAX_USEC (USEC_PER_MIN + 15 * USEC_PER_SEC)

int check_new(size_t nodes_max, struct check **ret)
{
    _cleanup_(check_freep) struct check *check = calloc(1, sizeof(*check));

    if (!check)
        return -ENOMEM;
    check->nodes_max = nodes_max;
    check->views = calloc(nodes_max * nodes_max, sizeof(*check->views));
    check->used = calloc(nodes_max, sizeof(*check->used));
    check->scans = calloc(nodes_max, sizeof(*check->scans));
    check->told = calloc(nodes_max, sizeof(*check->told));
    check->reached = calloc(nodes_max, sizeof(*check->reached));
    if (!check->views || !check->used || !check->scans || !check->told || !check->reached)
        return -ENOMEM;
    for (size_t i = 0; i < SAID_MAX; i++)
        if (!(check->said[i].heard = calloc(nodes_max, sizeof(bool))))
            return -ENOMEM;
    *ret = TAKE_PTR(check);
    return 0;
}

struct check *check_free(struct check *check)
{
    if (!check)
        return NULL;
    free(check->views);
    free(check->used);
    free(check->scans);
    free(check->told);
    free(check->reached);
    for (size_t i = 0; i < SAID_MAX; i++)
        free(check->said[i].heard);
    free(check);
    return NULL;
}

static struct view *view_of(const struct sim_node *observer, const struct sim_node *subject)
{
    struct check *check = observer->sim->check;

    return &check->views[observer->index * check->nodes_max + subject->index];
}

void check_started(struct sim_node *node)
{
    struct check *check = node->sim->check;

    node->rushed_usec = 0;
    memset(&check->views[node->index * check->nodes_max], 0,
           check->nodes_max * sizeof(struct view));
    check->told[node->index].count = 0;
    check->reached[node->index] = false;
    for (size_t i = 0; i < SAID_MAX; i++) {
        check->said[i].heard[node->index] = false;
        check->said[i].is_forgotten |= check->said[i].author == node;
    }
}

void check_packet(struct sim_node *node, const struct swim_packet *packet)
{
    size_t limit = node->sim->options.config.packet_size_max;

    if (!packet->data || packet->size == 0 || packet->size > limit)
        sim_fail(node->sim, node, "size: a packet has %zu bytes, the limit is %zu", packet->size,
                 limit);
}

/* How long after a disturbance an accusation may still come from what was sent during it. */
static usec_t calm_usec(const struct sim *sim)
{
    return 2 * HEALTH_MULTIPLE_MAX * sim->options.config.probe_interval_usec;
}

static bool is_calm(const struct sim *sim, usec_t disturbed_usec, usec_t span)
{
    return disturbed_usec == 0 || sim->now > usec_add(disturbed_usec, span);
}

/* Whether node, subject and the network between them were left alone for @span. */
static bool is_undisturbed(const struct sim_node *node, const struct sim_node *subject, usec_t span)
{
    const struct sim *sim = node->sim;

    return sim_is_running(subject) && !subject->is_leaving &&
           is_calm(sim, sim->disturbed_usec, span) && is_calm(sim, node->disturbed_usec, span) &&
           is_calm(sim, subject->disturbed_usec, span);
}

static void check_verdict(struct sim_node *node, const struct swim_event *event,
                          const struct sim_node *subject)
{
    const struct sim *sim = node->sim;

    if (sim->options.is_mistaken)
        return;
    /* Whoever has just been told of a member may be told of its own accusation in an earlier life;
     * and who looks for it where it was before it moved does not find it. */
    bool is_known = view_of(node, subject)->is_present &&
                    address_is_equal(&event->member->address, &subject->address);
    if (event->type == SWIM_EVENT_MEMBER_SUSPECT && event->by && event->by->is_self && is_known &&
        is_undisturbed(node, subject, calm_usec(sim)))
        sim_fail(node->sim, node, "suspicion: accuses %s, and both were left alone", subject->name);
    if (event->type == SWIM_EVENT_MEMBER_DEAD &&
        is_undisturbed(node, subject, check_settle_usec(sim)))
        sim_fail(node->sim, node, "death: holds %s for dead, and both were left alone",
                 subject->name);
}

/* A restarted origin counts anew, so its clock or its text belongs to what is told only once. */
static uint64_t hash_message(const struct swim_event *event)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ event->number ^ event->wall_usec << 20;

    for (size_t i = 0; i < sizeof(event->origin); i++)
        hash = (hash ^ event->origin.bytes[i]) * UINT64_C(0x100000001b3);
    for (const char *c = event->text ? event->text : ""; *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return hash;
}

/* Return: false where @node was told before. */
static bool remember(struct sim_node *node, const struct swim_event *event)
{
    struct told *told = &node->sim->check->told[node->index];
    uint64_t hash = hash_message(event);

    for (size_t i = 0; i < MIN(told->count, (size_t)TOLD_MAX); i++)
        if (told->hashes[i] == hash)
            return false;
    told->hashes[told->count % TOLD_MAX] = hash;
    told->origins[told->count % TOLD_MAX] = event->origin;
    told->count++;
    return true;
}

/* Whoever forgets a member forgets what it said: news of it that is under way still is news again.
 */
static void forget_origin(const struct sim_node *node, const struct node_id *origin)
{
    struct told *told = &node->sim->check->told[node->index];

    for (size_t i = 0; i < MIN(told->count, (size_t)TOLD_MAX); i++)
        if (node_id_is_equal(&told->origins[i], origin))
            told->hashes[i] = 0;
}

void check_forgotten(struct sim_node *node, const struct sim_node *subject)
{
    view_of(node, subject)->is_present = false;
    forget_origin(node, &subject->id);
}

static void check_message(struct sim_node *node, const struct swim_event *event)
{
    struct check *check = node->sim->check;

    if (!event->text) {
        sim_fail(node->sim, node, "interface: a message without a text");
        return;
    }
    if (!remember(node, event))
        sim_fail(node->sim, node, "repeat: hears \"%s\" again", event->text);
    if (strcmp(event->text, check->expected) == 0)
        check->reached[node->index] = true;
    for (size_t i = 0; i < SAID_MAX; i++)
        if (strcmp(event->text, check->said[i].text) == 0)
            check->said[i].heard[node->index] = true;
    if (node->heard_count < SIM_HEARD_MAX) {
        node->heard[node->heard_count] = strdup(event->text);
        node->heard_count += node->heard[node->heard_count] != NULL;
    }
}

static bool is_about_a_member(enum swim_event_type type)
{
    return type >= SWIM_EVENT_MEMBER_JOINED && type <= SWIM_EVENT_MEMBER_UPDATED;
}

/* Counts a death of somebody who runs. */
static void count_death(const struct sim_node *node, struct sim_node *subject)
{
    const struct link *link = node->sim->link;
    bool is_apart = link_is_cut(link, node->index, subject->index) ||
                    link_is_cut(link, subject->index, node->index);

    if (subject->state == NODE_OFF || subject->is_leaving)
        return;
    subject->lost_count += is_apart;
    if (!is_apart && !subject->is_starved) {
        node->sim->false_deaths++;
        node->sim->false_deaths_healthy += !node->is_starved;
    }
    subject->buried_count += !is_apart;
}

static void count_accusation(const struct sim_node *node, const struct swim_event *event,
                             const struct sim_node *subject)
{
    if (!event->by || !event->by->is_self)
        return;
    node->sim->accusations++;
    node->sim->accusations_alive += sim_is_running(subject) && !subject->is_leaving;
}

void check_event(struct sim_node *node, const struct swim_event *event)
{
    struct sim_node *subject = event->member ? sim_by_id(node->sim, &event->member->id) : NULL;

    if (is_about_a_member(event->type) && !subject) {
        sim_fail(node->sim, node, "ghost: event %d is about nobody", (int)event->type);
        return;
    }
    if (is_about_a_member(event->type))
        check_verdict(node, event, subject);
    switch (event->type) {
    case SWIM_EVENT_MEMBER_SUSPECT:
        count_accusation(node, event, subject);
        break;
    case SWIM_EVENT_MEMBER_DEAD:
        count_death(node, subject);
        break;
    case SWIM_EVENT_MEMBER_REAPED:
        check_forgotten(node, subject);
        break;
    case SWIM_EVENT_JOINED:
        node->has_joined = true;
        break;
    case SWIM_EVENT_DEAD_REPORT:
        if (subject)
            node->told_dead[subject->index] = true;
        break;
    case SWIM_EVENT_NAME_CONFLICT:
        node->conflicts_count++;
        break;
    case SWIM_EVENT_MESSAGE:
        check_message(node, event);
        break;
    case SWIM_EVENT_GOSSIP:
        if (!remember(node, event))
            sim_fail(node->sim, node, "repeat: hears heartbeat %" PRIu64 " again", event->number);
        break;
    case SWIM_EVENT_LEFT:
        node->has_left = node->is_leaving;
        break;
    default:
        break;
    }
}

static void check_member(struct sim_node *node, const struct swim_member *member, uint16_t scan)
{
    struct sim *sim = node->sim;
    const struct sim_node *subject = sim_by_id(sim, &member->id);

    if (!subject) {
        sim_fail(sim, node, "ghost: knows \"%s\", whose id nobody has", member->name);
        return;
    }
    const struct swim_incarnation *used = &sim->check->used[subject->index];
    struct view *view = view_of(node, subject);
    struct swim_incarnation before = {view->generation, view->counter};
    int order = incarnation_compare(&member->incarnation, &before);

    if (subject->cluster != node->cluster)
        sim_fail(sim, node, "merge: knows %s of the other cluster", subject->name);
    if (incarnation_compare(&member->incarnation, used) > 0)
        sim_fail(sim, node,
                 "incarnation: holds %s at %" PRIu64 ".%" PRIu64 ", which never was above %" PRIu64
                 ".%" PRIu64,
                 subject->name, member->incarnation.generation, member->incarnation.counter,
                 used->generation, used->counter);
    if (view->is_present && (order < 0 || (order == 0 && member->state < view->state)))
        sim_fail(sim, node,
                 "order: %s goes from %s to %s at incarnation %" PRIu64 " after %" PRIu64,
                 subject->name, trace_state_name(view->state), trace_state_name(member->state),
                 member->incarnation.counter, before.counter);
    *view = (struct view){
        .generation = (uint32_t)member->incarnation.generation,
        .counter = (uint32_t)member->incarnation.counter,
        .scan = scan,
        .state = member->state,
        .is_present = true,
    };
}

size_t check_fetch(const struct sim_node *node, size_t first,
                   const struct swim_member *ret[static BATCH_MAX])
{
    size_t count = MIN(swim_members_count(node->swim) - first, (size_t)BATCH_MAX);

    for (size_t i = 0; i < count; i++) {
        ret[i] = swim_member_at(node->swim, first + i);
        __builtin_prefetch(&ret[i]->id);
        __builtin_prefetch(&ret[i]->load);
    }
    return count;
}

static void scan_views(struct sim_node *node)
{
    struct sim *sim = node->sim;
    uint16_t scan = ++sim->check->scans[node->index];
    const struct view *views = &sim->check->views[node->index * sim->check->nodes_max];
    const struct swim_member *members[BATCH_MAX];

    for (size_t i = 0, count; i < swim_members_count(node->swim); i += count) {
        count = check_fetch(node, i, members);
        for (size_t j = 0; j < count; j++)
            check_member(node, members[j], scan);
    }
    for (size_t i = 0; i < sim->nodes_count; i++)
        if (views[i].is_present && views[i].scan != scan)
            sim_fail(sim, node, "vanished: no longer knows %s", sim->nodes[i]->name);
}

static void count_input(struct sim_node *node)
{
    usec_t second = node->sim->now / USEC_PER_SEC;

    if (node->inputs_second != second) {
        node->inputs_second = second;
        node->inputs_count = 0;
    }
    if (++node->inputs_count > INPUTS_BASE + INPUTS_PER_NODE * node->sim->nodes_count)
        sim_fail(node->sim, node, "spin: %u inputs in one second", node->inputs_count);
}

static void watch_rush(struct sim_node *node)
{
    if (!swim_is_rushed(node->swim))
        node->rushed_usec = 0;
    else if (node->rushed_usec == 0)
        node->rushed_usec = node->sim->now;
    else if (node->sim->now - node->rushed_usec > RUSH_MAX_USEC)
        sim_fail(node->sim, node, "rush: for %.0f s",
                 (double)(node->sim->now - node->rushed_usec) / USEC_PER_SEC);
}

void check_step(struct sim_node *node, size_t packets_count, size_t events_count)
{
    struct sim *sim = node->sim;
    const struct swim_member *self = swim_get_self(node->swim);
    struct swim_incarnation *used = &sim->check->used[node->index];

    if (packets_count > BURST_PACKETS_MAX || events_count > BURST_EVENTS_MAX + sim->nodes_count)
        sim_fail(sim, node, "burst: one input makes %zu packets and %zu events", packets_count,
                 events_count);
    if (incarnation_compare(&self->incarnation, used) > 0)
        *used = self->incarnation;
    count_input(node);
    watch_rush(node);
    size_t period = sim->nodes_count <= SCAN_SMALL ? 1 : sim->nodes_count / SCAN_PER_STEP;
    if (sim->nodes_count > SCAN_CROWD)
        period *= 4;
    if (node->steps++ % period == 0)
        scan_views(node);
}
