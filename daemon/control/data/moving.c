/* SPDX-License-Identifier: MIT */
#include "control/data/moving.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "control/data/file.h"
#include "journal.h"

#define STOP_TEXT_MAX (FILES_NAME_MAX + NODE_NAME_MAX + 192)
#define RATE_OLD      0.7 /* weight of what the rate was, four times a second */

struct moving *moving_new(struct node *node, struct call *call, const char *place, const char *name,
                          bool is_put)
{
    struct moving *moving = calloc(1, sizeof(*moving));

    if (!moving) {
        fail_memory(call);
        return NULL;
    }
    *moving = (struct moving){
        .node = node, .call = call, .is_put = is_put, .count = 1, .total = FILES_SIZE_UNKNOWN};
    list_init(&moving->link);
    list_append(&node->moves, &moving->link);
    snprintf(moving->place, sizeof(moving->place), "%s", place ? place : node->config->node.name);
    snprintf(moving->name, sizeof(moving->name), "%s", name);
    return moving;
}

struct moving *moving_free(struct moving *moving)
{
    if (moving)
        list_remove(&moving->link);
    free(moving);
    return NULL;
}

void moving_note(struct moving *moving, const struct transfer_progress *progress)
{
    usec_t now = node_now(moving->node), since = usec_sub(now, moving->progress_usec);

    if (moving->progress_usec > 0 && since > 0 && progress->done >= moving->done) {
        double rate = (double)(progress->done - moving->done) * USEC_PER_SEC / (double)since;
        moving->rate = moving->rate > 0 ? RATE_OLD * moving->rate + (1 - RATE_OLD) * rate : rate;
    }
    moving->progress_usec = now;
    moving->done = progress->done;
    moving->total = progress->total;
}

bool moving_is_here(const struct moving *moving)
{
    return strcmp(moving->place, moving->node->config->node.name) == 0;
}

/* What was wanted and is damaged where it is stored: of many the first. */
static void tell_changed(const struct moving *moving, const struct transfer_end *end)
{
    /* What a put wanted is in the own store. */
    const char *place = moving->is_put || moving_is_here(moving) ? NULL : moving->place;

    /* What a client puts is stored nowhere yet, whatever the other node says of it. */
    if (moving->is_put && !*moving->stored)
        return;
    if (end->r == -ESTALE) {
        file_tell_changed(moving->node, *moving->stored ? moving->stored : moving->name, place);
        return;
    }
    for (size_t i = 0; i < end->count; i++)
        if (end->list[i].r == -ESTALE) {
            file_tell_changed(moving->node, end->list[i].name, place);
            return;
        }
}

/* Nobody waits: what became of it is an event. */
static void tell_failure(const struct moving *moving, const struct transfer_end *end)
{
    char text[TRANSFERS_REASON_MAX + 2 * FILES_NAME_MAX];
    const char *reason = end->reason;
    size_t failed = 0;

    for (size_t i = 0; i < end->count; i++)
        if (end->list[i].r < 0 && failed++ == 0 && end->list[i].reason)
            reason = end->list[i].reason;
    if (end->r < 0)
        failed = moving->count;
    if (failed == 0)
        return;
    if (moving->count > 1)
        snprintf(text, sizeof(text), "cannot put %zu of %zu files to %s: %s", failed, moving->count,
                 moving->place, reason);
    else
        snprintf(text, sizeof(text), "cannot put \"%s\" to %s: %s", moving->name, moving->place,
                 reason);
    journal_problem("file-not-put", NULL, text, false);
}

bool moving_is_resumable(const struct moving *moving)
{
    return moving->count == 1 && moving->done > 0 && moving->total != FILES_SIZE_UNKNOWN &&
           moving->total >= UPLOAD_RESUME_MIN;
}

/* "cannot put ... to ...: " and how far it came. */
static void format_stop(const struct moving *moving, char target[static STOP_TEXT_MAX])
{
    char done[32], total[32];
    int used = snprintf(target, STOP_TEXT_MAX, "cannot put \"%s\"", moving->name);

    if (moving->count > 1)
        used = snprintf(target, STOP_TEXT_MAX, "cannot put all of %zu files", moving->count);
    used += snprintf(target + used, STOP_TEXT_MAX - (size_t)used, " to %s: p2pnode stopped",
                     moving->place);
    if (moving_is_resumable(moving))
        (void)snprintf(target + used, STOP_TEXT_MAX - (size_t)used,
                       " after %s of %s; repeat the command to go on from there",
                       text_show_size((double)moving->done, done),
                       text_show_size((double)moving->total, total));
    else
        (void)snprintf(target + used, STOP_TEXT_MAX - (size_t)used, "; repeat the command");
}

void moving_tell_stop(struct node *node)
{
    char text[STOP_TEXT_MAX];

    list_for_each (link, &node->moves) {
        struct moving *moving = list_entry(link, struct moving, link);
        if (moving->call || moving->is_told)
            continue;
        moving->is_told = true;
        format_stop(moving, text);
        journal_problem("file-not-put", NULL, text, false);
    }
}

void moving_tell_journal(const struct moving *moving, const struct transfer_end *end)
{
    const struct transfer_item *first = NULL;
    uint64_t size = 0;
    size_t count = 0;

    tell_changed(moving, end);
    if (!moving->call)
        tell_failure(moving, end);
    if (!moving->is_put || !moving_is_here(moving))
        return;
    if (end->count == 0 && end->r == 0)
        journal_file_stored(end->info.name, end->info.size, end->info.owner, 1);
    for (size_t i = 0; i < end->count; i++)
        if (end->list[i].r == 0) {
            first = first ? first : &end->list[i];
            size += end->list[i].size;
            count++;
        }
    if (first)
        journal_file_stored(first->name, size, end->owner, count);
}

void file_add_transfers(const struct node *node, cJSON *json)
{
    cJSON *list = cJSON_AddArrayToObject(json, "transfers");

    list_for_each (link, &node->moves) {
        const struct moving *moving = list_entry(link, struct moving, link);
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "name", moving->name);
        json_add_u64(item, "files", moving->count);
        json_add_string(item, "node", moving->place);
        json_add_string(item, "direction", moving->is_put ? "out" : "in");
        json_add_u64(item, "done_bytes", moving->done);
        if (moving->total == FILES_SIZE_UNKNOWN)
            json_add_null(item, "total_bytes");
        else
            json_add_u64(item, "total_bytes", moving->total);
        json_add_double(item, "rate_bytes_s", moving->rate > 0 ? moving->rate : (double)NAN);
        cJSON_AddItemToArray(list, item);
    }
}
