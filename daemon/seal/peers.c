/* SPDX-License-Identifier: MIT */
#include "seal/peers.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include "seal/seal.h"

void peers_init(struct peers *peers, uint64_t seed)
{
    table_init(&peers->by_address, sizeof(struct address), seed);
    list_init(&peers->recent);
}

void peers_done(struct peers *peers)
{
    list_for_each_safe (link, &peers->recent)
        peers_remove(peers, list_entry(link, struct peer, link));
    table_done(&peers->by_address);
}

struct peer *peers_find(const struct peers *peers, const struct address *address)
{
    return table_find(&peers->by_address, address);
}

struct peer *peers_add(struct peers *peers, const struct address *address, usec_t now)
{
    struct peer *peer;

    if (peers->by_address.count >= SEAL_PEERS_MAX) {
        struct peer *quietest = list_first(&peers->recent, struct peer, link);
        if (!quietest || usec_sub(now, quietest->used_usec) < PEERS_QUIET_USEC)
            return NULL;
        peers_remove(peers, quietest);
    }
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    peer->address = *address;
    peer->used_usec = now;
    if (table_insert(&peers->by_address, &peer->address, peer) < 0) {
        free(peer);
        return NULL;
    }
    list_append(&peers->recent, &peer->link);
    return peer;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
    (void)table_remove(&peers->by_address, &peer->address);
    list_remove(&peer->link);
    OPENSSL_cleanse(peer, sizeof(*peer));
    free(peer);
}

void peers_touch(struct peers *peers, struct peer *peer, usec_t now)
{
    peer->used_usec = now;
    list_remove(&peer->link);
    list_append(&peers->recent, &peer->link);
}
