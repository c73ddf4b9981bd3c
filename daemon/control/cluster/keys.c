/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The key ring of this node: what is in it, and one step of a change. A step waits until the new
 * ring is on the disk. The change of a whole cluster, which is made of such steps, is rotate.c.
 */

/* One step on its way to the disk, and the reply that waits for it. */
struct step {
    struct call *call; /* borrowed until gone; NULL = nobody waits */
    cJSON *reply;      /* owned */
};

bool keys_may_change(struct node *node, struct call *call)
{
    if (!node->keyring)
        call_fail(call, ERROR_CONFLICT, NULL,
                  "there are no keys: security.encrypt and security.tls are off");
    else if (call->caller.is_remote && !node->config->security.tls)
        call_fail(call, ERROR_NOT_PERMITTED, NULL,
                  "keys are changed from other nodes over TLS only (security.tls)");
    else
        return true;
    return false;
}

bool keys_read_grace(struct call *call, usec_t *ret)
{
    usec_t usec = *ret;

    if (!read_usec(call, "grace", &usec))
        return false;
    if (usec != *ret && usec > NODE_KEYS_GRACE_MAX_USEC) {
        call_fail(call, ERROR_USAGE, "p2pctl keys rotate --grace 1h",
                  "old keys are kept for 30 days at most");
        return false;
    }
    *ret = usec;
    return true;
}

static void on_step_done(int r, void *data)
{
    struct step *step = data;

    if (step->call) {
        if (r < 0)
            call_fail(step->call, error_from_errno(r), NULL, "cannot keep the key ring: %s",
                      strerror(-r));
        else
            call_reply(step->call, TAKE_PTR(step->reply));
    }
    cJSON_Delete(step->reply);
    free(step);
}

/* Takes the call and @reply, which is sent when @next is in use. */
static void change(struct node *node, struct call *call, const struct keyring *next,
                   const char *action, uint32_t key_id, cJSON *reply)
{
    struct step *step = calloc(1, sizeof(*step));
    int r =
        step && reply ? node_keys_change(node, next, action, key_id, on_step_done, step) : -ENOMEM;

    if (r < 0) {
        free(step);
        cJSON_Delete(reply);
        call_fail(call, r == -EBUSY ? ERROR_BUSY : error_from_errno(r), NULL,
                  r == -EBUSY ? "another change of the key ring is under way"
                              : "the key ring cannot be changed");
        return;
    }
    *step = (struct step){.call = call, .reply = reply};
    call_hold(call, &step->call);
}

/* The key of this node that @text, a fingerprint or more of an id, means; else the call is
 * answered. */
static const struct keyring_key *find_key(struct node *node, struct call *call, const char *text)
{
    const struct keyring_key *found = NULL;
    size_t size = strlen(text);
    char id[9];

    for (size_t i = 0; i < node->keyring->count; i++) {
        snprintf(id, sizeof(id), "%08x", (unsigned)node->keyring->keys[i].id);
        if (size < 4 || strncmp(id, text, size) != 0)
            continue;
        if (found) {
            call_fail(call, ERROR_CONFLICT, "p2pctl keys list --json",
                      "two keys begin with %s: give all eight digits", text);
            return NULL;
        }
        found = &node->keyring->keys[i];
    }
    if (!found)
        call_fail(call, ERROR_NOT_FOUND, "p2pctl keys list",
                  "no key in the ring of this node begins with \"%s\"%s", text,
                  size < 4 ? ": give four digits at least" : "");
    return found;
}

/* --- ListKeys --- */

static void add_key(const struct node *node, const struct node_keys *keys,
                    const struct keyring_key *key, bool is_primary, cJSON *list)
{
    char fingerprint[FINGERPRINT_TEXT_MAX], id[9];
    cJSON *json = cJSON_CreateObject();

    snprintf(id, sizeof(id), "%08x", (unsigned)key->id);
    json_add_string(json, "fingerprint", keyring_format_fingerprint(key->id, fingerprint));
    json_add_string(json, "id", id);
    json_add_bool(json, "primary", is_primary);
    cJSON *nodes = cJSON_AddArrayToObject(json, "nodes"),
          *missing = cJSON_AddArrayToObject(json, "missing");
    cJSON_AddItemToArray(nodes, cJSON_CreateString(node->config->node.name));
    for (size_t i = 0; i < keys->view.count; i++)
        cJSON_AddItemToArray(rotation_report_has(&keys->reports[i], key->id) ? nodes : missing,
                             cJSON_CreateString(keys->members[i]->name));
    json_add_u64(json, "used_by", rotation_count_users(&keys->view, key->id));
    if (key->made_sec > 0)
        json_add_time(json, "made", key->made_sec * USEC_PER_SEC);
    else
        json_add_null(json, "made");
    if (key->until_sec > 0)
        json_add_time(json, "until", key->until_sec * USEC_PER_SEC);
    else
        json_add_null(json, "until");
    cJSON_AddItemToArray(list, json);
}

