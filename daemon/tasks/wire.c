/* SPDX-License-Identifier: MIT */
#include "tasks/wire.h"

#include <string.h>
#include "base/log.h"

/*
 * The frames of p2p-task/1 that carry tasks; PROTOCOL.md, "Tasks". An attempt is named by its
 * origin (one end of the connection), "task" and "attempt".
 */

cJSON *wire_new_frame(const char *op, uint64_t number, uint64_t attempt)
{
    cJSON *frame = cJSON_CreateObject();

    json_add_string(frame, "op", op);
    json_add_u64(frame, "task", number);
    json_add_u64(frame, "attempt", attempt);
    return frame;
}

int wire_send(struct tasks *tasks, const struct node_id *to, cJSON *frame, const void *body,
              size_t body_size)
{
    struct address address = tasks->setup.find_address(to, tasks->setup.data);
    int r = peers_send(tasks->peers, to, &address, frame, body, body_size);

    if (r < 0)
        log_debug_errno(r, "Cannot send a task frame: %m");
    cJSON_Delete(frame);
    return r;
}

void wire_send_offer(struct tasks *tasks, const struct origin_action *action)
{
    struct node_id node = action->node;
    uint64_t number = action->number, attempt = action->attempt;
    cJSON *frame = wire_new_frame("offer", number, attempt);

    json_add_string(frame, "origin", tasks->config->node.name);
    json_add_u64(frame, "lease_usec", action->lease_usec);
    cJSON_AddItemToObject(frame, "spec", task_spec_to_json(&action->task->spec));
    if (wire_send(tasks, &node, frame, NULL, 0) < 0)
        origin_refused(tasks->origin, number, attempt, &node, ORIGIN_REFUSED_UNREACHABLE,
                       tasks_now(tasks));
}

static void query(struct tasks *tasks, const struct node_id *node, uint64_t number,
                  uint64_t attempt)
{
    const struct task *task = origin_find(tasks->origin, number);
    uint64_t have[2];
    cJSON *frame = wire_new_frame("query", number, attempt);

    owner_get_output(tasks, number, attempt, have);
    inflow_restart(tasks, number, attempt);
    json_add_u64(frame, "have_stdout", have[0]);
    json_add_u64(frame, "have_stderr", have[1]);
    if (task)
        json_add_u64(frame, "generation", task->node_generation);
    (void)wire_send(tasks, node, frame, NULL, 0);
}

void wire_send_query(struct tasks *tasks, const struct origin_action *action)
{
    query(tasks, &action->node, action->number, action->attempt);
}

void wire_send_cancel(struct tasks *tasks, const struct origin_action *action)
{
    cJSON *frame = wire_new_frame("cancel", action->number, action->attempt);

    json_add_u64(frame, "signal", (uint64_t)action->signal);
    json_add_u64(frame, "grace_usec", MIN(action->grace_usec, WIRE_NUMBER_MAX));
    (void)wire_send(tasks, &action->node, frame, NULL, 0);
}

void wire_send_recall(struct tasks *tasks, const struct origin_action *action)
{
    (void)wire_send(tasks, &action->node, wire_new_frame("recall", action->number, action->attempt),
                    NULL, 0);
}

void wire_send_ack(struct tasks *tasks, const struct origin_action *action)
{
    (void)wire_send(tasks, &action->node, wire_new_frame("ack", action->number, action->attempt),
                    NULL, 0);
}

static void send_accepted(struct tasks *tasks, const struct slots_attempt *attempt)
{
    cJSON *frame = wire_new_frame("accepted", attempt->key.number, attempt->key.attempt);
    uint32_t max = worker_get_max(tasks, attempt);

    if (max > 0)
        json_add_u64(frame, "max", max);
    (void)wire_send(tasks, &attempt->key.origin, frame, NULL, 0);
}

void wire_send_started(struct tasks *tasks, const struct slots_attempt *attempt)
{
    cJSON *frame = wire_new_frame("started", attempt->key.number, attempt->key.attempt);

    json_add_u64(frame, "ago_usec", usec_sub(tasks_now(tasks), attempt->started_usec));
    (void)wire_send(tasks, &attempt->key.origin, frame, NULL, 0);
}

