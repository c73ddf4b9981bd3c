/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sched_lab.h"

/*
 * Storms over the lab: the promises of the scheduler, checked after every step, and that every
 * check can fire. A failure names the seed; `test_sched_storm SEED` runs that storm alone.
 */

#define STORM_USEC (90 * USEC_PER_MIN / 2) /* with faults */
#define CALM_USEC  (20 * USEC_PER_MIN)     /* after which everything has ended */
#define WALL       UINT64_C(1795244870000000)
#define STORMS     12
#define FIRST_SEED UINT64_C(0x5eed)

static struct place_facts facts_of(const struct lab *lab, unsigned node, bool is_self,
                                   enum place_state state)
{
    const struct lab_node *entry = &lab->nodes[node];
    struct place_facts facts = {
        .id = lab_id(node),
        .generation = entry->generation,
        .state = state,
        .is_self = is_self,
        .has_tasks = true,
        .has_commands = true,
        .slots = LAB_SLOTS,
        .types = lab_types[node % ARRAY_SIZE(lab_types)],
    };
    struct slots_load load;

    (void)snprintf(facts.name, sizeof(facts.name), "lab-%02u", node + 1);
    while (facts.types_count < 3 && facts.types[facts.types_count])
        facts.types_count++;
    if (entry->is_up) {
        slots_get_load(entry->slots, &load);
        facts.running = load.running;
        facts.queued = load.queued;
        facts.load_permille = load.load_permille;
        facts.is_draining = load.is_draining;
    }
    return facts;
}

static void see(struct lab *lab, unsigned viewer, unsigned node, enum place_state state)
{
    struct place_facts facts = facts_of(lab, node, viewer == node, state);

    if (origin_set_node(lab->nodes[viewer].origin, &facts, lab->now) < 0)
        abort();
}

static void see_later(struct lab *lab, unsigned viewer, unsigned node, enum place_state state,
                      usec_t delay)
{
    if (!lab->nodes[viewer].is_up || viewer == node)
        return;
    struct lab_event *event = lab_at(lab, delay, LAB_SEEN, viewer);
    event->peer = node;
    event->state = state;
    event->number = lab->nodes[node].generation;
}

static void start_node(struct lab *lab, unsigned node)
{
    struct lab_node *entry = &lab->nodes[node];
    struct slots_type types[3] = {{.slots = 1}, {.slots = 1}, {.slots = 1, .max = 1}};
    struct slots_config slots = {.id = lab_id(node),
                                 .has_commands = true,
                                 .slots = lab->mutant == MUTANT_GREEDY ? LAB_SLOTS + 2 : LAB_SLOTS,
                                 .queue_max = 5,
                                 .is_fifo = node % 4 == 1,
                                 .quantum_usec = LAB_QUANTUM,
                                 .timeout_usec = 2 * USEC_PER_MIN,
                                 .kill_grace_usec = 5 * USEC_PER_SEC,
                                 .types = types};
    struct origin_config origin = {.id = lab_id(node),
                                   .tasks_max = LAB_TASKS,
                                   .lease_usec = LAB_LEASE,
                                   .rebalance_after_usec = 30 * USEC_PER_SEC,
                                   .ask_usec = 50 * USEC_PER_MSEC,
                                   .keep_usec = USEC_PER_DAY,
                                   .keep_failed_usec = USEC_PER_DAY};

    for (const char *const *type = lab_types[node % ARRAY_SIZE(lab_types)];
         slots.types_count < 3 && *type; type++) {
        struct slots_type *target = &types[slots.types_count++];
        (void)snprintf(target->name, sizeof(target->name), "%s", *type);
        target->max = strcmp(*type, "c") == 0;
    }
    (void)snprintf(origin.name, sizeof(origin.name), "lab-%02u", node + 1);
    entry->generation++;
    entry->is_up = true;
    if (origin_new(&origin, rng_next(&lab->rng), lab->now, WALL + lab->now, &entry->origin) < 0 ||
        slots_new(&slots, rng_next(&lab->rng), lab->now, &entry->slots) < 0)
        abort();
    for (size_t i = 1; i <= LAB_TASKS; i++) {
        struct lab_record *record = &entry->records[i];
        record->revision = 0;
        if (!record->json) {
            if (record->is_accepted)
                lab_violate(lab, "task %zu of node %u was accepted, but is not on disk", i, node);
            continue;
        }
        cJSON *json = NULL;
        struct task *task;
        if (json_parse(record->json, strlen(record->json), &json) < 0 ||
            task_from_json(json, &task) < 0 ||
            origin_restore(entry->origin, task, record->begun >= task->attempt, lab->now) < 0)
            abort();
        cJSON_Delete(json);
    }
    see(lab, node, node, PLACE_ALIVE);
    for (unsigned i = 0; i < LAB_NODES; i++) {
        if (lab->nodes[i].is_up)
            see_later(lab, node, i, PLACE_ALIVE, rng_below(&lab->rng, USEC_PER_SEC));
        see_later(lab, i, node, PLACE_ALIVE, rng_below(&lab->rng, 2 * USEC_PER_SEC));
    }
    (void)lab_at(lab, rng_below(&lab->rng, USEC_PER_SEC), LAB_GOSSIP, node);
    (void)lab_at(lab, rng_below(&lab->rng, USEC_PER_MIN), LAB_SUBMIT, node);
}

