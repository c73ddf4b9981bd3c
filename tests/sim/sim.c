/* SPDX-License-Identifier: MIT */
#include "sim.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "check.h"
#include "link.h"
#include "node.h"

const char *sim_fault_name(enum sim_fault fault)
{
    static const char *const names[] = {
        [FAULT_LOSS] = "loss",
        [FAULT_DUPLICATION] = "duplication",
        [FAULT_REORDERING] = "reordering",
        [FAULT_DELAY] = "delay",
        [FAULT_CUT] = "one-way cut",
        [FAULT_PARTITION] = "partition",
        [FAULT_PAUSE] = "pause",
        [FAULT_KILL] = "kill",
        [FAULT_RESTART] = "restart",
        [FAULT_SUSPEND] = "suspend",
        [FAULT_CLOCK_STEP] = "clock step",
        [FAULT_SMALL_MTU] = "small MTU",
        [FAULT_BIT_FLIP] = "bit flip",
        [FAULT_REPLAY] = "replay",
        [FAULT_LEAVE] = "leave",
        [FAULT_MOVE] = "move",
        [FAULT_TWO_CLUSTERS] = "two clusters",
        [FAULT_KEY_CHANGE] = "key change",
        [FAULT_KEY_CHANGE_CUT] = "key change in a partition",
        [FAULT_DISK_FULL] = "disk full",
        [FAULT_FSYNC_ERROR] = "fsync error",
        [FAULT_TORN_WRITE] = "torn write",
    };
    static_assert(ARRAY_SIZE(names) == _FAULT_MAX, "every fault has a name");

    return names[fault];
}

int sim_new(const struct sim_options *options, struct sim **ret)
{
    _cleanup_(sim_freep) struct sim *sim = calloc(1, sizeof(*sim));
    int r;

    if (!sim)
        return -ENOMEM;
    sim->options = *options;
    rng_init(&sim->rng, options->seed);
    sim->nodes = calloc(options->nodes_max, sizeof(struct sim_node *));
    if (!sim->nodes)
        return -ENOMEM;
    r = link_new(rng_next(&sim->rng), options->nodes_max, &sim->link);
    if (r < 0)
        return r;
    r = check_new(options->nodes_max, &sim->check);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(sim);
    return 0;
}

struct sim *sim_free(struct sim *sim)
{
    struct heap_entry *entry;

    if (!sim)
        return NULL;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        node_free(sim->nodes[i]);
    }
    while ((entry = heap_first(&sim->events))) {
        heap_remove(&sim->events, entry);
        free(CONTAINER_OF(entry, struct datagram, event.entry));
    }
    for (size_t i = 0; i < SIM_KEPT_MAX; i++)
        free(sim->kept[i]);
    heap_done(&sim->events);
    free(sim->nodes);
    link_free(sim->link);
    check_free(sim->check);
    free(sim->failure);
    free(sim);
    return NULL;
}

static void deliver(struct sim *sim, struct datagram *datagram)
{
    struct sim_node *node = sim->nodes[datagram->target];

    node_receive(node, datagram);
}

void sim_run(struct sim *sim, usec_t until)
{
    while (!sim->failure && heap_deadline(&sim->events) <= until) {
        struct heap_entry *entry = heap_first(&sim->events);
        struct sim_event *event = CONTAINER_OF(entry, struct sim_event, entry);

        sim->now = MAX(sim->now, entry->time_usec);
        sim->steps++;
        heap_remove(&sim->events, entry);
        if (event->type == SIM_TIMER)
            node_run_timer(CONTAINER_OF(event, struct sim_node, timer));
        else
            deliver(sim, CONTAINER_OF(event, struct datagram, event));
        /* What else is due meanwhile waits, in its order: timers and datagrams are late alike. */
        sim->now += sim->input_cost_usec;
    }
    if (!sim->failure)
        sim->now = MAX(sim->now, until);
}

