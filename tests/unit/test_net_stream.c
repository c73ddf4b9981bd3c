/* SPDX-License-Identifier: MIT */

/* Streams from listener to blocking connection, between two nodes in one loop. */

#include "net_lab.h"
#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <sys/socket.h>
#include "net/frame.h"
#include "net/gate.h"
#include "net/listener.h"

#define STREAMS_MAX 16

/* One end of a connection and what was told about it. */
struct end {
    struct stream *stream; /* owned; NULL after it was freed or taken */
    bool is_ready, is_closed, is_drained;
    int error;
    char reason[STREAM_REASON_MAX];
    size_t readable_count;
    uint8_t seen[64]; /* what could be read at the last call */
    size_t seen_size;
    bool free_when_ready, free_when_readable, take_when_ready;
    struct conn *conn; /* owned */
};

static sd_event *event;
static struct keyring keyring;
static struct tls *client_tls, *server_tls;
static struct gate *gate;
static struct listener *listener;
static struct address address;
static struct end client, servers[STREAMS_MAX];
static size_t servers_count;
static bool is_all_refused;

static void on_ready(struct stream *stream, void *userdata)
{
    struct end *end = userdata;

    end->is_ready = true;
    if (end->free_when_ready)
        end->stream = stream_free(stream);
    if (end->take_when_ready) {
        assert_int_equal(stream_take_blocking(stream, &end->conn), 0);
        end->stream = NULL;
    }
}

static void on_readable(struct stream *stream, void *userdata)
{
    struct end *end = userdata;

    const uint8_t *data = stream_peek(stream, &end->seen_size);

    end->readable_count++;
    if (end->seen_size <= sizeof(end->seen))
        memcpy(end->seen, data, end->seen_size);
    if (end->free_when_readable)
        end->stream = stream_free(stream);
}

static void on_drained(struct stream *stream, void *userdata)
{
    struct end *end = userdata;

    (void)stream;
    end->is_drained = true;
}

static void on_closed(struct stream *stream, int error, void *userdata)
{
    struct end *end = userdata;

    end->is_closed = true;
    end->error = error;
    (void)snprintf(end->reason, sizeof(end->reason), "%s", stream_get_reason(stream));
    end->stream = stream_free(stream);
}

static const struct stream_callbacks callbacks = {on_ready, on_readable, on_drained, on_closed};

static void on_stream(struct stream *stream, void *userdata)
{
    struct end *end = &servers[servers_count++];

    (void)userdata;
    assert_true(servers_count <= STREAMS_MAX);
    end->stream = stream;
    end->is_ready = true;
    if (end->take_when_ready) {
        assert_int_equal(stream_take_blocking(stream, &end->conn), 0);
        end->stream = NULL;
        return;
    }
    stream_set_callbacks(stream, &callbacks, end);
}

static bool is_allowed(const struct address *from, void *userdata)
{
    (void)from;
    (void)userdata;
    return !is_all_refused;
}

static struct stream_config stream_config(struct tls *tls, usec_t timeout_usec)
{
    return (struct stream_config){
        .event = event, .tls = tls, .handshake_timeout_usec = timeout_usec};
}

static void start_with(const struct keyring *keys, size_t total_max, size_t peer_max,
                       size_t handshakes_max, usec_t timeout_usec)
{
    struct bind_sockets sockets = lab_bind();
    struct listener_config config;

    (void)close_fd(sockets.udp_fd);
    address = sockets.address;
    assert_true(sd_event_new(&event) >= 0);
    client_tls = lab_tls("lab", &lab_a, keys);
    server_tls = lab_tls("lab", &lab_b, keys);
    assert_int_equal(gate_new(total_max, peer_max, &gate), 0);
    config = (struct listener_config){
        .stream = stream_config(server_tls, timeout_usec),
        .gate = gate,
        .handshakes_max = handshakes_max,
        .on_stream = on_stream,
        .is_allowed = is_allowed,
    };
    assert_int_equal(listener_new(&config, sockets.tcp_fd, &listener), 0);
    client = (struct end){0};
    memset(servers, 0, sizeof(servers));
    servers_count = 0;
    is_all_refused = false;
}

static int start(void **state)
{
    (void)state;
    keyring = lab_keyring(1, 1);
    start_with(&keyring, STREAMS_MAX, STREAMS_MAX, STREAMS_MAX, LAB_WAIT_USEC);
    return 0;
}

