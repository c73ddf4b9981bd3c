/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "journal.h"

static void fail_too_large(struct node *node, struct call *call, uint64_t size)
{
    char limit[32];

    call_fail(call, ERROR_TOO_LARGE, "larger values are files: p2pctl file put",
              "a value of %" PRIu64 " bytes is larger than mem.value_max (%s)", size,
              text_format_size(node->config->mem.value_size_max, limit));
}

/* The value, wherever it came from; it is the call's. False: the call has been answered. */
static bool load_value(struct node *node, struct call *call, struct memory_change *change)
{
    const char *text = NULL;
    int r = call_load_body(call, (size_t)node->config->mem.value_size_max);

    if (r >= 0 && !call->body && json_get_string(call->parameters, "value", &text) > 0) {
        change->data = text;
        change->size = strlen(text);
        return true;
    }
    if (r >= 0 && !call->body)
        r = json_get_bytes(call->parameters, "value", &call->body, &call->body_size);
    if (r >= 0 && call->body) {
        change->data = call->body;
        change->size = call->body_size;
        return true;
    }
    if (r == -EFBIG)
        fail_too_large(node, call, call->body_size);
    else if (r == -ENOMEM)
        fail_memory(call);
    else
        call_invalid(call, "value");
    return false;
}

static void add_ttl(cJSON *json, usec_t ttl_usec)
{
    if (ttl_usec == USEC_INFINITY)
        json_add_null(json, "ttl_s");
    else
        json_add_double(json, "ttl_s", (double)ttl_usec / (double)USEC_PER_SEC);
}

#define PLACE_MAX (NODE_NAME_MAX + 2)
#define HINT_MAX  (3 * PLACE_MAX)

/* What the caller writes before a key for this node: "lab-05:", nothing where it is its own. */
static char *format_place(const struct node *node, const struct call *call,
                          char target[static PLACE_MAX])
{
    snprintf(target, PLACE_MAX, "%s%s", call->caller.is_remote ? node->config->node.name : "",
             call->caller.is_remote ? ":" : "");
    return target;
}

static char *format_list(const struct node *node, const struct call *call,
                         char target[static HINT_MAX])
{
    char place[PLACE_MAX];

    format_place(node, call, place);
    snprintf(target, HINT_MAX, "p2pctl mem ls%s%s", *place ? " " : "", place);
    return target;
}

static void fail_version(struct node *node, struct call *call, const struct memory_change *change)
{
    struct memory_value value;
    char hint[HINT_MAX];

    if (memory_get(node->memory, change->key, node_now(node), &value) < 0)
        call_fail(call, ERROR_CONFLICT, format_list(node, call, hint),
                  "\"%s\" is not there any more", change->key);
    else if (change->if_version == 0)
        call_fail(call, ERROR_CONFLICT, NULL, "\"%s\" is there already, with version %" PRIu64,
                  change->key, value.version);
    else
        call_fail(call, ERROR_CONFLICT, NULL, "\"%s\" has version %" PRIu64 " now, not %" PRIu64,
                  change->key, value.version, change->if_version);
}

static void fail_no_room(struct node *node, struct call *call, const struct memory_change *change)
{
    char limit[32], used[32], list[HINT_MAX], place[PLACE_MAX], hint[2 * HINT_MAX];

    snprintf(hint, sizeof(hint), "make room: %s; p2pctl mem rm %sKEY",
             format_list(node, call, list), format_place(node, call, place));
    call_fail(call, ERROR_NO_SPACE, hint,
              "a value of %zu bytes has no room on %s: %s of mem.limit (%s) are in use",
              change->size, node->config->node.name,
              text_show_size((double)memory_used(node->memory), used),
              text_format_size(node->config->mem.limit_size, limit));
}

static void fail_set(struct node *node, struct call *call, const struct memory_change *change,
                     int r)
{
    const struct config_mem *limits = &node->config->mem;

    switch (-r) {
    case EINVAL:
        if (change->ttl_usec == 0)
            call_fail(call, ERROR_USAGE, NULL, "a ttl is above 0");
        else
            call_fail(call, ERROR_USAGE, NULL,
                      "a key is 1 to %u bytes of printable text, and nothing that cannot be seen",
                      limits->key_size_max);
        break;
    case ENAMETOOLONG:
        call_fail(call, ERROR_TOO_LARGE, NULL, "the key is longer than mem.key_max (%u bytes)",
                  limits->key_size_max);
        break;
    case EMSGSIZE:
        fail_too_large(node, call, change->size);
        break;
    case ENOSPC:
        fail_no_room(node, call, change);
        break;
    case EROFS:
        call_fail(call, ERROR_NO_SPACE, "make room on that disk; see p2pctl doctor",
                  "a value of %zu bytes has no room on the disk of %s, which keeps memory",
                  change->size, node->config->node.name);
        break;
    case EBUSY:
        call_fail(call, ERROR_BUSY, "p2pctl doctor",
                  "too many values were set since the disk of %s took the last",
                  node->config->node.name);
        break;
    case EEXIST:
        call_fail(call, ERROR_CONFLICT, NULL, "\"%s\" is there already", change->key);
        break;
    case ESTALE:
        fail_version(node, call, change);
        break;
    default:
        call_fail(call, ERROR_INTERNAL, NULL, "cannot set \"%s\": %s", change->key, strerror(-r));
        break;
    }
}

