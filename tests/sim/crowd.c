/* SPDX-License-Identifier: MIT */

/*
 * A crowd: thousands of nodes and an ordinary hour, everything at its defaults but the heartbeats,
 * of which each start of so many would bring 250 million deliveries. All start within seconds
 * through three seeds; then one datagram in a hundred is lost, and every few seconds
 * somebody is killed, restarted, leaves, is stopped or changes what it says of itself. Once a
 * twentieth of them is cut off from the rest for a minute. Whenever it is calm again, all views
 * have to be equal, and a message reaches all.
 */

#include <errno.h>
#include <string.h>
#include "check.h"
#include "link.h"
#include "storm_core.h"
#include "trace.h"

#define SEEDS             3
#define START_SPREAD_USEC (10 * USEC_PER_SEC)
#define LOSS              0.01
#define CHURN_USEC        (10 * USEC_PER_SEC) /* on average, from one change to the next */
#define ABSENCE_MAX_USEC  (2 * USEC_PER_MIN)
#define SPELL_USEC        (10 * USEC_PER_MIN) /* of churn, between two calms */
#define CUT_OFF_SHARE     0.05
#define CUT_OFF_USEC      USEC_PER_MIN

static int begin(struct storm *storm, const struct storm_options *options)
{
    struct sim_options world = {
        .seed = rng_next(&storm->rng),
        .nodes_max = options->nodes_count,
        .is_sealed = options->is_sealed,
        .trace = options->trace,
    };
    int r;

    swim_config_default(&world.config);
    world.config.message_interval_usec = 0;
    r = sim_new(&world, &storm->sim);
    if (r < 0)
        return r;
    for (size_t i = 0; i < options->nodes_count; i++) {
        struct sim_node *node = sim_add(storm->sim, NULL, 0);
        if (!node)
            return -ENOMEM;
        node->is_seed = i < SEEDS;
    }
    return 0;
}

static void start_all(struct storm *storm)
{
    struct sim *sim = storm->sim;

    for (size_t i = 0; i < sim->nodes_count && !sim->failure; i++) {
        sim_start(sim->nodes[i]);
        sim_run(sim, sim->now + START_SPREAD_USEC / sim->nodes_count);
    }
    storm_settle(storm);
    trace_note(sim, "all %zu know each other", sim->nodes_count);
}

/* Whoever was away long enough comes back. */
static void bring_back(struct storm *storm, bool is_all)
{
    struct sim *sim = storm->sim;

    while (storm->undos.count > 0 && (is_all || heap_deadline(&storm->undos) <= sim->now)) {
        struct undo *undo = CONTAINER_OF(heap_first(&storm->undos), struct undo, entry);
        struct sim_node *node = sim->nodes[undo->node];
        heap_remove(&storm->undos, &undo->entry);
        sim_resume(node);
        if (node->state == NODE_OFF) {
            sim_disturb(node, FAULT_RESTART);
            sim_start(node);
        }
    }
}

static struct undo *find_free(struct storm *storm)
{
    for (size_t i = 0; i < UNDO_MAX; i++)
        if (storm->pool[i].entry.place == 0)
            return &storm->pool[i];
    return NULL;
}

/* One of them goes, or says something. */
static void churn(struct storm *storm)
{
    struct sim_node *node = storm_draw_node(storm, NODE_RUNNING);
    struct undo *undo = find_free(storm);
    usec_t absence = storm_draw_between(storm, USEC_PER_SEC, ABSENCE_MAX_USEC);

    if (!node || !undo)
        return;
    switch (rng_below(&storm->rng, 5)) {
    case 0:
        sim_kill(node);
        break;
    case 1:
        sim_leave(node);
        absence += 10 * USEC_PER_SEC; /* while it still says so */
        break;
    case 2:
        sim_pause(node);
        break;
    case 3:
        sim_kill(node);
        absence = storm_draw_between(storm, 0, USEC_PER_SEC);
        break;
    default:
        sim_change_meta(node);
        return;
    }
    undo->node = node->index;
    /* Its place in the pool is what makes room for it; the heap has as many. */
    if (heap_set(&storm->undos, &undo->entry, storm->sim->now + absence) < 0)
        sim_fail(storm->sim, node, "memory: %s", strerror(ENOMEM));
}

/* The first of them are cut off, the seeds not among them. */
static void cut_off(struct storm *storm)
{
    struct sim *sim = storm->sim;
    bool sides[SIM_NODES_MAX] = {false};
    size_t count = (size_t)((double)sim->nodes_count * CUT_OFF_SHARE);

    for (size_t i = SEEDS; i < SEEDS + count; i++)
        sides[i] = true;
    trace_note(sim, "%zu are cut off", count);
    link_partition(sim->link, sides, sim->nodes_count);
    sim_count_fault(sim, FAULT_PARTITION);
    sim_run(sim, sim->now + CUT_OFF_USEC);
    link_heal_cuts(sim->link);
}

static void spell(struct storm *storm, usec_t end)
{
    struct sim *sim = storm->sim;

    sim->link->loss = LOSS;
    while (sim->now < end && !sim->failure) {
        sim_run(sim, sim->now + storm_draw_between(storm, 0, 2 * CHURN_USEC));
        bring_back(storm, false);
        churn(storm);
    }
    if (storm->result->rounds == 1)
        cut_off(storm);
    bring_back(storm, true);
    link_heal(sim->link);
    sim->disturbed_usec = sim->now;
}

int crowd_run(struct storm *storm, const struct storm_options *options)
{
    int r = begin(storm, options);

    if (r < 0)
        return r;
    start_all(storm);
    while (storm->sim->now < options->duration_usec && !storm->sim->failure) {
        trace_note(storm->sim, "spell %llu", (unsigned long long)storm->result->rounds++);
        spell(storm, MIN(storm->sim->now + SPELL_USEC, options->duration_usec));
        storm_settle(storm);
        storm_catch_up(storm);
        storm_rest(storm);
    }
    return 0;
}
