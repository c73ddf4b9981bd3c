/* SPDX-License-Identifier: MIT */
#include "net/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "base/text.h"
#include "net/clear.h"
#include "seal/crypto.h"

#define SUITE     "TLS_AES_256_GCM_SHA384"
#define PSK_SIZE  48 /* as long as the suite's hash */
#define PSK_LABEL "p2p tcp"
#define IDENTITY  "p2pnode/1 client "

#define READ_BUFFER_SIZE ((size_t)64 * 1024)

struct psk {
    uint32_t id;
    uint8_t secret[PSK_SIZE];
};

struct tls {
    /* Bytes; threads that copy files count, too. */
    atomic_uint_fast64_t received[_TLS_PROTOCOL_MAX];
    atomic_uint_fast64_t sent[_TLS_PROTOCOL_MAX];
    SSL_CTX *context; /* owned; NULL until the first connection, and where encryption is off */
    bool is_encrypted;
    char cluster[NODE_NAME_MAX + 1];
    struct node_id id;
    struct psk psks[KEYRING_KEYS_MAX];
    size_t psks_count;
    uint32_t (*choose_key)(const struct node_id *peer, void *data); /* or NULL */
    void *data;                                                     /* borrowed */
};

struct tls_link {
    struct tls *tls; /* borrowed */
    int fd;          /* borrowed */
    SSL *ssl;        /* owned; NULL where encryption is off */
    bool is_client;
    enum tls_protocol protocol;
    struct node_id peer; /* who must be there (client), or who says so (server) */
    char identity[sizeof(IDENTITY) + 9 + 2 * NODE_ID_TEXT_MAX];
    struct clear clear; /* instead of ssl */
};

static const char *const protocol_names[] = {
    [TLS_PROTOCOL_TASK] = "p2p-task/1",
    [TLS_PROTOCOL_FILE] = "p2p-file/1",
};

const char *tls_protocol_name(enum tls_protocol protocol)
{
    return protocol_names[protocol];
}

int tls_protocol_from_name(const char *name, size_t size, enum tls_protocol *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(protocol_names); i++)
        if (strlen(protocol_names[i]) == size && memcmp(protocol_names[i], name, size) == 0) {
            *ret = (enum tls_protocol)i;
            return 0;
        }
    return -EPROTONOSUPPORT;
}

/* The session that stands for a pre-shared key. NULL without memory. */
static SSL_SESSION *make_session(SSL *ssl, const struct psk *psk)
{
    SSL_SESSION *session = SSL_SESSION_new();
    STACK_OF(SSL_CIPHER) *ciphers = SSL_get1_supported_ciphers(ssl);
    const SSL_CIPHER *cipher = ciphers ? sk_SSL_CIPHER_value(ciphers, 0) : NULL;

    /* The context offers one suite, so the first is the one. */
    if (!session || !cipher || !SSL_SESSION_set1_master_key(session, psk->secret, PSK_SIZE) ||
        !SSL_SESSION_set_cipher(session, cipher) ||
        !SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION)) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    sk_SSL_CIPHER_free(ciphers);
    return session;
}

/* "p2pnode/1 client KEYID CLIENT SERVER": who made this, with which key, for whom. */
static void format_identity(const struct tls_link *link, uint32_t key_id, char *target, size_t size)
{
    char client[NODE_ID_TEXT_MAX], server[NODE_ID_TEXT_MAX];

    (void)snprintf(target, size, IDENTITY "%08x %s %s", (unsigned)key_id,
                   node_id_format(&link->tls->id, client), node_id_format(&link->peer, server));
}

/* Return: 0; -EPROTO for any other text, or one that is not for us. */
static int parse_identity(const struct tls *tls, const char *text, size_t size,
                          uint32_t *ret_key_id, struct node_id *ret_client)
{
    char copy[sizeof(((struct tls_link *)NULL)->identity)], expected[sizeof(copy)];
    char client_text[NODE_ID_TEXT_MAX], server_text[NODE_ID_TEXT_MAX];
    struct node_id client, server;
    unsigned key_id;

    if (size >= sizeof(copy))
        return -EPROTO;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (sscanf(copy, IDENTITY "%8x %36s %36s", &key_id, client_text, server_text) != 3 ||
        node_id_parse(client_text, &client) < 0 || node_id_parse(server_text, &server) < 0)
        return -EPROTO;
    (void)snprintf(expected, sizeof(expected), IDENTITY "%08x %s %s", key_id,
                   node_id_format(&client, client_text), node_id_format(&server, server_text));
    if (strlen(copy) != size || strcmp(copy, expected) != 0)
        return -EPROTO;
    /* Selfie (RFC 9257): neither our own nor meant for somebody else. */
    if (!node_id_is_equal(&server, &tls->id) || node_id_is_equal(&client, &tls->id) ||
        node_id_is_null(&client))
        return -EPROTO;
    *ret_key_id = key_id;
    *ret_client = client;
    return 0;
}

