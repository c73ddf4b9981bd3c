/* SPDX-License-Identifier: MIT */

/* TLS by pre-shared key, against honest and rogue peers. */

#include "net_lab.h"
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/socket.h>
#include "seal/crypto.h"

struct pair {
    struct tls *tls[2];
    struct tls_link *link[2];
    int fd[2];
    int result[2];
};

static struct pair pair;

static void open_sockets(void)
{
    pair = (struct pair){.result = {-EAGAIN, -EAGAIN}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.fd), 0);
}

static int stop(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        (void)tls_link_free(pair.link[i]);
        (void)tls_free(pair.tls[i]);
        pair.fd[i] = close_fd(pair.fd[i]);
    }
    return 0;
}

static void start(struct tls *client, struct tls *server, const struct node_id *to_id,
                  enum tls_protocol protocol)
{
    open_sockets();
    pair.tls[0] = client;
    pair.tls[1] = server;
    assert_int_equal(tls_link_connect(client, pair.fd[0], to_id, protocol, &pair.link[0]), 0);
    assert_int_equal(tls_link_accept(server, pair.fd[1], &pair.link[1]), 0);
}

/* Both sides take turns until each has a result or neither moves. */
static void shake(void)
{
    uint32_t events;

    for (int i = 0; i < 40; i++)
        if (pair.result[i % 2] == -EAGAIN)
            pair.result[i % 2] = tls_link_handshake(pair.link[i % 2], &events);
}

static void start_and_shake(struct tls *client, struct tls *server, const struct node_id *to_id)
{
    start(client, server, to_id, TLS_PROTOCOL_TASK);
    shake();
}

static void both_sides_learn_peer_and_protocol(void **state)
{
    struct keyring keyring = lab_keyring(1, 2);
    uint32_t events;
    char text[8];

    (void)state;
    for (int is_clear = 0; is_clear < 2; is_clear++) {
        const struct keyring *keys = is_clear ? NULL : &keyring;
        start(lab_tls("lab", &lab_a, keys), lab_tls("lab", &lab_b, keys), &lab_b,
              TLS_PROTOCOL_FILE);
        shake();
        assert_int_equal(pair.result[0], 1);
        assert_int_equal(pair.result[1], 1);
        assert_true(node_id_is_equal(tls_link_get_peer(pair.link[0]), &lab_b));
        assert_true(node_id_is_equal(tls_link_get_peer(pair.link[1]), &lab_a));
        assert_int_equal(tls_link_get_protocol(pair.link[1]), TLS_PROTOCOL_FILE);
        assert_int_equal(tls_link_write(pair.link[0], "hello", 5, &events), 5);
        assert_int_equal(tls_link_read(pair.link[1], text, sizeof(text), &events), 5);
        assert_memory_equal(text, "hello", 5);
        assert_int_equal(tls_link_read(pair.link[1], text, sizeof(text), &events), -EAGAIN);
        assert_int_equal(tls_link_shutdown(pair.link[0], &events), 0);
        assert_int_equal(tls_link_read(pair.link[1], text, sizeof(text), &events), 0);
        if (!is_clear)
            (void)stop(NULL);
    }
}

static void key_that_is_second_at_the_server_is_accepted(void **state)
{
    struct keyring client = lab_keyring(2, 1), server = lab_keyring(1, 2);

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, &client), lab_tls("lab", &lab_b, &server), &lab_b);
    assert_int_equal(pair.result[0], 1);
    assert_int_equal(pair.result[1], 1);
}

static void new_key_ring_counts_for_new_connections(void **state)
{
    struct keyring before = lab_keyring(1, 1), after = lab_keyring(5, 1);
    struct tls *client = lab_tls("lab", &lab_a, &before);

    (void)state;
    assert_int_equal(tls_set_keyring(client, &after), 0);
    start_and_shake(client, lab_tls("lab", &lab_b, &after), &lab_b);
    assert_int_equal(pair.result[1], 1);
}

