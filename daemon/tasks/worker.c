/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/text.h"
#include "tasks/command.h"
#include "tasks/python.h"

#define PROCESSES_MAX 1024 /* and threads of one task */
#define TAIL_SIZE     1024 /* bytes of stderr that are looked at when it failed */

static bool is_own(const struct job *job)
{
    return node_id_is_equal(&job->attempt->key.origin, &job->tasks->start->id);
}

struct output_key worker_output_key(const struct tasks *tasks, const struct slots_key *key)
{
    bool is_ours = node_id_is_equal(&key->origin, &tasks->start->id);

    return (struct output_key){.origin = is_ours ? NODE_ID_NULL : key->origin,
                               .number = key->number,
                               .attempt = (uint32_t)key->attempt};
}

struct bundles_key worker_results_key(const struct tasks *tasks, const struct slots_key *key)
{
    struct output_key output = worker_output_key(tasks, key);

    return (struct bundles_key){.kind = BUNDLES_OUT,
                                .origin = output.origin,
                                .number = output.number,
                                .attempt = output.attempt};
}

static struct job *job_of(struct tasks *tasks, uint64_t id)
{
    struct slots_attempt *attempt = slots_find_id(tasks->slots, id);

    return attempt ? attempt->userdata : NULL;
}

/* --- Start and end --- */

void worker_end_without_run(struct job *job, int error, const char *text)
{
    struct task_end end = {.type = TASK_END_NOT_RUN, .code = -error};

    snprintf(end.text, sizeof(end.text), "%s", text);
    slots_exited(job->tasks->slots, job->attempt->id, &end, tasks_now(job->tasks));
}

static enum exec_level level_of(const struct task_spec *spec)
{
    enum exec_level level = EXEC_NONE;

    if (*spec->sandbox)
        (void)exec_level_from_name(spec->sandbox, &level);
    return level;
}

void worker_hand_over(struct job *job)
{
    struct tasks *tasks = job->tasks;
    const struct task_spec *spec = &job->attempt->spec;
    _cleanup_(command_freep) struct command *command = NULL;
    _cleanup_close_ int job_fd = -EBADF;
    int r = command_new(tasks, job->attempt, &command);

    if (r >= 0 && spec->python)
        r = job_fd = python_make_job(spec);
    if (r >= 0) {
        struct exec_task task = {.words = command->words,
                                 .environment = command->environment,
                                 .stdin_fd = -EBADF,
                                 .is_python = spec->python != NULL,
                                 .job_fd = job_fd,
                                 .outs = (const char *const *)command->outs,
                                 .network = tasks->config->sandbox.network,
                                 .level = level_of(spec),
                                 .limits = {.memory_bytes = command_get_memory(tasks, spec),
                                            .processes = PROCESSES_MAX,
                                            .cpus_milli = spec->cpus_milli}};
        supply_fill(job, &task);
        job->begun = begun_add(tasks->begun, &job->attempt->key);
        r = job->begun == -EUCLEAN ? -EUCLEAN : exec_start(tasks->exec, job->attempt->id, &task);
        if (r < 0) {
            begun_release(tasks->begun, job->begun);
            job->begun = -1;
        }
    }
    if (r >= 0)
        job->is_handed = true;
    else if ((r == -EOPNOTSUPP || r == -EUCLEAN || (r == -EACCES && !command)) &&
             slots_hand_back(tasks->slots, job->attempt->id,
                             r == -EACCES    ? SLOTS_HANDBACK_USER
                             : r == -EUCLEAN ? SLOTS_HANDBACK_UNABLE
                                             : SLOTS_HANDBACK_SANDBOX,
                             tasks_now(tasks)) == 0)
        supply_drop(job);
    else if (r != -EAGAIN)
        worker_end_without_run(job, r, strerror(-r));
}

static void on_room(void *data)
{
    struct job *job = data;

    if (!job->is_paused)
        return;
    job->is_paused = false;
    (void)exec_set_reading(job->tasks->exec, job->attempt->id, true);
}

