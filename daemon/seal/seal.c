/* SPDX-License-Identifier: MIT */
#include "seal/seal.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include "seal/state.h"

#define SESSION_PACKETS_MIN 64
/* The third packet in a row that nothing answers makes us ask who is there now. */
#define DOUBT_PACKETS   3
#define DOUBT_FAST_USEC (2 * USEC_PER_SEC)  /* within one probe's repetitions */
#define DOUBT_SLOW_USEC (10 * USEC_PER_SEC) /* or where nothing came for that long */

static bool config_is_valid(const struct seal_config *config)
{
    if (!text_is_node_name(config->cluster) || node_id_is_null(&config->id) ||
        config->packet_size_max == 0 ||
        config->packet_size_max > SEAL_DATAGRAM_MAX - SEAL_OVERHEAD_MAX)
        return false;
    if (config->session_packets_max > SEAL_SESSION_PACKETS_MAX ||
        (config->session_packets_max > 0 && config->session_packets_max < SESSION_PACKETS_MIN))
        return false;
    if (!config->is_encrypted)
        return !config->keyring && config->algorithm == SEAL_NONE;
    return config->keyring && config->keyring->count > 0 &&
           (config->algorithm == SEAL_AES_256_GCM || config->algorithm == SEAL_CHACHA20_POLY1305);
}

/* Seeds what is random. Return: 0, -EIO. */
static int begin(struct seal *seal, const uint8_t seed[static SEAL_SEED_SIZE], usec_t now)
{
    uint8_t random[CRYPTO_MAC_SIZE];
    uint64_t table_seeds[2];
    int r;

    r = entropy_add(&seal->entropy, &seal->crypto, seed);
    if (r < 0)
        return r;
    r = entropy_draw(&seal->entropy, &seal->crypto, random);
    if (r < 0)
        return r;
    memcpy(table_seeds, random, sizeof(table_seeds));
    peers_init(&seal->peers, table_seeds[0]);
    handshakes_init(&seal->handshakes, table_seeds[1]);
    r = entropy_draw(&seal->entropy, &seal->crypto, seal->cookie_key);
    if (r < 0)
        return r;
    return state_begin_session(seal, now);
}

int seal_new(const struct seal_config *config, const uint8_t seed[static SEAL_SEED_SIZE],
             usec_t now, struct seal **ret)
{
    _cleanup_(seal_freep) struct seal *seal = NULL;
    int r;

    if (!config_is_valid(config))
        return -EINVAL;
    seal = calloc(1, sizeof(*seal));
    if (!seal)
        return -ENOMEM;
    list_init(&seal->queue);
    peers_init(&seal->peers, 0);
    handshakes_init(&seal->handshakes, 0);
    memcpy(seal->cluster, config->cluster, strlen(config->cluster) + 1);
    seal->id = config->id;
    seal->algorithm = config->algorithm;
    seal->packet_size_max = config->packet_size_max;
    seal->session_packets_max =
        config->session_packets_max > 0 ? config->session_packets_max : SEAL_SESSION_PACKETS_MAX;
    if (config->keyring) {
        seal->keyring = keyring_copy(config->keyring);
        if (!seal->keyring)
            return -ENOMEM;
    }
    r = crypto_init(&seal->crypto);
    if (r < 0)
        return r;
    r = begin(seal, seed, now);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(seal);
    return 0;
}

struct seal *seal_free(struct seal *seal)
{
    if (!seal)
        return NULL;
    list_for_each_safe (link, &seal->queue)
        free(list_entry(link, struct queued, link));
    free(seal->lent);
    peers_done(&seal->peers);
    handshakes_done(&seal->handshakes);
    crypto_done(&seal->crypto);
    (void)keyring_free(seal->keyring);
    OPENSSL_cleanse(seal, sizeof(*seal));
    free(seal);
    return NULL;
}

static bool is_doubtful(const struct peer *peer, usec_t now)
{
    if (peer->unanswered < DOUBT_PACKETS || now < peer->hello_usec)
        return false;
    return usec_sub(now, peer->unanswered_usec) <= DOUBT_FAST_USEC ||
           usec_sub(now, peer->received_usec) >= DOUBT_SLOW_USEC;
}

/*
 * After a packet went out to @peer in its session. A node that restarted cannot read it and, not
 * knowing us yet, stays silent; so when nothing comes back for too long a hello follows, and the
 * packet once more if somebody new answers.
 */