static void another_key_is_refused_by_both(void **state)
{
    struct keyring client = lab_keyring(1, 1), server = lab_keyring(9, 1);

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, &client), lab_tls("lab", &lab_b, &server), &lab_b);
    assert_int_equal(pair.result[0], -EPROTO);
    assert_int_equal(pair.result[1], -EPROTO);
}

static void key_with_a_known_id_and_other_bytes_is_refused(void **state)
{
    struct keyring client = lab_keyring(1, 1), server = lab_keyring(9, 1);

    (void)state;
    server.keys[0].id = client.keys[0].id;
    start_and_shake(lab_tls("lab", &lab_a, &client), lab_tls("lab", &lab_b, &server), &lab_b);
    assert_int_equal(pair.result[0], -EPROTO);
    assert_int_equal(pair.result[1], -EPROTO);
}

static void another_cluster_with_the_same_key_is_refused(void **state)
{
    struct keyring keyring = lab_keyring(1, 1);

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, &keyring), lab_tls("lab2", &lab_b, &keyring), &lab_b);
    assert_int_equal(pair.result[0], -EPROTO);
    assert_int_equal(pair.result[1], -EPROTO);
}

static void another_cluster_in_the_clear_is_refused(void **state)
{
    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, NULL), lab_tls("lab2", &lab_b, NULL), &lab_b);
    assert_int_equal(pair.result[1], -EPROTO);
    assert_int_not_equal(pair.result[0], 1);
}

static void server_that_is_not_the_one_named_refuses(void **state)
{
    struct keyring keyring = lab_keyring(1, 1);

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, &keyring), lab_tls("lab", &lab_b, &keyring), &lab_c);
    assert_int_equal(pair.result[0], -EPROTO);
    assert_int_equal(pair.result[1], -EPROTO);
}

static void server_in_the_clear_that_is_not_the_one_named_refuses(void **state)
{
    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, NULL), lab_tls("lab", &lab_b, NULL), &lab_c);
    assert_int_equal(pair.result[1], -EPROTO);
}

/* Selfie (RFC 9257, 5.1): our own connection turned back on us. */
static void connection_turned_back_on_its_maker_is_refused(void **state)
{
    struct keyring keyring = lab_keyring(1, 1);

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, &keyring), lab_tls("lab", &lab_a, &keyring), &lab_b);
    assert_int_equal(pair.result[1], -EPROTO);
    (void)stop(NULL);
    start_and_shake(lab_tls("lab", &lab_a, &keyring), lab_tls("lab", &lab_a, &keyring), &lab_a);
    assert_int_equal(pair.result[1], -EPROTO);
}

static void clear_client_and_sealed_server_refuse_each_other(void **state)
{
    struct keyring keyring = lab_keyring(1, 1);

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, NULL), lab_tls("lab", &lab_b, &keyring), &lab_b);
    assert_int_not_equal(pair.result[0], 1);
    assert_int_equal(pair.result[1], -EPROTO);
    (void)stop(NULL);
    start_and_shake(lab_tls("lab", &lab_a, &keyring), lab_tls("lab", &lab_b, NULL), &lab_b);
    assert_true(pair.result[1] < 0);
}

static void end_without_close_notify_is_a_lost_connection(void **state)
{
    struct keyring keyring = lab_keyring(1, 1);
    uint32_t events;
    char byte;

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, &keyring), lab_tls("lab", &lab_b, &keyring), &lab_b);
    assert_int_equal(shutdown(pair.fd[0], SHUT_WR), 0);
    assert_int_equal(tls_link_read(pair.link[1], &byte, 1, &events), -ECONNRESET);
}

