/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PING_PATIENCE_USEC  (3 * USEC_PER_SEC)
#define JOIN_PATIENCE_USEC  (10 * USEC_PER_SEC)
#define LEAVE_PATIENCE_USEC (5 * USEC_PER_SEC)
#define TIMER_ACCURACY      USEC_PER_MSEC
#define ADDRESSES_MAX       64

static double msec(usec_t usec)
{
    return (double)usec / (double)USEC_PER_MSEC;
}

/* --- Ping --- */

enum check {
    CHECK_NOT_TRIED,
    CHECK_PENDING,
    CHECK_OK,
    CHECK_NO_ANSWER,
    CHECK_REFUSED,
};

static const char *check_name(enum check check)
{
    switch (check) {
    case CHECK_OK:
        return "ok";
    case CHECK_NO_ANSWER:
        return "no answer";
    case CHECK_REFUSED:
        return "refused";
    default:
        return NULL;
    }
}

struct target {
    struct pinging *pinging; /* borrowed */
    struct node_id id;
    char name[NODE_NAME_MAX + 1];
    enum swim_state state;
    enum check udp, tcp;
    usec_t udp_usec, tcp_usec;
    bool is_self; /* reached by this very call */
    uint64_t token;
    struct remote_call *remote; /* borrowed while under way */
};

struct pinging {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct node_watch watch;
    sd_event_source *timer;
    usec_t started_usec;
    size_t count;
    struct target targets[];
};

static void pinging_free(struct pinging *pinging)
{
    list_remove(&pinging->watch.link);
    sd_event_source_disable_unref(pinging->timer);
    for (size_t i = 0; i < pinging->count; i++)
        if (pinging->targets[i].remote)
            remote_cancel(pinging->targets[i].remote);
    free(pinging);
}

static void on_ping_gone(struct call *call _unused_, void *data)
{
    pinging_free(data);
}

static cJSON *new_ping_reply(const struct node_id *id, const char *name, bool is_running)
{
    char uuid[NODE_ID_TEXT_MAX], message[NODE_ID_TEXT_MAX + 32];
    cJSON *reply = call_new_reply("p2pctl.ping/1");

    node_id_format(id, uuid);
    snprintf(message, sizeof(message), "Node %s %s", uuid,
             is_running ? "is running!" : "does not answer");
    json_add_string(reply, "message", message);
    json_add_string(reply, "uuid", uuid);
    json_add_string(reply, "name", name);
    return reply;
}

static const char *note_of(const struct target *target, char text[static 160])
{
    if (target->is_self)
        snprintf(text, 160, "this node: it runs");
    else if (target->state == SWIM_DEAD || target->state == SWIM_LEFT)
        snprintf(text, 160, "%s", target->state == SWIM_DEAD ? "dead" : "left");
    else if (target->udp == CHECK_OK &&
             (target->tcp == CHECK_REFUSED || target->tcp == CHECK_NO_ANSWER))
        snprintf(text, 160, "firewall? allow tcp on %s", target->name);
    else if (target->udp == CHECK_NO_ANSWER && target->tcp == CHECK_OK)
        snprintf(text, 160, "firewall? allow udp on %s", target->name);
    else
        return NULL;
    return text;
}

static void add_target(cJSON *list, const struct target *target)
{
    char uuid[NODE_ID_TEXT_MAX], note[160];
    cJSON *json = cJSON_CreateObject();

    json_add_string(json, "name", target->name);
    json_add_string(json, "uuid", node_id_format(&target->id, uuid));
    json_add_string(json, "udp", check_name(target->udp));
    json_add_double(json, "udp_ms", target->udp == CHECK_OK ? msec(target->udp_usec) : (double)NAN);
    json_add_string(json, "tcp", check_name(target->tcp));
    json_add_double(json, "tcp_ms", target->tcp == CHECK_OK ? msec(target->tcp_usec) : (double)NAN);
    json_add_string(json, "note", note_of(target, note));
    cJSON_AddItemToArray(list, json);
}

static bool has_answered(const struct target *target)
{
    return target->is_self || target->udp == CHECK_OK || target->tcp == CHECK_OK;
}

static void answer_ping(struct pinging *pinging)
{
    struct call *call = pinging->call;
    const struct target *first = &pinging->targets[0];
    const struct node *node = pinging->node;
    bool is_one = pinging->count == 1;
    /* It is about the one that was asked for, but about this one where those are several. */
    cJSON *reply = is_one ? new_ping_reply(&first->id, first->name, has_answered(first))
                          : new_ping_reply(&node->start.id, node->config->node.name, true);

    json_add_double(reply, "udp_ms",
                    is_one && first->udp == CHECK_OK ? msec(first->udp_usec) : (double)NAN);
    json_add_double(reply, "tcp_ms",
                    is_one && first->tcp == CHECK_OK ? msec(first->tcp_usec) : (double)NAN);
    cJSON *list = cJSON_AddArrayToObject(reply, "nodes");
    for (size_t i = 0; i < pinging->count; i++)
        add_target(list, &pinging->targets[i]);
    pinging_free(pinging);
    call_reply(call, reply);
}

