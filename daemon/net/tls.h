/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * TLS 1.3 between nodes by an external pre-shared key from the key ring, and nothing else: one
 * suite, no certificates, no tickets, no early data. The PSK's identity names the client's role,
 * the key and both nodes, so that a connection cannot be turned back on its maker or passed on to
 * another node. Used by stream.c; others only make one and give it a new key ring.
 *
 * Trap (OpenSSL 3.0, measured): a client that does not verify certificates completes a handshake
 * with a server that has a certificate and no key. So clients verify against an empty store, and
 * both sides require that the PSK was used.
 */

#include <openssl/ssl.h>
#include <stdbool.h>
#include "base/id.h"
#include "base/macro.h"
#include "seal/keyring.h"

enum tls_protocol {
    TLS_PROTOCOL_TASK, /* p2p-task/1 */
    TLS_PROTOCOL_FILE, /* p2p-file/1 */
    _TLS_PROTOCOL_MAX,
};

/* For one thread: the first connection makes what all of them share. */
struct tls;

struct tls_config {
    const char *cluster;           /* copied */
    struct node_id id;             /* ours */
    const struct keyring *keyring; /* copied as derived keys; NULL exactly where !is_encrypted */
    bool is_encrypted;             /* security.tls */
    /* The id of a key that the node @peer has, or 0 where that is not known: then the first of the
     * ring is tried. NULL = never known. */
    uint32_t (*choose_key)(const struct node_id *peer, void *data);
    void *data;
};

/* Return: 0; -EINVAL for a bad @config; -ENOMEM; -EIO where OpenSSL fails. */
int tls_new(const struct tls_config *config, struct tls **ret);
/* Wipes the keys. Streams and connections made with it must be gone. Returns NULL. */
struct tls *tls_free(struct tls *tls);
DEFINE_CLEANUP(struct tls *, tls_free)

/* New connections use these keys. Return: 0, -EINVAL where encryption is off, -ENOMEM, -EIO. */
int tls_set_keyring(struct tls *tls, const struct keyring *keyring);

bool tls_is_encrypted(const struct tls *tls);
const struct node_id *tls_get_id(const struct tls *tls);
const char *tls_get_cluster(const struct tls *tls);

/* Bytes inside of all connections since start, by what they are for. */
struct tls_statistics {
    uint64_t received[_TLS_PROTOCOL_MAX];
    uint64_t sent[_TLS_PROTOCOL_MAX];
};
void tls_get_statistics(const struct tls *tls, struct tls_statistics *ret);

/* "p2p-task/1", "p2p-file/1" */
const char *tls_protocol_name(enum tls_protocol protocol);

/* Return: 0, or -EPROTONOSUPPORT for a name that is none of ours. */
int tls_protocol_from_name(const char *name, size_t size, enum tls_protocol *ret);

/* For stream.c: one side of a connection over @fd, which stays the caller's. */
struct tls_link;
int tls_link_connect(struct tls *tls, int fd, const struct node_id *to_id,
                     enum tls_protocol protocol, struct tls_link **ret);
int tls_link_accept(struct tls *tls, int fd, struct tls_link **ret);
struct tls_link *tls_link_free(struct tls_link *link);
DEFINE_CLEANUP(struct tls_link *, tls_link_free)

/* Return: 1 done; -EAGAIN with *@ret_events (EPOLLIN or EPOLLOUT) to wait for; -EPROTO refused by
 * either side; -EPROTONOSUPPORT; -ECONNRESET. */
int tls_link_handshake(struct tls_link *link, uint32_t *ret_events);

/* Bytes moved; 0 at a clean end (read only); -EAGAIN with *@ret_events; -EPROTO, -ECONNRESET,
 * -EPIPE. */
ssize_t tls_link_read(struct tls_link *link, void *data, size_t size, uint32_t *ret_events);
ssize_t tls_link_write(struct tls_link *link, const void *data, size_t size, uint32_t *ret_events);

/* Sends close_notify, as far as the socket takes it. Return: 0, -EAGAIN, or a failure as above. */
int tls_link_shutdown(struct tls_link *link, uint32_t *ret_events);

/* Valid after the handshake. */
const struct node_id *tls_link_get_peer(const struct tls_link *link);
enum tls_protocol tls_link_get_protocol(const struct tls_link *link);
/* Whether what it carries is encrypted and authenticated. */
bool tls_link_is_sealed(const struct tls_link *link);
/* Whether there is something to read that the socket does not show. */
bool tls_link_has_pending(const struct tls_link *link);
