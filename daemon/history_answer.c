/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "base/text.h"
#include "history_core.h"

/* What a caller asks of the history: the last lines, from the rings and from the disk. */

/* Every entry is held against every pattern, in the loop. */
#define PATTERNS_MAX     STATE_GLOBS_MAX
#define PATTERN_SIZE_MAX 64

#define LINES_ALONE_MAX 2000 /* of an answer in one piece */

/* What one caller wants to see. */
struct request {
    struct history *history;
    struct stream *stream;
    struct call *call;  /* NULL once it is gone */
    const cJSON *types; /* borrowed from the call's parameters */
    uint64_t lines;     /* the last so many */
    uint64_t since_wall_usec;
    bool follows;
};

/*
 * Whether a stored event may be of a confidential task. Those of former versions do not say, so it
 * is looked for the word that it is not: the key with its quotes is in no text of a record, since
 * quotes are escaped there.
 */
static bool is_stored_confidential(const struct state_event *event)
{
    return strncmp(event->type, "task-", strlen("task-")) == 0 &&
           !strstr(event->record, "\"confidential\":false");
}

/* Whether these are patterns, and few. */
static bool are_patterns(const cJSON *types)
{
    size_t count = 0;

    json_for_each (type, types)
        if (++count > PATTERNS_MAX || !cJSON_IsString(type) ||
            strlen(type->valuestring) > PATTERN_SIZE_MAX)
            return false;
    return true;
}

/* The rings and what the disk had, in one order; what is in both comes once. */
struct walk {
    const struct stream *stream;
    const struct entry *old;
    size_t old_count;
    size_t positions[_RING_MAX + 1];
};

static const struct entry *walk_peek(const struct walk *walk, size_t i)
{
    if (i == _RING_MAX)
        return walk->positions[i] < walk->old_count ? &walk->old[walk->positions[i]] : NULL;
    const struct ring *ring = &walk->stream->rings[i];
    return walk->positions[i] < ring->count ? history_ring_get(ring, walk->positions[i]) : NULL;
}

static const struct entry *walk_next(struct walk *walk)
{
    const struct entry *first = NULL;

    for (size_t i = 0; i <= _RING_MAX; i++) {
        const struct entry *entry = walk_peek(walk, i);
        if (entry && (!first || entry->seq < first->seq))
            first = entry;
    }
    for (size_t i = 0; first && i <= _RING_MAX; i++) {
        const struct entry *entry = walk_peek(walk, i);
        walk->positions[i] += entry && entry->seq == first->seq;
    }
    return first;
}

static bool is_shown(const struct request *request, const struct entry *entry)
{
    return entry->wall_usec >= request->since_wall_usec &&
           history_is_wanted(entry, request->types) &&
           history_may_hear(&request->call->caller, entry);
}

/* @old: what the disk had, in rising order. */
static void answer(const struct request *request, const struct entry *old, size_t old_count)
{
    struct stream *stream = request->stream;
    struct walk walk = {.stream = stream, .old = old, .old_count = old_count}, count = walk;
    const struct entry *entry;
    uint64_t found = 0;
    cJSON *reply = request->follows ? NULL : call_new_reply(stream->schema);
    cJSON *list = reply ? cJSON_AddArrayToObject(reply, stream->noun) : NULL;

    while ((entry = walk_next(&count)))
        found += is_shown(request, entry);
    while ((entry = walk_next(&walk))) {
        if (!is_shown(request, entry) || found-- > request->lines)
            continue;
        if (request->follows)
            call_notify(request->call, stream->render(entry, true));
        else
            cJSON_AddItemToArray(list, stream->render(entry, false));
    }
    if (request->follows)
        history_follow(stream, request->call, request->types);
    else
        call_reply_list(request->call, reply, stream->noun);
}

/* Return: whether it was understood; else the call is answered. */
static bool read_request(struct call *call, uint64_t wall_usec, struct request *ret)
{
    ret->call = call;
    ret->lines = UINT64_MAX;
    if (json_get_bool(call->parameters, "follow", &ret->follows) < 0 ||
        (ret->follows && !call->wants_more))
        call_invalid(call, "follow");
    else if (json_get_u64(call->parameters, "lines", UINT32_MAX, &ret->lines) < 0)
        call_invalid(call, "lines");
    else if (json_get_since(call->parameters, "since", wall_usec, &ret->since_wall_usec) < 0)
        call_invalid(call, "since");
    else {
        ret->lines = MIN(ret->lines, call->wants_more ? STATE_ROWS_MAX : LINES_ALONE_MAX);
        return true;
    }
    return false;
}

static void on_stored(int r, const struct state_event *events, size_t count, void *data)
{
    _cleanup_free_ struct request *request = data;
    _cleanup_free_ struct entry *old = NULL;

    if (!request->call)
        return;
    call_on_gone(request->call, NULL, NULL);
    /* What the disk does not tell is missing; the rest is not. */
    old = r < 0 ? NULL : calloc(MAX(count, (size_t)1), sizeof(*old));
    for (size_t i = 0; old && i < count; i++)
        old[i] = (struct entry){.seq = events[i].sequence,
                                .wall_usec = events[i].wall_usec,
                                .type = events[i].type,
                                .record = events[i].record,
                                .is_confidential = is_stored_confidential(&events[i])};
    answer(request, old, old ? count : 0);
}

/* Return: whether the disk was asked. */
static bool ask_disk(const struct request *request)
{
    const char *types[PATTERNS_MAX + 1] = {NULL};
    struct state_event_query query = {.since_wall_usec = request->since_wall_usec,
                                      .limit = (size_t)request->lines};
    struct history *history = request->history;
    size_t count = 0;

    /* Of what the last lines are some may be none of the caller's business. */
    if (request->call->caller.is_remote && query.limit > 0)
        query.limit = STATE_ROWS_MAX;
    json_for_each (type, request->types)
        types[count++] = type->valuestring;
    if (count > 0)
        query.types = types;
    struct request *copy = history->state && query.limit > 0 ? malloc(sizeof(*copy)) : NULL;
    if (!copy)
        return false;
    *copy = *request;
    if (state_query_events(history->state, &query, on_stored, copy) < 0) {
        free(copy);
        return false;
    }
    call_hold(request->call, &copy->call);
    return true;
}

void history_serve_events(struct history *history, struct call *call, uint64_t wall_usec)
{
    struct request request = {.history = history, .stream = &history->events};

    if (json_get_array(call->parameters, "types", &request.types) < 0 ||
        !are_patterns(request.types)) {
        call_invalid(call, "types");
        return;
    }
    if (read_request(call, wall_usec, &request) && !ask_disk(&request))
        answer(&request, NULL, 0);
}

void history_serve_inbox(struct history *history, struct call *call, uint64_t wall_usec)
{
    struct request request = {.history = history, .stream = &history->messages};

    if (read_request(call, wall_usec, &request))
        answer(&request, NULL, 0);
}