static void damaged_record_is_refused(void **state)
{
    struct keyring keyring = lab_keyring(1, 1);
    uint8_t record[64];
    uint32_t events;
    ssize_t size;

    (void)state;
    start_and_shake(lab_tls("lab", &lab_a, &keyring), lab_tls("lab", &lab_b, &keyring), &lab_b);
    assert_int_equal(tls_link_write(pair.link[0], "hello", 5, &events), 5);
    size = recv(pair.fd[1], record, sizeof(record), 0);
    assert_true(size > 10);
    record[size - 1] ^= 1;
    assert_int_equal(send(pair.fd[0], record, (size_t)size, 0), size);
    assert_int_equal(tls_link_read(pair.link[1], record, sizeof(record), &events), -EPROTO);
}

/* --- Rogues: OpenSSL without our rules. --- */

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();

    assert_non_null(certificate);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    (void)X509_set_pubkey(certificate, key);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                     (const unsigned char *)"lab", -1, -1, 0);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static int take_any_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
                         const unsigned char *offered, unsigned size, void *userdata)
{
    (void)ssl;
    (void)size;
    (void)userdata;
    *ret = offered + 1;
    *ret_size = offered[0];
    return SSL_TLSEXT_ERR_OK;
}

/* Ours on side @ours against @rogue on the other, with application data tried when it is through.
 */
static void shake_with(SSL *rogue, int ours)
{
    uint32_t events;
    int done = 0;

    for (int i = 0; i < 20; i++) {
        if (pair.result[ours] == -EAGAIN)
            pair.result[ours] = tls_link_handshake(pair.link[ours], &events);
        if (!done)
            done = SSL_do_handshake(rogue) == 1;
    }
}

/* Has a certificate, has no key: OpenSSL 3.0's clients take it when they do not verify. */
static void rogue_server_with_a_certificate_is_refused(void **state)
{
    struct keyring keyring = lab_keyring(1, 1);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL *rogue;

    (void)state;
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    SSL_CTX_set_alpn_select_cb(context, take_any_alpn, NULL);
    open_sockets();
    pair.tls[0] = lab_tls("lab", &lab_a, &keyring);
    assert_int_equal(
        tls_link_connect(pair.tls[0], pair.fd[0], &lab_b, TLS_PROTOCOL_TASK, &pair.link[0]), 0);
    rogue = SSL_new(context);
    assert_int_equal(SSL_set_fd(rogue, pair.fd[1]), 1);
    SSL_set_accept_state(rogue);
    shake_with(rogue, 0);
    assert_int_equal(pair.result[0], -EPROTO);
    SSL_free(rogue);
    SSL_CTX_free(context);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Proves that the rogue above is one: a client that verifies nothing is taken in. */
static void rogue_server_takes_in_a_client_that_does_not_verify(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key);
    SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
    SSL *rogue, *naive;
    int is_through = 0;

    (void)state;
    assert_int_equal(SSL_CTX_use_certificate(server, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server, key), 1);
    open_sockets();
    rogue = SSL_new(server);
    naive = SSL_new(client);
    assert_int_equal(SSL_set_fd(rogue, pair.fd[1]), 1);
    assert_int_equal(SSL_set_fd(naive, pair.fd[0]), 1);
    SSL_set_accept_state(rogue);
    SSL_set_connect_state(naive);
    for (int i = 0; i < 20; i++) {
        is_through = SSL_do_handshake(naive);
        (void)SSL_do_handshake(rogue);
    }
    assert_int_equal(is_through, 1);
    SSL_free(rogue);
    SSL_free(naive);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void rogue_client_without_a_key_is_refused(void **state)
{
    static const unsigned char alpn[] = "\x0ap2p-task/1";
    struct keyring keyring = lab_keyring(1, 1);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *rogue;

    (void)state;
    open_sockets();
    pair.tls[1] = lab_tls("lab", &lab_b, &keyring);
    assert_int_equal(tls_link_accept(pair.tls[1], pair.fd[1], &pair.link[1]), 0);
    rogue = SSL_new(context);
    assert_int_equal(SSL_set_fd(rogue, pair.fd[0]), 1);
    assert_int_equal(SSL_set_alpn_protos(rogue, alpn, sizeof(alpn) - 1), 0);
    SSL_set_connect_state(rogue);
    shake_with(rogue, 1);
    assert_int_equal(pair.result[1], -EPROTO);
    SSL_free(rogue);
    SSL_CTX_free(context);
}

static const char *rogue_identity;
static uint8_t rogue_secret[48];

static int offer_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *size,
                     SSL_SESSION **ret)
{
    static const unsigned char cipher[] = {0x13, 0x02};
    SSL_SESSION *session = SSL_SESSION_new();

    (void)md;
    assert_true(SSL_SESSION_set1_master_key(session, rogue_secret, sizeof(rogue_secret)));
    assert_true(SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, cipher)));
    assert_true(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION));
    *id = (const unsigned char *)rogue_identity;
    *size = strlen(rogue_identity);
    *ret = session;
    return 1;
}

