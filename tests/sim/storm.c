/* SPDX-License-Identifier: MIT */
#include "storm.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include "check.h"
#include "link.h"
#include "trace.h"

#define UNDO_MAX        64 /* faults that last at the same time */
#define FOREIGN_NODES   4  /* of the other cluster, where there are two */
#define POLL_USEC       (USEC_PER_SEC / 2)
#define BROADCAST_BYTES 24
#define NEWS_USEC       (5 * USEC_PER_SEC) /* until all know a new record */
/* Of the changes of keys that are drawn: nobody changes them every second. */
#define KEY_CHANGE_SHARE 0.2
#define PACKET_SMALL     480 /* the least that a core is to live with */

/* A fault that ends by itself before the round does. */
struct undo {
    struct heap_entry entry;
    enum sim_fault fault;
    size_t node;
};

struct storm {
    struct sim *sim; /* owned */
    struct rng rng;
    struct heap undos;
    struct undo pool[UNDO_MAX];
    uint32_t kinds; /* faults of this round, as bits */
    usec_t gap_usec;
    usec_t end_usec;
    uint64_t messages_count;
    struct storm_result *result; /* borrowed */
};

static bool draw(struct storm *storm, double probability)
{
    return rng_unit(&storm->rng) < probability;
}

static usec_t draw_between(struct storm *storm, usec_t least, usec_t most)
{
    return least + rng_below(&storm->rng, most - least + 1);
}

static double draw_share(struct storm *storm, double least, double most)
{
    return least + rng_unit(&storm->rng) * (most - least);
}

/* A random node in @state, or NULL. */
static struct sim_node *draw_node(struct storm *storm, enum sim_state state)
{
    struct sim *sim = storm->sim;
    size_t first = (size_t)rng_below(&storm->rng, sim->nodes_count);

    for (size_t i = 0; i < sim->nodes_count; i++) {
        struct sim_node *node = sim->nodes[(first + i) % sim->nodes_count];
        if (node->state == state && !(state == NODE_RUNNING && node->is_leaving))
            return node;
    }
    return NULL;
}

static size_t count_running(const struct sim *sim)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->nodes_count; i++)
        count += sim_is_running(sim->nodes[i]) && !sim->nodes[i]->is_leaving;
    return count;
}

/* Books the end of a fault. Return: false where too many last already. */
static bool book(struct storm *storm, enum sim_fault fault, size_t node, usec_t least, usec_t most)
{
    for (size_t i = 0; i < UNDO_MAX; i++) {
        struct undo *undo = &storm->pool[i];
        if (undo->entry.place > 0)
            continue;
        undo->fault = fault;
        undo->node = node;
        return heap_set(&storm->undos, &undo->entry,
                        storm->sim->now + draw_between(storm, least, most)) >= 0;
    }
    return false;
}

static void clear_cuts(struct link *link)
{
    memset(link->cuts, 0, link->nodes_max * link->nodes_max * sizeof(*link->cuts));
}

static void end_fault(struct storm *storm, const struct undo *undo)
{
    struct sim *sim = storm->sim;
    struct link *link = sim->link;

    switch (undo->fault) {
    case FAULT_LOSS:
        link->loss = 0;
        break;
    case FAULT_DUPLICATION:
        link->duplication = 0;
        break;
    case FAULT_REORDERING:
        link->reordering = 0;
        break;
    case FAULT_BIT_FLIP:
        link->flips = 0;
        break;
    case FAULT_REPLAY:
        link->replays = 0;
        break;
    case FAULT_DELAY:
        link->slow_usec[undo->node] = 0;
        break;
    case FAULT_CUT:
    case FAULT_PARTITION:
        clear_cuts(link);
        break;
    case FAULT_KILL:
    case FAULT_LEAVE:
        if (sim->nodes[undo->node]->state == NODE_OFF) {
            sim_disturb(sim->nodes[undo->node], FAULT_RESTART);
            sim_start(sim->nodes[undo->node]);
        }
        break;
    default:
        sim_resume(sim->nodes[undo->node]);
        break;
    }
}

