/* SPDX-License-Identifier: MIT */

/*
 * Placement at 90 % load with old gossip, in virtual time: the very code of sched/ beside two
 * simple rules on the same arrivals and run times. NODES nodes with one slot each, every one an
 * origin; arrivals are Poisson, run times exponential; each node's load reaches the others AGE mean
 * run times late. One JSON line per rule: the mean wait for a slot in mean run times. Ends with 1
 * where the code does worse than what is promised of it.
 */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/heap.h"
#include "base/rng.h"
#include "sched/origin.h"
#include "sched/slots.h"

#define NODES   20
#define TASKS   60000
#define WARM_UP 5000 /* of those, not counted */
#define RUN     USEC_PER_SEC
#define LOAD    0.9
#define AGE     5 /* mean run times */
#define REPORTS 4 /* in a mean run time */
#define HISTORY (AGE * REPORTS + 1)
#define FOREVER (10000 * USEC_PER_DAY)

#define PLAIN_MOST  0.35 /* of the wait of the least loaded by gossip, at most */
#define PROBES_MOST 0.92 /* of that of two probes */

struct arrival {
    usec_t at, run;
    unsigned origin;
    unsigned probes[2];
};

struct outcome {
    double wait_sum;
    size_t count;
    uint64_t questions;
};

static double exponential(struct rng *rng)
{
    return -log(1.0 - (double)rng_below(rng, UINT32_MAX) / (double)UINT32_MAX);
}

static struct arrival *make_arrivals(uint64_t seed)
{
    struct arrival *arrivals = calloc(TASKS, sizeof(*arrivals));
    double now = 0;
    struct rng rng;

    if (!arrivals)
        abort();
    rng_init(&rng, seed);
    for (size_t i = 0; i < TASKS; i++) {
        now += exponential(&rng) * (double)RUN / (LOAD * NODES);
        unsigned first = (unsigned)rng_below(&rng, NODES);
        unsigned step = 1 + (unsigned)rng_below(&rng, NODES - 1);
        arrivals[i] = (struct arrival){
            .at = (usec_t)now,
            .run = 1 + (usec_t)(exponential(&rng) * (double)RUN),
            .origin = (unsigned)rng_below(&rng, NODES),
            .probes = {first, (first + step) % NODES},
        };
    }
    return arrivals;
}

static void count_wait(struct outcome *outcome, size_t task, usec_t wait)
{
    if (task < WARM_UP)
        return;
    outcome->wait_sum += (double)wait / (double)RUN;
    outcome->count++;
}

/* --- Simple rules: a queue per node --- */

struct simple {
    usec_t free_at[NODES];  /* when all it has is done */
    uint32_t inside[NODES]; /* tasks there now */
    uint32_t history[HISTORY][NODES];
    uint32_t sent[NODES][NODES]; /* by origin, since its last report of the node */
    usec_t next_report;
    size_t reports;
    struct heap leaving;
};

struct leaving {
    struct heap_entry timer;
    unsigned node;
};

/* All that happens until @now: tasks leave, reports are made. */
static void advance_simple(struct simple *simple, usec_t now)
{
    for (;;) {
        usec_t leave = heap_deadline(&simple->leaving);
        if (MIN(leave, simple->next_report) > now)
            return;
        if (leave <= simple->next_report) {
            struct leaving *leaving =
                CONTAINER_OF(heap_first(&simple->leaving), struct leaving, timer);
            simple->inside[leaving->node]--;
            heap_remove(&simple->leaving, &leaving->timer);
            free(leaving);
        } else {
            memcpy(simple->history[simple->reports++ % HISTORY], simple->inside,
                   sizeof(simple->inside));
            memset(simple->sent, 0, sizeof(simple->sent));
            simple->next_report += RUN / REPORTS;
        }
    }
}

