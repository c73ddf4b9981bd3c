/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <string.h>
#include "base/base64.h"
#include "base/bytes.h"
#include "link.h"
#include "node.h"
#include "seal/rotation.h"
#include "seal/seal.h"
#include "trace.h"

#define TICK_USEC     USEC_PER_SEC
#define REPORTED_MAX  12 /* ids that fit into a record of SIM_META_MAX */
#define KEYS_PER_RING 6  /* a change does not begin with more */

/* A ring of one key. All clusters begin with the same: it is their names that keep them apart. */
static struct keyring *make_ring(const uint8_t secret[static KEYRING_SECRET_SIZE],
                                 uint64_t made_sec)
{
    _cleanup_free_ char *encoded = base64_encode(secret, KEYRING_SECRET_SIZE);
    char text[128], error[KEYRING_ERROR_MAX];
    struct keyring *ring = NULL;

    if (!encoded)
        return NULL;
    snprintf(text, sizeof(text), "%s %llu\n", encoded, (unsigned long long)made_sec);
    return keyring_parse(text, strlen(text), error, &ring) < 0 ? NULL : ring;
}

static uint64_t now_sec(const struct sim_node *node)
{
    return node->keys_base_sec + sim_local_time(node) / USEC_PER_SEC;
}

static bool share_a_key(const struct keyring *a, const struct keyring *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (keyring_find(b, a->keys[i].id))
            return true;
    return false;
}

static bool is_up(const struct sim_node *node)
{
    return node->state != NODE_OFF && node->keyring;
}

/* Somebody who walks there with a ring: to a node that was off while keys came and went. */
static void carry_keys(struct sim_node *node)
{
    const struct sim *sim = node->sim;
    const struct sim_node *newest = NULL;

    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct sim_node *other = sim->nodes[i];
        if (other != node && is_up(other) && other->cluster == node->cluster &&
            (!newest || keyring_is_newer(&other->keyring->keys[0], &newest->keyring->keys[0])))
            newest = other;
    }
    for (size_t i = 0; newest && i < newest->keyring->count; i++)
        (void)keyring_add(node->keyring, &newest->keyring->keys[i]);
}

const struct keyring *keys_open(struct sim_node *node)
{
    uint8_t secret[KEYRING_SECRET_SIZE];

    memset(secret, 0x5a, sizeof(secret));
    if (!node->keyring)
        node->keyring = make_ring(secret, 1);
    node->keys_base_sec = (sim_wall_time(node) - sim_local_time(node)) / USEC_PER_SEC;
    if (node->keyring) {
        if (node->sim->now > usec_add(node->off_usec, KEYS_GRACE_USEC))
            carry_keys(node);
        keyring_settle(node->keyring, now_sec(node) + KEYS_GRACE_USEC / USEC_PER_SEC,
                       KEYRING_TIME_MAX);
    }
    node->keys_usec = 0;
    node->change_id = 0;
    return node->keyring;
}

void keys_free(struct sim_node *node)
{
    node->keyring = keyring_free(node->keyring);
}

void keys_write_report(struct sim_node *node)
{
    struct writer writer = writer_into(node->meta, sizeof(node->meta));
    size_t count = node->keyring ? MIN(node->keyring->count, (size_t)REPORTED_MAX) : 0;

    if (!node->keyring)
        return;
    writer_u8(&writer, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        writer_u32(&writer, node->keyring->keys[i].id);
    node->meta_size = MAX(node->meta_size, writer.position);
}

/* The other end of the same. */
static size_t read_report(const struct swim_member *member, uint32_t keys[static REPORTED_MAX])
{
    struct reader reader = reader_from(swim_get_meta(member), member->meta_size);
    size_t count = reader_u8(&reader);

    count = MIN(count, (size_t)REPORTED_MAX);
    for (size_t i = 0; i < count; i++)
        keys[i] = reader_u32(&reader);
    return reader_ok(&reader) ? count : 0;
}

/* --- Whether all hold together --- */

static void reach(const struct sim *sim, const struct sim_node *from, bool *reached)
{
    for (size_t i = 0; i < sim->nodes_count; i++)
        if (!reached[i] && is_up(sim->nodes[i]) && sim->nodes[i]->cluster == from->cluster &&
            share_a_key(from->keyring, sim->nodes[i]->keyring)) {
            reached[i] = true;
            reach(sim, sim->nodes[i], reached);
        }
}

void keys_check(struct sim *sim)
{
    _cleanup_free_ bool *reached = calloc(sim->nodes_count, sizeof(*reached));
    uint32_t clusters = 0;

    for (size_t i = 0; reached && i < sim->nodes_count; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (!is_up(node) || reached[i])
            continue;
        if (clusters & 1U << node->cluster)
            sim_fail(sim, node, "stranded: it has no key in common with anybody");
        clusters |= 1U << node->cluster;
        reached[i] = true;
        reach(sim, node, reached);
    }
}

bool keys_are_one(const struct sim *sim)
{
    const struct keyring *first = NULL;

    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (!is_up(node))
            continue;
        if (node->keyring->count != 1 || (first && !keyring_is_equal(first, node->keyring)))
            return false;
        first = node->keyring;
    }
    return first != NULL;
}

size_t keys_count(const struct sim_node *node)
{
    return node->keyring ? node->keyring->count : 0;
}

/* --- Changes --- */