static void watch_answers(struct seal *seal, struct peer *peer, const void *plain, size_t size,
                          usec_t now)
{
    struct handshake *handshake = NULL;

    if (peer->unanswered++ == 0)
        peer->unanswered_usec = now;
    if (seal->handshakes.by_key.count > 0)
        handshake = handshakes_find(&seal->handshakes, &peer->address, &peer->id);
    if (!handshake) {
        if (!is_doubtful(peer, now))
            return;
        peer->hello_usec = usec_add(now, HELLO_PAUSE_USEC);
        handshake = state_begin_handshake(seal, &peer->address, &peer->id, now);
        if (!handshake)
            return;
        handshake->is_doubt = true;
    }
    (void)handshake_hold(handshake, plain, size);
}

/* There is no session to send @plain in: hold it for the end of a handshake. */
static int hold(struct seal *seal, const struct address *to, const struct node_id *to_id,
                const void *plain, size_t size, usec_t now)
{
    struct handshake *handshake =
        state_begin_handshake(seal, to, to_id ? to_id : &NODE_ID_NULL, now);
    int r;

    if (!handshake)
        return -ENOBUFS;
    handshake->is_doubt = false;
    r = handshake_hold(handshake, plain, size);
    if (r > 0)
        (void)state_drop(seal, SEAL_DROP_FULL);
    return MIN(r, 0);
}

int seal_send(struct seal *seal, const struct address *to, const struct node_id *to_id,
              const void *plain, size_t size, usec_t now)
{
    struct peer *peer;
    int r;

    if (size == 0 || size > seal->packet_size_max)
        return -EMSGSIZE;
    if (to->family == 0)
        return -EAFNOSUPPORT;
    r = state_refresh(seal, now);
    if (r < 0)
        return r;
    peer = peers_find(&seal->peers, to);
    if (peer && to_id && !node_id_is_null(to_id) && !node_id_is_equal(to_id, &peer->id))
        peer = NULL; /* somebody else was there: ask for the one that is wanted */
    if (!peer || !state_can_send(seal, peer, now))
        return hold(seal, to, to_id, plain, size, now);
    peers_touch(&seal->peers, peer, now);
    r = state_send_plain(seal, peer, plain, size);
    if (r < 0)
        return r;
    watch_answers(seal, peer, plain, size, now);
    return 0;
}

void seal_doubt(struct seal *seal, const struct address *to, const struct node_id *to_id,
                usec_t now)
{
    struct handshake *handshake = handshakes_find(&seal->handshakes, to, to_id);
    const struct peer *peer = peers_find(&seal->peers, to);

    if (handshake) {
        /* Its next hello may be far away by now, or be never. */
        if (usec_sub(now, handshake->said_usec) < HANDSHAKE_REPEAT_USEC)
            return;
        handshake->hellos = 0;
        (void)state_say_hello(seal, handshake, now);
        return;
    }
    if (!peer || !node_id_is_equal(&peer->id, to_id) ||
        usec_sub(now, peer->received_usec) < HANDSHAKE_REPEAT_USEC)
        return;
    handshake = state_begin_handshake(seal, to, to_id, now);
    if (handshake)
        handshake->is_doubt = true;
}

bool seal_next_datagram(struct seal *seal, struct seal_datagram *ret)
{
    struct queued *queued = list_first(&seal->queue, struct queued, link);

    free(seal->lent);
    seal->lent = queued;
    if (!queued)
        return false;
    list_remove(&queued->link);
    seal->queue_count--;
    *ret = (struct seal_datagram){.to = queued->to, .data = queued->data, .size = queued->size};
    return true;
}

void seal_tick(struct seal *seal, usec_t now)
{
    struct handshake *handshake;

    while ((handshake = handshakes_first_due(&seal->handshakes, now))) {
        if (handshake->hellos < handshake_hellos_max(handshake)) {
            (void)state_say_hello(seal, handshake, now);
            continue;
        }
        if (!handshake->is_doubt)
            seal->statistics.dropped[SEAL_DROP_UNREACHABLE] += handshake->held_count;
        handshakes_remove(&seal->handshakes, handshake);
    }
}

usec_t seal_deadline(const struct seal *seal)
{
    return heap_deadline(&seal->handshakes.heap);
}

int seal_renew(struct seal *seal, const uint8_t seed[static SEAL_SEED_SIZE], usec_t now)
{
    int r = entropy_add(&seal->entropy, &seal->crypto, seed);

    if (r < 0)
        return r;
    return state_begin_session(seal, now);
}