static void start(struct tasks *tasks, struct slots_attempt *attempt)
{
    struct job *job = calloc(1, sizeof(*job));
    struct output_key key = worker_output_key(tasks, &attempt->key);

    if (!job) {
        struct task_end end = {.type = TASK_END_NOT_RUN, .code = ENOMEM, .text = "out of memory"};
        slots_exited(tasks->slots, attempt->id, &end, tasks_now(tasks));
        return;
    }
    *job = (struct job){.tasks = tasks, .attempt = attempt, .begun = -1};
    list_init(&job->held);
    attempt->userdata = job;
    int r = output_new(tasks->outputs, &key, tasks->config->tasks.output_size_max, on_room, job,
                       &job->output);
    if (r < 0) {
        worker_end_without_run(job, r, "its output cannot be kept");
        return;
    }
    if (!is_own(job)) {
        peers_hold(tasks->peers, &attempt->key.origin);
        outflow_start(job, (const uint64_t[2]){0, 0});
    }
    r = supply_begin(job);
    if (r < 0)
        worker_end_without_run(job, r, "its files cannot be had");
    else if (r == 0)
        worker_hand_over(job);
}

/* Nothing can run here: what p2pnode-exec does not have goes back, and no more is taken. */
static void give_back(struct tasks *tasks)
{
    struct slots_attempt *attempt;
    size_t i = 0;

    slots_set_able(tasks->slots, false, tasks_now(tasks));
    while ((attempt = slots_next(tasks->slots, &i))) {
        struct job *job = attempt->userdata;
        if (!job || job->is_handed ||
            slots_hand_back(tasks->slots, attempt->id, SLOTS_HANDBACK_UNABLE, tasks_now(tasks)) < 0)
            continue;
        supply_drop(job);
        i = 0;
    }
    tasks_pump(tasks);
}

static void on_exec_failed(void *data)
{
    give_back(data);
}

/* What was refused for want of a sandbox is to be asked again where there is another one. */
static void note_available(struct tasks *tasks)
{
    enum exec_level old = tasks->available, now = exec_get_available(tasks->exec);

    tasks->available = now;
    if (old != EXEC_REFUSE && now > old)
        tasks->setup.on_rules(tasks->setup.data);
}

static void on_exec_ready(void *data)
{
    struct tasks *tasks = data;
    struct slots_attempt *attempt;
    size_t i = 0;

    if (exec_get_level(tasks->exec) == EXEC_REFUSE) {
        give_back(tasks);
        return;
    }
    note_available(tasks);
    slots_set_able(tasks->slots, true, tasks_now(tasks));
    while ((attempt = slots_next(tasks->slots, &i))) {
        struct job *job = attempt->userdata;
        if (attempt->state != SLOTS_STARTING || !job || job->is_handed || !supply_is_ready(job))
            continue;
        worker_hand_over(job);
        /* One that cannot run has ended, and the next has its turn. */
        if (attempt->state == SLOTS_STARTING && !job->is_handed)
            break;
        i = 0;
    }
    tasks_pump(tasks);
}

static void on_exec_started(uint64_t id, const struct exec_started *started, void *data)
{
    struct tasks *tasks = data;

    slots_started(tasks->slots, id, started->wall_usec, tasks_now(tasks));
    tasks_pump(tasks);
}

static void on_exec_output(uint64_t id, enum exec_stream stream, const void *bytes, size_t size,
                           void *data)
{
    struct tasks *tasks = data;
    struct job *job = job_of(tasks, id);

    if (hooks_on_output(&tasks->hooks, id, bytes, size) || !job || !job->output)
        return;
    int r = output_append(job->output, stream == EXEC_STDOUT ? OUTPUT_STDOUT : OUTPUT_STDERR,
                          tasks_wall(tasks), bytes, size);
    if (r < 0)
        log_debug_errno(r, "Cannot keep output of a task: %m");
    if (output_room(job->output) == 0) {
        job->is_paused = true;
        (void)exec_set_reading(tasks->exec, id, false);
    }
}

