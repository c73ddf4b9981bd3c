/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Varlink's framing over a Unix stream socket: JSON objects, each ended by one NUL byte, some with
 * descriptors beside them (SCM_RIGHTS). Shared by the daemon's control server and p2pctl. It knows
 * no method and no event loop: the caller waits for the socket, this reads, parses, queues and
 * writes.
 *
 * Everything that comes in is hostile: a message has at most JSON_SIZE_MAX bytes and JSON_DEPTH_MAX
 * levels, and VARLINK_FDS_MAX descriptors; after the first violation the connection is dead, and
 * says why.
 *
 * Which message a descriptor belongs to: the one that holds the last byte of what arrived together
 * with it. Senders give each message with descriptors its own sendmsg(), as this one does.
 */

#include <stdbool.h>
#include <stddef.h>
#include "base/json.h"

#define VARLINK_FDS_MAX 128 /* of one message */
#define VARLINK_OUTPUT_MAX                                                                         \
    ((size_t)16 * 1024 * 1024) /* bytes queued for a reader that does not read */

struct varlink; /* one connection; owned by whoever made it; owns its socket */

/* One message with its descriptors; -EBADF where one was taken with TAKE_FD. */
struct varlink_message {
    cJSON *json; /* owned */
    int *fds;    /* owned; NULL for none */
    size_t fds_count;
};

#define VARLINK_MESSAGE_NULL ((struct varlink_message){0})

/* Frees the JSON and closes the descriptors that are left. */
void varlink_message_done(struct varlink_message *message);
#define _cleanup_varlink_message_ _cleanup_(varlink_message_done)

/**
 * varlink_new() - a connection over a connected stream socket
 * @fd:  taken over on success only; blocking or not, as the caller likes
 *
 * Return: 0, or -ENOMEM.
 */
int varlink_new(int fd, struct varlink **ret);
struct varlink *varlink_free(struct varlink *varlink);
DEFINE_CLEANUP(struct varlink *, varlink_free)

/* A client believes its daemon: lists may be longer than what a stranger may ask. */
void varlink_set_message_max(struct varlink *varlink, size_t size_max);

/* The socket, to wait on; stays owned by @varlink. */
int varlink_fd(const struct varlink *varlink);

/**
 * varlink_receive() - one recvmsg()
 *
 * Return: 1 where something arrived (now call varlink_next() until it returns 0), 0 at the end of
 * the stream, -EAGAIN where nothing is there yet, -EPROTO for more descriptors than may come,
 * -ENOMEM, or the socket's own error. -EBADMSG where the stream ended inside a message.
 */
int varlink_receive(struct varlink *varlink);

/**
 * varlink_next() - the next complete message of what was received
 *
 * Return: 1 with *@ret; 0 where none is complete. -EMSGSIZE, -ELOOP, -EILSEQ, -EBADMSG as
 * json_parse_up_to(); then the connection gives nothing else ever again, but can still send the
 * reason.
 */
int varlink_next(struct varlink *varlink, struct varlink_message *ret);

/**
 * varlink_queue() - append a message to what is to be sent
 * @json:   borrowed
 * @fds:    duplicated here, so the caller keeps its own; NULL for none
 *
 * Return: 0; -ENOBUFS above VARLINK_OUTPUT_MAX (the reader is too slow; drop it); -EMSGSIZE for
 * more than VARLINK_FDS_MAX descriptors; -ENOMEM; errors of dup.
 */
int varlink_queue(struct varlink *varlink, const cJSON *json, const int *fds, size_t fds_count);

/* Sends what the socket takes. Return: 0 when all is out, 1 when some is left, or the socket's
 * error. */
int varlink_flush(struct varlink *varlink);

/* Bytes queued and not sent yet: more than a little means: wait before queueing more of a stream.
 */
size_t varlink_pending(const struct varlink *varlink);

/* A call as it came; everything borrowed from the message. @parameters is NULL where absent. */
struct varlink_call {
    const char *method; /* "org.p2pnode.Status" */
    const cJSON *parameters;
    bool more;
    bool oneway;
};

/* Return: 0, or -EBADMSG where it is no call (wrong types, unknown keys, no method, upgrade
 * wanted). */
int varlink_parse_call(const cJSON *json, struct varlink_call *ret);

/* A reply as it came. @error is NULL for success; @parameters is never NULL. */
struct varlink_reply {
    const char *error; /* "org.p2pnode.NotFound" */
    const cJSON *parameters;
    bool continues;
};

/* Return: 0, or -EBADMSG where it is no reply. */
int varlink_parse_reply(const cJSON *json, struct varlink_reply *ret);

/* Builders. @parameters is taken over, also on failure; NULL stands for {}. NULL without memory. */
cJSON *varlink_build_call(const char *method, cJSON *parameters, bool more);
cJSON *varlink_build_reply(cJSON *parameters, bool continues);
cJSON *varlink_build_error(const char *error, cJSON *parameters);