static void save(struct lab_record *record, struct lab_event *event)
{
    if (event->revision <= record->revision)
        return;
    free(record->json);
    record->json = TAKE_PTR(event->json);
    record->revision = event->revision;
}

/* The power goes: of the commits under way some are on disk. */
static void kill_node(struct lab *lab, unsigned node)
{
    struct lab_node *entry = &lab->nodes[node];

    for (size_t i = 0; i < lab->events.count; i++) {
        struct lab_event *event = CONTAINER_OF(lab->events.slots[i].entry, struct lab_event, timer);
        if (event->type == LAB_COMMITTED && event->node == node && event->epoch == entry->epoch &&
            event->is_granted && lab->mutant != MUTANT_FORGETFUL && lab_chance(lab, 500) &&
            origin_find(entry->origin, event->number))
            save(&entry->records[event->number], event);
    }
    for (size_t i = 0; i < LAB_PROCESSES; i++) {
        if (entry->processes[i].is_used)
            lab_process_dies(lab, &entry->processes[i]);
        entry->processes[i].is_used = false;
    }
    entry->origin = origin_free(entry->origin);
    entry->slots = slots_free(entry->slots);
    entry->is_up = entry->is_draining = false;
    entry->epoch++;
    lab->deaths++;
    for (unsigned i = 0; i < LAB_NODES; i++) {
        see_later(lab, i, node, PLACE_SUSPECT, USEC_PER_SEC + rng_below(&lab->rng, USEC_PER_SEC));
        see_later(lab, i, node, PLACE_DEAD,
                  3 * USEC_PER_SEC + rng_below(&lab->rng, 3 * USEC_PER_SEC));
    }
}

static void submit(struct lab *lab, unsigned node)
{
    static const char *const types[] = {"a", "b", "c"};
    struct lab_node *entry = &lab->nodes[node];
    struct lab_record *record = &entry->records[entry->next_number + 1];
    char reason[TASK_REASON_MAX + 1];
    struct task_spec spec = {
        .type_number = entry->next_number + 1,
        .is_confidential = lab_chance(lab, 100),
        .retries = lab_chance(lab, 200) ? 0 : 3,
        .retry_delay_usec = 2 * USEC_PER_SEC,
        .retry_on = TASK_RETRY_NODE_LOST | TASK_RETRY_NO_SPACE | TASK_RETRY_UNREACHABLE |
                    (lab_chance(lab, 300) ? TASK_RETRY_EXIT : 0U),
        .timeout_usec = lab_chance(lab, 100) ? 5 * USEC_PER_SEC : 0,
    };

    if (entry->next_number == LAB_TASKS)
        return;
    /* In bursts, so that queues fill and empty again. */
    (void)lab_at(lab, rng_below(&lab->rng, lab_chance(lab, 800) ? USEC_PER_SEC : 5 * USEC_PER_MIN),
                 LAB_SUBMIT, node);
    (void)snprintf(spec.type, sizeof(spec.type), "%s", types[rng_below(&lab->rng, 3)]);
    (void)snprintf(spec.user, sizeof(spec.user), "user%d", (int)rng_below(&lab->rng, 3));
    if (!spec.is_confidential && lab_chance(lab, 100))
        (void)snprintf(spec.node, sizeof(spec.node), "lab-%02d",
                       (int)rng_below(&lab->rng, LAB_NODES) + 1);
    record->is_confidential = spec.is_confidential;
    record->is_once = spec.retries == 0;
    if (lab->mutant == MUTANT_INDISCREET)
        spec.is_confidential = false;
    entry->next_number++;
    int r = origin_submit(entry->origin, entry->next_number, &spec, false, lab->now, reason);
    if (r < 0 && r != -ENOENT)
        lab_violate(lab, "submit: %d", r);
}