/* One large piece of memory that was refused leaves no trace but what the program says of it. */
static bool says_memory(const struct job *job)
{
    static const char *const words[] = {"MemoryError", "Cannot allocate memory", "bad_alloc",
                                        "memory exhausted", "ut of memory"};
    char tail[TAIL_SIZE + 1];

    if (!job->output)
        return false;
    tail[output_peek_tail(job->output, OUTPUT_STDERR, tail, TAIL_SIZE)] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strstr(tail, words[i]))
            return true;
    return false;
}

/*
 * What memory had to do with the end, and what its user can do about it. A process that was refused
 * memory ends with an error of its own, so all that can be told is how near it came, or that it
 * says so.
 */
static void tell_memory(const struct tasks *tasks, const struct job *job,
                        const struct exec_status *status, struct task_end *end)
{
    const struct task_spec *spec = &job->attempt->spec;
    const uint64_t limit = command_get_memory(tasks, spec);
    const bool is_near = limit > 0 && status->memory_peak_bytes >= limit - limit / 8;
    char now[32], more[32];

    if (status->error != 0 || (status->signal == 0 && status->code == 0))
        return;
    end->is_oom = status->is_oom;
    if (limit > 0 && (status->is_oom || is_near || says_memory(job)))
        snprintf(end->text, sizeof(end->text), "%slimit %s; it gets more with --memory %s",
                 status->is_oom ? ""
                 : is_near      ? "it came near its memory "
                                : "it was refused memory, with the ",
                 text_format_size(limit, now), text_format_size(2 * limit, more));
    else if (status->is_oom)
        snprintf(end->text, sizeof(end->text), "its node has no more to give");
}

static void on_exec_exit(uint64_t id, const struct exec_status *status, void *data)
{
    struct tasks *tasks = data;
    struct job *job = job_of(tasks, id);
    struct task_end end = {.type = TASK_END_EXIT,
                           .code = status->code,
                           .run_usec = status->wall_usec,
                           .memory_peak_size = status->memory_peak_bytes};

    if (hooks_on_exit(&tasks->hooks, id, status))
        return;
    if (status->error != 0) {
        /* Over with p2pnode-exec or its supervisor, which is not its doing: as good as lost. */
        bool is_lost = status->error == -ECONNRESET;
        end.type = is_lost ? TASK_END_STOPPED : TASK_END_NOT_RUN;
        end.code = is_lost ? 0 : -status->error;
        snprintf(end.text, sizeof(end.text), "%s", status->reason);
    } else if (status->signal != 0) {
        end.type = TASK_END_SIGNAL;
        end.code = status->signal;
    } else if (end.code == 0 && job && python_has_no_result(job)) {
        end.code = 1; /* as by an exception */
        snprintf(end.text, sizeof(end.text), "the function ended without a result");
    }
    if (job)
        tell_memory(tasks, job, status, &end);
    if (job && status->error == -ENOSPC && job->supply &&
        slots_hand_back(tasks->slots, id, SLOTS_HANDBACK_NO_SPACE, tasks_now(tasks)) == 0)
        supply_drop(job);
    else if (!job || !supply_take_results(job, status, &end))
        slots_exited(tasks->slots, id, &end, tasks_now(tasks));
    tasks_pump(tasks);
}

const struct exec_handler worker_exec_handler = {
    .on_ready = on_exec_ready,
    .on_failed = on_exec_failed,
    .on_started = on_exec_started,
    .on_output = on_exec_output,
    .on_exit = on_exec_exit,
};

/* All processes of the task are stopped, or go on; its origin is told. */
static void set_paused(struct tasks *tasks, struct slots_attempt *attempt, bool is_paused)
{
    (void)exec_signal(tasks->exec, attempt->id, is_paused ? SIGSTOP : SIGCONT, USEC_INFINITY);
    if (node_id_is_equal(&attempt->key.origin, &tasks->start->id))
        origin_paused(tasks->origin, attempt->key.number, attempt->key.attempt, &tasks->start->id,
                      is_paused, tasks_now(tasks));
    else
        wire_send_paused(tasks, attempt, is_paused);
}

