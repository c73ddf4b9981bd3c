/* SPDX-License-Identifier: MIT */
#include "seal/state.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* Packets that one call may seal without asking for a fresh session in between. */
#define SESSION_MARGIN 32

static_assert(SESSION_MARGIN >= 2 * SEAL_HELD_MAX + 2, "two handshakes' worth and an answer");

int state_drop(struct seal *seal, enum seal_drop why)
{
    static const int errors[] = {
        [SEAL_DROP_MALFORMED] = -EBADMSG,
        [SEAL_DROP_STRANGER] = -ENOKEY,
        [SEAL_DROP_KEY] = -ENOKEY,
        [SEAL_DROP_FORGED] = -EKEYREJECTED,
        [SEAL_DROP_REPLAYED] = -EALREADY,
        [SEAL_DROP_REFLECTED] = -ELOOP,
        [SEAL_DROP_DESTINATION] = -EADDRNOTAVAIL,
        [SEAL_DROP_UNASKED] = -ESTALE,
        [SEAL_DROP_STALE] = -ESTALE,
        [SEAL_DROP_FULL] = -ENOBUFS,
        [SEAL_DROP_UNREACHABLE] = -EHOSTUNREACH,
    };
    static_assert(ARRAY_SIZE(errors) == _SEAL_DROP_MAX, "one each");

    seal->statistics.dropped[why]++;
    return errors[why];
}

int state_begin_session(struct seal *seal, usec_t now)
{
    static const uint8_t no_secret[CRYPTO_KEY_SIZE];
    const struct keyring_key *primary = seal->keyring ? &seal->keyring->keys[0] : NULL;
    struct session session = {.began_usec = now, .number = seal->current.number + 1};
    uint8_t random[CRYPTO_MAC_SIZE];
    int r;

    r = entropy_draw(&seal->entropy, &seal->crypto, random);
    if (r < 0)
        return r;
    memcpy(session.id, random, sizeof(session.id));
    session.key_id = primary ? primary->id : 0;
    r = session_derive_key(&seal->crypto, primary ? primary->secret : no_secret, seal->cluster,
                           session.id, session.key);
    if (r < 0)
        return r;
    seal->previous = seal->current;
    OPENSSL_cleanse(seal->previous.key, sizeof(seal->previous.key));
    seal->current = session;
    OPENSSL_cleanse(&session, sizeof(session));
    seal->statistics.sessions_own++;
    return 0;
}

int state_refresh(struct seal *seal, usec_t now)
{
    const struct session *current = &seal->current;

    if (current->counter + SESSION_MARGIN <= seal->session_packets_max &&
        usec_sub(now, current->began_usec) < SEAL_SESSION_USEC)
        return 0;
    return state_begin_session(seal, now);
}

/*
 * The key of our current session under the ring's key @id. Another than the first is asked for only
 * while keys are changed, so it is derived each time. Return: 0; -ENOKEY; -EIO.
 */
static int get_session_key(struct seal *seal, uint32_t id, uint8_t ret[static CRYPTO_KEY_SIZE])
{
    const struct keyring_key *key;

    if (id == seal->current.key_id) {
        memcpy(ret, seal->current.key, CRYPTO_KEY_SIZE);
        return 0;
    }
    key = seal->keyring ? keyring_find(seal->keyring, id) : NULL;
    return key ? session_derive_key(&seal->crypto, key->secret, seal->cluster, seal->current.id,
                                    ret)
               : -ENOKEY;
}

/* Seals @outgoing into @queued, which has room for it. Uses up one nonce, whatever happens: the
 * counter is one for all keys of a session. */
static int seal_into(struct seal *seal, const struct outgoing *outgoing, struct queued *queued)
{
    struct session *session = &seal->current;
    uint8_t key[CRYPTO_KEY_SIZE];
    struct writer writer = writer_into(queued->data, queued->size);
    struct packet packet = {
        .type = outgoing->type,
        .algorithm = (uint8_t)seal->algorithm,
        .key_id = outgoing->key_id,
        .counter = session->counter++,
    };
    struct packet_binding binding = {
        .cluster = seal->cluster,
        .sender = outgoing->type == PACKET_DATA ? seal->id : NODE_ID_NULL,
        .sender_session = session->id,
        .destination = outgoing->to_id,
        .destination_session = outgoing->to_session,
    };
    uint8_t bound[PACKET_BOUND_MAX];
    int r = get_session_key(seal, outgoing->key_id, key);

    if (r < 0)
        return r;
    memcpy(packet.session, session->id, sizeof(packet.session));
    packet_write_header(&packet, &writer);
    struct crypto_box box = {
        .algorithm = seal->algorithm,
        .key = key,
        .counter = packet.counter,
        .bound = bound,
        .bound_size = packet_format_binding(&packet, &binding, bound),
    };
    r = crypto_seal(&seal->crypto, &box, outgoing->body, outgoing->body_size,
                    queued->data + packet.header_size);
    OPENSSL_cleanse(key, sizeof(key));
    return r;
}

