/* SPDX-License-Identifier: MIT */
#include "sched/slots.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "sched/slots_core.h"

const struct slots_type *slots_find_type_name(const struct slots *slots, const char *name,
                                              enum task_kind kind)
{
    if (kind != TASK_TYPED)
        return slots->types + slots->config.types_count;
    for (size_t i = 0; i < slots->config.types_count; i++)
        if (strcmp(slots->types[i].name, name) == 0)
            return slots->types + i;
    return NULL;
}

const struct slots_type *slots_find_type(const struct slots *slots, const struct task_spec *spec)
{
    return slots_find_type_name(slots, spec->type, task_spec_get_kind(spec));
}

int entry_new(struct slots *slots, const struct slots_key *key, const char *origin_name,
              const struct task_spec *spec, struct entry **ret)
{
    struct entry *entry;
    int r = slots_make_gone(slots);

    if (r < 0)
        return r;
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    entry->public.key = *key;
    entry->public.id = slots->next_id;
    task_format_text(entry->public.origin_name, sizeof(entry->public.origin_name), "%s",
                     origin_name);
    list_init(&entry->queue);
    list_init(&entry->ended);
    list_init(&entry->told);
    entry->lease_end_usec = entry->renew_usec = USEC_INFINITY;
    entry->kill_usec = entry->report_usec = USEC_INFINITY;
    r = task_spec_copy(spec, &entry->public.spec);
    if (r < 0) {
        free(entry);
        return r;
    }
    /* It stays in the heap from here on, so that moving it cannot fail. */
    r = heap_set(&slots->timers, &entry->timer, SLOTS_NEVER);
    if (r >= 0)
        r = table_insert(&slots->by_key, &entry->public.key, entry);
    if (r >= 0) {
        r = table_insert(&slots->by_id, &entry->public.id, entry);
        if (r < 0)
            (void)table_remove(&slots->by_key, &entry->public.key);
    }
    if (r < 0) {
        heap_remove(&slots->timers, &entry->timer);
        task_spec_done(&entry->public.spec);
        free(entry);
        return r;
    }
    slots->next_id++;
    *ret = entry;
    return 0;
}

void entry_free(struct slots *slots, struct entry *entry)
{
    queue_remove(slots, entry);
    list_remove(&entry->queue);
    list_remove(&entry->ended);
    list_remove(&entry->told);
    heap_remove(&slots->timers, &entry->timer);
    if (table_find(&slots->by_key, &entry->public.key) == entry)
        (void)table_remove(&slots->by_key, &entry->public.key);
    (void)table_remove(&slots->by_id, &entry->public.id);
    task_spec_done(&entry->public.spec);
    free(entry);
}

void entry_tell(struct slots *slots, struct entry *entry, enum slots_action_type type)
{
    if (list_is_empty(&entry->told))
        list_append(&slots->telling, &entry->told);
    entry->actions |= 1U << type;
}

int slots_make_gone(struct slots *slots)
{
    if (!slots->gone)
        slots->gone = calloc(SLOTS_GONE_MAX, sizeof(*slots->gone));
    return slots->gone ? 0 : -ENOMEM;
}

void slots_remember_gone(struct slots *slots, const struct slots_key *key)
{
    slots->gone[slots->gone_next] = *key;
    slots->gone_next = (slots->gone_next + 1) % SLOTS_GONE_MAX;
}

void entry_start(struct slots *slots, struct entry *entry)
{
    bool is_paused = entry->public.state == SLOTS_PAUSED;

    queue_remove(slots, entry);
    slots->running++;
    slots->used += entry->used;
    entry->slice_usec = slots->now;
    list_append(&slots->active, &entry->queue);
    if (is_paused) {
        entry->public.state = SLOTS_RUNNING;
        slots->paused--;
        entry->actions &= ~(1U << SLOTS_PAUSE);
        entry_tell(slots, entry, SLOTS_CONTINUE);
    } else {
        entry->public.state = SLOTS_STARTING;
        entry->public.started_usec = slots->now;
        slots->running_types[entry->type - slots->types]++;
        entry_tell(slots, entry, SLOTS_START);
    }
    entry_arm(slots, entry);
}

int entry_pause(struct slots *slots, struct entry *entry)
{
    int r;

    list_remove(&entry->queue);
    entry->public.state = SLOTS_PAUSED;
    r = queue_add(slots, entry);
    if (r < 0) {
        entry->public.state = SLOTS_RUNNING;
        list_append(&slots->active, &entry->queue);
        return r;
    }
    entry->ran_usec = usec_add(entry->ran_usec, usec_sub(slots->now, entry->slice_usec));
    slots->running--;
    slots->used -= entry->used;
    slots->paused++;
    /* The others have their turn first, and whoever gets the slot is told after it is free. */
    list_remove(&entry->user->link);
    list_append(&slots->users, &entry->user->link);
    list_remove(&entry->told);
    list_prepend(&slots->telling, &entry->told);
    entry->actions &= ~(1U << SLOTS_CONTINUE);
    entry_tell(slots, entry, SLOTS_PAUSE);
    entry_arm(slots, entry);
    return 0;
}

