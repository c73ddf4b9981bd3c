/* SPDX-License-Identifier: MIT */
#include "transfer/peers_core.h"

/* Connections that nobody uses: held ones are kept alive, others end. */

void peers_hold(struct peers *peers, const struct node_id *id)
{
    struct peer *peer = peers_get_peer(peers, id);

    if (peer)
        peer->holds++;
}

void peers_release(struct peers *peers, const struct node_id *id)
{
    struct peer *peer = table_find(&peers->by_id, id);

    if (!peer || peer->holds == 0)
        return;
    peer->holds--;
    peers_release_if_idle(peer);
}

/* Ends the connection of which nobody has any use, and says so: nothing is lost with it. */
static void end_idle(struct connection *connection)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();

    if (!stream_is_ready(connection->stream))
        return;
    json_add_string(header, "op", "end");
    if (header && frame_write(connection->stream, header, NULL, 0) >= 0)
        peers_end_connection(connection);
}

/* Ends connections that nobody needs; says something on those that somebody holds. */
static void tend(struct peer *peer, usec_t now)
{
    usec_t idle = usec_sub(now, peer->active_usec);

    if (idle < peer->peers->config.idle_usec / 2)
        return;
    if (peer->holds > 0) {
        _cleanup_json_ cJSON *header = cJSON_CreateObject();
        json_add_string(header, "op", "alive");
        if (peers_get_writer(peer) && peers_enqueue(peer, header, NULL, 0) >= 0)
            peers_flush(peer);
        peer->active_usec = now;
    } else if (idle >= peer->peers->config.idle_usec && list_is_empty(&peer->queue)) {
        list_for_each (link, &peer->connections)
            end_idle(list_entry(link, struct connection, link));
    }
}

int peers_on_timer(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct peers *peers = data;
    usec_t now = peers_now(peers);

    table_for_each (&peers->by_id, struct peer *, peer)
        tend(peer, now);
    (void)sd_event_source_set_time(source, now + peers->config.idle_usec / 4);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

void peers_set_limits(struct peers *peers, usec_t connect_timeout_usec, usec_t idle_usec,
                      size_t connections_max)
{
    peers->config.connect_timeout_usec = connect_timeout_usec;
    peers->config.idle_usec = idle_usec;
    peers->config.connections_max = connections_max;
    (void)sd_event_source_set_time_relative(peers->timer, idle_usec / 4);
}
