/* SPDX-License-Identifier: MIT */
#include "storm_core.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include "check.h"
#include "link.h"
#include "trace.h"

#define FOREIGN_NODES 4 /* of the other cluster, where there are two */
/* Of the changes of keys that are drawn: nobody changes them every second. */
#define KEY_CHANGE_SHARE 0.2
#define PACKET_SMALL     480 /* the least that a core is to live with */

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
                        storm->sim->now + storm_draw_between(storm, least, most)) >= 0;
    }
    return false;
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
        link_heal_cuts(link);
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
        link->loss = storm_draw_share(storm, 0.02, 0.3);
    if (fault == FAULT_DUPLICATION)
        link->duplication = storm_draw_share(storm, 0.05, 0.4);
    if (fault == FAULT_REORDERING) {
        link->reordering = storm_draw_share(storm, 0.1, 0.6);
        link->late_max_usec = storm_draw_between(storm, 20 * USEC_PER_MSEC, USEC_PER_SEC);
    }
    if (fault == FAULT_BIT_FLIP)
        link->flips = storm_draw_share(storm, 0.01, 0.2);
    if (fault == FAULT_REPLAY)
        link->replays = storm_draw_share(storm, 0.01, 0.3);
    if (fault == FAULT_PARTITION) {
        for (size_t i = 0; i < sim->nodes_count; i++)
            sides[i] = storm_draw(storm, 0.5);
        link_partition(link, sides, sim->nodes_count);
        sim_count_fault(sim, fault);
    }
}

/* One way: between two nodes, or everything that one of them should get. */
static void cut_one_way(struct storm *storm)
{
    struct sim *sim = storm->sim;
    size_t target = (size_t)rng_below(&storm->rng, sim->nodes_count);
    bool is_deaf = storm_draw(storm, 0.3);

    if (!book(storm, FAULT_CUT, target, 3 * USEC_PER_SEC, USEC_PER_MIN))
        return;
    for (size_t i = 0; i < sim->nodes_count; i++)
        if (is_deaf || storm_draw(storm, 3.0 / (double)sim->nodes_count))
            link_cut(sim->link, i, target, i != target);
    sim_count_fault(sim, FAULT_CUT);
}

/* Trouble of one running node; at least half of them are left alone. */
static void disturb_node(struct storm *storm, enum sim_fault fault)
{
    struct sim *sim = storm->sim;
    struct sim_node *node = storm_draw_node(storm, NODE_RUNNING);
    bool is_lasting = (fault == FAULT_KILL || fault == FAULT_LEAVE) && storm_draw(storm, 0.25);

    if (!node || (fault != FAULT_DELAY && 2 * count_running(sim) <= sim->nodes_count))
        return;
    if (!is_lasting && !book(storm, fault, node->index, USEC_PER_SEC / 2, USEC_PER_MIN))
        return;
    if (fault == FAULT_DELAY)
        sim->link->slow_usec[node->index] =
            storm_draw_between(storm, 20 * USEC_PER_MSEC, 2 * USEC_PER_SEC);
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
    if (!storm_draw(storm, KEY_CHANGE_SHARE))
        return;
    if (fault == FAULT_KEY_CHANGE_CUT)
        disturb_network(storm, FAULT_PARTITION);
    sim_count_fault(storm->sim, fault);
    sim_change_key(node);
}

/* Somebody cannot start for a while: with whom that happens while nobody is off, is killed first.
 */
static void break_disk(struct storm *storm, enum sim_fault fault)
{
    struct sim_node *node = storm_draw_node(storm, NODE_OFF);

    if (!node) {
        disturb_node(storm, FAULT_KILL);
        node = storm_draw_node(storm, NODE_OFF);
    }
    if (node)
        sim_start_in_vain(node, fault);
}

/* What is over at once. */
static void disturb_briefly(struct storm *storm, enum sim_fault fault)
{
    struct sim_node *node = storm_draw_node(storm, NODE_RUNNING), *other;

    if (!node)
        return;
    if (fault == FAULT_CLOCK_STEP)
        sim_step_wall(node, (int64_t)storm_draw_between(storm, 0, USEC_PER_HOUR) -
                                (int64_t)(USEC_PER_HOUR / 2));
    if (fault == FAULT_MOVE && !node->is_seed)
        sim_move(node);
    if (fault == FAULT_KEY_CHANGE || fault == FAULT_KEY_CHANGE_CUT)
        change_key(storm, node, fault);
    if (fault != FAULT_TWO_CLUSTERS)
        return;
    other = storm_draw_node(storm, NODE_RUNNING);
    if (other && other->cluster != node->cluster) {
        sim_count_fault(storm->sim, FAULT_TWO_CLUSTERS);
        sim_join(node, &other->address);
    }
}

