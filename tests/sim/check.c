/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "swim/kept.h"
#include "link.h"
#include "trace.h"

#define BURST_PACKETS_MAX   128 /* a tick after a pause has copies of several broadcasts to send */
#define BURST_EVENTS_MAX    32  /* and one per member, for a page or a reaping of all */
#define INPUTS_BASE         600 /* per second: an inbox after a pause */
#define INPUTS_PER_NODE     20
#define SCAN_CROWD          1000
#define SCAN_SMALL          8 /* a world of so many is looked at after every step */
#define SCAN_PER_STEP       4 /* members that a larger one costs per step, a crowd a quarter of it */
#define TOLD_MAX            256 /* messages that a node may not hear again */
#define SAID_MAX            32  /* broadcasts that are looked after, half of what a node keeps */
#define SAID_BYTES          32
#define HEALTH_MULTIPLE_MAX 9 /* by which Lifeguard stretches a probe at most */

/* What one node held of another when it was last looked at; a crowd has 25 million of them. Both
 * halves of an incarnation are small here. */
struct view {
    uint32_t generation;
    uint32_t counter;
    uint16_t scan; /* in which it was last there */
    enum swim_state state;
    bool is_present;
};

/* What one node has heard, as hashes in a ring. */
struct told {
    uint64_t hashes[TOLD_MAX];
    struct node_id origins[TOLD_MAX];
    size_t count;
};

/* One broadcast. */
struct said {
    char text[SAID_BYTES];
    const struct sim_node *author; /* borrowed */
    usec_t sent_usec;
    bool is_forgotten; /* by its author, who restarted */
    bool *heard;       /* owned, by node */
};

struct check {
    size_t nodes_max;
    struct view *views;            /* owned, [observer * nodes_max + subject] */
    struct swim_incarnation *used; /* owned, the highest that each ever used */
    uint16_t *scans;               /* owned, scans of each observer */
    struct told *told;             /* owned, by observer */
    bool *reached;                 /* owned, by observer */
    struct said said[SAID_MAX];    /* a ring */
    size_t said_count;
    char expected[SWIM_MESSAGE_MAX + 1]; /* the text that is counted */
    char difference[256];
    size_t different_node, different_subject; /* where views differed last */
};

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

static int compare_incarnations(const struct swim_incarnation *a, const struct swim_incarnation *b)
{
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    return a->counter == b->counter ? 0 : a->counter < b->counter ? -1 : 1;
}

