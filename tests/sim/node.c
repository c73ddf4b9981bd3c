/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "check.h"
#include "keys.h"
#include "wire.h"

#define LOCAL_EPOCH_USEC (1000 * USEC_PER_SEC)
#define WALL_EPOCH_USEC  UINT64_C(1795244870000000)
#define SKEW_PPM_MAX     200
#define LATENESS_USEC    1000 /* of a timer: the accuracy that the daemon asks sd-event for */
#define PORT             7717

static void inbox_clear(struct sim_node *node)
{
    list_for_each_safe (link, &node->inbox) {
        list_remove(link);
        free(list_entry(link, struct datagram, link));
    }
    node->inbox_count = 0;
}

static void node_forget(struct sim_node *node)
{
    while (node->heard_count > 0)
        free(node->heard[--node->heard_count]);
}

/* The process is gone, for whatever reason. */
static void stop(struct sim_node *node)
{
    if (node->state == NODE_OFF)
        return;
    node->sim->node_usec += node->sim->now - node->started_usec;
    node->state = NODE_OFF;
    node->off_usec = node->sim->now;
    heap_remove(&node->sim->events, &node->timer.entry);
    inbox_clear(node);
    wire_close(node);
    node->swim = swim_free(node->swim);
}

struct sim_node *node_free(struct sim_node *node)
{
    if (!node)
        return NULL;
    stop(node);
    node_forget(node);
    free(node->told_dead);
    free(node->opened);
    keys_free(node);
    free(node);
    return NULL;
}

/* Out of memory ends a run like a broken invariant: it cannot go on as it should. */
static void fail_memory(struct sim *sim)
{
    sim_fail(sim, NULL, "memory: %s", strerror(ENOMEM));
}

static struct address address_of(size_t index, unsigned cluster, unsigned moves)
{
    return (struct address){
        .bytes = {10, (uint8_t)(cluster << 6 | moves), (uint8_t)(index >> 8), (uint8_t)index},
        .port = PORT,
        .family = 4,
    };
}

struct sim_node *sim_add(struct sim *sim, const char *name, unsigned cluster)
{
    size_t index = sim->nodes_count;
    struct sim_node *node = index < sim->options.nodes_max ? calloc(1, sizeof(*node)) : NULL;

    if (!node)
        return NULL;
    node->told_dead = calloc(sim->options.nodes_max, sizeof(bool));
    if (sim->options.is_sealed)
        node->opened = calloc(SIM_OPENED_MAX, sizeof(*node->opened));
    if (!node->told_dead || (sim->options.is_sealed && !node->opened)) {
        free(node->told_dead);
        free(node->opened);
        free(node);
        return NULL;
    }
    node->sim = sim;
    node->index = index;
    node->cluster = cluster;
    if (name)
        snprintf(node->name, sizeof(node->name), "%s", name);
    else
        snprintf(node->name, sizeof(node->name), "n%zu", index + 1);
    memcpy(node->label, node->name, sizeof(node->label));
    memset(&node->id, (int)(0x40 + cluster), sizeof(node->id));
    node->id.bytes[14] = (uint8_t)(index >> 8);
    node->id.bytes[15] = (uint8_t)index;
    node->address = address_of(index, cluster, 0);
    node->skew_ppm = (int64_t)rng_below(&sim->rng, 2 * SKEW_PPM_MAX + 1) - SKEW_PPM_MAX;
    list_init(&node->inbox);
    sim->nodes[sim->nodes_count++] = node;
    return node;
}

usec_t sim_local_time(const struct sim_node *node)
{
    int64_t awake = (int64_t)(node->sim->now - node->slept_usec);

    return LOCAL_EPOCH_USEC + (usec_t)(awake + awake * node->skew_ppm / 1000000);
}

/* The first moment of the world at which the node's clock shows @local or more. */
static usec_t world_time(const struct sim_node *node, usec_t local)
{
    int64_t awake = (int64_t)usec_sub(local, LOCAL_EPOCH_USEC);

    awake -= awake * node->skew_ppm / 1000000;
    return node->slept_usec + (usec_t)awake;
}

uint64_t sim_wall_time(const struct sim_node *node)
{
    return WALL_EPOCH_USEC + node->sim->now + (uint64_t)node->wall_step_usec;
}