/* Trouble of the whole network. */
static void disturb_network(struct storm *storm, enum sim_fault fault)
{
    struct sim *sim = storm->sim;
    struct link *link = sim->link;
    bool sides[SIM_NODES_MAX];

    if (!book(storm, fault, 0, 3 * USEC_PER_SEC, USEC_PER_MIN))
        return;
    if (fault == FAULT_LOSS)
        link->loss = draw_share(storm, 0.02, 0.3);
    if (fault == FAULT_DUPLICATION)
        link->duplication = draw_share(storm, 0.05, 0.4);
    if (fault == FAULT_REORDERING) {
        link->reordering = draw_share(storm, 0.1, 0.6);
        link->late_max_usec = draw_between(storm, 20 * USEC_PER_MSEC, USEC_PER_SEC);
    }
    if (fault == FAULT_BIT_FLIP)
        link->flips = draw_share(storm, 0.01, 0.2);
    if (fault == FAULT_REPLAY)
        link->replays = draw_share(storm, 0.01, 0.3);
    if (fault == FAULT_PARTITION) {
        for (size_t i = 0; i < sim->nodes_count; i++)
            sides[i] = draw(storm, 0.5);
        link_partition(link, sides, sim->nodes_count);
        sim_count_fault(sim, fault);
    }
}

/* One way: between two nodes, or everything that one of them should get. */
static void cut_one_way(struct storm *storm)
{
    struct sim *sim = storm->sim;
    size_t target = (size_t)rng_below(&storm->rng, sim->nodes_count);
    bool is_deaf = draw(storm, 0.3);

    if (!book(storm, FAULT_CUT, target, 3 * USEC_PER_SEC, USEC_PER_MIN))
        return;
    for (size_t i = 0; i < sim->nodes_count; i++)
        if (is_deaf || draw(storm, 3.0 / (double)sim->nodes_count))
            link_cut(sim->link, i, target, i != target);
    sim_count_fault(sim, FAULT_CUT);
}

/* Trouble of one running node; at least half of them are left alone. */
static void disturb_node(struct storm *storm, enum sim_fault fault)
{
    struct sim *sim = storm->sim;
    struct sim_node *node = draw_node(storm, NODE_RUNNING);
    bool is_lasting = (fault == FAULT_KILL || fault == FAULT_LEAVE) && draw(storm, 0.25);

    if (!node || (fault != FAULT_DELAY && 2 * count_running(sim) <= sim->nodes_count))
        return;
    if (!is_lasting && !book(storm, fault, node->index, USEC_PER_SEC / 2, USEC_PER_MIN))
        return;
    if (fault == FAULT_DELAY)
        sim->link->slow_usec[node->index] =
            draw_between(storm, 20 * USEC_PER_MSEC, 2 * USEC_PER_SEC);
    if (fault == FAULT_PAUSE)
        sim_pause(node);
    if (fault == FAULT_SUSPEND)
        sim_suspend(node);
    if (fault == FAULT_KILL)
        sim_kill(node);
    if (fault == FAULT_LEAVE)
        sim_leave(node);
}

/* Both sides of a partition may begin one. */
static void change_key(struct storm *storm, struct sim_node *node, enum sim_fault fault)
{
    if (!draw(storm, KEY_CHANGE_SHARE))
        return;
    if (fault == FAULT_KEY_CHANGE_CUT)
        disturb_network(storm, FAULT_PARTITION);
    sim_count_fault(storm->sim, fault);
    sim_change_key(node);
}

