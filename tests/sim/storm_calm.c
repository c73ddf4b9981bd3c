/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>
#include "check.h"
#include "storm_core.h"

#define NEWS_USEC (5 * USEC_PER_SEC) /* until all know a new record */

bool storm_draw(struct storm *storm, double probability)
{
    return rng_unit(&storm->rng) < probability;
}

usec_t storm_draw_between(struct storm *storm, usec_t least, usec_t most)
{
    return least + rng_below(&storm->rng, most - least + 1);
}

double storm_draw_share(struct storm *storm, double least, double most)
{
    return least + rng_unit(&storm->rng) * (most - least);
}

/* A random node in @state, or NULL. */
struct sim_node *storm_draw_node(struct storm *storm, enum sim_state state)
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

/* Waits until all views are equal. */
void storm_settle(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t start = sim->now, limit = check_settle_usec(sim);
    const char *difference = check_difference(sim);

    while (difference && !sim->failure && sim->now < start + limit) {
        sim_run(sim, sim->now + STORM_POLL_USEC);
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
void storm_catch_up(struct storm *storm)
{
    struct sim *sim = storm->sim;
    usec_t limit =
        (usec_t)(8 * log2((double)sim->nodes_count + 1)) * sim->options.config.probe_interval_usec +
        sim->options.config.sync_interval_usec;
    usec_t start = sim->now;
    const char *unheard = check_unheard(sim);

    while (unheard && !sim->failure && sim->now < start + limit) {
        sim_run(sim, sim->now + STORM_POLL_USEC);
        unheard = check_unheard(sim);
    }
    if (unheard && !sim->failure)
        sim_fail(sim, NULL, "lost: %.0f s after views were equal %s", (double)limit / USEC_PER_SEC,
                 unheard);
}

/* A message to all, and some time in which nothing may happen. */
void storm_rest(struct storm *storm)
{
    struct sim *sim = storm->sim;
    struct sim_node *node = storm_draw_node(storm, NODE_RUNNING);
    char text[STORM_BROADCAST_BYTES];
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
        sim_run(sim, sim->now + STORM_POLL_USEC);
        if (check_reached(sim) >= others)
            break;
    }
    if (check_reached(sim) < others && !sim->failure)
        sim_fail(sim, node, "broadcast: reached %zu of %zu in %.1f s", check_reached(sim), others,
                 (double)limit / USEC_PER_SEC);
    sim_run(sim, sim->now + storm_draw_between(storm, 5 * USEC_PER_SEC, 4 * USEC_PER_MIN));
    /* Old keys go in their own time, and that is news for a moment. */
    while (sim->keys_changed_usec > 0 && !sim->failure &&
           sim->now < sim->keys_changed_usec + NEWS_USEC)
        sim_run(sim, sim->keys_changed_usec + NEWS_USEC);
    const char *difference = sim->failure ? NULL : check_difference(sim);
    if (difference)
        sim_fail(sim, NULL, "convergence: undone in a calm cluster: %s", difference);
}

void storm_collect(struct storm *storm)
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
