/* SPDX-License-Identifier: MIT */
#include "transfer/peers_core.h"

#include <string.h>
#include "base/log.h"

#define TIMER_ACCURACY_USEC (100 * USEC_PER_MSEC)
#define FRAMES_MAX          64 /* of one connection in a row: others have a turn too */

usec_t peers_now(const struct peers *peers)
{
    uint64_t now = 0;

    (void)sd_event_now(peers->event, CLOCK_MONOTONIC, &now);
    return now;
}

static void connection_free(struct connection *connection)
{
    list_remove(&connection->link);
    connection->peer->peers->connections_count--;
    stream_free(connection->stream);
    cJSON_Delete(connection->header);
    free(connection->body);
    free(connection);
}

static void drop_queue(struct peer *peer)
{
    list_for_each_safe (link, &peer->queue) {
        list_remove(link);
        free(list_entry(link, struct waiting, link));
    }
    peer->queue_size = 0;
}

static void peer_free(struct peer *peer)
{
    list_for_each_safe (link, &peer->connections)
        connection_free(list_entry(link, struct connection, link));
    drop_queue(peer);
    table_remove(&peer->peers->by_id, &peer->id);
    free(peer);
}

/* The connection that is written to: the first one that does not end. */
struct connection *peers_get_writer(const struct peer *peer)
{
    list_for_each (link, &peer->connections) {
        struct connection *connection = list_entry(link, struct connection, link);
        if (!connection->is_ending)
            return connection;
    }
    return NULL;
}

/* Frees a peer of whom nothing is left. */
void peers_release_if_idle(struct peer *peer)
{
    if (peer->holds == 0 && list_is_empty(&peer->connections) && list_is_empty(&peer->queue))
        peer_free(peer);
}

struct peer *peers_get_peer(struct peers *peers, const struct node_id *id)
{
    struct peer *peer = table_find(&peers->by_id, id);

    if (peer)
        return peer;
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    *peer = (struct peer){.id = *id, .peers = peers, .active_usec = peers_now(peers)};
    list_init(&peer->connections);
    list_init(&peer->queue);
    if (table_insert(&peers->by_id, &peer->id, peer) < 0) {
        free(peer);
        return NULL;
    }
    return peer;
}

/* Moves waiting frames into the stream, as far as they fit. */
void peers_flush(struct peer *peer)
{
    const struct connection *connection = peers_get_writer(peer);

    if (!connection || !stream_is_ready(connection->stream))
        return;
    list_for_each_safe (link, &peer->queue) {
        struct waiting *waiting = list_entry(link, struct waiting, link);
        if (stream_get_write_space(connection->stream) < waiting->size ||
            stream_write(connection->stream, waiting->data, waiting->size) < 0)
            return;
        list_remove(link);
        peer->queue_size -= waiting->size;
        free(waiting);
    }
}

/*
 * The connection is over: who used it is told, after it is gone. Nobody is told of one over which
 * nothing went, or that ended because it was idle: nothing is lost with it, and what waits goes out
 * on another one. But where something may be lost, what waits is dropped: its senders hear of the
 * loss and send it again, or have told their callers that it failed.
 */
static void lose(struct connection *connection, int r)
{
    struct peer *peer = connection->peer;
    struct peers *peers = peer->peers;
    struct node_id id = peer->id;
    struct address address = peer->address;
    bool was_open = connection->is_open;
    bool was_needless = connection->is_ending && (r == 0 || !connection->is_told);

    log_debug("Connection to a node ended: %s", stream_get_reason(connection->stream));
    connection_free(connection);
    bool has_other = peers_get_writer(peer) != NULL;
    bool is_loss = was_open ? !was_needless : !has_other;
    if (is_loss)
        drop_queue(peer);
    else
        peers_flush(peer);
    peers_release_if_idle(peer);
    if (was_open || is_loss)
        peers->handler.on_connection(&id, &address, was_open ? "closed" : "failed", r, peers->data);
    if (is_loss)
        peers->handler.on_lost(&id, r == 0 ? -ENOTCONN : r, peers->data);
}

/* Nothing more is written to it; what was written arrives, and what comes meanwhile is read. */
void peers_end_connection(struct connection *connection)
{
    connection->is_ending = true;
    stream_shutdown(connection->stream);
}

/* Gives a whole frame to the handler. */
static void deliver(struct connection *connection)
{
    struct peers *peers = connection->peer->peers;
    _cleanup_json_ cJSON *header = TAKE_PTR(connection->header);
    _cleanup_free_ uint8_t *body = TAKE_PTR(connection->body);
    const char *op = "";

    (void)json_get_string(header, "op", &op);
    if (strcmp(op, "end") == 0) {
        connection->is_told = true;
        peers_end_connection(connection);
        return;
    }
    peers->handler.on_frame(&connection->peer->id, header, body, connection->body_size,
                            peers->data);
}

