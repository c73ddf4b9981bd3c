/* SPDX-License-Identifier: MIT */
#include "curve.h"

#include <errno.h>
#include <stdlib.h>
#include "check.h"
#include "link.h"

#define POLL_USEC      (10 * USEC_PER_MSEC)
#define SETTLE_USEC    (20 * USEC_PER_SEC)
#define WATCH_USEC     USEC_PER_MIN
#define KILL_WAIT_USEC USEC_PER_MIN
#define KILLS          4    /* per run */
#define KILLS_MAX      4096 /* per cell */
#define STARVED_SHARE  10   /* one of so many */

enum weather_type {
    WEATHER_LOSS,
    WEATHER_STARVED, /* a tenth of the nodes is stopped for a, runs for b, is stopped ... */
    WEATHER_RAGGED,  /* the same with random times of that mean */
    WEATHER_CUT,     /* one of so many nodes is cut off from the others for a while */
};

/* One row: what happens while deaths are counted. */
struct weather {
    const char *name;
    enum weather_type type;
    double loss;
    usec_t stop_usec;
    usec_t run_usec;
    size_t share; /* 0 = a single node */
};

static const struct weather weathers[] = {
    {"no loss", WEATHER_LOSS, 0, 0, 0, 0},
    {"10 % loss", WEATHER_LOSS, 0.1, 0, 0, 0},
    {"30 % loss", WEATHER_LOSS, 0.3, 0, 0, 0},
    {"stopped 2 s, runs 2 s", WEATHER_STARVED, 0, 2000000, 2000000, 0},
    {"stopped 3 s, runs 1 s", WEATHER_STARVED, 0, 3000000, 1000000, 0},
    {"stopped 6 s, runs 0.5 s", WEATHER_STARVED, 0, 6000000, 500000, 0},
    {"stopped 12 s, runs 0.5 s", WEATHER_STARVED, 0, 12000000, 500000, 0},
    {"runs 40 ms every 840 ms, ragged", WEATHER_RAGGED, 0, 800000, 40000, 0},
    {"a third cut off for 5 s", WEATHER_CUT, 0, 5000000, 0, 3},
    {"a half cut off for 5 s", WEATHER_CUT, 0, 5000000, 0, 2},
    {"a half cut off for 7 s", WEATHER_CUT, 0, 7000000, 0, 2},
    {"one cut off for 60 s", WEATHER_CUT, 0, 60000000, 0, 0},
};

static const struct {
    uint32_t mult;
    uint32_t max;
} sets[] = {{1, 6}, {2, 3}, {2, 6}, {3, 6}, {4, 6}};

struct cell {
    usec_t kills_usec[KILLS_MAX];
    size_t kills_count;
    size_t healthy; /* nodes that anybody connected held for dead */
    size_t starved; /* the same of those that were stopped */
    size_t lost;    /* pairs that held each other for dead across the cut */
};

static bool is_starved(const struct weather *weather, const struct sim_node *node)
{
    size_t count = MAX(node->sim->nodes_count / STARVED_SHARE, (size_t)1);

    return (weather->type == WEATHER_STARVED || weather->type == WEATHER_RAGGED) &&
           node->index >= 1 && node->index <= count;
}

static void start_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++)
        sim_start(sim->nodes[i]);
    sim_run(sim, sim->now + SETTLE_USEC);
}

static bool is_dead_at_all(const struct sim *sim, const struct sim_node *subject)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (node == subject)
            continue;
        const struct swim_member *member = swim_find(node->swim, &subject->id);
        if (!member || member->state != SWIM_DEAD)
            return false;
    }
    return true;
}

/* Kills one node after the other, and starts each again. */
static void measure_kills(struct sim *sim, struct cell *cell)
{
    for (size_t i = 0; i < KILLS && !sim->failure; i++) {
        struct sim_node *node = sim->nodes[sim->nodes_count - 1 - i];
        sim_run(sim, sim->now + rng_below(&sim->rng, USEC_PER_SEC));
        usec_t start = sim->now;
        sim_kill(node);
        while (!is_dead_at_all(sim, node) && sim->now < start + KILL_WAIT_USEC && !sim->failure)
            sim_run(sim, sim->now + POLL_USEC);
        if (cell->kills_count < ARRAY_SIZE(cell->kills_usec))
            cell->kills_usec[cell->kills_count++] = sim->now - start;
        sim_start(node);
        sim_run(sim, sim->now + SETTLE_USEC);
    }
}

/* A tenth of the nodes, in no step with each other, for a minute. */
static void starve(struct sim *sim, const struct weather *weather)
{
    usec_t end = sim->now + WATCH_USEC, next[SIM_NODES_MAX];
    size_t count = MAX(sim->nodes_count / STARVED_SHARE, (size_t)1);

    for (size_t i = 0; i < count; i++)
        next[i] = sim->now + rng_below(&sim->rng, weather->stop_usec);
    while (sim->now < end && !sim->failure) {
        size_t first = 0;
        for (size_t i = 1; i < count; i++)
            if (next[i] < next[first])
                first = i;
        sim_run(sim, next[first]);
        struct sim_node *node = sim->nodes[first + 1];
        usec_t span = sim_is_running(node) ? weather->stop_usec : weather->run_usec;
        if (weather->type == WEATHER_RAGGED)
            span = 1 + rng_below(&sim->rng, 2 * span);
        next[first] = sim->now + span;
        if (sim_is_running(node))
            sim_pause(node);
        else
            sim_resume(node);
    }
    for (size_t i = 0; i < count; i++)
        sim_resume(sim->nodes[i + 1]);
}