/* Puts one copy on its way; a copy that finds no memory is lost. */
static void carry(struct sim *sim, const struct datagram *original, usec_t delay, bool is_flipped)
{
    struct datagram *copy = malloc(sizeof(*copy) + original->size);

    if (!copy)
        return;
    memcpy(copy, original, sizeof(*copy) + original->size);
    copy->event = (struct sim_event){.type = SIM_DATAGRAM};
    list_init(&copy->link);
    if (is_flipped) {
        link_flip(sim->link, copy->data, copy->size);
        copy->is_flipped = true;
        sim_count_fault(sim, FAULT_BIT_FLIP);
    }
    if (heap_set(&sim->events, &copy->event.entry, sim->now + delay) < 0)
        free(copy);
}

/* Keeps a datagram now and then, and sends one that was kept before. */
static void replay(struct sim *sim, struct datagram *datagram)
{
    size_t i = (size_t)rng_below(&sim->link->rng, SIM_KEPT_MAX);
    struct datagram *old = sim->kept[i];

    if (old && sim->nodes[old->target]->state == NODE_RUNNING) {
        sim_count_fault(sim, FAULT_REPLAY);
        carry(sim, old, 0, false);
    }
    if (rng_below(&sim->link->rng, 8) == 0 || !old) {
        free(old);
        sim->kept[i] = malloc(sizeof(*datagram) + datagram->size);
        if (sim->kept[i])
            memcpy(sim->kept[i], datagram, sizeof(*datagram) + datagram->size);
    }
}

void sim_post(struct sim_node *node, const struct address *target, const struct node_id *target_id,
              const void *data, size_t size)
{
    struct sim *sim = node->sim;
    const struct sim_node *receiver = sim_by_address(sim, target);
    _Alignas(struct datagram) uint8_t buffer[sizeof(struct datagram) + 2048];
    struct datagram *datagram = (struct datagram *)(void *)buffer;

    sim->datagrams++;
    if (!receiver || size > 2048)
        return;
    *datagram = (struct datagram){
        .from = node->address,
        .from_id = node->id,
        .to_id = target_id ? *target_id : NODE_ID_NULL,
        .serial = sim->datagrams,
        .target = receiver->index,
        .size = size,
    };
    memcpy(datagram->data, data, size);
    struct link_fate fate = link_send(sim->link, sim, node->index, receiver->index);
    for (size_t i = 0; i < fate.copies; i++)
        carry(sim, datagram, fate.delays_usec[i], fate.is_flipped && i == 0);
    if (fate.is_replayed)
        replay(sim, datagram);
}

struct sim_node *sim_find(const struct sim *sim, const char *name)
{
    for (size_t i = 0; i < sim->nodes_count; i++)
        if (strcmp(sim->nodes[i]->name, name) == 0)
            return sim->nodes[i];
    return NULL;
}

struct sim_node *sim_by_address(const struct sim *sim, const struct address *address)
{
    size_t index = (size_t)address->bytes[2] << 8 | address->bytes[3];

    if (index >= sim->nodes_count || !address_is_equal(&sim->nodes[index]->address, address))
        return NULL;
    return sim->nodes[index];
}

struct sim_node *sim_by_id(const struct sim *sim, const struct node_id *id)
{
    size_t index = (size_t)id->bytes[14] << 8 | id->bytes[15];

    if (index >= sim->nodes_count || !node_id_is_equal(&sim->nodes[index]->id, id))
        return NULL;
    return sim->nodes[index];
}

void sim_count_fault(struct sim *sim, enum sim_fault fault)
{
    sim->faults[fault]++;
    /* A stepped wall clock, a change of keys and an old datagram are no excuse for suspecting
     * anybody. */
    if (fault != FAULT_CLOCK_STEP && fault != FAULT_REPLAY && fault != FAULT_DUPLICATION &&
        fault != FAULT_TWO_CLUSTERS && fault != FAULT_KEY_CHANGE && fault != FAULT_KEY_CHANGE_CUT &&
        fault != FAULT_SMALL_MTU)
        sim->disturbed_usec = sim->now;
}

void sim_disturb(struct sim_node *node, enum sim_fault fault)
{
    node->sim->faults[fault]++;
    node->disturbed_usec = node->sim->now;
}

void sim_fail(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    char text[512];
    va_list arguments;

    if (sim->failure)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (asprintf(&sim->failure, "[%9.3f] %-4s %s", (double)sim->now / USEC_PER_SEC,
                 node ? node->name : "--", text) < 0)
        abort();
}
