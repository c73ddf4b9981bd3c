/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A lab in virtual time: nodes with an origin and slots each, a network that delays, loses and
 * cuts, a database that commits late, processes that run, fail and ignore TERM, nodes that die and
 * come back, and a membership that notices late or is wrong. All of it by one seed. The first
 * broken promise is kept in `violation`. A mutant breaks one rule of the wiring on purpose: the
 * checks must see it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/heap.h"
#include "base/json.h"
#include "base/rng.h"
#include "sched/origin.h"
#include "sched/slots.h"
#include "sched/task_json.h"

#define LAB_NODES     8
#define LAB_TASKS     60 /* per origin */
#define LAB_PROCESSES 64 /* per node, at once */
#define LAB_LEASE     (15 * USEC_PER_SEC)
#define LAB_DELAY_MAX (3 * USEC_PER_SEC) /* of a message; below a third of the lease */
#define LAB_SLOTS     3
#define LAB_QUANTUM   (500 * USEC_PER_MSEC)
#define LAB_NEVER     (USEC_INFINITY - 1)

enum lab_mutant {
    MUTANT_NONE,
    MUTANT_IMMORTAL,   /* KILL does nothing: leases mean nothing */
    MUTANT_FORGETFUL,  /* commits are confirmed, but not made */
    MUTANT_GREEDY,     /* more slots than the node has */
    MUTANT_INDISCREET, /* confidential tasks are submitted as if they were not */
    MUTANT_FORGER,     /* ends carry the number of the attempt that is current */
    MUTANT_MUTE,       /* ends never arrive */
    MUTANT_RESTLESS,   /* what is paused goes on */
    _MUTANT_MAX,
};

enum lab_event_type {
    LAB_MESSAGE,
    LAB_COMMITTED,
    LAB_PROCESS_STARTED,
    LAB_PROCESS_ENDED,
    LAB_GOSSIP, /* of node: its load to all */
    LAB_SEEN,   /* node sees peer in `state`, as of generation `number` */
    LAB_SUBMIT,
    LAB_MISCHIEF, /* of the whole lab */
    LAB_RESTART,
    LAB_MEND, /* the cut between node and peer is over */
    LAB_UNDRAIN,
};

enum lab_message {
    LAB_OFFER,
    LAB_ACCEPTED,
    LAB_REFUSED,
    LAB_RUNS,
    LAB_ENDED,
    LAB_RENEW,
    LAB_RENEWED,
    LAB_QUERY,
    LAB_MISSING,
    LAB_CANCEL,
    LAB_RECALL,
    LAB_ACK,
    LAB_ASK,
    LAB_ROOM,
    LAB_RELEASE,
};

struct lab_event {
    struct heap_entry timer;
    enum lab_event_type type;
    enum lab_message message;
    unsigned node, peer; /* node: whose event; of a message the receiver, peer the sender */
    uint32_t epoch;      /* void when the node has died since */
    struct slots_key key;
    struct task_spec spec; /* owned; of an offer */
    struct task_end end;
    struct slots_wish wish;
    struct place_answer answer;
    uint64_t number, revision, id;
    bool is_unbegun; /* of what is missing: as is known */
    char *json;      /* owned; of a commit */
    enum origin_refusal refusal;
    enum place_state state;
    int signal;
    usec_t grace_usec, asked_usec, lease_usec;
    bool is_granted;
};

/* What the lab knows of a task, whatever its nodes believe. */
struct lab_record {
    char *json;        /* owned; what the disk has */
    uint64_t revision; /* of it; counts anew with every start of the node */
    bool is_accepted;
    bool is_confidential;
    bool is_once; /* retries 0 */
    unsigned ended;
    unsigned running, starts; /* processes */
    uint64_t begun;           /* the last attempt that one was started for */
};

struct lab_process {
    bool is_used;
    uint64_t id;
    struct slots_key key;
    bool is_dead; /* killed, and the news is on its way */
    bool is_paused;
    bool is_ending;   /* was signalled */
    usec_t left_usec; /* to run, where it is paused */
    struct lab_event *end;
};

struct lab_node {
    bool is_up, is_draining;
    uint32_t epoch;
    uint64_t generation;
    struct origin *origin;
    struct slots *slots;
    uint64_t next_number;
    struct lab_record records[LAB_TASKS + 1]; /* by number */
    struct lab_process processes[LAB_PROCESSES];
};

struct lab {
    struct rng rng;
    usec_t now;
    struct heap events;
    struct lab_node nodes[LAB_NODES];
    bool is_cut[LAB_NODES][LAB_NODES];
    bool has_faults;
    enum lab_mutant mutant;
    char violation[256];
    uint64_t messages, questions, pauses, starts, deaths, cuts, lost, moved, stale, ends;
};