/* What the origin is told. */
static void on_message_to_origin(struct lab *lab, struct lab_event *event)
{
    struct origin *origin = lab->nodes[event->node].origin;
    struct node_id from = lab_id(event->peer);
    uint64_t number = event->key.number, attempt = event->key.attempt;
    struct lab_event *answer;

    if (lab->mutant == MUTANT_FORGER && event->message == LAB_ENDED &&
        origin_find(origin, number)) {
        attempt = origin_find(origin, number)->attempt;
        from = origin_find(origin, number)->node;
    }
    switch (event->message) {
    case LAB_ACCEPTED:
        origin_accepted(origin, number, attempt, &from, lab->now);
        break;
    case LAB_REFUSED:
        origin_refused(origin, number, attempt, &from, event->refusal, lab->now);
        break;
    case LAB_RUNS:
        origin_started(origin, number, attempt, &from, 0, lab->now);
        break;
    case LAB_ENDED:
        origin_ended(origin, number, attempt, &from, &event->end, lab->now);
        break;
    case LAB_ROOM:
        origin_answered(origin, number, attempt, &from, &event->answer, lab->now);
        break;
    case LAB_MISSING:
        origin_missing(origin, number, attempt, &from, !event->is_unbegun, lab->now);
        break;
    case LAB_RENEW:
        answer = lab_send(lab, event->node, event->peer, LAB_RENEWED, &event->key);
        bool is_granted = origin_renewed(origin, number, attempt, &from, lab->now);
        if (answer) {
            answer->is_granted = is_granted;
            answer->asked_usec = event->asked_usec;
        }
        break;
    default:
        break;
    }
}

static void answer_query(struct lab *lab, const struct lab_event *event,
                         const struct slots_attempt *attempt)
{
    enum lab_message message = !attempt                          ? LAB_MISSING
                               : attempt->state == SLOTS_RUNNING ? LAB_RUNS
                               : attempt->state == SLOTS_ENDED   ? LAB_ENDED
                                                                 : LAB_ACCEPTED;
    struct lab_event *answer = lab_send(lab, event->node, event->peer, message, &event->key);

    if (answer && attempt)
        answer->end = attempt->end;
    else if (answer)
        answer->is_unbegun = lab_record(lab, &event->key)->begun < event->key.attempt;
}

static void on_query(struct lab *lab, const struct lab_event *event)
{
    struct slots *slots = lab->nodes[event->node].slots;
    const struct slots_attempt *attempt = slots_query(slots, &event->key, lab->now);
    enum slots_handback reason;

    if (attempt || !slots_was_handed_back(slots, &event->key, &reason)) {
        answer_query(lab, event, attempt);
        return;
    }
    struct lab_event *answer = lab_send(lab, event->node, event->peer, LAB_REFUSED, &event->key);
    if (answer)
        answer->refusal =
            reason == SLOTS_HANDBACK_DRAINING ? ORIGIN_REFUSED_DRAINING : ORIGIN_REFUSED_RECALLED;
}

