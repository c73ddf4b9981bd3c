/* SPDX-License-Identifier: MIT */
#include "lifeguard.h"

#include <errno.h>
#include <inttypes.h>
#include "sim.h"

#define SEEDS       3
#define SETTLE_USEC (20 * USEC_PER_SEC)

#define SPANS 6

/* For how long a node is blocked, drawn anew for each turn. */
static const usec_t blocked_msec[SPANS] = {128, 512, 2048, 8192, 16384, 32768};

/* And for how long it then runs. */
struct weather {
    const char *name;
    usec_t running_msec[SPANS];
};

/* Whoever runs for longer than a moment reads here all that waits, as if starved of nothing: so the
 * short intervals tell the two apart best, and the even ones say what is left of it otherwise. */
static const struct weather weathers[] = {
    {"mostly 1 ms", {1, 1, 1, 4, 16, 64}},
    {"1 to 1,024 ms", {1, 4, 16, 64, 256, 1024}},
};

/* What is done to all rows of one table. */
struct experiment {
    const struct weather *weather;
    uint64_t runs_count;
    usec_t span;
};

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

static usec_t draw_span(struct sim *sim, const struct weather *weather, bool is_blocked)
{
    size_t i = (size_t)rng_below(&sim->rng, SPANS);

    return (is_blocked ? blocked_msec[i] : weather->running_msec[i]) * USEC_PER_MSEC;
}

static int starve(struct sim *sim, const struct experiment *experiment, struct heap *heap,
                  struct turn *turns, size_t count)
{
    const struct weather *weather = experiment->weather;
    usec_t end = sim->now + experiment->span;

    for (size_t i = 0; i < count; i++) {
        turns[i].node = sim->nodes[sim->nodes_count - 1 - i];
        turns[i].node->is_starved = true;
        if (heap_set(heap, &turns[i].entry, sim->now + draw_span(sim, weather, true)) < 0)
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
        (void)heap_set(heap, &turn->entry, sim->now + draw_span(sim, weather, !is_blocked));
    }
    for (size_t i = 0; i < count; i++)
        sim_resume(turns[i].node);
    sim_run(sim, sim->now + SETTLE_USEC);
    return 0;
}

static int run(const struct sim_options *options, const struct experiment *experiment,
               size_t starved_count, struct mistakes *mistakes)
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
    r = starve(sim, experiment, &heap, turns, starved_count);
    heap_done(&heap);
    if (sim->failure)
        fprintf(stderr, "%s\n", sim->failure);
    mistakes->all += sim->false_deaths;
    mistakes->healthy += sim->false_deaths_healthy;
    return sim->failure ? -EIO : r;
}

/* Both modes in the same weather. */
static int run_row(struct sim_options *options, const struct experiment *experiment,
                   size_t starved_count, struct mistakes mistakes[static 2])
{
    uint64_t seed = options->seed;
    int r = 0;

    for (uint64_t i = 0; i < experiment->runs_count * 2 && r >= 0; i++) {
        swim_config_default(&options->config);
        if (i % 2 == 0) {
            options->config.is_plain = true;
            options->config.suspicion_max = 1;
        }
        options->seed = seed + i / 2;
        r = run(options, experiment, starved_count, &mistakes[i % 2]);
    }
    options->seed = seed;
    return r;
}

/* Return: how many rows failed; -ENOMEM; -EIO. */
static int run_table(struct sim_options *options, const struct experiment *experiment,
                     size_t *ret_rows)
{
    size_t rows = 0, failed = 0;
    bool is_idle = true;

    printf("\nThey run for %s at a time.\n\n"
           "| starved | plain SWIM: at all | at healthy | Lifeguard: at all | at healthy |\n"
           "|---|---|---|---|---|\n",
           experiment->weather->name);
    for (size_t count = 1; count <= options->nodes_max / 3; count *= 2) {
        struct mistakes mistakes[2] = {{0}};
        int r = run_row(options, experiment, count, mistakes);
        if (r < 0)
            return r;
        printf("| %zu | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n", count,
               mistakes[0].all, mistakes[0].healthy, mistakes[1].all, mistakes[1].healthy);
        (void)fflush(stdout);
        rows++;
        failed += mistakes[1].all > mistakes[0].all || mistakes[1].healthy > 0;
        is_idle &= mistakes[0].all == 0;
    }
    *ret_rows += rows;
    /* Where plain SWIM makes no mistake either, nothing was shown. */
    return (int)(is_idle ? rows : failed);
}

int lifeguard_run(size_t nodes_count, uint64_t runs_count, uint64_t seed, usec_t span)
{
    struct sim_options options = {.nodes_max = nodes_count, .seed = seed, .is_mistaken = true};
    size_t rows = 0, failed = 0;

    printf("%zu nodes, %" PRIu64 " runs of %.0f s a row: verdicts on healthy nodes, at all and at "
           "healthy nodes.\n",
           nodes_count, runs_count, (double)span / USEC_PER_SEC);
    for (size_t i = 0; i < ARRAY_SIZE(weathers); i++) {
        int r = run_table(&options, &(struct experiment){&weathers[i], runs_count, span}, &rows);
        if (r < 0)
            return r;
        failed += (size_t)r;
    }
    printf("\n%zu rows: %zu passed, %zu failed\n", rows, rows - failed, failed);
    return failed > 0;
}