static unsigned least_by_gossip(const struct simple *simple, unsigned origin, struct rng *rng)
{
    const uint32_t *known = simple->history[simple->reports % HISTORY];
    unsigned best = 0, first = (unsigned)rng_below(rng, NODES);
    uint32_t least = UINT32_MAX;

    for (unsigned i = 0; i < NODES; i++) {
        unsigned node = (first + i) % NODES;
        uint32_t load = known[node] + simple->sent[origin][node];
        if (load < least) {
            least = load;
            best = node;
        }
    }
    return best;
}

static struct outcome run_simple(const struct arrival *arrivals, bool probes)
{
    struct simple *simple = calloc(1, sizeof(*simple));
    struct outcome outcome = {0};
    struct rng rng;

    if (!simple)
        abort();
    rng_init(&rng, 7);
    for (size_t i = 0; i < TASKS; i++) {
        const struct arrival *arrival = &arrivals[i];
        unsigned node;
        advance_simple(simple, arrival->at);
        if (probes)
            node = simple->inside[arrival->probes[0]] <= simple->inside[arrival->probes[1]]
                       ? arrival->probes[0]
                       : arrival->probes[1];
        else
            node = least_by_gossip(simple, arrival->origin, &rng);
        usec_t start = MAX(arrival->at, simple->free_at[node]);
        simple->free_at[node] = start + arrival->run;
        simple->inside[node]++;
        simple->sent[arrival->origin][node]++;
        struct leaving *leaving = calloc(1, sizeof(*leaving));
        if (!leaving || heap_set(&simple->leaving, &leaving->timer, simple->free_at[node]) < 0)
            abort();
        leaving->node = node;
        count_wait(&outcome, i, start - arrival->at);
    }
    while (heap_first(&simple->leaving)) {
        struct leaving *leaving = CONTAINER_OF(heap_first(&simple->leaving), struct leaving, timer);
        heap_remove(&simple->leaving, &leaving->timer);
        free(leaving);
    }
    heap_done(&simple->leaving);
    free(simple);
    return outcome;
}

/* --- The code --- */

struct real_node {
    struct origin *origin;
    struct slots *slots;
};

struct real {
    struct real_node nodes[NODES];
    const struct arrival *arrivals;
    struct heap processes;
    struct slots_load history[HISTORY][NODES];
    usec_t now, next_report;
    size_t reports;
    struct outcome outcome;
};

struct process {
    struct heap_entry timer;
    unsigned node;
    uint64_t id;
};

static const char *const types[] = {"a"};

static struct node_id id_of(unsigned node)
{
    return (struct node_id){{(uint8_t)(node + 1)}};
}

static unsigned index_of(const struct node_id *id)
{
    return id->bytes[0] - 1U;
}

static void tell_load(struct real *real, unsigned viewer, unsigned node,
                      const struct slots_load *load)
{
    struct place_facts facts = {.id = id_of(node),
                                .generation = 1,
                                .state = PLACE_ALIVE,
                                .is_self = viewer == node,
                                .has_tasks = true,
                                .slots = 1,
                                .running = load->running,
                                .queued = load->queued,
                                .load_permille = load->load_permille,
                                .types = types,
                                .types_count = 1};

    (void)snprintf(facts.name, sizeof(facts.name), "lab-%02u", node + 1);
    if (origin_set_node(real->nodes[viewer].origin, &facts, real->now) < 0)
        abort();
}

static void make_node(struct real *real, unsigned node, uint64_t seed)
{
    static const struct slots_type type = {.name = "a", .slots = 1};
    struct slots_config slots = {
        .id = id_of(node), .slots = 1, .queue_max = 100000, .types = &type, .types_count = 1};
    struct origin_config origin = {.id = id_of(node),
                                   .tasks_max = TASKS,
                                   .lease_usec = USEC_PER_DAY,
                                   .ask_usec = 50 * USEC_PER_MSEC};

    (void)snprintf(origin.name, sizeof(origin.name), "lab-%02u", node + 1);
    if (origin_new(&origin, seed + node, 0, 0, &real->nodes[node].origin) < 0 ||
        slots_new(&slots, seed + node, 0, &real->nodes[node].slots) < 0)
        abort();
}

