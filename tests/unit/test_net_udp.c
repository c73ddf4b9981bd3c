/* SPDX-License-Identifier: MIT */
#include "net_lab.h"
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include "net/udp.h"

struct side {
    struct udp *udp;
    struct address address;
    struct address from; /* of the last datagram */
    char last[32];
    size_t count;
    size_t echoes; /* answers still to be given */
};

static sd_event *event;
static struct side a, b;

static void on_datagram(const struct address *from, const void *data, size_t size, usec_t now,
                        void *userdata)
{
    struct side *side = userdata;

    assert_true(now > 0);
    side->from = *from;
    side->count++;
    if (size < sizeof(side->last)) {
        memcpy(side->last, data, size);
        side->last[size] = '\0';
    }
    if (side->echoes > 0) {
        side->echoes--;
        assert_int_equal(udp_send(side->udp, from, data, size), 0);
    }
}

static void open_side(struct side *side, const struct bind_sockets *sockets)
{
    *side = (struct side){.address = sockets->address};
    (void)close_fd(sockets->tcp_fd);
    assert_int_equal(udp_new(event, sockets->udp_fd, 0, on_datagram, side, &side->udp), 0);
}

static int start(void **state)
{
    struct bind_sockets sockets;

    (void)state;
    assert_true(sd_event_new(&event) >= 0);
    sockets = lab_bind();
    open_side(&a, &sockets);
    sockets = lab_bind();
    open_side(&b, &sockets);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    (void)udp_free(a.udp);
    (void)udp_free(b.udp);
    event = sd_event_unref(event);
    return 0;
}

static void datagram_and_answer_arrive(void **state)
{
    (void)state;
    b.echoes = 1;
    assert_int_equal(udp_send(a.udp, &b.address, "hello", 5), 0);
    udp_flush(a.udp);
    lab_run_until(event, a.count == 1);
    assert_string_equal(a.last, "hello");
    assert_true(address_is_equal(&a.from, &b.address));
    assert_true(address_is_equal(&b.from, &a.address));
}

static void many_datagrams_leave_and_arrive_in_batches(void **state)
{
    struct udp_statistics statistics;

    (void)state;
    for (int i = 0; i < 3 * UDP_BATCH_MAX + 5; i++)
        assert_int_equal(udp_send(a.udp, &b.address, "x", 1), 0);
    udp_get_statistics(a.udp, &statistics);
    assert_int_equal(statistics.sent, 3 * UDP_BATCH_MAX);
    udp_flush(a.udp);
    assert_true(sd_event_run(event, LAB_WAIT_USEC) > 0);
    assert_true(b.count <= UDP_BATCH_MAX);
    lab_run_until(event, b.count == 3 * UDP_BATCH_MAX + 5);
}

static void who_is_late_reads_all_that_waits(void **state)
{
    enum { COUNT = 5 * UDP_BATCH_MAX };

    (void)state;
    b.echoes = COUNT;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(udp_send(a.udp, &b.address, "x", 1), 0);
    udp_flush(a.udp);
    udp_catch_up(b.udp, 1);
    assert_int_equal(b.count, COUNT);
    udp_catch_up(b.udp, 1); /* nothing waits, and it does not either */
    assert_int_equal(b.count, COUNT);
    udp_catch_up(a.udp, 1); /* the answers have left */
    assert_int_equal(a.count, COUNT);
}

/* A flood does not keep anybody from what is due. */
static void catching_up_has_an_end(void **state)
{
    enum { MOST = UDP_CATCH_UP_MAX * UDP_BATCH_MAX };

    (void)state;
    for (int i = 0; i < MOST + 1; i++)
        assert_int_equal(udp_send(a.udp, &b.address, "x", 1), 0);
    udp_flush(a.udp);
    udp_catch_up(b.udp, 1);
    assert_int_equal(b.count, MOST);
    udp_catch_up(b.udp, 1);
    assert_int_equal(b.count, MOST + 1);
}