/* What users do meanwhile; a full queue is a fine answer in a storm. */
static void use(struct storm *storm)
{
    struct sim_node *node = storm_draw_node(storm, NODE_RUNNING);
    struct sim_node *target = storm_draw(storm, 0.5) ? storm_draw_node(storm, NODE_RUNNING) : NULL;
    char text[STORM_BROADCAST_BYTES];

    if (!node)
        return;
    if (storm_draw(storm, 0.5)) {
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
    case FAULT_DISK_FULL:
    case FAULT_FSYNC_ERROR:
    case FAULT_TORN_WRITE:
        break_disk(storm, fault);
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
    storm->kinds = 0;
    for (int i = 0; i < _FAULT_MAX; i++)
        if (storm_draw(storm, 0.4))
            storm->kinds |= 1U << i;
    if (!storm->sim->options.is_sealed)
        storm->kinds &= ~STORM_SEALED_ONLY;
    storm->gap_usec = storm_draw_between(storm, 20 * USEC_PER_MSEC, USEC_PER_SEC);
}

static void trouble(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t end = sim->now + storm_draw_between(storm, 20 * USEC_PER_SEC, 3 * USEC_PER_MIN);

    choose_weather(storm);
    while (sim->now < end && !sim->failure) {
        sim_run(sim, sim->now + storm_draw_between(storm, 0, 2 * storm->gap_usec));
        while (heap_deadline(&storm->undos) <= sim->now) {
            struct undo *undo = CONTAINER_OF(heap_first(&storm->undos), struct undo, entry);
            heap_remove(&storm->undos, &undo->entry);
            end_fault(storm, undo);
        }
        disturb(storm);
        if (storm_draw(storm, 0.05))
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
        if (node->state == NODE_OFF && (node->is_seed || storm_draw(storm, 0.6))) {
            sim_disturb(node, FAULT_RESTART);
            sim_start(node);
        }
    }
}

static void choose_config(struct storm *storm, struct swim_config *config)
{
    swim_config_default(config);
    if (storm_draw(storm, 0.5)) {
        config->probe_interval_usec =
            storm_draw_between(storm, 500 * USEC_PER_MSEC, 2 * USEC_PER_SEC);
        config->probe_timeout_usec = config->probe_interval_usec / storm_draw_between(storm, 2, 5);
    }
    if (storm_draw(storm, 0.5))
        config->suspicion_mult = (uint32_t)storm_draw_between(storm, 2, 6);
    if (storm_draw(storm, 0.25))
        config->dead_retention_usec = storm_draw_between(storm, USEC_PER_MIN, 10 * USEC_PER_MIN);
    if (storm_draw(storm, 0.15))
        config->packet_size_max = PACKET_SMALL;
    if (storm_draw(storm, 0.1))
        config->message_interval_usec = storm_draw_between(storm, 2 * USEC_PER_SEC, USEC_PER_MIN);
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
    size_t seeds = 1 + (size_t)rng_below(&storm->rng, MIN(options->nodes_count, (size_t)5));
    size_t foreign = options->is_sealed && storm_draw(storm, 0.5) ? FOREIGN_NODES : 0;
    for (size_t i = 0; i < options->nodes_count + foreign; i++) {
        struct sim_node *node = sim_add(storm->sim, NULL, i < options->nodes_count ? 0 : 1);
        if (!node)
            return -ENOMEM;
        node->is_seed = i < seeds || i == options->nodes_count;
        node->is_wildcard = storm_draw(storm, 0.1);
        if (world.config.packet_size_max == PACKET_SMALL)
            sim_count_fault(storm->sim, FAULT_SMALL_MTU);
    }
    return 0;
}

/* Everybody starts within some seconds, in any order. */
static void start_all(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t gap = storm_draw_between(storm, 0, 100 * USEC_PER_MSEC);

    for (struct sim_node *node; (node = storm_draw_node(storm, NODE_OFF)) && !sim->failure;) {
        sim_start(node);
        sim_run(sim, sim->now + storm_draw_between(storm, 0, gap));
    }
}

static int run(struct storm *storm, const struct storm_options *options)
{
    int r = begin(storm, options);

    if (r < 0)
        return r;
    start_all(storm);
    storm_settle(storm);
    storm_catch_up(storm);
    storm_rest(storm);
    while (storm->sim->now < options->duration_usec && !storm->sim->failure) {
        trace_note(storm->sim, "round %llu", (unsigned long long)storm->result->rounds++);
        trouble(storm);
        trace_note(storm->sim, "heals");
        heal(storm);
        storm_settle(storm);
        storm_catch_up(storm);
        storm_rest(storm);
    }
    return 0;
}

int storm_run(const struct storm_options *options, struct storm_result *ret)
{
    struct storm_result result = {.seed = options->seed};
    struct storm storm = {.result = &result};
    int r;

    rng_init(&storm.rng, options->seed);
    if (options->nodes_count > STORM_NODES_MAX)
        r = crowd_run(&storm, options);
    else
        r = run(&storm, options);
    if (r >= 0) {
        storm_collect(&storm);
        *ret = result;
    }
    (void)sim_free(storm.sim);
    heap_done(&storm.undos);
    return r < 0 ? r : 0;
}
