/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "base/glob.h"
#include "history_core.h"

struct follower {
    struct list link;
    struct call *call;  /* borrowed; gone when on_gone says so */
    const cJSON *types; /* borrowed from the call's parameters */
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
    json_add_bool(json, "confidential", entry->is_confidential);
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

bool history_may_hear(const struct caller *caller, const struct entry *entry)
{
    return !(caller->is_remote && entry->is_confidential);
}

bool history_is_wanted(const struct entry *entry, const cJSON *types)
{
    if (!types || !types->child)
        return true;
    json_for_each (type, types)
        if (glob_matches(type->valuestring, entry->type))
            return true;
    return false;
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

const struct entry *history_ring_get(const struct ring *ring, size_t i)
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
        if (history_may_hear(&follower->call->caller, entry) &&
            history_is_wanted(entry, follower->types) && !call_is_congested(follower->call))
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
                                          HISTORY_LIVENESS_MAX, HISTORY_VALUES_MAX};
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
    const struct entry *last = ring->count > 0 ? history_ring_get(ring, ring->count - 1) : NULL;

    if (!history->state || !last || last->seq <= history->saved_seq || state_batch_new(&batch) < 0)
        return;
    for (size_t i = 0; i < ring->count; i++)
        if (history_ring_get(ring, i)->seq > history->saved_seq)
            put_event(batch, history_ring_get(ring, i));
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
    if (strcmp(type, "liveness") == 0)
        return RING_LIVENESS;
    return strcmp(type, "mem-changed") == 0 ? RING_VALUES : RING_NAMED;
}

void history_add_event(const struct journal_event *event, void *data)
{
    struct history *history = data;
    unsigned ring = ring_of(event->type);

    stream_add(&history->events, ring,
               &(struct entry){.wall_usec = event->wall_usec,
                               .type = event->type,
                               .node = journal_event_text(event, "MEMBER"),
                               .task = journal_event_text(event, "TASK"),
                               .message = event->message,
                               .line = event->line,
                               .is_confidential = event->is_confidential});
    if (ring == RING_NAMED && ++history->unsaved_count >= HISTORY_EVENTS_MAX / 2)
        history_save(history);
}

void history_add_message(struct history *history, const char *sender, const char *text,
                         uint64_t wall_usec)
{
    stream_add(&history->messages, 0,
               &(struct entry){.wall_usec = wall_usec, .node = sender, .message = text});
}

void history_add_timeline(const struct history *history, const struct caller *caller,
                          const char *name, cJSON *list)
{
    const struct ring *ring = &history->events.rings[RING_NAMED];

    for (size_t i = 0; i < ring->count; i++) {
        const struct entry *entry = history_ring_get(ring, i);
        if (!entry->node || strcmp(entry->node, name) != 0 || !history_may_hear(caller, entry))
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

void history_follow(struct stream *stream, struct call *call, const cJSON *types)
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