static const char *const lab_types[][3] = {
    {"a", "b", "c"}, {"a", "b", NULL}, {"b", "c", NULL}, {"a", NULL, NULL}};

static void _printf_(2, 3) lab_violate(struct lab *lab, const char *format, ...)
{
    va_list arguments;

    if (lab->violation[0] != '\0')
        return;
    va_start(arguments, format);
    (void)vsnprintf(lab->violation, sizeof(lab->violation), format, arguments);
    va_end(arguments);
}

static struct node_id lab_id(unsigned node)
{
    return (struct node_id){{(uint8_t)(node + 1), 7}};
}

static unsigned lab_index(const struct node_id *id)
{
    return id->bytes[0] - 1U;
}

static bool lab_chance(struct lab *lab, unsigned permille)
{
    return rng_below(&lab->rng, 1000) < permille;
}

static struct lab_event *lab_at(struct lab *lab, usec_t delay, enum lab_event_type type,
                                unsigned node)
{
    struct lab_event *event = calloc(1, sizeof(*event));

    if (!event || heap_set(&lab->events, &event->timer, lab->now + delay) < 0)
        abort();
    event->type = type;
    event->node = node;
    event->epoch = lab->nodes[node].epoch;
    return event;
}

static void lab_event_free(struct lab *lab, struct lab_event *event)
{
    heap_remove(&lab->events, &event->timer);
    task_spec_done(&event->spec);
    free(event->json);
    free(event);
}

static usec_t lab_delay(struct lab *lab)
{
    if (lab->has_faults && lab_chance(lab, 20))
        return rng_below(&lab->rng, LAB_DELAY_MAX);
    return 200 + rng_below(&lab->rng, 5 * USEC_PER_MSEC);
}

/* From one node to another. NULL where it is lost. */
static struct lab_event *lab_send(struct lab *lab, unsigned from, unsigned to,
                                  enum lab_message message, const struct slots_key *key)
{
    if (from != to && (lab->is_cut[from][to] || !lab->nodes[to].is_up ||
                       (lab->has_faults && lab_chance(lab, 10))))
        return NULL;
    if (message == LAB_ENDED && from != to && lab->mutant == MUTANT_MUTE)
        return NULL;
    struct lab_event *event = lab_at(lab, from == to ? 0 : lab_delay(lab), LAB_MESSAGE, to);
    event->message = message;
    event->peer = from;
    event->key = *key;
    lab->messages++;
    return event;
}

static struct lab_record *lab_record(struct lab *lab, const struct slots_key *key)
{
    return &lab->nodes[lab_index(&key->origin)].records[key->number];
}

/* Every attempt leaves a mark of its own in its end, so that a mixed-up result shows. */
static uint64_t lab_mark(const struct slots_key *key)
{
    return key->number * 10000 + key->attempt;
}

static void lab_process_dies(struct lab *lab, struct lab_process *process)
{
    if (process->is_dead)
        return;
    process->is_dead = true;
    lab_record(lab, &process->key)->running--;
}

static void lab_check_slots(struct lab *lab, unsigned node)
{
    unsigned running = 0, of_c = 0;

    for (size_t i = 0; i < LAB_PROCESSES; i++) {
        const struct lab_process *process = &lab->nodes[node].processes[i];
        if (!process->is_used || process->is_dead)
            continue;
        const struct slots_attempt *attempt = slots_find_id(lab->nodes[node].slots, process->id);
        /* One that is to be killed goes on for that, whether there is a slot or not. */
        running += !process->is_paused && !process->is_ending;
        of_c += attempt && strcmp(attempt->spec.type, "c") == 0;
    }
    if (running > LAB_SLOTS || of_c > 1)
        lab_violate(lab, "node %u runs %u tasks, %u of them c", node, running, of_c);
}

static void lab_start_process(struct lab *lab, unsigned node, const struct slots_attempt *attempt)
{
    struct lab_record *record = lab_record(lab, &attempt->key);
    struct lab_process *process = lab->nodes[node].processes;

    while (process->is_used)
        if (++process == lab->nodes[node].processes + LAB_PROCESSES)
            abort();
    if (record->running > 0)
        lab_violate(lab, "task %" PRIu64 " of node %u runs twice at the same time",
                    attempt->key.number, lab_index(&attempt->key.origin));
    if (record->is_once && record->starts > 0)
        lab_violate(lab, "task %" PRIu64 " of node %u ran twice, though it must not",
                    attempt->key.number, lab_index(&attempt->key.origin));
    if (record->is_confidential && node != lab_index(&attempt->key.origin))
        lab_violate(lab, "a confidential task runs on node %u", node);
    record->running++;
    record->starts++;
    record->begun = attempt->key.attempt;
    lab->starts++;
    *process = (struct lab_process){.is_used = true, .id = attempt->id, .key = attempt->key};
    lab_at(lab, USEC_PER_MSEC, LAB_PROCESS_STARTED, node)->id = attempt->id;
    usec_t run = lab_chance(lab, 50) ? rng_below(&lab->rng, 4 * USEC_PER_MIN)
                                     : 10 * USEC_PER_MSEC + rng_below(&lab->rng, 20 * USEC_PER_SEC);
    process->end = lab_at(lab, run, LAB_PROCESS_ENDED, node);
    process->end->id = attempt->id;
    process->end->end = (struct task_end){.type = TASK_END_EXIT,
                                          .code = lab_chance(lab, 100) ? 3 : 0,
                                          .memory_peak_size = lab_mark(&attempt->key)};
    lab_check_slots(lab, node);
}