/* Return: 0, or why the connection is of no use. */
static int take_piece(struct connection *connection, struct frame_piece *piece)
{
    if (piece->header) {
        connection->header = piece->header;
        if (piece->body_size > PEERS_BODY_MAX)
            return -EMSGSIZE;
        connection->body_size = (size_t)piece->body_size;
        connection->body_done = 0;
        connection->body = malloc(connection->body_size + 1);
        if (!connection->body)
            return -ENOMEM;
    }
    if (piece->size > 0)
        memcpy(connection->body + connection->body_done, piece->data, piece->size);
    connection->body_done += piece->size;
    return 0;
}

/*
 * Frames are taken out of the stream one at a time: a handler may end everything, and then nothing
 * of this connection may be touched again. Return: whether there may be more.
 */
static bool take_frame(struct peers *peers, const struct node_id *id, struct connection *connection)
{
    struct frame_piece piece;
    size_t size;
    const uint8_t *data = stream_peek(connection->stream, &size);
    int r = frame_parser_next(&connection->parser, data, size, &piece);

    if (r == 0)
        return false;
    if (r > 0)
        r = take_piece(connection, &piece);
    if (r < 0) {
        lose(connection, r);
        return false;
    }
    stream_consume(connection->stream, piece.used);
    if (piece.is_last)
        deliver(connection);
    const struct peer *peer = table_find(&peers->by_id, id);
    if (!peer)
        return false;
    list_for_each (link, &peer->connections)
        if (list_entry(link, struct connection, link) == connection)
            return true;
    return false;
}

static void on_ready(struct stream *stream, void *data)
{
    struct connection *connection = data;
    struct peer *peer = connection->peer;

    connection->is_open = true;
    peer->active_usec = peers_now(peer->peers);
    peer->peers->handler.on_connection(&peer->id, stream_get_address(stream), "opened", 0,
                                       peer->peers->data);
    peers_flush(peer);
}

static void on_drained(struct stream *stream _unused_, void *data)
{
    struct connection *connection = data;
    struct peers *peers = connection->peer->peers;
    struct node_id id = connection->peer->id;

    peers_flush(connection->peer);
    if (list_is_empty(&connection->peer->queue) && peers->handler.on_drained)
        peers->handler.on_drained(&id, peers->data);
}

static void on_closed(struct stream *stream _unused_, int error, void *data)
{
    lose(data, error);
}

static void on_readable(struct stream *stream, void *data);

static const struct stream_callbacks callbacks = {
    .on_ready = on_ready,
    .on_readable = on_readable,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

static void on_readable(struct stream *stream, void *data)
{
    struct connection *connection = data;
    struct peers *peers = connection->peer->peers;
    struct node_id id = connection->peer->id;

    connection->peer->active_usec = peers_now(peers);
    for (int i = 0; i < FRAMES_MAX; i++)
        if (!take_frame(peers, &id, connection))
            return;
    /* The rest in another turn of the loop. */
    stream_set_callbacks(stream, &callbacks, connection);
}

static struct connection *add_connection(struct peer *peer, struct stream *stream)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (!connection)
        return NULL;
    connection->peer = peer;
    connection->stream = stream;
    list_append(&peer->connections, &connection->link);
    peer->peers->connections_count++;
    return connection;
}

void peers_adopt(struct peers *peers, struct stream *stream)
{
    struct peer *peer = peers_get_peer(peers, stream_get_peer(stream));
    struct connection *connection = peer ? add_connection(peer, stream) : NULL;

    if (!connection) {
        stream_free(stream);
        if (peer)
            peers_release_if_idle(peer);
        return;
    }
    /* While our own one is not made yet, this is the one to write to. */
    const struct connection *first = list_first(&peer->connections, struct connection, link);
    if (first != connection && !first->is_open) {
        list_remove(&connection->link);
        list_prepend(&peer->connections, &connection->link);
    }
    connection->is_open = true;
    stream_set_callbacks(stream, &callbacks, connection);
    peers->handler.on_connection(&peer->id, stream_get_address(stream), "opened", 0, peers->data);
    peers_flush(peer);
}

/* Where the peer is: as its last sender said, or as the members are known. */
static bool find_address(struct peer *peer)
{
    const struct peers *peers = peer->peers;

    if (peer->address.family == 0 && peers->handler.find_address)
        peer->address = peers->handler.find_address(&peer->id, peers->data);
    return peer->address.family != 0;
}

