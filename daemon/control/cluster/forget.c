/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "control/methods_internal.h"
#include "remembered.h"
#include "who.h"

/* "8f3a...  lab-02  127.81.1.3:7717  dead": one line for each that may be meant. */
static void fail_ambiguous(struct call *call, const char *text, const struct who *gone)
{
    cJSON *parameters = cJSON_CreateObject();
    cJSON *details = cJSON_AddArrayToObject(parameters, "details");
    char uuid[NODE_ID_TEXT_MAX], address[ADDRESS_TEXT_MAX], line[256], hint[64];

    for (size_t i = 0; i < MIN(gone->count, (size_t)WHO_MAX); i++) {
        const struct swim_member *member = gone->members[i];
        snprintf(line, sizeof(line), "%s  %s  %s  %s", node_id_format(&member->id, uuid),
                 member->name, address_format(&member->address, address),
                 member_state_name(member));
        cJSON_AddItemToArray(details, cJSON_CreateString(line));
    }
    snprintf(line, sizeof(line), "\"%.64s\" means %zu nodes that are gone", text, gone->count);
    snprintf(hint, sizeof(hint), "one of them: p2pctl forget %s",
             node_id_format(&gone->members[0]->id, uuid));
    json_add_string(parameters, "message", line);
    json_add_string(parameters, "hint", hint);
    call_fail_as(call, error_get_varlink(ERROR_CONFLICT), parameters);
}

/* The one member that @text means and that is gone, or NULL after the call has failed. */
static const struct swim_member *choose(const struct node *node, struct call *call,
                                        const char *text)
{
    struct who gone;
    bool is_known = who_find(cluster_get_swim(node->cluster), text, WHO_GONE, &gone);

    if (gone.count == 1)
        return gone.members[0];
    if (gone.count > 1)
        fail_ambiguous(call, text, &gone);
    else if (is_known)
        call_fail(call, ERROR_CONFLICT, "stop it there first: systemctl stop p2pnode@INSTANCE",
                  "\"%s\" is not dead: only dead and left nodes can be forgotten", text);
    else
        call_fail(call, ERROR_NOT_FOUND,
                  "names, addresses and UUIDs, of which four digits do: p2pctl members -o +uuid",
                  "no node is called \"%s\"", text);
    return NULL;
}

/* One of which only the last life of this node knew. */
static bool forget_unheard(struct node *node, struct call *call, const char *name, bool is_dry_run)
{
    char uuid[NODE_ID_TEXT_MAX];
    struct state_member member;
    struct who any;

    if (who_find(cluster_get_swim(node->cluster), name, WHO_ANY, &any) ||
        !remembered_find(node, name, &member))
        return false;
    cJSON *reply = call_new_reply("p2pctl.forget/1");
    json_add_string(reply, "name", member.name);
    json_add_string(reply, "uuid", node_id_format(&member.id, uuid));
    json_add_string(reply, "address", member.address);
    if (!is_dry_run) {
        tasks_remove_member(node->tasks, &member.id);
        remembered_drop(node, &member.id);
    }
    call_reply(call, reply);
    return true;
}

void method_forget(struct node *node, struct call *call)
{
    char uuid[NODE_ID_TEXT_MAX], address[ADDRESS_TEXT_MAX];
    const struct swim_member *member;
    const char *text = NULL;
    bool is_dry_run = false;

    if (!need_string(call, "name", &text) || !read_bool(call, "dry_run", &is_dry_run))
        return;
    if (forget_unheard(node, call, text, is_dry_run))
        return;
    member = choose(node, call, text);
    if (!member)
        return;
    struct node_id id = member->id;
    /* The member is no more when it is forgotten. */
    cJSON *reply = call_new_reply("p2pctl.forget/1");
    json_add_string(reply, "name", member->name);
    json_add_string(reply, "uuid", node_id_format(&member->id, uuid));
    json_add_string(reply, "address", address_format(&member->address, address));
    if (is_dry_run) {
        call_reply(call, reply);
        return;
    }
    int r = cluster_forget(node->cluster, &id);
    if (r < 0) {
        cJSON_Delete(reply);
        call_fail(call, error_from_errno(r), NULL, "cannot forget \"%s\": %s", text, strerror(-r));
        return;
    }
    tasks_remove_member(node->tasks, &id);
    remembered_drop(node, &id);
    call_reply(call, reply);
}