static void kill_job(struct tasks *tasks, struct slots_attempt *attempt, int signal)
{
    struct job *job = attempt->userdata;

    if (job && job->is_handed) {
        (void)exec_signal(tasks->exec, attempt->id, signal, USEC_INFINITY);
        return;
    }
    /* p2pnode-exec never had it: nothing runs that could end by itself. */
    if (job)
        supply_drop(job);
    slots_not_begun(tasks->slots, attempt->id, tasks_now(tasks));
}

/* --- Results --- */

static void report(struct tasks *tasks, struct slots_attempt *attempt)
{
    struct job *job = attempt->userdata;

    if (node_id_is_equal(&attempt->key.origin, &tasks->start->id)) {
        struct task_end end = attempt->end;
        struct slots_key key = attempt->key;
        owner_take_end(tasks, &key.origin, key.number, key.attempt, &end);
        return;
    }
    if (!job) { /* it ended before it began: there is no output, and nothing to keep */
        wire_send_ended(tasks, attempt);
        return;
    }
    outflow_end(job);
    keep_end(job);
    if (job->is_all_sent)
        wire_send_ended(tasks, attempt);
    else if (!job->is_sending)
        wire_send_resync(job);
}

static void drop(struct tasks *tasks, struct slots_attempt *attempt)
{
    struct job *job = TAKE_PTR(attempt->userdata);
    struct output_key key = worker_output_key(tasks, &attempt->key);

    if (!job)
        return;
    if (job->read)
        output_cancel(job->read);
    supply_drop(job);
    if (job->is_acked)
        begun_release(tasks->begun, job->begun);
    else if (job->is_handed)
        begun_keep(tasks->begun, job->begun);
    if (!is_own(job)) {
        struct bundles_key results = worker_results_key(tasks, &attempt->key);
        if (attempt->end.out.size > 0)
            bundles_remove(tasks->bundles, &results, tasks->drops);
        output_remove(tasks->outputs, &key, tasks->drops);
        keep_drop(job);
        peers_release(tasks->peers, &attempt->key.origin);
    }
    free(job);
}

enum origin_refusal worker_get_refusal(enum slots_handback reason)
{
    switch (reason) {
    case SLOTS_HANDBACK_DRAINING:
        return ORIGIN_REFUSED_DRAINING;
    case SLOTS_HANDBACK_TYPE:
        return ORIGIN_REFUSED_TYPE;
    case SLOTS_HANDBACK_NO_SPACE:
        return ORIGIN_REFUSED_NO_SPACE;
    case SLOTS_HANDBACK_UNABLE:
        return ORIGIN_REFUSED_UNABLE;
    case SLOTS_HANDBACK_USER:
        return ORIGIN_REFUSED_USER;
    case SLOTS_HANDBACK_SANDBOX:
        return ORIGIN_REFUSED_SANDBOX;
    case SLOTS_HANDBACK_RECALLED:
        break;
    }
    return ORIGIN_REFUSED_RECALLED;
}

void worker_take_ack(struct tasks *tasks, const struct slots_key *key)
{
    const struct slots_attempt *attempt = slots_find(tasks->slots, key);
    struct job *job = attempt ? attempt->userdata : NULL;

    if (job)
        job->is_acked = attempt->state == SLOTS_ENDED;
    slots_acked(tasks->slots, key, tasks_now(tasks));
}

static void hand_back(struct tasks *tasks, const struct slots_action *action)
{
    struct slots_key key = action->attempt->key;
    enum origin_refusal refusal = worker_get_refusal(action->reason);

    if (node_id_is_equal(&key.origin, &tasks->start->id))
        origin_refused(tasks->origin, key.number, key.attempt, &key.origin, refusal,
                       tasks_now(tasks));
    else
        wire_send_refused(tasks, &key, refusal);
}