void method_list_keys(struct node *node, struct call *call)
{
    struct node_keys keys = {0};
    cJSON *reply = call_new_reply("p2pctl.keys/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "keyring");

    if (node->keyring && node_keys_look(node, &keys) < 0) {
        node_keys_done(&keys);
        cJSON_Delete(reply);
        fail_memory(call);
        return;
    }
    for (size_t i = 0; node->keyring && i < node->keyring->count; i++)
        add_key(node, &keys, &node->keyring->keys[i], i == 0, list);
    node_keys_done(&keys);
    call_reply(call, reply);
}

/* --- InstallKey --- */

/* Reads descriptor 0, a regular file. Return: 0, -EFBIG, -EINVAL, -EIO. */
static int read_ring(const struct call *call, char text[static KEYRING_TEXT_MAX], size_t *ret_size)
{
    struct stat status;

    if (fstat(call->fds[0], &status) < 0 || !S_ISREG(status.st_mode))
        return -EINVAL;
    if (status.st_size > (off_t)KEYRING_TEXT_MAX)
        return -EFBIG;
    ssize_t got = pread(call->fds[0], text, (size_t)status.st_size, 0);
    if (got != status.st_size)
        return -EIO;
    *ret_size = (size_t)got;
    return 0;
}

/* The keys that a client's descriptor holds; else the call has been answered. */
static struct keyring *take_ring(struct call *call)
{
    struct keyring *ring = NULL;
    char error[KEYRING_ERROR_MAX] = "it is no regular file";
    char *text = malloc(KEYRING_TEXT_MAX);
    size_t size = 0;
    int r = text ? read_ring(call, text, &size) : -ENOMEM;

    if (r == 0)
        r = keyring_parse(text, size, error, &ring);
    if (text)
        OPENSSL_cleanse(text, KEYRING_TEXT_MAX);
    free(text);
    if (r < 0)
        call_fail(call, ERROR_USAGE, NULL, "this is no key ring: %s",
                  r == -EINVAL ? error : strerror(-r));
    return ring;
}

/* The key that another node brings; else the call has been answered. */
static struct keyring *take_wrapped(struct node *node, struct call *call)
{
    struct keyring *ring = calloc(1, sizeof(*ring));
    int r = ring ? wrap_open(node->keyring, node->config->node.cluster, &node->start.id, call->body,
                             call->body_size, &ring->keys[0])
                 : -ENOMEM;

    if (r == 0) {
        ring->count = 1;
        return ring;
    }
    free(ring);
    call_fail(call, ERROR_CONFLICT, NULL, "the key cannot be unwrapped: %s", strerror(-r));
    return NULL;
}

/* Adds what is new of @more to @next. Return: how many there were, or -ENOSPC. */
static int add_keys(struct keyring *next, const struct keyring *more, uint64_t until_sec,
                    uint32_t *ret_id)
{
    int count = 0;

    for (size_t i = 0; i < more->count; i++) {
        int r = keyring_add(next, &more->keys[i]);
        if (r == -ENOSPC)
            return r;
        if (r < 0)
            continue;
        /* One that is out of use already, from a change that another overtook, goes again. */
        next->keys[next->count - 1].until_sec =
            keyring_is_newer(&next->keys[0], &more->keys[i]) ? until_sec : 0;
        *ret_id = more->keys[i].id;
        count++;
    }
    return count;
}

static cJSON *new_install_reply(const struct keyring *ring)
{
    char fingerprint[FINGERPRINT_TEXT_MAX];
    cJSON *reply = call_new_reply("p2pctl.keys-install/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "keys");

    for (size_t i = 0; i < ring->count; i++)
        cJSON_AddItemToArray(
            list, cJSON_CreateString(keyring_format_fingerprint(ring->keys[i].id, fingerprint)));
    return reply;
}

void method_install_key(struct node *node, struct call *call)
{
    _cleanup_(keyring_freep) struct keyring *ring = NULL, *next = NULL;
    uint32_t id = 0;

    if (!keys_may_change(node, call))
        return;
    if (!call->caller.is_remote && call->fds_count == 0)
        return call_fail(call, ERROR_USAGE, "p2pctl keys install FILE",
                         "the descriptor with the key ring is missing");
    ring = call->caller.is_remote ? take_wrapped(node, call) : take_ring(call);
    if (!ring)
        return;
    next = keyring_copy(node->keyring);
    int r =
        next ? add_keys(next, ring, node_keys_now(node) + NODE_KEYS_GRACE_USEC / USEC_PER_SEC, &id)
             : -ENOMEM;
    if (r == -ENOSPC)
        call_fail(call, ERROR_NO_SPACE, "p2pctl keys remove KEY", "a key ring has at most %d keys",
                  KEYRING_KEYS_MAX);
    else if (r < 0)
        fail_memory(call);
    else if (r == 0)
        call_reply(call, new_install_reply(ring));
    else
        change(node, call, next, "installed", id, new_install_reply(ring));
}

/* --- UseKey, RemoveKey --- */

static cJSON *new_step_reply(const char *schema, uint32_t key_id)
{
    char fingerprint[FINGERPRINT_TEXT_MAX];
    cJSON *reply = call_new_reply(schema);

    json_add_string(reply, "key", keyring_format_fingerprint(key_id, fingerprint));
    return reply;
}

static void fail_use(struct call *call, int r, const char *key, const char *who)
{
    if (r == -EAGAIN)
        call_fail(call, ERROR_CONFLICT, "p2pctl keys rotate",
                  "%s does not have key %s yet: it could not read what this node sends", who, key);
    else
        call_fail(call, ERROR_CONFLICT, "p2pctl keys rotate",
                  "a newer key than %s is in use, and nobody goes back", key);
}

void method_use_key(struct node *node, struct call *call)
{
    _cleanup_(keyring_freep) struct keyring *next = NULL;
    const char *text = NULL;
    char fingerprint[FINGERPRINT_TEXT_MAX];
    struct node_keys keys = {0};
    usec_t grace = USEC_INFINITY;
    size_t lacking = 0;

    if (!keys_may_change(node, call) || !need_string(call, "key", &text) ||
        !keys_read_grace(call, &grace))
        return;
    const struct keyring_key *key = find_key(node, call, text);
    if (!key)
        return;
    uint32_t id = key->id;
    int r = node_keys_look(node, &keys);
    if (r >= 0)
        r = rotation_check_use(&keys.view, id, &lacking);
    next = r >= 0 ? keyring_copy(node->keyring) : NULL;
    if (r == -EAGAIN || r == -ESTALE)
        fail_use(call, r, keyring_format_fingerprint(id, fingerprint),
                 r == -EAGAIN ? keys.members[lacking]->name : "");
    else if (!next)
        fail_memory(call);
    else {
        (void)keyring_use(next, id,
                          grace == USEC_INFINITY ? 0 : node_keys_now(node) + grace / USEC_PER_SEC);
        change(node, call, next, "used", id, new_step_reply("p2pctl.keys-use/1", id));
    }
    node_keys_done(&keys);
}

void method_remove_key(struct node *node, struct call *call)
{
    _cleanup_(keyring_freep) struct keyring *next = NULL;
    const char *text = NULL;
    char fingerprint[FINGERPRINT_TEXT_MAX];
    struct node_keys keys = {0};
    size_t needing = 0;

    if (!keys_may_change(node, call) || !need_string(call, "key", &text))
        return;
    const struct keyring_key *key = find_key(node, call, text);
    if (!key)
        return;
    uint32_t id = key->id;
    keyring_format_fingerprint(id, fingerprint);
    int r = node_keys_look(node, &keys);
    if (r >= 0)
        r = rotation_check_remove(&keys.view, id, &needing);
    next = r >= 0 ? keyring_copy(node->keyring) : NULL;
    if (r == -EBUSY)
        call_fail(call, ERROR_CONFLICT, "p2pctl keys rotate",
                  "key %s is in use here: another has to take its place first", fingerprint);
    else if (r == -EAGAIN)
        call_fail(call, ERROR_CONFLICT, "p2pctl keys rotate", "%s still needs key %s",
                  keys.members[needing]->name, fingerprint);
    else if (!next)
        fail_memory(call);
    else {
        (void)keyring_remove(next, id);
        change(node, call, next, "removed", id, new_step_reply("p2pctl.keys-remove/1", id));
    }
    node_keys_done(&keys);
}
