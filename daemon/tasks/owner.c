/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "journal.h"

/* A record on its way to the disk. */
struct save {
    struct tasks *tasks; /* borrowed */
    uint64_t number;
    uint64_t revision;
};

struct names {
    char id[TASK_ID_TEXT_MAX];
    char workflow[TASK_ID_TEXT_MAX + 1];
    char name[TASK_NAME_MAX + 1];
    char user[TASK_USER_MAX + 1 + NODE_NAME_MAX + 1];
};

/* The task as the journal wants it; the texts live in @names. */
static struct journal_task describe(const struct tasks *tasks, const struct task *task,
                                    struct names *names)
{
    const char *origin = tasks->config->node.name;

    task_id_format(task->number, origin, names->id);
    task_spec_format_name(&task->spec, names->name);
    snprintf(names->user, sizeof(names->user), "%s@%s", task->spec.user, origin);
    names->workflow[0] = 'w';
    task_id_format(task->spec.workflow, origin, names->workflow + 1);
    return (struct journal_task){.id = names->id,
                                 .name = strcmp(names->name, "-") == 0 ? NULL : names->name,
                                 .user = names->user,
                                 .workflow = task->spec.workflow > 0 ? names->workflow : NULL,
                                 .is_confidential = task->spec.is_confidential};
}

static struct output_key key_of(uint64_t number, uint64_t attempt)
{
    return (struct output_key){.number = number, .attempt = (uint32_t)attempt};
}

static bool is_busy(int r)
{
    return r == -EBUSY || r == -EAGAIN;
}

/* The output of an attempt that is over goes to the disk with the record that says so. Return: 0,
 * or why not now. */
static int finish_output(struct tasks *tasks, uint64_t number, uint64_t attempt,
                         struct state_batch *batch)
{
    struct output_key key = key_of(number, attempt);
    struct output *output = output_find(tasks->outputs, &key);

    if (!output)
        return 0;
    int r = output_finish(output, batch);
    if (r >= 0)
        inflow_close(tasks, number, attempt, batch);
    if (r >= 0 || r == -EALREADY)
        return 0;
    if (!is_busy(r))
        log_line_errno(LOG_WARNING | LOG_STAYS, r, "Cannot keep the output of task %llu: %m",
                       (unsigned long long)number);
    return r;
}

static struct submission *find_submission(struct tasks *tasks, uint64_t number)
{
    list_for_each (link, &tasks->submissions) {
        struct submission *submission = list_entry(link, struct submission, link);
        if (submission->number == number)
            return submission;
    }
    return NULL;
}

static void answer_submission(struct tasks *tasks, uint64_t number, int r, const struct task *task,
                              const char *reason)
{
    struct submission *submission = find_submission(tasks, number);

    if (!submission)
        return;
    tasks_submitted_t done = submission->done;
    void *data = submission->data;
    struct bundles_key results = {
        .kind = BUNDLES_OUT, .number = number, .attempt = submission->results};
    if (r >= 0 && submission->results > 0)
        bundles_remove(tasks->bundles, &results, tasks->drops);
    tasks_submit_forget(submission);
    done(r, task, reason, data);
}

/* As origin_take_back(). Its inputs go with it, unless whoever asked for it is still to drop them.
 */
static int undo(struct tasks *tasks, uint64_t number)
{
    const struct task *task = origin_find(tasks->origin, number);
    const struct task_files files =
        task && !find_submission(tasks, number) ? task->spec.in : (struct task_files){0};
    int r = origin_take_back(tasks->origin, number, tasks_now(tasks));

    if (r >= 0 && !origin_find(tasks->origin, number))
        tasks_drop_files(tasks, &files);
    return r;
}

/*
 * A task that could not be saved. Whoever asked for it, or for it to run again, is told, and it is
 * as if that had never been; a step of a list, and what was accepted before, waits for room.
 */
static void take_back(struct tasks *tasks, uint64_t number, int r)
{
    const struct task *task = origin_find(tasks->origin, number);
    bool is_awaited = find_submission(tasks, number) || (task && task->spec.workflow == 0);
    bool is_known = origin_is_stranded(tasks->origin, number);
    char text[128];

    snprintf(text, sizeof(text), "the task cannot be saved: %s", strerror(-r));
    if (is_awaited && undo(tasks, number) >= 0) {
        task = origin_find(tasks->origin, number);
        /* A later commit of it may have had room. */
        if (!task)
            state_delete_task(tasks->drops, number);
        else
            tasks_tell_watchers(tasks, task);
        answer_submission(tasks, number, r, NULL, text);
        return;
    }
    if (task && !is_known)
        log_line_errno(LOG_ERR | LOG_STAYS, r, "Cannot save task %llu: %m",
                       (unsigned long long)number);
    origin_uncommitted(tasks->origin, number, text, tasks_now(tasks));
}