/* Return: whether all checks have an outcome, and the call its answer. */
static bool check_ping(struct pinging *pinging)
{
    for (size_t i = 0; i < pinging->count; i++)
        if (pinging->targets[i].udp == CHECK_PENDING || pinging->targets[i].tcp == CHECK_PENDING)
            return false;
    answer_ping(pinging);
    return true;
}

static void on_ping_event(const struct swim_event *event, void *data)
{
    struct pinging *pinging = data;

    if (event->type != SWIM_EVENT_PING)
        return;
    for (size_t i = 0; i < pinging->count; i++) {
        struct target *target = &pinging->targets[i];
        if (target->udp != CHECK_PENDING || target->token != event->token)
            continue;
        target->udp = event->rtt_usec == USEC_INFINITY ? CHECK_NO_ANSWER : CHECK_OK;
        target->udp_usec = event->rtt_usec;
        (void)check_ping(pinging);
        return;
    }
}

static void on_tcp_answer(const struct remote_reply *reply, void *data)
{
    struct target *target = data;
    struct pinging *pinging = target->pinging;

    target->remote = NULL;
    target->tcp = reply->r >= 0               ? CHECK_OK
                  : reply->r == -ECONNREFUSED ? CHECK_REFUSED
                                              : CHECK_NO_ANSWER;
    target->tcp_usec = node_now(pinging->node) - pinging->started_usec;
    (void)check_ping(pinging);
}

static int on_ping_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct pinging *pinging = data;

    for (size_t i = 0; i < pinging->count; i++) {
        struct target *target = &pinging->targets[i];
        target->udp = target->udp == CHECK_PENDING ? CHECK_NO_ANSWER : target->udp;
        target->tcp = target->tcp == CHECK_PENDING ? CHECK_NO_ANSWER : target->tcp;
    }
    answer_ping(pinging);
    return 0;
}

static void begin_checks(struct pinging *pinging, struct target *target, bool udp, bool tcp)
{
    struct node *node = pinging->node;
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    const struct swim_member *member;

    if (target->is_self)
        return;
    if (udp)
        target->udp = cluster_ping(node->cluster, &target->id, &target->token) < 0 ? CHECK_NO_ANSWER
                                                                                   : CHECK_PENDING;
    member = swim_find(cluster_get_swim(node->cluster), &target->id);
    if (!tcp || !member || member->state == SWIM_DEAD || member->state == SWIM_LEFT)
        return;
    int r = remote_call(node->remote,
                        &(struct remote_request){.member = member,
                                                 .method = "org.p2pnode.Ping",
                                                 .parameters = parameters,
                                                 .caller = &pinging->call->caller,
                                                 .timeout_usec = PING_PATIENCE_USEC},
                        on_tcp_answer, target, &target->remote);
    target->tcp = r < 0 ? CHECK_NO_ANSWER : CHECK_PENDING;
}

static bool choose_targets(struct node *node, struct call *call, const cJSON *names,
                           struct pinging *pinging)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    _cleanup_free_ const struct swim_member **members = sort_members(swim);

    for (size_t i = 0; !names && members && members[i]; i++) {
        const struct swim_member *member = members[i];
        if (!member->is_self)
            pinging->targets[pinging->count++] =
                (struct target){.id = member->id, .state = member->state};
    }
    json_for_each (name, names) {
        const struct swim_member *member = node_find_member(node, name->valuestring);
        if (!member) {
            call_fail(call, ERROR_NOT_FOUND, "p2pctl members", "no node is called \"%s\"",
                      name->valuestring);
            return false;
        }
        pinging->targets[pinging->count++] =
            (struct target){.id = member->id, .state = member->state, .is_self = member->is_self};
    }
    for (size_t i = 0; i < pinging->count; i++) {
        struct target *target = &pinging->targets[i];
        target->pinging = pinging;
        snprintf(target->name, sizeof(target->name), "%s", swim_find(swim, &target->id)->name);
    }
    return true;
}

