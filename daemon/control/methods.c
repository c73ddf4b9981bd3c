/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>

#define INTERFACE "org.p2pnode."

/* The interface file, linked in as it is: interface.c. */
extern const char interface_text[], service_interface_text[];

/* What a parameter `node` means. */
enum scope {
    SCOPE_PASS,   /* ask there: the call is passed on */
    SCOPE_CHANGE, /* the same, and it changes something there */
    SCOPE_OWN,    /* the method sees to it itself */
};

static const struct method {
    const char *name;
    void (*run)(struct node *node, struct call *call);
    enum scope scope;
    bool needs_admin;
} methods[] = {
    {"Status", method_status, SCOPE_PASS, false},
    {"Members", method_members, SCOPE_PASS, false},
    {"Peers", method_peers, SCOPE_PASS, false},
    {"ShowNode", method_show_node, SCOPE_PASS, false},
    {"Types", method_types, SCOPE_PASS, false},
    {"Ping", method_ping, SCOPE_PASS, false},
    {"Join", method_join, SCOPE_OWN, true},
    {"Leave", method_leave, SCOPE_OWN, true},
    {"Forget", method_forget, SCOPE_OWN, true},
    {"Drain", method_drain, SCOPE_CHANGE, true},
    {"Undrain", method_undrain, SCOPE_CHANGE, true},
    {"ListKeys", method_list_keys, SCOPE_PASS, false},
    {"InstallKey", method_install_key, SCOPE_OWN, true},
    {"UseKey", method_use_key, SCOPE_CHANGE, true},
    {"RemoveKey", method_remove_key, SCOPE_CHANGE, true},
    {"RotateKeys", method_rotate_keys, SCOPE_CHANGE, true},
    {"Submit", method_submit, SCOPE_OWN, false},
    {"Run", method_run, SCOPE_OWN, false},
    {"ListWorkflows", method_list_workflows, SCOPE_PASS, false},
    {"ShowWorkflow", method_show_workflow, SCOPE_PASS, false},
    {"ResumeWorkflow", method_resume_workflow, SCOPE_CHANGE, false},
    {"CancelWorkflow", method_cancel_workflow, SCOPE_CHANGE, false},
    {"ListTasks", method_list_tasks, SCOPE_PASS, false},
    {"ShowTask", method_show_task, SCOPE_PASS, false},
    {"TaskLogs", method_task_logs, SCOPE_PASS, false},
    {"WaitTask", method_wait_task, SCOPE_PASS, false},
    {"CancelTask", method_cancel_task, SCOPE_CHANGE, false},
    {"RetryTask", method_retry_task, SCOPE_CHANGE, false},
    {"GetTaskFiles", method_get_task_files, SCOPE_OWN, false},
    {"CleanTasks", method_clean_tasks, SCOPE_CHANGE, false},
    {"PutFile", method_put_file, SCOPE_OWN, false},
    {"GetFile", method_get_file, SCOPE_OWN, false},
    {"ListFiles", method_list_files, SCOPE_PASS, false},
    {"RemoveFile", method_remove_file, SCOPE_CHANGE, false},
    {"SetMemory", method_set_memory, SCOPE_CHANGE, false},
    {"GetMemory", method_get_memory, SCOPE_PASS, false},
    {"ListMemory", method_list_memory, SCOPE_PASS, false},
    {"RemoveMemory", method_remove_memory, SCOPE_CHANGE, false},
    {"SendMessage", method_send_message, SCOPE_CHANGE, false},
    {"Inbox", method_inbox, SCOPE_PASS, false},
    {"Events", method_events, SCOPE_PASS, false},
    {"Monitor", method_monitor, SCOPE_PASS, false},
    {"ShowConfig", method_show_config, SCOPE_PASS, false},
    {"Metrics", method_metrics, SCOPE_PASS, false},
    {"Doctor", method_doctor, SCOPE_PASS, false},
    {"Graph", method_graph, SCOPE_PASS, false},
    {"Reload", method_reload, SCOPE_CHANGE, true},
};

/* Of the process, as the table is. */
static struct call_tally tallies[ARRAY_SIZE(methods)];

const struct call_tally *methods_get_tally(size_t i)
{
    return &tallies[i];
}

const char *methods_get_name(size_t i)
{
    return i < ARRAY_SIZE(methods) ? methods[i].name : NULL;
}