void check_started(struct sim_node *node)
{
    struct check *check = node->sim->check;

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

static double members_log10(const struct sim *sim)
{
    return log10((double)sim->nodes_count + 1);
}

/* As long as a suspicion that nobody confirms, and what Lifeguard adds. */
static usec_t suspicion_max_usec(const struct sim *sim)
{
    const struct swim_config *config = &sim->options.config;
    double intervals =
        config->suspicion_mult * MAX(1.0, members_log10(sim)) * config->suspicion_max;

    return (usec_t)(intervals * (double)config->probe_interval_usec);
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
        node->sim->accusations += event->by && event->by->is_self;
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
    int order = compare_incarnations(&member->incarnation, &before);

    if (subject->cluster != node->cluster)
        sim_fail(sim, node, "merge: knows %s of the other cluster", subject->name);
    if (compare_incarnations(&member->incarnation, used) > 0)
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

static void scan_views(struct sim_node *node)
{
    struct sim *sim = node->sim;
    uint16_t scan = ++sim->check->scans[node->index];
    size_t count = swim_members_count(node->swim);

    for (size_t i = 0; i < count; i++)
        check_member(node, swim_member_at(node->swim, i), scan);
    for (size_t i = 0; i < sim->nodes_count; i++) {
        struct view *view = view_of(node, sim->nodes[i]);
        if (view->is_present && view->scan != scan)
            sim_fail(sim, node, "vanished: no longer knows %s", sim->nodes[i]->name);
    }
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

void check_step(struct sim_node *node, size_t packets_count, size_t events_count)
{
    struct sim *sim = node->sim;
    const struct swim_member *self = swim_get_self(node->swim);
    struct swim_incarnation *used = &sim->check->used[node->index];

    if (packets_count > BURST_PACKETS_MAX || events_count > BURST_EVENTS_MAX + sim->nodes_count)
        sim_fail(sim, node, "burst: one input makes %zu packets and %zu events", packets_count,
                 events_count);
    if (compare_incarnations(&self->incarnation, used) > 0)
        *used = self->incarnation;
    count_input(node);
    size_t period = sim->nodes_count <= SCAN_SMALL ? 1 : sim->nodes_count / SCAN_PER_STEP;
    if (sim->nodes_count > SCAN_CROWD)
        period *= 4;
    if (node->steps++ % period == 0)
        scan_views(node);
}

static bool is_settled(const struct sim_node *node)
{
    return sim_is_running(node) && !node->is_leaving;
}

/* What @node has wrong about @subject, or NULL. */
static const char *compare_view(const struct sim_node *node, const struct sim_node *subject)
{
    const struct swim_member *member = swim_find(node->swim, &subject->id);

    if (!is_settled(subject))
        return member && member->state < SWIM_DEAD ? trace_state_name(member->state) : NULL;
    if (!member)
        return "unknown";
    if (member->state != SWIM_ALIVE)
        return trace_state_name(member->state);
    const struct swim_member *own = swim_get_self(subject->swim);
    if (compare_incarnations(&member->incarnation, &own->incarnation) != 0)
        return "at another incarnation";
    /* What it listens on may be all that a node knows of itself; the others know better. */
    bool is_learning = node == subject && node->is_wildcard;
    if (!is_learning && !address_is_equal(&member->address, &subject->address))
        return "at another address";
    if (member->meta_size != subject->meta_size ||
        memcmp(swim_get_meta(member), subject->meta, subject->meta_size) != 0)
        return "with another record";
    return strcmp(member->name, subject->label) == 0 ? NULL : "under another name";
}

/* Return: whether @node has something wrong about @subject, which then is told. */
static bool differs(const struct sim *sim, size_t node_index, size_t subject_index)
{
    const struct sim_node *node = sim->nodes[node_index], *subject = sim->nodes[subject_index];
    struct check *check = sim->check;
    const char *wrong = NULL;

    if (is_settled(node) && node->cluster == subject->cluster)
        wrong = compare_view(node, subject);
    if (!wrong)
        return false;
    check->different_node = node_index;
    check->different_subject = subject_index;
    snprintf(check->difference, sizeof(check->difference), "%s has %s, which is %s, as %s",
             node->name, subject->name, is_settled(subject) ? "alive" : "gone", wrong);
    return true;
}

/* What differed the last time probably still does: whoever waits asks often. */
const char *check_difference(const struct sim *sim)
{
    const struct check *check = sim->check;
    size_t first = check->different_node;

    if (differs(sim, first, check->different_subject))
        return check->difference;
    for (size_t i = 0; i < sim->nodes_count; i++)
        for (size_t j = 0; j < sim->nodes_count; j++)
            if (differs(sim, (first + i) % sim->nodes_count, j))
                return check->difference;
    return NULL;
}

/*
 * A death is noticed, suspected and told: c * log n intervals and one suspicion. Two halves meet
 * again when one asks a seed or one of its dead, which may take some turns.
 */
usec_t check_settle_usec(const struct sim *sim)
{
    const struct swim_config *config = &sim->options.config;
    double intervals = 5 * log2((double)sim->nodes_count + 1);

    return (usec_t)(intervals * (double)config->probe_interval_usec) + suspicion_max_usec(sim) +
           3 * config->rejoin_interval_usec;
}

void check_expect(struct sim *sim, const char *text)
{
    snprintf(sim->check->expected, sizeof(sim->check->expected), "%s", text);
    memset(sim->check->reached, 0, sim->check->nodes_max * sizeof(bool));
}

size_t check_reached(const struct sim *sim)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->nodes_count; i++)
        count += sim->check->reached[i];
    return count;
}

void check_said(struct sim_node *node, const char *text)
{
    struct check *check = node->sim->check;
    struct said *said = &check->said[check->said_count++ % SAID_MAX];

    snprintf(said->text, sizeof(said->text), "%s", text);
    said->author = node;
    said->sent_usec = node->sim->now;
    said->is_forgotten = false;
    memset(said->heard, 0, check->nodes_max * sizeof(*said->heard));
}

/* Who has not heard it though somebody could tell; NULL: nobody. */
static const struct sim_node *find_unhearing(const struct sim *sim, const struct said *said)
{
    const struct sim_node *found = NULL;
    bool is_kept = false;

    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (!is_settled(node) || node->cluster != said->author->cluster)
            continue;
        if (said->heard[i] || (node == said->author && !said->is_forgotten))
            is_kept = true;
        else if (node != said->author)
            found = node;
    }
    return is_kept ? found : NULL;
}

const char *check_unheard(const struct sim *sim)
{
    struct check *check = sim->check;

    for (size_t i = 0; i < MIN(check->said_count, (size_t)SAID_MAX); i++) {
        const struct said *said = &check->said[i];
        /* A clock that runs fast forgets it earlier. */
        const struct sim_node *node =
            sim->now - said->sent_usec < KEPT_USEC / 10 * 9 ? find_unhearing(sim, said) : NULL;
        if (!node)
            continue;
        snprintf(check->difference, sizeof(check->difference), "\"%s\" of %s is not heard by %s",
                 said->text, said->author->name, node->name);
        return check->difference;
    }
    return NULL;
}