void method_ping(struct node *node, struct call *call)
{
    const cJSON *names = NULL;
    bool all = false, udp = false, tcp = false;

    if (!read_array(call, "nodes", &names) || !read_bool(call, "all", &all) ||
        !read_bool(call, "udp", &udp) || !read_bool(call, "tcp", &tcp))
        return;
    if (!udp && !tcp)
        udp = tcp = true;
    if (!all && cJSON_GetArraySize(names) == 0) {
        cJSON *reply = new_ping_reply(&node->start.id, node->config->node.name, true);
        json_add_null(reply, "udp_ms");
        json_add_null(reply, "tcp_ms");
        json_add_null(reply, "nodes");
        call_reply(call, reply);
        return;
    }
    size_t max =
        swim_members_count(cluster_get_swim(node->cluster)) + (size_t)cJSON_GetArraySize(names);
    struct pinging *pinging = calloc(1, sizeof(*pinging) + max * sizeof(pinging->targets[0]));
    if (!pinging)
        return fail_memory(call);
    *pinging = (struct pinging){.node = node, .call = call, .started_usec = node_now(node)};
    if (!choose_targets(node, call, all ? NULL : names, pinging)) {
        free(pinging);
        return;
    }
    pinging->watch = (struct node_watch){.on_event = on_ping_event, .data = pinging};
    node_watch(node, &pinging->watch);
    call_on_gone(call, on_ping_gone, pinging);
    for (size_t i = 0; i < pinging->count; i++)
        begin_checks(pinging, &pinging->targets[i], udp, tcp);
    if (!check_ping(pinging))
        (void)sd_event_add_time_relative(node->event, &pinging->timer, CLOCK_MONOTONIC,
                                         PING_PATIENCE_USEC, TIMER_ACCURACY, on_ping_timeout,
                                         pinging);
}

/* --- Join and Leave: one event is waited for --- */

/* Whom a join is to ask, and which of those who were named are members already. */
struct contacts {
    struct address addresses[ADDRESSES_MAX];
    size_t count;
    cJSON *already;  /* owned */
    const char *own; /* the word that means this node itself; borrowed from the call */
};

struct waiting {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct node_watch watch;
    sd_event_source *timer;
    struct contacts contacts; /* of a join */
    bool has_answered[ADDRESSES_MAX];
};

static void waiting_free(struct waiting *waiting)
{
    list_remove(&waiting->watch.link);
    sd_event_source_disable_unref(waiting->timer);
    cJSON_Delete(waiting->contacts.already);
    free(waiting);
}

static void on_waiting_gone(struct call *call _unused_, void *data)
{
    waiting_free(data);
}

/* Ends the wait and gives the call back, to be answered. */
static struct call *stop_waiting(struct waiting *waiting)
{
    struct call *call = waiting->call;

    waiting_free(waiting);
    return call;
}

static struct waiting *start_waiting(struct node *node, struct call *call,
                                     void (*on_event)(const struct swim_event *event, void *data),
                                     sd_event_time_handler_t on_timeout, usec_t patience_usec)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));

    if (!waiting) {
        fail_memory(call);
        return NULL;
    }
    *waiting = (struct waiting){.node = node, .call = call};
    waiting->watch = (struct node_watch){.on_event = on_event, .data = waiting};
    node_watch(node, &waiting->watch);
    call_on_gone(call, on_waiting_gone, waiting);
    (void)sd_event_add_time_relative(node->event, &waiting->timer, CLOCK_MONOTONIC, patience_usec,
                                     TIMER_ACCURACY, on_timeout, waiting);
    return waiting;
}

/* Takes over the names of @contacts. @has_answered: NULL = nobody was asked. */
static void reply_join(const struct node *node, struct call *call, struct contacts *contacts,
                       const bool *has_answered)
{
    char text[ADDRESS_TEXT_MAX];
    cJSON *reply = call_new_reply("p2pctl.join/1");
    cJSON *joined = cJSON_AddArrayToObject(reply, "joined");

    for (size_t i = 0; i < contacts->count; i++)
        if (has_answered && has_answered[i])
            cJSON_AddItemToArray(joined,
                                 cJSON_CreateString(address_format(&contacts->addresses[i], text)));
    cJSON_AddItemToObject(reply, "already", TAKE_PTR(contacts->already));
    json_add_u64(reply, "nodes", swim_members_count(cluster_get_swim(node->cluster)));
    call_reply(call, reply);
}

static void answer_join(struct waiting *waiting)
{
    struct contacts contacts = waiting->contacts;
    bool has_answered[ADDRESSES_MAX];
    const struct node *node = waiting->node;

    memcpy(has_answered, waiting->has_answered, sizeof(has_answered));
    waiting->contacts.already = NULL;
    reply_join(node, stop_waiting(waiting), &contacts, has_answered);
}