static int start_clear(void **state)
{
    (void)state;
    start_with(NULL, STREAMS_MAX, STREAMS_MAX, STREAMS_MAX, LAB_WAIT_USEC);
    return 0;
}

static void release(struct end *end)
{
    end->stream = stream_free(end->stream);
    end->conn = conn_free(end->conn);
}

static int stop(void **state)
{
    (void)state;
    release(&client);
    for (size_t i = 0; i < STREAMS_MAX; i++)
        release(&servers[i]);
    listener = listener_free(listener);
    assert_int_equal(gate_get_count(gate), 0);
    gate = gate_free(gate);
    client_tls = tls_free(client_tls);
    server_tls = tls_free(server_tls);
    event = sd_event_unref(event);
    return 0;
}

static void dial(struct end *end, struct tls *tls, const struct node_id *to_id)
{
    struct stream_config config = stream_config(tls, LAB_WAIT_USEC);

    assert_int_equal(
        stream_connect(&config, &address, to_id, TLS_PROTOCOL_TASK, &callbacks, end, &end->stream),
        0);
}

static void dial_and_wait(void)
{
    dial(&client, client_tls, &lab_b);
    lab_run_until(event, client.is_ready && servers_count == 1);
}

static void bytes_travel_in_both_directions(void **state)
{
    const uint8_t *data;
    size_t size;

    (void)state;
    dial_and_wait();
    assert_true(node_id_is_equal(stream_get_peer(servers[0].stream), &lab_a));
    assert_true(node_id_is_equal(stream_get_peer(client.stream), &lab_b));
    assert_int_equal(stream_get_protocol(servers[0].stream), TLS_PROTOCOL_TASK);
    assert_int_equal(stream_write(client.stream, "hello", 5), 0);
    assert_int_equal(stream_write(client.stream, " you", 4), 0);
    lab_run_until(event, client.is_drained && servers[0].readable_count > 0);
    data = stream_peek(servers[0].stream, &size);
    assert_int_equal(size, 9);
    assert_memory_equal(data, "hello you", 9);
    stream_consume(servers[0].stream, 6);
    data = stream_peek(servers[0].stream, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "you", 3);
    assert_int_equal(stream_write(servers[0].stream, "me too", 6), 0);
    lab_run_until(event, client.readable_count > 0);
    data = stream_peek(client.stream, &size);
    assert_memory_equal(data, "me too", size);
}

static void clean_end_is_told_without_an_error(void **state)
{
    (void)state;
    dial_and_wait();
    assert_int_equal(stream_write(client.stream, "bye", 3), 0);
    stream_shutdown(client.stream);
    assert_int_equal(stream_write(client.stream, "x", 1), -ENOTCONN);
    lab_run_until(event, servers[0].is_closed && client.is_closed);
    assert_int_equal(servers[0].error, 0);
    assert_int_equal(client.error, 0);
    assert_int_equal(servers[0].readable_count, 1);
}

static void cut_connection_is_told_as_an_error(void **state)
{
    struct conn *conn = NULL;

    (void)state;
    dial_and_wait();
    assert_int_equal(stream_take_blocking(client.stream, &conn), 0);
    client.stream = NULL;
    (void)conn_free(conn);
    lab_run_until(event, servers[0].is_closed);
    assert_int_equal(servers[0].error, -ECONNRESET);
    assert_string_equal(servers[0].reason, "connection lost");
}

static void refused_connection_is_told(void **state)
{
    struct stream_config config = stream_config(client_tls, LAB_WAIT_USEC);
    int r;

    (void)state;
    listener = listener_free(listener);
    r = stream_connect(&config, &address, &lab_b, TLS_PROTOCOL_TASK, &callbacks, &client,
                       &client.stream);
    if (r == 0) {
        lab_run_until(event, client.is_closed);
        r = client.error;
    }
    assert_int_equal(r, -ECONNREFUSED);
}

static void wrong_destination_is_refused_with_a_reason(void **state)
{
    struct listener_statistics statistics;

    (void)state;
    dial(&client, client_tls, &lab_c);
    lab_run_until(event, client.is_closed);
    assert_int_equal(client.error, -EPROTO);
    assert_string_equal(client.reason, "handshake refused: another key, cluster or node");
    assert_int_equal(servers_count, 0);
    listener_get_statistics(listener, &statistics);
    assert_int_equal(statistics.handshakes_failed, 1);
}

