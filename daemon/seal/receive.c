/* SPDX-License-Identifier: MIT */

/*
 * The receiving half of a seal. In each function the order is the defence: first what costs
 * nothing, then the tag, then freshness, and only then does anything change.
 */

#include "seal/seal.h"

#include <openssl/crypto.h>
#include <string.h>
#include "seal/state.h"

/* Who sealed a packet, with what, and for which of our sessions. */
struct origin {
    struct node_id sender; /* data only; else null, as the body says it */
    const uint8_t *session;
    const uint8_t *key;
    enum seal_algorithm algorithm;
};

static bool is_own_session(const struct seal *seal, const uint8_t session[static SESSION_ID_SIZE])
{
    if (memcmp(session, seal->current.id, SESSION_ID_SIZE) == 0)
        return true;
    return seal->previous.number > 0 && memcmp(session, seal->previous.id, SESSION_ID_SIZE) == 0;
}

static int open_for(struct seal *seal, const struct packet *packet, const struct origin *origin,
                    const struct node_id *destination, const uint8_t *destination_session)
{
    struct packet_binding binding = {
        .cluster = seal->cluster,
        .sender = origin->sender,
        .sender_session = origin->session,
        .destination = *destination,
        .destination_session = destination_session,
    };
    uint8_t bound[PACKET_BOUND_MAX];
    struct crypto_box box = {
        .algorithm = origin->algorithm,
        .key = origin->key,
        .counter = packet->counter,
        .bound = bound,
        .bound_size = packet_format_binding(packet, &binding, bound),
    };

    return crypto_open(&seal->crypto, &box, packet->sealed, packet->sealed_size, seal->plain);
}

/* Opens what is bound to one of our sessions. @ret_number: of that session. */
static int open_for_us(struct seal *seal, const struct packet *packet, const struct origin *origin,
                       uint32_t *ret_number)
{
    const struct session *ours = &seal->current;
    int r = open_for(seal, packet, origin, &seal->id, ours->id);

    if (r == -EKEYREJECTED && seal->previous.number > 0) {
        ours = &seal->previous;
        r = open_for(seal, packet, origin, &seal->id, ours->id);
    }
    if (r == 0)
        *ret_number = ours->number;
    return r;
}

/* Finds the key of a long header's session. Return: 0, a drop, -EIO. */
static int derive_origin(struct seal *seal, const struct packet *packet,
                         uint8_t key[static CRYPTO_KEY_SIZE], struct origin *ret)
{
    static const uint8_t no_secret[CRYPTO_KEY_SIZE];
    const struct keyring_key *cluster_key = NULL;
    bool is_known =
        packet->algorithm == SEAL_AES_256_GCM || packet->algorithm == SEAL_CHACHA20_POLY1305;
    int r;

    if (seal->keyring ? !is_known : packet->algorithm != SEAL_NONE)
        return state_drop(seal, SEAL_DROP_MALFORMED);
    if (is_own_session(seal, packet->session))
        return state_drop(seal, SEAL_DROP_REFLECTED);
    if (seal->keyring) {
        cluster_key = keyring_find(seal->keyring, packet->key_id);
        if (!cluster_key) {
            seal->statistics.unknown_key_id = packet->key_id;
            return state_drop(seal, SEAL_DROP_KEY);
        }
    } else if (packet->key_id != 0)
        return state_drop(seal, SEAL_DROP_KEY);
    r = session_derive_key(&seal->crypto, cluster_key ? cluster_key->secret : no_secret,
                           seal->cluster, packet->session, key);
    if (r < 0)
        return r;
    *ret = (struct origin){.session = packet->session,
                           .key = key,
                           .algorithm = (enum seal_algorithm)packet->algorithm};
    return 0;
}

static size_t opened_size(const struct packet *packet)
{
    return packet->sealed_size - CRYPTO_TAG_SIZE;
}

/* @peer sent something fresh, bound to our session @number. */
static void prove(struct seal *seal, struct peer *peer, uint32_t number, usec_t now)
{
    peers_touch(&seal->peers, peer, now);
    peer->received_usec = now;
    peer->unanswered = 0;
    if (number == seal->current.number) {
        peer->confirmed = number;
        (void)state_finish_handshakes(seal, peer);
    }
}

