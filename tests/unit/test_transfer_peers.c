/* SPDX-License-Identifier: MIT */

/* Pools of connections between nodes: what arrives, what is told, what ends. */

#include "peers_lab.h"
#include "relay.h"

#define SHORT_IDLE (200 * USEC_PER_MSEC)

static struct lab_node *const one = &nodes[0], *const two = &nodes[1], *const three = &nodes[2];

static void frames_travel_both_ways_over_one_connection(void **state _unused_)
{
    assert_int_equal(lab_send(one, two, "a", 1, NULL, 0), 0);
    assert_int_equal(lab_send(one, two, "b", 2, "body", 4), 0);
    lab_run_until(event, two->frames == 2);
    assert_string_equal(two->ops, "ab");
    assert_int_equal(two->body_size, 4);
    assert_string_equal(one->connections, "opened ");
    assert_string_equal(two->connections, "opened ");

    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    json_add_string(header, "op", "c");
    assert_int_equal(peers_send(two->peers, &one->id, &(struct address){0}, header, NULL, 0), 0);
    lab_run_until(event, one->frames == 1);
    assert_int_equal(peers_connections(one->peers), 1);
    assert_int_equal(peers_connections(two->peers), 1);
    assert_int_equal(one->losts + two->losts, 0);
}

static void frames_of_all_sizes_keep_their_order(void **state _unused_)
{
    static uint8_t body[PEERS_BODY_MAX];
    static const size_t sizes[] = {0, 1, 17, 70000, 0, 1024 * 1024, 3, PEERS_BODY_MAX};
    size_t total = 0;

    for (uint64_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(lab_send(one, two, "x", i + 1, body, sizes[i]), 0);
        total += sizes[i];
    }
    lab_run_until(event, two->frames == ARRAY_SIZE(sizes));
    assert_int_equal(two->body_size, total);
    assert_false(two->is_out_of_order);
    lab_run_until(event, one->drains > 0);
    assert_int_equal(peers_pending(one->peers, &two->id), 0);
}

static void thousands_of_frames_arrive_in_several_turns(void **state _unused_)
{
    unsigned turns = 0, before = 0;

    for (uint64_t i = 1; i <= 5000; i++)
        assert_int_equal(lab_send(one, two, "x", i, NULL, 0), 0);
    while (two->frames < 5000) {
        assert_true(sd_event_run(event, LAB_WAIT_USEC) >= 0);
        assert_true(two->frames - before <= 64);
        turns += two->frames != before;
        before = two->frames;
    }
    assert_false(two->is_out_of_order);
    assert_true(turns >= 5000 / 64);
}

static void both_may_open_at_the_same_time(void **state _unused_)
{
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(lab_send(one, two, "x", i, NULL, 0), 0);
        assert_int_equal(lab_send(two, one, "y", i, NULL, 0), 0);
    }
    lab_run_until(event, one->frames == 3 && two->frames == 3);
    lab_run_until(event, peers_connections(one->peers) == 2 && peers_connections(two->peers) == 2);
    for (uint64_t i = 4; i <= 6; i++) {
        assert_int_equal(lab_send(one, two, "x", i, NULL, 0), 0);
        assert_int_equal(lab_send(two, one, "y", i, NULL, 0), 0);
    }
    lab_run_until(event, one->frames == 6 && two->frames == 6);
    assert_false(one->is_out_of_order || two->is_out_of_order);
    assert_int_equal(one->losts + two->losts, 0);
}

static void a_connection_that_is_refused_is_told_later(void **state _unused_)
{
    lab_stop_listening(two);
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    assert_int_equal(one->losts, 0);
    lab_run_until(event, one->losts == 1);
    assert_int_equal(one->lost, -ECONNREFUSED);
    assert_string_equal(one->connections, "failed ");
    assert_int_equal(peers_pending(one->peers, &two->id), 0);
    assert_int_equal(peers_connections(one->peers), 0);
}

static void a_node_that_does_not_shake_hands_is_given_up(void **state _unused_)
{
    struct bind_sockets silent = lab_listen();

    lab_restart_node(one, LAB_IDLE_USEC, 200 * USEC_PER_MSEC, 16);
    two->address = silent.address;
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, one->losts == 1);
    assert_int_equal(one->lost, -ETIMEDOUT);
    assert_string_equal(one->connections, "failed ");
    (void)close_fd(silent.tcp_fd);
    (void)close_fd(silent.udp_fd);
}

