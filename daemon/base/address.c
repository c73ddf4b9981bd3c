/* SPDX-License-Identifier: MIT */
#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"

static bool is_mapped(const uint8_t bytes[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static void fold(struct address *address)
{
    if (address->family == 6 && is_mapped(address->bytes)) {
        memmove(address->bytes, address->bytes + 12, 4);
        memset(address->bytes + 4, 0, 12);
        address->family = 4;
    }
}

static int parse_port(const char *text, uint16_t *ret)
{
    unsigned long port = 0;

    if (!*text || strlen(text) > 5)
        return -EINVAL;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9')
            return -EINVAL;
        port = port * 10 + (unsigned long)(*c - '0');
    }
    if (port > UINT16_MAX)
        return -EINVAL;
    *ret = (uint16_t)port;
    return 0;
}

int address_parse(const char *text, uint16_t default_port, struct address *ret)
{
    struct address address = {.port = default_port};
    char host[INET6_ADDRSTRLEN + 2];
    const char *port = NULL, *end;
    bool is_bracketed = text[0] == '[';

    if (is_bracketed) {
        end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return -EINVAL;
        port = end[1] ? end + 2 : NULL;
        text++;
    } else {
        const char *colon = strchr(text, ':');
        bool is_ip6 = colon && strchr(colon + 1, ':');
        end = colon && !is_ip6 ? colon : text + strlen(text);
        port = *end ? end + 1 : NULL;
    }
    if ((size_t)(end - text) >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    if (port && parse_port(port, &address.port) < 0)
        return -EINVAL;
    if (!is_bracketed && inet_pton(AF_INET, host, address.bytes) == 1)
        address.family = 4;
    else if (inet_pton(AF_INET6, host, address.bytes) == 1)
        address.family = 6;
    else
        return -EINVAL;
    fold(&address);
    *ret = address;
    return 0;
}

char *address_format_ip(const struct address *address, char target[static ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];

    if (address->family == 0)
        strcpy(target, "-");
    else if (address->family == 4)
        inet_ntop(AF_INET, address->bytes, target, ADDRESS_TEXT_MAX);
    else
        snprintf(target, ADDRESS_TEXT_MAX, "[%s]",
                 inet_ntop(AF_INET6, address->bytes, host, sizeof(host)));
    return target;
}

char *address_format(const struct address *address, char target[static ADDRESS_TEXT_MAX])
{
    address_format_ip(address, target);
    if (address->family != 0) {
        size_t length = strlen(target);
        snprintf(target + length, ADDRESS_TEXT_MAX - length, ":%u", address->port);
    }
    return target;
}

int address_from_sockaddr(const struct sockaddr *sockaddr, socklen_t size, struct address *ret)
{
    struct address address = {0};

    if (sockaddr->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sockaddr, sizeof(in));
        memcpy(address.bytes, &in.sin_addr, 4);
        address.port = ntohs(in.sin_port);
        address.family = 4;
    } else if (sockaddr->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sockaddr, sizeof(in6));
        memcpy(address.bytes, &in6.sin6_addr, 16);
        address.port = ntohs(in6.sin6_port);
        address.family = 6;
    } else {
        return -EAFNOSUPPORT;
    }
    fold(&address);
    *ret = address;
    return 0;
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (address->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&in.sin_addr, address->bytes, 4);
        memcpy(ret, &in, sizeof(in));
        return sizeof(in);
    }
    if (address->family == 6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        memcpy(&in6.sin6_addr, address->bytes, 16);
        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
    }
    return 0;
}

bool address_is_equal(const struct address *a, const struct address *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool address_is_wildcard(const struct address *address)
{
    static const uint8_t zeros[16];
    return address->family != 0 && memcmp(address->bytes, zeros, sizeof(zeros)) == 0;
}

void address_write(const struct address *address, struct writer *writer)
{
    writer_u8(writer, address->family);
    if (address->family == 0)
        return;
    writer_bytes(writer, address->bytes, address->family == 4 ? 4 : 16);
    writer_u16(writer, address->port);
}

struct address address_read(struct reader *reader)
{
    struct address address = {.family = reader_u8(reader)};

    if (address.family == 0)
        return address;
    if (address.family != 4 && address.family != 6) {
        reader->failed = true;
        return (struct address){0};
    }
    reader_copy(reader, address.bytes, address.family == 4 ? 4 : 16);
    address.port = reader_u16(reader);
    fold(&address);
    return reader_ok(reader) ? address : (struct address){0};
}
