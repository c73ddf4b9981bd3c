/* SPDX-License-Identifier: MIT */
#include "allow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"

void allow_init(struct allow *allow, const struct config_strings *networks)
{
    char text[ADDRESS_TEXT_MAX];

    allow->count = 0;
    for (size_t i = 0; i < networks->count && allow->count < CONFIG_LIST_MAX; i++) {
        const char *slash = strchr(networks->items[i], '/');
        struct address network;

        snprintf(text, sizeof(text), "%s", networks->items[i]);
        text[strcspn(text, "/")] = '\0';
        if (address_parse(text, 0, &network) < 0)
            continue;
        unsigned width = network.family == 4 ? 32 : 128;
        unsigned bits = slash ? (unsigned)strtoul(slash + 1, NULL, 10) : width;
        /* ::ffff:10.0.4.0/120 is folded to IPv4 by who parses it. */
        if (slash && network.family == 4 && strchr(text, ':'))
            bits -= MIN(bits, 96U);
        allow->items[allow->count].network = network;
        allow->items[allow->count++].bits = bits;
    }
}

static bool is_inside(const struct address *network, unsigned bits, const struct address *address)
{
    size_t whole = bits / 8;

    if (network->family != address->family || whole > sizeof(network->bytes) ||
        memcmp(network->bytes, address->bytes, whole) != 0)
        return false;
    return bits % 8 == 0 ||
           ((network->bytes[whole] ^ address->bytes[whole]) & (0xff << (8 - bits % 8))) == 0;
}

bool allow_has(const struct allow *allow, const struct address *address)
{
    for (size_t i = 0; i < allow->count; i++)
        if (is_inside(&allow->items[i].network, allow->items[i].bits, address))
            return true;
    return allow->count == 0;
}