static void on_ask(struct lab *lab, const struct lab_event *event)
{
    struct lab_event *answer = lab_send(lab, event->node, event->peer, LAB_ROOM, &event->key);
    struct slots_load load;
    int r = slots_ask(lab->nodes[event->node].slots, &event->key, &event->wish, lab->now, &load);

    if (answer)
        answer->answer = (struct place_answer){.is_willing = r >= 0,
                                               .slots = load.slots,
                                               .running = load.running,
                                               .queued = load.queued,
                                               .load_permille = load.load_permille};
}

static void on_offer(struct lab *lab, const struct lab_event *event)
{
    struct slots *slots = lab->nodes[event->node].slots;
    char name[NODE_NAME_MAX + 1];

    (void)snprintf(name, sizeof(name), "lab-%02u", event->peer + 1);
    int r = slots_offer(slots, &event->key, name, &event->spec, event->lease_usec, lab->now);
    if (r >= 0) {
        answer_query(lab, event, slots_find(slots, &event->key));
        return;
    }
    if (r == -EPERM)
        lab_violate(lab, "a confidential task came to node %u", event->node);
    if (r == -ESTALE)
        return;
    struct lab_event *answer = lab_send(lab, event->node, event->peer, LAB_REFUSED, &event->key);
    if (answer)
        answer->refusal = r == -EBUSY       ? ORIGIN_REFUSED_BUSY
                          : r == -ESHUTDOWN ? ORIGIN_REFUSED_DRAINING
                                            : ORIGIN_REFUSED_TYPE;
}

/* What the worker is told. */
static void on_message(struct lab *lab, struct lab_event *event)
{
    struct slots *slots = lab->nodes[event->node].slots;

    switch (event->message) {
    case LAB_OFFER:
        on_offer(lab, event);
        break;
    case LAB_QUERY:
        on_query(lab, event);
        break;
    case LAB_RENEWED:
        slots_renewed(slots, &event->key, event->is_granted, event->asked_usec, lab->now);
        break;
    case LAB_CANCEL:
        slots_cancel(slots, &event->key, event->signal, event->grace_usec, lab->now);
        break;
    case LAB_RECALL:
        slots_recall(slots, &event->key, lab->now);
        break;
    case LAB_ACK:
        slots_acked(slots, &event->key, lab->now);
        break;
    case LAB_ASK:
        on_ask(lab, event);
        break;
    case LAB_RELEASE:
        slots_release(slots, &event->key);
        break;
    default:
        on_message_to_origin(lab, event);
        break;
    }
}

static void on_committed(struct lab *lab, struct lab_event *event)
{
    struct lab_node *entry = &lab->nodes[event->node];

    if (!origin_find(entry->origin, event->number))
        return;
    if (!event->is_granted) {
        /* Steps of lists wait for room. */
        if (event->number % 2 || origin_take_back(entry->origin, event->number, lab->now) < 0)
            origin_uncommitted(entry->origin, event->number, "no room", lab->now);
        return;
    }
    if (lab->mutant != MUTANT_FORGETFUL)
        save(&entry->records[event->number], event);
    origin_committed(entry->origin, event->number, event->revision, lab->now);
}

static void on_process_ended(struct lab *lab, struct lab_event *event)
{
    struct lab_node *entry = &lab->nodes[event->node];

    for (size_t i = 0; i < LAB_PROCESSES; i++) {
        struct lab_process *process = &entry->processes[i];
        if (!process->is_used || process->id != event->id)
            continue;
        lab_process_dies(lab, process);
        process->is_used = false;
        slots_exited(entry->slots, event->id, &event->end, lab->now);
        return;
    }
}

static void on_gossip(struct lab *lab, unsigned node)
{
    (void)lab_at(lab, USEC_PER_SEC, LAB_GOSSIP, node);
    for (unsigned i = 0; i < LAB_NODES; i++) {
        if (!lab->nodes[i].is_up || lab->is_cut[i][node])
            continue;
        struct node_id id = lab_id(node);
        const struct place_node *known = place_find(origin_get_place(lab->nodes[i].origin), &id);
        if (known && known->facts.generation == lab->nodes[node].generation) {
            see(lab, i, node, known->facts.state);
            lab_drain(lab, i);
        }
    }
}

