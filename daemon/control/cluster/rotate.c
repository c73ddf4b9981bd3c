/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/*
 * A change of the key of the whole cluster: this node brings a new key to all, and when all report
 * it, tells all to use it. Each of them looks for itself whether all have it (keys.c). Old keys go
 * by themselves when the grace is over (node_keys.c). Whatever happens to this node meanwhile, all
 * can still talk; the same command at any node goes on from there.
 */

#define STEP_USEC     (200 * USEC_PER_MSEC) /* between looks at what the others report */
#define ACCURACY_USEC USEC_PER_MSEC
#define ANSWER_USEC   (5 * USEC_PER_SEC)
#define PATIENCE_USEC (30 * USEC_PER_SEC) /* for one phase */
#define FAILURE_MAX   256

struct rotating {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    sd_event_source *timer;
    uint32_t key_id;
    usec_t grace_usec;
    bool is_using;
    bool is_resumed;     /* somebody else began it */
    bool is_self_told;   /* this node has taken the step of the phase */
    usec_t give_up_usec; /* this phase */
    struct list errands;
    char failure[FAILURE_MAX]; /* what a member said last */
};

/* One member that this phase concerns: what it was told, and what it answered. */
struct errand {
    struct list link;
    struct rotating *rotating; /* borrowed */
    struct node_id id;
    struct remote_call *remote; /* borrowed while under way */
    bool is_done;               /* it took the step */
};

static void clear_errands(struct rotating *rotating)
{
    list_for_each_safe (link, &rotating->errands) {
        struct errand *errand = list_entry(link, struct errand, link);
        if (errand->remote)
            remote_cancel(errand->remote);
        list_remove(link);
        free(errand);
    }
}

static void rotating_free(struct rotating *rotating)
{
    clear_errands(rotating);
    sd_event_source_disable_unref(rotating->timer);
    free(rotating);
}

/* The client is gone: what has been done stays, and can be finished later. */
static void on_gone(struct call *call _unused_, void *data)
{
    rotating_free(data);
}

/* Ends it and gives the call back, to be answered. */
static struct call *finish(struct rotating *rotating)
{
    struct call *call = rotating->call;

    rotating_free(rotating);
    return call;
}

/* --- Other nodes --- */

static void on_answer(const struct remote_reply *reply, void *data)
{
    struct errand *errand = data;
    struct rotating *rotating = errand->rotating;
    const struct swim_member *member =
        swim_find(cluster_get_swim(rotating->node->cluster), &errand->id);
    const char *message = reply->r < 0 ? remote_explain(reply->r) : "it failed";

    errand->remote = NULL;
    errand->is_done = reply->r >= 0 && !reply->error;
    if (errand->is_done || !member)
        return;
    if (reply->r >= 0)
        (void)json_get_string(reply->parameters, "message", &message);
    snprintf(rotating->failure, sizeof(rotating->failure), "%s: %s", member->name, message);
}

static struct errand *find_errand(struct rotating *rotating, const struct node_id *id)
{
    list_for_each (link, &rotating->errands) {
        struct errand *errand = list_entry(link, struct errand, link);
        if (node_id_is_equal(&errand->id, id))
            return errand;
    }
    struct errand *errand = calloc(1, sizeof(*errand));
    if (errand) {
        *errand = (struct errand){.rotating = rotating, .id = *id};
        list_append(&rotating->errands, &errand->link);
    }
    return errand;
}

/* Tells @member to take the step of this phase. */
static void tell(struct rotating *rotating, struct errand *errand, const struct swim_member *member)
{
    struct node *node = rotating->node;
    const struct keyring_key *key = keyring_find(node->keyring, rotating->key_id);
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    uint8_t wrapped[WRAP_SIZE];
    char id[9], grace[32];
    struct remote_request request = {.member = member,
                                     .method = "org.p2pnode.InstallKey",
                                     .parameters = parameters,
                                     .caller = &rotating->call->caller,
                                     .timeout_usec = ANSWER_USEC};

    if (rotating->is_using) {
        snprintf(id, sizeof(id), "%08x", (unsigned)rotating->key_id);
        json_add_string(parameters, "key", id);
        json_add_string(parameters, "grace", text_format_usec(rotating->grace_usec, grace));
        request.method = "org.p2pnode.UseKey";
    } else if (!key || node_keys_wrap(node, member, key, wrapped) < 0) {
        snprintf(rotating->failure, sizeof(rotating->failure), "%s: it has no key of this node",
                 member->name);
        return;
    } else {
        request.body = wrapped;
        request.body_size = sizeof(wrapped);
    }
    (void)remote_call(node->remote, &request, on_answer, errand, &errand->remote);
}

/* --- This node --- */

