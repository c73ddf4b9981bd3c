/* SPDX-License-Identifier: MIT */
#include "seal/rotation.h"

#include <errno.h>
#include <string.h>

bool rotation_report_has(const struct rotation_report *report, uint32_t key_id)
{
    for (size_t i = 0; i < report->count; i++)
        if (report->keys[i] == key_id)
            return true;
    return false;
}

static bool is_using(const struct rotation_report *report, uint32_t key_id)
{
    return report->count > 0 && report->keys[0] == key_id;
}

size_t rotation_count_holders(const struct rotation_view *view, uint32_t key_id)
{
    size_t count = keyring_find(view->keyring, key_id) != NULL;

    for (size_t i = 0; i < view->count; i++)
        count += rotation_report_has(&view->reports[i], key_id);
    return count;
}

size_t rotation_count_users(const struct rotation_view *view, uint32_t key_id)
{
    size_t count = view->keyring->keys[0].id == key_id;

    for (size_t i = 0; i < view->count; i++)
        count += is_using(&view->reports[i], key_id);
    return count;
}

int rotation_check_use(const struct rotation_view *view, uint32_t key_id, size_t *ret_report)
{
    const struct keyring_key *key = keyring_find(view->keyring, key_id);

    if (!key)
        return -ENOENT;
    if (keyring_is_newer(&view->keyring->keys[0], key))
        return -ESTALE;
    for (size_t i = 0; i < view->count; i++)
        if (!rotation_report_has(&view->reports[i], key_id)) {
            *ret_report = i;
            return -EAGAIN;
        }
    return 0;
}

int rotation_check_remove(const struct rotation_view *view, uint32_t key_id, size_t *ret_report)
{
    uint32_t primary = view->keyring->keys[0].id;

    if (!keyring_find(view->keyring, key_id))
        return -ENOENT;
    if (key_id == primary)
        return -EBUSY;
    for (size_t i = 0; i < view->count; i++)
        if (is_using(&view->reports[i], key_id) ||
            !rotation_report_has(&view->reports[i], primary)) {
            *ret_report = i;
            return -EAGAIN;
        }
    return 0;
}

/* The newest key of ours that somebody else uses already and all have, if it is newer than ours. */
static const struct keyring_key *find_next(const struct rotation_view *view)
{
    const struct keyring_key *next = NULL;
    size_t report;

    for (size_t i = 0; i < view->count; i++) {
        const struct keyring_key *key = view->reports[i].count > 0
                                            ? keyring_find(view->keyring, view->reports[i].keys[0])
                                            : NULL;
        if (key && keyring_is_newer(key, next ? next : &view->keyring->keys[0]) &&
            rotation_check_use(view, key->id, &report) == 0)
            next = key;
    }
    return next;
}

static bool have_common(const struct rotation_report *a, const struct rotation_report *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (rotation_report_has(b, a->keys[i]))
            return true;
    return false;
}

/* Whether nobody with a lower id uses our key, too, and can bring it to @needy. */
static bool is_ours_to_bring(const struct rotation_view *view, const struct rotation_report *needy)
{
    for (size_t i = 0; i < view->count; i++)
        if (is_using(&view->reports[i], view->keyring->keys[0].id) &&
            have_common(&view->reports[i], needy) &&
            memcmp(&view->reports[i].id, &view->self, sizeof(view->self)) < 0)
            return false;
    return true;
}

const struct keyring_key *rotation_find_common(const struct keyring *keyring,
                                               const struct rotation_report *report)
{
    for (size_t i = 0; i < keyring->count; i++)
        if (rotation_report_has(report, keyring->keys[i].id))
            return &keyring->keys[i];
    return NULL;
}

/* Whether @report is of a member that lacks the key we use, and it is on us to bring it. */
static bool is_needy(const struct rotation_view *view, const struct rotation_report *report)
{
    const struct keyring_key *primary = &view->keyring->keys[0];
    const struct keyring_key *its =
        report->count > 0 ? keyring_find(view->keyring, report->keys[0]) : NULL;

    if (rotation_report_has(report, primary->id) || !rotation_find_common(view->keyring, report))
        return false;
    return !(its && keyring_is_newer(its, primary)) && is_ours_to_bring(view, report);
}

struct rotation_advice rotation_advise(const struct rotation_view *view, uint64_t now_sec)
{
    const struct keyring *keyring = view->keyring;
    const struct keyring_key *next = find_next(view);
    size_t report;

    if (next)
        return (struct rotation_advice){.step = ROTATION_USE, .key_id = next->id};
    for (size_t i = 0; i < view->count; i++)
        if (is_needy(view, &view->reports[i]))
            return (struct rotation_advice){
                .step = ROTATION_INSTALL, .key_id = keyring->keys[0].id, .report = i};
    for (size_t i = 1; i < keyring->count; i++)
        if (keyring->keys[i].until_sec > 0 && keyring->keys[i].until_sec <= now_sec &&
            rotation_check_remove(view, keyring->keys[i].id, &report) == 0)
            return (struct rotation_advice){.step = ROTATION_REMOVE, .key_id = keyring->keys[i].id};
    return (struct rotation_advice){.step = ROTATION_NONE};
}