/* --- org.varlink.service --- */

static void get_info(struct call *call)
{
    cJSON *reply = cJSON_CreateObject();
    cJSON *interfaces = cJSON_AddArrayToObject(reply, "interfaces");

    json_add_string(reply, "vendor", "p2pnode");
    json_add_string(reply, "product", "p2pnode");
    json_add_string(reply, "version", P2PNODE_VERSION);
    json_add_string(reply, "url", "https://p2pnode.org/");
    cJSON_AddItemToArray(interfaces, cJSON_CreateString("org.varlink.service"));
    cJSON_AddItemToArray(interfaces, cJSON_CreateString("org.p2pnode"));
    call_reply(call, reply);
}

static void fail_standard(struct call *call, const char *error, const char *key, const char *value)
{
    cJSON *parameters = cJSON_CreateObject();

    json_add_string(parameters, key, value);
    call_fail_as(call, error, parameters);
}

static void get_description(struct call *call)
{
    const char *interface = NULL;

    if (!need_string(call, "interface", &interface))
        return;
    bool is_service = strcmp(interface, "org.varlink.service") == 0;
    if (!is_service && strcmp(interface, "org.p2pnode") != 0) {
        fail_standard(call, "org.varlink.service.InterfaceNotFound", "interface", interface);
        return;
    }
    cJSON *reply = cJSON_CreateObject();
    json_add_string(reply, "description", is_service ? service_interface_text : interface_text);
    call_reply(call, reply);
}

static bool serve_standard(struct call *call)
{
    if (strcmp(call->method, "org.varlink.service.GetInfo") == 0)
        get_info(call);
    else if (strcmp(call->method, "org.varlink.service.GetInterfaceDescription") == 0)
        get_description(call);
    else
        return false;
    return true;
}

/* Where the interface file, which is the one list of them, has the parameters of a method. */
static const char *find_parameters(const struct method *method)
{
    static const char *found[ARRAY_SIZE(methods)];
    const char **text = &found[method - methods];
    char start[64];

    if (!*text) {
        snprintf(start, sizeof(start), "\nmethod %s(", method->name);
        *text = strstr(interface_text, start);
    }
    return *text;
}

/*
 * Whether the method has a parameter called @key: a name followed by a colon, inside of the
 * parentheses behind the method's name.
 */
static bool is_parameter(const struct method *method, const char *key)
{
    const char *text = find_parameters(method), *end = text ? strchr(text, ')') : NULL;
    size_t size = strlen(key);

    for (const char *found = text; size > 0 && found && (found = strstr(found, key)) && found < end;
         found += size)
        if (found[size] == ':' && strchr(" (\n", found[-1]))
            return true;
    return false;
}

static const char *find_unknown(const struct call *call, const struct method *method)
{
    json_for_each (parameter, call->parameters)
        if (!is_parameter(method, parameter->string))
            return parameter->string;
    return NULL;
}

/* --- Dispatch --- */