static void on_seen(struct lab *lab, const struct lab_event *event)
{
    const struct lab_node *peer = &lab->nodes[event->peer];
    bool is_reachable = peer->is_up && !lab->is_cut[event->node][event->peer];

    if (peer->generation != event->number || (event->state == PLACE_ALIVE && !is_reachable))
        return;
    if (event->state != PLACE_ALIVE && is_reachable && !lab->has_faults)
        return;
    see(lab, event->node, event->peer, event->state);
}

static void cut(struct lab *lab, unsigned a, unsigned b)
{
    struct node_id a_id = lab_id(a), b_id = lab_id(b);
    struct lab_event *mend;

    if (a == b || lab->is_cut[a][b] || !lab->nodes[a].is_up || !lab->nodes[b].is_up)
        return;
    lab->is_cut[a][b] = lab->is_cut[b][a] = true;
    lab->cuts++;
    see_later(lab, a, b, PLACE_DEAD, 3 * USEC_PER_SEC + rng_below(&lab->rng, 5 * USEC_PER_SEC));
    see_later(lab, b, a, PLACE_DEAD, 3 * USEC_PER_SEC + rng_below(&lab->rng, 5 * USEC_PER_SEC));
    origin_disconnected(lab->nodes[a].origin, &b_id, lab->now);
    origin_disconnected(lab->nodes[b].origin, &a_id, lab->now);
    mend = lab_at(lab, USEC_PER_SEC + rng_below(&lab->rng, 2 * USEC_PER_MIN), LAB_MEND, a);
    mend->peer = b;
    mend->epoch = UINT32_MAX;
}

static void mend(struct lab *lab, unsigned a, unsigned b)
{
    struct node_id a_id = lab_id(a), b_id = lab_id(b);

    lab->is_cut[a][b] = lab->is_cut[b][a] = false;
    see_later(lab, a, b, PLACE_ALIVE, rng_below(&lab->rng, USEC_PER_SEC));
    see_later(lab, b, a, PLACE_ALIVE, rng_below(&lab->rng, USEC_PER_SEC));
    if (lab->nodes[a].is_up)
        slots_connected(lab->nodes[a].slots, &b_id, lab->now);
    if (lab->nodes[b].is_up)
        slots_connected(lab->nodes[b].slots, &a_id, lab->now);
}

static void user_interferes(struct lab *lab, unsigned node)
{
    struct lab_node *entry = &lab->nodes[node];
    uint64_t number = 1 + rng_below(&lab->rng, LAB_TASKS);
    struct lab_record *record = &entry->records[number];

    if (lab_chance(lab, 700)) {
        (void)origin_cancel(entry->origin, number, 15, 3 * USEC_PER_SEC, lab->now);
    } else if (!record->is_once && record->is_accepted) {
        if (origin_retry(entry->origin, number, NULL, NULL, lab->now) == 0)
            record->ended = 0;
    }
}

static void on_mischief(struct lab *lab)
{
    unsigned node = (unsigned)rng_below(&lab->rng, LAB_NODES), up = 0;
    unsigned peer = (unsigned)rng_below(&lab->rng, LAB_NODES);

    (void)lab_at(lab, rng_below(&lab->rng, 20 * USEC_PER_SEC), LAB_MISCHIEF, 0);
    for (unsigned i = 0; i < LAB_NODES; i++)
        up += lab->nodes[i].is_up;
    if (!lab->nodes[node].is_up)
        return;
    switch (rng_below(&lab->rng, 6)) {
    case 0:
        if (up <= LAB_NODES / 2)
            return;
        kill_node(lab, node);
        lab_at(lab, USEC_PER_SEC / 2 + rng_below(&lab->rng, USEC_PER_MIN), LAB_RESTART, node)
            ->epoch = UINT32_MAX;
        return;
    case 1:
        cut(lab, node, peer);
        break;
    case 2:
        slots_set_draining(lab->nodes[node].slots, true, lab->now);
        (void)lab_at(lab, rng_below(&lab->rng, USEC_PER_MIN), LAB_UNDRAIN, node);
        break;
    case 3: /* a false alarm */
        see_later(lab, node, peer, PLACE_DEAD, 0);
        see_later(lab, node, peer, PLACE_ALIVE, rng_below(&lab->rng, USEC_PER_MIN));
        break;
    default:
        user_interferes(lab, node);
        break;
    }
}

