/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <string.h>

#define GATHER_TIMEOUT_USEC (5 * USEC_PER_SEC)

/* One question to all live nodes; the answers' lists become one. */
struct gathering {
    struct call *call; /* borrowed until gone; NULL = nobody waits */
    cJSON *reply;      /* owned */
    cJSON *unanswered; /* in reply */
    const char *noun;  /* static */
    size_t pending;
};

struct question {
    struct gathering *gathering;
    char name[NODE_NAME_MAX + 1];
};

static void finish(struct gathering *gathering)
{
    if (gathering->call) {
        call_on_gone(gathering->call, NULL, NULL);
        call_reply_list(gathering->call, TAKE_PTR(gathering->reply), gathering->noun);
    }
    cJSON_Delete(gathering->reply);
    free(gathering);
}

static void merge_arrays(struct gathering *gathering, const cJSON *parameters)
{
    json_for_each (rows, parameters) {
        cJSON *target = cJSON_GetObjectItemCaseSensitive(gathering->reply, rows->string);
        if (!cJSON_IsArray(rows) || !cJSON_IsArray(target) || target == gathering->unanswered)
            continue;
        json_for_each (item, rows)
            cJSON_AddItemToArray(target, cJSON_Duplicate(item, true));
    }
}

static void on_answer(const struct remote_reply *answer, void *data)
{
    struct question *question = data;
    struct gathering *gathering = question->gathering;
    const cJSON *list = NULL;

    if (answer->r < 0 || answer->error ||
        json_get_array(answer->parameters, gathering->noun, &list) <= 0)
        cJSON_AddItemToArray(gathering->unanswered, cJSON_CreateString(question->name));
    else
        merge_arrays(gathering, answer->parameters);
    if (answer->r >= 0 && answer->continues)
        return;
    free(question);
    if (--gathering->pending == 0)
        finish(gathering);
}

static bool ask(struct node *node, struct call *call, const struct swim_member *member,
                struct gathering *gathering, const cJSON *parameters)
{
    struct question *question = malloc(sizeof(*question));

    if (!question)
        return false;
    question->gathering = gathering;
    snprintf(question->name, sizeof(question->name), "%s", member->name);
    if (remote_call(node->remote,
                    &(struct remote_request){.member = member,
                                             .method = call->method,
                                             .parameters = parameters,
                                             .caller = &call->caller,
                                             .wants_more = true,
                                             .timeout_usec = GATHER_TIMEOUT_USEC},
                    on_answer, question, NULL) >= 0)
        return true;
    free(question);
    return false;
}

/* --- One thing that any of them may have --- */

struct inquiry {
    ask_reply_t reply;
    void *data; /* borrowed */
    char name[NODE_NAME_MAX + 1];
};

static void on_inquiry_answer(const struct remote_reply *answer, void *data)
{
    _cleanup_free_ struct inquiry *inquiry = data;

    inquiry->reply(inquiry->name, answer, inquiry->data);
}

static int inquire(struct node *node, struct call *call, const char *method,
                   const cJSON *parameters, const struct swim_member *member,
                   const struct inquiry *draft)
{
    struct inquiry *inquiry = malloc(sizeof(*inquiry));

    if (!inquiry)
        return -ENOMEM;
    *inquiry = *draft;
    snprintf(inquiry->name, sizeof(inquiry->name), "%s", member->name);
    int r = remote_call(node->remote,
                        &(struct remote_request){.member = member,
                                                 .method = method,
                                                 .parameters = parameters,
                                                 .caller = &call->caller,
                                                 .timeout_usec = GATHER_TIMEOUT_USEC},
                        on_inquiry_answer, inquiry, NULL);
    if (r < 0)
        free(inquiry);
    return r;
}

size_t ask_others(struct node *node, struct call *call, const char *method, const cJSON *parameters,
                  struct silence *silence, ask_reply_t reply, void *data)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    const struct inquiry inquiry = {.reply = reply, .data = data};
    size_t asked = 0;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->is_self || member->state == SWIM_LEFT)
            continue;
        if (member->state != SWIM_DEAD &&
            inquire(node, call, method, parameters, member, &inquiry) >= 0)
            asked++;
        else
            silence_add(silence, member->name);
        silence->dead += member->state == SWIM_DEAD;
    }
    return asked;
}

void silence_add(struct silence *silence, const char *name)
{
    size_t used = strlen(silence->names);

    if (silence->count++ < SILENCE_NAMES_MAX)
        snprintf(silence->names + used, sizeof(silence->names) - used, "%s%s", used > 0 ? ", " : "",
                 name);
}

void fail_nowhere(struct call *call, const struct silence *silence, const char *hint,
                  const char *what, const char *name)
{
    char more[48] = "";

    if (silence->count > SILENCE_NAMES_MAX)
        snprintf(more, sizeof(more), " and %zu more", silence->count - SILENCE_NAMES_MAX);
    if (silence->count == 0)
        call_fail(call, ERROR_NOT_FOUND, hint, "no node has a %s \"%s\"", what, name);
    else if (silence->count == silence->dead)
        call_fail(call, ERROR_NOT_FOUND, "p2pctl members --state dead",
                  "no node that lives has a %s \"%s\"; dead: %s%s", what, name, silence->names,
                  more);
    else
        call_fail(call, ERROR_UNREACHABLE, "p2pctl members",
                  "no node that answered has a %s \"%s\"; no answer from %s%s", what, name,
                  silence->names, more);
}

void gather(struct node *node, struct call *call, cJSON *reply, const char *noun)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    struct gathering *gathering = calloc(1, sizeof(*gathering));
    _cleanup_json_ cJSON *parameters = cJSON_Duplicate(call->parameters, true);

    if (!gathering || !parameters) {
        free(gathering);
        cJSON_Delete(reply);
        fail_memory(call);
        return;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(parameters, "all_nodes");
    cJSON_DeleteItemFromObjectCaseSensitive(parameters, "all"); /* their answers are in memory */
    cJSON_DeleteItemFromObjectCaseSensitive(parameters, "node");
    *gathering =
        (struct gathering){.call = call,
                           .reply = reply,
                           .unanswered = cJSON_GetObjectItemCaseSensitive(reply, "unanswered"),
                           .noun = noun};
    if (!gathering->unanswered)
        gathering->unanswered = cJSON_AddArrayToObject(reply, "unanswered");
    call_hold(call, &gathering->call);
    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->is_self || member->state == SWIM_LEFT)
            continue;
        if (member->state != SWIM_DEAD && ask(node, call, member, gathering, parameters))
            gathering->pending++;
        else
            cJSON_AddItemToArray(gathering->unanswered, cJSON_CreateString(member->name));
    }
    if (gathering->pending == 0)
        finish(gathering);
}