void wire_send_paused(struct tasks *tasks, const struct slots_attempt *attempt, bool is_paused)
{
    cJSON *frame = wire_new_frame("paused", attempt->key.number, attempt->key.attempt);

    json_add_bool(frame, "paused", is_paused);
    (void)wire_send(tasks, &attempt->key.origin, frame, NULL, 0);
}

void wire_send_renew(struct tasks *tasks, const struct slots_attempt *attempt, usec_t asked_usec)
{
    cJSON *frame = wire_new_frame("renew", attempt->key.number, attempt->key.attempt);

    json_add_u64(frame, "asked_usec", asked_usec);
    (void)wire_send(tasks, &attempt->key.origin, frame, NULL, 0);
}

void wire_send_refused(struct tasks *tasks, const struct slots_key *key,
                       enum origin_refusal refusal)
{
    cJSON *frame = wire_new_frame("refused", key->number, key->attempt);
    const char *flag = refusal == ORIGIN_REFUSED_USER      ? "not_for_user"
                       : refusal == ORIGIN_REFUSED_SANDBOX ? "no_sandbox"
                                                           : NULL;

    json_add_string(frame, "reason", origin_refusal_name(flag ? ORIGIN_REFUSED_TYPE : refusal));
    if (flag)
        json_add_bool(frame, flag, true);
    (void)wire_send(tasks, &key->origin, frame, NULL, 0);
}

int wire_send_output(struct job *job, const struct output_piece *piece, uint64_t offset)
{
    const struct slots_key *key = &job->attempt->key;
    cJSON *frame = wire_new_frame("output", key->number, key->attempt);

    json_add_u64(frame, "stream", piece->stream);
    json_add_u64(frame, "offset", offset);
    json_add_u64(frame, "wall_usec", piece->wall_usec);
    return wire_send(job->tasks, &key->origin, frame, piece->data, piece->size);
}

int wire_send_cut(struct job *job, uint64_t wall_usec, int error)
{
    const struct slots_key *key = &job->attempt->key;
    cJSON *frame = wire_new_frame("cut", key->number, key->attempt);

    json_add_u64(frame, "wall_usec", wall_usec);
    if (error > 0)
        json_add_i64(frame, "error", error);
    return wire_send(job->tasks, &key->origin, frame, NULL, 0);
}

void wire_send_ended(struct tasks *tasks, const struct slots_attempt *attempt)
{
    cJSON *frame = wire_new_frame("ended", attempt->key.number, attempt->key.attempt);
    const struct job *job = attempt->userdata;
    const usec_t ago_usec = job && job->ended_wall_usec > 0
                                ? usec_sub(tasks_wall(tasks), job->ended_wall_usec)
                                : usec_sub(tasks_now(tasks), attempt->ended_usec);

    cJSON_AddItemToObject(frame, "end", task_end_to_json(&attempt->end));
    json_add_u64(frame, "ago_usec", ago_usec);
    (void)wire_send(tasks, &attempt->key.origin, frame, NULL, 0);
}

void wire_send_resync(struct job *job)
{
    const struct slots_key *key = &job->attempt->key;

    (void)wire_send(job->tasks, &key->origin, wire_new_frame("resync", key->number, key->attempt),
                    NULL, 0);
}

void wire_send_got(struct tasks *tasks, const struct node_id *to, uint64_t number, uint64_t attempt,
                   size_t size)
{
    cJSON *frame = wire_new_frame("got", number, attempt);

    json_add_u64(frame, "bytes", size);
    (void)wire_send(tasks, to, frame, NULL, 0);
}

/* --- What comes --- */

bool wire_read_u64(const struct incoming *in, const char *key, uint64_t max, uint64_t *ret)
{
    return json_get_u64(in->header, key, max, ret) > 0;
}