void method_set_memory(struct node *node, struct call *call)
{
    struct memory_change change = {.ttl_usec = USEC_INFINITY, .owner = call->caller.user};
    uint64_t version;

    if (!need_string(call, "key", &change.key) || !read_usec(call, "ttl", &change.ttl_usec) ||
        !read_bool(call, "if_absent", &change.if_absent) ||
        !read_u64(call, "if_version", (uint64_t)1 << 53, &change.if_version))
        return;
    change.has_if_version =
        cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(call->parameters, "if_version"));
    if (change.if_absent && change.has_if_version)
        return call_invalid(call, "if_version");
    if (!load_value(node, call, &change))
        return;
    int r = memory_set(node->memory, &change, node_now(node), node_wall(node), &version);
    if (r < 0) {
        fail_set(node, call, &change, r);
        return;
    }
    journal_mem_changed(change.key, "set", version);
    cJSON *reply = call_new_reply("p2pctl.mem-set/1");
    json_add_string(reply, "key", change.key);
    json_add_string(reply, "node", node->config->node.name);
    json_add_u64(reply, "size_bytes", change.size);
    json_add_u64(reply, "version", version);
    add_ttl(reply, change.ttl_usec);
    call_reply(call, reply);
}

static void fail_no_key(struct node *node, struct call *call, const char *key)
{
    char hint[HINT_MAX];

    call_fail(call, ERROR_NOT_FOUND, format_list(node, call, hint),
              "no value is called \"%s\" on %s", key, node->config->node.name);
}

static void answer_value(struct node *node, struct call *call, const struct memory_value *value)
{
    cJSON *reply = call_new_reply("p2pctl.mem/1");

    json_add_string(reply, "key", value->key);
    json_add_string(reply, "node", node->config->node.name);
    json_add_u64(reply, "version", value->version);
    add_ttl(reply, value->ttl_usec);
    call_reply_bytes(call, reply, "value", value->data, value->size);
}

/* --- `any`: all nodes are asked, the first that has it answers --- */

struct search {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone; NULL = answered */
    size_t pending;
    struct silence silence;
};

static void search_release(struct search *search)
{
    if (search->pending == 0 && !search->call)
        free(search);
}

static void fail_search(struct search *search)
{
    const char *key = NULL;
    struct call *call = TAKE_PTR(search->call);

    (void)json_get_string(call->parameters, "key", &key);
    fail_nowhere(call, &search->silence, "p2pctl mem ls NODE:", "value called", key);
}

static bool says_no(const struct remote_reply *reply)
{
    return reply->r >= 0 && reply->error && error_from_varlink(reply->error) == ERROR_NOT_FOUND;
}

static void on_search_answer(const char *name, const struct remote_reply *reply, void *data)
{
    struct search *search = data;

    search->pending--;
    if (search->call && reply->r >= 0 && !reply->error) {
        cJSON *parameters = cJSON_Duplicate(reply->parameters, true);
        call_reply_bytes(TAKE_PTR(search->call), parameters, "value",
                         reply->body ? reply->body : "", reply->body_size);
    } else if (search->call) {
        if (!says_no(reply))
            silence_add(&search->silence, name);
        if (search->pending == 0)
            fail_search(search);
    }
    search_release(search);
}

static void search_others(struct node *node, struct call *call, const char *key)
{
    struct search *search = calloc(1, sizeof(*search));
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();

    if (!search) {
        fail_memory(call);
        return;
    }
    *search = (struct search){.node = node, .call = call};
    json_add_string(parameters, "key", key);
    call_hold(call, &search->call);
    search->pending = ask_others(node, call, call->method, parameters, &search->silence,
                                 on_search_answer, search);
    if (search->pending == 0) {
        fail_search(search);
        search_release(search);
    }
}

void method_get_memory(struct node *node, struct call *call)
{
    const char *key = NULL;
    bool any = false;
    struct memory_value value;

    if (!need_string(call, "key", &key) || !read_bool(call, "any", &any))
        return;
    if (memory_get(node->memory, key, node_now(node), &value) >= 0)
        answer_value(node, call, &value);
    else if (any) /* which the others are not told */
        search_others(node, call, key);
    else
        fail_no_key(node, call, key);
}

void method_list_memory(struct node *node, struct call *call)
{
    const char *prefix = "";
    _cleanup_free_ struct memory_value *values = NULL;
    size_t count;

    if (!read_string(call, "prefix", &prefix))
        return;
    if (memory_list(node->memory, prefix, node_now(node), &values, &count) < 0) {
        fail_memory(call);
        return;
    }
    cJSON *reply = call_new_reply("p2pctl.mem-ls/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "keys");
    for (size_t i = 0; i < count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "node", node->config->node.name);
        json_add_string(item, "key", values[i].key);
        json_add_u64(item, "size_bytes", values[i].size);
        json_add_u64(item, "version", values[i].version);
        add_ttl(item, values[i].ttl_usec);
        json_add_time(item, "modified", values[i].modified_wall_usec);
        cJSON_AddItemToArray(list, item);
    }
    call_reply_list(call, reply, "keys");
}

void method_remove_memory(struct node *node, struct call *call)
{
    const char *key = NULL;
    struct memory_value value;
    usec_t now = node_now(node);

    if (!need_string(call, "key", &key))
        return;
    if (memory_get(node->memory, key, now, &value) < 0) {
        fail_no_key(node, call, key);
        return;
    }
    cJSON *reply = call_new_reply("p2pctl.mem-rm/1");
    json_add_string(reply, "key", key);
    json_add_string(reply, "node", node->config->node.name);
    json_add_u64(reply, "size_bytes", value.size);
    journal_mem_changed(key, "removed", value.version);
    (void)memory_remove(node->memory, key, now);
    call_reply(call, reply);
}