static int deliver(struct seal *seal, const struct peer *peer, const uint8_t *plain, size_t size,
                   struct seal_plain *ret)
{
    if (size == 0)
        return 0;
    seal->statistics.opened++;
    *ret = (struct seal_plain){.from_id = peer->id, .data = plain, .size = size};
    return 1;
}

/* From now on both sides seal with the key of this packet of a handshake. */
static void agree(struct peer *peer, const struct packet *packet,
                  const uint8_t key[static CRYPTO_KEY_SIZE])
{
    peer->algorithm = packet->algorithm;
    peer->key_id = peer->send_key_id = packet->key_id;
    memcpy(peer->key, key, sizeof(peer->key));
}

/* The session of @packet was proven to be at @from now. Return: its entry, or NULL without room. */
static struct peer *adopt(struct seal *seal, const struct address *from, const struct node_id *id,
                          const struct packet *packet, const uint8_t key[static CRYPTO_KEY_SIZE],
                          usec_t now)
{
    struct peer *peer = peers_find(&seal->peers, from);

    if (!peer)
        peer = peers_add(&seal->peers, from, now);
    if (!peer)
        return NULL;
    peer->id = *id;
    memcpy(peer->session, packet->session, sizeof(peer->session));
    agree(peer, packet, key);
    replay_begin(&peer->replay, packet->counter);
    peer->confirmed = 0;
    peer->cookie_number = 0;
    peer->hello_usec = 0;
    seal->statistics.sessions_established++;
    return peer;
}

/*
 * Opens data of @peer, which does not say its key: with that of its last packet, and where keys are
 * being changed, with the others. Return: as open_for_us.
 */
static int open_data(struct seal *seal, const struct packet *packet, struct peer *peer,
                     uint32_t *ret_number)
{
    uint8_t key[CRYPTO_KEY_SIZE];
    struct origin origin = {.sender = peer->id,
                            .session = peer->session,
                            .key = peer->key,
                            .algorithm = (enum seal_algorithm)peer->algorithm};
    int r = open_for_us(seal, packet, &origin, ret_number);

    origin.key = key;
    for (size_t i = 0; r == -EKEYREJECTED && seal->keyring && i < seal->keyring->count; i++) {
        const struct keyring_key *other = &seal->keyring->keys[i];
        if (other->id == peer->key_id)
            continue;
        r = session_derive_key(&seal->crypto, other->secret, seal->cluster, peer->session, key);
        if (r == 0)
            r = open_for_us(seal, packet, &origin, ret_number);
        if (r == 0) {
            memcpy(peer->key, key, sizeof(peer->key));
            peer->key_id = other->id;
        }
        OPENSSL_cleanse(key, sizeof(key));
    }
    return r;
}

static int receive_data(struct seal *seal, const struct address *from, const struct packet *packet,
                        usec_t now, struct seal_plain *ret)
{
    struct peer *peer = peers_find(&seal->peers, from);
    uint32_t number = 0;
    int r;

    if (!peer)
        return state_drop(seal, SEAL_DROP_STRANGER);
    r = open_data(seal, packet, peer, &number);
    if (r == -EKEYREJECTED) {
        /* Perhaps one of us lost the other's session. Its address is proven, so it may be asked. */
        if (now >= peer->hello_usec) {
            peer->hello_usec = usec_add(now, HELLO_PAUSE_USEC);
            struct handshake *handshake = state_begin_handshake(seal, from, &peer->id, now);
            if (handshake && handshake->held_count == 0)
                handshake->is_doubt = true;
        }
        return state_drop(seal, SEAL_DROP_FORGED);
    }
    if (r < 0)
        return r;
    if (replay_is_seen(&peer->replay, packet->counter))
        return state_drop(seal, SEAL_DROP_REPLAYED);
    replay_mark(&peer->replay, packet->counter);
    prove(seal, peer, number, now);
    return deliver(seal, peer, seal->plain, opened_size(packet), ret);
}

/* The MAC half of a cookie that says: this session of this node was asked at this address then. */
static int sign_cookie(struct seal *seal, const struct address *address, const struct node_id *id,
                       const uint8_t session[static SESSION_ID_SIZE], usec_t made_usec,
                       uint8_t ret[static COOKIE_SIZE])
{
    uint8_t text[64], mac[CRYPTO_MAC_SIZE];
    struct writer writer = writer_into(text, sizeof(text));
    int r;

    writer_u64(&writer, made_usec);
    writer_bytes(&writer, id->bytes, sizeof(id->bytes));
    writer_bytes(&writer, session, SESSION_ID_SIZE);
    address_write(address, &writer);
    r = crypto_authenticate(&seal->crypto, seal->cookie_key, text, writer.position, mac);
    if (r < 0)
        return r;
    memcpy(ret, text, 8);
    memcpy(ret + 8, mac, COOKIE_SIZE - 8);
    return 0;
}