/* The ring of @node has changed: what the daemon does then. */
static void apply(struct sim_node *node, const char *what)
{
    struct sim *sim = node->sim;

    sim->keys_changed_usec = sim->now;
    keys_write_report(node);
    if (!node->is_hidden)
        trace_note(sim, "%s %s", node->name, what);
    if (seal_set_keyring(node->seal, node->keyring, sim_local_time(node)) < 0 ||
        swim_set_meta(node->swim, node->meta, node->meta_size, sim_local_time(node)) < 0)
        sim_fail(sim, node, "interface: a new key ring is refused");
    keys_check(sim);
}

/* By TCP: there and back, or not at all. */
static bool is_connected(const struct sim_node *a, const struct sim_node *b)
{
    const struct link *link = a->sim->link;

    return sim_is_running(b) && !b->is_leaving && !link_is_cut(link, a->index, b->index) &&
           !link_is_cut(link, b->index, a->index);
}

static void bring(struct sim_node *node, const struct node_id *id, uint32_t key_id)
{
    struct sim_node *target = sim_by_id(node->sim, id);
    const struct keyring_key *key = keyring_find(node->keyring, key_id);

    if (!target || !key || !is_connected(node, target) ||
        !share_a_key(node->keyring, target->keyring) || keyring_add(target->keyring, key) < 0)
        return;
    struct keyring_key *added = &target->keyring->keys[target->keyring->count - 1];
    added->until_sec = keyring_is_newer(&target->keyring->keys[0], added)
                           ? now_sec(target) + KEYS_GRACE_USEC / USEC_PER_SEC
                           : 0;
    apply(target, "gets a key");
    node_settle(target);
}

static void use(struct sim_node *node, uint32_t key_id)
{
    if (keyring_use(node->keyring, key_id, now_sec(node) + KEYS_GRACE_USEC / USEC_PER_SEC) == 0)
        apply(node, "uses the new key");
}

/* The initiator's part: brings the key to whoever lacks it, and uses it when nobody does. */
static void carry_on(struct sim_node *node, const struct rotation_view *view)
{
    size_t lacking;
    int r = rotation_check_use(view, node->change_id, &lacking);

    if (r == -EAGAIN) {
        for (size_t i = 0; i < view->count; i++)
            if (!rotation_report_has(&view->reports[i], node->change_id))
                bring(node, &view->reports[i].id, node->change_id);
        return;
    }
    if (r == 0)
        use(node, node->change_id);
    node->change_id = 0;
}

static void follow(struct sim_node *node, const struct rotation_view *view)
{
    struct rotation_advice advice = rotation_advise(view, now_sec(node));

    if (advice.step == ROTATION_USE)
        use(node, advice.key_id);
    else if (advice.step == ROTATION_INSTALL)
        bring(node, &view->reports[advice.report].id, advice.key_id);
    else if (advice.step == ROTATION_REMOVE && keyring_remove(node->keyring, advice.key_id) == 0)
        apply(node, "drops an old key");
}

static void look(struct sim_node *node)
{
    size_t max = swim_members_count(node->swim), count = 0;
    _cleanup_free_ struct rotation_report *reports = calloc(max, sizeof(*reports));
    _cleanup_free_ uint32_t(*keys)[REPORTED_MAX] = calloc(max, sizeof(*keys));

    for (size_t i = 0; reports && keys && i < max; i++) {
        const struct swim_member *member = swim_member_at(node->swim, i);
        if (member->is_self || member->state >= SWIM_DEAD)
            continue;
        reports[count] = (struct rotation_report){
            .id = member->id, .keys = keys[count], .count = read_report(member, keys[count])};
        count++;
    }
    struct rotation_view view = {
        .self = node->id, .keyring = node->keyring, .reports = reports, .count = count};
    if (node->change_id != 0)
        carry_on(node, &view);
    else
        follow(node, &view);
}

static bool is_active(const struct sim_node *node)
{
    return node->seal && node->sim->key_changes > 0 && !node->is_leaving;
}

void keys_tick(struct sim_node *node)
{
    usec_t now = sim_local_time(node);

    if (!is_active(node) || now < node->keys_usec)
        return;
    node->keys_usec = now + TICK_USEC;
    look(node);
}

usec_t keys_deadline(const struct sim_node *node)
{
    return is_active(node) ? MAX(node->keys_usec, 1ULL) : USEC_INFINITY;
}

void sim_change_key(struct sim_node *node)
{
    _cleanup_(keyring_freep) struct keyring *made = NULL;
    uint8_t secret[KEYRING_SECRET_SIZE];
    uint64_t newest = now_sec(node);

    if (node->state != NODE_RUNNING || !node->seal || node->is_leaving || node->change_id != 0 ||
        node->keyring->count >= KEYS_PER_RING)
        return;
    for (size_t i = 0; i < node->keyring->count; i++)
        newest = MAX(newest, node->keyring->keys[i].made_sec + 1);
    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (uint8_t)rng_next(&node->sim->rng);
    made = make_ring(secret, newest);
    if (!made || keyring_add(node->keyring, &made->keys[0]) < 0)
        return;
    node->sim->key_changes++;
    node->change_id = made->keys[0].id;
    apply(node, "makes a key");
    /* Others may not have been awake for keys so far. */
    for (size_t i = 0; i < node->sim->nodes_count; i++)
        if (sim_is_running(node->sim->nodes[i]))
            node_settle(node->sim->nodes[i]);
}
