/* SPDX-License-Identifier: MIT */
#include "tasks/wire.h"

#include <string.h>

/* The frames by which an origin asks how busy a node is; PROTOCOL.md, "Tasks". */

void wire_send_ask(struct tasks *tasks, const struct origin_action *action)
{
    struct node_id node = action->node;
    uint64_t number = action->number, attempt = action->attempt;
    cJSON *frame = wire_new_frame("ask", number, attempt);

    json_add_string(frame, "type", action->task->spec.type);
    json_add_string(frame, "kind", task_kind_name(task_spec_get_kind(&action->task->spec)));
    json_add_string(frame, "user", action->task->spec.user);
    if (wire_send(tasks, &node, frame, NULL, 0) < 0)
        origin_unanswered(tasks->origin, number, attempt, &node, tasks_now(tasks));
}

void wire_send_release(struct tasks *tasks, const struct origin_action *action)
{
    (void)wire_send(tasks, &action->node,
                    wire_new_frame("release", action->number, action->attempt), NULL, 0);
}

bool wire_take_ask(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};
    struct slots_wish wish = {0};
    struct place_answer answer;
    const char *type = NULL, *kind = NULL, *user = NULL;

    if (json_get_string(in->header, "type", &type) <= 0 || strlen(type) > TASK_TYPE_MAX ||
        json_get_string(in->header, "kind", &kind) <= 0 || task_kind_parse(kind) < 0 ||
        json_get_string(in->header, "user", &user) < 0)
        return false;
    wish.kind = (enum task_kind)task_kind_parse(kind);
    memcpy(wish.type, type, strlen(type));
    worker_answer(in->tasks, &key, &wish, user, &answer);
    cJSON *frame = wire_new_frame("room", in->number, in->attempt);
    json_add_bool(frame, "willing", answer.is_willing);
    if (answer.is_at_max)
        json_add_bool(frame, "at_max", true);
    if (answer.is_user_refused)
        json_add_bool(frame, "not_for_user", true);
    json_add_u64(frame, "slots", answer.slots);
    json_add_u64(frame, "running", answer.running);
    json_add_u64(frame, "queued", answer.queued);
    json_add_u64(frame, "load_permille", answer.load_permille);
    (void)wire_send(in->tasks, in->from, frame, NULL, 0);
    return true;
}

bool wire_take_release(const struct incoming *in)
{
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};

    slots_release(in->tasks->slots, &key);
    return true;
}

bool wire_take_room(const struct incoming *in)
{
    uint64_t slots, running, queued, load;
    struct place_answer answer = {0};

    if (json_get_bool(in->header, "willing", &answer.is_willing) <= 0 ||
        json_get_bool(in->header, "not_for_user", &answer.is_user_refused) < 0 ||
        json_get_bool(in->header, "at_max", &answer.is_at_max) < 0 ||
        !wire_read_u64(in, "slots", UINT16_MAX, &slots) ||
        !wire_read_u64(in, "running", UINT32_MAX / 4, &running) ||
        !wire_read_u64(in, "queued", UINT32_MAX / 4, &queued) ||
        !wire_read_u64(in, "load_permille", UINT32_MAX, &load))
        return false;
    answer.slots = (uint32_t)slots;
    answer.running = (uint32_t)running;
    answer.queued = (uint32_t)queued;
    answer.load_permille = (uint32_t)load;
    origin_answered(in->tasks->origin, in->number, in->attempt, in->from, &answer,
                    tasks_now(in->tasks));
    return true;
}
