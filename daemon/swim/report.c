/* SPDX-License-Identifier: MIT */
#include "swim/report.h"

#include <stdlib.h>
#include <string.h>
#include "swim/core.h"

#define RETRY_MIN_USEC (500 * USEC_PER_MSEC)
#define TRIES_MAX      6

static void report_free(struct swim *swim, struct report *report)
{
    list_remove(&report->link);
    timer_done(&swim->timers, &report->timer);
    swim->reports.count--;
    free(report);
}

void reports_init(struct swim *swim)
{
    list_init(&swim->reports.active);
}

void reports_done(struct swim *swim)
{
    list_for_each_safe (link, &swim->reports.active)
        report_free(swim, list_entry(link, struct report, link));
}

/* Seeds that died meanwhile have other worries. Return: how many have to be told yet. */
static size_t count_waiting(const struct swim *swim, struct report *report)
{
    size_t count = 0;

    for (size_t i = 0; i < report->seeds_count; i++) {
        const struct member *seed = member_find(swim, &report->seeds[i]);
        if (report->answers[i] == REPORT_WAITS && (!seed || seed->shown.turn == 0))
            report->answers[i] = REPORT_FAILED;
        count += report->answers[i] == REPORT_WAITS;
    }
    return count;
}

static void tell_some(struct swim *swim, const struct report *report, bool has_acked)
{
    struct node_id seeds[SWIM_SEEDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < report->seeds_count; i++)
        if ((report->answers[i] == REPORT_ACKED) == has_acked)
            seeds[count++] = report->seeds[i];
    if (count == 0)
        return;
    struct swim_event *event =
        event_add_names(swim, SWIM_EVENT_REPORTED, member_find(swim, &report->id), seeds, count);
    event->address = report->address;
    event->count = (uint32_t)count;
    event->is_fatal = !has_acked;
}

static void end(struct swim *swim, struct report *report)
{
    tell_some(swim, report, true);
    tell_some(swim, report, false);
    report_free(swim, report);
}

static void on_timer(struct swim *swim, struct timer *timer)
{
    struct report *report = CONTAINER_OF(timer, struct report, timer);
    struct message message = {.type = MESSAGE_REPORT};

    if (count_waiting(swim, report) == 0 || report->tries >= TRIES_MAX) {
        end(swim, report);
        return;
    }
    message.seq = report->seq;
    message.id = report->id;
    message.incarnation = report->incarnation;
    message.address = report->address;
    message.wall_usec = report->wall_usec;
    message.count = (uint32_t)report->evidence.through_count;
    memcpy(message.through, report->evidence.through, sizeof(message.through));
    for (size_t i = 0; i < report->seeds_count; i++) {
        const struct member *seed = member_find(swim, &report->seeds[i]);
        if (report->answers[i] == REPORT_WAITS)
            packet_send_message(swim, &seed->shown.address, &seed->shown.id, &message);
    }
    timer_set(&swim->timers, timer, swim->now + (RETRY_MIN_USEC << report->tries++));
}

size_t report_send(struct swim *swim, const struct member *member, const struct evidence *evidence,
                   struct node_id ret_seeds[static SWIM_SEEDS_MAX])
{
    struct report *report = swim->reports.count < REPORTS_MAX ? calloc(1, sizeof(*report)) : NULL;

    if (!report || timer_init(&swim->timers, &report->timer, on_timer) < 0) {
        free(report);
        return 0;
    }
    report->seq = core_next_seq(swim);
    report->id = member->shown.id;
    report->incarnation = member->shown.incarnation;
    report->address = member->shown.address;
    report->wall_usec = core_wall(swim);
    report->evidence = *evidence;
    list_append(&swim->reports.active, &report->link);
    swim->reports.count++;
    for (size_t i = 0; i < swim->members.live_count; i++) {
        const struct swim_member *seed = &swim->members.live[i]->shown;
        if (seed->is_seed && report->seeds_count < SWIM_SEEDS_MAX)
            report->seeds[report->seeds_count++] = seed->id;
    }
    size_t count = report->seeds_count;
    memcpy(ret_seeds, report->seeds, count * sizeof(*ret_seeds));
    on_timer(swim, &report->timer);
    return count;
}

/* --- At the seed --- */

static uint64_t hash_report(const struct source *source, const struct message *message)
{
    uint64_t hash = member_hash_id(source->id) ^ (message->incarnation.generation << 17) ^
                    message->incarnation.counter;

    return member_hash_id(&message->id) + hash * UINT64_C(0x9e3779b97f4a7c15);
}

static bool is_repeated(struct reports *reports, uint64_t hash)
{
    for (size_t i = 0; i < MIN(reports->heard_count, (size_t)REPORTS_HEARD_MAX); i++)
        if (reports->heard[i] == hash)
            return true;
    reports->heard[reports->heard_count++ % REPORTS_HEARD_MAX] = hash;
    return false;
}

int report_take(struct swim *swim, const struct source *source, const struct message *message)
{
    struct message answer = {.type = MESSAGE_REPORT_ACK};
    struct claim claim = {
        .id = message->id,
        .incarnation = message->incarnation,
        .state = SWIM_DEAD,
        .accusers = {*source->id},
        .accusers_count = 1,
    };

    answer.seq = message->seq;
    packet_send_message(swim, source->address, source->id, &answer);
    if (swim->self->shown.is_seed && !core_is_self(swim, &message->id) &&
        !is_repeated(&swim->reports, hash_report(source, message))) {
        const struct member *by = member_find(swim, source->id);
        struct swim_event *event =
            event_add_names(swim, SWIM_EVENT_DEAD_REPORT, member_find(swim, &message->id),
                            message->through, message->count);
        event->by = by ? &by->shown : NULL;
        event->address = message->address;
        event->wall_usec = message->wall_usec;
        event->count = message->count;
    }
    return view_take_short(swim, source, &claim);
}

void report_take_ack(struct swim *swim, const struct source *source, const struct message *message)
{
    list_for_each_safe (link, &swim->reports.active) {
        struct report *report = list_entry(link, struct report, link);
        for (size_t i = 0; report->seq == message->seq && i < report->seeds_count; i++)
            if (node_id_is_equal(&report->seeds[i], source->id)) {
                report->answers[i] = REPORT_ACKED;
                if (count_waiting(swim, report) == 0)
                    end(swim, report);
                return;
            }
    }
}