static void own_or_null_id_is_no_destination(void **state)
{
    struct stream_config config = stream_config(client_tls, LAB_WAIT_USEC);

    (void)state;
    assert_int_equal(stream_connect(&config, &address, &lab_a, TLS_PROTOCOL_TASK, &callbacks,
                                    &client, &client.stream),
                     -EINVAL);
    assert_int_equal(stream_connect(&config, &address, &NODE_ID_NULL, TLS_PROTOCOL_TASK, &callbacks,
                                    &client, &client.stream),
                     -EINVAL);
}

/* A client that says nothing at all. */
static int dial_plain_from(const char *text)
{
    struct sockaddr_storage storage;
    struct address from;
    socklen_t size;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(address_parse(text, 0, &from), 0);
    size = address_to_sockaddr(&from, &storage);
    assert_int_equal(bind(fd, (const struct sockaddr *)&storage, size), 0);
    size = address_to_sockaddr(&address, &storage);
    assert_int_equal(connect(fd, (const struct sockaddr *)&storage, size), 0);
    return fd;
}

static int dial_plain(void)
{
    return dial_plain_from("127.0.0.1");
}

static void silent_client_is_dropped_at_the_deadline(void **state)
{
    struct listener_statistics statistics = {0};
    char byte;
    int fd;

    (void)state;
    (void)stop(NULL);
    start_with(&keyring, STREAMS_MAX, STREAMS_MAX, STREAMS_MAX, 20 * USEC_PER_MSEC);
    fd = dial_plain();
    lab_run_until(
        event, (listener_get_statistics(listener, &statistics), statistics.handshakes_failed == 1));
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    (void)close_fd(fd);
    assert_int_equal(gate_get_count(gate), 0);
}

static void handshakes_are_bounded(void **state)
{
    struct listener_statistics statistics = {0};
    char byte;
    int first, second;

    (void)state;
    (void)stop(NULL);
    start_with(&keyring, STREAMS_MAX, STREAMS_MAX, 1, LAB_WAIT_USEC);
    first = dial_plain();
    second = dial_plain();
    lab_run_until(event,
                  (listener_get_statistics(listener, &statistics), statistics.refused_full == 1));
    assert_int_equal(recv(second, &byte, 1, 0), 0);
    (void)close_fd(first);
    (void)close_fd(second);
}

/* The handshakes of one host leave room for others, all of them silent or not. */
static void host_with_most_handshakes_gives_one_to_another(void **state)
{
    struct listener_statistics statistics = {0};
    char byte;
    int silent[3];

    (void)state;
    (void)stop(NULL);
    start_with(&keyring, STREAMS_MAX, STREAMS_MAX, 3, LAB_WAIT_USEC);
    for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
        silent[i] = dial_plain_from("127.0.0.9");
    dial_and_wait();
    listener_get_statistics(listener, &statistics);
    assert_int_equal(statistics.handshakes_failed, 1);
    assert_int_equal(statistics.refused_full, 0);
    assert_int_equal(recv(silent[0], &byte, 1, 0), 0);
    assert_int_equal(recv(silent[1], &byte, 1, MSG_DONTWAIT), -1);
    for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
        (void)close_fd(silent[i]);
}

static void connections_are_bounded_and_come_free_again(void **state)
{
    struct end more = {0};

    (void)state;
    (void)stop(NULL);
    start_with(&keyring, 1, 1, STREAMS_MAX, LAB_WAIT_USEC);
    dial_and_wait();
    dial(&more, client_tls, &lab_b);
    lab_run_until(event, more.is_closed);
    assert_false(more.is_ready);
    servers[0].stream = stream_free(servers[0].stream);
    lab_run_until(event, client.is_closed);
    assert_int_equal(client.error, 0);
    client = more = (struct end){0};
    dial(&client, client_tls, &lab_b);
    lab_run_until(event, servers_count == 2);
}

static void connections_of_one_node_are_bounded(void **state)
{
    struct listener_statistics statistics;
    struct tls *other_tls;
    struct end more = {0}, other = {0};

    (void)state;
    (void)stop(NULL);
    start_with(&keyring, STREAMS_MAX, 1, STREAMS_MAX, LAB_WAIT_USEC);
    other_tls = lab_tls("lab", &lab_c, &keyring);
    dial_and_wait();
    dial(&more, client_tls, &lab_b);
    lab_run_until(event, more.is_closed);
    listener_get_statistics(listener, &statistics);
    assert_int_equal(statistics.refused_peer, 1);
    dial(&other, other_tls, &lab_b);
    lab_run_until(event, servers_count == 2);
    (void)stream_free(other.stream);
    (void)tls_free(other_tls);
}