static void offer(struct real *real, unsigned from, const struct origin_action *action,
                  const struct slots_key *key)
{
    struct slots *slots = real->nodes[index_of(&action->node)].slots;
    struct node_id to = action->node;

    if (slots_offer(slots, key, "origin", &action->task->spec, 0, real->now) < 0)
        abort();
    origin_accepted(real->nodes[from].origin, key->number, key->attempt, &to, real->now);
}

static void ask(struct real *real, unsigned from, const struct origin_action *action,
                const struct slots_key *key)
{
    struct slots_wish wish = {.type = "a"};
    struct node_id to = action->node;
    struct slots_load load;

    real->outcome.questions++;
    int r = slots_ask(real->nodes[index_of(&to)].slots, key, &wish, real->now, &load);
    struct place_answer answer = {.is_willing = r >= 0,
                                  .slots = load.slots,
                                  .running = load.running,
                                  .queued = load.queued,
                                  .load_permille = load.load_permille};
    origin_answered(real->nodes[from].origin, key->number, key->attempt, &to, &answer, real->now);
}

/* Messages take no time: run times are a thousand times longer in any lab where it matters. */
static void act_for_origin(struct real *real, unsigned node, const struct origin_action *action)
{
    struct slots_key key = {
        .origin = id_of(node), .number = action->number, .attempt = action->attempt};

    switch (action->type) {
    case ORIGIN_COMMIT:
        origin_committed(real->nodes[node].origin, action->number, action->revision, real->now);
        break;
    case ORIGIN_ASK:
        ask(real, node, action, &key);
        break;
    case ORIGIN_RELEASE:
        slots_release(real->nodes[index_of(&action->node)].slots, &key);
        break;
    case ORIGIN_SEND:
        offer(real, node, action, &key);
        break;
    case ORIGIN_ACK:
        slots_acked(real->nodes[index_of(&action->node)].slots, &key, real->now);
        break;
    default:
        break;
    }
}

static void start(struct real *real, unsigned node, const struct slots_attempt *attempt)
{
    const struct arrival *arrival = &real->arrivals[attempt->key.number - 1];
    struct process *process = calloc(1, sizeof(*process));

    if (!process || heap_set(&real->processes, &process->timer, real->now + arrival->run) < 0)
        abort();
    process->node = node;
    process->id = attempt->id;
    count_wait(&real->outcome, attempt->key.number - 1, real->now - arrival->at);
}

static void act_for_slots(struct real *real, unsigned node, const struct slots_action *action)
{
    const struct slots_key *key = &action->attempt->key;
    struct node_id self = id_of(node);
    struct origin *origin = real->nodes[index_of(&key->origin)].origin;

    if (action->type == SLOTS_START) {
        start(real, node, action->attempt);
    } else if (action->type == SLOTS_REPORT) {
        struct task_end end = action->attempt->end;
        origin_ended(origin, key->number, key->attempt, &self, &end, real->now);
    }
}

static void pump(struct real *real)
{
    struct origin_action origin_action;
    struct slots_action slots_action;
    bool has_acted = true;

    while (has_acted) {
        has_acted = false;
        for (unsigned i = 0; i < NODES; i++) {
            while (origin_next_action(real->nodes[i].origin, &origin_action)) {
                act_for_origin(real, i, &origin_action);
                has_acted = true;
            }
            while (slots_next_action(real->nodes[i].slots, &slots_action)) {
                act_for_slots(real, i, &slots_action);
                has_acted = true;
            }
        }
    }
}

/* What each node had AGE run times ago is told to all, what it has now is kept for later. */
static void report_all(struct real *real)
{
    struct slots_load *now = real->history[real->reports++ % HISTORY];

    for (unsigned i = 0; i < NODES; i++)
        slots_get_load(real->nodes[i].slots, &now[i]);
    const struct slots_load *then = real->history[real->reports % HISTORY];
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned k = 0; k < NODES; k++)
            tell_load(real, i, k, i == k ? &now[k] : &then[k]);
    real->next_report += RUN / REPORTS;
}