/* What is over at once. */
static void disturb_briefly(struct storm *storm, enum sim_fault fault)
{
    struct sim_node *node = draw_node(storm, NODE_RUNNING), *other;

    if (!node)
        return;
    if (fault == FAULT_CLOCK_STEP)
        sim_step_wall(node, (int64_t)draw_between(storm, 0, USEC_PER_HOUR) -
                                (int64_t)(USEC_PER_HOUR / 2));
    if (fault == FAULT_MOVE && !node->is_seed)
        sim_move(node);
    if (fault == FAULT_KEY_CHANGE || fault == FAULT_KEY_CHANGE_CUT)
        change_key(storm, node, fault);
    if (fault != FAULT_TWO_CLUSTERS)
        return;
    other = draw_node(storm, NODE_RUNNING);
    if (other && other->cluster != node->cluster) {
        sim_count_fault(storm->sim, FAULT_TWO_CLUSTERS);
        sim_join(node, &other->address);
    }
}

/* What users do meanwhile; a full queue is a fine answer in a storm. */
static void use(struct storm *storm)
{
    struct sim_node *node = draw_node(storm, NODE_RUNNING);
    struct sim_node *target = draw(storm, 0.5) ? draw_node(storm, NODE_RUNNING) : NULL;
    char text[BROADCAST_BYTES];

    if (!node)
        return;
    if (draw(storm, 0.5)) {
        sim_change_meta(node);
        return;
    }
    snprintf(text, sizeof(text), "storm %llu", (unsigned long long)storm->messages_count++);
    (void)sim_send(node, target, text);
}

static void disturb(struct storm *storm)
{
    enum sim_fault fault = (enum sim_fault)rng_below(&storm->rng, _FAULT_MAX);

    if (!(storm->kinds & 1U << fault))
        return;
    switch (fault) {
    case FAULT_LOSS:
    case FAULT_DUPLICATION:
    case FAULT_REORDERING:
    case FAULT_PARTITION:
    case FAULT_BIT_FLIP:
    case FAULT_REPLAY:
        disturb_network(storm, fault);
        break;
    case FAULT_CUT:
        cut_one_way(storm);
        break;
    case FAULT_DELAY:
    case FAULT_PAUSE:
    case FAULT_SUSPEND:
    case FAULT_KILL:
    case FAULT_LEAVE:
        disturb_node(storm, fault);
        break;
    default:
        disturb_briefly(storm, fault);
        break;
    }
}

static void choose_weather(struct storm *storm)
{
    const uint32_t sealed_only = 1U << FAULT_BIT_FLIP | 1U << FAULT_REPLAY |
                                 1U << FAULT_TWO_CLUSTERS | 1U << FAULT_KEY_CHANGE |
                                 1U << FAULT_KEY_CHANGE_CUT;

    storm->kinds = 0;
    for (int i = 0; i < _FAULT_MAX; i++)
        if (draw(storm, 0.4))
            storm->kinds |= 1U << i;
    if (!storm->sim->options.is_sealed)
        storm->kinds &= ~sealed_only;
    storm->gap_usec = draw_between(storm, 20 * USEC_PER_MSEC, USEC_PER_SEC);
}

static void trouble(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t end = sim->now + draw_between(storm, 20 * USEC_PER_SEC, 3 * USEC_PER_MIN);

    choose_weather(storm);
    while (sim->now < end && !sim->failure) {
        sim_run(sim, sim->now + draw_between(storm, 0, 2 * storm->gap_usec));
        while (heap_deadline(&storm->undos) <= sim->now) {
            struct undo *undo = CONTAINER_OF(heap_first(&storm->undos), struct undo, entry);
            heap_remove(&storm->undos, &undo->entry);
            end_fault(storm, undo);
        }
        disturb(storm);
        if (draw(storm, 0.05))
            use(storm);
    }
}

