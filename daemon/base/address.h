/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An IP address with a port, as a plain value: compared, hashed and put on the wire without a
 * sockaddr. IPv4-mapped IPv6 addresses are folded to IPv4, so that one node has one spelling.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include "base/bytes.h"

struct address {
    uint8_t bytes[16]; /* IPv4 in the first four, the rest zero */
    uint16_t port;     /* host order */
    uint8_t family;    /* 4, 6, or 0 = none */
    uint8_t padding;   /* always 0: the struct is hashed and compared as bytes */
};

/* "[" + 45 + "]:" + 5 + NUL */
#define ADDRESS_TEXT_MAX 54

/*
 * Return: 0; -EINVAL where @text is not "IP", "IP:PORT", "[IP6]:PORT" or "IP6". A missing port
 * becomes
 * @default_port. Names are not resolved here.
 */
int address_parse(const char *text, uint16_t default_port, struct address *ret);

/* "10.0.4.2:7717", "[fd00::2]:7717"; "-" for none. Returns @target. */
char *address_format(const struct address *address, char target[static ADDRESS_TEXT_MAX]);

/* The IP alone, IPv6 in brackets, as the seeds' log lines want it. Returns @target. */
char *address_format_ip(const struct address *address, char target[static ADDRESS_TEXT_MAX]);

/* Return: 0, or -EAFNOSUPPORT for anything but IPv4 and IPv6. */
int address_from_sockaddr(const struct sockaddr *sockaddr, socklen_t size, struct address *ret);

/* Return: the length of what was put into @ret; 0 for no address. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *ret);

bool address_is_equal(const struct address *a, const struct address *b);
bool address_is_wildcard(const struct address *address); /* 0.0.0.0 or :: */

/* Wire form: u8 family (0, 4 or 6), 0, 4 or 16 bytes, u16 port (absent for family 0). */
void address_write(const struct address *address, struct writer *writer);
struct address address_read(struct reader *reader);
