/* SPDX-License-Identifier: MIT */

/*
 * sim: runs scenarios and storms of the membership core.
 *
 *   sim [--rewrite] SCENARIO...        each must leave the trace that it expects
 *   sim --storms COUNT [--first SEED]  that many seeded storms, and the first of them twice
 *   sim --storm --seed SEED            one storm, with its trace
 *   sim --curve RUNS                   the table of speed against false deaths
 *   sim --lifeguard RUNS               Lifeguard's experiment, beside plain SWIM
 *   sim --again FILE                   storms that failed once: SEED NODES MINUTES plain|sealed
 *
 * Exit status: 0 where everything held, 1 where something broke, 2 for a wrong command line.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "base/text.h"
#include "command.h"
#include "curve.h"
#include "lifeguard.h"
#include "script.h"
#include "storm.h"

#define JOBS_MAX 64

struct arguments {
    uint64_t seed;
    uint64_t storms_count;
    size_t nodes_count;
    uint64_t minutes;
    size_t jobs;
    uint64_t faults_least; /* so often has each kind of fault to be injected */
    bool is_sealed;
    bool is_storm;
    bool is_rewrite;
    uint64_t curve_runs;
    uint64_t lifeguard_runs;
    const char *again; /* a file of storms, or NULL */
};

/* What all storms of one process found. */
struct summary {
    uint64_t passed;
    uint64_t failed;
    uint64_t steps;
    uint64_t datagrams;
    uint64_t rounds;
    usec_t node_usec;
    usec_t settle_max_usec;
    uint64_t faults[_FAULT_MAX];
};

static struct storm_options options_of(const struct arguments *arguments, uint64_t seed)
{
    return (struct storm_options){
        .seed = seed,
        .nodes_count = arguments->nodes_count,
        .duration_usec = arguments->minutes * USEC_PER_MIN,
        .is_sealed = arguments->is_sealed,
    };
}

static void tell_failure(const struct arguments *arguments, const struct storm_result *result)
{
    fprintf(stderr,
            "storm 0x%" PRIx64 ": %s\n  again: make sim SEED=0x%" PRIx64
            " NODES=%zu MINUTES=%" PRIu64 "%s\n",
            result->seed, result->failure, result->seed, arguments->nodes_count, arguments->minutes,
            arguments->is_sealed ? " SEALED=1" : "");
}

static void add(struct summary *summary, const struct storm_result *result)
{
    summary->passed += !*result->failure;
    summary->failed += *result->failure != '\0';
    summary->steps += result->steps;
    summary->datagrams += result->datagrams;
    summary->rounds += result->rounds;
    summary->node_usec += result->node_usec;
    summary->settle_max_usec = MAX(summary->settle_max_usec, result->settle_max_usec);
    for (size_t i = 0; i < _FAULT_MAX; i++)
        summary->faults[i] += result->faults[i];
}

/* One storm; with @is_twice the same again, which must leave the same hash. */
static void run_one(const struct arguments *arguments, uint64_t seed, bool is_twice,
                    struct summary *summary)
{
    struct storm_options options = options_of(arguments, seed);
    struct storm_result result = {.seed = seed}, again = result;
    int r = storm_run(&options, &result);

    if (r >= 0 && is_twice) {
        r = storm_run(&options, &again);
        if (r >= 0 && again.hash != result.hash)
            snprintf(result.failure, sizeof(result.failure), "-- determinism: two runs differ");
    }
    if (r < 0)
        snprintf(result.failure, sizeof(result.failure), "-- memory: %s", strerror(-r));
    if (*result.failure)
        tell_failure(arguments, &result);
    add(summary, &result);
}

/* The storms @first, @first + jobs, ... of one process. The very first runs twice, but for a crowd.
 */
static void run_share(const struct arguments *arguments, uint64_t first, struct summary *summary)
{
    for (uint64_t i = first; i < arguments->storms_count; i += arguments->jobs)
        run_one(arguments, arguments->seed + i, i == 0 && arguments->nodes_count <= STORM_NODES_MAX,
                summary);
}