static void network_that_is_not_allowed_is_closed_at_once(void **state)
{
    struct listener_statistics statistics;

    (void)state;
    is_all_refused = true;
    dial(&client, client_tls, &lab_b);
    lab_run_until(event, client.is_closed);
    listener_get_statistics(listener, &statistics);
    assert_int_equal(statistics.refused_network, 1);
}

static void stream_may_be_freed_in_each_callback(void **state)
{
    (void)state;
    client.free_when_ready = true;
    dial(&client, client_tls, &lab_b);
    lab_run_until(event, client.is_ready && servers_count == 1 && servers[0].is_closed);
    assert_null(client.stream);
    client = (struct end){0};
    dial(&client, client_tls, &lab_b);
    lab_run_until(event, servers_count == 2);
    servers[1].free_when_readable = true;
    assert_int_equal(stream_write(client.stream, "x", 1), 0);
    lab_run_until(event, client.is_closed);
    assert_int_equal(servers[1].readable_count, 1);
}

static struct end heir;

static void hand_over(struct stream *stream, void *userdata)
{
    struct end *end = userdata;

    end->readable_count++;
    heir.stream = stream;
    end->stream = NULL;
    stream_set_callbacks(stream, &callbacks, &heir);
}

static void new_owner_hears_of_the_bytes_that_wait(void **state)
{
    static const struct stream_callbacks first = {on_ready, hand_over, NULL, on_closed};

    (void)state;
    heir = (struct end){0};
    dial_and_wait();
    stream_set_callbacks(servers[0].stream, &first, &servers[0]);
    assert_int_equal(stream_write(client.stream, "for the heir", 12), 0);
    lab_run_until(event, heir.readable_count > 0);
    assert_int_equal(servers[0].readable_count, 1);
    assert_memory_equal(heir.seen, "for the heir", 12);
    release(&heir);
}

/* Fills both directions until nobody takes more, then lets it flow. */
static void slow_reader_holds_the_writer_back(void **state)
{
    static uint8_t block[256 * 1024];
    size_t sent = 0, received = 0, size;
    struct stream *server;

    (void)state;
    dial_and_wait();
    server = servers[0].stream;
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)(i % 251);
    while (stream_write(client.stream, block, sizeof(block)) == 0)
        sent += sizeof(block);
    assert_int_equal(stream_write(client.stream, block, sizeof(block)), -ENOBUFS);
    assert_int_equal(sent, STREAM_WRITE_MAX);
    lab_run_until(event, (stream_peek(server, &size), size == STREAM_READ_MAX));
    /* The reader stands still: it takes no more than its buffer holds. */
    while (sd_event_run(event, 0) > 0)
        continue;
    (void)stream_peek(server, &size);
    assert_int_equal(size, STREAM_READ_MAX);
    while (received < sent) {
        const uint8_t *data = stream_peek(server, &size);
        size_t step = size < 70000 ? size : 70000;
        for (size_t i = 0; i < step; i++)
            assert_int_equal(data[i], (received + i) % sizeof(block) % 251);
        stream_consume(server, step);
        received += step;
        if (size == step && received < sent)
            lab_run_until(event, (stream_peek(server, &size), size > 0));
    }
    lab_run_until(event, client.is_drained);
    assert_int_equal(stream_get_write_queued(client.stream), 0);
    assert_int_equal(stream_get_write_space(client.stream), STREAM_WRITE_MAX);
}

static void frame_goes_out_whole_or_not_at_all(void **state)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    static uint8_t body[STREAM_WRITE_MAX];
    struct frame_parser parser = FRAME_PARSER_NULL;
    struct frame_piece piece;
    const uint8_t *data;
    size_t size;

    (void)state;
    dial_and_wait();
    json_add_string(header, "op", "put");
    assert_int_equal(frame_write(client.stream, header, body, sizeof(body)), -EMSGSIZE);
    assert_int_equal(stream_get_write_queued(client.stream), 0);
    assert_int_equal(frame_write(client.stream, header, "body", 4), 0);
    assert_int_equal(frame_write(client.stream, header, body, STREAM_WRITE_MAX - 40), -ENOBUFS);
    lab_run_until(event, servers[0].readable_count > 0);
    data = stream_peek(servers[0].stream, &size);
    assert_int_equal(frame_parser_next(&parser, data, size, &piece), 1);
    assert_int_equal(piece.body_size, 4);
    cJSON_Delete(piece.header);
    assert_memory_equal(data + piece.used, "body", 4);
}