static void handle(struct lab *lab, struct lab_event *event)
{
    struct lab_node *entry = &lab->nodes[event->node];

    if (event->type == LAB_MISCHIEF && lab->has_faults)
        on_mischief(lab);
    if (event->type == LAB_RESTART && !entry->is_up)
        start_node(lab, event->node);
    if (event->type == LAB_MEND)
        mend(lab, event->node, event->peer);
    if (event->epoch != entry->epoch)
        return;
    switch (event->type) {
    case LAB_MESSAGE:
        on_message(lab, event);
        break;
    case LAB_COMMITTED:
        on_committed(lab, event);
        break;
    case LAB_PROCESS_STARTED:
        slots_started(entry->slots, event->id, 0, lab->now);
        break;
    case LAB_PROCESS_ENDED:
        on_process_ended(lab, event);
        break;
    case LAB_GOSSIP:
        on_gossip(lab, event->node);
        break;
    case LAB_SEEN:
        on_seen(lab, event);
        break;
    case LAB_SUBMIT:
        if (lab->has_faults)
            submit(lab, event->node);
        break;
    case LAB_UNDRAIN:
        slots_set_draining(entry->slots, false, lab->now);
        break;
    case LAB_MISCHIEF:
    case LAB_RESTART:
    case LAB_MEND:
        break;
    }
}

static usec_t node_deadline(const struct lab_node *node)
{
    usec_t origin = origin_deadline(node->origin), slots = slots_deadline(node->slots);

    return MIN(origin, slots);
}

/* Until @until, or the first broken promise. */
static void run(struct lab *lab, usec_t until)
{
    while (lab->violation[0] == '\0') {
        usec_t next = heap_deadline(&lab->events);
        for (unsigned i = 0; i < LAB_NODES; i++)
            if (lab->nodes[i].is_up) {
                usec_t deadline = node_deadline(&lab->nodes[i]);
                next = MIN(next, deadline);
            }
        if (next > until)
            break;
        lab->now = MAX(lab->now, next);
        if (heap_deadline(&lab->events) <= lab->now) {
            struct lab_event *event =
                CONTAINER_OF(heap_first(&lab->events), struct lab_event, timer);
            heap_remove(&lab->events, &event->timer);
            handle(lab, event);
            lab_event_free(lab, event);
        }
        for (unsigned i = 0; i < LAB_NODES; i++) {
            if (!lab->nodes[i].is_up)
                continue;
            if (node_deadline(&lab->nodes[i]) <= lab->now) {
                origin_tick(lab->nodes[i].origin, lab->now);
                slots_tick(lab->nodes[i].slots, lab->now);
            }
            lab_drain(lab, i);
        }
    }
    lab->now = MAX(lab->now, until);
}

static void check_end(struct lab *lab, unsigned node)
{
    struct lab_node *entry = &lab->nodes[node];
    struct slots_load load;

    for (size_t i = 1; i <= LAB_TASKS; i++) {
        const struct task *task = origin_find(entry->origin, i);
        const struct lab_record *record = &entry->records[i];
        if (!record->is_accepted)
            continue;
        if (!task || !record->json)
            lab_violate(lab, "task %zu of node %u was accepted and is gone", i, node);
        else if (!task_state_is_final(task->state))
            lab_violate(lab, "task %zu of node %u has not ended: %s, %s", i, node,
                        task_state_name(task->state), task->reason);
        else if (record->running > 0)
            lab_violate(lab, "task %zu of node %u has ended and still runs", i, node);
    }
    slots_get_load(entry->slots, &load);
    if (load.running + load.queued + load.unacked + load.used > 0)
        lab_violate(lab, "node %u still has %u running, %u queued, %u not acknowledged", node,
                    load.running, load.queued, load.unacked);
}