static int open_connection(struct peer *peer)
{
    struct peers *peers = peer->peers;
    struct stream_config config = {.event = peers->event,
                                   .tls = peers->config.tls,
                                   .source = peers->config.source,
                                   .priority = SD_EVENT_PRIORITY_NORMAL,
                                   .handshake_timeout_usec = peers->config.connect_timeout_usec};
    int r;

    if (peers->connections_count >= peers->config.connections_max)
        return -ENOBUFS;
    if (!find_address(peer))
        return -EHOSTUNREACH;
    struct connection *connection = add_connection(peer, NULL);
    if (!connection)
        return -ENOMEM;
    r = stream_connect(&config, &peer->address, &peer->id, TLS_PROTOCOL_TASK, &callbacks,
                       connection, &connection->stream);
    if (r < 0)
        connection_free(connection);
    return r;
}

int peers_enqueue(struct peer *peer, cJSON *header, const void *body, size_t body_size)
{
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t size;
    int r = frame_format(header, body_size, &bytes, &size);

    if (r < 0)
        return r;
    size_t max = PEERS_QUEUE_MAX + (size + body_size <= PEERS_SMALL_MAX ? PEERS_SPARE_MAX : 0);
    if (peer->queue_size + size + body_size > max)
        return -ENOBUFS;
    struct waiting *waiting = malloc(sizeof(*waiting) + size + body_size);
    if (!waiting)
        return -ENOMEM;
    waiting->size = size + body_size;
    memcpy(waiting->data, bytes, size);
    if (body_size > 0)
        memcpy(waiting->data + size, body, body_size);
    list_append(&peer->queue, &waiting->link);
    peer->queue_size += waiting->size;
    return 0;
}

int peers_send(struct peers *peers, const struct node_id *to, const struct address *address,
               cJSON *header, const void *body, size_t body_size)
{
    int r;

    if (body_size > PEERS_BODY_MAX)
        return -EMSGSIZE;
    struct peer *peer = peers_get_peer(peers, to);
    if (!peer)
        return -ENOMEM;
    if (address->family != 0)
        peer->address = *address;
    r = peers_get_writer(peer) ? 0 : open_connection(peer);
    if (r >= 0)
        r = peers_enqueue(peer, header, body, body_size);
    if (r < 0) {
        peers_release_if_idle(peer);
        return r;
    }
    peer->active_usec = peers_now(peers);
    peers_flush(peer);
    return 0;
}

void peers_lose(struct peers *peers, const struct node_id *id, int r)
{
    struct peer *peer = table_find(&peers->by_id, id);
    size_t count = 0;

    if (!peer)
        return;
    list_for_each (link, &peer->connections)
        count++;
    peer->address = (struct address){0};
    peer->holds++;
    /* Handlers may send again at once: over new connections, which come after those. */
    struct connection *connection;
    while (count-- > 0 && (connection = list_first(&peer->connections, struct connection, link)))
        lose(connection, r);
    peer->holds--;
    peers_release_if_idle(peer);
}

size_t peers_pending(const struct peers *peers, const struct node_id *to)
{
    const struct peer *peer = table_find(&peers->by_id, to);

    if (!peer)
        return 0;
    const struct connection *connection = peers_get_writer(peer);
    return peer->queue_size + (connection ? stream_get_write_queued(connection->stream) : 0);
}

size_t peers_connections(const struct peers *peers)
{
    return peers->connections_count;
}

int peers_new(sd_event *event, const struct peers_config *config,
              const struct peers_handler *handler, void *data, struct peers **ret)
{
    _cleanup_(peers_freep) struct peers *peers = calloc(1, sizeof(*peers));
    uint64_t seed;
    int r;

    if (!peers)
        return -ENOMEM;
    *peers = (struct peers){
        .config = *config, .handler = *handler, .data = data, .event = sd_event_ref(event)};
    memcpy(&seed, config->self.bytes, sizeof(seed));
    table_init(&peers->by_id, sizeof(struct node_id), seed);
    r = sd_event_add_time_relative(event, &peers->timer, CLOCK_MONOTONIC, config->idle_usec / 4,
                                   TIMER_ACCURACY_USEC, peers_on_timer, peers);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(peers->timer, "peers-idle");
    *ret = TAKE_PTR(peers);
    return 0;
}

struct peers *peers_free(struct peers *peers)
{
    if (!peers)
        return NULL;
    sd_event_source_disable_unref(peers->timer);
    for (size_t i = 0; peers->by_id.count > 0; i = 0)
        peer_free(table_next(&peers->by_id, &i));
    table_done(&peers->by_id);
    sd_event_unref(peers->event);
    free(peers);
    return NULL;
}