/* Return: 0 with the time @cookie was made; -ESTALE where it is not ours, not for this, or too old.
 */
static int check_cookie(struct seal *seal, const struct address *address,
                        const struct packet_echo *echo,
                        const uint8_t session[static SESSION_ID_SIZE], usec_t now, usec_t *ret)
{
    struct reader reader = reader_from(echo->cookie, COOKIE_SIZE);
    usec_t made_usec = reader_u64(&reader);
    uint8_t expected[COOKIE_SIZE];
    int r;

    if (made_usec > now || now - made_usec > COOKIE_LIFE_USEC)
        return -ESTALE;
    r = sign_cookie(seal, address, &echo->sender, session, made_usec, expected);
    if (r < 0)
        return r;
    if (CRYPTO_memcmp(expected, echo->cookie, COOKIE_SIZE) != 0)
        return -ESTALE;
    *ret = made_usec;
    return 0;
}

/* The end of a handshake, and every packet until the other side is known to have seen that end. */
static int receive_echo(struct seal *seal, const struct address *from, const struct packet *packet,
                        usec_t now, struct seal_plain *ret)
{
    struct peer *peer = peers_find(&seal->peers, from);
    struct packet_echo echo;
    struct origin origin = {0};
    uint8_t key[CRYPTO_KEY_SIZE];
    uint32_t number = 0;
    usec_t made_usec = 0;
    int r;

    r = derive_origin(seal, packet, key, &origin);
    if (r < 0)
        return r;
    r = open_for_us(seal, packet, &origin, &number);
    if (r == -EKEYREJECTED)
        return state_drop(seal, SEAL_DROP_FORGED);
    if (r < 0)
        return r;
    if (packet_read_echo(seal->plain, opened_size(packet), &echo) < 0)
        return state_drop(seal, SEAL_DROP_MALFORMED);
    if (peer && memcmp(peer->session, packet->session, SESSION_ID_SIZE) == 0 &&
        node_id_is_equal(&peer->id, &echo.sender)) {
        if (replay_is_seen(&peer->replay, packet->counter))
            return state_drop(seal, SEAL_DROP_REPLAYED);
        replay_mark(&peer->replay, packet->counter);
        if (packet->counter == peer->replay.top) /* one that was late decides nothing */
            agree(peer, packet, key);
    } else {
        r = check_cookie(seal, from, &echo, packet->session, now, &made_usec);
        if (r == -ESTALE || (r == 0 && peer && made_usec <= peer->accepted_usec))
            return state_drop(seal, SEAL_DROP_STALE);
        if (r < 0)
            return r;
        peer = adopt(seal, from, &echo.sender, packet, key, now);
        if (!peer)
            return state_drop(seal, SEAL_DROP_FULL);
        peer->accepted_usec = made_usec;
    }
    prove(seal, peer, number, now);
    return deliver(seal, peer, echo.plain, echo.plain_size, ret);
}

/* Answers with what it takes to go on, and keeps nothing. */
static int receive_hello(struct seal *seal, const struct address *from, const struct packet *packet,
                         usec_t now)
{
    struct packet_challenge challenge = {.sender = seal->id};
    uint8_t key[CRYPTO_KEY_SIZE], body[PACKET_CHALLENGE_SIZE];
    struct writer writer = writer_into(body, sizeof(body));
    struct packet_hello hello;
    struct origin origin = {0};
    int r;

    r = derive_origin(seal, packet, key, &origin);
    if (r < 0)
        return r;
    r = open_for(seal, packet, &origin, &NODE_ID_NULL, NULL);
    if (r == -EKEYREJECTED) {
        seal->statistics.foreign_hellos++;
        return state_drop(seal, SEAL_DROP_FORGED);
    }
    if (r < 0)
        return r;
    if (packet_read_hello(seal->plain, opened_size(packet), &hello) < 0)
        return state_drop(seal, SEAL_DROP_MALFORMED);
    if (!node_id_is_null(&hello.destination) && !node_id_is_equal(&hello.destination, &seal->id))
        return state_drop(seal, SEAL_DROP_DESTINATION);
    memcpy(challenge.echo, hello.challenge, sizeof(challenge.echo));
    r = sign_cookie(seal, from, &hello.sender, packet->session, now, challenge.cookie);
    if (r < 0)
        return r;
    packet_write_challenge(&challenge, &writer);
    r = state_emit(seal, &(struct outgoing){.type = PACKET_CHALLENGE,
                                            .key_id = packet->key_id,
                                            .to = from,
                                            .to_id = hello.sender,
                                            .to_session = packet->session,
                                            .body = body,
                                            .body_size = writer.position});
    if (r == 0)
        seal->statistics.challenges++;
    return r;
}