/* KILL works at once, TERM when the process pleases, if ever. */
static void lab_kill_process(struct lab *lab, unsigned node, uint64_t id, int signal)
{
    for (size_t i = 0; i < LAB_PROCESSES; i++) {
        struct lab_process *process = &lab->nodes[node].processes[i];
        if (!process->is_used || process->id != id || process->is_dead)
            continue;
        if (lab->mutant == MUTANT_IMMORTAL)
            return;
        process->is_ending = true;
        if (signal == 9)
            lab_process_dies(lab, process);
        else if (lab_chance(lab, 300))
            return;
        usec_t delay = signal == 9 ? USEC_PER_MSEC : rng_below(&lab->rng, 8 * USEC_PER_SEC);
        usec_t at = lab->now + delay;
        process->end->end = (struct task_end){.type = TASK_END_SIGNAL, .code = signal};
        if (process->end->timer.time_usec > at)
            (void)heap_set(&lab->events, &process->end->timer, at);
        return;
    }
}

/* What is stopped goes on later where it was. */
static void lab_pause_process(struct lab *lab, unsigned node, uint64_t id, bool is_paused)
{
    for (size_t i = 0; i < LAB_PROCESSES; i++) {
        struct lab_process *process = &lab->nodes[node].processes[i];
        if (!process->is_used || process->id != id || process->is_dead ||
            process->is_paused == is_paused)
            continue;
        if (lab->mutant == MUTANT_RESTLESS && is_paused)
            return;
        process->is_paused = is_paused;
        lab->pauses += is_paused;
        if (is_paused)
            process->left_usec = process->end->timer.time_usec - lab->now;
        /* Its end may have been ordered meanwhile. */
        if (is_paused || process->end->timer.time_usec == LAB_NEVER)
            (void)heap_set(&lab->events, &process->end->timer,
                           is_paused ? LAB_NEVER : lab->now + process->left_usec);
        lab_check_slots(lab, node);
        return;
    }
}

static void lab_on_slots_action(struct lab *lab, unsigned node, const struct slots_action *action)
{
    static const enum origin_refusal refusals[] = {
        [SLOTS_HANDBACK_DRAINING] = ORIGIN_REFUSED_DRAINING,
        [SLOTS_HANDBACK_RECALLED] = ORIGIN_REFUSED_RECALLED,
        [SLOTS_HANDBACK_TYPE] = ORIGIN_REFUSED_TYPE,
        [SLOTS_HANDBACK_NO_SPACE] = ORIGIN_REFUSED_NO_SPACE,
    };
    const struct slots_key *key = &action->attempt->key;
    unsigned origin = lab_index(&key->origin);
    struct lab_event *event;

    switch (action->type) {
    case SLOTS_START:
        lab_start_process(lab, node, action->attempt);
        break;
    case SLOTS_PAUSE:
    case SLOTS_CONTINUE:
        lab_pause_process(lab, node, action->attempt->id, action->type == SLOTS_PAUSE);
        break;
    case SLOTS_KILL:
        lab_kill_process(lab, node, action->attempt->id, action->signal);
        break;
    case SLOTS_STARTED:
        (void)lab_send(lab, node, origin, LAB_RUNS, key);
        break;
    case SLOTS_RENEW:
        event = lab_send(lab, node, origin, LAB_RENEW, key);
        if (event)
            event->asked_usec = action->asked_usec;
        break;
    case SLOTS_REPORT:
        event = lab_send(lab, node, origin, LAB_ENDED, key);
        if (event)
            event->end = action->attempt->end;
        break;
    case SLOTS_HANDBACK:
        event = lab_send(lab, node, origin, LAB_REFUSED, key);
        if (event)
            event->refusal = refusals[action->reason];
        break;
    case SLOTS_DROPPED:
        break;
    }
}