enum origin_refusal wire_refusal_of(int r)
{
    switch (-r) {
    case EBUSY:
    case ENOMEM:
        return ORIGIN_REFUSED_BUSY;
    case ESHUTDOWN:
        return ORIGIN_REFUSED_DRAINING;
    case ENODEV:
        return ORIGIN_REFUSED_UNABLE;
    case ENOSPC:
        return ORIGIN_REFUSED_NO_SPACE;
    case EACCES:
        return ORIGIN_REFUSED_USER;
    case EOPNOTSUPP:
        return ORIGIN_REFUSED_SANDBOX;
    default:
        return ORIGIN_REFUSED_TYPE;
    }
}

/* Files that will never fit are not waited for. */
static int check_inputs(const struct tasks *tasks, const struct task_spec *spec)
{
    if (spec->in.size == 0)
        return 0;
    return spec->in.size <= bundles_get_space(tasks->bundles, tasks->config->files.reserve_size)
               ? 0
               : -ENOSPC;
}

/* Whether "started" follows in a moment, which says that it was accepted as well. */
static bool starts_at_once(const struct tasks *tasks, const struct slots_key *key)
{
    const struct slots_attempt *attempt = slots_find(tasks->slots, key);

    return attempt && attempt->state == SLOTS_STARTING && attempt->spec.in.size == 0 &&
           tasks->exec && exec_is_ready(tasks->exec);
}

static bool take_offer(const struct incoming *in)
{
    struct tasks *tasks = in->tasks;
    const cJSON *json = NULL;
    const char *origin = NULL;
    struct task_spec spec = {0};
    char reason[TASK_REASON_MAX + 1];
    uint64_t lease_usec;

    if (json_get_object(in->header, "spec", &json) <= 0 ||
        json_get_string(in->header, "origin", &origin) <= 0 || !text_is_node_name(origin) ||
        !wire_read_u64(in, "lease_usec", USEC_PER_DAY, &lease_usec) ||
        task_spec_from_json(json, &spec) < 0)
        return false;
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};
    int r = task_spec_check(&spec, reason);
    if (r >= 0)
        r = worker_check(tasks, &key, &spec);
    if (r >= 0 && !slots_find(tasks->slots, &key))
        r = check_inputs(tasks, &spec);
    if (r >= 0)
        r = slots_offer(tasks->slots, &key, origin, &spec, lease_usec, tasks_now(tasks));
    task_spec_done(&spec);
    if (r < 0)
        wire_send_refused(tasks, &key, wire_refusal_of(r));
    else if (r > 0 || !starts_at_once(tasks, &key))
        send_accepted(tasks, slots_find(tasks->slots, &key));
    return true;
}

/* @generation: of this node, as its origin knew it when it offered that; 0 = it does not say */
static void tell_absent(struct tasks *tasks, const struct slots_key *key, uint64_t generation)
{
    cJSON *frame = NULL;
    enum slots_handback reason;

    if (slots_was_handed_back(tasks->slots, key, &reason)) {
        wire_send_refused(tasks, key, worker_get_refusal(reason));
        return;
    }
    frame = wire_new_frame("missing", key->number, key->attempt);
    if (begun_has_not(tasks->begun, key, generation))
        json_add_bool(frame, "begun", false);
    (void)wire_send(tasks, &key->origin, frame, NULL, 0);
}

static bool take_query(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};
    uint64_t have[2], generation = 0;

    if (!wire_read_u64(in, "have_stdout", WIRE_NUMBER_MAX, &have[0]) ||
        !wire_read_u64(in, "have_stderr", WIRE_NUMBER_MAX, &have[1]) ||
        json_get_u64(in->header, "generation", WIRE_NUMBER_MAX, &generation) < 0)
        return false;
    struct slots_attempt *attempt = slots_query(in->tasks->slots, &key, tasks_now(in->tasks));
    if (!attempt) {
        tell_absent(in->tasks, &key, generation);
        return true;
    }
    if (attempt->state == SLOTS_ENDED && !attempt->userdata) {
        wire_send_ended(in->tasks, attempt);
        return true;
    }
    /* What is being started may wait for its files still, and when a result of a former life of
     * this node began is not known: its end tells. */
    if (attempt->state == SLOTS_QUEUED || attempt->state == SLOTS_STARTING ||
        attempt->started_usec == 0)
        send_accepted(in->tasks, attempt);
    else
        wire_send_started(in->tasks, attempt);
    if (attempt->userdata)
        outflow_start(attempt->userdata, have);
    return true;
}

