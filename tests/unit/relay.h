/* SPDX-License-Identifier: MIT */
#pragma once

/* Between two nodes of a lab: a bit is flipped on the way. After peers_lab.h. */

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

/* Passes bytes on between a node and the one behind it, with one bit flipped. */
struct relay {
    struct bind_sockets sockets;
    struct address to;
    struct address *place; /* of the node, where it is dialled */
    bool is_answer;        /* on the way back */
    size_t at;             /* which byte */
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

/* In front of the node at *@place, which is the relay's until it stops. */
static void relay_start(struct relay *relay, struct address *place, bool is_answer, size_t at)
{
    *relay = (struct relay){
        .sockets = lab_listen(), .to = *place, .place = place, .is_answer = is_answer, .at = at};
    *place = relay->sockets.address;
    assert_int_equal(pthread_create(&relay->thread, NULL, relay_run, relay), 0);
}

static void relay_stop(struct relay *relay)
{
    pthread_join(relay->thread, NULL);
    assert_true(relay->has_struck);
    *relay->place = relay->to;
    (void)close_fd(relay->sockets.tcp_fd);
    (void)close_fd(relay->sockets.udp_fd);
}