static void lab_commit(struct lab *lab, unsigned node, const struct origin_action *action)
{
    bool is_new = !lab->nodes[node].records[action->number].json;
    struct lab_event *event =
        lab_at(lab, USEC_PER_MSEC + rng_below(&lab->rng, 9 * USEC_PER_MSEC), LAB_COMMITTED, node);
    cJSON *json = task_to_json(action->task);

    event->number = action->number;
    event->revision = action->revision;
    event->json = json_format(json);
    cJSON_Delete(json);
    /* The disk is full now and then. */
    event->is_granted = !(lab->has_faults && lab_chance(lab, is_new ? 5 : 2));
}

static void lab_on_end(struct lab *lab, unsigned node, const struct task *task)
{
    struct slots_key key = {
        .origin = lab_id(node), .number = task->number, .attempt = task->attempt};
    struct lab_record *record = &lab->nodes[node].records[task->number];
    bool has_run = task->state == TASK_SUCCEEDED || task->state == TASK_FAILED;

    lab->ends++;
    if (++record->ended > 1)
        lab_violate(lab, "task %" PRIu64 " of node %u ended twice", task->number, node);
    if (has_run && task->has_end && task->end.type == TASK_END_EXIT &&
        task->end.memory_peak_size != lab_mark(&key))
        lab_violate(lab, "task %" PRIu64 " of node %u has the result of another attempt",
                    task->number, node);
}

static void lab_on_send(struct lab *lab, unsigned node, const struct origin_action *action,
                        const struct slots_key *key)
{
    unsigned to = lab_index(&action->node);
    struct lab_event *event;

    if (lab->nodes[node].records[action->number].is_confidential && to != node)
        lab_violate(lab, "a confidential task is offered to node %u", to);
    if (to != node && (lab->is_cut[node][to] || !lab->nodes[to].is_up) && lab_chance(lab, 500)) {
        event = lab_at(lab, USEC_PER_MSEC, LAB_MESSAGE, node);
        event->message = LAB_REFUSED;
        event->peer = to;
        event->key = *key;
        event->refusal = ORIGIN_REFUSED_UNREACHABLE;
        return;
    }
    event = lab_send(lab, node, to, LAB_OFFER, key);
    if (event && task_spec_copy(&action->task->spec, &event->spec) < 0)
        abort();
    if (event)
        event->lease_usec = action->lease_usec;
}

static void lab_on_origin_action(struct lab *lab, unsigned node, const struct origin_action *action)
{
    struct slots_key key = {
        .origin = lab_id(node), .number = action->number, .attempt = action->attempt};
    unsigned to = lab_index(&action->node);
    struct lab_event *event;

    switch (action->type) {
    case ORIGIN_COMMIT:
        lab_commit(lab, node, action);
        break;
    case ORIGIN_ACCEPTED:
        lab->nodes[node].records[action->number].is_accepted = true;
        break;
    case ORIGIN_SEND:
        lab_on_send(lab, node, action, &key);
        break;
    case ORIGIN_QUERY:
        (void)lab_send(lab, node, to, LAB_QUERY, &key);
        break;
    case ORIGIN_CANCEL:
        event = lab_send(lab, node, to, LAB_CANCEL, &key);
        if (event) {
            event->signal = action->signal;
            event->grace_usec = action->grace_usec;
        }
        break;
    case ORIGIN_ASK:
        lab->questions++;
        event = lab_send(lab, node, to, LAB_ASK, &key);
        if (event) {
            memcpy(event->wish.type, action->task->spec.type, sizeof(event->wish.type));
            event->wish.kind = task_spec_get_kind(&action->task->spec);
        }
        break;
    case ORIGIN_RELEASE:
        (void)lab_send(lab, node, to, LAB_RELEASE, &key);
        break;
    case ORIGIN_RECALL:
        (void)lab_send(lab, node, to, LAB_RECALL, &key);
        break;
    case ORIGIN_ACK:
        (void)lab_send(lab, node, to, LAB_ACK, &key);
        break;
    case ORIGIN_ENDED:
        lab_on_end(lab, node, action->task);
        break;
    case ORIGIN_LOST:
        lab->lost++;
        break;
    case ORIGIN_MOVED:
        lab->moved++;
        break;
    case ORIGIN_PLACED:
    case ORIGIN_STARTED:
    case ORIGIN_FORGET:
    case ORIGIN_DENIED: /* types are for all users here */
        break;
    }
}

static void lab_drain(struct lab *lab, unsigned node)
{
    struct origin_action origin_action;
    struct slots_action slots_action;
    bool is_done = false;

    while (!is_done) {
        is_done = true;
        while (origin_next_action(lab->nodes[node].origin, &origin_action)) {
            lab_on_origin_action(lab, node, &origin_action);
            is_done = false;
        }
        while (slots_next_action(lab->nodes[node].slots, &slots_action)) {
            lab_on_slots_action(lab, node, &slots_action);
            is_done = false;
        }
    }
}