static void lab_done(struct lab *lab)
{
    while (heap_first(&lab->events))
        lab_event_free(lab, CONTAINER_OF(heap_first(&lab->events), struct lab_event, timer));
    heap_done(&lab->events);
    for (unsigned i = 0; i < LAB_NODES; i++) {
        origin_free(lab->nodes[i].origin);
        slots_free(lab->nodes[i].slots);
        for (size_t k = 0; k <= LAB_TASKS; k++)
            free(lab->nodes[i].records[k].json);
    }
}

/* One storm and the calm after it; @lab tells how it went. */
static void storm(struct lab *lab, uint64_t seed, enum lab_mutant mutant)
{
    *lab = (struct lab){.mutant = mutant, .has_faults = true};
    rng_init(&lab->rng, seed);
    for (unsigned i = 0; i < LAB_NODES; i++)
        start_node(lab, i);
    (void)lab_at(lab, USEC_PER_SEC, LAB_MISCHIEF, 0);
    run(lab, STORM_USEC);
    lab->has_faults = false;
    for (unsigned i = 0; i < LAB_NODES; i++) {
        if (!lab->nodes[i].is_up)
            start_node(lab, i);
        slots_set_draining(lab->nodes[i].slots, false, lab->now);
        for (unsigned k = 0; k < i; k++)
            mend(lab, i, k);
        for (unsigned k = 0; k < LAB_NODES; k++)
            see_later(lab, i, k, PLACE_ALIVE, USEC_PER_MIN);
    }
    run(lab, STORM_USEC + CALM_USEC);
    for (unsigned i = 0; i < LAB_NODES && lab->violation[0] == '\0'; i++)
        check_end(lab, i);
}

static void every_promise_holds_through_every_storm(void **state _unused_)
{
    struct lab *lab = calloc(1, sizeof(*lab)), total = {0};

    assert_non_null(lab);
    for (uint64_t i = 0; i < STORMS; i++) {
        storm(lab, FIRST_SEED + i, MUTANT_NONE);
        if (lab->violation[0] != '\0')
            fail_msg("%s at %.3f s; test_sched_storm 0x%" PRIx64, lab->violation,
                     (double)lab->now / 1e6, FIRST_SEED + i);
        total.messages += lab->messages;
        total.questions += lab->questions;
        total.pauses += lab->pauses;
        total.starts += lab->starts;
        total.deaths += lab->deaths;
        total.cuts += lab->cuts;
        total.lost += lab->lost;
        total.moved += lab->moved;
        total.ends += lab->ends;
        lab_done(lab);
    }
    print_message("%.0f scheduler-hours: %" PRIu64 " messages, %" PRIu64 " questions, %" PRIu64
                  " pauses, %" PRIu64 " starts, %" PRIu64 " ends, %" PRIu64 " deaths, %" PRIu64
                  " cuts, %" PRIu64 " attempts lost, %" PRIu64 " moved\n",
                  (double)(STORM_USEC + CALM_USEC) / (double)USEC_PER_HOUR * LAB_NODES * STORMS,
                  total.messages, total.questions, total.pauses, total.starts, total.ends,
                  total.deaths, total.cuts, total.lost, total.moved);
    assert_true(total.questions >= 1000);
    assert_true(total.pauses >= 100);
    assert_true(total.deaths >= 100);
    assert_true(total.cuts >= 100);
    assert_true(total.lost >= 100);
    assert_true(total.moved >= 50);
    free(lab);
}

static void the_same_seed_is_the_same_storm(void **state _unused_)
{
    struct lab *one = calloc(1, sizeof(*one)), *two = calloc(1, sizeof(*two));

    assert_non_null(one);
    assert_non_null(two);
    storm(one, FIRST_SEED, MUTANT_NONE);
    storm(two, FIRST_SEED, MUTANT_NONE);
    assert_int_equal(one->messages, two->messages);
    assert_int_equal(one->starts, two->starts);
    assert_int_equal(rng_next(&one->rng), rng_next(&two->rng));
    lab_done(one);
    lab_done(two);
    free(one);
    free(two);
}

