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

/*
 * Steps that wait for each other in their order: all of them, or those of one type. The groups of a
 * lane open one after the other; `open` counts the steps of opened groups that are not over.
 */
struct lane {
    uint32_t next; /* first step whose group has not been opened, or NONE */
    uint32_t open;
};

struct step {
    struct list link; /* in workflow->ready, or in a list of steps that are being skipped */
    enum workflow_step_state state;
    enum task_state end; /* of WORKFLOW_ENDED */
    bool is_cancel_told;
    bool is_settled; /* it ended before the list was taken up again */
    bool is_opened;
    bool is_repeated;
    uint32_t lane;
    uint32_t follower; /* the next step of the lane, or NONE */
    uint32_t blockers; /* steps that it needs and that have not ended well; 1 more until opened */
    uint64_t number;   /* of its task; 0 = not known yet */
    char *reason;      /* owned; why the origin did not take it, or not yet */
};

struct workflow {
    uint64_t number;
    struct workflow_options options;
    struct workflow_plan *plan; /* owned */
    struct step *steps;         /* owned, one per step of the plan */
    struct lane *lanes;         /* owned */
    size_t lanes_count;
    uint32_t *dependents;       /* owned: who needs step i stands from dependents_first[i] on */
    uint32_t *dependents_first; /* owned: one more than steps */
    struct list ready;          /* steps that may be submitted */
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
            lane->next = i;
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

/* Turns "needs" around: for every step, who needs it. */
static int make_dependents(struct workflow *workflow)
{
    const struct workflow_plan *plan = workflow->plan;
    size_t total = 0;

    workflow->dependents_first = calloc(plan->steps_count + 2, sizeof(uint32_t));
    if (!workflow->dependents_first)
        return -ENOMEM;
    /* One place further than where they begin: filling them moves each mark to its place. */
    uint32_t *first = workflow->dependents_first + 1;
    for (size_t i = 0; i < plan->steps_count; i++) {
        total += plan->steps[i].needs_count;
        for (size_t j = 0; j < plan->steps[i].needs_count; j++)
            first[plan->steps[i].needs[j] + 1]++;
    }
    for (size_t i = 1; i <= plan->steps_count; i++)
        first[i] += first[i - 1];
    workflow->dependents = calloc(total + 1, sizeof(uint32_t));
    if (!workflow->dependents)
        return -ENOMEM;
    for (uint32_t i = 0; i < plan->steps_count; i++)
        for (size_t j = 0; j < plan->steps[i].needs_count; j++)
            workflow->dependents[first[plan->steps[i].needs[j]]++] = i;
    return 0;
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
    if (r >= 0)
        r = make_dependents(workflow);
    if (r < 0) {
        workflow->plan = NULL;
        return r;
    }
    for (size_t i = 0; i < plan->steps_count; i++) {
        plan->steps[i].spec.workflow = number;
        list_init(&workflow->steps[i].link);
        workflow->steps[i].blockers = (uint32_t)plan->steps[i].needs_count + 1;
    }
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
    free(workflow->dependents);
    free(workflow->dependents_first);
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

static bool is_over(const struct step *step)
{
    return step->state == WORKFLOW_ENDED || step->state == WORKFLOW_SKIPPED;
}

/* The step that may be restored, or NULL with *@ret_r saying why not. */
static struct step *find_fresh(struct workflow *workflow, uint32_t step, int *ret_r)
{
    *ret_r = -EINVAL;
    if (step >= workflow->plan->steps_count || workflow->is_started)
        return NULL;
    *ret_r = -EEXIST;
    struct step *entry = &workflow->steps[step];
    return entry->state == WORKFLOW_WAITING && !entry->is_repeated ? entry : NULL;
}

int workflow_restore_step(struct workflow *workflow, uint32_t step, uint64_t number,
                          enum task_state state)
{
    int r;
    struct step *entry = find_fresh(workflow, step, &r);

    if (!entry)
        return r;
    workflow->statistics.waiting--;
    entry->number = number;
    if (task_state_is_final(state)) {
        entry->state = WORKFLOW_ENDED;
        entry->end = state;
        count_end(workflow, state);
    } else {
        entry->state = WORKFLOW_SUBMITTED;
        workflow->statistics.submitted++;
    }
    return 0;
}

int workflow_settle_step(struct workflow *workflow, uint32_t step, uint64_t number,
                         enum task_state state)
{
    int r;
    struct step *entry = find_fresh(workflow, step, &r);

    if (!entry)
        return r;
    workflow->statistics.waiting--;
    entry->state = WORKFLOW_ENDED;
    entry->end = state;
    entry->number = number;
    entry->is_settled = true;
    count_end(workflow, state);
    return 0;
}

int workflow_repeat_step(struct workflow *workflow, uint32_t step, uint64_t number)
{
    int r;
    struct step *entry = find_fresh(workflow, step, &r);

    if (!entry)
        return r;
    entry->is_repeated = true;
    entry->number = number;
    return 0;
}

static enum workflow_on_fail on_fail_of(const struct workflow *workflow, uint32_t step)
{
    enum workflow_on_fail on_fail = workflow->plan->steps[step].on_fail;

    if (on_fail != WORKFLOW_ON_FAIL_DEFAULT)
        return on_fail;
    return workflow->options.is_keep_going ? WORKFLOW_ON_FAIL_SKIP : WORKFLOW_ON_FAIL_STOP;
}

/* Whether the steps that need this one may have it. */
static bool has_passed(const struct workflow *workflow, uint32_t step)
{
    const struct step *entry = &workflow->steps[step];

    return entry->state == WORKFLOW_ENDED &&
           (entry->end == TASK_SUCCEEDED ||
            on_fail_of(workflow, step) == WORKFLOW_ON_FAIL_CONTINUE);
}

static void unblock(struct workflow *workflow, struct step *step)
{
    if (--step->blockers == 0 && step->state == WORKFLOW_WAITING && !workflow->is_stopping)
        list_append(&workflow->ready, &step->link);
}

static void leave_lane(struct workflow *workflow, struct step *step)
{
    if (step->is_opened)
        workflow->lanes[step->lane].open--;
}

/* Opens groups of the lane until one has steps that are not over. In free order all are one group.
 */
static void open_lane(struct workflow *workflow, struct lane *lane)
{
    const struct workflow_step *steps = workflow->plan->steps;

    while (lane->open == 0 && lane->next != NONE && !workflow->is_stopping) {
        uint32_t group = steps[lane->next].group;
        while (lane->next != NONE &&
               (workflow->options.order == WORKFLOW_FREE || steps[lane->next].group == group)) {
            struct step *step = &workflow->steps[lane->next];
            lane->next = step->follower;
            step->is_opened = true;
            if (!is_over(step))
                lane->open++;
            unblock(workflow, step);
        }
    }
}

/* Those that need one of @over, which did not end well, cannot run any more; nor who needs them. */
static void skip_dependents(struct workflow *workflow, struct list *over)
{
    struct step *step;

    while ((step = list_first(over, struct step, link))) {
        size_t i = (size_t)(step - workflow->steps);
        list_remove(&step->link);
        for (uint32_t j = workflow->dependents_first[i]; j < workflow->dependents_first[i + 1];
             j++) {
            struct step *next = &workflow->steps[workflow->dependents[j]];
            if (next->state != WORKFLOW_WAITING)
                continue;
            next->state = WORKFLOW_SKIPPED;
            workflow->statistics.waiting--;
            workflow->statistics.skipped++;
            leave_lane(workflow, next);
            list_append(over, &next->link);
        }
    }
}

/* The step has ended: those that need it may go on, or never will. */
static void settle_dependents(struct workflow *workflow, uint32_t step)
{
    struct list over;

    if (!has_passed(workflow, step)) {
        list_init(&over);
        list_append(&over, &workflow->steps[step].link);
        skip_dependents(workflow, &over);
        return;
    }
    for (uint32_t j = workflow->dependents_first[step]; j < workflow->dependents_first[step + 1];
         j++)
        unblock(workflow, &workflow->steps[workflow->dependents[j]]);
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

static bool stops_list(const struct workflow *workflow, uint32_t step)
{
    const struct step *entry = &workflow->steps[step];

    return entry->state == WORKFLOW_ENDED && entry->end != TASK_SUCCEEDED && !entry->is_settled &&
           on_fail_of(workflow, step) == WORKFLOW_ON_FAIL_STOP;
}

/* A lane may have become free by steps of other lanes that are skipped. */
static void open_lanes(struct workflow *workflow)
{
    for (size_t i = 0; i < workflow->lanes_count; i++)
        open_lane(workflow, &workflow->lanes[i]);
}

void workflow_start(struct workflow *workflow)
{
    if (workflow->is_started)
        return;
    workflow->is_started = true;
    for (uint32_t i = 0; i < workflow->plan->steps_count; i++) {
        if (stops_list(workflow, i))
            stop(workflow);
        if (workflow->steps[i].state == WORKFLOW_ENDED)
            settle_dependents(workflow, i);
    }
    open_lanes(workflow);
}

void workflow_submitted(struct workflow *workflow, uint32_t step, uint64_t number)
{
    if (step >= workflow->plan->steps_count || workflow->steps[step].state != WORKFLOW_SUBMITTED)
        return;
    workflow->steps[step].number = number;
    workflow->steps[step].is_repeated = false;
    free(workflow->steps[step].reason);
    workflow->steps[step].reason = NULL;
    workflow->cancel_next = MIN(workflow->cancel_next, step);
}

void workflow_ended(struct workflow *workflow, uint32_t step, enum task_state state)
{
    if (step >= workflow->plan->steps_count || workflow->steps[step].state != WORKFLOW_SUBMITTED ||
        !task_state_is_final(state))
        return;
    struct step *entry = &workflow->steps[step];
    uint32_t skipped = workflow->statistics.skipped;
    entry->state = WORKFLOW_ENDED;
    entry->end = state;
    workflow->statistics.submitted--;
    count_end(workflow, state);
    leave_lane(workflow, entry);
    if (stops_list(workflow, step))
        stop(workflow);
    settle_dependents(workflow, step);
    if (workflow->statistics.skipped != skipped)
        open_lanes(workflow);
    else
        open_lane(workflow, &workflow->lanes[entry->lane]);
}

void workflow_explain(struct workflow *workflow, uint32_t step, const char *reason)
{
    if (step >= workflow->plan->steps_count || workflow->steps[step].state != WORKFLOW_SUBMITTED)
        return;
    free(workflow->steps[step].reason);
    workflow->steps[step].reason = strdup(reason);
}

void workflow_refused(struct workflow *workflow, uint32_t step, const char *reason)
{
    if (step >= workflow->plan->steps_count || workflow->steps[step].state != WORKFLOW_SUBMITTED ||
        (workflow->steps[step].number > 0 && !workflow->steps[step].is_repeated))
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
    struct step *step = list_first(&workflow->ready, struct step, link);

    if (!step || workflow->statistics.submitted >= WORKFLOW_WINDOW_MAX)
        return false;
    uint32_t i = (uint32_t)(step - workflow->steps);
    list_remove(&step->link);
    step->state = WORKFLOW_SUBMITTED;
    workflow->statistics.waiting--;
    workflow->statistics.submitted++;
    *ret = (struct workflow_action){.type = step->is_repeated && step->number > 0 ? WORKFLOW_REPEAT
                                                                                  : WORKFLOW_SUBMIT,
                                    .step = i,
                                    .number = step->number,
                                    .spec = &workflow->plan->steps[i].spec};
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

enum task_state workflow_get_end(const struct workflow *workflow, uint32_t step)
{
    return workflow->steps[step].end;
}

const char *workflow_get_reason(const struct workflow *workflow, uint32_t step)
{
    return workflow->steps[step].reason ? workflow->steps[step].reason : "";
}

void workflow_get_statistics(const struct workflow *workflow, struct workflow_statistics *ret)
{
    *ret = workflow->statistics;
}