static void rogue_client_with_a_guessed_key_is_refused(void **state)
{
    static const char *const identities[] = {
        "p2pnode/1 client 00001000 aa000000-0000-0000-0000-000000000000 "
        "bb000000-0000-0000-0000-000000000000",
        "p2pnode/1 client 00001000",
        "x",
        "p2pnode/1 server 00001000 aa000000-0000-0000-0000-000000000000 "
        "bb000000-0000-0000-0000-000000000000",
        "p2pnode/1 client  0001000 aa000000-0000-0000-0000-000000000000 "
        "bb000000-0000-0000-0000-000000000000 and then a good deal more than fits",
    };
    struct keyring keyring = lab_keyring(1, 1);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(identities); i++) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL *rogue;
        rogue_identity = identities[i];
        SSL_CTX_set_psk_use_session_callback(context, offer_psk);
        open_sockets();
        pair.tls[1] = lab_tls("lab", &lab_b, &keyring);
        assert_int_equal(tls_link_accept(pair.tls[1], pair.fd[1], &pair.link[1]), 0);
        rogue = SSL_new(context);
        assert_int_equal(SSL_set_fd(rogue, pair.fd[0]), 1);
        SSL_set_connect_state(rogue);
        shake_with(rogue, 1);
        assert_int_equal(pair.result[1], -EPROTO);
        SSL_free(rogue);
        SSL_CTX_free(context);
        if (i + 1 < ARRAY_SIZE(identities))
            (void)stop(NULL);
    }
}

/* Knows the key. Return: what our server makes of a client that offers @alpn. */
static int shake_with_member(const char *alpn)
{
    struct keyring keyring = lab_keyring(1, 1);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct crypto crypto;
    SSL *rogue;

    assert_int_equal(crypto_init(&crypto), 0);
    assert_int_equal(crypto_derive(&crypto, keyring.keys[0].secret, "lab", "p2p tcp", 7,
                                   rogue_secret, sizeof(rogue_secret)),
                     0);
    crypto_done(&crypto);
    rogue_identity = "p2pnode/1 client 00001000 aa000000-0000-0000-0000-000000000000 "
                     "bb000000-0000-0000-0000-000000000000";
    SSL_CTX_set_psk_use_session_callback(context, offer_psk);
    open_sockets();
    pair.tls[1] = lab_tls("lab", &lab_b, &keyring);
    assert_int_equal(tls_link_accept(pair.tls[1], pair.fd[1], &pair.link[1]), 0);
    rogue = SSL_new(context);
    assert_int_equal(SSL_set_fd(rogue, pair.fd[0]), 1);
    if (alpn)
        assert_int_equal(
            SSL_set_alpn_protos(rogue, (const unsigned char *)alpn, (unsigned)strlen(alpn)), 0);
    SSL_set_connect_state(rogue);
    shake_with(rogue, 1);
    SSL_free(rogue);
    SSL_CTX_free(context);
    return pair.result[1];
}

static void member_without_a_protocol_of_ours_is_refused(void **state)
{
    (void)state;
    assert_int_equal(shake_with_member("\3abc\x0ap2p-task/1"), 1);
    (void)stop(NULL);
    assert_int_equal(shake_with_member(NULL), -EPROTONOSUPPORT);
    (void)stop(NULL);
    assert_int_equal(shake_with_member("\3abc"), -EPROTO);
}

