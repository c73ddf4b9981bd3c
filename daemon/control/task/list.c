/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <string.h>
#include "control/task/newest.h"

/*
 * ListTasks: what is wanted of it is chosen here, and told in pages, each in a turn of its own.
 * First it is found which of those that had ended when it was asked for are told; what ends
 * meanwhile, or is heard of meanwhile to have ended, is told, what is submitted meanwhile is not.
 */

#define ENDED_MAX      20000 /* the newest so many that have ended, unless all are asked for */
#define WHOLE_MAX      2000  /* for callers that take but one answer */
#define PAGE_SIZE      500
#define LOOK_MAX       10000 /* tasks that one turn looks at */
#define PAUSE_USEC     (20 * USEC_PER_MSEC)
#define TIMER_ACCURACY USEC_PER_MSEC

static const char *const arrays[] = {"tasks", "left_out", "unanswered"};

struct listing {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    sd_event_source *timer;
    cJSON *page; /* owned */
    /* What is wanted. Texts are borrowed of the call. */
    int state; /* -1 = any */
    const char *type, *user;
    bool is_workflow;
    uint64_t workflow;
    uint64_t since_wall_usec;
    bool is_all;
    uint64_t begun_wall_usec;
    uint64_t last;        /* the newest task then */
    uint64_t cursor;      /* the last that was looked at */
    struct newest newest; /* that have ended; without numbers once it is known where they begin */
    size_t open;
    uint64_t first; /* of the ended ones that are told */
    size_t told, left_out;
    size_t page_count;
};

static void listing_free(struct listing *listing)
{
    sd_event_source_disable_unref(listing->timer);
    cJSON_Delete(listing->page);
    newest_done(&listing->newest);
    free(listing);
}

static void on_listing_gone(struct call *call _unused_, void *data)
{
    listing_free(data);
}

static bool is_in_state(const struct listing *listing, const struct task *task)
{
    return listing->state < 0 || (int)shown_state(listing->node, task) == listing->state;
}

/* In whatever state it is. */
static bool is_wanted(const struct listing *listing, const struct task *task)
{
    return (!listing->type || strcmp(task->spec.type, listing->type) == 0) &&
           (!listing->user || strcmp(task->spec.user, listing->user) == 0) &&
           (!listing->is_workflow || task->spec.workflow == listing->workflow) &&
           task->submitted_wall_usec >= listing->since_wall_usec;
}

/* All arrays are in every page: what is in them comes together at the client. */
static void begin_page(struct listing *listing)
{
    listing->page = call_new_reply("p2pctl.tasks/1");
    listing->page_count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
        (void)cJSON_AddArrayToObject(listing->page, arrays[i]);
}

static bool is_full(const struct listing *listing)
{
    return listing->call->wants_more && listing->page_count == PAGE_SIZE;
}

static void add_to_page(struct listing *listing, const struct task *task)
{
    cJSON *item = cJSON_CreateObject();

    task_fill(listing->node, task, item);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(listing->page, "tasks"), item);
    listing->page_count++;
    listing->told++;
}

/* Takes the listing. */
static void end_listing(struct listing *listing)
{
    struct call *call = listing->call;
    struct node *node = listing->node;
    cJSON *reply = TAKE_PTR(listing->page);
    bool all_nodes = false;

    if (listing->left_out > 0) {
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "node", node->config->node.name);
        json_add_u64(item, "count", listing->left_out);
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(reply, "left_out"), item);
    }
    call_on_gone(call, NULL, NULL);
    listing_free(listing);
    (void)json_get_bool(call->parameters, "all_nodes", &all_nodes);
    if (all_nodes && !call->caller.is_remote)
        gather(node, call, reply, "tasks");
    else
        call_reply(call, reply);
}

static bool is_counting(const struct listing *listing)
{
    return listing->newest.numbers;
}

static void end_count(struct listing *listing)
{
    size_t max = listing->is_all ? SIZE_MAX : ENDED_MAX;

    if (!listing->call->wants_more)
        max = WHOLE_MAX - MIN(listing->open, (size_t)WHOLE_MAX);
    listing->first = max == SIZE_MAX ? 0 : newest_find_first(&listing->newest, max);
    newest_keep_open(&listing->newest, listing->first);
    listing->cursor = 0;
}

static bool had_ended(const struct listing *listing, const struct task *task)
{
    return has_ended(listing->node, task) && task->ended_wall_usec <= listing->begun_wall_usec;
}

/* An end is heard of later than it was: so what is open now may have ended before the question, by
 * what is known when it is told. Return: 0, -ENOMEM. */
