/* SPDX-License-Identifier: MIT */
#include "underlay.h"

#include "base/log.h"
#include "seal/seal.h"

void underlay_init(struct underlay *underlay, size_t datagram_max)
{
    *underlay = (struct underlay){.datagram_max = datagram_max};
}

size_t underlay_set_max(struct underlay *underlay, const struct udp *udp, size_t datagram_max)
{
    struct address end;
    size_t size_max = udp_get_size_max(udp, &end);

    underlay->datagram_max = MIN(datagram_max, size_max);
    return underlay->datagram_max;
}

/* Whoever cannot be sent a page could never learn who is there. What was refused counts as lost. */
static void watch_paths(struct underlay *underlay, const struct udp *udp, struct swim *swim)
{
    struct address end;
    char text[ADDRESS_TEXT_MAX];
    size_t size_max = udp_get_size_max(udp, &end);

    if (size_max >= underlay->datagram_max)
        return;
    underlay->datagram_max = size_max;
    size_t packet_max = MAX(size_max, (size_t)SEAL_OVERHEAD_MAX) - SEAL_OVERHEAD_MAX;
    int r = swim_set_packet_size(swim, packet_max);
    address_format(&end, text);
    if (r >= 0)
        log_notice("The path to %s takes datagrams of %zu bytes, so none is larger from now on",
                   text, size_max);
    else
        log_warning_errno(r,
                          "The path to %s takes datagrams of %zu bytes only, too little for the "
                          "protocol or for this node's tags and task types: %m",
                          text, size_max);
}

/* With the address that the others know, the node has lost its way of being reached. */
static bool watch_address(struct underlay *underlay, const struct udp *udp, struct swim *swim,
                          usec_t now)
{
    const struct address own = swim_get_self(swim)->address;
    struct udp_statistics statistics;
    char text[ADDRESS_TEXT_MAX];

    udp_get_statistics(udp, &statistics);
    if (statistics.locals_lost == underlay->locals_lost)
        return false;
    underlay->locals_lost = statistics.locals_lost;
    if (udp_is_local(&own) || !swim_lose_address(swim, now))
        return false;
    log_notice("The address %s is gone; asking the others where this node is now",
               address_format_ip(&own, text));
    return true;
}

bool underlay_watch(struct underlay *underlay, const struct udp *udp, struct swim *swim, usec_t now)
{
    watch_paths(underlay, udp, swim);
    return watch_address(underlay, udp, swim, now);
}