/* In a slot. */
static bool runs(const struct entry *entry)
{
    return entry->public.state == SLOTS_STARTING || entry->public.state == SLOTS_RUNNING;
}

/* Its time of running is over then, if it is not paused before. */
static usec_t timeout_of(const struct entry *entry)
{
    return usec_add(entry->slice_usec, usec_sub(entry->public.timeout_usec, entry->ran_usec));
}

/* Whether its time of running counts: while its input files are still coming, it does not. */
static bool is_timed(const struct entry *entry)
{
    bool is_waiting_for_files =
        entry->public.state == SLOTS_STARTING && entry->public.spec.in.size > 0;

    return runs(entry) && !is_waiting_for_files && entry->killing == KILL_NONE &&
           entry->public.timeout_usec > 0;
}

void entry_arm(struct slots *slots, struct entry *entry)
{
    usec_t next = SLOTS_NEVER;

    if (entry->public.state == SLOTS_ENDED) {
        next = MIN(next, entry->report_usec);
        next = MIN(next, usec_add(entry->public.ended_usec, SLOTS_RESULT_KEEP_USEC));
    } else {
        next = MIN(next, entry->renew_usec);
        if (entry->killing != KILL_LEASE)
            next = MIN(next, entry->lease_end_usec);
        next = MIN(next, entry->kill_usec);
        if (is_timed(entry))
            next = MIN(next, timeout_of(entry));
    }
    (void)heap_set(&slots->timers, &entry->timer, next);
}

/* An attempt nobody has been told to start. */
static bool is_untold(const struct entry *entry)
{
    return entry->public.state == SLOTS_QUEUED || (entry->actions & (1U << SLOTS_START));
}

static struct task_end end_of_kill(const struct entry *entry, const struct task_end *end)
{
    struct task_end killed = *end;
    char limit[32];

    killed.text[0] = '\0';
    killed.is_oom = false;
    killed.code = 0;
    switch (entry->killing) {
    case KILL_NONE:
        return *end;
    case KILL_TIMEOUT:
        killed.type = TASK_END_TIMED_OUT;
        killed.code = end->type == TASK_END_SIGNAL ? end->code : 0;
        (void)snprintf(killed.text, sizeof(killed.text), "%s",
                       text_format_usec(entry->public.timeout_usec, limit));
        break;
    case KILL_CANCEL:
        killed.type = TASK_END_CANCELLED;
        killed.code = end->type == TASK_END_SIGNAL ? end->code : 0;
        break;
    case KILL_LEASE:
        killed.type = TASK_END_STOPPED;
        (void)snprintf(killed.text, sizeof(killed.text), "no contact with %s",
                       entry->public.origin_name);
        break;
    case KILL_EVICT:
        killed.type = TASK_END_STOPPED;
        (void)snprintf(killed.text, sizeof(killed.text), "the node was drained");
        break;
    case KILL_STOP:
        killed.type = TASK_END_STOPPED;
        (void)snprintf(killed.text, sizeof(killed.text), "the node stops");
        break;
    }
    return killed;
}

/* Whether it says more than the one before: KILL, another signal, or less patience. After KILL
 * there is no more to say. */
static bool is_harder(const struct entry *entry, int signal, usec_t kill_usec)
{
    return entry->kill_usec != USEC_INFINITY &&
           (signal == SIGKILL || signal != entry->signal || kill_usec < entry->kill_usec);
}

void entry_kill(struct slots *slots, struct entry *entry, enum kill_reason reason, int signal,
                usec_t grace_usec)
{
    usec_t kill_usec = usec_add(slots->now, grace_usec);

    if (entry->public.state == SLOTS_ENDED)
        return;
    /* What is stopped could not end. */
    if (entry->public.state == SLOTS_PAUSED)
        entry_start(slots, entry);
    if (is_untold(entry)) {
        struct task_end end = {0};
        entry->killing = reason;
        entry->actions &= ~(1U << SLOTS_START);
        entry_end(slots, entry, &end);
        return;
    }
    /* A repeated order changes nothing; a harder one counts, and so does the first reason. */
    if (entry->killing != KILL_NONE && !is_harder(entry, signal, kill_usec))
        return;
    if (entry->killing == KILL_NONE)
        entry->killing = reason;
    entry->signal = signal;
    entry->kill_usec = signal == SIGKILL ? USEC_INFINITY : MIN(entry->kill_usec, kill_usec);
    entry_tell(slots, entry, SLOTS_KILL);
    entry_arm(slots, entry);
}

