/* SPDX-License-Identifier: MIT */
#include "sched/slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sched/slots_core.h"

static void free_user(struct slots *slots, struct user *user)
{
    list_remove(&user->link);
    (void)table_remove(&slots->by_user, user->key);
    free(user);
}

/* In order of arrival all users are one. */
static void make_key(const struct slots *slots, const struct entry *entry,
                     char key[static SLOTS_USER_KEY_MAX + 1])
{
    char id[NODE_ID_TEXT_MAX];

    if (slots->config.is_fifo)
        key[0] = '\0';
    else
        (void)snprintf(key, SLOTS_USER_KEY_MAX + 1, "%s@%s", entry->public.spec.user,
                       node_id_format(&entry->public.key.origin, id));
}

int queue_add(struct slots *slots, struct entry *entry)
{
    char key[SLOTS_USER_KEY_MAX + 1];

    make_key(slots, entry, key);
    struct user *user = table_find(&slots->by_user, key);
    if (!user) {
        user = calloc(1, sizeof(*user));
        if (!user)
            return -ENOMEM;
        memcpy(user->key, key, sizeof(key));
        list_init(&user->queue);
        list_init(&user->link);
        int r = table_insert(&slots->by_user, user->key, user);
        if (r < 0) {
            free(user);
            return r;
        }
        list_append(&slots->users, &user->link);
    }
    if (entry->public.state == SLOTS_PAUSED)
        list_insert_before(user->queue.next, &entry->queue);
    else
        list_append(&user->queue, &entry->queue);
    entry->user = user;
    slots->queued++;
    return 0;
}

void queue_remove(struct slots *slots, struct entry *entry)
{
    struct user *user = entry->user;

    if (!user)
        return;
    list_remove(&entry->queue);
    entry->user = NULL;
    slots->queued--;
    if (list_is_empty(&user->queue))
        free_user(slots, user);
}

bool slots_is_at_max(const struct slots *slots, const struct slots_type *type)
{
    return type->max > 0 && slots->running_types[type - slots->types] >= type->max;
}

/*
 * Its origin has left two questions for a longer lease without an answer. What would begin now
 * would be stopped before it had done anything, and would count as begun.
 */
static bool is_doubtful(const struct slots *slots, const struct entry *entry)
{
    return entry->lease_usec > 0 &&
           usec_add(slots->now, entry->lease_usec / 3) >= entry->lease_end_usec;
}

/*
 * The first of @user whose type may run one more and whose lease lasts; while too many are paused,
 * only one of those. It is not passed over for lack of slots: then nobody starts until it fits, or
 * small tasks would keep a large one waiting for ever.
 */
static struct entry *first_of(const struct slots *slots, struct user *user)
{
    list_for_each (link, &user->queue) {
        struct entry *entry = list_entry(link, struct entry, queue);
        if (entry->public.state == SLOTS_PAUSED ||
            (slots->paused <= SLOTS_PAUSED_MAX && !slots_is_at_max(slots, entry->type) &&
             !is_doubtful(slots, entry)))
            return entry;
    }
    return NULL;
}

bool queue_has_other(const struct slots *slots, const struct entry *entry)
{
    char key[SLOTS_USER_KEY_MAX + 1];

    make_key(slots, entry, key);
    list_for_each (link, &slots->users) {
        struct user *user = list_entry(link, struct user, link);
        if (strcmp(user->key, key) != 0 && first_of(slots, user))
            return true;
    }
    return false;
}

struct entry *queue_next(struct slots *slots)
{
    uint32_t free_slots = slots->config.slots - MIN(slots->used, slots->config.slots);

    if (free_slots == 0)
        return NULL;
    list_for_each (link, &slots->users) {
        struct user *user = list_entry(link, struct user, link);
        struct entry *entry = first_of(slots, user);
        if (!entry)
            continue;
        if (entry->used > free_slots)
            return NULL;
        list_remove(&user->link);
        list_append(&slots->users, &user->link);
        return entry;
    }
    return NULL;
}

void queue_done(struct slots *slots)
{
    list_for_each_safe (link, &slots->users)
        free_user(slots, list_entry(link, struct user, link));
    table_done(&slots->by_user);
}