static void print_summary(const struct arguments *arguments, const struct summary *summary)
{
    double hours = (double)summary->node_usec / USEC_PER_HOUR;

    printf("%" PRIu64 " storms of %zu nodes%s: %" PRIu64 " passed, %" PRIu64 " failed\n",
           summary->passed + summary->failed, arguments->nodes_count,
           arguments->is_sealed ? ", sealed" : "", summary->passed, summary->failed);
    printf("%.0f simulated node-hours, %" PRIu64 " steps, %" PRIu64 " datagrams, %" PRIu64
           " rounds, views equal at most %.1f s after healing\n",
           hours, summary->steps, summary->datagrams, summary->rounds,
           (double)summary->settle_max_usec / USEC_PER_SEC);
    printf("faults:");
    for (int i = 0; i < _FAULT_MAX; i++)
        if (summary->faults[i] > 0)
            printf(" %s %" PRIu64 "%s", sim_fault_name((enum sim_fault)i), summary->faults[i],
                   i + 1 < _FAULT_MAX ? "," : "");
    printf("\n");
}

/* Storms that do not blow prove nothing. */
static bool has_all_faults(const struct arguments *arguments, const struct summary *summary)
{
    bool is_enough = true;

    for (int i = 0; i < _FAULT_MAX; i++) {
        if ((!arguments->is_sealed && STORM_SEALED_ONLY >> i & 1) ||
            summary->faults[i] >= arguments->faults_least)
            continue;
        fprintf(stderr, "%s was injected %" PRIu64 " times only, not %" PRIu64 ".\n",
                sim_fault_name((enum sim_fault)i), summary->faults[i], arguments->faults_least);
        is_enough = false;
    }
    return is_enough;
}

static void merge(struct summary *summary, const struct summary *share)
{
    summary->passed += share->passed;
    summary->failed += share->failed;
    summary->steps += share->steps;
    summary->datagrams += share->datagrams;
    summary->rounds += share->rounds;
    summary->node_usec += share->node_usec;
    summary->settle_max_usec = MAX(summary->settle_max_usec, share->settle_max_usec);
    for (size_t i = 0; i < _FAULT_MAX; i++)
        summary->faults[i] += share->faults[i];
}

/* Runs one share in a process of its own. Return: the end of the pipe that its summary comes from.
 */
static int fork_share(const struct arguments *arguments, uint64_t first)
{
    int ends[2];

    if (pipe(ends) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        struct summary summary = {0};
        close_fd(ends[0]);
        run_share(arguments, first, &summary);
        _exit(write(ends[1], &summary, sizeof(summary)) == sizeof(summary) ? 0 : 1);
    }
    close_fd(ends[1]);
    return ends[0];
}

static int run_storms(const struct arguments *arguments)
{
    struct summary summary = {0};
    int pipes[JOBS_MAX];

    for (size_t i = 0; i < arguments->jobs; i++)
        pipes[i] = fork_share(arguments, i);
    for (size_t i = 0; i < arguments->jobs; i++) {
        struct summary share = {0};
        int status = 0;
        if (pipes[i] < 0 || read(pipes[i], &share, sizeof(share)) != sizeof(share)) {
            fprintf(stderr, "A process of storms has died.\n");
            share = (struct summary){.failed = 1};
        }
        close_fd(pipes[i]);
        (void)wait(&status);
        merge(&summary, &share);
    }
    print_summary(arguments, &summary);
    return summary.failed > 0 || !has_all_faults(arguments, &summary);
}

static int run_storm(const struct arguments *arguments)
{
    struct storm_options options = options_of(arguments, arguments->seed);
    struct storm_result result;
    struct summary summary = {0};

    options.trace = stdout;
    int r = storm_run(&options, &result);
    if (r < 0) {
        fprintf(stderr, "storm: %s\n", strerror(-r));
        return 1;
    }
    add(&summary, &result);
    print_summary(arguments, &summary);
    if (*result.failure)
        tell_failure(arguments, &result);
    return *result.failure != '\0';
}

/* Return: 0 where all storms of the file held, 1 where one did not, 2 where the file is no such
 * file. */
static int run_again(const char *path)
{
    FILE *file = fopen(path, "re");
    struct summary summary = {0};
    char line[256], wire[8];
    size_t number = 0;

    if (!file) {
        fprintf(stderr, "%s: %m\n", path);
        return 2;
    }
    for (; fgets(line, sizeof(line), file); number++) {
        struct arguments arguments = {.jobs = 1};
        uint64_t seed;
        line[strcspn(line, "#\n")] = '\0';
        if (line[strspn(line, " ")] == '\0')
            continue;
        if (sscanf(line, "%" SCNi64 " %zu %" SCNu64 " %7s", (int64_t *)&seed,
                   &arguments.nodes_count, &arguments.minutes, wire) != 4) {
            fprintf(stderr, "%s:%zu: not SEED NODES MINUTES plain|sealed\n", path, number + 1);
            (void)fclose(file);
            return 2;
        }
        arguments.is_sealed = strcmp(wire, "sealed") == 0;
        run_one(&arguments, seed, false, &summary);
    }
    (void)fclose(file);
    printf("%" PRIu64 " storms that failed once: %" PRIu64 " passed, %" PRIu64 " failed\n",
           summary.passed + summary.failed, summary.passed, summary.failed);
    return summary.failed > 0;
}

