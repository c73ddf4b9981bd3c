/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <errno.h>
#include <string.h>
#include "check.h"
#include "condition.h"
#include "link.h"
#include "trace.h"
#include "words.h"

#define WORDS_MAX      32
#define WITHIN_DEFAULT (60 * USEC_PER_SEC)
#define STEP_USEC      (10 * USEC_PER_MSEC) /* how often a condition is looked at */

struct command {
    const char *name;
    size_t words_min; /* arguments */
    int (*run)(struct script *script, char **words, size_t count);
    const char *help;
};

static int run_config(struct script *script, char **words, size_t count)
{
    (void)count;
    if (script->sim)
        return words_complain(script, "config comes before nodes");
    return condition_set_config(&script->config, words[0], words[1]) < 0
               ? words_complain(script, "there is no %s = %s", words[0], words[1])
               : 0;
}

static int run_seed(struct script *script, char **words, size_t count)
{
    (void)count;
    if (script->sim)
        return words_complain(script, "random comes before nodes");
    script->seed = strtoull(words[0], NULL, 0);
    return 0;
}

static int run_sealed(struct script *script, char **words, size_t count)
{
    (void)words;
    (void)count;
    if (script->sim)
        return words_complain(script, "sealed comes before nodes");
    script->is_sealed = true;
    return 0;
}

static int run_nodes(struct script *script, char **words, size_t count)
{
    struct sim_options options = {
        .config = script->config,
        .seed = script->seed,
        .is_sealed = script->is_sealed,
        .trace = script->trace,
    };
    unsigned long number = strtoul(words[0], NULL, 10);
    unsigned cluster = count > 1 ? (unsigned)strtoul(words[1], NULL, 10) : 0;

    if (number == 0 || number > SCRIPT_NODES_MAX || cluster > 3)
        return words_complain(script, "at most %d nodes, and at least one", SCRIPT_NODES_MAX);
    options.nodes_max = MAX(number, (size_t)SCRIPT_NODES_LEAST);
    if (!script->sim && sim_new(&options, &script->sim) < 0)
        return words_complain(script, "no memory for a world");
    for (size_t i = 0, first = script->sim->nodes_count; i < number; i++) {
        struct sim_node *node = sim_add(script->sim, NULL, cluster);
        if (!node)
            return words_complain(script, "at most %zu nodes in all",
                                  script->sim->options.nodes_max);
        node->is_seed = node->index == first;
    }
    return 0;
}

static void make_seed(struct sim_node *node)
{
    node->is_seed = true;
}

static int run_seeds(struct script *script, char **words, size_t count)
{
    for (size_t i = 0; i < script->sim->nodes_count; i++)
        script->sim->nodes[i]->is_seed = false;
    return words_each(script, words, count, make_seed);
}

static void make_wildcard(struct sim_node *node)
{
    node->is_wildcard = true;
}

static int run_wildcard(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, make_wildcard);
}

static int run_label(struct script *script, char **words, size_t count)
{
    struct sim_node *node = words_find(script, words[0]);

    (void)count;
    if (!node || !text_is_node_name(words[1]))
        return words_complain(script, "%s cannot be called %s", words[0], words[1]);
    snprintf(node->label, sizeof(node->label), "%s", words[1]);
    return 0;
}

static void hide(struct sim_node *node)
{
    node->is_hidden = true;
}

static void show(struct sim_node *node)
{
    node->is_hidden = false;
}

static int run_hide(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, hide);
}

static int run_show(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, show);
}

/* start NODES [over DURATION]: at once, or one after the other */
static int run_start(struct script *script, char **words, size_t count)
{
    struct sim *sim = script->sim;
    struct words_range range = {0};
    usec_t span = 0;
    int r;

    if (count != 3 || strcmp(words[1], "over") != 0)
        return words_each(script, words, count, sim_start);
    r = words_find_range(script, words[0], &range);
    if (r >= 0)
        r = words_read_time(script, words[2], &span);
    for (size_t i = range.first; r >= 0 && i < range.end && !sim->failure; i++) {
        sim_start(sim->nodes[i]);
        sim_run(sim, sim->now + span / (range.end - range.first));
    }
    return r;
}

static int run_kill(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_kill);
}

static int run_pause(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_pause);
}

static int run_suspend(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_suspend);
}

static int run_resume(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_resume);
}

static int run_leave(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_leave);
}

static int run_move(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_move);
}

static int run_renumber(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_renumber);
}

static int run_forget(struct script *script, char **words, size_t count)
{
    struct sim_node *node = words_find(script, words[0]), *subject = words_find(script, words[1]);

    (void)count;
    if (!node || !subject)
        return -EINVAL;
    int r = sim_forget(node, subject);
    return r < 0 ? words_complain(script, "cannot forget %s: %s", words[1], strerror(-r)) : 0;
}

static int run_change(struct script *script, char **words, size_t count)
{
    return words_each(script, words, count, sim_change_meta);
}