int state_emit(struct seal *seal, const struct outgoing *outgoing)
{
    _cleanup_free_ struct queued *queued = NULL;
    size_t header = outgoing->type == PACKET_DATA ? PACKET_HEADER_SHORT : PACKET_HEADER_LONG;
    size_t size = header + outgoing->body_size + CRYPTO_TAG_SIZE;
    int r;

    if (seal->queue_count >= SEAL_QUEUE_MAX)
        return state_drop(seal, SEAL_DROP_FULL);
    if (seal->current.counter >= seal->session_packets_max)
        return -EIO; /* no new session could be made: rather silent than one nonce twice */
    queued = malloc(sizeof(*queued) + size);
    if (!queued)
        return -ENOMEM;
    queued->to = *outgoing->to;
    queued->size = size;
    r = seal_into(seal, outgoing, queued);
    if (r < 0)
        return r;
    list_append(&seal->queue, &queued->link);
    seal->statistics.sent[outgoing->type - PACKET_HELLO]++;
    seal->queue_count++;
    (void)TAKE_PTR(queued);
    return 0;
}

bool state_can_send(const struct seal *seal, const struct peer *peer, usec_t now)
{
    uint32_t number = seal->current.number;

    return peer->confirmed == number ||
           (peer->cookie_number == number && usec_sub(now, peer->cookie_usec) < COOKIE_USE_USEC);
}

int state_send_plain(struct seal *seal, struct peer *peer, const void *plain, size_t size)
{
    uint8_t body[SEAL_DATAGRAM_MAX];
    struct writer writer = writer_into(body, sizeof(body));
    struct outgoing outgoing = {.key_id = peer->send_key_id,
                                .to = &peer->address,
                                .to_id = peer->id,
                                .to_session = peer->session};
    int r;

    if (peer->confirmed == seal->current.number) {
        outgoing.type = PACKET_DATA;
        outgoing.body = plain;
        outgoing.body_size = size;
    } else {
        struct packet_echo echo = {.sender = seal->id, .plain = plain, .plain_size = size};
        memcpy(echo.cookie, peer->cookie, sizeof(echo.cookie));
        packet_write_echo(&echo, &writer);
        outgoing.type = PACKET_ECHO;
        outgoing.body = body;
        outgoing.body_size = writer.position;
    }
    r = state_emit(seal, &outgoing);
    if (r == 0 && size > 0)
        seal->statistics.sealed++;
    return r;
}

struct handshake *state_begin_handshake(struct seal *seal, const struct address *to,
                                        const struct node_id *to_id, usec_t now)
{
    struct handshake *handshake = handshakes_find(&seal->handshakes, to, to_id);
    uint8_t random[CRYPTO_MAC_SIZE];

    if (handshake)
        return handshake;
    if (entropy_draw(&seal->entropy, &seal->crypto, random) < 0)
        return NULL;
    handshake = handshakes_add(&seal->handshakes, to, to_id, random);
    if (!handshake)
        (void)state_drop(seal, SEAL_DROP_FULL);
    else
        (void)state_say_hello(seal, handshake, now);
    return handshake;
}

/*
 * With which key the next hello of a handshake is sealed: with the first, and where it is repeated
 * with the others, since whoever missed a change of keys has one of those. They take turns over all
 * handshakes, for one has fewer hellos than a ring may have keys.
 */
static uint32_t choose_key(struct seal *seal, const struct handshake *handshake)
{
    const struct keyring *ring = seal->keyring;

    if (!ring)
        return 0;
    if (handshake->hellos == 0 || ring->count == 1)
        return ring->keys[0].id;
    return ring->keys[1 + seal->turn++ % (ring->count - 1)].id;
}

int state_say_hello(struct seal *seal, struct handshake *handshake, usec_t now)
{
    struct packet_hello hello = {.sender = seal->id, .destination = handshake->key.id};
    uint8_t body[PACKET_HELLO_SIZE];
    struct writer writer = writer_into(body, sizeof(body));
    uint32_t key_id = choose_key(seal, handshake);
    int r;

    memcpy(hello.challenge, handshake->challenge, sizeof(hello.challenge));
    packet_write_hello(&hello, &writer);
    handshakes_schedule(&seal->handshakes, handshake, now);
    r = state_refresh(seal, now);
    if (r < 0)
        return r;
    r = state_emit(seal, &(struct outgoing){.type = PACKET_HELLO,
                                            .key_id = key_id,
                                            .to = &handshake->key.address,
                                            .body = body,
                                            .body_size = writer.position});
    if (r == 0)
        seal->statistics.hellos++;
    return r;
}

static size_t finish_handshake(struct seal *seal, struct peer *peer, const struct node_id *id)
{
    struct handshake *handshake = handshakes_find(&seal->handshakes, &peer->address, id);
    size_t sent = 0;

    if (!handshake)
        return 0;
    /* Copies went out in the old session; they are needed again only where that one is not
     * confirmed. */
    if (!handshake->is_doubt || peer->confirmed != seal->current.number)
        list_for_each (link, &handshake->held) {
            const struct held *held = list_entry(link, struct held, link);
            if (state_send_plain(seal, peer, held->plain, held->size) == 0)
                sent++;
        }
    handshakes_remove(&seal->handshakes, handshake);
    return sent;
}

size_t state_finish_handshakes(struct seal *seal, struct peer *peer)
{
    if (seal->handshakes.by_key.count == 0)
        return 0;
    return finish_handshake(seal, peer, &peer->id) + finish_handshake(seal, peer, &NODE_ID_NULL);
}