/* Everything is well again, but for some of the dead. */
static void heal(struct storm *storm)
{
    struct sim *sim = storm->sim;

    for (struct heap_entry *entry; (entry = heap_first(&storm->undos));)
        heap_remove(&storm->undos, entry);
    link_heal(sim->link);
    sim->disturbed_usec = sim->now;
    for (size_t i = 0; i < sim->nodes_count && !sim->failure; i++) {
        struct sim_node *node = sim->nodes[i];
        sim_resume(node);
        if (node->state == NODE_OFF && (node->is_seed || draw(storm, 0.6))) {
            sim_disturb(node, FAULT_RESTART);
            sim_start(node);
        }
    }
}

/* Waits until all views are equal. */
static void settle(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t start = sim->now, limit = check_settle_usec(sim);
    const char *difference = check_difference(sim);

    while (difference && !sim->failure && sim->now < start + limit) {
        sim_run(sim, sim->now + POLL_USEC);
        difference = check_difference(sim);
    }
    if (difference && !sim->failure)
        sim_fail(sim, NULL, "convergence: %.0f s after healing %s", (double)limit / USEC_PER_SEC,
                 difference);
    storm->result->settle_max_usec = MAX(storm->result->settle_max_usec, sim->now - start);
}

static size_t count_cluster(const struct sim *sim, unsigned cluster)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->nodes_count; i++)
        count += sim_is_running(sim->nodes[i]) && sim->nodes[i]->cluster == cluster &&
                 !sim->nodes[i]->is_leaving;
    return count;
}

/* Waits until everybody has heard what was said to all meanwhile. */
static void catch_up(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t limit =
        (usec_t)(8 * log2((double)sim->nodes_count + 1)) * sim->options.config.probe_interval_usec +
        sim->options.config.sync_interval_usec;
    usec_t start = sim->now;
    const char *unheard = check_unheard(sim);

    while (unheard && !sim->failure && sim->now < start + limit) {
        sim_run(sim, sim->now + POLL_USEC);
        unheard = check_unheard(sim);
    }
    if (unheard && !sim->failure)
        sim_fail(sim, NULL, "lost: %.0f s after views were equal %s", (double)limit / USEC_PER_SEC,
                 unheard);
}

/* A message to all, and some time in which nothing may happen. */
static void rest(struct storm *storm)
{
    struct sim *sim = storm->sim;
    struct sim_node *node = draw_node(storm, NODE_RUNNING);
    char text[BROADCAST_BYTES];
    usec_t limit = (usec_t)(4 + 2 * log2((double)sim->nodes_count + 1)) *
                   sim->options.config.probe_interval_usec;

    if (!node || sim->failure)
        return;
    size_t others = count_cluster(sim, node->cluster) - 1;
    snprintf(text, sizeof(text), "calm %llu", (unsigned long long)storm->messages_count++);
    check_expect(sim, text);
    int r = sim_send(node, NULL, text);
    if (r < 0)
        sim_fail(sim, node, "broadcast: refused in a calm cluster: %s", strerror(-r));
    for (usec_t end = sim->now + limit; sim->now < end && !sim->failure;) {
        sim_run(sim, sim->now + POLL_USEC);
        if (check_reached(sim) >= others)
            break;
    }
    if (check_reached(sim) < others && !sim->failure)
        sim_fail(sim, node, "broadcast: reached %zu of %zu in %.1f s", check_reached(sim), others,
                 (double)limit / USEC_PER_SEC);
    sim_run(sim, sim->now + draw_between(storm, 5 * USEC_PER_SEC, 4 * USEC_PER_MIN));
    /* Old keys go in their own time, and that is news for a moment. */
    while (sim->keys_changed_usec > 0 && !sim->failure &&
           sim->now < sim->keys_changed_usec + NEWS_USEC)
        sim_run(sim, sim->keys_changed_usec + NEWS_USEC);
    const char *difference = sim->failure ? NULL : check_difference(sim);
    if (difference)
        sim_fail(sim, NULL, "convergence: undone in a calm cluster: %s", difference);
}