static const struct method *find_method(const char *name)
{
    if (strncmp(name, INTERFACE, strlen(INTERFACE)) != 0)
        return NULL;
    name += strlen(INTERFACE);
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if (methods[i].name[0] == *name && strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}

const struct swim_member *find_live(struct node *node, struct call *call, const char *name)
{
    const struct swim_member *member = node_find_member(node, name);

    if (member && member->state != SWIM_DEAD && member->state != SWIM_LEFT)
        return member;
    if (!member)
        call_fail(call, ERROR_NOT_FOUND, "p2pctl members", "no node is called \"%s\"", name);
    else
        call_fail(call, ERROR_UNREACHABLE, "p2pctl members", "cannot reach %s: it %s", name,
                  member->state == SWIM_DEAD ? "is dead" : "has left");
    return NULL;
}

static void pass_on(struct node *node, struct call *call, const struct method *method,
                    const char *name)
{
    const struct swim_member *member = find_live(node, call, name);

    if (!member)
        return;
    int r = is_parameter(method, "value") ? call_load_body(call, PEERS_BODY_MAX) : 0;
    if (r == -EFBIG)
        call_fail(call, ERROR_TOO_LARGE, "p2pctl file put FILE NODE:",
                  "only up to 2 MiB can go along with a question to another node, not %zu bytes",
                  call->body_size);
    else if (r < 0)
        call_invalid(call, "value");
    else
        remote_forward(node->remote, member, call);
}

void methods_dispatch(struct call *call, void *data)
{
    struct node *node = data;
    const struct method *method = find_method(call->method);
    const char *name = NULL;

    if (!call->caller.is_remote && serve_standard(call))
        return;
    if (!method) {
        fail_standard(call, "org.varlink.service.MethodNotFound", "method", call->method);
        return;
    }
    call->tally = &tallies[method - methods];
    if (method->needs_admin && !call->caller.is_admin) {
        call_fail_group(call, node->config->control.admin_group);
        return;
    }
    const char *unknown = find_unknown(call, method);
    if (unknown) {
        call_invalid(call, unknown);
        return;
    }
    call->is_change = method->scope == SCOPE_CHANGE;
    if (method->scope != SCOPE_OWN) {
        if (!read_string(call, "node", &name))
            return;
        if (name && strcmp(name, node->config->node.name) != 0 && !call->caller.is_remote) {
            pass_on(node, call, method, name);
            return;
        }
    }
    method->run(node, call);
}

void methods_on_passed(const struct node_id *to, const char *name, void *data)
{
    struct node *node = data;
    const struct method *method = find_method(name);

    if (!method || method->run != method_drain)
        return;
    /* Who drained it places nothing there from now on; all gossip that is here is older. */
    node_refresh_loads(node);
    place_take_draining(origin_get_place(tasks_get_origin(node->tasks)), to, node_now(node));
}

/* --- Parameters --- */

bool read_string(struct call *call, const char *key, const char **ret)
{
    if (json_get_string(call->parameters, key, ret) >= 0)
        return true;
    call_invalid(call, key);
    return false;
}

bool need_string(struct call *call, const char *key, const char **ret)
{
    if (json_get_string(call->parameters, key, ret) > 0)
        return true;
    call_invalid(call, key);
    return false;
}

bool read_bool(struct call *call, const char *key, bool *ret)
{
    if (json_get_bool(call->parameters, key, ret) >= 0)
        return true;
    call_invalid(call, key);
    return false;
}

bool read_u64(struct call *call, const char *key, uint64_t max, uint64_t *ret)
{
    if (json_get_u64(call->parameters, key, max, ret) >= 0)
        return true;
    call_invalid(call, key);
    return false;
}

bool read_usec(struct call *call, const char *key, usec_t *ret)
{
    const char *text = NULL;

    if (json_get_string(call->parameters, key, &text) >= 0 &&
        (!text || text_parse_usec(text, ret) >= 0))
        return true;
    call_invalid(call, key);
    return false;
}

bool read_array(struct call *call, const char *key, const cJSON **ret)
{
    const cJSON *array = NULL;
    bool is_valid = json_get_array(call->parameters, key, &array) >= 0;

    json_for_each (item, array)
        is_valid = is_valid && cJSON_IsString(item);
    if (!is_valid) {
        call_invalid(call, key);
        return false;
    }
    if (array)
        *ret = array;
    return true;
}

void fail_memory(struct call *call)
{
    call_fail(call, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- ShowConfig --- */

/* Whether @path is @key, or in the section @key. */
static bool is_under(const char *path, const char *key)
{
    size_t size = strlen(key);

    return strncmp(path, key, size) == 0 && (path[size] == '\0' || path[size] == '.');
}

void method_show_config(struct node *node, struct call *call)
{
    const char *key = NULL, *closest = NULL;

    if (!read_string(call, "key", &key))
        return;
    cJSON *reply = call_new_reply("p2pctl.config/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "config");
    for (size_t i = 0; i < config_keys_count(); i++) {
        if (key && !is_under(config_key_path(i), key))
            continue;
        _cleanup_free_ char *value = config_format_value(node->config, i);
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "key", config_key_path(i));
        json_add_string(item, "value", value);
        json_add_string(item, "origin", config_origin(node->config, i));
        cJSON_AddItemToArray(list, item);
    }
    if (key && !list->child) {
        char hint[128];
        cJSON_Delete(reply);
        (void)config_key_find(key, &closest);
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", closest ? closest : "");
        call_fail(call, ERROR_NOT_FOUND, closest ? hint : "p2pctl config show",
                  "no configuration key is called \"%s\"", key);
        return;
    }
    call_reply(call, reply);
}