static int run_scenarios(const struct arguments *arguments, char **paths, size_t count)
{
    size_t failed = 0;

    for (size_t i = 0; i < count; i++) {
        int r = script_run(paths[i], arguments->is_rewrite);
        if (r < 0)
            fprintf(stderr, "%s: %s\n", paths[i], strerror(-r));
        failed += r != 0;
    }
    printf("%zu scenarios: %zu passed, %zu failed\n", count, count - failed, failed);
    return failed > 0;
}

static int usage(const char *program)
{
    printf(
        "usage: %s [--rewrite] SCENARIO...\n"
        "       %s --storms COUNT [--first SEED] [--nodes N] [--minutes M] [--sealed] [--jobs J]\n"
        "           [--faults-least COUNT]\n"
        "       %s --storm --seed SEED [--nodes N] [--minutes M] [--sealed]\n"
        "       %s --curve RUNS [--seed SEED] [--nodes N]\n"
        "       %s --lifeguard RUNS [--seed SEED] [--nodes N] [--minutes M]\n"
        "       %s --again FILE\n\n",
        program, program, program, program, program, program);
    command_help();
    return 0;
}

/* Return: 0; -EINVAL. */
static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"storms", required_argument, NULL, 'c'},
        {"storm", no_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 's'},
        {"first", required_argument, NULL, 's'},
        {"nodes", required_argument, NULL, 'n'},
        {"minutes", required_argument, NULL, 'm'},
        {"jobs", required_argument, NULL, 'j'},
        {"sealed", no_argument, NULL, 'e'},
        {"rewrite", no_argument, NULL, 'w'},
        {"again", required_argument, NULL, 'a'},
        {"faults-least", required_argument, NULL, 'l'},
        {"curve", required_argument, NULL, 'u'},
        {"lifeguard", required_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;) {
        uint64_t number = optarg ? strtoull(optarg, NULL, 0) : 0;
        if (c == 'c')
            arguments->storms_count = number;
        else if (c == 's')
            arguments->seed = number;
        else if (c == 'n')
            arguments->nodes_count = number;
        else if (c == 'm')
            arguments->minutes = number;
        else if (c == 'j')
            arguments->jobs = number;
        else if (c == 'l')
            arguments->faults_least = number;
        else if (c == 'e')
            arguments->is_sealed = true;
        else if (c == 'o')
            arguments->is_storm = true;
        else if (c == 'w')
            arguments->is_rewrite = true;
        else if (c == 'a')
            arguments->again = optarg;
        else if (c == 'u')
            arguments->curve_runs = number;
        else if (c == 'g')
            arguments->lifeguard_runs = number;
        else if (c == 'h')
            return 1;
        else
            return -EINVAL;
    }
    bool is_sane = arguments->nodes_count >= 2 && arguments->nodes_count <= CROWD_NODES_MAX &&
                   arguments->jobs >= 1 && arguments->jobs <= JOBS_MAX;
    return is_sane ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.seed = 1, .nodes_count = 20, .minutes = 10, .jobs = 1};
    int r = parse(argc, argv, &arguments);

    if (r > 0)
        return usage(argv[0]);
    if (r >= 0 && arguments.again)
        return run_again(arguments.again);
    if (r >= 0 && arguments.lifeguard_runs > 0)
        return lifeguard_run(arguments.nodes_count, arguments.lifeguard_runs, arguments.seed,
                             arguments.minutes * USEC_PER_MIN) != 0;
    if (r >= 0 && arguments.curve_runs > 0)
        return curve_run(arguments.nodes_count, arguments.curve_runs, arguments.seed) < 0;
    if (r < 0 || (!arguments.is_storm && arguments.storms_count == 0 && optind == argc)) {
        fprintf(stderr, "Try %s --help.\n", argv[0]);
        return 2;
    }
    if (arguments.is_storm)
        return run_storm(&arguments);
    if (arguments.storms_count > 0)
        return run_storms(&arguments);
    return run_scenarios(&arguments, argv + optind, (size_t)(argc - optind));
}