static void change_self(struct rotating *rotating)
{
    struct node *node = rotating->node;
    _cleanup_(keyring_freep) struct keyring *next = keyring_copy(node->keyring);
    uint64_t until_sec = node_keys_now(node) + rotating->grace_usec / USEC_PER_SEC;

    if (next && keyring_use(next, rotating->key_id, until_sec) == 0 &&
        node_keys_change(node, next, "used", rotating->key_id, NULL, NULL) == 0)
        rotating->is_self_told = true;
}

/* A newer key than the one in use that somebody installed, else one of our own. */
static int choose_key(struct rotating *rotating, const struct node_keys *keys)
{
    struct node *node = rotating->node;
    const struct keyring_key *newer = keyring_find_newer(node->keyring);
    uint32_t primary = node->keyring->keys[0].id;
    _cleanup_(keyring_freep) struct keyring *next = NULL;
    struct keyring_key key;
    int r;

    rotating->is_resumed = newer || rotation_count_users(&keys->view, primary) <= keys->view.count;
    if (rotating->is_resumed) {
        rotating->key_id = newer ? newer->id : primary;
        return 0;
    }
    next = keyring_copy(node->keyring);
    if (!next)
        return -ENOMEM;
    r = keyring_make_key(next, node_keys_now(node), &key);
    if (r == 0)
        r = keyring_add(next, &key);
    if (r == 0)
        r = node_keys_change(node, next, "installed", key.id, NULL, NULL);
    rotating->key_id = key.id;
    OPENSSL_cleanse(&key, sizeof(key));
    return r;
}

/* --- The phases --- */

static void notify(struct rotating *rotating, size_t count)
{
    char fingerprint[FINGERPRINT_TEXT_MAX];
    cJSON *json = cJSON_CreateObject();

    if (!rotating->call->wants_more) {
        cJSON_Delete(json);
        return;
    }
    json_add_string(json, "type", rotating->is_using ? "used" : "installed");
    json_add_string(json, "key", keyring_format_fingerprint(rotating->key_id, fingerprint));
    json_add_u64(json, "nodes", count);
    json_add_bool(json, "resumed", rotating->is_resumed);
    call_notify(rotating->call, json);
}

static void begin_phase(struct rotating *rotating)
{
    clear_errands(rotating);
    rotating->give_up_usec = usec_add(node_now(rotating->node), PATIENCE_USEC);
    rotating->failure[0] = '\0';
}

/* Whether @member had the key when it was heard of last. */
static bool has_taken(const struct swim_member *member, uint32_t key_id)
{
    struct record record;

    if (node_get_record(member, &record) < 0)
        return false;
    struct rotation_report report = {.keys = record.keys, .count = record.keys_count};
    return rotation_report_has(&report, key_id);
}

/* Who did not get the key, since nobody is there to take it. */
static void add_absent(const struct node *node, uint32_t key_id, cJSON *reply)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    cJSON *absent = cJSON_AddArrayToObject(reply, "absent");

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if ((member->state == SWIM_DEAD || member->state == SWIM_LEFT) &&
            !has_taken(member, key_id))
            cJSON_AddItemToArray(absent, cJSON_CreateString(member->name));
    }
}

static void answer(struct rotating *rotating, size_t count)
{
    const struct keyring *ring = rotating->node->keyring;
    char fingerprint[FINGERPRINT_TEXT_MAX];
    cJSON *reply = call_new_reply("p2pctl.keys-rotate/1");

    json_add_string(reply, "type", "end");
    json_add_string(reply, "key", keyring_format_fingerprint(rotating->key_id, fingerprint));
    json_add_u64(reply, "nodes", count);
    cJSON *old = cJSON_AddArrayToObject(reply, "old");
    for (size_t i = 1; i < ring->count; i++)
        cJSON_AddItemToArray(
            old, cJSON_CreateString(keyring_format_fingerprint(ring->keys[i].id, fingerprint)));
    json_add_double(reply, "grace_s", (double)rotating->grace_usec / USEC_PER_SEC);
    json_add_bool(reply, "resumed", rotating->is_resumed);
    add_absent(rotating->node, rotating->key_id, reply);
    call_reply(finish(rotating), reply);
}

static void give_up(struct rotating *rotating, const struct swim_member *member)
{
    bool is_using = rotating->is_using;
    char failure[FAILURE_MAX], fingerprint[FINGERPRINT_TEXT_MAX], name[NODE_NAME_MAX + 1] = "";

    snprintf(failure, sizeof(failure), "%s", rotating->failure);
    snprintf(name, sizeof(name), "%s", member ? member->name : rotating->node->config->node.name);
    keyring_format_fingerprint(rotating->key_id, fingerprint);
    call_fail(finish(rotating), ERROR_TIMEOUT, "go on where it stopped: p2pctl keys rotate",
              "key %s is not %s %s; nobody is cut off%s%s%s", fingerprint,
              is_using ? "in use on" : "on", name, *failure ? " (" : "", failure,
              *failure ? ")" : "");
}

