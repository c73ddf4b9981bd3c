/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The two sockets of a node, UDP and TCP on the same address and port. Where the port is 0 a free
 * one is found that both can have. The sockets are non-blocking and close-on-exec, belong to the
 * caller and go to udp_new() and listener_new().
 */

#include "base/address.h"

#define BIND_ERROR_MAX 256

struct bind_sockets {
    int udp_fd;
    int tcp_fd;             /* listening */
    struct address address; /* as bound, with the port that was found */
};

/**
 * bind_sockets_open() - bind UDP and TCP
 * @address:   where; family 0 = all addresses, IPv6 and IPv4, or IPv4 alone where IPv6 is off
 * @interface: only packets of this network interface; NULL or "" = of all
 * @error:     on failure a sentence like "udp 7717 is in use by pid 812 (serf)"
 *
 * Return: 0, or what the kernel said: -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENODEV, ...
 */
int bind_sockets_open(const struct address *address, const char *interface,
                      char error[static BIND_ERROR_MAX], struct bind_sockets *ret);