/* The key to connect to @peer with: one that it has, else the first. */
static const struct psk *choose_psk(const struct tls *tls, const struct node_id *peer)
{
    uint32_t id = tls->choose_key ? tls->choose_key(peer, tls->data) : 0;

    for (size_t i = 0; i < tls->psks_count; i++)
        if (tls->psks[i].id == id)
            return &tls->psks[i];
    return &tls->psks[0];
}

static int on_client_psk(SSL *ssl, const EVP_MD *md, const unsigned char **ret_identity,
                         size_t *ret_size, SSL_SESSION **ret_session)
{
    struct tls_link *link = SSL_get_app_data(ssl);
    const struct psk *psk = choose_psk(link->tls, &link->peer);

    *ret_session = NULL;
    if (md && !EVP_MD_is_a(md, "SHA384"))
        return 1;
    *ret_session = make_session(ssl, psk);
    if (!*ret_session)
        return 0;
    format_identity(link, psk->id, link->identity, sizeof(link->identity));
    *ret_identity = (const unsigned char *)link->identity;
    *ret_size = strlen(link->identity);
    return 1;
}

/* Without a session the handshake goes on without a key, and fails for want of a certificate. */
static int on_server_psk(SSL *ssl, const unsigned char *identity, size_t size,
                         SSL_SESSION **ret_session)
{
    struct tls_link *link = SSL_get_app_data(ssl);
    struct node_id client;
    uint32_t key_id;

    *ret_session = NULL;
    if (parse_identity(link->tls, (const char *)identity, size, &key_id, &client) < 0)
        return 1;
    for (size_t i = 0; i < link->tls->psks_count; i++)
        if (link->tls->psks[i].id == key_id) {
            *ret_session = make_session(ssl, &link->tls->psks[i]);
            link->peer = client;
            return *ret_session != NULL;
        }
    return 1;
}

/* The first of the client's protocols that is one of ours. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
                   const unsigned char *offered, unsigned offered_size, void *userdata)
{
    (void)ssl;
    (void)userdata;
    for (unsigned i = 0; i < offered_size && offered[i] < offered_size - i; i += 1U + offered[i]) {
        enum tls_protocol protocol;
        if (tls_protocol_from_name((const char *)offered + i + 1, offered[i], &protocol) < 0)
            continue;
        *ret = offered + i + 1;
        *ret_size = offered[i];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int make_context(SSL_CTX **ret)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    char groups[] = "X25519:P-256";

    if (!context)
        return -EIO;
    if (!SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, SUITE) || !SSL_CTX_set1_groups_list(context, groups) ||
        !SSL_CTX_set_num_tickets(context, 0) || !SSL_CTX_set_max_early_data(context, 0)) {
        SSL_CTX_free(context);
        return -EIO;
    }
    (void)SSL_CTX_set_options(context,
                              SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* Several records by one read(); the buffer is released when all of it was taken. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER_SIZE);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    /* The store of trusted certificates stays empty: whoever shows one is refused. */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_psk_use_session_callback(context, on_client_psk);
    SSL_CTX_set_psk_find_session_callback(context, on_server_psk);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    *ret = context;
    return 0;
}

int tls_set_keyring(struct tls *tls, const struct keyring *keyring)
{
    struct psk psks[KEYRING_KEYS_MAX] = {0};
    struct crypto crypto;
    int r;

    if (!tls->is_encrypted || keyring->count == 0)
        return -EINVAL;
    r = crypto_init(&crypto);
    if (r < 0)
        return r;
    for (size_t i = 0; i < keyring->count && r == 0; i++) {
        psks[i].id = keyring->keys[i].id;
        r = crypto_derive(&crypto, keyring->keys[i].secret, tls->cluster, PSK_LABEL,
                          strlen(PSK_LABEL), psks[i].secret, PSK_SIZE);
    }
    crypto_done(&crypto);
    if (r == 0) {
        memcpy(tls->psks, psks, sizeof(psks));
        tls->psks_count = keyring->count;
    }
    OPENSSL_cleanse(psks, sizeof(psks));
    return r;
}

