/* SPDX-License-Identifier: MIT */
#include "sched/workflow.h"

#include <errno.h>
#include <string.h>
#include "base/list.h"
#include "base/table.h"

#define NONE UINT32_MAX

static const char *const order_names[] = {
    [WORKFLOW_STRICT] = "strict",
    [WORKFLOW_TYPE] = "type",
    [WORKFLOW_FREE] = "free",
};

/* Steps that wait for each other in their order: all of them, or those of one type. */
struct lane {
    struct list ready;
    uint32_t next;       /* first step that waits, or NONE */
    uint32_t first_open; /* first step that has not ended, or NONE */
};

struct step {
    enum workflow_step_state state;
    bool is_cancel_told;
    uint32_t lane;
    uint32_t follower; /* the next step of the lane, or NONE */
    uint64_t number;   /* of its task; 0 = not known yet */
    char *reason;      /* owned; why the origin did not take it */
};

struct workflow {
    uint64_t number;
    struct workflow_options options;
    struct workflow_plan *plan; /* owned */
    struct step *steps;         /* owned, one per step of the plan */
    struct lane *lanes;         /* owned */
    size_t lanes_count;
    struct list ready; /* lanes that may have a step to submit */
    struct workflow_statistics statistics;
    bool is_started;
    bool is_stopping; /* no further step starts */
    bool is_done_told;
    uint32_t cancel_next; /* steps before it have been told to cancel */
};

int workflow_order_parse(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(order_names); i++)
        if (strcmp(text, order_names[i]) == 0)
            return (int)i;
    return -EINVAL;
}

const char *workflow_order_name(enum workflow_order order)
{
    return order_names[order];
}

/* Puts the steps into lanes, in their order. @lasts: the last step of each lane so far. */
static int make_lanes(struct workflow *workflow)
{
    struct workflow_plan *plan = workflow->plan;
    _cleanup_free_ uint32_t *lasts = calloc(plan->steps_count + 1, sizeof(*lasts));
    _cleanup_(table_done) struct table by_type;
    int r = 0;

    /* Types come from the user's own file. */
    table_init(&by_type, 0, 0);
    for (uint32_t i = 0; lasts && i < plan->steps_count; i++) {
        const char *type = workflow->options.order == WORKFLOW_TYPE ? plan->steps[i].spec.type : "";
        struct lane *lane = table_find(&by_type, type);
        if (!lane) {
            lane = &workflow->lanes[workflow->lanes_count++];
            list_init(&lane->ready);
            lane->next = lane->first_open = i;
            r = table_insert(&by_type, type, lane);
            if (r < 0)
                return r;
        } else {
            workflow->steps[lasts[lane - workflow->lanes]].follower = i;
        }
        lasts[lane - workflow->lanes] = i;
        workflow->steps[i].lane = (uint32_t)(lane - workflow->lanes);
        workflow->steps[i].follower = NONE;
    }
    return lasts ? 0 : -ENOMEM;
}

int workflow_new(uint64_t number, const struct workflow_options *options,
                 struct workflow_plan *plan, struct workflow **ret)
{
    _cleanup_(workflow_freep) struct workflow *workflow = calloc(1, sizeof(*workflow));
    int r;

    if (!workflow)
        return -ENOMEM;
    list_init(&workflow->ready);
    workflow->number = number;
    workflow->options = *options;
    workflow->steps = calloc(plan->steps_count + 1, sizeof(*workflow->steps));
    workflow->lanes = calloc(plan->steps_count + 1, sizeof(*workflow->lanes));
    if (!workflow->steps || !workflow->lanes)
        return -ENOMEM;
    workflow->plan = plan;
    r = make_lanes(workflow);
    if (r < 0) {
        workflow->plan = NULL;
        return r;
    }
    for (size_t i = 0; i < plan->steps_count; i++)
        plan->steps[i].spec.workflow = number;
    workflow->statistics.total = workflow->statistics.waiting = (uint32_t)plan->steps_count;
    *ret = TAKE_PTR(workflow);
    return 0;
}

struct workflow *workflow_free(struct workflow *workflow)
{
    if (!workflow)
        return NULL;
    for (size_t i = 0; workflow->plan && i < workflow->plan->steps_count; i++)
        free(workflow->steps[i].reason);
    workflow_plan_free(workflow->plan);
    free(workflow->steps);
    free(workflow->lanes);
    free(workflow);
    return NULL;
}

static void count_end(struct workflow *workflow, enum task_state state)
{
    if (state == TASK_SUCCEEDED)
        workflow->statistics.succeeded++;
    else
        workflow->statistics.failed++;
}

int workflow_restore_step(struct workflow *workflow, uint32_t step, uint64_t number,
                          enum task_state state)
{
    if (step >= workflow->plan->steps_count || workflow->is_started)
        return -EINVAL;
    struct step *entry = &workflow->steps[step];
    if (entry->state != WORKFLOW_WAITING)
        return -EEXIST;
    workflow->statistics.waiting--;
    entry->number = number;
    if (task_state_is_final(state)) {
        entry->state = WORKFLOW_ENDED;
        count_end(workflow, state);
    } else {
        entry->state = WORKFLOW_SUBMITTED;
        workflow->statistics.submitted++;
    }
    return 0;
}

static bool is_over(const struct step *step)
{
    return step->state == WORKFLOW_ENDED || step->state == WORKFLOW_SKIPPED;
}

/* Moves both marks of the lane behind what is settled. */
static void advance_lane(struct workflow *workflow, struct lane *lane)
{
    while (lane->first_open != NONE && is_over(&workflow->steps[lane->first_open]))
        lane->first_open = workflow->steps[lane->first_open].follower;
    while (lane->next != NONE && workflow->steps[lane->next].state != WORKFLOW_WAITING)
        lane->next = workflow->steps[lane->next].follower;
}

