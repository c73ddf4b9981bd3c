/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>

#define HANDED_MAX 64 /* nodes that are named; more are counted under "others" */
#define TASKS_MAX  100

/* --- Drain --- */

/* So many attempts of an origin that were queued here. */
struct handed {
    char node[NODE_NAME_MAX + 1];
    uint64_t tasks;
};

struct draining {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed; NULL = nobody waits for the answer any more */
    char reason[DRAIN_REASON_MAX + 1];
    bool waits;
    bool kills;
    usec_t deadline_usec; /* USEC_INFINITY = none */
    struct handed handed[HANDED_MAX + 1];
    size_t handed_count;
    uint32_t running;         /* as last told */
    sd_event_source *post;    /* looks after each turn of the loop whether one has ended */
    sd_event_source *timeout; /* of the wait */
};

static void draining_free(struct draining *draining)
{
    sd_event_source_disable_unref(draining->post);
    sd_event_source_disable_unref(draining->timeout);
    free(draining);
}

static void on_gone(struct call *call _unused_, void *data)
{
    draining_free(data);
}

/* Ends the wait and gives the call back, to be answered. */
static struct call *stop_waiting(struct draining *draining)
{
    struct call *call = draining->call;

    draining_free(draining);
    return call;
}

static void count_handed(struct draining *draining, const char *node)
{
    size_t i = 0;

    while (i < draining->handed_count && strcmp(draining->handed[i].node, node) != 0)
        i++;
    if (i == draining->handed_count) {
        bool is_full = i >= HANDED_MAX;
        if (!is_full || draining->handed_count == HANDED_MAX)
            draining->handed_count++;
        i = MIN(i, (size_t)HANDED_MAX);
        snprintf(draining->handed[i].node, sizeof(draining->handed[i].node), "%s",
                 is_full ? "others" : node);
    }
    draining->handed[i].tasks++;
}

static void count_all_handed(struct draining *draining)
{
    const struct slots *slots = tasks_get_slots(draining->node->tasks);
    const struct slots_attempt *attempt;
    size_t i = 0;

    while ((attempt = slots_next(slots, &i)))
        if (attempt->state == SLOTS_QUEUED)
            count_handed(draining, attempt->origin_name);
}

static uint32_t count_running(const struct node *node)
{
    struct slots_load load;

    slots_get_load(tasks_get_slots(node->tasks), &load);
    return load.running + load.queued;
}

static void add_running(const struct node *node, const struct call *call, cJSON *reply)
{
    const struct slots *slots = tasks_get_slots(node->tasks);
    cJSON *list = cJSON_AddArrayToObject(reply, "tasks");
    const struct slots_attempt *attempt;
    size_t count = 0;

    for (size_t i = 0; count < TASKS_MAX && (attempt = slots_next(slots, &i));) {
        char id[TASK_ID_TEXT_MAX];
        if (attempt->state == SLOTS_QUEUED || attempt->state == SLOTS_ENDED ||
            !may_hear_of(call, &attempt->spec))
            continue;
        cJSON *json = cJSON_CreateObject();
        json_add_string(json, "id", task_id_format(attempt->key.number, attempt->origin_name, id));
        json_add_double(json, "run_s",
                        (double)usec_sub(node_now(node), attempt->started_usec) /
                            (double)USEC_PER_SEC);
        cJSON_AddItemToArray(list, json);
        count++;
    }
}

static cJSON *new_reply(const struct draining *draining, const char *type)
{
    const struct node *node = draining->node;
    cJSON *reply = call_new_reply("p2pctl.drain/1");

    json_add_string(reply, "type", type);
    json_add_string(reply, "name", node->config->node.name);
    json_add_string(reply, "reason", *draining->reason ? draining->reason : NULL);
    json_add_u64(reply, "running", count_running(node));
    add_running(node, draining->call, reply);
    cJSON *list = cJSON_AddArrayToObject(reply, "handed");
    for (size_t i = 0; i < draining->handed_count; i++) {
        cJSON *json = cJSON_CreateObject();
        json_add_string(json, "node", draining->handed[i].node);
        json_add_u64(json, "tasks", draining->handed[i].tasks);
        cJSON_AddItemToArray(list, json);
    }
    return reply;
}

static void answer(struct draining *draining)
{
    cJSON *reply = new_reply(draining, "end");

    call_reply(stop_waiting(draining), reply);
}

static int on_turn(sd_event_source *source _unused_, void *data)
{
    struct draining *draining = data;
    uint32_t running = count_running(draining->node);

    if (!draining->node->drain.is_on)
        call_fail(stop_waiting(draining), ERROR_CONFLICT, "p2pctl status",
                  "the node was told to take tasks again meanwhile");
    else if (running == 0)
        answer(draining);
    else if (running != draining->running) {
        draining->running = running;
        if (draining->call->wants_more)
            call_notify(draining->call, new_reply(draining, "running"));
    }
    return 0;
}

