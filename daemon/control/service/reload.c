/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>

/* Reload: answered when it is done. */

struct reloading {
    struct reload_wait wait;
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
};

static void reloading_free(struct reloading *reloading)
{
    reload_forget(&reloading->wait);
    free(reloading);
}

static void on_gone(struct call *call _unused_, void *data)
{
    reloading_free(data);
}

static void add_strings(cJSON *json, const char *key, const struct config_strings *strings)
{
    cJSON *list = cJSON_AddArrayToObject(json, key);

    for (size_t i = 0; i < strings->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(strings->items[i]));
}

static void fail_config(struct call *call, const char *path, const struct config_strings *errors)
{
    cJSON *parameters = cJSON_CreateObject();
    _cleanup_free_ char *message = NULL;

    if (asprintf(&message, "%s: %zu error%s, the configuration stays as it was", path,
                 errors->count, PLURAL(errors->count)) < 0)
        message = NULL;
    json_add_string(parameters, "message", message);
    json_add_null(parameters, "hint");
    add_strings(parameters, "details", errors);
    call_fail_as(call, error_get_varlink(ERROR_BAD_CONFIG), parameters);
}

static void on_done(const struct reload_outcome *outcome, void *data)
{
    struct reloading *reloading = data;
    struct node *node = reloading->node;
    struct call *call = reloading->call;

    reloading_free(reloading);
    if (outcome->r == -EINVAL && !outcome->is_partial && outcome->errors->count > 0)
        return fail_config(call, node->config_path, outcome->errors);
    if (outcome->r == -ESHUTDOWN)
        return call_fail(call, ERROR_BUSY, NULL, "cannot reload: the node is about to stop");
    if (outcome->r < 0)
        return call_fail(call, ERROR_INTERNAL, "p2pctl doctor",
                         "not all of the configuration could be reloaded: %s",
                         outcome->errors->count > 0 ? outcome->errors->items[0]
                                                    : strerror(-outcome->r));
    cJSON *reply = call_new_reply("p2pctl.reload/1");
    add_strings(reply, "changed", outcome->changed);
    add_strings(reply, "needs_restart", outcome->restart);
    call_reply(call, reply);
}

void method_reload(struct node *node, struct call *call)
{
    struct reloading *reloading = calloc(1, sizeof(*reloading));

    if (!reloading)
        return fail_memory(call);
    *reloading = (struct reloading){.node = node, .call = call};
    list_init(&reloading->wait.link);
    reloading->wait.on_done = on_done;
    reloading->wait.data = reloading;
    call_on_gone(call, on_gone, reloading);
    reload_start(node, &reloading->wait);
}
