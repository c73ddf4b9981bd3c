/* SPDX-License-Identifier: MIT */
#include "control/task/run.h"

#include <stdio.h>
#include <string.h>

/* Run with a new list: its text and options, the files that go with it, and the start. */

/* What a new list is made of, until its files are on the disk. Texts are borrowed of the call. */
struct draft {
    struct node *node;          /* borrowed */
    struct call *call;          /* borrowed until gone; then NULL, while others are asked */
    struct workflow_plan *plan; /* owned */
    struct run_options options;
    struct task_words vars;  /* owned; of options */
    struct run_users *users; /* owned; what other nodes said, or NULL */
    bool is_detached;
    bool is_dry_run;
    struct stage *stage;                         /* borrowed, while it is under way */
    struct stage_source sources[TASK_FILES_MAX]; /* descriptors owned */
    char places[TASK_FILES_MAX][12];             /* what the sources are called */
};

static struct draft *draft_free(struct draft *draft)
{
    if (!draft)
        return NULL;
    for (size_t i = 0; draft->plan && i < draft->plan->locals.count; i++)
        close_fd(draft->sources[i].fd);
    workflow_plan_free(draft->plan);
    run_users_free(draft->users);
    task_words_done(&draft->vars);
    free(draft);
    return NULL;
}
DEFINE_CLEANUP(struct draft *, draft_free)

static void fail_grammar(struct call *call, const char *file, const struct grammar_errors *errors)
{
    cJSON *parameters = cJSON_CreateObject();
    char message[512];

    snprintf(message, sizeof(message), "%.255s: %zu error%s, nothing was started", file,
             errors->count, PLURAL(errors->count));
    json_add_string(parameters, "message", message);
    json_add_null(parameters, "hint");
    cJSON *details = cJSON_AddArrayToObject(parameters, "details");
    for (size_t i = 0; i < errors->lines_count; i++)
        cJSON_AddItemToArray(details, cJSON_CreateString(errors->lines[i]));
    call_fail_as(call, error_get_varlink(ERROR_USAGE), parameters);
}

/* Every step may run where it is to, and every type has somebody, unless that is waited for. False:
 * the call has been answered. */
static bool check_places(struct node *node, struct call *call, const struct workflow_plan *plan,
                         const struct run_options *options)
{
    struct origin *origin = tasks_get_origin(node->tasks);
    const struct place *place = origin_get_place(origin);
    char hint[512], reason[TASK_REASON_MAX + 1];

    for (size_t i = 0; i < plan->steps_count; i++) {
        const struct workflow_step *step = &plan->steps[i];
        const struct task_spec *spec = &step->spec;
        call_set_detail(call, "%s:%u:%u: %s cannot run as it stands", options->file, step->line,
                        step->column, step->name);
        if (!check_node_of(node, call, spec))
            return false;
        if (options->waits_for_types || place_has_handler(place, spec))
            continue;
        if (place_is_forbidden(place, spec, NULL, false)) {
            int r = origin_check(origin, spec, false, reason);
            fail_submit(node, call, spec, r, reason);
            return false;
        }
        if (*spec->node && !place_is_too_small(place, spec)) {
            call_fail(call, ERROR_NO_HANDLER, "see who does what: p2pctl types",
                      "%s does not handle task type \"%s\"", spec->node, spec->type);
            return false;
        }
        snprintf(hint, sizeof(hint),
                 "see who does what: p2pctl types\nto wait until one appears: p2pctl run "
                 "--wait-types %.255s",
                 options->file);
        fail_no_handler(node, call, spec, hint);
        return false;
    }
    call_set_detail(call, "%s", "");
    return true;
}

/* Whether one of @vars has the name of @var, "K=V". */
static bool has_var(const struct task_words *vars, const char *var)
{
    size_t size = strcspn(var, "=") + 1;

    for (size_t i = 0; i < vars->count; i++)
        if (strncmp(vars->items[i], var, size) == 0)
            return true;
    return false;
}

