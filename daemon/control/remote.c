/* SPDX-License-Identifier: MIT */
#include "control/remote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/text.h"

#define TIMER_ACCURACY_USEC USEC_PER_MSEC

/* A call of ours that runs at another node. */
struct remote_call {
    struct list link;
    struct remote *remote; /* borrowed */
    uint64_t id;           /* key in the table */
    struct node_id to;
    struct address address;
    remote_reply_t reply;
    void *data; /* borrowed */
    sd_event_source *timer;
    bool is_answered;
};

/* A call of another node that runs here: the connection of a struct call. */
struct served {
    struct list link;
    struct remote *remote; /* borrowed */
    struct node_id from;
    uint64_t id;
    struct list calls; /* the one call, so that it can be abandoned */
    bool is_over;      /* the other side had its last answer, whatever the method still says */
};

struct remote {
    sd_event *event;
    struct peers *peers; /* borrowed */
    char self_name[NODE_NAME_MAX + 1];
    void (*dispatch)(struct call *call, void *data);
    void (*passed)(const struct node_id *to, const char *method, void *data);
    void *data;
    uint64_t next_id;
    struct list calls;
    size_t calls_count;
    struct list served;
    size_t served_count;
};

static void remote_call_free(struct remote_call *call)
{
    list_remove(&call->link);
    call->remote->calls_count--;
    peers_release(call->remote->peers, &call->to);
    sd_event_source_disable_unref(call->timer);
    free(call);
}

static void served_free(struct served *served)
{
    list_remove(&served->link);
    served->remote->served_count--;
    peers_release(served->remote->peers, &served->from);
    free(served);
}

/* Nobody waits for the answer any more. */
static void abandon(struct served *served)
{
    struct call *call = list_first(&served->calls, struct call, link);

    if (call)
        call_abandon(call);
    served_free(served);
}

/* Ends a call of ours without an answer from there. */
static void remote_call_fail(struct remote_call *call, int r)
{
    struct remote_reply reply = {.r = r};
    remote_reply_t function = call->reply;
    void *data = call->data;

    remote_call_free(call);
    function(&reply, data);
}

int remote_new(sd_event *event, struct peers *peers, const char *self_name,
               void (*dispatch)(struct call *call, void *data),
               void (*passed)(const struct node_id *to, const char *method, void *data), void *data,
               struct remote **ret)
{
    struct remote *remote = calloc(1, sizeof(*remote));

    if (!remote)
        return -ENOMEM;
    *remote = (struct remote){.event = sd_event_ref(event),
                              .peers = peers,
                              .dispatch = dispatch,
                              .passed = passed,
                              .data = data};
    snprintf(remote->self_name, sizeof(remote->self_name), "%s", self_name);
    list_init(&remote->calls);
    list_init(&remote->served);
    *ret = remote;
    return 0;
}

struct remote *remote_free(struct remote *remote)
{
    if (!remote)
        return NULL;
    for (struct served *served; (served = list_first(&remote->served, struct served, link));)
        abandon(served);
    for (struct remote_call *call; (call = list_first(&remote->calls, struct remote_call, link));)
        remote_call_fail(call, -ECANCELED);
    sd_event_unref(remote->event);
    free(remote);
    return NULL;
}

static cJSON *new_frame(const char *op, uint64_t id)
{
    cJSON *frame = cJSON_CreateObject();

    json_add_string(frame, "op", op);
    json_add_u64(frame, "id", id);
    return frame;
}

static void tell_gone(const struct remote_call *call)
{
    _cleanup_json_ cJSON *frame = new_frame("gone", call->id);

    (void)peers_send(call->remote->peers, &call->to, &call->address, frame, NULL, 0);
}

static int on_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct remote_call *call = data;

    if (call->is_answered)
        return 0;
    tell_gone(call);
    remote_call_fail(call, -ETIMEDOUT);
    return 0;
}