static int on_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct draining *draining = data;
    uint32_t running = count_running(draining->node);
    const char *name = draining->node->config->node.name;
    char hint[NODE_NAME_MAX + 64];

    snprintf(hint, sizeof(hint), "to end what runs: p2pctl drain %s --kill", name);
    call_fail(stop_waiting(draining), ERROR_TIMEOUT, hint,
              "%u task%s still run%s on %s; the node goes on draining", running, PLURAL(running),
              running == 1 ? "s" : "", name);
    return 0;
}

/* From here on the call may go at any time. */
static void wait_for_end(struct draining *draining)
{
    struct node *node = draining->node;
    int r = 0;

    draining->running = count_running(node);
    call_on_gone(draining->call, on_gone, draining);
    if (draining->call->wants_more)
        call_notify(draining->call, new_reply(draining, "draining"));
    if (!draining->waits || draining->running == 0) {
        answer(draining);
        return;
    }
    r = sd_event_add_post(node->event, &draining->post, on_turn, draining);
    if (r >= 0 && draining->deadline_usec < USEC_INFINITY && !draining->kills)
        r = sd_event_add_time_relative(node->event, &draining->timeout, CLOCK_MONOTONIC,
                                       draining->deadline_usec, USEC_PER_MSEC, on_timeout,
                                       draining);
    if (r < 0)
        call_fail(stop_waiting(draining), ERROR_INTERNAL, NULL, "cannot wait: %s", strerror(-r));
}

static void on_saved(int r, void *data)
{
    struct draining *draining = data;
    struct node *node = draining->node;

    if (r >= 0) {
        count_all_handed(draining);
        drain_set(node, draining->reason);
        if (draining->kills)
            r = drain_kill_after(
                node, draining->deadline_usec == USEC_INFINITY ? 0 : draining->deadline_usec);
    }
    if (!draining->call) {
        draining_free(draining);
        return;
    }
    if (r < 0) {
        call_fail(stop_waiting(draining), error_from_errno(r), "p2pctl status",
                  "cannot save that the node drains: %s", strerror(-r));
        return;
    }
    wait_for_end(draining);
}

static bool read_reason(struct call *call, char target[static DRAIN_REASON_MAX + 1])
{
    const char *reason = NULL;

    if (!read_string(call, "reason", &reason))
        return false;
    if (reason && (strlen(reason) > DRAIN_REASON_MAX || !text_is_printable(reason))) {
        call_fail(call, ERROR_USAGE, NULL, "a reason is at most %d bytes of printable text",
                  DRAIN_REASON_MAX);
        return false;
    }
    snprintf(target, DRAIN_REASON_MAX + 1, "%s", reason ? reason : "");
    return true;
}

void method_drain(struct node *node, struct call *call)
{
    struct draining request = {.node = node, .call = call, .deadline_usec = USEC_INFINITY};

    if (!read_reason(call, request.reason) || !read_bool(call, "wait", &request.waits) ||
        !read_bool(call, "kill", &request.kills) ||
        !read_usec(call, "deadline", &request.deadline_usec))
        return;
    if (request.deadline_usec < USEC_INFINITY && !request.waits && !request.kills)
        return call_fail(call, ERROR_USAGE, "p2pctl drain --wait --deadline 30min",
                         "a deadline is of no use without --wait or --kill");
    if (node->stop_step != NODE_STOP_NONE)
        return call_fail(call, ERROR_CONFLICT, NULL, "the node is stopping");
    struct draining *draining = malloc(sizeof(*draining));
    if (!draining)
        return fail_memory(call);
    *draining = request;
    call_hold(call, &draining->call);
    drain_save(node, draining->reason, on_saved, draining);
}

/* --- Undrain --- */

struct undraining {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed; NULL = nobody waits for the answer any more */
};

static void on_undrain_saved(int r, void *data)
{
    struct undraining *undraining = data;
    struct node *node = undraining->node;
    struct call *call = undraining->call;

    free(undraining);
    if (r >= 0)
        drain_set(node, NULL);
    if (!call)
        return;
    if (r < 0) {
        call_fail(call, error_from_errno(r), "p2pctl status",
                  "cannot save that the node takes tasks: %s", strerror(-r));
        return;
    }
    cJSON *reply = call_new_reply("p2pctl.undrain/1");
    json_add_string(reply, "name", node->config->node.name);
    call_reply(call, reply);
}

void method_undrain(struct node *node, struct call *call)
{
    struct undraining *undraining;

    if (node->stop_step != NODE_STOP_NONE)
        return call_fail(call, ERROR_CONFLICT, NULL, "the node is stopping");
    undraining = malloc(sizeof(*undraining));
    if (!undraining)
        return fail_memory(call);
    *undraining = (struct undraining){.node = node, .call = call};
    call_hold(call, &undraining->call);
    drain_save(node, NULL, on_undrain_saved, undraining);
}