/* --- Blocking connections. --- */

struct job {
    struct conn *conn;
    int result;
    char text[64];
    size_t size;
};

static void *serve_one_frame(void *data)
{
    struct job *job = data;
    usec_t deadline = conn_now() + LAB_WAIT_USEC;
    _cleanup_json_ cJSON *header = NULL;
    uint64_t body_size = 0;

    job->result = frame_receive(job->conn, deadline, &header, &body_size);
    if (job->result != 1 || body_size >= sizeof(job->text))
        return NULL;
    job->size = (size_t)body_size;
    job->result = conn_read_exactly(job->conn, job->text, job->size, deadline);
    if (job->result == 0)
        job->result = frame_send(job->conn, header, body_size, deadline);
    if (job->result == 0)
        job->result = conn_write(job->conn, job->text, job->size, deadline);
    if (job->result == 0)
        job->result = conn_close(job->conn, deadline);
    return NULL;
}

static void stream_that_leaves_the_loop_keeps_its_early_bytes(void **state)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    struct job job = {0};
    struct frame_parser parser = FRAME_PARSER_NULL;
    struct frame_piece piece;
    pthread_t thread;

    (void)state;
    dial_and_wait();
    json_add_string(header, "op", "echo");
    assert_int_equal(frame_write(client.stream, header, "some bytes", 10), 0);
    assert_int_equal(stream_take_blocking(client.stream, &job.conn), -EBUSY);
    lab_run_until(event, servers[0].readable_count > 0);
    assert_int_equal(stream_take_blocking(servers[0].stream, &servers[0].conn), 0);
    servers[0].stream = NULL;
    job.conn = servers[0].conn;
    assert_true(node_id_is_equal(conn_get_peer(job.conn), &lab_a));
    assert_int_equal(conn_get_protocol(job.conn), TLS_PROTOCOL_TASK);
    assert_int_equal(gate_get_count(gate), 1);
    assert_int_equal(pthread_create(&thread, NULL, serve_one_frame, &job), 0);
    lab_run_until(event, client.is_closed);
    assert_int_equal(frame_parser_next(&parser, client.seen, client.seen_size, &piece), 1);
    assert_int_equal(piece.body_size, 10);
    assert_int_equal(client.seen_size, piece.used + 10);
    cJSON_Delete(piece.header);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(client.error, 0);
    assert_int_equal(job.result, 0);
    assert_memory_equal(job.text, "some bytes", 10);
}

/* Sends a MiB and more from one thread to another. */
static void *pour(void *data)
{
    struct job *job = data;
    static uint8_t block[65536];
    usec_t deadline = conn_now() + LAB_WAIT_USEC;

    memset(block, 'p', sizeof(block));
    for (int i = 0; i < 64 && job->result == 0; i++)
        job->result = conn_write(job->conn, block, sizeof(block), deadline);
    if (job->result == 0)
        job->result = conn_close(job->conn, deadline);
    return NULL;
}

