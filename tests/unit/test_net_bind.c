/* SPDX-License-Identifier: MIT */
#include "net_lab.h"
#include <stdio.h>
#include <sys/socket.h>
#include "net/port_owner.h"

static void close_both(const struct bind_sockets *sockets)
{
    (void)close_fd(sockets->udp_fd);
    (void)close_fd(sockets->tcp_fd);
}

static void free_port_is_the_same_for_udp_and_tcp(void **state)
{
    struct address address = lab_loopback(0), udp, tcp;
    struct sockaddr_storage storage;
    struct bind_sockets sockets;
    char error[BIND_ERROR_MAX];
    socklen_t size = sizeof(storage);

    (void)state;
    assert_int_equal(bind_sockets_open(&address, NULL, error, &sockets), 0);
    assert_int_equal(getsockname(sockets.udp_fd, (struct sockaddr *)&storage, &size), 0);
    assert_int_equal(address_from_sockaddr((struct sockaddr *)&storage, size, &udp), 0);
    size = sizeof(storage);
    assert_int_equal(getsockname(sockets.tcp_fd, (struct sockaddr *)&storage, &size), 0);
    assert_int_equal(address_from_sockaddr((struct sockaddr *)&storage, size, &tcp), 0);
    assert_true(address_is_equal(&udp, &tcp));
    assert_true(address_is_equal(&udp, &sockets.address));
    assert_int_not_equal(udp.port, 0);
    close_both(&sockets);
}

static void taken_port_names_its_owner(void **state)
{
    struct bind_sockets sockets = lab_bind(), second;
    char error[BIND_ERROR_MAX], expected[BIND_ERROR_MAX];

    (void)state;
    assert_int_equal(bind_sockets_open(&sockets.address, NULL, error, &second), -EADDRINUSE);
    (void)snprintf(expected, sizeof(expected), "udp %u is in use by pid %d (", sockets.address.port,
                   (int)getpid());
    assert_memory_equal(error, expected, strlen(expected));
    /* TCP alone is taken. */
    (void)close_fd(sockets.udp_fd);
    assert_int_equal(bind_sockets_open(&sockets.address, NULL, error, &second), -EADDRINUSE);
    expected[0] = 't', expected[1] = 'c', expected[2] = 'p';
    assert_memory_equal(error, expected, strlen(expected));
    (void)close_fd(sockets.tcp_fd);
}

static void address_of_another_machine_is_refused_with_its_text(void **state)
{
    struct address address = {.bytes = {192, 0, 2, 1}, .port = 21000, .family = 4};
    struct bind_sockets sockets;
    char error[BIND_ERROR_MAX];

    (void)state;
    assert_int_equal(bind_sockets_open(&address, NULL, error, &sockets), -EADDRNOTAVAIL);
    assert_string_equal(error, "cannot bind udp 192.0.2.1:21000: Cannot assign requested address");
}

static void unknown_interface_is_refused(void **state)
{
    struct address address = lab_loopback(0);
    struct bind_sockets sockets;
    char error[BIND_ERROR_MAX];

    (void)state;
    assert_true(bind_sockets_open(&address, "no-such-if0", error, &sockets) < 0);
    assert_non_null(strstr(error, "cannot bind udp"));
}

static void wildcard_takes_all_addresses(void **state)
{
    struct address any = {0};
    struct bind_sockets sockets;
    char error[BIND_ERROR_MAX];

    (void)state;
    assert_int_equal(bind_sockets_open(&any, NULL, error, &sockets), 0);
    assert_true(address_is_wildcard(&sockets.address));
    close_both(&sockets);
}

static void owner_that_cannot_be_seen_is_left_out(void **state)
{
    char text[BIND_ERROR_MAX];

    (void)state;
    port_owner_describe(true, &(struct address){.family = 4}, text, sizeof(text));
    assert_string_equal(text, "udp 0 is in use");
}

static void same_port_of_another_address_is_not_in_the_way(void **state)
{
    struct bind_sockets sockets = lab_bind();
    struct address wanted = sockets.address;
    char text[BIND_ERROR_MAX], nobody[BIND_ERROR_MAX], own[BIND_ERROR_MAX];

    (void)state;
    (void)snprintf(nobody, sizeof(nobody), "tcp %u is in use", wanted.port);
    (void)snprintf(own, sizeof(own), "tcp %u is in use by pid %d (", wanted.port, (int)getpid());
    wanted.bytes[3]++;
    port_owner_describe(false, &wanted, text, sizeof(text));
    assert_string_equal(text, nobody);
    /* All addresses are one too many, in IPv6 as well. */
    memset(wanted.bytes, 0, sizeof(wanted.bytes));
    port_owner_describe(false, &wanted, text, sizeof(text));
    assert_memory_equal(text, own, strlen(own));
    wanted.family = 6;
    port_owner_describe(false, &wanted, text, sizeof(text));
    assert_memory_equal(text, own, strlen(own));
    /* But the loopback address of IPv6 is another. */
    wanted.bytes[15] = 1;
    port_owner_describe(false, &wanted, text, sizeof(text));
    assert_string_equal(text, nobody);
    close_both(&sockets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_port_is_the_same_for_udp_and_tcp),
        cmocka_unit_test(taken_port_names_its_owner),
        cmocka_unit_test(address_of_another_machine_is_refused_with_its_text),
        cmocka_unit_test(unknown_interface_is_refused),
        cmocka_unit_test(wildcard_takes_all_addresses),
        cmocka_unit_test(owner_that_cannot_be_seen_is_left_out),
        cmocka_unit_test(same_port_of_another_address_is_not_in_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