/* The handshake with @from that @challenge answers, or NULL. */
static const struct handshake *find_asked(const struct seal *seal, const struct address *from,
                                          const struct packet_challenge *challenge)
{
    const struct node_id *ids[] = {&challenge->sender, &NODE_ID_NULL};

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        const struct handshake *handshake = handshakes_find(&seal->handshakes, from, ids[i]);
        if (handshake && CRYPTO_memcmp(handshake->challenge, challenge->echo, CHALLENGE_SIZE) == 0)
            return handshake;
    }
    return NULL;
}

/* The answer to a hello of ours: it is fresh, so its session is proven; now ours is to be proven
 * there. */
static int receive_challenge(struct seal *seal, const struct address *from,
                             const struct packet *packet, usec_t now)
{
    struct peer *peer = peers_find(&seal->peers, from);
    const struct handshake *handshake;
    struct packet_challenge challenge;
    uint8_t key[CRYPTO_KEY_SIZE];
    struct origin origin = {0};
    int r;

    r = derive_origin(seal, packet, key, &origin);
    if (r < 0)
        return r;
    r = open_for(seal, packet, &origin, &seal->id, seal->current.id);
    if (r == -EKEYREJECTED)
        return state_drop(seal, SEAL_DROP_FORGED);
    if (r < 0)
        return r;
    if (packet_read_challenge(seal->plain, opened_size(packet), &challenge) < 0)
        return state_drop(seal, SEAL_DROP_MALFORMED);
    handshake = find_asked(seal, from, &challenge);
    if (!handshake)
        return state_drop(seal, SEAL_DROP_UNASKED);
    handshakes_measure(&seal->handshakes, handshake, now);
    if (!peer || memcmp(peer->session, packet->session, SESSION_ID_SIZE) != 0 ||
        !node_id_is_equal(&peer->id, &challenge.sender)) {
        peer = adopt(seal, from, &challenge.sender, packet, key, now);
        if (!peer)
            return state_drop(seal, SEAL_DROP_FULL);
        peer->accepted_usec = now;
    }
    agree(peer, packet, key);
    peers_touch(&seal->peers, peer, now);
    peer->received_usec = now;
    peer->unanswered = 0;
    /* It has seen our session but kept nothing of it: until it speaks in its own, our packets echo.
     */
    peer->confirmed = 0;
    peer->cookie_number = seal->current.number;
    peer->cookie_usec = now;
    memcpy(peer->cookie, challenge.cookie, COOKIE_SIZE);
    if (state_finish_handshakes(seal, peer) == 0)
        return state_send_plain(seal, peer, NULL, 0);
    return 0;
}

int seal_receive(struct seal *seal, const struct address *from, const void *data, size_t size,
                 usec_t now, struct seal_plain *ret)
{
    struct packet packet;
    int r;

    if (from->family == 0 || packet_read(data, size, &packet) < 0)
        return state_drop(seal, SEAL_DROP_MALFORMED);
    seal->statistics.received[packet.type - PACKET_HELLO]++;
    r = state_refresh(seal, now);
    if (r < 0)
        return r;
    switch (packet.type) {
    case PACKET_DATA:
        return receive_data(seal, from, &packet, now, ret);
    case PACKET_ECHO:
        return receive_echo(seal, from, &packet, now, ret);
    case PACKET_HELLO:
        return receive_hello(seal, from, &packet, now);
    case PACKET_CHALLENGE:
        return receive_challenge(seal, from, &packet, now);
    }
    return state_drop(seal, SEAL_DROP_MALFORMED);
}
