/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Nodes with a listener and a pool of connections each, in one process, over TLS on the loopback;
 * and what their pools told. Beside them strangers: a connection that speaks as a test wants.
 */

#include "net_lab.h"
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include "net/frame.h"
#include "net/gate.h"
#include "net/listener.h"
#include "transfer/peers.h"

#define LAB_NODES      3
#define LAB_IDLE_USEC  (30 * USEC_PER_SEC)
#define LAB_CONNECT    (5 * USEC_PER_SEC)
#define LAB_FIRST_PORT 22000
#define LAB_LAST_PORT  22999

struct lab_node {
    struct node_id id;
    struct address address;
    struct tls *tls;
    struct gate *gate;
    struct listener *listener;
    int port_fd; /* keeps the port */
    struct peers *peers;
    struct stream *stranger; /* owned; where the node is a stranger: what it was connected by */
    bool is_stranger;

    unsigned frames, losts, drains;
    char ops[512];         /* of the frames, one letter each, as far as they fit */
    char connections[256]; /* "opened closed " */
    int lost;              /* the last reason */
    uint64_t number;       /* of the last frame */
    size_t body_size;      /* of all frames */
    bool is_out_of_order;
    /* May be NULL. */
    void (*on_frame)(struct lab_node *node, const struct node_id *from, cJSON *header,
                     const void *body, size_t body_size);
    void (*on_lost)(struct lab_node *node, const struct node_id *id, int r);
    void (*on_files)(struct lab_node *node, struct stream *stream); /* takes p2p-file/1 over */
    void *data;
};

static sd_event *event;
static struct keyring lab_keys;
static struct lab_node nodes[LAB_NODES];

static void lab_on_frame(const struct node_id *from, cJSON *header, const void *body,
                         size_t body_size, void *data)
{
    struct lab_node *node = data;
    const char *op = "";
    uint64_t number = 0;

    (void)json_get_string(header, "op", &op);
    node->frames++;
    strncat(node->ops, op, strlen(node->ops) + 1 < sizeof(node->ops) ? 1 : 0);
    if (json_get_u64(header, "number", UINT64_MAX, &number) > 0) {
        node->is_out_of_order = node->is_out_of_order || number != node->number + 1;
        node->number = number;
    }
    node->body_size += body_size;
    if (node->on_frame)
        node->on_frame(node, from, header, body, body_size);
}

static void lab_on_lost(const struct node_id *id, int r, void *data)
{
    struct lab_node *node = data;

    node->losts++;
    node->lost = r;
    if (node->on_lost)
        node->on_lost(node, id, r);
}

static void lab_on_drained(const struct node_id *id _unused_, void *data)
{
    struct lab_node *node = data;

    node->drains++;
}

static void lab_on_connection(const struct node_id *id _unused_,
                              const struct address *address _unused_, const char *what,
                              int r _unused_, void *data)
{
    struct lab_node *node = data;

    if (strlen(node->connections) + strlen(what) + 2 < sizeof(node->connections)) {
        strcat(node->connections, what);
        strcat(node->connections, " ");
    }
}

static struct address lab_find_address(const struct node_id *id, void *data _unused_)
{
    for (size_t i = 0; i < LAB_NODES; i++)
        if (node_id_is_equal(&nodes[i].id, id))
            return nodes[i].address;
    return (struct address){0};
}

static const struct peers_handler lab_handler = {
    .on_frame = lab_on_frame,
    .on_lost = lab_on_lost,
    .on_drained = lab_on_drained,
    .on_connection = lab_on_connection,
    .find_address = lab_find_address,
};

/* What a stranger hears is left where it is; the test looks at its stream. */
static void stranger_on_stream(struct stream *stream _unused_, void *data _unused_)
{
}

static void stranger_on_closed(struct stream *stream, int error _unused_, void *data)
{
    struct lab_node *node = data;

    node->stranger = stream_free(stream);
    strcat(node->connections, "closed ");
}

static const struct stream_callbacks stranger_callbacks = {
    .on_ready = stranger_on_stream,
    .on_readable = stranger_on_stream,
    .on_closed = stranger_on_closed,
};

static void lab_on_stream(struct stream *stream, void *data)
{
    struct lab_node *node = data;

    if (!node->is_stranger) {
        if (stream_get_protocol(stream) == TLS_PROTOCOL_FILE)
            node->on_files(node, stream);
        else
            peers_adopt(node->peers, stream);
        return;
    }
    assert_null(node->stranger);
    node->stranger = stream;
    stream_set_callbacks(stream, &stranger_callbacks, node);
}