static void their_connection_serves_while_ours_is_not_made(void **state _unused_)
{
    struct bind_sockets silent = lab_listen();
    struct address address = two->address;

    lab_restart_node(one, LAB_IDLE_USEC, 2 * USEC_PER_SEC, 16);
    two->address = silent.address;
    assert_int_equal(lab_send(one, two, "x", 1, NULL, 0), 0);
    assert_int_equal(lab_send(two, one, "y", 1, NULL, 0), 0);
    lab_run_until(event, two->frames == 1 && one->frames == 1);
    lab_run_until(event, peers_connections(one->peers) == 1);
    assert_int_equal(lab_send(one, two, "x", 2, NULL, 0), 0);
    lab_run_until(event, two->frames == 2);
    assert_int_equal(one->losts + two->losts, 0);
    assert_string_equal(one->connections, "opened ");
    two->address = address;
    (void)close_fd(silent.tcp_fd);
    (void)close_fd(silent.udp_fd);
}

static void what_cannot_be_sent_is_refused_at_once(void **state _unused_)
{
    static uint8_t body[PEERS_BODY_MAX + 1];
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    struct node_id unknown = {{77}};

    json_add_string(header, "op", "a");
    assert_int_equal(peers_send(one->peers, &unknown, &(struct address){0}, header, NULL, 0),
                     -EHOSTUNREACH);
    assert_int_equal(lab_send(one, two, "a", 0, body, sizeof(body)), -EMSGSIZE);
    assert_int_equal(peers_send(one->peers, &one->id, &one->address, header, NULL, 0), -EINVAL);
    assert_int_equal(peers_connections(one->peers), 0);
}

#define FLIP_FRAMES 10
#define FLIP_SIZE   5000

static void assert_unchanged(struct lab_node *node _unused_, const struct node_id *from _unused_,
                             cJSON *header, const void *body, size_t body_size)
{
    uint8_t expected[FLIP_SIZE];
    uint64_t number = 0;

    assert_int_equal(json_get_u64(header, "number", FLIP_FRAMES, &number), 1);
    memset(expected, (int)number, sizeof(expected));
    assert_int_equal(body_size, sizeof(expected));
    assert_memory_equal(body, expected, sizeof(expected));
}

/* Calls and their values: those before the bit arrive, of the others it is told that they are lost.
 */
static void a_flipped_bit_ends_the_connection_and_is_heard_nowhere(void **state _unused_)
{
    static const size_t places[] = {3, 1000, 8000, 25000, 45000};
    uint8_t body[FLIP_SIZE];

    two->on_frame = assert_unchanged;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct relay relay;
        unsigned losts = one->losts, frames = two->frames;
        relay_start(&relay, &two->address, false, places[i]);
        two->number = 0;
        for (uint64_t number = 1; number <= FLIP_FRAMES; number++) {
            memset(body, (int)number, sizeof(body));
            assert_int_equal(lab_send(one, two, "x", number, body, sizeof(body)), 0);
        }
        lab_run_until(event, one->losts > losts);
        assert_true(two->frames - frames < FLIP_FRAMES);
        assert_false(two->is_out_of_order);
        relay_stop(&relay);
    }
}

static void connections_have_a_bound(void **state _unused_)
{
    lab_restart_node(one, LAB_IDLE_USEC, LAB_CONNECT, 1);
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    assert_int_equal(lab_send(one, three, "a", 0, NULL, 0), -ENOBUFS);
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, two->frames == 2);
}

static void what_waits_for_a_node_that_does_not_read_has_a_bound(void **state _unused_)
{
    static uint8_t body[1024 * 1024];
    int r = 0;

    two->is_stranger = true;
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, two->stranger && one->drains > 0);
    for (int i = 0; i < 64 && r == 0; i++)
        r = lab_send(one, two, "a", 0, body, sizeof(body));
    assert_int_equal(r, -ENOBUFS);
    assert_in_range(peers_pending(one->peers, &two->id), PEERS_QUEUE_MAX / 2,
                    PEERS_QUEUE_MAX + STREAM_WRITE_MAX);
    assert_int_equal(one->losts, 0);
}

/* Frames that a node must not send. */
static void assert_cut_off(const void *bytes, size_t size, int r)
{
    lab_dial(two, one, TLS_PROTOCOL_TASK);
    lab_run_until(event, peers_connections(one->peers) == 1);
    assert_int_equal(stream_write(two->stranger, bytes, size), 0);
    lab_run_until(event, one->losts == 1);
    assert_int_equal(one->lost, r);
    assert_string_equal(one->connections, "opened closed ");
    lab_run_until(event, !two->stranger);
    assert_int_equal(peers_connections(one->peers), 0);
}

static void a_body_that_is_too_large_ends_the_connection(void **state _unused_)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t size;

    json_add_string(header, "op", "a");
    assert_int_equal(frame_format(header, PEERS_BODY_MAX + 1, &bytes, &size), 0);
    assert_cut_off(bytes, size, -EMSGSIZE);
    assert_int_equal(one->frames, 0);
}

static void what_is_no_frame_ends_the_connection(void **state _unused_)
{
    assert_cut_off("\0\0\0\2[]", 6, -EBADMSG);
}

