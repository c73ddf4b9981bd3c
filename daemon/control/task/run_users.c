/* SPDX-License-Identifier: MIT */
#include "control/task/run_users.h"

#include <string.h>

#define ANSWER_USEC (2 * USEC_PER_SEC)

/* One that is asked. */
struct asked {
    struct run_users *users; /* borrowed */
    struct place_refuser refuser;
    cJSON *refused; /* owned; NULL = it has not answered */
};

struct run_users {
    run_users_t done;
    void *data; /* borrowed */
    size_t pending, count;
    struct asked nodes[RUN_USERS_NODES_MAX];
};

struct run_users *run_users_free(struct run_users *users)
{
    if (!users)
        return NULL;
    for (size_t i = 0; i < users->count; i++)
        cJSON_Delete(users->nodes[i].refused);
    free(users);
    return NULL;
}

static void on_answer(const struct remote_reply *reply, void *data)
{
    struct asked *asked = data;
    struct run_users *users = asked->users;

    if (reply->r >= 0 && reply->continues)
        return;
    if (reply->r >= 0 && !reply->error) /* an older version knows no such question */
        asked->refused =
            cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(reply->parameters, "refused"), true);
    if (--users->pending == 0)
        users->done(users, users->data);
}

static bool is_for_some(const struct place_node *node, const struct workflow_plan *plan)
{
    for (size_t i = 0; i < plan->steps_count; i++)
        if (place_handles(&node->facts, &plan->steps[i].spec) &&
            place_get_limits(node, &plan->steps[i].spec).is_for_some)
            return true;
    return false;
}

static void ask(struct node *node, const struct call *call, const struct place_node *place_node,
                const cJSON *parameters, struct run_users *users)
{
    const struct swim_member *member =
        swim_find(cluster_get_swim(node->cluster), &place_node->facts.id);
    struct asked *asked = &users->nodes[users->count];

    *asked = (struct asked){.users = users,
                            .refuser = {.why = PLACE_NOT_FOR_USER,
                                        .id = place_node->facts.id,
                                        .generation = place_node->facts.generation,
                                        .rules = place_node->facts.rules}};
    if (member && remote_call(node->remote,
                              &(struct remote_request){.member = member,
                                                       .method = "org.p2pnode.Types",
                                                       .parameters = parameters,
                                                       .caller = &call->caller,
                                                       .timeout_usec = ANSWER_USEC},
                              on_answer, asked, NULL) >= 0)
        users->count++;
}

int run_users_ask(struct node *node, struct call *call, const struct workflow_plan *plan,
                  run_users_t done, void *data)
{
    const struct place *place = origin_get_place(tasks_get_origin(node->tasks));
    _cleanup_(run_users_freep) struct run_users *users = calloc(1, sizeof(*users));
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    size_t at = 0;

    if (!users)
        return -ENOMEM;
    users->done = done;
    users->data = data;
    json_add_string(parameters, "user", call->caller.user);
    for (const struct place_node *other; (other = place_next(place, &at));)
        if (!other->facts.is_self && other->facts.state == PLACE_ALIVE &&
            users->count < RUN_USERS_NODES_MAX && is_for_some(other, plan))
            ask(node, call, other, parameters, users);
    users->pending = users->count;
    if (users->count == 0)
        return 0;
    TAKE_PTR(users);
    return 1;
}

static bool refuses(const struct asked *asked, const char *type)
{
    json_for_each (item, asked->refused)
        if (cJSON_IsString(item) && strcmp(item->valuestring, type) == 0)
            return true;
    return false;
}

bool run_users_has(const struct run_users *users, const struct node_id *id, const char *type)
{
    for (size_t i = 0; users && i < users->count; i++)
        if (node_id_is_equal(&users->nodes[i].refuser.id, id) && refuses(&users->nodes[i], type))
            return true;
    return false;
}

size_t run_users_find(const struct run_users *users, const char *type,
                      struct place_refuser ret[static RUN_USERS_NODES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < users->count; i++)
        if (refuses(&users->nodes[i], type))
            ret[count++] = users->nodes[i].refuser;
    return count;
}