/*
 * The key @key_id is gone. Sessions under it are not forgotten: an echo of theirs in another key,
 * recorded while its cookie is fresh, would bring them back without what was seen of them. They
 * open nothing more in that key, and what is sent waits for a new handshake.
 */
static void retire_key(struct seal *seal, uint32_t key_id)
{
    const struct keyring_key *primary = &seal->keyring->keys[0];

    list_for_each_safe (link, &seal->peers.recent) {
        struct peer *peer = list_entry(link, struct peer, link);
        if (peer->send_key_id == key_id) {
            peer->send_key_id = primary->id;
            peer->confirmed = peer->cookie_number = 0;
        }
        if (peer->key_id != key_id)
            continue;
        peer->key_id = primary->id;
        if (session_derive_key(&seal->crypto, primary->secret, seal->cluster, peer->session,
                               peer->key) < 0)
            peers_remove(&seal->peers, peer);
    }
}

int seal_set_keyring(struct seal *seal, const struct keyring *keyring, usec_t now)
{
    _cleanup_(keyring_freep) struct keyring *copy = NULL, *before = NULL;

    if (!seal->keyring || keyring->count == 0)
        return -EINVAL;
    copy = keyring_copy(keyring);
    if (!copy)
        return -ENOMEM;
    before = seal->keyring;
    seal->keyring = copy;
    if (copy->keys[0].id != before->keys[0].id) {
        int r = state_begin_session(seal, now);
        if (r < 0) {
            seal->keyring = TAKE_PTR(before);
            return r;
        }
    }
    (void)TAKE_PTR(copy);
    for (size_t i = 0; i < before->count; i++)
        if (!keyring_find(seal->keyring, before->keys[i].id))
            retire_key(seal, before->keys[i].id);
    return 0;
}

int seal_set_sending(struct seal *seal, enum seal_algorithm algorithm, size_t packet_size_max,
                     usec_t now)
{
    const struct seal_config config = {.cluster = seal->cluster,
                                       .id = seal->id,
                                       .keyring = seal->keyring,
                                       .is_encrypted = seal->keyring != NULL,
                                       .algorithm = algorithm,
                                       .packet_size_max = packet_size_max,
                                       .session_packets_max = seal->session_packets_max};
    enum seal_algorithm before = seal->algorithm;

    if (!config_is_valid(&config))
        return -EINVAL;
    seal->algorithm = algorithm;
    int r = algorithm == before ? 0 : state_begin_session(seal, now);
    if (r < 0) {
        seal->algorithm = before;
        return r;
    }
    seal->packet_size_max = packet_size_max;
    return 0;
}

void seal_get_statistics(const struct seal *seal, struct seal_statistics *ret)
{
    *ret = seal->statistics;
    ret->peers_count = seal->peers.by_address.count;
    ret->handshakes_count = seal->handshakes.by_key.count;
}

const char *seal_kind_name(enum seal_kind kind)
{
    static const char *const names[] = {[SEAL_KIND_HELLO] = "hello",
                                        [SEAL_KIND_CHALLENGE] = "challenge",
                                        [SEAL_KIND_ECHO] = "echo",
                                        [SEAL_KIND_DATA] = "data"};
    static_assert(ARRAY_SIZE(names) == _SEAL_KIND_MAX, "one each");

    assert((size_t)kind < ARRAY_SIZE(names));
    return names[kind];
}

const char *seal_drop_name(enum seal_drop drop)
{
    static const char *const names[] = {
        [SEAL_DROP_MALFORMED] = "malformed",
        [SEAL_DROP_STRANGER] = "stranger",
        [SEAL_DROP_KEY] = "key",
        [SEAL_DROP_FORGED] = "forged",
        [SEAL_DROP_REPLAYED] = "replayed",
        [SEAL_DROP_REFLECTED] = "reflected",
        [SEAL_DROP_DESTINATION] = "destination",
        [SEAL_DROP_UNASKED] = "unasked",
        [SEAL_DROP_STALE] = "stale",
        [SEAL_DROP_FULL] = "full",
        [SEAL_DROP_UNREACHABLE] = "unreachable",
    };
    static_assert(ARRAY_SIZE(names) == _SEAL_DROP_MAX, "one each");

    assert((size_t)drop < ARRAY_SIZE(names));
    return names[drop];
}
