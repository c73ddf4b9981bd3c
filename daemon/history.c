/* SPDX-License-Identifier: MIT */
#include "history.h"

#include <fnmatch.h>
#include <string.h>
#include "base/text.h"

/* Every entry is held against every pattern, in the loop. */
#define PATTERNS_MAX     STATE_GLOBS_MAX
#define PATTERN_SIZE_MAX 64

#define LINES_ALONE_MAX 2000 /* of an answer in one piece */

/* Events and messages alike; the strings follow the struct in one allocation. */
struct entry {
    uint64_t seq;
    uint64_t wall_usec;
    const char *type; /* of an event; static */
    const char *node; /* the member concerned, or the sender; NULL = none */
    const char *task;
    const char *message;
    const char *line;
    const char *record; /* one that the disk kept: the whole of it as JSON, and of the above only
                           seq, time and type */
};

struct ring {
    struct entry **entries; /* owned; max of them, the oldest at (next - count) */
    size_t max;
    size_t next;
    size_t count;
};

/* The frequent ones have rings of their own, lest they push out the others, and stay in memory. */
enum {
    RING_NAMED,
    RING_GOSSIP,
    RING_LIVENESS,
    _RING_MAX,
};

/* Rings with one numbering, and who follows them. */
struct stream {
    struct ring rings[_RING_MAX];
    uint64_t seq;
    struct list followers;
    const char *schema;
    const char *noun;
    /* One entry as it stands in a list (@is_stream: and as an answer of its own). */
    cJSON *(*render)(const struct entry *entry, bool is_stream);
};

struct follower {
    struct list link;
    struct call *call;  /* borrowed; gone when on_gone says so */
    const cJSON *types; /* borrowed from the call's parameters */
};

struct history {
    struct stream events;
    struct stream messages;
    struct state *state; /* borrowed; NULL = in memory only */
    uint64_t saved_seq;
    size_t unsaved_count;
};

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

static cJSON *render_event(const struct entry *entry, bool is_stream _unused_)
{
    if (entry->record)
        return cJSON_CreateRaw(entry->record);
    cJSON *json = cJSON_CreateObject();
    json_add_u64(json, "seq", entry->seq);
    json_add_time(json, "time", entry->wall_usec);
    json_add_string(json, "type", entry->type);
    json_add_string(json, "node", entry->node);
    json_add_string(json, "task", entry->task);
    json_add_string(json, "message", entry->message);
    json_add_string(json, "line", entry->line);
    return json;
}

static cJSON *render_message(const struct entry *entry, bool is_stream)
{
    cJSON *json = cJSON_CreateObject();

    if (is_stream)
        json_add_string(json, "type", "message");
    json_add_time(json, "time", entry->wall_usec);
    json_add_string(json, "sender", entry->node);
    json_add_string(json, "msg", entry->message);
    return json;
}

