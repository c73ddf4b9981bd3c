/* SPDX-License-Identifier: MIT */
#include "sched/slots.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include "sched/slots_core.h"

/* What one attempt has to say is said in this order. */
static const enum slots_action_type order[] = {
    SLOTS_START, SLOTS_KILL,   SLOTS_CONTINUE, SLOTS_STARTED, SLOTS_PAUSE,
    SLOTS_RENEW, SLOTS_REPORT, SLOTS_HANDBACK, SLOTS_DROPPED,
};

static bool is_valid(const struct slots_config *config)
{
    if (config->types_count > SLOTS_TYPES_MAX)
        return false;
    for (size_t i = 0; i < config->types_count; i++)
        if (!text_is_type_name(config->types[i].name) || config->types[i].slots == 0)
            return false;
    return true;
}

/* What its type takes, or more where a task asks for that; who is larger than the node takes it
 * all.
 */
static uint32_t slots_of(const struct slots *slots, const struct slots_type *type, uint32_t wanted)
{
    return MAX(MIN(MAX(type->slots, wanted), slots->config.slots), 1U);
}

static int copy_config(struct slots *slots, const struct slots_config *config)
{
    struct slots_type *types = calloc(config->types_count + 1, sizeof(*types));
    uint32_t *running = calloc(config->types_count + 1, sizeof(*running));

    if (!types || !running) {
        free(types);
        free(running);
        return -ENOMEM;
    }
    if (config->types_count > 0)
        memcpy(types, config->types, config->types_count * sizeof(*types));
    types[config->types_count] = (struct slots_type){.name = TASK_TYPE_COMMAND, .slots = 1};
    free(slots->types);
    free(slots->running_types);
    slots->types = types;
    slots->running_types = running;
    slots->config = *config;
    slots->config.types = types;
    return 0;
}