static int run_rotate(struct script *script, char **words, size_t count)
{
    if (!script->is_sealed)
        return words_complain(script, "only a sealed wire has keys");
    return words_each(script, words, count, sim_change_key);
}

static int run_step(struct script *script, char **words, size_t count)
{
    struct sim_node *node = words_find(script, words[0]);

    (void)count;
    if (!node)
        return -EINVAL;
    sim_step_wall(node, strtoll(words[1], NULL, 10) * (int64_t)USEC_PER_SEC);
    return 0;
}

static int run_join(struct script *script, char **words, size_t count)
{
    struct sim_node *node = words_find(script, words[0]), *contact = words_find(script, words[1]);

    (void)count;
    if (!node || !contact)
        return -EINVAL;
    sim_join(node, &contact->address);
    return 0;
}

/* message SOURCE all|TARGET WORDS... */
static int run_message(struct script *script, char **words, size_t count)
{
    struct sim_node *source = words_find(script, words[0]), *target = NULL;
    char text[SWIM_MESSAGE_MAX] = "";

    if (strcmp(words[1], "all") != 0 && !(target = words_find(script, words[1])))
        return -EINVAL;
    if (!source)
        return -EINVAL;
    for (size_t i = 2; i < count; i++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof(text) - length, "%s%s", i > 2 ? " " : "", words[i]);
    }
    check_expect(script->sim, text);
    int r = sim_send(source, target, text);
    return r < 0 ? words_complain(script, "cannot send: %s", strerror(-r)) : 0;
}

/* cut A -> B one way, cut A B | C D between sides */
static int run_cut(struct script *script, char **words, size_t count)
{
    bool is_source = true, is_both = false, sides[2][SCRIPT_NODES_MAX] = {{false}};
    struct sim *sim = script->sim;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], "->") == 0 || strcmp(words[i], "|") == 0) {
            is_both = *words[i] == '|';
            is_source = false;
            continue;
        }
        struct words_range range;
        if (words_find_range(script, words[i], &range) < 0)
            return -EINVAL;
        for (size_t j = range.first; j < range.end; j++)
            sides[is_source ? 0 : 1][j] = true;
    }
    for (size_t i = 0; i < sim->nodes_count; i++)
        for (size_t j = 0; j < sim->nodes_count; j++)
            if (sides[0][i] && sides[1][j]) {
                link_cut(sim->link, i, j, true);
                if (is_both)
                    link_cut(sim->link, j, i, true);
            }
    sim_count_fault(sim, is_both ? FAULT_PARTITION : FAULT_CUT);
    return 0;
}

static int run_heal(struct script *script, char **words, size_t count)
{
    (void)words;
    (void)count;
    link_heal(script->sim->link);
    return 0;
}

static int run_loss(struct script *script, char **words, size_t count)
{
    (void)count;
    return words_read_share(script, words[0], &script->sim->link->loss);
}

static int run_duplication(struct script *script, char **words, size_t count)
{
    (void)count;
    return words_read_share(script, words[0], &script->sim->link->duplication);
}

static int run_replays(struct script *script, char **words, size_t count)
{
    (void)count;
    if (!script->is_sealed)
        return words_complain(script, "replays and flips are for the sealed wire");
    return words_read_share(script, words[0], &script->sim->link->replays);
}

static int run_flips(struct script *script, char **words, size_t count)
{
    (void)count;
    if (!script->is_sealed)
        return words_complain(script, "replays and flips are for the sealed wire");
    return words_read_share(script, words[0], &script->sim->link->flips);
}

static int run_latency(struct script *script, char **words, size_t count)
{
    usec_t least, most;
    int r = words_read_time(script, words[0], &least);

    (void)count;
    if (r >= 0)
        r = words_read_time(script, words[1], &most);
    if (r < 0)
        return r;
    if (most < least)
        return words_complain(script, "latency goes from %s to %s", words[0], words[1]);
    script->sim->link->latency_min_usec = least;
    script->sim->link->latency_max_usec = most;
    return 0;
}

static int run_slow(struct script *script, char **words, size_t count)
{
    struct sim_node *node = words_find(script, words[0]);

    (void)count;
    return node ? words_read_time(script, words[1], &script->sim->link->slow_usec[node->index])
                : -EINVAL;
}

/* cost INPUT START */
static int run_cost(struct script *script, char **words, size_t count)
{
    int r = words_read_time(script, words[0], &script->sim->input_cost_usec);

    (void)count;
    return r < 0 ? r : words_read_time(script, words[1], &script->sim->start_cost_usec);
}

static int expect(struct script *script, char **words, size_t count)
{
    bool is_true;
    int r = condition_test(script->sim, words, count, &is_true);

    if (r < 0)
        return words_complain(script, "this is no condition");
    return is_true ? 0 : words_complain(script, "expected, but not so");
}

