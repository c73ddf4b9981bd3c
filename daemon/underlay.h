/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What becomes of the network under the cluster while it runs, as far as the kernel says it when
 * something is sent: a path that takes less than was thought, an address that the machine has lost.
 * The membership is told what follows from it.
 */

#include "base/usec.h"
#include "net/udp.h"
#include "swim/swim.h"

struct underlay {
    size_t datagram_max;  /* bytes that all paths take, as far as they are known */
    uint64_t locals_lost; /* of the socket's statistics, when last looked */
};

/* @datagram_max: what is sent at most; gossip.mtu. */
void underlay_init(struct underlay *underlay, size_t datagram_max);

/*
 * The same in a node that runs. Return: what is sent at most now, which is less where a path takes
 * no more.
 */
size_t underlay_set_max(struct underlay *underlay, const struct udp *udp, size_t datagram_max);

/*
 * To be called after each flush of @udp. Return: whether this node is elsewhere now, so that nobody
 * knows its sessions there, and @swim has something to say.
 */
bool underlay_watch(struct underlay *underlay, const struct udp *udp, struct swim *swim,
                    usec_t now);