int slots_new(const struct slots_config *config, uint64_t seed, usec_t now, struct slots **ret)
{
    struct slots *slots;
    int r;

    if (!is_valid(config))
        return -EINVAL;
    slots = calloc(1, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    r = copy_config(slots, config);
    if (r < 0) {
        free(slots);
        return r;
    }
    table_init(&slots->by_key, sizeof(struct slots_key), seed);
    table_init(&slots->by_id, sizeof(uint64_t), seed);
    table_init(&slots->by_user, 0, seed);
    list_init(&slots->users);
    list_init(&slots->active);
    list_init(&slots->ended);
    list_init(&slots->telling);
    table_init(&slots->back_by_key, sizeof(struct slots_key), seed);
    list_init(&slots->backs);
    slots->slice_end_usec = USEC_INFINITY;
    slots->now = now;
    slots->next_id = 1;
    *ret = slots;
    return 0;
}

struct slots *slots_free(struct slots *slots)
{
    if (!slots)
        return NULL;
    for (size_t i = 0; slots->by_id.count > 0; i = 0)
        entry_free(slots, table_next(&slots->by_id, &i));
    table_done(&slots->by_key);
    table_done(&slots->by_id);
    slots_backs_done(slots);
    queue_done(slots);
    heap_done(&slots->timers);
    free(slots->types);
    free(slots->running_types);
    free(slots->gone);
    free(slots->places);
    free(slots);
    return NULL;
}

/*
 * Pauses the one whose turn is over while another user waits. Return: whether there was one; else
 * slice_end_usec says when to look again.
 */
static bool pause_one(struct slots *slots)
{
    usec_t quantum = slots->config.is_fifo ? 0 : slots->config.quantum_usec;

    slots->slice_end_usec = USEC_INFINITY;
    if (quantum == 0 || slots->queued == 0 || slots->is_stopping)
        return false;
    list_for_each (link, &slots->active) {
        struct entry *entry = list_entry(link, struct entry, queue);
        usec_t end = usec_add(entry->slice_usec, quantum);
        if (entry->killing != KILL_NONE || !queue_has_other(slots, entry))
            continue;
        if (end > slots->now)
            slots->slice_end_usec = MIN(slots->slice_end_usec, end);
        else if (entry->public.state == SLOTS_RUNNING && entry_pause(slots, entry) >= 0)
            return true;
    }
    return false;
}

void slots_start_next(struct slots *slots)
{
    struct entry *entry;

    do
        while (!slots->is_stopping && (entry = queue_next(slots)))
            entry_start(slots, entry);
    while (pause_one(slots));
}

void slots_advance(struct slots *slots, usec_t now)
{
    slots->now = MAX(slots->now, now);
}

/* Empties the queue into @function, each user's attempts in their order. */
static void for_each_queued(struct slots *slots, void (*function)(struct slots *, struct entry *))
{
    struct list all;

    list_init(&all);
    for (;;) {
        struct user *user = list_first(&slots->users, struct user, link);
        if (!user)
            break;
        struct entry *entry = list_first(&user->queue, struct entry, queue);
        queue_remove(slots, entry);
        list_append(&all, &entry->queue);
    }
    list_for_each_safe (link, &all) {
        struct entry *entry = list_entry(link, struct entry, queue);
        list_remove(&entry->queue);
        function(slots, entry);
    }
}

/* What has begun stays. */
static void keep_paused(struct slots *slots, struct entry *entry)
{
    if (queue_add(slots, entry) < 0)
        entry_start(slots, entry);
}

static void hand_back_unable(struct slots *slots, struct entry *entry)
{
    if (entry->public.state == SLOTS_PAUSED)
        keep_paused(slots, entry);
    else
        entry_hand_back(slots, entry, SLOTS_HANDBACK_UNABLE);
}

static void hand_back_draining(struct slots *slots, struct entry *entry)
{
    if (entry->public.state == SLOTS_PAUSED)
        keep_paused(slots, entry);
    else
        entry_hand_back(slots, entry, SLOTS_HANDBACK_DRAINING);
}

/* Queued again under the new configuration, or handed back. */
static void queue_again(struct slots *slots, struct entry *entry)
{
    if (entry->public.state == SLOTS_PAUSED) {
        keep_paused(slots, entry);
        return;
    }
    entry->type = slots_find_type(slots, &entry->public.spec);
    if (!entry->type || slots->config.slots == 0 || queue_add(slots, entry) < 0) {
        entry_hand_back(slots, entry, SLOTS_HANDBACK_TYPE);
        return;
    }
    entry->used = slots_of(slots, entry->type, entry->public.spec.slots);
}

int slots_set_config(struct slots *slots, const struct slots_config *config, usec_t now)
{
    const struct slots_type *old;
    int r;

    slots_advance(slots, now);
    if (!is_valid(config))
        return -EINVAL;
    r = copy_config(slots, config);
    if (r < 0)
        return r;
    old = slots->types + slots->config.types_count;
    table_for_each (&slots->by_id, struct entry *, entry) {
        if (entry->public.state == SLOTS_QUEUED || entry->public.state == SLOTS_ENDED)
            continue;
        /* What runs of a vanished type counts as a command: no limit applies to it. */
        const struct slots_type *type = slots_find_type(slots, &entry->public.spec);
        entry->type = type ? type : old;
        slots->running_types[entry->type - slots->types]++;
    }
    for_each_queued(slots, queue_again);
    slots_start_next(slots);
    return 0;
}

static bool is_gone(const struct slots *slots, const struct slots_key *key)
{
    for (size_t i = 0; slots->gone && i < SLOTS_GONE_MAX; i++)
        if (memcmp(&slots->gone[i], key, sizeof(*key)) == 0)
            return true;
    return false;
}

static int check_offer(const struct slots *slots, const struct slots_key *key,
                       const struct task_spec *spec)
{
    char reason[TASK_REASON_MAX + 1];
    bool is_own = node_id_is_equal(&key->origin, &slots->config.id);

    if (task_spec_check(spec, reason) < 0)
        return -EINVAL;
    if (spec->is_confidential && !is_own)
        return -EPERM;
    if (is_gone(slots, key))
        return -ESTALE;
    return slots_check_room(slots, &key->origin, spec->type, task_spec_get_kind(spec));
}

int slots_offer(struct slots *slots, const struct slots_key *key, const char *origin_name,
                const struct task_spec *spec, usec_t lease_usec, usec_t now)
{
    struct entry *entry;
    int r;

    slots_advance(slots, now);
    if (table_find(&slots->by_key, key))
        return 1;
    slots_release(slots, key);
    r = check_offer(slots, key, spec);
    if (r < 0)
        return r;
    r = entry_new(slots, key, origin_name, spec, &entry);
    if (r < 0)
        return r;
    entry->type = slots_find_type(slots, spec);
    entry->used = slots_of(slots, entry->type, entry->public.spec.slots);
    entry->public.queued_usec = slots->now;
    const usec_t timeout_usec = spec->timeout_usec          ? spec->timeout_usec
                                : entry->type->timeout_usec ? entry->type->timeout_usec
                                                            : slots->config.timeout_usec;
    entry->public.timeout_usec = timeout_usec == TASK_TIMEOUT_NONE ? 0 : timeout_usec;
    entry_set_lease(slots, entry, lease_usec);
    r = queue_add(slots, entry);
    if (r < 0) {
        entry_free(slots, entry);
        return r;
    }
    entry_arm(slots, entry);
    slots_start_next(slots);
    return 0;
}

int slots_restore(struct slots *slots, const struct slots_key *key, const char *origin_name,
                  const struct task_spec *spec, const struct task_end *end, usec_t now)
{
    struct entry *entry;
    int r;

    slots_advance(slots, now);
    if (table_find(&slots->by_key, key))
        return -EEXIST;
    r = entry_new(slots, key, origin_name, spec, &entry);
    if (r < 0)
        return r;
    entry_end(slots, entry, end);
    return 0;
}

struct slots_attempt *slots_query(struct slots *slots, const struct slots_key *key, usec_t now)
{
    struct entry *entry = table_find(&slots->by_key, key);

    slots_advance(slots, now);
    if (entry) {
        entry_ask_renewal(slots, entry);
        return &entry->public;
    }
    /* Without memory for that, there is none to take it up either. */
    if (!is_gone(slots, key) && slots_make_gone(slots) == 0)
        slots_remember_gone(slots, key);
    return NULL;
}

void slots_started(struct slots *slots, uint64_t id, usec_t ago_usec, usec_t now)
{
    struct entry *entry = table_find(&slots->by_id, &id);

    slots_advance(slots, now);
    if (!entry || entry->public.state != SLOTS_STARTING)
        return;
    entry->public.state = SLOTS_RUNNING;
    /* Not before it had its slot. */
    entry->slice_usec = MAX(entry->slice_usec, usec_sub(slots->now, ago_usec));
    entry->public.started_usec = entry->slice_usec;
    entry_tell(slots, entry, SLOTS_STARTED);
    entry_arm(slots, entry);
    slots_start_next(slots);
}

void slots_exited(struct slots *slots, uint64_t id, const struct task_end *end, usec_t now)
{
    struct entry *entry = table_find(&slots->by_id, &id);

    slots_advance(slots, now);
    if (!entry || (entry->public.state != SLOTS_STARTING && entry->public.state != SLOTS_RUNNING &&
                   entry->public.state != SLOTS_PAUSED))
        return;
    entry_end(slots, entry, end);
    slots_start_next(slots);
}

int slots_hand_back(struct slots *slots, uint64_t id, enum slots_handback reason, usec_t now)
{
    struct entry *entry = table_find(&slots->by_id, &id);

    slots_advance(slots, now);
    if (!entry || entry->public.state != SLOTS_STARTING || entry->killing != KILL_NONE)
        return -ESRCH;
    entry_hand_back(slots, entry, reason);
    slots_start_next(slots);
    return 0;
}

void slots_cancel(struct slots *slots, const struct slots_key *key, int signal, usec_t grace_usec,
                  usec_t now)
{
    struct entry *entry = table_find(&slots->by_key, key);

    slots_advance(slots, now);
    if (!entry)
        return;
    entry_kill(slots, entry, KILL_CANCEL, signal > 0 && signal <= 64 ? signal : SIGTERM,
               grace_usec);
    slots_start_next(slots);
}

void slots_recall(struct slots *slots, const struct slots_key *key, usec_t now)
{
    struct entry *entry = table_find(&slots->by_key, key);

    slots_advance(slots, now);
    if (entry && entry->public.state == SLOTS_QUEUED)
        entry_hand_back(slots, entry, SLOTS_HANDBACK_RECALLED);
}

void slots_acked(struct slots *slots, const struct slots_key *key, usec_t now)
{
    struct entry *entry = table_find(&slots->by_key, key);

    slots_advance(slots, now);
    if (entry && entry->public.state == SLOTS_ENDED)
        entry_drop(slots, entry);
}

void slots_set_draining(struct slots *slots, bool is_draining, usec_t now)
{
    slots_advance(slots, now);
    slots->is_draining = is_draining || slots->is_stopping;
    if (slots->is_draining)
        for_each_queued(slots, hand_back_draining);
}

void slots_set_able(struct slots *slots, bool is_able, usec_t now)
{
    slots_advance(slots, now);
    slots->is_unable = !is_able;
    if (slots->is_unable)
        for_each_queued(slots, hand_back_unable);
}

static void kill_all(struct slots *slots, enum kill_reason reason)
{
    table_for_each (&slots->by_id, struct entry *, entry)
        entry_kill(slots, entry, reason, SIGTERM, slots->config.kill_grace_usec);
}

void slots_evict(struct slots *slots, usec_t now)
{
    slots_advance(slots, now);
    kill_all(slots, KILL_EVICT);
}

void slots_stop(struct slots *slots, usec_t now)
{
    slots_advance(slots, now);
    slots->is_stopping = true;
    slots_set_draining(slots, true, now);
    kill_all(slots, KILL_STOP);
}

void slots_tick(struct slots *slots, usec_t now)
{
    slots_advance(slots, now);
    while (heap_deadline(&slots->timers) <= slots->now) {
        struct heap_entry *first = heap_first(&slots->timers);
        struct entry *entry = CONTAINER_OF(first, struct entry, timer);
        (void)heap_set(&slots->timers, first, SLOTS_NEVER);
        entry_check(slots, entry);
    }
    slots_start_next(slots);
}

bool slots_next_action(struct slots *slots, struct slots_action *ret)
{
    if (slots->dropped) {
        entry_free(slots, slots->dropped);
        slots->dropped = NULL;
    }
    for (;;) {
        struct entry *entry = list_first(&slots->telling, struct entry, told);
        if (!entry)
            return false;
        size_t i = 0;
        while (i < ARRAY_SIZE(order) && !(entry->actions & (1U << order[i])))
            i++;
        if (i == ARRAY_SIZE(order)) {
            list_remove(&entry->told);
            continue;
        }
        entry->actions &= ~(1U << order[i]);
        *ret = (struct slots_action){
            .type = order[i],
            .attempt = &entry->public,
            .signal = entry->signal,
            .asked_usec = entry->asked_usec,
            .reason = entry->reason,
        };
        if (order[i] == SLOTS_DROPPED)
            slots->dropped = entry;
        return true;
    }
}

usec_t slots_deadline(const struct slots *slots)
{
    usec_t first = heap_deadline(&slots->timers);

    first = MIN(first, slots->slice_end_usec);
    return first >= SLOTS_NEVER ? USEC_INFINITY : first;
}

struct slots_attempt *slots_find(const struct slots *slots, const struct slots_key *key)
{
    struct entry *entry = table_find(&slots->by_key, key);

    return entry ? &entry->public : NULL;
}

struct slots_attempt *slots_find_id(const struct slots *slots, uint64_t id)
{
    struct entry *entry = table_find(&slots->by_id, &id);

    return entry ? &entry->public : NULL;
}

struct slots_attempt *slots_next(const struct slots *slots, size_t *i)
{
    struct entry *entry = table_next(&slots->by_id, i);

    return entry ? &entry->public : NULL;
}

uint32_t slots_get_free(const struct slots *slots, const char *type)
{
    uint32_t free_slots = slots->config.slots - MIN(slots->used, slots->config.slots);

    for (size_t i = 0; i < slots->config.types_count; i++) {
        const struct slots_type *found = slots->types + i;
        if (strcmp(found->name, type) != 0)
            continue;
        uint32_t count = free_slots / slots_of(slots, found, 0);
        if (found->max == 0)
            return count;
        return MIN(count, found->max - MIN(found->max, slots->running_types[i]));
    }
    return 0;
}
