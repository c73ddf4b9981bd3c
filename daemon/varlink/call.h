/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One call of a method of org.p2pnode, wherever it came from: a client at the control socket, or
 * another node that passes on a client's `-N`. A method reads the parameters, and answers once with
 * call_reply() or call_fail(), now or later; a stream answers many times with call_notify() before.
 * After the last answer the call is gone.
 *
 * Owner: the transport (a connection). A method that answers later keeps a borrowed pointer and has
 * to set call_on_gone() or call_hold(), which tell that the connection ended first and the pointer
 * is dead.
 */

#include <sys/types.h>
#include "base/id.h"
#include "base/json.h"
#include "base/list.h"
#include "varlink/error.h"
#include "varlink/varlink.h"

#define CALLER_MAX 160

struct caller {
    char user[CALLER_MAX]; /* "user1" here, "user1@lab-01" where another node asks */
    bool is_admin;
    bool is_remote;
    struct node_id node; /* who passed it on, where is_remote */
};

struct call;

/* Answers given, by outcome. */
struct call_tally {
    uint64_t answered;
    uint64_t failed[_ERROR_CODE_MAX];
};

struct call_transport {
    /* Sends one answer. @error NULL = success. @parameters is taken over. @body may be NULL. */
    void (*send)(struct call *call, const char *error, cJSON *parameters, bool continues,
                 const void *body, size_t body_size);
    /* Bytes that wait for a slow reader. */
    size_t (*pending)(const struct call *call);
    /* As call_get_guard(); NULL = there is none. */
    int (*guard)(const struct call *call);
};

struct call {
    cJSON *json;             /* owned: what method and parameters point into, or NULL */
    const char *method;      /* "org.p2pnode.Status" */
    const cJSON *parameters; /* an object, never NULL */
    struct caller caller;
    bool wants_more;
    bool is_change; /* done twice it may do something else, or tell something else */
    int *fds;       /* owned; -EBADF once taken; NULL for none */
    size_t fds_count;
    uint8_t
        *body; /* owned: bytes beside the parameters, NUL-terminated beyond body_size; or NULL */
    size_t body_size;

    char *detail; /* owned: as call_set_detail() */

    const struct call_transport *transport;
    void *connection; /* borrowed: the transport's own */
    struct list link; /* in the transport's list of open calls */
    void (*gone)(struct call *call, void *data);
    void *gone_data;
    uint64_t id;              /* the transport's */
    struct call_tally *tally; /* borrowed; where its answer counts, or NULL */
};

/* Answers for good. @parameters is taken over; NULL without memory becomes an error. */
void call_reply(struct call *call, cJSON *parameters);

/*
 * The same for a list: a long array @noun of @parameters goes out in parts, for a caller that takes
 * more than one answer; for others it is cut to what fits into one.
 */
void call_reply_list(struct call *call, cJSON *parameters, const char *noun);

/*
 * The same with bytes beside: as a body to another node, into the client's descriptor where it gave
 * one, as @key or @key_b64 of the reply otherwise.
 */
void call_reply_bytes(struct call *call, cJSON *parameters, const char *key, const void *data,
                      size_t size);

/**
 * call_load_body() - makes what the client's first descriptor holds the call's body
 *
 * Only files in memory (memfd, tmpfs) are read: any other could make the loop wait. Without a
 * descriptor, or with a body already there, nothing happens. Return: 0; -EFBIG above @max, with the
 * size in body_size; -EINVAL for what is no file in memory; -ENOMEM, -EIO.
 */
int call_load_body(struct call *call, size_t max);

/* One of several answers; call_reply() has to follow. */
void call_notify(struct call *call, cJSON *parameters);

/* @hint may be NULL. The text is `what: why`, lower case, no full stop. */
void call_fail(struct call *call, enum error_code code, const char *hint, const char *format, ...)
    _printf_(4, 5);

/* Refuses a caller who is not in @group, and hints at what lets him in: also where there is no such
 * group. */
void call_fail_group(struct call *call, const char *group);
/* The place of what call_fail() is about, "tasks.txt:2:5: …": told in a line of its own, before. ""
 * takes it back. */
void call_set_detail(struct call *call, const char *format, ...) _printf_(2, 3);

/* Passes on an error as it came from another node; @parameters is taken over. */
void call_fail_as(struct call *call, const char *error, cJSON *parameters);

/* The standard error for a parameter of the wrong type or out of range. */
void call_invalid(struct call *call, const char *parameter);

/* @gone runs if the connection ends before the last answer, never after it; NULL withdraws it. */
void call_on_gone(struct call *call, void (*gone)(struct call *call, void *data), void *data);

/* The same for who needs but know it: *@holder is the call until the connection ends, then NULL. */
void call_hold(struct call *call, struct call **holder);

/* Whether a stream should wait: its reader is behind. */
bool call_is_congested(const struct call *call);

/*
 * A descriptor, the transport's own, that hangs up at the very moment when the client goes: for
 * threads, which must not wait for the loop to say so. -EBADF where there is none.
 */
int call_get_guard(const struct call *call);

/* For transports: ends the call without an answer, telling the method. Frees it. */
void call_abandon(struct call *call);

/* A reply to be filled: {"schema": @schema}, or NULL without memory (all adders take NULL). */
cJSON *call_new_reply(const char *schema);