static bool read_vars(struct call *call, struct task_words *vars)
{
    const cJSON *array = NULL;
    int r = 0;

    if (!read_array(call, "vars", &array))
        return false;
    json_for_each (item, array) {
        if (!task_word_is_variable(item->valuestring)) {
            call_fail(call, ERROR_USAGE, "p2pctl run --var K=V",
                      "--var \"%.64s\": a variable is K=V, with letters, digits and _ in K",
                      item->valuestring);
            return false;
        }
        if (has_var(vars, item->valuestring)) {
            call_fail(call, ERROR_USAGE, NULL, "--var gives %.*s a value twice",
                      (int)MIN(strcspn(item->valuestring, "="), (size_t)40), item->valuestring);
            return false;
        }
        r = r < 0 ? r : task_words_add(vars, item->valuestring);
    }
    if (r == -E2BIG)
        call_fail(call, ERROR_TOO_LARGE, NULL, "--var: more than %d variables or %d bytes",
                  TASK_WORDS_MAX, TASK_WORDS_SIZE);
    else if (r < 0)
        fail_memory(call);
    return r >= 0;
}

static bool read_options(struct node *node, struct call *call, struct run_options *options,
                         struct task_words *vars)
{
    const char *order = "strict";
    uint64_t retries = node->config->tasks.retries;

    options->file = "tasks.txt";
    if (!need_string(call, "text", &options->text) || !read_string(call, "file", &options->file) ||
        !read_string(call, "order", &order) ||
        !read_bool(call, "keep_going", &options->workflow.is_keep_going) ||
        !read_u64(call, "retries", TASK_RETRIES_MAX, &retries) ||
        !read_bool(call, "wait_types", &options->waits_for_types) || !read_vars(call, vars))
        return false;
    int value = workflow_order_parse(order);
    if (value < 0) {
        call_invalid(call, "order");
        return false;
    }
    options->workflow.order = (enum workflow_order)value;
    options->grammar =
        (struct grammar_options){.retries = (uint32_t)retries,
                                 .retry_delay_usec = node->config->tasks.retry_delay_usec,
                                 .retry_on = retry_on_of(node->config),
                                 .user = call->caller.user,
                                 .vars = vars};
    return true;
}

static void show_plan(const struct draft *draft)
{
    struct call *call = draft->call;
    cJSON *end = cJSON_CreateObject();
    static const char *const empty[] = {"id",    "succeeded",  "failed", "skipped",
                                        "nodes", "elapsed_ms", "exit"};

    call_notify(call, run_new_plan(draft->node, call, draft->plan, draft->users, NULL));
    json_add_string(end, "type", "end");
    json_add_u64(end, "total", draft->plan->steps_count);
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
        json_add_null(end, empty[i]);
    call_reply(call, end);
}

/* The run starts, with the client looking on or not, when it is on the disk. */
static void start(struct draft *draft)
{
    struct node *node = draft->node;
    struct call *call = draft->call;
    struct run_starting *starting = run_starting_new(node, call, draft->is_detached, false);
    int r = starting ? runs_add(node->tasks, draft->plan, &draft->options, run_on_saved, starting)
                     : -ENOMEM;

    if (r >= 0) {
        TAKE_PTR(draft->plan);
        return;
    }
    if (starting)
        run_starting_free(starting);
    tasks_drop_files(node->tasks, &draft->options.inputs);
    call_fail(call, error_from_errno(r), NULL, "cannot start the list: %s", strerror(-r));
}

static void on_staged(int r, const struct task_files *files, const char *reason, void *data)
{
    _cleanup_(draft_freep) struct draft *draft = data;

    call_on_gone(draft->call, NULL, NULL);
    if (r < 0) {
        call_fail(draft->call, error_from_errno(r), NULL, "cannot take the files of the list: %s",
                  reason);
        return;
    }
    draft->options.inputs = *files;
    start(draft);
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct draft *draft = data;

    tasks_stage_cancel(draft->stage);
    draft_free(draft);
}

/* The descriptors of the call, in the order of plan->locals. False: the call has been answered. */
static bool take_files(struct draft *draft)
{
    const struct task_words *locals = &draft->plan->locals;
    struct call *call = draft->call;

    if (call->fds_count < locals->count) {
        call_fail(call, ERROR_USAGE, NULL, "the file %s did not come with the list",
                  locals->items[call->fds_count]);
        return false;
    }
    for (size_t i = 0; i < locals->count; i++) {
        snprintf(draft->places[i], sizeof(draft->places[i]), "%u", (unsigned)i);
        draft->sources[i].name = draft->places[i];
        draft->sources[i].fd = TAKE_FD(call->fds[i]);
    }
    return true;
}