/* run DURATION, or run until CONDITION [within DURATION] */
static int run_run(struct script *script, char **words, size_t count)
{
    struct sim *sim = script->sim;
    usec_t within = WITHIN_DEFAULT;
    bool is_true = false;
    int r;

    if (strcmp(words[0], "until") != 0) {
        r = words_read_time(script, words[0], &within);
        if (r >= 0)
            sim_run(sim, sim->now + within);
        return r;
    }
    if (count > 3 && strcmp(words[count - 2], "within") == 0) {
        r = words_read_time(script, words[count - 1], &within);
        if (r < 0)
            return r;
        count -= 2;
    }
    for (usec_t end = sim->now + within; !sim->failure; sim_run(sim, sim->now + STEP_USEC)) {
        r = condition_test(sim, words + 1, count - 1, &is_true);
        if (r < 0)
            return words_complain(script, "this is no condition");
        if (is_true)
            return 0;
        if (sim->now >= end)
            return words_complain(script, "not within %.1f s%s%s", (double)within / USEC_PER_SEC,
                                  strcmp(words[1], "converged") == 0 ? ": " : "",
                                  strcmp(words[1], "converged") == 0 ? check_difference(sim) : "");
    }
    return 0;
}

static const struct command commands[] = {
    {"config", 2, run_config, "KEY VALUE        a field of struct swim_config, before nodes"},
    {"random", 1, run_seed, "SEED             of all randomness, before nodes; 1 by default"},
    {"sealed", 0, run_sealed, "                 datagrams are sealed; before nodes"},
    {"nodes", 1, run_nodes, "COUNT [CLUSTER]  adds nodes n1, n2, ...; the first of them is a seed"},
    {"seeds", 1, run_seeds, "NODES            these are the seeds, and only these"},
    {"wildcard", 1, run_wildcard, "NODES            do not know their own address"},
    {"label", 2, run_label, "NODE NAME        calls itself so"},
    {"hide", 1, run_hide, "NODES|all        leaves them out of the trace"},
    {"show", 1, run_show, "NODES|all        and in again"},
    {"start", 1, run_start, "NODES|all        starts or restarts; NODES over DURATION"},
    {"kill", 1, run_kill, "NODES"},
    {"pause", 1, run_pause, "NODES            SIGSTOP"},
    {"suspend", 1, run_suspend, "NODES            the machine sleeps"},
    {"resume", 1, run_resume, "NODES"},
    {"leave", 1, run_leave, "NODES"},
    {"move", 1, run_move, "NODES            restarts at another address"},
    {"renumber", 1, run_renumber, "NODES            another address while they run"},
    {"forget", 2, run_forget, "NODE DEAD        as p2pctl forget"},
    {"change", 1, run_change, "NODES            a new record of metadata"},
    {"rotate", 1, run_rotate, "NODES            begins to change the key of all"},
    {"step", 2, run_step, "NODE SECONDS     its wall clock jumps"},
    {"join", 2, run_join, "NODE CONTACT     as p2pctl join"},
    {"message", 3, run_message, "NODE all|NODE TEXT"},
    {"cut", 3, run_cut, "NODES -> NODES   one way; with | both ways"},
    {"heal", 0, run_heal, "                 a healthy network"},
    {"loss", 1, run_loss, "PERCENT%"},
    {"duplication", 1, run_duplication, "PERCENT%"},
    {"replays", 1, run_replays, "PERCENT%"},
    {"flips", 1, run_flips, "PERCENT%"},
    {"latency", 2, run_latency, "LEAST MOST"},
    {"slow", 2, run_slow, "NODE DURATION    added to all that it sends and gets"},
    {"cost", 2, run_cost, "INPUT START      of each, on the one machine of all nodes"},
    {"run", 1, run_run, "DURATION, or until CONDITION [within DURATION]"},
    {"expect", 1, expect, "CONDITION"},
};

void command_help(void)
{
    puts("Commands of a scenario; NODES are n1, n3..n7 or all:");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        printf("  %-12s %s\n", commands[i].name, commands[i].help);
    condition_help();
}

static bool is_traced(const char *name)
{
    return strcmp(name, "run") != 0 && strcmp(name, "expect") != 0 && strcmp(name, "hide") != 0 &&
           strcmp(name, "show") != 0;
}

int command_run(struct script *script, char *line)
{
    char *words[WORDS_MAX], *rest = NULL, copy[256];
    size_t count = 0;

    snprintf(copy, sizeof(copy), "%s", line);
    copy[strcspn(copy, "#\n")] = '\0';
    line[strcspn(line, "#\n")] = '\0';
    for (char *word = strtok_r(line, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (count == WORDS_MAX)
            return words_complain(script, "too many words");
        words[count++] = word;
    }
    if (count == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *command = &commands[i];
        if (strcmp(command->name, words[0]) != 0)
            continue;
        if (count - 1 < command->words_min)
            return words_complain(script, "%s %s", command->name, command->help);
        if (!script->sim && i > 3)
            return words_complain(script, "nodes come first");
        if (script->sim && is_traced(command->name))
            trace_note(script->sim, "%s", copy);
        return command->run(script, words + 1, count - 1);
    }
    return words_complain(script, "unknown command %s", words[0]);
}
