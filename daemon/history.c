/* SPDX-License-Identifier: MIT */
#include "history.h"

#include <fnmatch.h>
#include <string.h>
#include "base/text.h"

/* Every entry is held against every pattern, in the loop. */
#define PATTERNS_MAX     32
#define PATTERN_SIZE_MAX 64

/* Events and messages alike; the strings follow the struct in one allocation. */
struct entry {
    uint64_t seq;
    uint64_t wall_usec;
    const char *type; /* of an event; static */
    const char *node; /* the member concerned, or the sender; NULL = none */
    const char *task;
    const char *message;
    const char *line;
};

struct ring {
    struct entry **entries; /* owned; max of them, the oldest at (next - count) */
    size_t max;
    size_t next;
    size_t count;
    uint64_t seq;
    struct list followers;
    /* One entry as it stands in a list (@is_stream: and as an answer of its own). */
    cJSON *(*render)(const struct entry *entry, bool is_stream);
};

struct follower {
    struct list link;
    struct call *call;  /* borrowed; gone when on_gone says so */
    const cJSON *types; /* borrowed from the call's parameters */
};

struct history {
    struct ring events;
    struct ring messages;
};

static cJSON *render_event(const struct entry *entry, bool is_stream _unused_)
{
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

static void ring_add(struct ring *ring, const struct entry *draft)
{
    struct entry *entry = malloc(sizeof(*entry) + room_for(draft->node) + room_for(draft->task) +
                                 room_for(draft->message) + room_for(draft->line));

    if (!entry || ring->max == 0) {
        free(entry);
        return;
    }
    char *position = (char *)(entry + 1);
    *entry = *draft;
    entry->seq = ++ring->seq;
    entry->node = copy_text(&position, draft->node);
    entry->task = copy_text(&position, draft->task);
    entry->message = copy_text(&position, draft->message);
    entry->line = copy_text(&position, draft->line);
    free(ring->entries[ring->next]);
    ring->entries[ring->next] = entry;
    ring->next = (ring->next + 1) % ring->max;
    ring->count = MIN(ring->count + 1, ring->max);
    list_for_each_safe (link, &ring->followers) {
        struct follower *follower = list_entry(link, struct follower, link);
        /* Who does not keep up misses entries rather than holding up the daemon; seq shows the gap.
         */
        if (is_wanted(entry, follower->types) && !call_is_congested(follower->call))
            call_notify(follower->call, ring->render(entry, true));
    }
}

/* The i-th oldest. */
static const struct entry *ring_get(const struct ring *ring, size_t i)
{
    return ring->entries[(ring->next + ring->max - ring->count + i) % ring->max];
}

static int ring_init(struct ring *ring, size_t max,
                     cJSON *(*render)(const struct entry *entry, bool is_stream))
{
    *ring = (struct ring){.max = max, .render = render};
    list_init(&ring->followers);
    ring->entries = calloc(MAX(max, (size_t)1), sizeof(*ring->entries));
    return ring->entries ? 0 : -ENOMEM;
}

static void ring_done(struct ring *ring)
{
    for (size_t i = 0; ring->entries && i < ring->max; i++)
        free(ring->entries[i]);
    free(ring->entries);
    list_for_each_safe (link, &ring->followers)
        free(list_entry(link, struct follower, link));
}

int history_new(size_t messages_max, struct history **ret)
{
    struct history *history = calloc(1, sizeof(*history));

    if (!history)
        return -ENOMEM;
    int r = ring_init(&history->events, HISTORY_EVENTS_MAX, render_event);
    int q = ring_init(&history->messages, messages_max, render_message);
    if (r < 0 || q < 0) {
        history_free(history);
        return -ENOMEM;
    }
    *ret = history;
    return 0;
}

struct history *history_free(struct history *history)
{
    if (!history)
        return NULL;
    ring_done(&history->events);
    ring_done(&history->messages);
    free(history);
    return NULL;
}

void history_add_event(const struct journal_event *event, void *data)
{
    struct history *history = data;
    const char *member = NULL, *task = NULL;

    (void)json_get_string(event->fields, "member", &member);
    (void)json_get_string(event->fields, "task", &task);
    ring_add(&history->events, &(struct entry){.wall_usec = event->wall_usec,
                                               .type = event->type,
                                               .node = member,
                                               .task = task,
                                               .message = event->message,
                                               .line = event->line});
}

void history_add_message(struct history *history, const char *sender, const char *text,
                         uint64_t wall_usec)
{
    ring_add(&history->messages,
             &(struct entry){.wall_usec = wall_usec, .node = sender, .message = text});
}

void history_add_timeline(const struct history *history, const char *name, cJSON *list)
{
    for (size_t i = 0; i < history->events.count; i++) {
        const struct entry *entry = ring_get(&history->events, i);
        if (!entry->node || strcmp(entry->node, name) != 0 ||
            strcmp(entry->type, "liveness") == 0 || strcmp(entry->type, "gossip") == 0)
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

static void follow(struct ring *ring, struct call *call, const cJSON *types)
{
    struct follower *follower = calloc(1, sizeof(*follower));

    if (!follower) {
        call_fail(call, ERROR_INTERNAL, NULL, "out of memory");
        return;
    }
    *follower = (struct follower){.call = call, .types = types};
    list_append(&ring->followers, &follower->link);
    call_on_gone(call, on_follower_gone, follower);
}

static void serve(struct ring *ring, struct call *call, const cJSON *types, const char *schema,
                  const char *noun, uint64_t wall_usec)
{
    uint64_t lines = UINT64_MAX;
    usec_t since_usec = USEC_INFINITY;
    const char *since = NULL;
    bool follows = false;
    size_t first = ring->count;

    if (json_get_bool(call->parameters, "follow", &follows) < 0 || (follows && !call->wants_more))
        return call_invalid(call, "follow");
    if (json_get_u64(call->parameters, "lines", UINT32_MAX, &lines) < 0)
        return call_invalid(call, "lines");
    if (json_get_string(call->parameters, "since", &since) < 0 ||
        (since && text_parse_usec(since, &since_usec) < 0))
        return call_invalid(call, "since");
    /* Back from the newest, as far as wanted; then forward. */
    for (uint64_t found = 0; first > 0 && found < lines; first--) {
        const struct entry *entry = ring_get(ring, first - 1);
        if (usec_sub(wall_usec, entry->wall_usec) > since_usec)
            break;
        found += is_wanted(entry, types);
    }
    cJSON *reply = follows ? NULL : call_new_reply(schema);
    cJSON *list = follows ? NULL : cJSON_AddArrayToObject(reply, noun);
    for (size_t i = first; i < ring->count; i++) {
        const struct entry *entry = ring_get(ring, i);
        if (!is_wanted(entry, types))
            continue;
        if (follows)
            call_notify(call, ring->render(entry, true));
        else
            cJSON_AddItemToArray(list, ring->render(entry, false));
    }
    if (follows)
        follow(ring, call, types);
    else
        call_reply(call, reply);
}

void history_serve_events(struct history *history, struct call *call, uint64_t wall_usec)
{
    const cJSON *types = NULL;

    if (json_get_array(call->parameters, "types", &types) < 0 || !are_patterns(types))
        return call_invalid(call, "types");
    serve(&history->events, call, types, "p2pctl.events/1", "events", wall_usec);
}

void history_serve_inbox(struct history *history, struct call *call, uint64_t wall_usec)
{
    serve(&history->messages, call, NULL, "p2pctl.inbox/1", "messages", wall_usec);
}