static void clear_lines_that_are_no_greeting_are_refused(void **state)
{
    static const char *const lines[] = {
        "GET / HTTP/1.1\r\n",
        "p2pnode/1 p2p-task/1 lab\n",
        "p2pnode/1 p2p-task/1 lab aa000000-0000-0000-0000-000000000000 "
        "bb000000-0000-0000-0000-000000000000 x\n",
        "p2pnode/1 p2p-mail/1 lab aa000000-0000-0000-0000-000000000000 "
        "bb000000-0000-0000-0000-000000000000\n",
        "p2pnode/1 p2p-task/1 lab 00000000-0000-0000-0000-000000000000 "
        "bb000000-0000-0000-0000-000000000000\n",
        "no end of line",
    };
    uint32_t events;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        open_sockets();
        pair.tls[1] = lab_tls("lab", &lab_b, NULL);
        assert_int_equal(tls_link_accept(pair.tls[1], pair.fd[1], &pair.link[1]), 0);
        assert_true(send(pair.fd[0], lines[i], strlen(lines[i]), 0) > 0);
        int r = tls_link_handshake(pair.link[1], &events);
        assert_true(r == -EPROTO || r == -EPROTONOSUPPORT);
        if (i + 1 < ARRAY_SIZE(lines))
            (void)stop(NULL);
    }
}

static void protocol_names_read_back(void **state)
{
    enum tls_protocol protocol;

    (void)state;
    assert_int_equal(tls_protocol_from_name("p2p-file/1", 10, &protocol), 0);
    assert_int_equal(protocol, TLS_PROTOCOL_FILE);
    assert_string_equal(tls_protocol_name(TLS_PROTOCOL_TASK), "p2p-task/1");
    assert_int_equal(tls_protocol_from_name("p2p-file/2", 10, &protocol), -EPROTONOSUPPORT);
    assert_int_equal(tls_protocol_from_name("p2p-file/1", 9, &protocol), -EPROTONOSUPPORT);
    open_sockets();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(both_sides_learn_peer_and_protocol, stop),
        cmocka_unit_test_teardown(key_that_is_second_at_the_server_is_accepted, stop),
        cmocka_unit_test_teardown(new_key_ring_counts_for_new_connections, stop),
        cmocka_unit_test_teardown(another_key_is_refused_by_both, stop),
        cmocka_unit_test_teardown(key_with_a_known_id_and_other_bytes_is_refused, stop),
        cmocka_unit_test_teardown(another_cluster_with_the_same_key_is_refused, stop),
        cmocka_unit_test_teardown(another_cluster_in_the_clear_is_refused, stop),
        cmocka_unit_test_teardown(server_that_is_not_the_one_named_refuses, stop),
        cmocka_unit_test_teardown(server_in_the_clear_that_is_not_the_one_named_refuses, stop),
        cmocka_unit_test_teardown(connection_turned_back_on_its_maker_is_refused, stop),
        cmocka_unit_test_teardown(clear_client_and_sealed_server_refuse_each_other, stop),
        cmocka_unit_test_teardown(end_without_close_notify_is_a_lost_connection, stop),
        cmocka_unit_test_teardown(damaged_record_is_refused, stop),
        cmocka_unit_test_teardown(rogue_server_with_a_certificate_is_refused, stop),
        cmocka_unit_test_teardown(rogue_server_takes_in_a_client_that_does_not_verify, stop),
        cmocka_unit_test_teardown(rogue_client_without_a_key_is_refused, stop),
        cmocka_unit_test_teardown(rogue_client_with_a_guessed_key_is_refused, stop),
        cmocka_unit_test_teardown(member_without_a_protocol_of_ours_is_refused, stop),
        cmocka_unit_test_teardown(clear_lines_that_are_no_greeting_are_refused, stop),
        cmocka_unit_test_teardown(protocol_names_read_back, stop),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