static void arm(struct sim_node *node)
{
    usec_t deadline;

    if (node->state != NODE_RUNNING)
        return;
    deadline = wire_deadline(node);
    if (deadline == node->armed_usec && node->timer.entry.place > 0)
        return;
    node->armed_usec = deadline;
    if (deadline == USEC_INFINITY)
        heap_remove(&node->sim->events, &node->timer.entry);
    else if (heap_set(&node->sim->events, &node->timer.entry,
                      MAX(world_time(node, deadline), node->sim->now) +
                          rng_below(&node->sim->rng, LATENESS_USEC + 1)) < 0)
        fail_memory(node->sim);
}

/* What follows every input of a core. */
static void after_input(struct sim_node *node)
{
    wire_pump(node);
    if (node->has_left)
        stop(node);
    arm(node);
}

void node_settle(struct sim_node *node)
{
    after_input(node);
}

static void set_meta(struct sim_node *node)
{
    node->meta_size = 8 + rng_below(&node->sim->rng, SIM_META_MAX - 8 + 1);
    for (size_t i = 0; i < node->meta_size; i++)
        node->meta[i] = (uint8_t)rng_next(&node->sim->rng);
    keys_write_report(node);
    if (swim_set_meta(node->swim, node->meta, node->meta_size, sim_local_time(node)) < 0)
        sim_fail(node->sim, node, "interface: a record of %zu bytes is refused", node->meta_size);
}

static void set_seeds(struct sim_node *node)
{
    const struct sim *sim = node->sim;
    struct swim_seed seeds[SWIM_SEEDS_MAX];
    uint32_t count = 0;

    for (size_t i = 0; i < sim->nodes_count && count < SWIM_SEEDS_MAX; i++)
        if (sim->nodes[i]->is_seed && sim->nodes[i]->cluster == node->cluster) {
            seeds[count] = (struct swim_seed){sim->nodes[i]->address, count};
            count++;
        }
    swim_set_seeds(node->swim, seeds, count, count, sim_local_time(node));
}

/* Above what is stored, and above all that was, should the disk have been lost: state_start(). */
static uint64_t next_generation(const struct sim_node *node)
{
    return MAX(node->stored_generation + 1, sim_wall_time(node) / USEC_PER_SEC);
}

void sim_start_in_vain(struct sim_node *node, enum sim_fault fault)
{
    if (node->state != NODE_OFF)
        return;
    sim_disturb(node, fault);
    if (fault != FAULT_DISK_FULL && rng_below(&node->sim->rng, 2) == 0)
        node->stored_generation = next_generation(node);
}

void sim_start(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct swim_self self = {.id = node->id, .is_seed = node->is_seed, .address = node->address};
    int r;

    if (node->state != NODE_OFF)
        return;
    node->stored_generation = next_generation(node);
    if (node->stored_generation <= node->generation)
        sim_fail(sim, node, "incarnation: begins generation %" PRIu64 " after %" PRIu64,
                 node->stored_generation, node->generation);
    node->generation = self.generation = node->stored_generation;
    memcpy(self.name, node->label, sizeof(self.name));
    if (node->is_wildcard)
        memset(self.address.bytes, 0, sizeof(self.address.bytes));
    r = swim_new(&sim->options.config, &self, rng_next(&sim->rng), sim_local_time(node),
                 sim_wall_time(node), &node->swim);
    if (r >= 0)
        r = wire_open(node);
    if (r < 0) {
        sim_fail(sim, node, "interface: cannot start: %s", strerror(-r));
        node->swim = swim_free(node->swim);
        return;
    }
    node->state = NODE_RUNNING;
    node->is_leaving = node->has_left = node->has_joined = false;
    node->started_usec = sim->now;
    if (node->disturbed_usec > 0)
        node->disturbed_usec = sim->now;
    node->armed_usec = 0;
    node_forget(node);
    check_started(node);
    set_meta(node);
    set_seeds(node);
    after_input(node);
    sim->now += sim->start_cost_usec;
}

void sim_kill(struct sim_node *node)
{
    sim_disturb(node, FAULT_KILL);
    stop(node);
}

void sim_leave(struct sim_node *node)
{
    if (node->state != NODE_RUNNING || node->is_leaving)
        return;
    sim_disturb(node, FAULT_LEAVE);
    node->is_leaving = true;
    swim_leave(node->swim, sim_local_time(node));
    after_input(node);
}

