/* SPDX-License-Identifier: MIT */
#include "net/bind.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "base/macro.h"
#include "net/port_owner.h"

#define BACKLOG        128
#define FREE_PORTS_MAX 32 /* tries to find a port that is free for both */
#define BUFFER_SIZE    (1 << 20)

static int complain(char error[static BIND_ERROR_MAX], int r, bool is_udp,
                    const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];

    if (r == -EADDRINUSE)
        port_owner_describe(is_udp, address, error, BIND_ERROR_MAX);
    else
        (void)snprintf(error, BIND_ERROR_MAX, "cannot bind %s %s: %s", is_udp ? "udp" : "tcp",
                       address->family ? address_format(address, text) : "socket", strerror(-r));
    return r;
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int bind_to(int fd, const struct address *address, const char *interface, bool is_udp)
{
    struct sockaddr_storage storage;
    socklen_t size = address_to_sockaddr(address, &storage);
    int r;

    /* One IPv6 socket for both families where all addresses are wanted. */
    if (address->family == 6) {
        r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !address_is_wildcard(address));
        if (r < 0)
            return r;
    }
    if (!is_udp) {
        r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (r < 0)
            return r;
    } else
        /* As much as the system allows; less only means that bursts are lost. */
        (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_SIZE);
    if (interface && *interface &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&storage, size) < 0)
        return -errno;
    if (!is_udp && listen(fd, BACKLOG) < 0)
        return -errno;
    return 0;
}

static int open_one(const struct address *address, const char *interface, bool is_udp, int *ret)
{
    _cleanup_close_ int fd = -EBADF;
    int r;

    fd = socket(address->family == 6 ? AF_INET6 : AF_INET,
                (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    r = bind_to(fd, address, interface, is_udp);
    if (r < 0)
        return r;
    *ret = TAKE_FD(fd);
    return 0;
}

/* The port that the kernel chose. */
static int read_port(int fd, struct address *address)
{
    struct sockaddr_storage storage;
    socklen_t size = sizeof(storage);
    struct address bound;
    int r;

    if (getsockname(fd, (struct sockaddr *)&storage, &size) < 0)
        return -errno;
    r = address_from_sockaddr((const struct sockaddr *)&storage, size, &bound);
    if (r < 0)
        return r;
    address->port = bound.port;
    return 0;
}

static int open_both(const struct address *address, const char *interface,
                     char error[static BIND_ERROR_MAX], struct bind_sockets *ret)
{
    _cleanup_close_ int udp_fd = -EBADF, tcp_fd = -EBADF;
    struct address bound = *address;
    int r;

    r = open_one(&bound, interface, true, &udp_fd);
    if (r < 0)
        return complain(error, r, true, &bound);
    r = read_port(udp_fd, &bound);
    if (r < 0)
        return complain(error, r, true, &bound);
    r = open_one(&bound, interface, false, &tcp_fd);
    if (r < 0)
        return complain(error, r, false, &bound);
    *ret = (struct bind_sockets){
        .udp_fd = TAKE_FD(udp_fd), .tcp_fd = TAKE_FD(tcp_fd), .address = bound};
    return 0;
}

int bind_sockets_open(const struct address *address, const char *interface,
                      char error[static BIND_ERROR_MAX], struct bind_sockets *ret)
{
    struct address wanted = *address;
    int r = -EADDRINUSE;

    if (wanted.family == 0)
        wanted.family = 6; /* whose zero bytes are the wildcard */
    for (int i = 0; i < FREE_PORTS_MAX && r == -EADDRINUSE; i++) {
        r = open_both(&wanted, interface, error, ret);
        if (address->family == 0 && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) &&
            wanted.family == 6) {
            wanted.family = 4; /* IPv6 is off */
            r = open_both(&wanted, interface, error, ret);
        }
        if (wanted.port != 0)
            break;
    }
    return r;
}