static void megabytes_pass_between_two_threads(void **state)
{
    struct job job = {0};
    static uint8_t block[50000];
    usec_t deadline = conn_now() + LAB_WAIT_USEC;
    pthread_t thread;
    size_t total = 0;
    ssize_t size;

    (void)state;
    client.take_when_ready = servers[0].take_when_ready = true;
    dial_and_wait();
    job.conn = client.conn;
    assert_int_equal(pthread_create(&thread, NULL, pour, &job), 0);
    while ((size = conn_read(servers[0].conn, block, sizeof(block), deadline)) > 0) {
        assert_int_equal(block[0], 'p');
        total += (size_t)size;
    }
    assert_int_equal(size, 0);
    assert_int_equal(total, 64 * 65536);
    assert_int_equal(conn_close(servers[0].conn, deadline), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(job.result, 0);
}

static void blocking_read_ends_at_its_deadline(void **state)
{
    char byte;

    (void)state;
    client.take_when_ready = true;
    dial_and_wait();
    assert_int_equal(conn_read(client.conn, &byte, 1, conn_now() + 20 * USEC_PER_MSEC), -ETIMEDOUT);
}

static void blocking_write_ends_at_its_deadline(void **state)
{
    static uint8_t block[16 * 1024 * 1024];

    (void)state;
    client.take_when_ready = servers[0].take_when_ready = true;
    dial_and_wait();
    assert_int_equal(conn_write(client.conn, block, sizeof(block), conn_now() + 50 * USEC_PER_MSEC),
                     -ETIMEDOUT);
}

static void *read_for_ever(void *data)
{
    struct job *job = data;

    job->result = (int)conn_read(job->conn, job->text, sizeof(job->text), USEC_INFINITY);
    return NULL;
}

static void aborted_connection_wakes_its_thread(void **state)
{
    struct job job = {0};
    pthread_t thread;

    (void)state;
    client.take_when_ready = true;
    dial_and_wait();
    job.conn = client.conn;
    assert_int_equal(pthread_create(&thread, NULL, read_for_ever, &job), 0);
    conn_abort(job.conn);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(job.result, client_tls && tls_is_encrypted(client_tls) ? -ECONNRESET : 0);
}

static void frames_end_cleanly_only_between_two(void **state)
{
    usec_t deadline = conn_now() + LAB_WAIT_USEC;
    cJSON *header = NULL;
    uint64_t body_size;

    (void)state;
    client.take_when_ready = servers[0].take_when_ready = true;
    dial_and_wait();
    assert_int_equal(conn_write(client.conn, "\0\0\0\2{}\0\0", 8, deadline), 0);
    client.conn = conn_free(client.conn);
    assert_int_equal(frame_receive(servers[0].conn, deadline, &header, &body_size), 1);
    cJSON_Delete(header);
    assert_int_equal(frame_receive(servers[0].conn, deadline, &header, &body_size), -ECONNRESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_travel_in_both_directions, start, stop),
        cmocka_unit_test_setup_teardown(bytes_travel_in_both_directions, start_clear, stop),
        cmocka_unit_test_setup_teardown(clean_end_is_told_without_an_error, start, stop),
        cmocka_unit_test_setup_teardown(clean_end_is_told_without_an_error, start_clear, stop),
        cmocka_unit_test_setup_teardown(cut_connection_is_told_as_an_error, start, stop),
        cmocka_unit_test_setup_teardown(refused_connection_is_told, start, stop),
        cmocka_unit_test_setup_teardown(wrong_destination_is_refused_with_a_reason, start, stop),
        cmocka_unit_test_setup_teardown(own_or_null_id_is_no_destination, start, stop),
        cmocka_unit_test_setup_teardown(silent_client_is_dropped_at_the_deadline, start, stop),
        cmocka_unit_test_setup_teardown(handshakes_are_bounded, start, stop),
        cmocka_unit_test_setup_teardown(host_with_most_handshakes_gives_one_to_another, start,
                                        stop),
        cmocka_unit_test_setup_teardown(connections_are_bounded_and_come_free_again, start, stop),
        cmocka_unit_test_setup_teardown(connections_of_one_node_are_bounded, start, stop),
        cmocka_unit_test_setup_teardown(network_that_is_not_allowed_is_closed_at_once, start, stop),
        cmocka_unit_test_setup_teardown(stream_may_be_freed_in_each_callback, start, stop),
        cmocka_unit_test_setup_teardown(new_owner_hears_of_the_bytes_that_wait, start, stop),
        cmocka_unit_test_setup_teardown(slow_reader_holds_the_writer_back, start, stop),
        cmocka_unit_test_setup_teardown(slow_reader_holds_the_writer_back, start_clear, stop),
        cmocka_unit_test_setup_teardown(frame_goes_out_whole_or_not_at_all, start, stop),
        cmocka_unit_test_setup_teardown(stream_that_leaves_the_loop_keeps_its_early_bytes, start,
                                        stop),
        cmocka_unit_test_setup_teardown(stream_that_leaves_the_loop_keeps_its_early_bytes,
                                        start_clear, stop),
        cmocka_unit_test_setup_teardown(megabytes_pass_between_two_threads, start, stop),
        cmocka_unit_test_setup_teardown(megabytes_pass_between_two_threads, start_clear, stop),
        cmocka_unit_test_setup_teardown(blocking_read_ends_at_its_deadline, start, stop),
        cmocka_unit_test_setup_teardown(blocking_write_ends_at_its_deadline, start, stop),
        cmocka_unit_test_setup_teardown(aborted_connection_wakes_its_thread, start, stop),
        cmocka_unit_test_setup_teardown(frames_end_cleanly_only_between_two, start, stop),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
