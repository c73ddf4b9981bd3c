/* SPDX-License-Identifier: MIT */

/*
 * The key ring in use, and its changes: what the others have of it, the way of a new ring to the
 * disk and then to all that use keys, and what a node does by itself to finish a change that
 * others began (seal/rotation.h decides).
 */

#include "node.h"

#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "control/methods.h"
#include "journal.h"
#include "keys.h"

#define BROUGHT_MAX        32 /* keys on their way to members that lack them */
#define BRING_TIMEOUT_USEC (5 * USEC_PER_SEC)
#define STRANGER_FRESH     3 /* rejoin intervals for which a foreign key is worth a word */

uint64_t node_keys_now(const struct node *node)
{
    return (node->started_wall_usec + usec_sub(node_now(node), node->started_usec)) / USEC_PER_SEC;
}

/* --- What the others have --- */

void node_keys_done(struct node_keys *keys)
{
    free(keys->reports);
    free(keys->keys);
    free(keys->members);
}

int node_keys_look(const struct node *node, struct node_keys *ret)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    size_t max = swim_members_count(swim);
    struct record record;

    *ret = (struct node_keys){.reports = calloc(max + 1, sizeof(*ret->reports)),
                              .keys = calloc(max + 1, sizeof(*ret->keys)),
                              .members = calloc(max + 1, sizeof(*ret->members))};
    if (!ret->reports || !ret->keys || !ret->members)
        return -ENOMEM;
    ret->view = (struct rotation_view){
        .self = node->start.id, .keyring = node->keyring, .reports = ret->reports};
    for (size_t i = 0; i < max; i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        size_t place = ret->view.count;
        if (member->is_self || member->state == SWIM_DEAD || member->state == SWIM_LEFT)
            continue;
        if (node_get_record(member, &record) < 0)
            record.keys_count = 0;
        memcpy(ret->keys[place], record.keys, sizeof(ret->keys[place]));
        ret->reports[place] = (struct rotation_report){
            .id = member->id, .keys = ret->keys[place], .count = record.keys_count};
        ret->members[place] = member;
        ret->view.count++;
    }
    return 0;
}

uint32_t node_keys_choose(const struct node_id *peer, void *data)
{
    const struct node *node = data;
    const struct swim_member *member = swim_find(cluster_get_swim(node->cluster), peer);
    const struct keyring_key *key = NULL;
    struct record record;

    if (member && node->keyring && node_get_record(member, &record) >= 0)
        key = rotation_find_common(
            node->keyring,
            &(struct rotation_report){.keys = record.keys, .count = record.keys_count});
    return key ? key->id : 0;
}

int node_keys_wrap(const struct node *node, const struct swim_member *member,
                   const struct keyring_key *key, uint8_t ret[static WRAP_SIZE])
{
    uint32_t common = node_keys_choose(&member->id, (void *)(uintptr_t)node);
    const struct keyring_key *under = common > 0 ? keyring_find(node->keyring, common) : NULL;

    return under ? wrap_key(key, under, node->config->node.cluster, &member->id, ret) : -ENOKEY;
}

/* --- A new ring --- */

struct key_change {
    struct node *node;           /* borrowed; NULL = it is being taken down */
    const char *state_dir;       /* borrowed: */
    const struct config *config; /* what the worker needs of the node, which never changes */
    struct keyring *next;        /* owned */
    bool differs;                /* from the worker */
    int r;                       /* the same */
    char action[16];
    uint32_t key_id;
    void (*done)(int r, void *data);
    void *data;
};

static void run_change(void *data)
{
    struct key_change *change = data;

    change->r = keys_save(change->state_dir, change->next);
    change->differs = keys_differ(change->config, change->state_dir, change->next);
}

/* The ring is on the disk: it wins from now on. Return: 0, or what failed. */
static int apply(struct node *node, struct key_change *change)
{
    char fingerprint[FINGERPRINT_TEXT_MAX];
    int r = node->config->security.encrypt ? cluster_set_keyring(node->cluster, change->next) : 0;

    if (r >= 0 && node->config->security.tls)
        r = tls_set_keyring(node->tls, change->next);
    if (r < 0)
        return log_error_errno(r, "Cannot use the new key ring before the next start: %m");
    bool is_told = change->key_id == node->keyring->keys[0].id; /* only its times changed */
    keyring_free(node->keyring);
    node->keyring = TAKE_PTR(change->next);
    node->keyring_differs = change->differs;
    node->keys_are_settled = false;
    (void)node_tell_record(node);
    if (!is_told)
        journal_key_changed(keyring_format_fingerprint(change->key_id, fingerprint),
                            change->action);
    return 0;
}