void worker_act(struct tasks *tasks, const struct slots_action *action)
{
    struct slots_attempt *attempt = action->attempt;

    switch (action->type) {
    case SLOTS_START:
        start(tasks, attempt);
        break;
    case SLOTS_PAUSE:
    case SLOTS_CONTINUE:
        set_paused(tasks, attempt, action->type == SLOTS_PAUSE);
        break;
    case SLOTS_KILL:
        kill_job(tasks, attempt, action->signal);
        break;
    case SLOTS_STARTED:
        if (node_id_is_equal(&attempt->key.origin, &tasks->start->id))
            origin_started(tasks->origin, attempt->key.number, attempt->key.attempt,
                           &tasks->start->id, usec_sub(tasks_now(tasks), attempt->started_usec),
                           tasks_now(tasks));
        else
            wire_send_started(tasks, attempt);
        break;
    case SLOTS_RENEW:
        wire_send_renew(tasks, attempt, action->asked_usec);
        break;
    case SLOTS_REPORT:
        report(tasks, attempt);
        break;
    case SLOTS_HANDBACK:
        hand_back(tasks, action);
        break;
    case SLOTS_DROPPED:
        drop(tasks, attempt);
        break;
    }
}

int worker_check(const struct tasks *tasks, const struct slots_key *key,
                 const struct task_spec *spec)
{
    const struct exec *exec = tasks->exec;

    if (slots_find(tasks->slots, key))
        return 0;
    /* Where nothing runs at all, that is what is told. */
    if (exec && exec_get_available(exec) != EXEC_REFUSE &&
        level_of(spec) > exec_get_available(exec))
        return -EOPNOTSUPP;
    return command_permits(tasks, task_spec_get_kind(spec), spec->type, spec->user) ? 0 : -EACCES;
}

uint32_t worker_get_max(const struct tasks *tasks, const struct slots_attempt *attempt)
{
    const struct task_spec *spec = &attempt->spec;

    return attempt->state == SLOTS_QUEUED
               ? slots_get_reached_max(tasks->slots, spec->type, task_spec_get_kind(spec))
               : 0;
}

void worker_answer(struct tasks *tasks, const struct slots_key *key, const struct slots_wish *wish,
                   const char *user, struct place_answer *ret)
{
    bool is_permitted = command_permits(tasks, wish->kind, wish->type, user);
    struct slots_load load;
    int r = -EACCES;

    if (is_permitted)
        r = slots_ask(tasks->slots, key, wish, tasks_now(tasks), &load);
    else
        slots_get_load(tasks->slots, &load);
    *ret = (struct place_answer){
        .is_willing = r >= 0,
        .is_user_refused = !is_permitted,
        .is_at_max = slots_get_reached_max(tasks->slots, wish->type, wish->kind) > 0,
        .slots = load.slots,
        .running = load.running,
        .queued = load.queued,
        .load_permille = load.load_permille};
}

int worker_restore(const struct state_result *stored, void *data)
{
    struct tasks *tasks = data;
    _cleanup_json_ cJSON *json = NULL;
    const cJSON *spec_json = NULL, *end_json = NULL;
    const char *origin = NULL;
    struct task_spec spec = {0};
    struct task_end end;
    struct slots_key key = {
        .origin = stored->origin, .number = stored->number, .attempt = stored->attempt};
    int r = json_parse(stored->record, strlen(stored->record), &json);

    if (r < 0 || json_get_object(json, "spec", &spec_json) <= 0 ||
        json_get_object(json, "end", &end_json) <= 0 ||
        json_get_string(json, "origin", &origin) <= 0 ||
        task_spec_from_json(spec_json, &spec) < 0 || task_end_from_json(end_json, &end) < 0) {
        task_spec_done(&spec);
        log_warning("Skipped a result of another node's task that cannot be read");
        return 0;
    }
    r = slots_restore(tasks->slots, &key, origin, &spec, &end, tasks_now(tasks));
    task_spec_done(&spec);
    struct slots_attempt *attempt = r >= 0 ? slots_find(tasks->slots, &key) : NULL;
    struct job *job = attempt ? calloc(1, sizeof(*job)) : NULL;
    if (!job)
        return r < 0 ? r : -ENOMEM;
    *job = (struct job){
        .tasks = tasks, .attempt = attempt, .begun = -1, .is_handed = true, .is_kept = true};
    (void)json_get_u64(json, "ended_wall_usec", UINT64_MAX, &job->ended_wall_usec);
    list_init(&job->held);
    attempt->userdata = job;
    peers_hold(tasks->peers, &key.origin);
    return 0;
}