static void largest_datagram_passes_and_larger_ones_do_not(void **state)
{
    static uint8_t data[UDP_DATAGRAM_MAX + 1];
    struct udp_statistics statistics;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage storage;
    socklen_t size = address_to_sockaddr(&b.address, &storage);

    (void)state;
    assert_int_equal(udp_send(a.udp, &b.address, data, UDP_DATAGRAM_MAX + 1), -EMSGSIZE);
    assert_int_equal(sendto(fd, data, sizeof(data), 0, (const struct sockaddr *)&storage, size),
                     sizeof(data));
    (void)close_fd(fd);
    assert_int_equal(udp_send(a.udp, &b.address, data, UDP_DATAGRAM_MAX), 0);
    udp_flush(a.udp);
    lab_run_until(event, b.count == 1);
    udp_get_statistics(b.udp, &statistics);
    assert_int_equal(statistics.dropped_in, 1);
    assert_int_equal(statistics.received_size, UDP_DATAGRAM_MAX);
}

static void datagram_that_the_kernel_refuses_is_counted_and_the_rest_goes(void **state)
{
    struct address nowhere = {.bytes = {255, 255, 255, 255}, .port = 1, .family = 4};
    struct address other = {.bytes = {1}, .port = 1, .family = 6};
    struct udp_statistics statistics;

    (void)state;
    assert_int_equal(udp_send(a.udp, &nowhere, "x", 1), 0);
    assert_int_equal(udp_send(a.udp, &b.address, "y", 1), 0);
    assert_int_equal(udp_send(a.udp, &other, "z", 1), -EAFNOSUPPORT);
    udp_flush(a.udp);
    lab_run_until(event, b.count == 1);
    udp_get_statistics(a.udp, &statistics);
    assert_int_equal(statistics.dropped_out, 1);
    assert_int_equal(statistics.sent, 1);
}

static void datagrams_are_never_fragmented(void **state)
{
    struct bind_sockets sockets = lab_bind();
    struct side side;
    int value = 0;
    socklen_t size = sizeof(value);

    (void)state;
    open_side(&side, &sockets);
    assert_int_equal(getsockopt(sockets.udp_fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &size), 0);
    assert_int_equal(value, IP_PMTUDISC_DO);
    (void)udp_free(side.udp);
}

/* A wildcard socket: spoken to at one address, it must not answer from another. */
static void answer_leaves_from_the_address_that_was_spoken_to(void **state)
{
    struct address wildcards[] = {{.family = 0}, {.family = 4}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wildcards); i++) {
        struct bind_sockets sockets;
        char error[BIND_ERROR_MAX];
        struct side wild;
        struct address there = {.bytes = {127, 21, 7, 7}, .family = 4};
        assert_int_equal(bind_sockets_open(&wildcards[i], NULL, error, &sockets), 0);
        open_side(&wild, &sockets);
        wild.echoes = 1;
        a.count = 0;
        there.port = wild.address.port;
        assert_int_equal(udp_send(a.udp, &there, "who", 3), 0);
        udp_flush(a.udp);
        lab_run_until(event, a.count == 1);
        assert_true(address_is_equal(&a.from, &there));
        (void)udp_free(wild.udp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(datagram_and_answer_arrive, start, stop),
        cmocka_unit_test_setup_teardown(many_datagrams_leave_and_arrive_in_batches, start, stop),
        cmocka_unit_test_setup_teardown(who_is_late_reads_all_that_waits, start, stop),
        cmocka_unit_test_setup_teardown(catching_up_has_an_end, start, stop),
        cmocka_unit_test_setup_teardown(largest_datagram_passes_and_larger_ones_do_not, start,
                                        stop),
        cmocka_unit_test_setup_teardown(
            datagram_that_the_kernel_refuses_is_counted_and_the_rest_goes, start, stop),
        cmocka_unit_test_setup_teardown(datagrams_are_never_fragmented, start, stop),
        cmocka_unit_test_setup_teardown(answer_leaves_from_the_address_that_was_spoken_to, start,
                                        stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