static void change_done(void *data)
{
    struct key_change *change = data;
    struct node *node = change->node;
    int r = node ? change->r : -ECANCELED;

    if (node) {
        node->key_change = NULL;
        if (r < 0)
            log_error_errno(r, "Cannot keep the key ring in %s: %m", node->state_dir);
        else
            r = apply(node, change);
    }
    keyring_free(change->next);
    if (change->done)
        change->done(r, change->data);
    free(change);
}

int node_keys_change(struct node *node, const struct keyring *next, const char *action,
                     uint32_t key_id, void (*done)(int r, void *data), void *data)
{
    struct key_change *change;
    int r;

    if (node->key_change)
        return -EBUSY;
    change = calloc(1, sizeof(*change));
    if (!change)
        return -ENOMEM;
    *change = (struct key_change){.node = node,
                                  .state_dir = node->state_dir,
                                  .config = node->config,
                                  .next = keyring_copy(next),
                                  .key_id = key_id,
                                  .r = -ECANCELED,
                                  .done = done,
                                  .data = data};
    snprintf(change->action, sizeof(change->action), "%s", action);
    r = change->next ? worker_submit(node->worker, WORKER_COMMITS, run_change, change_done, change)
                     : -ENOMEM;
    if (r < 0) {
        keyring_free(change->next);
        free(change);
        return r;
    }
    node->key_change = change;
    return 0;
}

void node_keys_close(struct node *node)
{
    if (node->key_change)
        node->key_change->node = NULL;
}

/* --- By itself --- */

static void follow(struct node *node, const struct rotation_advice *advice)
{
    _cleanup_(keyring_freep) struct keyring *next = keyring_copy(node->keyring);
    bool is_use = advice->step == ROTATION_USE;

    if (!next)
        return;
    if (is_use)
        (void)keyring_use(next, advice->key_id,
                          node_keys_now(node) + NODE_KEYS_GRACE_USEC / USEC_PER_SEC);
    else
        (void)keyring_remove(next, advice->key_id);
    (void)node_keys_change(node, next, is_use ? "used" : "removed", advice->key_id, NULL, NULL);
}

static void on_brought(const struct remote_reply *reply, void *data)
{
    struct node *node = data;

    node->keys_brought--;
    if (reply->r < 0 || reply->error)
        log_debug("Cannot bring a key to a member: %s",
                  reply->error ? reply->error : strerror(-reply->r));
}

/* Return: whether the key is on its way. */
static bool bring(struct node *node, const struct swim_member *member, uint32_t key_id)
{
    static const struct caller caller = {.user = "p2pnode", .is_admin = true};
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    uint8_t wrapped[WRAP_SIZE];

    if (node->keys_brought >= BROUGHT_MAX || !node->config->security.tls ||
        node_keys_wrap(node, member, keyring_find(node->keyring, key_id), wrapped) < 0)
        return false;
    int r = remote_call(node->remote,
                        &(struct remote_request){.member = member,
                                                 .method = "org.p2pnode.InstallKey",
                                                 .parameters = parameters,
                                                 .body = wrapped,
                                                 .body_size = sizeof(wrapped),
                                                 .caller = &caller,
                                                 .timeout_usec = BRING_TIMEOUT_USEC},
                        on_brought, node, NULL);
    node->keys_brought += r >= 0;
    return r >= 0;
}

/* Brings keys to members that lack them, as many as may be under way, beginning with @advice. */
static void bring_all(struct node *node, struct node_keys *keys, struct rotation_advice advice,
                      uint64_t now_sec)
{
    while (advice.step == ROTATION_INSTALL) {
        struct rotation_report *report = &keys->reports[advice.report];
        if (!bring(node, keys->members[advice.report], advice.key_id) ||
            report->count == RECORD_KEYS_MAX)
            return;
        /* As if it had it already: whose turn is next? */
        keys->keys[advice.report][report->count++] = advice.key_id;
        advice = rotation_advise(&keys->view, now_sec);
    }
}

/* When the next old key may go, or UINT64_MAX. */
static uint64_t next_end(const struct keyring *keyring)
{
    uint64_t end = UINT64_MAX;

    for (size_t i = 1; i < keyring->count; i++)
        if (keyring->keys[i].until_sec > 0)
            end = MIN(end, keyring->keys[i].until_sec);
    return end;
}

static void tell_strangers(struct node *node)
{
    struct strangers *strangers = cluster_get_strangers(node->cluster);
    char text[NODE_KEYS_TEXT_MAX];
    const char *name = NULL;
    uint64_t since;

    for (size_t i = 0; i < strangers->count; i++)
        if (!strangers->items[i].is_told && node_keys_describe(node, i, &name, &since, text) > 0) {
            strangers->items[i].is_told = true;
            journal_problem("key-mismatch", name, text, false);
        }
}