int remote_call(struct remote *remote, const struct remote_request *request, remote_reply_t reply,
                void *data, struct remote_call **ret)
{
    _cleanup_json_ cJSON *frame = NULL;
    char user[CALLER_MAX];
    int r;

    if (remote->calls_count >= REMOTE_CALLS_MAX)
        return -ENOBUFS;
    struct remote_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    *call = (struct remote_call){.remote = remote,
                                 .id = ++remote->next_id,
                                 .to = request->member->id,
                                 .address = request->member->address,
                                 .reply = reply,
                                 .data = data};
    list_append(&remote->calls, &call->link);
    remote->calls_count++;
    peers_hold(remote->peers, &call->to);

    frame = new_frame("call", call->id);
    json_add_string(frame, "method", request->method);
    cJSON_AddItemReferenceToObject(frame, "parameters", (cJSON *)(uintptr_t)request->parameters);
    snprintf(user, sizeof(user), "%.64s@%s", request->caller->user, remote->self_name);
    json_add_string(frame, "user", user);
    json_add_bool(frame, "admin", request->caller->is_admin);
    json_add_bool(frame, "more", request->wants_more);
    r = peers_send(remote->peers, &call->to, &call->address, frame, request->body,
                   request->body_size);
    if (r >= 0 && request->timeout_usec != USEC_INFINITY)
        r = sd_event_add_time_relative(remote->event, &call->timer, CLOCK_MONOTONIC,
                                       request->timeout_usec, TIMER_ACCURACY_USEC, on_timeout,
                                       call);
    if (r < 0) {
        remote_call_free(call);
        return r;
    }
    if (ret)
        *ret = call;
    return 0;
}

void remote_cancel(struct remote_call *call)
{
    tell_gone(call);
    remote_call_free(call);
}

/* An answer of our own, for good, and so short that there is room for it. */
static void answer_failure(struct remote *remote, const struct node_id *to, uint64_t id,
                           enum error_code code, const char *message)
{
    _cleanup_json_ cJSON *frame = new_frame("reply", id);
    cJSON *parameters = cJSON_AddObjectToObject(frame, "parameters");

    json_add_string(frame, "error", error_get_varlink(code));
    json_add_string(parameters, "message", message);
    json_add_null(parameters, "hint");
    int r = peers_send(remote->peers, to, &(struct address){0}, frame, NULL, 0);
    if (r < 0)
        log_debug_errno(r, "Cannot answer a call of another node: %m");
}

static void send_answer(struct call *call, const char *error, cJSON *parameters, bool continues,
                        const void *body, size_t body_size)
{
    struct served *served = call->connection;
    _cleanup_json_ cJSON *frame = new_frame("reply", served->id);

    if (error)
        json_add_string(frame, "error", error);
    json_add_bool(frame, "continues", continues);
    cJSON_AddItemToObject(frame, "parameters", parameters);
    int r = served->is_over ? 0
                            : peers_send(served->remote->peers, &served->from, &(struct address){0},
                                         frame, body, body_size);
    if (r < 0) {
        answer_failure(served->remote, &served->from, served->id,
                       r == -EMSGSIZE ? ERROR_TOO_LARGE : ERROR_BUSY,
                       r == -EMSGSIZE ? "the answer is too large to be sent to another node"
                                      : "too much waits to be sent to the node that asked");
        served->is_over = true;
    }
    if (!continues)
        served_free(served);
}

static size_t answers_pending(const struct call *call)
{
    const struct served *served = call->connection;
    return peers_pending(served->remote->peers, &served->from);
}

static const struct call_transport transport = {.send = send_answer, .pending = answers_pending};

