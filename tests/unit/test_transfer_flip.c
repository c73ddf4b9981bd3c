/* SPDX-License-Identifier: MIT */

/* A bit that is flipped on the way, anywhere: found before the name appears. */

#include "transfer_lab.h"

static struct depot *const there = &depots[1];

enum { HERE, THERE };

#define SIZE ((size_t)300000)

/* Passes bytes on between a node and the one behind it, with one bit flipped. */
struct relay {
    struct bind_sockets sockets;
    struct address to;
    bool is_answer; /* on the way back */
    size_t at;      /* which byte */
    bool has_struck;
    pthread_t thread;
};

static int dial(const struct address *address)
{
    struct sockaddr_storage storage;
    socklen_t size = address_to_sockaddr(address, &storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&storage, size), 0);
    return fd;
}

static void *relay_run(void *data)
{
    struct relay *relay = data;
    struct pollfd listener = {.fd = relay->sockets.tcp_fd, .events = POLLIN};
    size_t passed[2] = {0, 0};
    uint8_t bytes[4096];
    bool is_open = true;

    (void)poll(&listener, 1, 10000);
    int fds[2] = {accept4(relay->sockets.tcp_fd, NULL, NULL, SOCK_CLOEXEC), dial(&relay->to)};
    (void)fcntl(fds[0], F_SETFL, 0);
    while (is_open) {
        struct pollfd both[2] = {{.fd = fds[0], .events = POLLIN},
                                 {.fd = fds[1], .events = POLLIN}};
        (void)poll(both, 2, 10000);
        for (size_t i = 0; i < 2 && is_open; i++) {
            if (both[i].revents == 0)
                continue;
            ssize_t size = recv(fds[i], bytes, sizeof(bytes), 0);
            if (size > 0 && i == relay->is_answer && relay->at >= passed[i] &&
                relay->at < passed[i] + (size_t)size) {
                bytes[relay->at - passed[i]] ^= 0x10;
                relay->has_struck = true;
            }
            is_open = size > 0 && send(fds[1 - i], bytes, (size_t)size, MSG_NOSIGNAL) == size;
            passed[i] += (size_t)MAX(size, (ssize_t)0);
        }
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
    return NULL;
}

static void relay_start(struct relay *relay, bool is_answer, size_t at)
{
    *relay = (struct relay){
        .sockets = lab_listen(), .to = nodes[THERE].address, .is_answer = is_answer, .at = at};
    nodes[THERE].address = relay->sockets.address;
    assert_int_equal(pthread_create(&relay->thread, NULL, relay_run, relay), 0);
}

static void relay_stop(struct relay *relay)
{
    pthread_join(relay->thread, NULL);
    assert_true(relay->has_struck);
    nodes[THERE].address = relay->to;
    (void)close_fd(relay->sockets.tcp_fd);
    (void)close_fd(relay->sockets.udp_fd);
}

/* In the handshake, in the question, in the content, near its end. */
static const size_t places[] = {3, 200, 1500, 20000, 150000, SIZE};

static void a_put_with_a_flipped_bit_stores_nothing(void **state _unused_)
{
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct upload_offer offer = offer_of("file", SIZE);
        struct relay relay;
        struct moving moving;

        relay_start(&relay, false, places[i]);
        assert_true(put_fd(THERE, new_memory(some_bytes(SIZE), SIZE), &offer, &moving) < 0);
        relay_stop(&relay);
        run_until(count_parts(&there->room) == 0);
        assert_empty(there);
    }
}

static void a_pack_with_a_flipped_bit_stores_nothing(void **state _unused_)
{
    for (size_t i = 2; i < ARRAY_SIZE(places) - 1; i++) {
        struct transfer_place place;
        struct upload_offer offer = {.owner = "user1"};
        struct transfer_item *list = calloc(2, sizeof(*list));
        struct relay relay;
        struct moving moving = {0};

        for (size_t j = 0; j < 2; j++)
            list[j] = (struct transfer_item){.name = strdup(j ? "g" : "f"), .size = SIZE / 2};
        relay_start(&relay, false, places[i]);
        place = place_of(&depots[HERE], THERE);
        assert_int_equal(transfers_put_list(depots[HERE].transfers, &place,
                                            new_memory(some_bytes(SIZE), SIZE), &offer,
                                            (struct transfer_list){list, 2}, &moving_handler,
                                            &moving, &moving.transfer),
                         0);
        run_until(moving.is_ended);
        assert_true(moving.end.r < 0);
        relay_stop(&relay);
        run_until(count_parts(&there->room) == 0);
        assert_empty(there);
    }
}

static void a_get_with_a_flipped_bit_says_so(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", SIZE);
    struct moving moving;

    assert_int_equal(put(there->room.files, &offer, some_bytes(SIZE), SIZE), 0);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct relay relay;
        relay_start(&relay, true, places[i]);
        assert_true(get_fd(THERE, "file", new_memory("", 0), &moving) < 0);
        relay_stop(&relay);
    }
    assert_int_equal(get_fd(THERE, "file", new_memory("", 0), &moving), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, transfer_start, transfer_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_put_with_a_flipped_bit_stores_nothing),
        test(a_pack_with_a_flipped_bit_stores_nothing),
        test(a_get_with_a_flipped_bit_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