/*
 * The UDP socket is what keeps other labs from the port for as long as it is open, also when nobody
 * listens there any more: tests run side by side.
 */
static _unused_ struct bind_sockets lab_listen(void)
{
    struct bind_sockets sockets;
    char error[BIND_ERROR_MAX] = "";

    for (uint16_t port = LAB_FIRST_PORT; port <= LAB_LAST_PORT; port++) {
        struct address address = {.bytes = {127, 22, 0, 1}, .port = port, .family = 4};
        if (bind_sockets_open(&address, NULL, error, &sockets) == 0)
            return sockets;
    }
    fail_msg("%s", error);
    return sockets;
}

static _unused_ void lab_start_node(struct lab_node *node, uint8_t number, usec_t idle_usec,
                                    usec_t connect_usec, size_t connections_max)
{
    struct bind_sockets sockets = lab_listen();

    *node =
        (struct lab_node){.id = {{number}}, .address = sockets.address, .port_fd = sockets.udp_fd};
    node->tls = lab_tls("lab", &node->id, &lab_keys);
    assert_int_equal(gate_new(64, 64, &node->gate), 0);
    struct listener_config config = {
        .stream = {.event = event, .tls = node->tls, .handshake_timeout_usec = connect_usec},
        .gate = node->gate,
        .handshakes_max = 32,
        .on_stream = lab_on_stream,
        .userdata = node,
    };
    assert_int_equal(listener_new(&config, sockets.tcp_fd, &node->listener), 0);
    assert_int_equal(peers_new(event,
                               &(struct peers_config){.tls = node->tls,
                                                      .self = node->id,
                                                      .connect_timeout_usec = connect_usec,
                                                      .idle_usec = idle_usec,
                                                      .connections_max = connections_max},
                               &lab_handler, node, &node->peers),
                     0);
}

/* Nobody listens there any more. */
static _unused_ void lab_stop_listening(struct lab_node *node)
{
    node->listener = listener_free(node->listener);
}

static _unused_ void lab_stop_node(struct lab_node *node)
{
    node->stranger = stream_free(node->stranger);
    node->listener = listener_free(node->listener);
    if (node->tls)
        node->port_fd = close_fd(node->port_fd);
    node->peers = peers_free(node->peers);
    if (node->gate)
        assert_int_equal(gate_get_count(node->gate), 0);
    node->gate = gate_free(node->gate);
    node->tls = tls_free(node->tls);
}

static _unused_ int lab_start(void **state _unused_)
{
    (void)signal(SIGPIPE, SIG_IGN);
    lab_keys = lab_keyring(1, 1);
    assert_true(sd_event_new(&event) >= 0);
    for (uint8_t i = 0; i < LAB_NODES; i++)
        lab_start_node(&nodes[i], (uint8_t)(i + 1), LAB_IDLE_USEC, LAB_CONNECT, 16);
    return 0;
}

static _unused_ int lab_stop(void **state _unused_)
{
    for (size_t i = 0; i < LAB_NODES; i++)
        lab_stop_node(&nodes[i]);
    event = sd_event_unref(event);
    return 0;
}

/* Puts the node there anew, with other times. */
static _unused_ void lab_restart_node(struct lab_node *node, usec_t idle_usec, usec_t connect_usec,
                                      size_t connections_max)
{
    uint8_t number = node->id.bytes[0];

    lab_stop_node(node);
    lab_start_node(node, number, idle_usec, connect_usec, connections_max);
}

static _unused_ int lab_send(struct lab_node *from, const struct lab_node *to, const char *op,
                             uint64_t number, const void *body, size_t body_size)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();

    json_add_string(header, "op", op);
    if (number > 0)
        json_add_u64(header, "number", number);
    return peers_send(from->peers, &to->id, &to->address, header, body, body_size);
}

/* A connection of the stranger @from to @to. */
static _unused_ void lab_dial(struct lab_node *from, const struct lab_node *to,
                              enum tls_protocol protocol)
{
    struct stream_config config = {
        .event = event, .tls = from->tls, .handshake_timeout_usec = LAB_CONNECT};

    from->is_stranger = true;
    assert_int_equal(stream_connect(&config, &to->address, &to->id, protocol, &stranger_callbacks,
                                    from, &from->stranger),
                     0);
    lab_run_until(event, from->stranger && stream_is_ready(from->stranger));
}

/* Runs the loop for so long: for what must not happen meanwhile. */
static _unused_ void lab_run_for(usec_t usec)
{
    usec_t end = conn_now() + usec;

    for (usec_t now = conn_now(); now < end; now = conn_now())
        assert_true(sd_event_run(event, end - now) >= 0);
}
