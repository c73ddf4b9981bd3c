/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The Varlink client: finds the daemon's socket, asks, and tells the user what went wrong.
 * Blocking, one call at a time; every wait has a limit or ends with Ctrl-C.
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include "base/usec.h"
#include "varlink/error.h"
#include "ctl.h"

/* How client_next() and client_call() say that Ctrl-C was pressed; nothing was told yet. */
#define CLIENT_INTERRUPTED (-EINTR)

/* The same for a connection that was lost, after client_survive(). */
#define CLIENT_LOST (-ECONNRESET)

/* One call. */
struct call {
    const char *method; /* "Status", of org.p2pnode; or a full name with dots */
    cJSON *parameters;  /* taken over; NULL = none */
    int fd;     /* descriptor 0 of the call, lent; below 0 = none. 0 is stdin, so set it always */
    bool waits; /* the thing itself may take any time: no request timeout */
    bool (*tolerates)(
        enum error_code code); /* whether that error is an answer: then the reply is NULL */
};

struct client *client_free(struct client *client);

/**
 * client_connect() - connect to the daemon the options mean, once
 *
 * Return: 0, or the exit code after telling: not-running, not-permitted, or usage where several
 * run.
 */
int client_connect(struct ctl *ctl);

/*
 * Connects again to where it was connected before, as soon as somebody listens there. Return: 0;
 * CLIENT_INTERRUPTED; CLIENT_LOST where nobody does within @limit_usec.
 */
int client_reconnect(struct ctl *ctl, usec_t limit_usec);

/* From now on the loss of the connection ends the call under way, and only that, with CLIENT_LOST.
 */
void client_survive(struct ctl *ctl);

/* An object for a call's parameters, with "node" in it where -N was given. NULL without memory. */
cJSON *client_parameters(const struct ctl *ctl);

/* A clock that only goes forward, for time limits. */
usec_t client_now(void);

/* Whether the connection to the daemon broke off. */
bool client_is_lost(const struct ctl *ctl);

/* Does nothing for a while. Return: 0, or CLIENT_INTERRUPTED. */
int client_pause(usec_t usec);

/**
 * client_start() - send a call that is answered by a stream
 *
 * Return: 0, or the exit code.
 */
int client_start(struct ctl *ctl, struct call call);

/* The same with several descriptors, lent, instead of that of @call. */
int client_start_with(struct ctl *ctl, struct call call, const int *fds, size_t fds_count);

/**
 * client_next() - the next object of the stream
 * @ret:  its parameters, owned by the caller
 *
 * Return: 0 with *@ret and *@ret_last; CLIENT_INTERRUPTED; or the exit code after telling.
 */
int client_next(struct ctl *ctl, cJSON **ret, bool *ret_last);

/* Ctrl-C came: the next object is waited for a moment only, until CLIENT_INTERRUPTED again. */
void client_leave(struct ctl *ctl);

/* One call, one reply. Return: as client_next(). */
int client_call(struct ctl *ctl, struct call call, cJSON **ret);

/**
 * client_each() - one call whose list may come in parts, each handed to @take
 * @take: borrows it. Return: 0 for the next, or the exit code, which ends it
 *
 * Return: 0, or as @take, or as client_next().
 */
int client_each(struct ctl *ctl, struct call call,
                int (*take)(struct ctl *ctl, cJSON *part, void *data), void *data);

/**
 * client_list() - one call whose list may come in parts
 * @list:  the key of the array
 *
 * Return: 0 with the first reply, to which the other parts were added; else as client_next().
 */
int client_list(struct ctl *ctl, struct call call, const char *list, cJSON **ret);