/* Nobody runs it for its user: it is as if it had never been. */
static void deny(struct tasks *tasks, uint64_t number, const char *why)
{
    char reason[TASK_REASON_MAX + 1];

    snprintf(reason, sizeof(reason), "%s", why);
    if (undo(tasks, number) < 0)
        return;
    state_delete_task(tasks->drops, number);
    answer_submission(tasks, number, -EACCES, NULL, reason);
}

static void on_saved(int r, void *data)
{
    struct save *save = data;
    struct tasks *tasks = save->tasks;
    uint64_t number = save->number, revision = save->revision;

    free(save);
    if (tasks->is_closed)
        return;
    if (r == -ECANCELED) /* it was not even taken */
        r = -EBUSY;
    if (r == -EIO || r == -EUCLEAN) {
        tasks->setup.on_fatal(r, tasks->setup.data);
        return;
    }
    if (r >= 0)
        origin_committed(tasks->origin, number, revision, tasks_now(tasks));
    else
        take_back(tasks, number, r);
    tasks_pump(tasks);
}

/* Return: 0 with all of it in @batch, or why nothing is. */
static int put(struct tasks *tasks, const struct origin_action *action, struct state_batch *batch)
{
    const struct task *task = action->task;
    _cleanup_free_ struct save *pending = malloc(sizeof(*pending));
    _cleanup_json_ cJSON *json = task_to_json(task);
    _cleanup_free_ char *text = json ? json_format(json) : NULL;

    if (!text || !pending)
        return -ENOMEM;
    int r = action->over > 0 ? finish_output(tasks, task->number, action->over, batch) : 0;
    if (r < 0)
        return r;
    *pending =
        (struct save){.tasks = tasks, .number = action->number, .revision = action->revision};
    state_put_task(batch, &(struct state_task){.number = task->number,
                                               .state = task_state_name(task->state),
                                               .ended_wall_usec = task->ended_wall_usec,
                                               .record = text,
                                               .result = ""});
    state_batch_after(batch, on_saved, TAKE_PTR(pending));
    return 0;
}

/* In a batch of its own, so that one of many fits where all together do not; while the database
 * takes none, in the one that waits for it. */
static int put_alone(struct tasks *tasks, const struct origin_action *action)
{
    commit_now(tasks); /* what is older comes first */
    int r = put(tasks, action, tasks->batch);
    commit_now(tasks);
    return r;
}

static void save(struct tasks *tasks, const struct origin_action *action)
{
    int r = action->is_again ? put_alone(tasks, action) : put(tasks, action, tasks->batch);

    if (r == -EIO || r == -EUCLEAN)
        tasks->setup.on_fatal(r, tasks->setup.data);
    else if (is_busy(r))
        origin_delayed(tasks->origin, action->number, tasks_now(tasks));
    else if (r < 0) /* nobody hears of what follows before all of it can be kept */
        origin_uncommitted(tasks->origin, action->number, strerror(-r), tasks_now(tasks));
}

static struct bundles_key results_key(uint64_t number, uint64_t attempt)
{
    return (struct bundles_key){
        .kind = BUNDLES_OUT, .number = number, .attempt = (uint32_t)attempt};
}

void owner_take_end(struct tasks *tasks, const struct node_id *from, uint64_t number,
                    uint64_t attempt, const struct task_end *end)
{
    struct bundles_key key = results_key(number, attempt);

    origin_ended(tasks->origin, number, attempt, from, end, tasks_now(tasks));
    const struct task *task = origin_find(tasks->origin, number);
    /* Results of an attempt that does not count, or after which there is another one. */
    if (end->out.size > 0 &&
        (!task || !task->has_end || task->attempt != attempt || task->end.out.size == 0))
        bundles_remove(tasks->bundles, &key, tasks->drops);
}