static bool take_cancel(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};
    uint64_t number, grace_usec;

    if (!wire_read_u64(in, "signal", 64, &number) || number == 0 ||
        !wire_read_u64(in, "grace_usec", WIRE_NUMBER_MAX, &grace_usec))
        return false;
    slots_cancel(in->tasks->slots, &key, (int)number, grace_usec, tasks_now(in->tasks));
    return true;
}

static bool take_recall(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};

    slots_recall(in->tasks->slots, &key, tasks_now(in->tasks));
    return true;
}

static bool take_ack(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};

    worker_take_ack(in->tasks, &key);
    return true;
}

static bool take_renewed(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};
    bool is_granted;
    uint64_t asked_usec;

    if (json_get_bool(in->header, "granted", &is_granted) <= 0 ||
        !wire_read_u64(in, "asked_usec", WIRE_NUMBER_MAX, &asked_usec))
        return false;
    slots_renewed(in->tasks->slots, &key, is_granted, asked_usec, tasks_now(in->tasks));
    return true;
}

static bool take_accepted(const struct incoming *in)
{
    uint64_t max = 0;

    if (json_get_u64(in->header, "max", UINT32_MAX, &max) < 0)
        return false;
    origin_accepted(in->tasks->origin, in->number, in->attempt, in->from, tasks_now(in->tasks));
    origin_note_max(in->tasks->origin, in->number, in->attempt, in->from, (uint32_t)max,
                    tasks_now(in->tasks));
    return true;
}

static bool take_refused(const struct incoming *in)
{
    const char *reason = NULL;
    bool is_user = false, is_sandbox = false;

    if (json_get_string(in->header, "reason", &reason) <= 0 ||
        json_get_bool(in->header, "not_for_user", &is_user) < 0 ||
        json_get_bool(in->header, "no_sandbox", &is_sandbox) < 0)
        return false;
    int refusal = is_user      ? ORIGIN_REFUSED_USER
                  : is_sandbox ? ORIGIN_REFUSED_SANDBOX
                               : origin_refusal_parse(reason);
    if (refusal < 0) /* of a later program */
        refusal = ORIGIN_REFUSED_BUSY;
    origin_refused(in->tasks->origin, in->number, in->attempt, in->from,
                   (enum origin_refusal)refusal, tasks_now(in->tasks));
    return true;
}

static bool take_started(const struct incoming *in)
{
    uint64_t ago_usec = 0;

    if (json_get_u64(in->header, "ago_usec", WIRE_NUMBER_MAX, &ago_usec) < 0)
        return false;
    origin_started(in->tasks->origin, in->number, in->attempt, in->from, ago_usec,
                   tasks_now(in->tasks));
    return true;
}

static bool take_paused(const struct incoming *in)
{
    bool is_paused;

    if (json_get_bool(in->header, "paused", &is_paused) <= 0)
        return false;
    origin_paused(in->tasks->origin, in->number, in->attempt, in->from, is_paused,
                  tasks_now(in->tasks));
    return true;
}

static bool take_missing(const struct incoming *in)
{
    bool has_begun = true;

    if (json_get_bool(in->header, "begun", &has_begun) < 0)
        return false;
    origin_missing(in->tasks->origin, in->number, in->attempt, in->from, has_begun,
                   tasks_now(in->tasks));
    return true;
}

static bool take_renew(const struct incoming *in)
{
    uint64_t asked_usec;

    if (!wire_read_u64(in, "asked_usec", WIRE_NUMBER_MAX, &asked_usec))
        return false;
    bool is_granted =
        origin_renewed(in->tasks->origin, in->number, in->attempt, in->from, tasks_now(in->tasks));
    cJSON *frame = wire_new_frame("renewed", in->number, in->attempt);
    json_add_bool(frame, "granted", is_granted);
    json_add_u64(frame, "asked_usec", asked_usec);
    (void)wire_send(in->tasks, in->from, frame, NULL, 0);
    return true;
}