static void choose_config(struct storm *storm, struct swim_config *config)
{
    swim_config_default(config);
    if (draw(storm, 0.5)) {
        config->probe_interval_usec = draw_between(storm, 500 * USEC_PER_MSEC, 2 * USEC_PER_SEC);
        config->probe_timeout_usec = config->probe_interval_usec / draw_between(storm, 2, 5);
    }
    if (draw(storm, 0.5))
        config->suspicion_mult = (uint32_t)draw_between(storm, 2, 6);
    if (draw(storm, 0.25))
        config->dead_retention_usec = draw_between(storm, USEC_PER_MIN, 10 * USEC_PER_MIN);
    if (draw(storm, 0.15))
        config->packet_size_max = PACKET_SMALL;
    if (draw(storm, 0.1))
        config->message_interval_usec = draw_between(storm, 2 * USEC_PER_SEC, USEC_PER_MIN);
}

static int begin(struct storm *storm, const struct storm_options *options)
{
    struct sim_options world = {
        .seed = rng_next(&storm->rng),
        .nodes_max = options->nodes_count + FOREIGN_NODES,
        .is_sealed = options->is_sealed,
        .trace = options->trace,
    };
    int r;

    choose_config(storm, &world.config);
    r = sim_new(&world, &storm->sim);
    if (r < 0)
        return r;
    if (world.config.packet_size_max == PACKET_SMALL)
        sim_count_fault(storm->sim, FAULT_SMALL_MTU);
    size_t seeds = 1 + (size_t)rng_below(&storm->rng, MIN(options->nodes_count, (size_t)5));
    size_t foreign = options->is_sealed && draw(storm, 0.5) ? FOREIGN_NODES : 0;
    for (size_t i = 0; i < options->nodes_count + foreign; i++) {
        struct sim_node *node = sim_add(storm->sim, NULL, i < options->nodes_count ? 0 : 1);
        if (!node)
            return -ENOMEM;
        node->is_seed = i < seeds || i == options->nodes_count;
        node->is_wildcard = draw(storm, 0.1);
    }
    return 0;
}

/* Everybody starts within some seconds, in any order. */
static void start_all(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t gap = draw_between(storm, 0, 100 * USEC_PER_MSEC);

    for (struct sim_node *node; (node = draw_node(storm, NODE_OFF)) && !sim->failure;) {
        sim_start(node);
        sim_run(sim, sim->now + draw_between(storm, 0, gap));
    }
}

static void collect(struct storm *storm)
{
    struct storm_result *result = storm->result;
    struct sim *sim = storm->sim;

    for (size_t i = 0; i < sim->nodes_count; i++)
        if (sim->nodes[i]->state != NODE_OFF)
            sim->node_usec += sim->now - sim->nodes[i]->started_usec;
    result->hash = sim->hash;
    result->steps = sim->steps;
    result->datagrams = sim->datagrams;
    result->node_usec = sim->node_usec;
    memcpy(result->faults, sim->faults, sizeof(result->faults));
    if (sim->failure)
        snprintf(result->failure, sizeof(result->failure), "%s", sim->failure);
}

int storm_run(const struct storm_options *options, struct storm_result *ret)
{
    struct storm_result result = {.seed = options->seed};
    struct storm storm = {.result = &result};
    int r;

    rng_init(&storm.rng, options->seed);
    r = begin(&storm, options);
    if (r >= 0) {
        start_all(&storm);
        settle(&storm);
        catch_up(&storm);
        rest(&storm);
        while (storm.sim->now < options->duration_usec && !storm.sim->failure) {
            trace_note(storm.sim, "round %llu", (unsigned long long)result.rounds++);
            trouble(&storm);
            trace_note(storm.sim, "heals");
            heal(&storm);
            settle(&storm);
            catch_up(&storm);
            rest(&storm);
        }
        collect(&storm);
        *ret = result;
    }
    (void)sim_free(storm.sim);
    heap_done(&storm.undos);
    return r < 0 ? r : 0;
}