static void a_header_that_is_too_large_ends_the_connection(void **state _unused_)
{
    assert_cut_off("\1\0\0\0{", 5, -EMSGSIZE);
}

static void a_node_that_goes_amid_a_frame_leaves_nothing(void **state _unused_)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t size;

    json_add_string(header, "op", "a");
    assert_int_equal(frame_format(header, 1000, &bytes, &size), 0);
    lab_dial(two, one, TLS_PROTOCOL_TASK);
    assert_int_equal(stream_write(two->stranger, bytes, size), 0);
    stream_shutdown(two->stranger);
    lab_run_until(event, one->losts == 1 && !two->stranger);
    assert_int_equal(one->lost, -ENOTCONN);
    assert_int_equal(one->frames, 0);
}

static void a_cut_connection_is_told_and_the_next_frame_opens_another(void **state _unused_)
{
    two->is_stranger = true;
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, two->stranger);
    struct conn *conn = NULL;
    assert_int_equal(stream_take_blocking(two->stranger, &conn), 0);
    two->stranger = NULL;
    conn_abort(conn);
    (void)conn_free(conn);
    lab_run_until(event, one->losts == 1);
    assert_int_equal(one->lost, -ECONNRESET);
    two->is_stranger = false;
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, two->frames == 1);
    assert_string_equal(one->connections, "opened closed opened ");
}

static void send_again(struct lab_node *node, const struct node_id *id _unused_, int r _unused_)
{
    if (node->losts == 1)
        assert_int_equal(lab_send(node, two, "a", 0, NULL, 0), 0);
}

static void a_handler_may_send_again_when_it_hears_of_a_loss(void **state _unused_)
{
    lab_stop_listening(two);
    one->on_lost = send_again;
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, one->losts == 2);
    assert_string_equal(one->connections, "failed failed ");
}

static void send_back(struct lab_node *node, const struct node_id *from, cJSON *header,
                      const void *body, size_t body_size)
{
    _cleanup_json_ cJSON *copy = cJSON_Duplicate(header, true);

    cJSON_DeleteItemFromObjectCaseSensitive(copy, "body");
    assert_int_equal(peers_send(node->peers, from, &(struct address){0}, copy, body, body_size), 0);
}

static void a_handler_may_answer_at_once(void **state _unused_)
{
    two->on_frame = send_back;
    for (uint64_t i = 1; i <= 200; i++)
        assert_int_equal(lab_send(one, two, "x", i, "1234", 4), 0);
    lab_run_until(event, one->frames == 200);
    assert_false(one->is_out_of_order);
    assert_int_equal(one->body_size, 800);
}

static void an_idle_connection_ends_without_a_loss(void **state _unused_)
{
    lab_restart_node(one, SHORT_IDLE, LAB_CONNECT, 16);
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, two->frames == 1);
    lab_run_until(event, peers_connections(one->peers) == 0);
    lab_run_until(event, peers_connections(two->peers) == 0);
    assert_string_equal(one->connections, "opened closed ");
    assert_string_equal(two->connections, "opened closed ");
    assert_int_equal(one->losts + two->losts, 0);
    assert_int_equal(two->frames, 1);
}

/* A connection of @one to the stranger @two that is idle, and whose end is known to @two alone. */
static struct conn *end_half(void)
{
    struct conn *conn = NULL;
    uint8_t bytes[256];
    ssize_t got;

    two->is_stranger = true;
    lab_restart_node(one, SHORT_IDLE, LAB_CONNECT, 16);
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, two->stranger);
    assert_int_equal(stream_take_blocking(two->stranger, &conn), 0);
    two->stranger = NULL;
    two->is_stranger = false;
    do {
        assert_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
        got = conn_read(conn, bytes, sizeof(bytes), conn_now() + USEC_PER_MSEC);
    } while (got > 0 || got == -ETIMEDOUT);
    assert_int_equal(got, 0);
    assert_int_equal(peers_connections(one->peers), 1);
    return conn;
}

static void what_is_sent_while_an_idle_connection_ends_takes_another(void **state _unused_)
{
    struct conn *conn = end_half();

    assert_int_equal(lab_send(one, two, "b", 0, NULL, 0), 0);
    lab_run_until(event, two->frames == 1);
    assert_string_equal(two->ops, "b");
    (void)conn_free(conn);
    lab_run_until(event, strstr(one->connections, "closed"));
    assert_int_equal(one->losts, 0);
}

static void what_comes_while_an_idle_connection_ends_is_read_and_answered(void **state _unused_)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    struct conn *conn = end_half();

    json_add_string(header, "op", "b");
    one->on_frame = send_back;
    assert_int_equal(frame_send(conn, header, 0, conn_now() + LAB_WAIT_USEC), 0);
    lab_run_until(event, one->frames == 1 && two->frames == 1);
    assert_string_equal(two->ops, "b");
    assert_int_equal(two->losts, 0);
    (void)conn_free(conn);
    lab_run_until(event, strstr(one->connections, "closed"));
    assert_int_equal(one->losts, 0);
}