static void release_slots(struct slots *slots, struct entry *entry)
{
    if (runs(entry)) {
        slots->running--;
        slots->used -= entry->used;
        list_remove(&entry->queue);
    } else if (entry->public.state == SLOTS_PAUSED) {
        slots->paused--;
    } else {
        return;
    }
    slots->running_types[entry->type - slots->types]--;
}

/* Without the pauses; @measured is what p2pnode-exec has measured, with them, or 0. */
static usec_t run_of(const struct slots *slots, const struct entry *entry, usec_t measured)
{
    usec_t whole = usec_sub(slots->now, entry->public.started_usec), ran = entry->ran_usec;

    if (runs(entry))
        ran = usec_add(ran, usec_sub(slots->now, entry->slice_usec));
    else if (entry->public.state != SLOTS_PAUSED)
        return measured;
    return measured > 0 ? usec_sub(measured, usec_sub(whole, ran)) : ran;
}

void entry_end(struct slots *slots, struct entry *entry, const struct task_end *end)
{
    struct task_end result = end_of_kill(entry, end);

    result.run_usec = run_of(slots, entry, result.run_usec);
    release_slots(slots, entry);
    queue_remove(slots, entry);
    entry->public.state = SLOTS_ENDED;
    entry->public.ended_usec = slots->now;
    entry->public.end = result;
    entry->actions &= ~(1U << SLOTS_KILL | 1U << SLOTS_RENEW | 1U << SLOTS_STARTED |
                        1U << SLOTS_PAUSE | 1U << SLOTS_CONTINUE);
    entry->report_delay_usec = SLOTS_REPORT_FIRST;
    entry->report_usec = usec_add(slots->now, entry->report_delay_usec);
    list_append(&slots->ended, &entry->ended);
    slots->unacked++;
    entry_tell(slots, entry, SLOTS_REPORT);
    entry_arm(slots, entry);
    struct entry *oldest = list_first(&slots->ended, struct entry, ended);
    if (oldest && slots->unacked > SLOTS_RESULTS_MAX)
        entry_drop(slots, oldest);
}

void entry_hand_back(struct slots *slots, struct entry *entry, enum slots_handback reason)
{
    entry->reason = reason;
    entry->actions = 0;
    slots_remember_back(slots, &entry->public.key, reason);
    entry_tell(slots, entry, SLOTS_HANDBACK);
    entry_drop(slots, entry);
}

void entry_drop(struct slots *slots, struct entry *entry)
{
    release_slots(slots, entry);
    queue_remove(slots, entry);
    if (!list_is_empty(&entry->ended)) {
        list_remove(&entry->ended);
        slots->unacked--;
    }
    entry->public.state = SLOTS_ENDED;
    (void)table_remove(&slots->by_key, &entry->public.key);
    (void)heap_set(&slots->timers, &entry->timer, SLOTS_NEVER);
    slots_remember_gone(slots, &entry->public.key);
    entry->actions &= 1U << SLOTS_HANDBACK;
    entry_tell(slots, entry, SLOTS_DROPPED);
}

static void check_ended(struct slots *slots, struct entry *entry)
{
    if (slots->now >= usec_add(entry->public.ended_usec, SLOTS_RESULT_KEEP_USEC)) {
        entry_drop(slots, entry);
        return;
    }
    if (slots->now >= entry->report_usec) {
        entry->report_delay_usec = MIN(entry->report_delay_usec * 2, SLOTS_REPORT_MAX);
        entry->report_usec = usec_add(slots->now, entry->report_delay_usec);
        entry_tell(slots, entry, SLOTS_REPORT);
    }
    entry_arm(slots, entry);
}

void entry_check(struct slots *slots, struct entry *entry)
{
    usec_t now = slots->now;

    if (entry->public.state == SLOTS_ENDED) {
        check_ended(slots, entry);
        return;
    }
    if (now >= entry->lease_end_usec && is_untold(entry)) {
        entry_hand_back(slots, entry, SLOTS_HANDBACK_RECALLED);
        return;
    }
    if (now >= entry->lease_end_usec && entry->killing != KILL_LEASE) {
        entry_kill(slots, entry, KILL_LEASE, SIGKILL, 0);
        entry->killing = KILL_LEASE;
        entry->renew_usec = USEC_INFINITY;
    }
    if (now >= entry->kill_usec) {
        entry->signal = SIGKILL;
        entry->kill_usec = USEC_INFINITY;
        entry_tell(slots, entry, SLOTS_KILL);
    }
    if (is_timed(entry) && now >= timeout_of(entry))
        entry_kill(slots, entry, KILL_TIMEOUT, SIGTERM, slots->config.kill_grace_usec);
    if (now >= entry->renew_usec)
        entry_ask_renewal(slots, entry);
    entry_arm(slots, entry);
}