/* Makes the call that came in the frame, whose content is taken over, for its strings. */
static int serve(struct remote *remote, const struct node_id *from, uint64_t id, cJSON *frame,
                 const void *body, size_t body_size)
{
    const char *method = NULL, *user = NULL;
    const cJSON *parameters = NULL;
    bool is_admin = false, wants_more = false;

    if (remote->served_count >= REMOTE_CALLS_MAX)
        return -ENOBUFS;
    cJSON *json = json_take(frame);
    struct served *served = calloc(1, sizeof(*served));
    struct call *call = calloc(1, sizeof(*call));
    uint8_t *copy = malloc(body_size + 1);
    if (!json || !served || !call || !copy || json_get_string(json, "method", &method) <= 0 ||
        json_get_object(json, "parameters", &parameters) <= 0 ||
        json_get_string(json, "user", &user) <= 0 || json_get_bool(json, "admin", &is_admin) <= 0 ||
        json_get_bool(json, "more", &wants_more) < 0 || strlen(user) >= CALLER_MAX ||
        !text_is_printable(user)) {
        cJSON_Delete(json);
        free(served);
        free(call);
        free(copy);
        return -EBADMSG;
    }
    if (body_size > 0)
        memcpy(copy, body, body_size);
    copy[body_size] = 0;
    *served = (struct served){.remote = remote, .from = *from, .id = id};
    list_append(&remote->served, &served->link);
    list_init(&served->calls);
    remote->served_count++;
    peers_hold(remote->peers, from);
    *call = (struct call){.json = json,
                          .method = method,
                          .parameters = parameters,
                          .caller = {.is_admin = is_admin, .is_remote = true, .node = *from},
                          .wants_more = wants_more,
                          .body = body_size > 0 ? TAKE_PTR(copy) : NULL,
                          .body_size = body_size,
                          .transport = &transport,
                          .connection = served};
    snprintf(call->caller.user, sizeof(call->caller.user), "%s", user);
    free(copy);
    list_append(&served->calls, &call->link);
    remote->dispatch(call, remote->data);
    return 0;
}

static void take_answer(struct remote *remote, const struct node_id *from, uint64_t id,
                        cJSON *frame, const void *body, size_t body_size)
{
    static const cJSON nothing = {.type = cJSON_Object};
    struct remote_reply reply = {
        .parameters = &nothing, .frame = frame, .body = body, .body_size = body_size};

    list_for_each (link, &remote->calls) {
        struct remote_call *call = list_entry(link, struct remote_call, link);
        if (call->id != id || !node_id_is_equal(&call->to, from))
            continue;
        if (json_get_string(frame, "error", &reply.error) < 0 ||
            json_get_object(frame, "parameters", &reply.parameters) < 0 ||
            json_get_bool(frame, "continues", &reply.continues) < 0) {
            remote_call_fail(call, -EBADMSG);
            return;
        }
        remote_reply_t function = call->reply;
        void *data = call->data;
        call->is_answered = true;
        if (!reply.continues)
            remote_call_free(call);
        function(&reply, data);
        return;
    }
}

static struct served *find_served(struct remote *remote, const struct node_id *from, uint64_t id)
{
    list_for_each (link, &remote->served) {
        struct served *served = list_entry(link, struct served, link);
        if (served->id == id && node_id_is_equal(&served->from, from))
            return served;
    }
    return NULL;
}

bool remote_on_frame(struct remote *remote, const struct node_id *from, cJSON *header,
                     const void *body, size_t body_size)
{
    const char *op = "";
    uint64_t id = 0;

    (void)json_get_string(header, "op", &op);
    if (strcmp(op, "call") != 0 && strcmp(op, "reply") != 0 && strcmp(op, "gone") != 0)
        return false;
    if (json_get_u64(header, "id", UINT64_MAX, &id) <= 0)
        return true;
    struct served *served = find_served(remote, from, id);
    if (strcmp(op, "reply") == 0) {
        take_answer(remote, from, id, header, body, body_size);
    } else if (strcmp(op, "gone") == 0) {
        if (served)
            abandon(served);
    } else if (!served) {
        int r = serve(remote, from, id, header, body, body_size);
        if (r < 0)
            answer_failure(remote, from, id, r == -ENOBUFS ? ERROR_BUSY : ERROR_VERSION,
                           r == -ENOBUFS ? "too many calls of other nodes are under way"
                                         : "the call cannot be read");
    }
    return true;
}