static void one_who_says_that_it_ends_and_breaks_off_is_a_loss(void **state _unused_)
{
    _cleanup_json_ cJSON *header = cJSON_CreateObject();
    struct conn *conn = NULL;

    two->is_stranger = true;
    assert_int_equal(lab_send(one, two, "a", 0, NULL, 0), 0);
    lab_run_until(event, two->stranger);
    assert_int_equal(stream_take_blocking(two->stranger, &conn), 0);
    two->stranger = NULL;
    json_add_string(header, "op", "end");
    assert_int_equal(frame_send(conn, header, 0, conn_now() + LAB_WAIT_USEC), 0);
    conn_abort(conn);
    (void)conn_free(conn);
    lab_run_until(event, one->losts == 1);
    assert_int_equal(one->lost, -ECONNRESET);
    assert_int_equal(one->frames, 0);
}

static void who_is_held_is_kept_until_released(void **state _unused_)
{
    lab_restart_node(one, SHORT_IDLE, LAB_CONNECT, 16);
    peers_hold(one->peers, &two->id);
    peers_hold(one->peers, &two->id);
    assert_int_equal(lab_send(one, two, "x", 0, NULL, 0), 0);
    lab_run_until(event, two->frames > 2);
    assert_string_equal(one->connections, "opened ");
    assert_string_equal(two->ops + two->frames - 1, "a"); /* alive */
    peers_release(one->peers, &two->id);
    lab_run_until(event, two->frames > 4);
    assert_string_equal(one->connections, "opened ");
    peers_release(one->peers, &two->id);
    lab_run_until(event, peers_connections(two->peers) == 0);
    assert_int_equal(one->losts + two->losts, 0);
    peers_release(one->peers, &two->id); /* one too many is harmless */
}

/* Of somebody who died without a word, or moved: nobody waits for TCP to notice. */
static void connections_end_when_their_node_is_known_to_be_gone(void **state _unused_)
{
    struct node_id unknown = {{77}};

    peers_lose(one->peers, &unknown, -EHOSTDOWN);
    assert_int_equal(lab_send(one, two, "x", 1, NULL, 0), 0);
    lab_run_until(event, two->frames == 1);
    one->on_lost = send_again;
    peers_lose(one->peers, &two->id, -EHOSTDOWN);
    assert_int_equal(one->lost, -EHOSTDOWN);
    lab_run_until(event, two->frames == 2 && two->losts == 1);
    assert_int_equal(one->losts, 1);
    assert_string_equal(one->connections, "opened closed opened ");
}

static void the_pool_may_go_at_any_time(void **state _unused_)
{
    assert_int_equal(lab_send(one, two, "a", 0, "body", 4), 0);
    assert_int_equal(lab_send(two, one, "a", 0, "body", 4), 0);
    peers_hold(one->peers, &three->id);
    assert_true(sd_event_run(event, LAB_WAIT_USEC) >= 0);
    one->peers = peers_free(one->peers);
    assert_int_equal(one->losts, 0);
    lab_stop_listening(one);
    lab_run_until(event, two->losts > 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, lab_start, lab_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(frames_travel_both_ways_over_one_connection),
        test(frames_of_all_sizes_keep_their_order),
        test(thousands_of_frames_arrive_in_several_turns),
        test(both_may_open_at_the_same_time),
        test(a_connection_that_is_refused_is_told_later),
        test(a_node_that_does_not_shake_hands_is_given_up),
        test(their_connection_serves_while_ours_is_not_made),
        test(what_cannot_be_sent_is_refused_at_once),
        test(a_flipped_bit_ends_the_connection_and_is_heard_nowhere),
        test(connections_have_a_bound),
        test(what_waits_for_a_node_that_does_not_read_has_a_bound),
        test(a_body_that_is_too_large_ends_the_connection),
        test(what_is_no_frame_ends_the_connection),
        test(a_header_that_is_too_large_ends_the_connection),
        test(a_node_that_goes_amid_a_frame_leaves_nothing),
        test(a_cut_connection_is_told_and_the_next_frame_opens_another),
        test(a_handler_may_send_again_when_it_hears_of_a_loss),
        test(a_handler_may_answer_at_once),
        test(an_idle_connection_ends_without_a_loss),
        test(what_is_sent_while_an_idle_connection_ends_takes_another),
        test(what_comes_while_an_idle_connection_ends_is_read_and_answered),
        test(one_who_says_that_it_ends_and_breaks_off_is_a_loss),
        test(who_is_held_is_kept_until_released),
        test(connections_end_when_their_node_is_known_to_be_gone),
        test(the_pool_may_go_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
