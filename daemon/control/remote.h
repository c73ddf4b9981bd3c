/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Control calls between nodes, as built-in tasks on a pooled p2p-task/1 connection: the method that
 * runs there is the very one that a client at that node's socket would reach. Ops: "call", "reply",
 * "gone". Members trust each other's control groups: whether the user is an administrator is told
 * by the node that has the client.
 */

#include "varlink/call.h"
#include "swim/swim.h"
#include "transfer/peers.h"

#define REMOTE_CALLS_MAX 1024 /* under way, each direction */

struct remote;

struct remote_reply {
    int r;                   /* 0; or why no answer will come: then all else is empty */
    const char *error;       /* NULL = success */
    const cJSON *parameters; /* never NULL where r is 0 */
    cJSON *frame;            /* which they are a member of, for who wants to keep them */
    bool continues;
    const void *body;
    size_t body_size;
};

/* The last one has r below 0 or no continues. All borrowed for the call. */
typedef void (*remote_reply_t)(const struct remote_reply *reply, void *data);

struct remote_call;

/* @self_name: appended to users that ask other nodes. @dispatch: as a server's. @passed: @method
 * was passed on, and has done there what it is to do; told before the answer; NULL = nobody is. */
int remote_new(sd_event *event, struct peers *peers, const char *self_name,
               void (*dispatch)(struct call *call, void *data),
               void (*passed)(const struct node_id *to, const char *method, void *data), void *data,
               struct remote **ret);
/* After the servers. Calls under way fail with -ECANCELED. */
struct remote *remote_free(struct remote *remote);
DEFINE_CLEANUP(struct remote *, remote_free)

struct remote_request {
    const struct swim_member *member; /* where */
    const char *method;               /* "org.p2pnode.GetMemory" */
    const cJSON *parameters;          /* without "node" */
    const void *body;
    size_t body_size;
    const struct caller *caller; /* for whom */
    bool wants_more;
    usec_t timeout_usec; /* until the first answer; USEC_INFINITY = none */
};

/* Return: 0; -ENOBUFS, -ENOMEM. @reply is never called from within. */
int remote_call(struct remote *remote, const struct remote_request *request, remote_reply_t reply,
                void *data, struct remote_call **ret);

/* No more answers are wanted; the other side is told. */
void remote_cancel(struct remote_call *call);

/* Why no answer came, as a remote_reply says it. */
const char *remote_explain(int r);

/* Passes @call on to @member, and every answer back. Takes the call. */
void remote_forward(struct remote *remote, const struct swim_member *member, struct call *call);

/* From peers: frames whose op begins here return true, and what is kept of them is taken out. */
bool remote_on_frame(struct remote *remote, const struct node_id *from, cJSON *header,
                     const void *body, size_t body_size);
void remote_on_lost(struct remote *remote, const struct node_id *id, int r);