void remote_on_lost(struct remote *remote, const struct node_id *id, int r)
{
    uint64_t last_id = remote->next_id;

    list_for_each_safe (link, &remote->served) {
        struct served *served = list_entry(link, struct served, link);
        if (node_id_is_equal(&served->from, id))
            abandon(served);
    }
    /* An answer's function may begin or end other calls: look from the start after each. Calls that
     * it begins go over another connection. */
    for (bool is_found = true; is_found;) {
        is_found = false;
        list_for_each (link, &remote->calls) {
            struct remote_call *call = list_entry(link, struct remote_call, link);
            if (call->id > last_id || !node_id_is_equal(&call->to, id))
                continue;
            remote_call_fail(call, r == -ENOTCONN ? -ECONNRESET : r);
            is_found = true;
            break;
        }
    }
}

/* --- Passing on a client's call --- */

struct passed {
    struct remote *owner; /* borrowed */
    struct node_id to;
    struct call *call;          /* borrowed; gone when on_gone says so */
    struct remote_call *remote; /* borrowed */
    char name[NODE_NAME_MAX + 1];
    bool is_told; /* that it was passed on */
};

static void on_client_gone(struct call *call _unused_, void *data)
{
    struct passed *passed = data;

    remote_cancel(passed->remote);
    free(passed);
}

const char *remote_explain(int r)
{
    return r == -EHOSTDOWN ? "it is dead" : strerror(-r);
}

/* Where nobody took the connection nothing was asked; else it may have been done. */
static void fail_unanswered(const struct passed *passed, int r)
{
    bool may_be_done = passed->call->is_change && r != -ECONNREFUSED;

    call_fail(passed->call, ERROR_UNREACHABLE,
              may_be_done ? "look at what is there before you repeat it: p2pctl members"
                          : "p2pctl members",
              "cannot reach %s: %s%s", passed->name, remote_explain(r),
              may_be_done ? "; what was asked for may have been done" : "");
}

static void on_answer(const struct remote_reply *reply, void *data)
{
    struct passed *passed = data;
    struct call *call = passed->call;

    if (reply->r < 0) {
        fail_unanswered(passed, reply->r);
        free(passed);
        return;
    }
    if (!reply->error && passed->owner->passed && !passed->is_told)
        passed->owner->passed(&passed->to, call->method, passed->owner->data);
    passed->is_told = true;
    cJSON *parameters = cJSON_DetachItemFromObjectCaseSensitive(reply->frame, "parameters");
    if (!parameters)
        parameters = cJSON_CreateObject();
    if (reply->continues) {
        call_notify(call, parameters);
        return;
    }
    if (reply->error)
        call_fail_as(call, reply->error, parameters);
    else if (reply->body_size > 0)
        call_reply_bytes(call, parameters, "value", reply->body, reply->body_size);
    else
        call_reply(call, parameters);
    free(passed);
}

void remote_forward(struct remote *remote, const struct swim_member *member, struct call *call)
{
    cJSON *parameters = cJSON_GetObjectItemCaseSensitive(call->json, "parameters");
    struct passed *passed = calloc(1, sizeof(*passed));

    if (!passed) {
        call_fail(call, ERROR_INTERNAL, NULL, "out of memory");
        return;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(parameters, "node");
    if (call->body && call->body_size == 0)
        json_add_string(parameters, "value", "");
    passed->owner = remote;
    passed->to = member->id;
    passed->call = call;
    snprintf(passed->name, sizeof(passed->name), "%s", member->name);
    int r = remote_call(remote,
                        &(struct remote_request){.member = member,
                                                 .method = call->method,
                                                 .parameters = parameters,
                                                 .body = call->body,
                                                 .body_size = call->body_size,
                                                 .caller = &call->caller,
                                                 .wants_more = call->wants_more,
                                                 .timeout_usec = USEC_INFINITY},
                        on_answer, passed, &passed->remote);
    if (r < 0) {
        free(passed);
        call_fail(call, error_from_errno(r), NULL, "cannot reach %s: %s", member->name,
                  strerror(-r));
        return;
    }
    call_on_gone(call, on_client_gone, passed);
}