/* Part of the nodes, or one, cannot hear the others for a while. */
static void cut(struct sim *sim, const struct weather *weather)
{
    bool sides[SIM_NODES_MAX] = {false};

    for (size_t i = 1; i < sim->nodes_count; i++)
        sides[i] = weather->share > 0 ? i % weather->share == 0 : i == 1;
    link_partition(sim->link, sides, sim->nodes_count);
    sim_run(sim, sim->now + weather->stop_usec);
    link_heal(sim->link);
    sim_run(sim, sim->now + WATCH_USEC);
}

static void suffer(struct sim *sim, const struct weather *weather, struct cell *cell)
{
    switch (weather->type) {
    case WEATHER_LOSS:
        sim->link->loss = weather->loss;
        sim_run(sim, sim->now + WATCH_USEC);
        break;
    case WEATHER_STARVED:
    case WEATHER_RAGGED:
        starve(sim, weather);
        break;
    case WEATHER_CUT:
        cut(sim, weather);
        break;
    }
    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct sim_node *node = sim->nodes[i];
        cell->healthy += !is_starved(weather, node) && node->buried_count > 0;
        cell->starved += is_starved(weather, node) && node->buried_count > 0;
        cell->lost += node->lost_count;
    }
    if (weather->type == WEATHER_LOSS)
        measure_kills(sim, cell);
}

static int run(const struct weather *weather, const struct sim_options *options, struct cell *cell)
{
    _cleanup_(sim_freep) struct sim *sim = NULL;
    int r = sim_new(options, &sim);

    if (r < 0)
        return r;
    for (size_t i = 0; i < options->nodes_max; i++) {
        struct sim_node *node = sim_add(sim, NULL, 0);
        if (!node)
            return -ENOMEM;
        node->is_seed = i < 3;
    }
    start_all(sim);
    suffer(sim, weather, cell);
    if (sim->failure)
        fprintf(stderr, "%s\n", sim->failure);
    return sim->failure ? -EIO : 0;
}

static int compare_times(const void *a, const void *b)
{
    const usec_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void print_cell(const struct weather *weather, struct cell *cell)
{
    switch (weather->type) {
    case WEATHER_LOSS:
        qsort(cell->kills_usec, cell->kills_count, sizeof(usec_t), compare_times);
        printf(" %.2f, %.2f; %zu |", (double)cell->kills_usec[cell->kills_count / 2] / USEC_PER_SEC,
               (double)cell->kills_usec[cell->kills_count - 1] / USEC_PER_SEC, cell->healthy);
        break;
    case WEATHER_STARVED:
    case WEATHER_RAGGED:
        printf(" %zu; %zu |", cell->healthy, cell->starved);
        break;
    case WEATHER_CUT:
        printf(" %zu; %zu |", cell->healthy, cell->lost);
        break;
    }
    (void)fflush(stdout);
}

static void print_head(size_t nodes_count, uint64_t runs_count)
{
    printf(
        "%zu nodes, %llu runs a cell of %d kills or a minute.\n"
        "Loss: seconds from a kill until it is known to all, median and worst; healthy nodes held "
        "for dead.\n"
        "Stopped: healthy nodes held for dead; stopped ones held for dead, of %zu.\n"
        "Cut off: nodes held for dead by somebody connected; verdicts across the cut.\n\n|",
        nodes_count, (unsigned long long)runs_count, KILLS,
        MAX(nodes_count / STARVED_SHARE, (size_t)1) * (size_t)runs_count);
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        printf(" | mult %u, max %u", sets[i].mult, sets[i].max);
    printf(" |\n|---|");
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        printf("---|");
    printf("\n");
}

int curve_run(size_t nodes_count, uint64_t runs_count, uint64_t seed)
{
    struct sim_options options = {.nodes_max = nodes_count};

    print_head(nodes_count, runs_count);
    for (size_t i = 0; i < ARRAY_SIZE(weathers); i++) {
        printf("| %s |", weathers[i].name);
        for (size_t j = 0; j < ARRAY_SIZE(sets); j++) {
            struct cell cell = {0};
            swim_config_default(&options.config);
            options.config.suspicion_mult = sets[j].mult;
            options.config.suspicion_max = sets[j].max;
            for (uint64_t k = 0; k < runs_count; k++) {
                options.seed = seed + k;
                int r = run(&weathers[i], &options, &cell);
                if (r < 0)
                    return r;
            }
            print_cell(&weathers[i], &cell);
        }
        printf("\n");
    }
    return 0;
}
