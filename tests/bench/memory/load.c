/* SPDX-License-Identifier: MIT */

/*
 * Clients that set a value of 100 bytes each, wait for the answer, and set the next: one loop for
 * all of them. And what an answer could cost at best: a server that sends back what it gets.
 *
 *   load serve ADDRESS                      until it is killed
 *   load KIND ADDRESS CLIENTS SECONDS       KIND: echo, redis, p2pnode or p2pnode:NODE
 *
 * ADDRESS is a port of 127.0.0.1 or the path of a Unix socket. Prints answers per second and the
 * 50th and 99th percentile of their times in microseconds.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include "base/macro.h"

#define CLIENTS_MAX 1000
#define REQUEST_MAX 512
#define TIMES_MAX   10000000
#define VALUE_SIZE  100

struct client {
    int fd;
    double sent;
    size_t received;
};

static char request[REQUEST_MAX];
static size_t request_size;
static char last_byte; /* of an answer; echo: its size counts */
static bool is_echo;
static float *times;
static size_t times_count;

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int open_socket(const char *address, bool listens)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_path = strchr(address, '/') != NULL;
    const int on = 1;
    int fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

    snprintf(local.sun_path, sizeof(local.sun_path), "%s", address);
    inet.sin_port = htons((uint16_t)atoi(address));
    const struct sockaddr *to = is_path ? (struct sockaddr *)&local : (struct sockaddr *)&inet;
    socklen_t size = is_path ? sizeof(local) : sizeof(inet);
    check(fd >= 0, "socket");
    if (!is_path)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    check((listens ? bind(fd, to, size) : connect(fd, to, size)) == 0, address);
    return fd;
}

_Noreturn static void serve(const char *address)
{
    int listener = open_socket(address, true), poll = epoll_create1(0);
    struct epoll_event events[64], event = {.events = EPOLLIN, .data.fd = listener};
    char data[4096];

    check(listen(listener, CLIENTS_MAX) == 0, "listen");
    check(epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) == 0, "epoll");
    while (true) {
        int count = epoll_wait(poll, events, ARRAY_SIZE(events), -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                event.data.fd = accept(listener, NULL, NULL);
                check(epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event) == 0, "accept");
                continue;
            }
            ssize_t size = recv(fd, data, sizeof(data), 0);
            /* A client that ends leaves its last question behind. */
            if (size <= 0 || send(fd, data, (size_t)size, MSG_NOSIGNAL) != size)
                close(fd);
        }
    }
}

static void make_request(const char *kind)
{
    char value[VALUE_SIZE + 1], node[80] = "";
    int size;

    memset(value, 'v', VALUE_SIZE);
    value[VALUE_SIZE] = '\0';
    if (strcmp(kind, "redis") == 0) {
        size = snprintf(request, sizeof(request), "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n%s\r\n",
                        VALUE_SIZE, value);
        last_byte = '\n';
    } else if (strcmp(kind, "echo") == 0) {
        size = snprintf(request, sizeof(request), "set key %s", value);
        is_echo = true;
    } else {
        if (kind[7] == ':')
            snprintf(node, sizeof(node), ",\"node\":\"%s\"", kind + 8);
        size = 1 + snprintf(request, sizeof(request),
                            "{\"method\":\"org.p2pnode.SetMemory\",\"parameters\":"
                            "{\"key\":\"key\",\"value\":\"%s\"%s}}",
                            value, node);
        last_byte = '\0';
    }
    request_size = (size_t)size;
}

static void ask(struct client *client)
{
    client->received = 0;
    client->sent = now();
    check(send(client->fd, request, request_size, 0) == (ssize_t)request_size, "send");
}

/* Whether the answer is all there. */
static bool take(struct client *client)
{
    char data[4096];
    ssize_t size = recv(client->fd, data, sizeof(data), 0);

    check(size > 0, "receive");
    client->received += (size_t)size;
    if (is_echo ? client->received < request_size : data[size - 1] != last_byte)
        return false;
    check(is_echo || (!strstr(data, "error") && data[0] != '-'), "a refusal");
    if (times_count < TIMES_MAX)
        times[times_count++] = (float)(now() - client->sent);
    return true;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    struct epoll_event events[64];
    int poll = epoll_create1(0);

    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve(argv[2]);
    check(argc == 5, "load KIND ADDRESS CLIENTS SECONDS");
    int count = atoi(argv[3]);
    check(count > 0 && count <= CLIENTS_MAX, "clients");
    times = malloc(TIMES_MAX * sizeof(*times));
    check(times != NULL, "memory");
    make_request(argv[1]);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        clients[i].fd = open_socket(argv[2], false);
        check(epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event) == 0, "epoll");
        ask(&clients[i]);
    }
    double start = now(), end = start + atof(argv[4]) * 1e6;
    while (now() < end) {
        int ready = epoll_wait(poll, events, ARRAY_SIZE(events), 1000);
        for (int i = 0; i < ready; i++)
            if (take(events[i].data.ptr))
                ask(events[i].data.ptr);
    }
    check(times_count > 0, "no answer");
    double seconds = (now() - start) / 1e6;
    qsort(times, times_count, sizeof(*times), compare);
    printf("%.1f %.1f %.1f\n", (double)times_count / seconds, (double)times[times_count / 2],
           (double)times[times_count * 99 / 100]);
    return 0;
}