/* The record is gone: so are the output of all its attempts, and its files. */
static void forget(struct tasks *tasks, const struct origin_action *action)
{
    state_delete_task(tasks->drops, action->number);
    for (uint64_t attempt = 1; attempt <= action->attempt; attempt++) {
        struct output_key key = key_of(action->number, attempt);
        output_remove(tasks->outputs, &key, tasks->drops);
    }
    struct bundles_key inputs = {.kind = BUNDLES_IN, .number = action->inputs};
    struct bundles_key results = results_key(action->number, action->attempt);
    if (action->inputs > 0)
        bundles_remove(tasks->bundles, &inputs, tasks->drops);
    if (action->has_results)
        bundles_remove(tasks->bundles, &results, tasks->drops);
}

static void ask_here(struct tasks *tasks, const struct origin_action *action,
                     const struct slots_key *key)
{
    struct slots_wish wish = {.kind = task_spec_get_kind(&action->task->spec)};
    struct place_answer answer;

    memcpy(wish.type, action->task->spec.type, sizeof(wish.type));
    worker_answer(tasks, key, &wish, action->task->spec.user, &answer);
    origin_answered(tasks->origin, key->number, key->attempt, &key->origin, &answer,
                    tasks_now(tasks));
}

/* To the own slots; the answer comes at once. */
static void offer_here(struct tasks *tasks, const struct origin_action *action)
{
    struct slots_key key = {
        .origin = tasks->start->id, .number = action->number, .attempt = action->attempt};
    uint64_t number = action->number, attempt = action->attempt;
    usec_t now = tasks_now(tasks);
    int r = worker_check(tasks, &key, &action->task->spec);

    if (r >= 0)
        r = slots_offer(tasks->slots, &key, tasks->config->node.name, &action->task->spec, 0, now);
    const struct slots_attempt *taken = r >= 0 ? slots_find(tasks->slots, &key) : NULL;

    if (taken) {
        origin_accepted(tasks->origin, number, attempt, &key.origin, now);
        origin_note_max(tasks->origin, number, attempt, &key.origin, worker_get_max(tasks, taken),
                        now);
    } else if (r < 0)
        origin_refused(tasks->origin, number, attempt, &key.origin, wire_refusal_of(r), now);
}

static void act_here(struct tasks *tasks, const struct origin_action *action)
{
    struct slots_key key = {
        .origin = tasks->start->id, .number = action->number, .attempt = action->attempt};
    usec_t now = tasks_now(tasks);

    switch (action->type) {
    case ORIGIN_SEND:
        offer_here(tasks, action);
        break;
    case ORIGIN_QUERY:
        if (!slots_find(tasks->slots, &key))
            origin_missing(tasks->origin, key.number, key.attempt, &key.origin, true, now);
        break;
    case ORIGIN_CANCEL:
        slots_cancel(tasks->slots, &key, action->signal, action->grace_usec, now);
        break;
    case ORIGIN_RECALL:
        slots_recall(tasks->slots, &key, now);
        break;
    case ORIGIN_ASK:
        ask_here(tasks, action, &key);
        break;
    case ORIGIN_RELEASE:
        slots_release(tasks->slots, &key);
        break;
    default:
        worker_take_ack(tasks, &key);
        break;
    }
}

static void act_there(struct tasks *tasks, const struct origin_action *action)
{
    switch (action->type) {
    case ORIGIN_SEND:
        wire_send_offer(tasks, action);
        break;
    case ORIGIN_QUERY:
        wire_send_query(tasks, action);
        break;
    case ORIGIN_CANCEL:
        wire_send_cancel(tasks, action);
        break;
    case ORIGIN_RECALL:
        wire_send_recall(tasks, action);
        break;
    case ORIGIN_ASK:
        wire_send_ask(tasks, action);
        break;
    case ORIGIN_RELEASE:
        wire_send_release(tasks, action);
        break;
    default:
        wire_send_ack(tasks, action);
        break;
    }
}