static bool is_wanted(const struct entry *entry, const cJSON *types)
{
    if (!types || !types->child)
        return true;
    json_for_each (type, types)
        if (fnmatch(type->valuestring, entry->type, 0) == 0)
            return true;
    return false;
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

static const char *copy_text(char **position, const char *text)
{
    if (!text)
        return NULL;
    char *start = *position;
    *position = stpcpy(start, text) + 1;
    return start;
}

static size_t room_for(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* The i-th oldest. */
static const struct entry *ring_get(const struct ring *ring, size_t i)
{
    return ring->entries[(ring->next + ring->max - ring->count + i) % ring->max];
}

static void ring_add(struct ring *ring, struct entry *entry)
{
    free(ring->entries[ring->next]);
    ring->entries[ring->next] = entry;
    ring->next = (ring->next + 1) % ring->max;
    ring->count = MIN(ring->count + 1, ring->max);
}

static void stream_add(struct stream *stream, unsigned ring, const struct entry *draft)
{
    /* Gossip and liveness, which are most, say the same in both. */
    bool is_one_text = draft->line && strcmp(draft->line, draft->message) == 0;
    struct entry *entry =
        malloc(sizeof(*entry) + room_for(draft->node) + room_for(draft->task) +
               room_for(draft->message) + (is_one_text ? 0 : room_for(draft->line)));

    if (!entry || stream->rings[ring].max == 0) {
        free(entry);
        return;
    }
    char *position = (char *)(entry + 1);
    *entry = *draft;
    entry->seq = ++stream->seq;
    entry->node = copy_text(&position, draft->node);
    entry->task = copy_text(&position, draft->task);
    entry->message = copy_text(&position, draft->message);
    entry->line = is_one_text ? entry->message : copy_text(&position, draft->line);
    ring_add(&stream->rings[ring], entry);
    list_for_each_safe (link, &stream->followers) {
        struct follower *follower = list_entry(link, struct follower, link);
        /* Who does not keep up misses entries rather than holding up the daemon; seq shows the gap.
         */
        if (is_wanted(entry, follower->types) && !call_is_congested(follower->call))
            call_notify(follower->call, stream->render(entry, true));
    }
}

static int stream_init(struct stream *stream, const size_t max[static _RING_MAX])
{
    list_init(&stream->followers);
    for (size_t i = 0; i < _RING_MAX; i++) {
        stream->rings[i].max = max[i];
        stream->rings[i].entries = calloc(MAX(max[i], (size_t)1), sizeof(struct entry *));
        if (!stream->rings[i].entries)
            return -ENOMEM;
    }
    return 0;
}

static void stream_done(struct stream *stream)
{
    for (size_t i = 0; i < _RING_MAX; i++) {
        struct ring *ring = &stream->rings[i];
        for (size_t j = 0; ring->entries && j < ring->max; j++)
            free(ring->entries[j]);
        free(ring->entries);
    }
    list_for_each_safe (link, &stream->followers)
        free(list_entry(link, struct follower, link));
}

int history_new(size_t messages_max, struct history **ret)
{
    const size_t events_max[_RING_MAX] = {HISTORY_EVENTS_MAX, HISTORY_GOSSIP_MAX,
                                          HISTORY_LIVENESS_MAX};
    struct history *history = calloc(1, sizeof(*history));

    if (!history)
        return -ENOMEM;
    history->events =
        (struct stream){.schema = "p2pctl.events/1", .noun = "events", .render = render_event};
    history->messages =
        (struct stream){.schema = "p2pctl.inbox/1", .noun = "messages", .render = render_message};
    int r = stream_init(&history->events, events_max);
    int q = stream_init(&history->messages, (const size_t[_RING_MAX]){messages_max});
    if (r < 0 || q < 0) {
        history_free(history);
        return -ENOMEM;
    }
    *ret = history;
    return 0;
}

int history_set_messages_max(struct history *history, size_t messages_max)
{
    struct ring *ring = &history->messages.rings[RING_NAMED];
    struct ring next = {.max = messages_max,
                        .entries = calloc(messages_max, sizeof(*next.entries))};

    if (!next.entries)
        return -ENOMEM;
    for (size_t i = 0; i < ring->count; i++) {
        struct entry **place =
            &ring->entries[(ring->next + ring->max - ring->count + i) % ring->max];
        ring_add(&next, TAKE_PTR(*place));
    }
    free(ring->entries);
    *ring = next;
    return 0;
}

struct history *history_free(struct history *history)
{
    if (!history)
        return NULL;
    stream_done(&history->events);
    stream_done(&history->messages);
    free(history);
    return NULL;
}

/* --- The disk --- */

void history_attach(struct history *history, struct state *state, uint64_t next_event)
{
    struct ring *ring = &history->events.rings[RING_NAMED];

    history->state = state;
    history->saved_seq = next_event - 1;
    history->events.seq += next_event - 1;
    for (size_t i = 0; i < ring->count; i++)
        ring->entries[(ring->next + ring->max - ring->count + i) % ring->max]->seq +=
            next_event - 1;
}

static void put_event(struct state_batch *batch, const struct entry *entry)
{
    _cleanup_json_ cJSON *json = render_event(entry, false);
    _cleanup_free_ char *record = json ? json_format(json) : NULL;

    if (record)
        state_put_event(batch, &(struct state_event){.sequence = entry->seq,
                                                     .wall_usec = entry->wall_usec,
                                                     .type = entry->type,
                                                     .record = record});
}

void history_save(struct history *history)
{
    const struct ring *ring = &history->events.rings[RING_NAMED];
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;
    const struct entry *last = ring->count > 0 ? ring_get(ring, ring->count - 1) : NULL;

    if (!history->state || !last || last->seq <= history->saved_seq || state_batch_new(&batch) < 0)
        return;
    for (size_t i = 0; i < ring->count; i++)
        if (ring_get(ring, i)->seq > history->saved_seq)
            put_event(batch, ring_get(ring, i));
    /* A disk that is behind gets them next time; they are bounded by the ring. */
    if (state_commit(history->state, &batch) == 0) {
        history->saved_seq = last->seq;
        history->unsaved_count = 0;
    }
}

/* --- What happens --- */

static unsigned ring_of(const char *type)
{
    if (strcmp(type, "gossip") == 0)
        return RING_GOSSIP;
    return strcmp(type, "liveness") == 0 ? RING_LIVENESS : RING_NAMED;
}

void history_add_event(const struct journal_event *event, void *data)
{
    struct history *history = data;
    const char *member = NULL, *task = NULL;
    unsigned ring = ring_of(event->type);

    (void)json_get_string(event->fields, "member", &member);
    (void)json_get_string(event->fields, "task", &task);
    stream_add(&history->events, ring,
               &(struct entry){.wall_usec = event->wall_usec,
                               .type = event->type,
                               .node = member,
                               .task = task,
                               .message = event->message,
                               .line = event->line});
    if (ring == RING_NAMED && ++history->unsaved_count >= HISTORY_EVENTS_MAX / 2)
        history_save(history);
}

void history_add_message(struct history *history, const char *sender, const char *text,
                         uint64_t wall_usec)
{
    stream_add(&history->messages, 0,
               &(struct entry){.wall_usec = wall_usec, .node = sender, .message = text});
}

void history_add_timeline(const struct history *history, const char *name, cJSON *list)
{
    const struct ring *ring = &history->events.rings[RING_NAMED];

    for (size_t i = 0; i < ring->count; i++) {
        const struct entry *entry = ring_get(ring, i);
        if (!entry->node || strcmp(entry->node, name) != 0)
            continue;
        cJSON *item = cJSON_CreateObject();
        json_add_time(item, "time", entry->wall_usec);
        json_add_string(item, "text", entry->message);
        cJSON_AddItemToArray(list, item);
    }
}

static void on_follower_gone(struct call *call _unused_, void *data)
{
    struct follower *follower = data;

    list_remove(&follower->link);
    free(follower);
}

static void follow(struct stream *stream, struct call *call, const cJSON *types)
{
    struct follower *follower = calloc(1, sizeof(*follower));

    if (!follower) {
        call_fail(call, ERROR_INTERNAL, NULL, "out of memory");
        return;
    }
    *follower = (struct follower){.call = call, .types = types};
    list_append(&stream->followers, &follower->link);
    call_on_gone(call, on_follower_gone, follower);
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
    return walk->positions[i] < ring->count ? ring_get(ring, walk->positions[i]) : NULL;
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
    return entry->wall_usec >= request->since_wall_usec && is_wanted(entry, request->types);
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
        follow(stream, request->call, request->types);
    else
        call_reply_list(request->call, reply, stream->noun);
}

/* Return: whether it was understood; else the call is answered. */
static bool read_request(struct call *call, uint64_t wall_usec, struct request *ret)
{
    usec_t since_usec = USEC_INFINITY;
    const char *since = NULL;

    ret->call = call;
    ret->lines = UINT64_MAX;
    if (json_get_bool(call->parameters, "follow", &ret->follows) < 0 ||
        (ret->follows && !call->wants_more))
        call_invalid(call, "follow");
    else if (json_get_u64(call->parameters, "lines", UINT32_MAX, &ret->lines) < 0)
        call_invalid(call, "lines");
    else if (json_get_string(call->parameters, "since", &since) < 0 ||
             (since && text_parse_usec(since, &since_usec) < 0))
        call_invalid(call, "since");
    else {
        ret->since_wall_usec = usec_sub(wall_usec, since_usec);
        ret->lines = MIN(ret->lines, call->wants_more ? STATE_ROWS_MAX : LINES_ALONE_MAX);
        return true;
    }
    return false;
}

static void on_request_gone(struct call *call _unused_, void *data)
{
    struct request *request = data;

    request->call = NULL;
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
                                .record = events[i].record};
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
    call_on_gone(request->call, on_request_gone, copy);
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