/* Whether the member of report @i has done its part, told where it has not been. */
static bool attend(struct rotating *rotating, const struct node_keys *keys, size_t i)
{
    const struct rotation_report *report = &keys->reports[i];
    struct errand *errand = find_errand(rotating, &report->id);
    bool is_done = rotating->is_using ? report->count > 0 && report->keys[0] == rotating->key_id
                                      : rotation_report_has(report, rotating->key_id);

    /* Using is told to each, even where it went on by itself: it has to hear of the grace. */
    if (errand && !errand->is_done && !errand->remote && (rotating->is_using || !is_done))
        tell(rotating, errand, keys->members[i]);
    return is_done && (!rotating->is_using || (errand && errand->is_done));
}

/* Looks where everybody is. Return: whether the phase is over, with the number of nodes; else
 * @ret_waiting is a member that is behind, NULL for this node. */
static bool look(struct rotating *rotating, const struct node_keys *keys,
                 const struct swim_member **ret_waiting)
{
    const struct keyring *ring = rotating->node->keyring;
    bool is_over = rotating->is_using
                       ? ring->keys[0].id == rotating->key_id && rotating->is_self_told
                       : keyring_find(ring, rotating->key_id) != NULL;

    *ret_waiting = NULL;
    if (!is_over && !rotating->is_using)
        return false; /* not on our own disk yet */
    for (size_t i = 0; i < keys->view.count; i++)
        if (!attend(rotating, keys, i)) {
            *ret_waiting = keys->members[i];
            is_over = false;
        }
    return is_over;
}

static void take_step(struct rotating *rotating)
{
    struct node *node = rotating->node;
    const struct swim_member *waiting = NULL;
    struct node_keys keys = {0};
    bool is_looked = node_keys_look(node, &keys) >= 0;
    bool is_over = is_looked && look(rotating, &keys, &waiting);
    size_t count = keys.view.count + 1;

    node_keys_done(&keys);
    const struct keyring_key *key = keyring_find(node->keyring, rotating->key_id);
    if (key && keyring_is_newer(&node->keyring->keys[0], key)) {
        call_fail(finish(rotating), ERROR_CONFLICT, "p2pctl keys list",
                  "another change of keys was begun meanwhile, and its key is newer");
        return;
    }
    if (rotating->is_using && !rotating->is_self_told)
        change_self(rotating);
    if (is_over) {
        notify(rotating, count);
        if (rotating->is_using) {
            answer(rotating, count);
            return;
        }
        rotating->is_using = true;
        begin_phase(rotating);
    } else if (node_now(node) >= rotating->give_up_usec) {
        give_up(rotating, waiting);
        return;
    }
    (void)sd_event_source_set_time_relative(rotating->timer, STEP_USEC);
    (void)sd_event_source_set_enabled(rotating->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    take_step(data);
    return 0;
}

/* Takes the call and @rotating. */
static void fail_begin(struct rotating *rotating, int r)
{
    struct call *call = finish(rotating);

    if (r == -ENOSPC)
        call_fail(call, ERROR_NO_SPACE, "p2pctl keys remove KEY",
                  "the key ring is full: it has %d keys", KEYRING_KEYS_MAX);
    else if (r == -EBUSY)
        call_fail(call, ERROR_BUSY, "p2pctl keys list",
                  "another change of the key ring is under way");
    else
        call_fail(call, error_from_errno(r), NULL, "cannot make a new key: %s", strerror(-r));
}

void method_rotate_keys(struct node *node, struct call *call)
{
    usec_t grace_usec = NODE_KEYS_GRACE_USEC;
    struct node_keys keys = {0};

    if (!keys_may_change(node, call) || !keys_read_grace(call, &grace_usec))
        return;
    if (!node->config->security.tls)
        return call_fail(call, ERROR_CONFLICT, "on every node: p2pctl keys install FILE",
                         "keys travel over TLS only, and security.tls is off");
    struct rotating *rotating = calloc(1, sizeof(*rotating));
    if (!rotating)
        return fail_memory(call);
    *rotating = (struct rotating){.node = node, .call = call, .grace_usec = grace_usec};
    list_init(&rotating->errands);
    call_on_gone(call, on_gone, rotating);
    begin_phase(rotating);
    int r = node_keys_look(node, &keys);
    if (r >= 0)
        r = choose_key(rotating, &keys);
    node_keys_done(&keys);
    if (r >= 0)
        r = sd_event_add_time_relative(node->event, &rotating->timer, CLOCK_MONOTONIC, STEP_USEC,
                                       ACCURACY_USEC, on_timer, rotating);
    if (r < 0)
        fail_begin(rotating, r);
}