static void halt(struct sim_node *node, enum sim_state state)
{
    if (node->state != NODE_RUNNING)
        return;
    sim_disturb(node, state == NODE_PAUSED ? FAULT_PAUSE : FAULT_SUSPEND);
    node->state = state;
    node->stopped_usec = node->sim->now;
    heap_remove(&node->sim->events, &node->timer.entry);
}

void sim_pause(struct sim_node *node)
{
    halt(node, NODE_PAUSED);
}

void sim_suspend(struct sim_node *node)
{
    halt(node, NODE_SUSPENDED);
}

void node_run_timer(struct sim_node *node)
{
    wire_tick(node);
    after_input(node);
}

void sim_resume(struct sim_node *node)
{
    if (node->state != NODE_PAUSED && node->state != NODE_SUSPENDED)
        return;
    node->disturbed_usec = node->sim->now;
    if (node->state == NODE_SUSPENDED) {
        node->slept_usec += node->sim->now - node->stopped_usec;
        node->state = NODE_RUNNING;
        wire_awake(node);
        swim_set_wall(node->swim, sim_wall_time(node), sim_local_time(node), true);
        after_input(node);
        return;
    }
    node->state = NODE_RUNNING;
    /* A loop that wakes up may look at its timers or at its socket first. */
    if (rng_below(&node->sim->rng, 2) == 0)
        node_run_timer(node);
    while (!list_is_empty(&node->inbox) && node->state == NODE_RUNNING) {
        _cleanup_free_ struct datagram *datagram = list_first(&node->inbox, struct datagram, link);
        list_remove(&datagram->link);
        node->inbox_count--;
        wire_receive(node, datagram);
        after_input(node);
    }
    if (node->state == NODE_RUNNING)
        node_run_timer(node);
}

void sim_step_wall(struct sim_node *node, int64_t step_usec)
{
    if (node->state != NODE_RUNNING)
        return;
    sim_count_fault(node->sim, FAULT_CLOCK_STEP);
    node->wall_step_usec += step_usec;
    swim_set_wall(node->swim, sim_wall_time(node), sim_local_time(node), false);
    after_input(node);
}

void sim_renumber(struct sim_node *node)
{
    sim_disturb(node, FAULT_MOVE);
    node->address = address_of(node->index, node->cluster, (node->address.bytes[1] + 1U) & 63);
}

void sim_move(struct sim_node *node)
{
    stop(node);
    sim_renumber(node);
    sim_start(node);
}

int sim_forget(struct sim_node *node, const struct sim_node *subject)
{
    if (node->state != NODE_RUNNING)
        return -ENOENT;
    int r = swim_forget(node->swim, &subject->id, sim_local_time(node));
    if (r >= 0)
        check_forgotten(node, subject);
    after_input(node);
    return r;
}

void sim_change_meta(struct sim_node *node)
{
    struct swim_load load = {.load_permille = (uint16_t)rng_below(&node->sim->rng, 1001),
                             .slots = 4};

    if (node->state != NODE_RUNNING || node->is_leaving)
        return;
    set_meta(node);
    swim_set_load(node->swim, &load, sim_local_time(node));
    after_input(node);
}

int sim_send(struct sim_node *node, const struct sim_node *target, const char *text)
{
    uint64_t token;
    int r;

    if (node->state != NODE_RUNNING)
        return -ENOENT;
    r = swim_send_message(node->swim, target ? &target->id : NULL, text, sim_local_time(node),
                          &token);
    if (r >= 0 && !target)
        check_said(node, text);
    after_input(node);
    return r;
}

void sim_join(struct sim_node *node, const struct address *address)
{
    if (node->state != NODE_RUNNING)
        return;
    /* A full list of contacts is an answer too; the seeds are asked again in any case. */
    (void)swim_join(node->swim, address, sim_local_time(node));
    after_input(node);
}

void node_receive(struct sim_node *node, struct datagram *datagram)
{
    if (node->state == NODE_PAUSED && node->inbox_count < SIM_INBOX_MAX) {
        list_append(&node->inbox, &datagram->link);
        node->inbox_count++;
        return;
    }
    if (node->state == NODE_RUNNING) {
        wire_receive(node, datagram);
        after_input(node);
    }
    free(datagram);
}