int tls_new(const struct tls_config *config, struct tls **ret)
{
    _cleanup_(tls_freep) struct tls *tls = NULL;
    int r;

    if (!text_is_node_name(config->cluster) || node_id_is_null(&config->id) ||
        config->is_encrypted != (config->keyring != NULL))
        return -EINVAL;
    tls = calloc(1, sizeof(*tls));
    if (!tls)
        return -ENOMEM;
    memcpy(tls->cluster, config->cluster, strlen(config->cluster) + 1);
    tls->id = config->id;
    tls->choose_key = config->choose_key;
    tls->data = config->data;
    tls->is_encrypted = config->is_encrypted;
    if (config->is_encrypted) {
        r = tls_set_keyring(tls, config->keyring);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(tls);
    return 0;
}

struct tls *tls_free(struct tls *tls)
{
    if (!tls)
        return NULL;
    SSL_CTX_free(tls->context);
    OPENSSL_cleanse(tls, sizeof(*tls));
    free(tls);
    return NULL;
}

bool tls_is_encrypted(const struct tls *tls)
{
    return tls->is_encrypted;
}

const struct node_id *tls_get_id(const struct tls *tls)
{
    return &tls->id;
}

void tls_get_statistics(const struct tls *tls, struct tls_statistics *ret)
{
    for (size_t i = 0; i < _TLS_PROTOCOL_MAX; i++) {
        ret->received[i] = atomic_load(&tls->received[i]);
        ret->sent[i] = atomic_load(&tls->sent[i]);
    }
}

const char *tls_get_cluster(const struct tls *tls)
{
    return tls->cluster;
}

/* libssl's part of @link. A node that moves nothing never has a context, which is 70 KiB. */
static int make_ssl(struct tls_link *link)
{
    struct tls *tls = link->tls;
    int r;

    ERR_clear_error();
    if (!tls->context && (r = make_context(&tls->context)) < 0)
        return r;
    link->ssl = SSL_new(tls->context);
    if (!link->ssl || !SSL_set_fd(link->ssl, link->fd))
        return -EIO;
    SSL_set_app_data(link->ssl, link);
    if (link->is_client)
        SSL_set_connect_state(link->ssl);
    else {
        SSL_set_accept_state(link->ssl);
        SSL_set_verify(link->ssl, SSL_VERIFY_NONE, NULL); /* asks no client for a certificate */
    }
    return 0;
}

static int link_new(struct tls *tls, int fd, bool is_client, struct tls_link **ret)
{
    _cleanup_(tls_link_freep) struct tls_link *link = calloc(1, sizeof(*link));

    if (!link)
        return -ENOMEM;
    link->tls = tls;
    link->fd = fd;
    link->is_client = is_client;
    if (tls->is_encrypted) {
        int r = make_ssl(link);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(link);
    return 0;
}

int tls_link_connect(struct tls *tls, int fd, const struct node_id *to_id,
                     enum tls_protocol protocol, struct tls_link **ret)
{
    _cleanup_(tls_link_freep) struct tls_link *link = NULL;
    const char *name = tls_protocol_name(protocol);
    unsigned char alpn[32];
    size_t size = strlen(name);
    int r;

    r = link_new(tls, fd, true, &link);
    if (r < 0)
        return r;
    link->peer = *to_id;
    link->protocol = protocol;
    alpn[0] = (unsigned char)size;
    memcpy(alpn + 1, name, size);
    /* Returns 0 for success, unlike its kin. */
    if (link->ssl && SSL_set_alpn_protos(link->ssl, alpn, (unsigned)size + 1) != 0)
        return -EIO;
    if (!link->ssl)
        clear_init_client(&link->clear, fd, tls->cluster, name, &tls->id, to_id);
    *ret = TAKE_PTR(link);
    return 0;
}

int tls_link_accept(struct tls *tls, int fd, struct tls_link **ret)
{
    int r = link_new(tls, fd, false, ret);

    if (r == 0 && !(*ret)->ssl)
        clear_init_server(&(*ret)->clear, fd);
    return r;
}

struct tls_link *tls_link_free(struct tls_link *link)
{
    if (!link)
        return NULL;
    SSL_free(link->ssl);
    free(link);
    return NULL;
}

/* What a failed call of OpenSSL means. */
static int translate(struct tls_link *link, int result, uint32_t *ret_events)
{
    int saved = errno;

    switch (SSL_get_error(link->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *ret_events = EPOLLIN;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *ret_events = EPOLLOUT;
        return -EAGAIN;
    case SSL_ERROR_SYSCALL:
        return saved == EPIPE ? -EPIPE : -ECONNRESET;
    default:
        /* An end of the connection without close_notify is a cut, not a fault of the protocol. */
        return ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING
                   ? -ECONNRESET
                   : -EPROTO;
    }
}

/* The handshake is done; whether with the key and the protocol is what counts. */
static int check_handshake(struct tls_link *link)
{
    const unsigned char *name;
    unsigned size;
    enum tls_protocol protocol;
    int r;

    if (!SSL_session_reused(link->ssl) || SSL_version(link->ssl) != TLS1_3_VERSION)
        return -EPROTO;
    SSL_get0_alpn_selected(link->ssl, &name, &size);
    if (!name)
        return -EPROTONOSUPPORT;
    r = tls_protocol_from_name((const char *)name, size, &protocol);
    if (r < 0)
        return r;
    if (link->is_client && protocol != link->protocol)
        return -EPROTONOSUPPORT;
    link->protocol = protocol;
    return 1;
}

static int clear_handshake(struct tls_link *link, uint32_t *ret_events)
{
    int r = clear_greet(&link->clear, ret_events);

    if (r <= 0 || link->is_client)
        return r;
    if (strcmp(link->clear.cluster, link->tls->cluster) != 0 ||
        !node_id_is_equal(&link->clear.server, &link->tls->id) ||
        node_id_is_equal(&link->clear.client, &link->tls->id))
        return -EPROTO;
    link->peer = link->clear.client;
    r = tls_protocol_from_name(link->clear.protocol, strlen(link->clear.protocol), &link->protocol);
    if (r < 0)
        return r;
    return clear_welcome(&link->clear);
}

int tls_link_handshake(struct tls_link *link, uint32_t *ret_events)
{
    int r;

    if (!link->ssl)
        return clear_handshake(link, ret_events);
    ERR_clear_error();
    r = SSL_do_handshake(link->ssl);
    if (r == 1)
        return check_handshake(link);
    return translate(link, r, ret_events);
}

static ssize_t link_read(struct tls_link *link, void *data, size_t size, uint32_t *ret_events)
{
    size_t done;
    int r;

    if (!link->ssl)
        return clear_read(&link->clear, data, size, ret_events);
    ERR_clear_error();
    r = SSL_read_ex(link->ssl, data, size, &done);
    if (r == 1)
        return (ssize_t)done;
    if (SSL_get_error(link->ssl, r) == SSL_ERROR_ZERO_RETURN)
        return 0;
    return translate(link, r, ret_events);
}

ssize_t tls_link_read(struct tls_link *link, void *data, size_t size, uint32_t *ret_events)
{
    ssize_t done = link_read(link, data, size, ret_events);

    if (done > 0)
        atomic_fetch_add(&link->tls->received[link->protocol], (uint64_t)done);
    return done;
}

static ssize_t link_write(struct tls_link *link, const void *data, size_t size,
                          uint32_t *ret_events)
{
    size_t done;
    int r;

    if (!link->ssl)
        return clear_write(&link->clear, data, size, ret_events);
    ERR_clear_error();
    r = SSL_write_ex(link->ssl, data, size, &done);
    if (r == 1)
        return (ssize_t)done;
    return translate(link, r, ret_events);
}

ssize_t tls_link_write(struct tls_link *link, const void *data, size_t size, uint32_t *ret_events)
{
    ssize_t done = link_write(link, data, size, ret_events);

    if (done > 0)
        atomic_fetch_add(&link->tls->sent[link->protocol], (uint64_t)done);
    return done;
}

int tls_link_shutdown(struct tls_link *link, uint32_t *ret_events)
{
    int r;

    if (!link->ssl)
        return shutdown(link->fd, SHUT_WR) < 0 ? -errno : 0;
    ERR_clear_error();
    r = SSL_shutdown(link->ssl);
    return r >= 0 ? 0 : translate(link, r, ret_events);
}

const struct node_id *tls_link_get_peer(const struct tls_link *link)
{
    return &link->peer;
}

enum tls_protocol tls_link_get_protocol(const struct tls_link *link)
{
    return link->protocol;
}

bool tls_link_is_sealed(const struct tls_link *link)
{
    return link->ssl != NULL;
}

bool tls_link_has_pending(const struct tls_link *link)
{
    return link->ssl && SSL_has_pending(link->ssl);
}