static bool is_ready(const struct workflow *workflow, const struct lane *lane)
{
    const struct workflow_step *steps = workflow->plan->steps;

    if (lane->next == NONE)
        return false;
    return workflow->options.order == WORKFLOW_FREE ||
           steps[lane->next].group == steps[lane->first_open].group;
}

static void wake_lane(struct workflow *workflow, struct lane *lane)
{
    advance_lane(workflow, lane);
    if (is_ready(workflow, lane) && list_is_empty(&lane->ready))
        list_append(&workflow->ready, &lane->ready);
}

static void stop(struct workflow *workflow)
{
    if (workflow->is_stopping)
        return;
    workflow->is_stopping = true;
    for (size_t i = 0; i < workflow->plan->steps_count; i++)
        if (workflow->steps[i].state == WORKFLOW_WAITING)
            workflow->steps[i].state = WORKFLOW_SKIPPED;
    workflow->statistics.skipped += workflow->statistics.waiting;
    workflow->statistics.waiting = 0;
    list_for_each_safe (link, &workflow->ready)
        list_remove(link);
}

void workflow_start(struct workflow *workflow)
{
    workflow->is_started = true;
    if (workflow->statistics.failed > 0 && !workflow->options.is_keep_going)
        stop(workflow);
    for (size_t i = 0; i < workflow->lanes_count && !workflow->is_stopping; i++)
        wake_lane(workflow, &workflow->lanes[i]);
}

void workflow_submitted(struct workflow *workflow, uint32_t step, uint64_t number)
{
    if (step >= workflow->plan->steps_count || workflow->steps[step].state != WORKFLOW_SUBMITTED)
        return;
    workflow->steps[step].number = number;
    workflow->cancel_next = MIN(workflow->cancel_next, step);
}

void workflow_ended(struct workflow *workflow, uint32_t step, enum task_state state)
{
    if (step >= workflow->plan->steps_count || workflow->steps[step].state != WORKFLOW_SUBMITTED ||
        !task_state_is_final(state))
        return;
    workflow->steps[step].state = WORKFLOW_ENDED;
    workflow->statistics.submitted--;
    count_end(workflow, state);
    if (state != TASK_SUCCEEDED && !workflow->options.is_keep_going)
        stop(workflow);
    if (!workflow->is_stopping)
        wake_lane(workflow, &workflow->lanes[workflow->steps[step].lane]);
}

void workflow_refused(struct workflow *workflow, uint32_t step, const char *reason)
{
    if (step >= workflow->plan->steps_count || workflow->steps[step].state != WORKFLOW_SUBMITTED ||
        workflow->steps[step].number > 0)
        return;
    free(workflow->steps[step].reason);
    workflow->steps[step].reason = strdup(reason);
    workflow_ended(workflow, step, TASK_FAILED);
}

void workflow_cancel(struct workflow *workflow)
{
    workflow->statistics.is_cancelled = true;
    workflow->cancel_next = 0;
    stop(workflow);
}

static bool next_cancel(struct workflow *workflow, struct workflow_action *ret)
{
    if (!workflow->statistics.is_cancelled)
        return false;
    while (workflow->cancel_next < workflow->plan->steps_count) {
        uint32_t i = workflow->cancel_next++;
        struct step *step = &workflow->steps[i];
        if (step->state != WORKFLOW_SUBMITTED || step->number == 0 || step->is_cancel_told)
            continue;
        step->is_cancel_told = true;
        *ret = (struct workflow_action){.type = WORKFLOW_CANCEL, .step = i, .number = step->number};
        return true;
    }
    return false;
}

static bool next_submit(struct workflow *workflow, struct workflow_action *ret)
{
    struct lane *lane = list_first(&workflow->ready, struct lane, ready);

    if (!lane || workflow->statistics.submitted >= WORKFLOW_WINDOW_MAX)
        return false;
    uint32_t i = lane->next;
    workflow->steps[i].state = WORKFLOW_SUBMITTED;
    workflow->statistics.waiting--;
    workflow->statistics.submitted++;
    *ret = (struct workflow_action){
        .type = WORKFLOW_SUBMIT, .step = i, .spec = &workflow->plan->steps[i].spec};
    list_remove(&lane->ready);
    wake_lane(workflow, lane);
    return true;
}

bool workflow_next_action(struct workflow *workflow, struct workflow_action *ret)
{
    struct workflow_statistics *statistics = &workflow->statistics;

    if (!workflow->is_started || workflow->is_done_told)
        return false;
    if (next_cancel(workflow, ret) || next_submit(workflow, ret))
        return true;
    if (statistics->waiting > 0 || statistics->submitted > 0)
        return false;
    statistics->is_done = workflow->is_done_told = true;
    *ret = (struct workflow_action){.type = WORKFLOW_DONE};
    return true;
}

uint64_t workflow_get_number(const struct workflow *workflow)
{
    return workflow->number;
}

const struct workflow_plan *workflow_get_plan(const struct workflow *workflow)
{
    return workflow->plan;
}

enum workflow_step_state workflow_get_step(const struct workflow *workflow, uint32_t step,
                                           uint64_t *ret_number)
{
    *ret_number = workflow->steps[step].number;
    return workflow->steps[step].state;
}

const char *workflow_get_reason(const struct workflow *workflow, uint32_t step)
{
    return workflow->steps[step].reason ? workflow->steps[step].reason : "";
}

void workflow_get_statistics(const struct workflow *workflow, struct workflow_statistics *ret)
{
    *ret = workflow->statistics;
}