static int count(struct listing *listing, const struct task *task)
{
    bool is_open = !had_ended(listing, task);

    if (is_in_state(listing, task)) {
        if (is_open)
            listing->open++;
        else
            newest_add(&listing->newest, task->number);
    }
    return is_open ? newest_add_open(&listing->newest, task->number) : 0;
}

static void tell(struct listing *listing, const struct task *task)
{
    if (!is_in_state(listing, task))
        return;
    if ((had_ended(listing, task) && task->number < listing->first &&
         !newest_was_open(&listing->newest, task->number)) ||
        (!listing->call->wants_more && listing->told == WHOLE_MAX))
        listing->left_out++;
    else
        add_to_page(listing, task);
}

static int on_turn(sd_event_source *source, uint64_t usec, void *data);

/* Takes the listing. */
static void fail(struct listing *listing)
{
    struct call *call = listing->call;

    call_on_gone(call, NULL, NULL);
    listing_free(listing);
    fail_memory(call);
}

static void go_on(struct listing *listing, usec_t delay_usec)
{
    listing->timer = sd_event_source_disable_unref(listing->timer);
    int r = sd_event_add_time_relative(listing->node->event, &listing->timer, CLOCK_MONOTONIC,
                                       delay_usec, TIMER_ACCURACY, on_turn, listing);

    if (r < 0)
        fail(listing);
}

/* One turn's work, with which the listing may be gone. */
static void look(struct listing *listing)
{
    const struct origin *origin = tasks_get_origin(listing->node->tasks);
    struct call *call = listing->call;
    const struct task *task = NULL;

    for (size_t looked = 0; looked < LOOK_MAX && !is_full(listing); looked++) {
        task = origin_next(origin, listing->cursor);
        if (task && task->number > listing->last)
            task = NULL;
        if (!task)
            break;
        listing->cursor = task->number;
        if (!may_hear_of(call, &task->spec) || !is_wanted(listing, task))
            continue;
        if (!is_counting(listing)) {
            tell(listing, task);
        } else if (count(listing, task) < 0) {
            fail(listing);
            return;
        }
    }
    if (!task && !is_counting(listing)) {
        end_listing(listing);
        return;
    }
    if (!task)
        end_count(listing);
    if (is_full(listing)) {
        call_notify(call, TAKE_PTR(listing->page));
        begin_page(listing);
    }
    go_on(listing, call_is_congested(call) ? PAUSE_USEC : 0);
}

static int on_turn(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    look(data);
    return 0;
}

/* False: the call has been answered. */
static bool read_wanted(struct node *node, struct call *call, struct listing *listing)
{
    const char *state = NULL, *workflow = NULL;
    char origin[NODE_NAME_MAX + 1] = "";
    bool all_nodes = false;

    if (!read_string(call, "state", &state) || !read_string(call, "type", &listing->type) ||
        !read_string(call, "workflow", &workflow) || !read_string(call, "user", &listing->user) ||
        !read_bool(call, "all", &listing->is_all) || !read_bool(call, "all_nodes", &all_nodes))
        return false;
    if (json_get_since(call->parameters, "since", node_wall(node), &listing->since_wall_usec) < 0) {
        call_invalid(call, "since");
        return false;
    }
    listing->state = state ? task_state_parse(state) : -1;
    if (state && listing->state < 0) {
        call_invalid(call, "state");
        return false;
    }
    if (workflow && task_id_parse(workflow, "w", &listing->workflow, origin) < 0) {
        call_fail(call, ERROR_USAGE, "p2pctl workflow list",
                  "\"%s\" is no workflow id; one looks like w7 or w7@lab-01", workflow);
        return false;
    }
    listing->is_workflow = workflow;
    if (*origin && strcmp(origin, node->config->node.name) != 0)
        listing->workflow = UINT64_MAX; /* none of this node is meant */
    return true;
}

void method_list_tasks(struct node *node, struct call *call)
{
    struct listing draft = {.node = node, .call = call};

    if (!read_wanted(node, call, &draft))
        return;
    draft.begun_wall_usec = node_wall(node);
    draft.last = tasks_get_last(node->tasks);
    struct listing *listing = malloc(sizeof(*listing));
    if (!listing || newest_init(&draft.newest, call->wants_more ? ENDED_MAX : WHOLE_MAX) < 0) {
        free(listing);
        return fail_memory(call);
    }
    *listing = draft;
    begin_page(listing);
    call_on_gone(call, on_listing_gone, listing);
    look(listing);
}
