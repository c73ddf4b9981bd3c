/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <string.h>

#define GATHER_TIMEOUT_USEC (5 * USEC_PER_SEC)

/* One question to all live nodes; the answers' lists become one. */
struct gathering {
    struct call *call; /* borrowed until gone; NULL = nobody waits */
    cJSON *reply;      /* owned */
    cJSON *list;       /* in reply */
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

static void on_gone(struct call *call _unused_, void *data)
{
    struct gathering *gathering = data;

    gathering->call = NULL;
}

static void on_answer(const struct remote_reply *answer, void *data)
{
    struct question *question = data;
    struct gathering *gathering = question->gathering;
    const cJSON *list = NULL;

    if (answer->r < 0 || answer->error ||
        json_get_array(answer->parameters, gathering->noun, &list) <= 0)
        cJSON_AddItemToArray(gathering->unanswered, cJSON_CreateString(question->name));
    json_for_each (item, list)
        cJSON_AddItemToArray(gathering->list, cJSON_Duplicate(item, true));
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

size_t ask_alive(struct node *node, struct call *call, const char *method, const cJSON *parameters,
                 remote_reply_t reply, void *data)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    size_t asked = 0;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (!member->is_self && member->state == SWIM_ALIVE &&
            remote_call(node->remote,
                        &(struct remote_request){.member = member,
                                                 .method = method,
                                                 .parameters = parameters,
                                                 .caller = &call->caller,
                                                 .timeout_usec = GATHER_TIMEOUT_USEC},
                        reply, data, NULL) >= 0)
            asked++;
    }
    return asked;
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
    cJSON_DeleteItemFromObjectCaseSensitive(parameters, "node");
    *gathering = (struct gathering){.call = call,
                                    .reply = reply,
                                    .list = cJSON_GetObjectItemCaseSensitive(reply, noun),
                                    .unanswered = cJSON_AddArrayToObject(reply, "unanswered"),
                                    .noun = noun};
    call_on_gone(call, on_gone, gathering);
    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->is_self || member->state == SWIM_DEAD || member->state == SWIM_LEFT)
            continue;
        if (ask(node, call, member, gathering, parameters))
            gathering->pending++;
        else
            cJSON_AddItemToArray(gathering->unanswered, cJSON_CreateString(member->name));
    }
    if (gathering->pending == 0)
        finish(gathering);
}