static void stage_and_start(struct draft **draft)
{
    struct call *call = (*draft)->call;
    size_t bad = 0;

    if (!take_files(*draft))
        return;
    int r = tasks_stage((*draft)->node->tasks, (*draft)->sources, (*draft)->plan->locals.count,
                        false, on_staged, *draft, &bad, &(*draft)->stage);
    if (r < 0)
        call_fail(call, error_from_errno(r), NULL, "cannot take the files of the list: %s",
                  strerror(-r));
    else
        call_on_gone(call, on_gone, TAKE_PTR(*draft));
}

/* Whether somebody runs every step for its user, by what was said. False: the call has been
 * answered. */
static bool check_users(const struct draft *draft)
{
    struct place *place = origin_get_place(tasks_get_origin(draft->node->tasks));
    struct place_refuser refusers[RUN_USERS_NODES_MAX];
    char reason[TASK_REASON_MAX + 1];

    for (size_t i = 0; i < draft->plan->steps_count; i++) {
        const struct workflow_step *step = &draft->plan->steps[i];
        const struct place_past past = {
            .refusers = refusers,
            .refusers_count = run_users_find(draft->users, step->spec.type, refusers)};
        if (past.refusers_count == 0 || task_spec_get_kind(&step->spec) != TASK_TYPED ||
            !place_is_forbidden(place, &step->spec, &past, false))
            continue;
        (void)place_choose(place, &step->spec, &past, reason);
        call_set_detail(draft->call, "%s:%u:%u: %s cannot run as it stands", draft->options.file,
                        step->line, step->column, step->name);
        fail_forbidden(draft->call, reason);
        return false;
    }
    return true;
}

/* All that can be said against it has been looked at. Takes @draft over. */
static void begin(struct draft *draft)
{
    _cleanup_(draft_freep) struct draft *owned = draft;

    if (owned->is_dry_run)
        show_plan(owned);
    else if (owned->plan->locals.count > 0)
        stage_and_start(&owned);
    else
        start(owned);
}

static void on_asked(struct run_users *users, void *data)
{
    _cleanup_(draft_freep) struct draft *draft = data;

    draft->users = users;
    if (!draft->call)
        return;
    call_on_gone(draft->call, NULL, NULL);
    if (check_users(draft))
        begin(TAKE_PTR(draft));
}

/* Others are asked first where it may be up to its user. Takes @draft over. */
static void ask_and_begin(struct draft *draft)
{
    int r = draft->options.waits_for_types
                ? 0
                : run_users_ask(draft->node, draft->call, draft->plan, on_asked, draft);

    if (r == 0) {
        begin(draft);
    } else if (r < 0) {
        fail_memory(draft->call);
        draft_free(draft);
    } else {
        call_hold(draft->call, &draft->call);
    }
}

void run_start_list(struct node *node, struct call *call, bool is_detached)
{
    _cleanup_(draft_freep) struct draft *draft = calloc(1, sizeof(*draft));
    struct grammar_errors errors = {0};

    if (!draft) {
        fail_memory(call);
        return;
    }
    *draft = (struct draft){.node = node, .call = call, .is_detached = is_detached};
    struct run_options *options = &draft->options;
    if (!read_options(node, call, options, &draft->vars) ||
        !read_bool(call, "dry_run", &draft->is_dry_run))
        return;
    node_refresh_loads(node);
    int r = grammar_parse(options->file, options->text, strlen(options->text), &options->grammar,
                          &draft->plan, &errors);
    for (size_t i = 0; i < TASK_FILES_MAX; i++)
        draft->sources[i].fd = -EBADF;
    if (r == -EINVAL)
        fail_grammar(call, options->file, &errors);
    else if (r < 0)
        fail_memory(call);
    else if (check_places(node, call, draft->plan, options))
        ask_and_begin(TAKE_PTR(draft));
    grammar_errors_done(&errors);
}