static bool take_output(const struct incoming *in)
{
    uint64_t stream, offset, wall_usec;

    if (!wire_read_u64(in, "stream", OUTPUT_STDERR, &stream) || stream < OUTPUT_STDOUT ||
        !wire_read_u64(in, "offset", WIRE_NUMBER_MAX, &offset) ||
        !wire_read_u64(in, "wall_usec", WIRE_NUMBER_MAX, &wall_usec))
        return false;
    struct output_piece piece = {.stream = (enum output_stream)stream,
                                 .wall_usec = wall_usec,
                                 .data = in->body,
                                 .size = in->body_size};
    owner_take_output(in->tasks, in->from, in->number, in->attempt, &piece, offset);
    return true;
}

static bool take_cut(const struct incoming *in)
{
    uint64_t wall_usec, error = 0;

    if (!wire_read_u64(in, "wall_usec", WIRE_NUMBER_MAX, &wall_usec) ||
        json_get_u64(in->header, "error", INT32_MAX, &error) < 0)
        return false;
    owner_cut_output(in->tasks, in->from, in->number, in->attempt, wall_usec, (int)error);
    return true;
}

static bool take_resync(const struct incoming *in)
{
    if (owner_wants(in->tasks, in->number, in->attempt))
        query(in->tasks, in->from, in->number, in->attempt);
    else if (origin_is_saved(in->tasks->origin, in->number))
        (void)wire_send(in->tasks, in->from, wire_new_frame("ack", in->number, in->attempt), NULL,
                        0);
    return true;
}

static bool take_got(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};
    struct slots_attempt *attempt = slots_find(in->tasks->slots, &key);
    uint64_t size;

    if (!wire_read_u64(in, "bytes", WIRE_NUMBER_MAX, &size))
        return false;
    if (attempt && attempt->userdata)
        outflow_take_got(attempt->userdata, size);
    return true;
}

static bool take_ended(const struct incoming *in)
{
    const cJSON *json = NULL;
    struct task_end end;

    if (json_get_object(in->header, "end", &json) <= 0 || task_end_from_json(json, &end) < 0 ||
        json_get_u64(in->header, "ago_usec", WIRE_NUMBER_MAX, &end.ago_usec) < 0)
        return false;
    collect_end(in->tasks, in->from, in->number, in->attempt, &end);
    return true;
}

bool tasks_on_frame(struct tasks *tasks, const struct node_id *from, const cJSON *header,
                    const void *body, size_t body_size)
{
    static const struct {
        const char *op;
        bool (*take)(const struct incoming *in); /* false: malformed */
    } ops[] = {
        {"offer", take_offer},
        {"query", take_query},
        {"cancel", take_cancel},
        {"recall", take_recall},
        {"ack", take_ack},
        {"renewed", take_renewed},
        {"accepted", take_accepted},
        {"refused", take_refused},
        {"started", take_started},
        {"missing", take_missing},
        {"renew", take_renew},
        {"output", take_output},
        {"resync", take_resync},
        {"ended", take_ended},
        {"cut", take_cut},
        {"got", take_got},
        {"ask", wire_take_ask},
        {"room", wire_take_room},
        {"release", wire_take_release},
        {"paused", take_paused},
        {"fetch", wire_take_fetch},
        {"piece", wire_take_piece},
    };
    struct incoming in = {
        .tasks = tasks, .from = from, .header = header, .body = body, .body_size = body_size};
    const char *op = "";

    (void)json_get_string(header, "op", &op);
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        if (strcmp(op, ops[i].op) != 0)
            continue;
        if (json_get_u64(header, "task", WIRE_NUMBER_MAX, &in.number) <= 0 ||
            json_get_u64(header, "attempt", UINT32_MAX, &in.attempt) <= 0 || !ops[i].take(&in))
            log_debug("Ignored a malformed \"%s\" frame of another node", op);
        tasks_pump(tasks);
        return true;
    }
    return false;
}