static void on_join_event(const struct swim_event *event, void *data)
{
    struct waiting *waiting = data;
    const struct address *addresses = waiting->contacts.addresses;

    if (event->type != SWIM_EVENT_PEER_LIST)
        return;
    for (size_t i = 0; i < waiting->contacts.count; i++)
        if (address_is_equal(&addresses[i], &event->address) ||
            (event->member && address_is_equal(&addresses[i], &event->member->address))) {
            waiting->has_answered[i] = true;
            answer_join(waiting);
            return;
        }
}

static int on_join_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    call_fail(stop_waiting(data), ERROR_UNREACHABLE,
              "same cluster name and key there? p2pctl config show node.cluster",
              "none of the addresses let this node in");
    return 0;
}

/* Whether @text is this node itself, by its name, id or an address at which it listens. */
static bool is_own(const struct node *node, const struct swim_member *member, const char *text)
{
    struct address address;

    return (member && member->is_self) ||
           (address_parse(text, CONFIG_PORT_DEFAULT, &address) >= 0 &&
            (address_is_equal(&address, &node->sockets.address) ||
             address_is_equal(&address, &swim_get_self(cluster_get_swim(node->cluster))->address)));
}

/* An address, or the name of somebody who is known: a live one need not be asked, unless we left.
 */
static bool read_contact(const struct node *node, struct call *call, const char *text,
                         struct contacts *contacts)
{
    const struct swim_member *member = node_find_member(node, text);
    bool is_there = member && (member->state == SWIM_ALIVE || member->state == SWIM_SUSPECT);
    struct address *address = &contacts->addresses[contacts->count];

    /* One list of addresses serves all nodes, with their own in it. */
    if (is_own(node, member, text)) {
        contacts->own = text;
        return true;
    }
    if (is_there && !node->has_left) {
        cJSON_AddItemToArray(contacts->already, cJSON_CreateString(text));
        return true;
    }
    if (contacts->count == ADDRESSES_MAX) {
        call_fail(call, ERROR_USAGE,
                  "one is enough, where it is a member: p2pctl join 10.0.4.2:7717",
                  "join takes %d addresses at most", ADDRESSES_MAX);
        return false;
    }
    if (!member && address_parse(text, CONFIG_PORT_DEFAULT, address) < 0) {
        call_fail(call, ERROR_USAGE, "p2pctl join 10.0.4.2:7717", "\"%s\" is no address", text);
        return false;
    }
    if (member)
        *address = member->address;
    contacts->count++;
    return true;
}

static void begin_join(struct node *node, struct call *call, struct contacts *contacts,
                       usec_t patience)
{
    struct waiting *waiting = start_waiting(node, call, on_join_event, on_join_timeout, patience);

    if (!waiting)
        return;
    waiting->contacts = *contacts;
    contacts->already = NULL;
    node->has_left = false;
    for (size_t i = 0; i < contacts->count; i++)
        (void)cluster_join(node->cluster, &contacts->addresses[i]);
}

void method_join(struct node *node, struct call *call)
{
    _cleanup_json_ cJSON *already = cJSON_CreateArray();
    struct contacts contacts = {.already = already};
    const cJSON *texts = NULL;
    usec_t patience = JOIN_PATIENCE_USEC;

    if (!read_array(call, "addresses", &texts) || !read_usec(call, "timeout", &patience))
        return;
    if (cJSON_GetArraySize(texts) == 0)
        return call_invalid(call, "addresses");
    json_for_each (text, texts)
        if (!read_contact(node, call, text->valuestring, &contacts))
            return;
    if (contacts.count == 0 && contacts.own && cJSON_GetArraySize(already) == 0)
        return call_fail(call, ERROR_USAGE, "name another node: p2pctl join 10.0.4.2:7717",
                         "%s is this node itself", contacts.own);
    if (contacts.count > 0)
        begin_join(node, call, &contacts, patience);
    else
        reply_join(node, call, &contacts, NULL);
    already = contacts.already;
}

static void answer_leave(struct waiting *waiting)
{
    cJSON *reply = call_new_reply("p2pctl.leave/1");

    json_add_string(reply, "name", waiting->node->config->node.name);
    call_reply(stop_waiting(waiting), reply);
}

static void on_leave_event(const struct swim_event *event, void *data)
{
    if (event->type == SWIM_EVENT_LEFT)
        answer_leave(data);
}

static int on_leave_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    call_fail(stop_waiting(data), ERROR_TIMEOUT, "p2pctl status",
              "nobody has acknowledged the good-bye");
    return 0;
}

void method_leave(struct node *node, struct call *call)
{
    usec_t patience = LEAVE_PATIENCE_USEC;

    if (!read_usec(call, "timeout", &patience))
        return;
    if (node->has_left)
        return call_fail(call, ERROR_CONFLICT, "p2pctl join ADDR", "this node has left already");
    if (start_waiting(node, call, on_leave_event, on_leave_timeout, patience))
        cluster_leave(node->cluster);
}
