/* SPDX-License-Identifier: MIT */
#include "lifeguard.h"

#include <errno.h>
#include <inttypes.h>
#include "sim.h"

#define SEEDS       3
#define SETTLE_USEC (20 * USEC_PER_SEC)

/* The paper's durations, and the shorter of its intervals, drawn anew for each turn. The shortest
 * are the most: whoever runs for longer reads here all that waits, as if starved of nothing. */
static const usec_t blocked_msec[] = {128, 512, 2048, 8192, 16384, 32768};
static const usec_t running_msec[] = {1, 1, 1, 4, 16, 64};

/* Of one mode in one row. */
struct mistakes {
    uint64_t all;
    uint64_t healthy; /* at healthy nodes */
};

/* When each starved node is to be stopped or let go next. */
struct turn {
    struct heap_entry entry;
    struct sim_node *node; /* borrowed */
};

static usec_t draw_span(struct sim *sim, bool is_blocked)
{
    size_t i = (size_t)rng_below(&sim->rng, ARRAY_SIZE(blocked_msec));

    return (is_blocked ? blocked_msec[i] : running_msec[i]) * USEC_PER_MSEC;
}

static int starve(struct sim *sim, struct heap *heap, struct turn *turns, size_t count, usec_t span)
{
    usec_t end = sim->now + span;

    for (size_t i = 0; i < count; i++) {
        turns[i].node = sim->nodes[sim->nodes_count - 1 - i];
        turns[i].node->is_starved = true;
        if (heap_set(heap, &turns[i].entry, sim->now + draw_span(sim, true)) < 0)
            return -ENOMEM;
    }
    while (heap_deadline(heap) < end && !sim->failure) {
        struct turn *turn = CONTAINER_OF(heap_first(heap), struct turn, entry);
        bool is_blocked = !sim_is_running(turn->node);
        sim_run(sim, turn->entry.time_usec);
        if (is_blocked)
            sim_resume(turn->node);
        else
            sim_pause(turn->node);
        (void)heap_set(heap, &turn->entry, sim->now + draw_span(sim, !is_blocked));
    }
    for (size_t i = 0; i < count; i++)
        sim_resume(turns[i].node);
    sim_run(sim, sim->now + SETTLE_USEC);
    return 0;
}

static int run(const struct sim_options *options, size_t starved_count, usec_t span,
               struct mistakes *mistakes)
{
    _cleanup_(sim_freep) struct sim *sim = NULL;
    _cleanup_free_ struct turn *turns = calloc(starved_count, sizeof(*turns));
    struct heap heap = HEAP_NULL;
    int r = turns ? sim_new(options, &sim) : -ENOMEM;

    if (r < 0)
        return r;
    for (size_t i = 0; i < options->nodes_max; i++) {
        struct sim_node *node = sim_add(sim, NULL, 0);
        if (!node)
            return -ENOMEM;
        node->is_seed = i < SEEDS;
    }
    for (size_t i = 0; i < sim->nodes_count; i++)
        sim_start(sim->nodes[i]);
    sim_run(sim, SETTLE_USEC);
    r = starve(sim, &heap, turns, starved_count, span);
    heap_done(&heap);
    if (sim->failure)
        fprintf(stderr, "%s\n", sim->failure);
    mistakes->all += sim->false_deaths;
    mistakes->healthy += sim->false_deaths_healthy;
    return sim->failure ? -EIO : r;
}

/* Both modes in the same weather. */
static int run_row(struct sim_options *options, uint64_t runs_count, size_t starved_count,
                   usec_t span, struct mistakes mistakes[static 2])
{
    uint64_t seed = options->seed;
    int r = 0;

    for (uint64_t i = 0; i < runs_count * 2 && r >= 0; i++) {
        swim_config_default(&options->config);
        if (i % 2 == 0) {
            options->config.is_plain = true;
            options->config.suspicion_max = 1;
        }
        options->seed = seed + i / 2;
        r = run(options, starved_count, span, &mistakes[i % 2]);
    }
    options->seed = seed;
    return r;
}

int lifeguard_run(size_t nodes_count, uint64_t runs_count, uint64_t seed, usec_t span)
{
    struct sim_options options = {.nodes_max = nodes_count, .seed = seed, .is_mistaken = true};
    size_t rows = 0, failed = 0;
    bool is_idle = true;

    printf("%zu nodes, %" PRIu64 " runs of %.0f s a row: verdicts on healthy nodes, at all and at "
           "healthy nodes.\n\n"
           "| starved | plain SWIM: at all | at healthy | Lifeguard: at all | at healthy |\n"
           "|---|---|---|---|---|\n",
           nodes_count, runs_count, (double)span / USEC_PER_SEC);
    for (size_t count = 1; count <= nodes_count / 3; count *= 2) {
        struct mistakes mistakes[2] = {{0}};
        int r = run_row(&options, runs_count, count, span, mistakes);
        if (r < 0)
            return r;
        printf("| %zu | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n", count,
               mistakes[0].all, mistakes[0].healthy, mistakes[1].all, mistakes[1].healthy);
        (void)fflush(stdout);
        rows++;
        failed += mistakes[1].all > mistakes[0].all || mistakes[1].healthy > 0;
        is_idle &= mistakes[0].all == 0;
    }
    /* Where plain SWIM makes no mistake either, nothing was shown. */
    failed = is_idle ? rows : failed;
    printf("\n%zu rows: %zu passed, %zu failed\n", rows, rows - failed, failed);
    return failed > 0;
}