static void end_process(struct real *real)
{
    struct process *process = CONTAINER_OF(heap_first(&real->processes), struct process, timer);
    struct task_end end = {.type = TASK_END_EXIT};

    heap_remove(&real->processes, &process->timer);
    slots_exited(real->nodes[process->node].slots, process->id, &end, real->now);
    free(process);
}

static void advance_real(struct real *real, usec_t until)
{
    for (;;) {
        usec_t next = MIN(heap_deadline(&real->processes), real->next_report);
        for (unsigned i = 0; i < NODES; i++) {
            usec_t deadline = origin_deadline(real->nodes[i].origin);
            next = MIN(next, deadline);
        }
        if (next > until)
            break;
        real->now = MAX(real->now, next);
        if (real->next_report <= real->now)
            report_all(real);
        else if (heap_deadline(&real->processes) <= real->now)
            end_process(real);
        for (unsigned i = 0; i < NODES; i++)
            if (origin_deadline(real->nodes[i].origin) <= real->now)
                origin_tick(real->nodes[i].origin, real->now);
        pump(real);
    }
    real->now = until;
}

static struct outcome run_real(const struct arrival *arrivals, uint64_t seed)
{
    struct real *real = calloc(1, sizeof(*real));
    struct task_spec spec = {.type = "a", .type_number = 1};
    char reason[TASK_REASON_MAX + 1];

    if (!real)
        abort();
    real->arrivals = arrivals;
    for (unsigned i = 0; i < NODES; i++)
        make_node(real, i, seed);
    report_all(real);
    for (size_t i = 0; i < TASKS; i++) {
        advance_real(real, arrivals[i].at);
        if (origin_submit(real->nodes[arrivals[i].origin].origin, i + 1, &spec, false, real->now,
                          reason) < 0)
            abort();
        pump(real);
    }
    while (heap_first(&real->processes))
        advance_real(real, heap_deadline(&real->processes));
    struct outcome outcome = real->outcome;
    for (unsigned i = 0; i < NODES; i++) {
        origin_free(real->nodes[i].origin);
        slots_free(real->nodes[i].slots);
    }
    heap_done(&real->processes);
    free(real);
    return outcome;
}

static double show(const char *rule, const struct outcome *outcome)
{
    double wait = outcome->wait_sum / (double)outcome->count;

    (void)printf("{\"bench\":\"sched placement\",\"rule\":\"%s\",\"nodes\":%d,\"load\":%.2f,"
                 "\"gossip_age\":%d,\"tasks\":%zu,\"mean_wait\":%.2f}\n",
                 rule, NODES, LOAD, AGE, outcome->count, wait);
    return wait;
}

int main(void)
{
    struct arrival *arrivals = make_arrivals(3);
    struct outcome plain = run_simple(arrivals, false), probes = run_simple(arrivals, true);
    struct outcome code = run_real(arrivals, 5);

    free(arrivals);
    double plain_wait = show("least loaded by gossip", &plain);
    double probes_wait = show("two probes at random", &probes);
    double wait = show("p2pnode: four by gossip, the best three asked", &code);
    bool is_good = code.count == TASKS - WARM_UP && wait <= PLAIN_MOST * plain_wait &&
                   wait <= PROBES_MOST * probes_wait;
    (void)printf(
        "{\"bench\":\"sched placement\",\"to_plain\":%.2f,\"goal\":%.2f,\"to_probes\":%.2f,"
        "\"goal_probes\":%.2f,\"questions_per_task\":%.2f,\"reached\":%s}\n",
        wait / plain_wait, PLAIN_MOST, wait / probes_wait, PROBES_MOST,
        (double)code.questions / TASKS, is_good ? "true" : "false");
    return is_good ? 0 : 1;
}