static void every_check_sees_its_mutant(void **state _unused_)
{
    static const char *const expected[_MUTANT_MAX] = {
        [MUTANT_IMMORTAL] = "runs twice at the same time",
        [MUTANT_FORGETFUL] = "not on disk",
        [MUTANT_GREEDY] = "runs 4 tasks",
        [MUTANT_INDISCREET] = "confidential",
        [MUTANT_FORGER] = "the result of another attempt",
        [MUTANT_MUTE] = "has not ended",
        [MUTANT_RESTLESS] = "runs 4 tasks",
    };
    struct lab *lab = calloc(1, sizeof(*lab));

    assert_non_null(lab);
    for (int mutant = 1; mutant < _MUTANT_MAX; mutant++) {
        bool is_seen = false;
        for (uint64_t i = 0; i < 10 && !is_seen; i++) {
            storm(lab, FIRST_SEED + i, (enum lab_mutant)mutant);
            is_seen = strstr(lab->violation, expected[mutant]) != NULL;
            if (!is_seen && lab->violation[0] != '\0')
                print_message("mutant %d: %s\n", mutant, lab->violation);
            lab_done(lab);
        }
        if (!is_seen)
            fail_msg("mutant %d was not seen", mutant);
    }
    free(lab);
}

/* One task of node 0 that runs on node 1 for as long as the lab exists. */
static void begin_long_task(struct lab *lab)
{
    struct lab_process *process = lab->nodes[1].processes;
    struct task_spec spec = {.type = "a", .user = "u", .node = "lab-02", .retries = 3};
    char reason[TASK_REASON_MAX + 1];

    assert_int_equal(origin_submit(lab->nodes[0].origin, 1, &spec, true, lab->now, reason), 0);
    while (!process->is_used)
        run(lab, lab->now + USEC_PER_MSEC);
    (void)heap_set(&lab->events, &process->end->timer, LAB_NEVER);
}

/* The worst moment to go away is right before a lease is renewed: a third of it is over then. */
static void an_origin_that_is_back_within_the_lease_loses_nothing(void **state _unused_)
{
    struct lab *lab = calloc(1, sizeof(*lab));

    assert_non_null(lab);
    for (usec_t away = USEC_PER_SEC / 2; away < LAB_LEASE * 2 / 3; away += USEC_PER_SEC / 2) {
        *lab = (struct lab){0};
        rng_init(&lab->rng, FIRST_SEED + away);
        for (unsigned i = 0; i < 2; i++)
            start_node(lab, i);
        run(lab, 2 * USEC_PER_SEC);
        begin_long_task(lab);
        usec_t begun = lab->now;
        run(lab, begun + LAB_LEASE - USEC_PER_SEC / 4);
        kill_node(lab, 0);
        run(lab, lab->now + away);
        start_node(lab, 0);
        run(lab, begun + 4 * LAB_LEASE);
        assert_string_equal(lab->violation, "");
        assert_true(lab->nodes[1].processes[0].is_used);
        assert_false(lab->nodes[1].processes[0].is_ending);
        assert_int_equal(lab->starts, 1);
        lab_done(lab);
    }
    free(lab);
}

static int replay(const char *text)
{
    struct lab *lab = calloc(1, sizeof(*lab));

    if (!lab)
        return 1;
    storm(lab, strtoull(text, NULL, 0), MUTANT_NONE);
    (void)printf("%s\n", lab->violation[0] ? lab->violation : "every promise held");
    int r = lab->violation[0] != '\0';
    lab_done(lab);
    free(lab);
    return r;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promise_holds_through_every_storm),
        cmocka_unit_test(the_same_seed_is_the_same_storm),
        cmocka_unit_test(every_check_sees_its_mutant),
        cmocka_unit_test(an_origin_that_is_back_within_the_lease_loses_nothing),
    };

    return argc > 1 ? replay(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