void node_keys_tick(struct node *node)
{
    struct node_keys keys = {0};

    if (!node->keyring || node->has_left || node->stop_step != NODE_STOP_NONE)
        return;
    tell_strangers(node);
    uint64_t now_sec = node_keys_now(node);
    if (node->key_change || (node->keys_are_settled && now_sec < next_end(node->keyring)))
        return;
    if (node_keys_look(node, &keys) >= 0) {
        struct rotation_advice advice = rotation_advise(&keys.view, now_sec);
        node->keys_are_settled = advice.step == ROTATION_NONE;
        if (advice.step == ROTATION_INSTALL)
            bring_all(node, &keys, advice, now_sec);
        else if (advice.step != ROTATION_NONE)
            follow(node, &advice);
    }
    node_keys_done(&keys);
}

/* --- Who missed a change --- */

static const struct swim_member *find_by_address(const struct node *node,
                                                 const struct address *address)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    for (size_t i = 0; i < swim_members_count(swim); i++)
        if (address_is_equal(&swim_member_at(swim, i)->address, address))
            return swim_member_at(swim, i);
    return NULL;
}

/* Whether no other member is alive: then any foreign key may be that of our cluster. */
static bool is_alone(const struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    for (size_t i = 0; i < swim_members_count(swim); i++)
        if (!swim_member_at(swim, i)->is_self && swim_member_at(swim, i)->state == SWIM_ALIVE)
            return false;
    return true;
}

/* Who is in touch with others has what they have; so which of the two is behind? */
static void advise(const struct node *node, char *target, size_t size)
{
    if (is_alone(node))
        snprintf(
            target, size,
            "as this node hears no other, it is probably the one that missed a change of keys. "
            "Copy the file keyring of the state directory there to this machine, and here: "
            "p2pctl keys install FILE");
    else
        snprintf(target, size,
                 "it missed a change of keys. Copy %s/keyring of this node to that machine, and "
                 "there: p2pctl keys install FILE",
                 node->state_dir);
}

/* Somebody out of touch, as strangers.h has it. Return: 1 with all about it; 0. */
static int describe_stranger(const struct node *node, const struct stranger *stranger,
                             const char **ret_name, uint64_t *ret_since_wall_usec,
                             char ret[static NODE_KEYS_TEXT_MAX])
{
    char address[ADDRESS_TEXT_MAX], fingerprint[FINGERPRINT_TEXT_MAX];
    usec_t now = node_now(node);
    usec_t fresh = STRANGER_FRESH * node->config->membership.rejoin_interval_usec;
    const struct swim_member *member = find_by_address(node, &stranger->address);
    bool is_lost =
        member ? member->state == SWIM_DEAD || member->state == SWIM_LEFT : is_alone(node);

    if (!is_lost || usec_sub(now, stranger->last_usec) > fresh ||
        keyring_find(node->keyring, stranger->key_id))
        return 0;
    int used = snprintf(ret, NODE_KEYS_TEXT_MAX,
                        "%s%s%s key %s, which this node does not have: ", member ? "at " : "",
                        address_format(&stranger->address, address), member ? " it uses" : " uses",
                        keyring_format_fingerprint(stranger->key_id, fingerprint));
    advise(node, ret + used, NODE_KEYS_TEXT_MAX - (size_t)used);
    *ret_name = member ? member->name : NULL;
    *ret_since_wall_usec = usec_sub(node_wall(node), usec_sub(now, stranger->first_usec));
    return 1;
}

/* A member in touch, but not with the key that this node uses. Return: as above. */
static int describe_member(const struct node *node, const struct swim_member *member,
                           const char **ret_name, uint64_t *ret_since_wall_usec,
                           char ret[static NODE_KEYS_TEXT_MAX])
{
    uint32_t primary = node->keyring->keys[0].id;
    char fingerprint[FINGERPRINT_TEXT_MAX];
    struct record record;

    if (member->state != SWIM_ALIVE || node_get_record(member, &record) < 0)
        return 0;
    struct rotation_report report = {.keys = record.keys, .count = record.keys_count};
    if (rotation_report_has(&report, primary))
        return 0;
    snprintf(ret, NODE_KEYS_TEXT_MAX, "it lacks key %s, which this node uses: p2pctl keys rotate",
             keyring_format_fingerprint(primary, fingerprint));
    *ret_name = member->name;
    *ret_since_wall_usec = 0;
    return 1;
}

int node_keys_describe(const struct node *node, size_t i, const char **ret_name,
                       uint64_t *ret_since_wall_usec, char ret[static NODE_KEYS_TEXT_MAX])
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    const struct strangers *strangers = cluster_get_strangers(node->cluster);

    if (!node->keyring || i >= strangers->count + swim_members_count(swim))
        return -ENOENT;
    if (i < strangers->count)
        return describe_stranger(node, &strangers->items[i], ret_name, ret_since_wall_usec, ret);
    return describe_member(node, swim_member_at(swim, i - strangers->count), ret_name,
                           ret_since_wall_usec, ret);
}