static void tell(struct tasks *tasks, const struct origin_action *action)
{
    const struct task *task = action->task;
    char reason[TASK_REASON_MAX + 1] = "";
    struct names names;
    struct journal_task about = describe(tasks, task, &names);

    switch (action->type) {
    case ORIGIN_ACCEPTED:
        journal_task_submitted(&about);
        answer_submission(tasks, task->number, 0, task, NULL);
        break;
    case ORIGIN_PLACED:
        journal_task_placed(&about, task->node_name, task->reason);
        break;
    case ORIGIN_STARTED:
        /* Whoever follows it from now on waits for what it will say. */
        (void)inflow_open(tasks, task->number, task->attempt, &task->node);
        journal_task_started(&about, task->node_name, task->tries);
        tally_start(&tasks->tally, task);
        break;
    case ORIGIN_MOVED:
        journal_task_moved(&about, action->previous, task->node_name, action->text);
        break;
    case ORIGIN_LOST:
        journal_task_lost(&about, task->node_name, action->text);
        break;
    default:
        if (task->has_end)
            task_end_format(&task->end, reason);
        else
            snprintf(reason, sizeof(reason), "%s", task->reason);
        journal_task_ended(&about, task->node_name, task_state_name(task->state), reason,
                           task->has_end ? task->end.run_usec : 0);
        tally_end(&tasks->tally, task);
        break;
    }
    tasks_tell_watchers(tasks, task);
}

void owner_act(struct tasks *tasks, const struct origin_action *action)
{
    switch (action->type) {
    case ORIGIN_COMMIT:
        save(tasks, action);
        break;
    case ORIGIN_FORGET:
        forget(tasks, action);
        break;
    case ORIGIN_DENIED:
        deny(tasks, action->number, action->text);
        break;
    case ORIGIN_SEND:
    case ORIGIN_QUERY:
    case ORIGIN_CANCEL:
    case ORIGIN_RECALL:
    case ORIGIN_ASK:
    case ORIGIN_RELEASE:
    case ORIGIN_ACK:
        if (action->type == ORIGIN_CANCEL && collect_cancel(tasks, action->number, action->attempt))
            break;
        if (action->is_self)
            act_here(tasks, action);
        else
            act_there(tasks, action);
        break;
    default:
        tell(tasks, action);
        break;
    }
}

bool owner_wants(struct tasks *tasks, uint64_t number, uint64_t attempt)
{
    const struct task *task = origin_find(tasks->origin, number);

    return task && task->attempt == attempt && task->has_node && !task_state_is_final(task->state);
}

void owner_get_output(struct tasks *tasks, uint64_t number, uint64_t attempt,
                      uint64_t ret_have[static 2])
{
    struct output_key key = key_of(number, attempt);
    const struct output *output = output_find(tasks->outputs, &key);
    struct output_size size = {0};

    if (output)
        output_get_size(output, &size);
    ret_have[0] = size.kept[0];
    ret_have[1] = size.kept[1];
}

void owner_take_output(struct tasks *tasks, const struct node_id *from, uint64_t number,
                       uint64_t attempt, const struct output_piece *piece, uint64_t offset)
{
    uint64_t have[2];

    if (!owner_wants(tasks, number, attempt))
        return;
    struct output *output = inflow_open(tasks, number, attempt, from);
    if (!output)
        return;
    inflow_add(tasks, number, attempt, piece->size);
    owner_get_output(tasks, number, attempt, have);
    uint64_t known = have[piece->stream - 1];
    /* What was told before is skipped; once something was dropped here, the rest is dropped too. */
    if (offset > known)
        known = offset;
    if (offset + piece->size <= known)
        return;
    size_t skip = (size_t)(known - offset);
    int r = output_append(output, piece->stream, piece->wall_usec, piece->data + skip,
                          piece->size - skip);
    if (r < 0)
        log_line_errno(LOG_DEBUG | LOG_STAYS, r, "Cannot keep output of task %llu: %m",
                       (unsigned long long)number);
}

void owner_cut_output(struct tasks *tasks, const struct node_id *from, uint64_t number,
                      uint64_t attempt, uint64_t wall_usec, int error)
{
    struct output *output =
        owner_wants(tasks, number, attempt) ? inflow_open(tasks, number, attempt, from) : NULL;

    if (output && error > 0)
        origin_cut(tasks->origin, number, attempt, error, false, tasks_now(tasks));
    int r = output ? output_cut(output, wall_usec, error) : 0;
    if (r < 0)
        log_line_errno(LOG_DEBUG | LOG_STAYS, r, "Cannot mark the output of task %llu: %m",
                       (unsigned long long)number);
}

void owner_on_cut(const struct output_key *key, int error, void *data)
{
    struct tasks *tasks = data;

    if (tasks->is_closed || !node_id_is_null(&key->origin))
        return;
    origin_cut(tasks->origin, key->number, key->attempt, error > 0 ? error : EFBIG, true,
               tasks_now(tasks));
    tasks_pump_soon(tasks);
}
