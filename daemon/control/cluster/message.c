/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "journal.h"

#define PATIENCE_USEC  (5 * USEC_PER_SEC)
#define TIMER_ACCURACY USEC_PER_MSEC
#define BEGINNING_MAX  256 /* bytes of a long text that go along with the file's name */
#define FILE_NAME      "message-%llu.txt"

struct receiver {
    struct node_id id;
    uint64_t token;
    enum swim_state state;
    bool is_wanted; /* alive when it was sent: its answer is waited for */
    bool has_received;
    usec_t rtt_usec;
    char name[NODE_NAME_MAX + 1];
};

struct sending {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct node_watch watch;
    sd_event_source *timer;
    usec_t started_usec;
    const char *to;   /* borrowed from the call; NULL = all */
    const char *text; /* the same */
    bool is_one;      /* to one node by its name */
    bool is_not_waiting;
    struct transfer *transfer;                         /* while a long text is being stored */
    char file[NODE_NAME_MAX + 1 + FILES_NAME_MAX + 1]; /* "lab-01:message-1.txt", or empty */
    size_t count;
    struct receiver receivers[];
};

static void sending_free(struct sending *sending)
{
    list_remove(&sending->watch.link);
    sd_event_source_disable_unref(sending->timer);
    free(sending);
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct sending *sending = data;

    if (sending->transfer)
        transfer_cancel(sending->transfer);
    sending_free(sending);
}

static size_t count_missing(const struct sending *sending)
{
    size_t missing = 0;

    for (size_t i = 0; i < sending->count; i++)
        missing += sending->receivers[i].is_wanted && !sending->receivers[i].has_received;
    return missing;
}

static const char *state_name(enum swim_state state)
{
    const struct swim_member member = {.state = state};

    return member_state_name(&member);
}

static void answer(struct sending *sending)
{
    struct call *call = sending->call;
    usec_t elapsed = node_now(sending->node) - sending->started_usec;
    bool is_complete = count_missing(sending) == 0;
    cJSON *reply = call_new_reply("p2pctl.message/1");

    const struct receiver *first = &sending->receivers[0];
    if (sending->is_one && !first->is_wanted) {
        cJSON_Delete(reply);
        call_fail(call, ERROR_UNREACHABLE, "p2pctl members", "cannot reach %s: it %s", first->name,
                  first->state == SWIM_LEFT ? "has left" : "is dead");
        sending_free(sending);
        return;
    }
    if (sending->is_one && !is_complete && !sending->is_not_waiting) {
        cJSON_Delete(reply);
        call_fail(call, ERROR_UNREACHABLE, "p2pctl ping", "no answer from %s", first->name);
        sending_free(sending);
        return;
    }
    json_add_string(reply, "status",
                    sending->is_not_waiting ? "sent"
                    : is_complete           ? "received"
                                            : "partial");
    cJSON *list = cJSON_AddArrayToObject(reply, "nodes");
    for (size_t i = 0; i < sending->count; i++) {
        const struct receiver *receiver = &sending->receivers[i];
        cJSON *json = cJSON_CreateObject();
        json_add_string(json, "name", receiver->name);
        if (sending->is_not_waiting)
            json_add_null(json, "received");
        else
            json_add_bool(json, "received", receiver->has_received);
        json_add_double(json, "rtt_ms",
                        receiver->has_received ? (double)receiver->rtt_usec / (double)USEC_PER_MSEC
                                               : (double)NAN);
        json_add_string(json, "state", state_name(receiver->state));
        cJSON_AddItemToArray(list, json);
    }
    json_add_double(reply, "elapsed_ms", (double)elapsed / (double)USEC_PER_MSEC);
    json_add_string(reply, "file", *sending->file ? sending->file : NULL);
    sending_free(sending);
    call_reply(call, reply);
}

static void on_event(const struct swim_event *event, void *data)
{
    struct sending *sending = data;

    if (event->type != SWIM_EVENT_MESSAGE_ACKED || !event->member)
        return;
    for (size_t i = 0; i < sending->count; i++) {
        struct receiver *receiver = &sending->receivers[i];
        if (receiver->token != event->token || receiver->has_received ||
            !node_id_is_equal(&receiver->id, &event->member->id))
            continue;
        receiver->has_received = true;
        receiver->rtt_usec = node_now(sending->node) - sending->started_usec;
        if (count_missing(sending) == 0)
            answer(sending);
        return;
    }
}

static int on_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    answer(data);
    return 0;
}

/* Whom a message is to go to: none of both = the node that has the name. */
struct selector {
    const char *type, *tag; /* parts of the text */
};

/* "tag:room=2.07", which may be said without "tag:" as no node is called so, or "type:a". */
static struct selector read_selector(const char *to)
{
    if (strncmp(to, "type:", 5) == 0)
        return (struct selector){.type = to + 5};
    if (strncmp(to, "tag:", 4) == 0)
        return (struct selector){.tag = to + 4};
    return (struct selector){.tag = strchr(to, '=') ? to : NULL};
}

static bool is_selector(const char *to)
{
    const struct selector selector = read_selector(to);

    return selector.type || selector.tag;
}

/* By a selector, or a name: of several that had it the one that all commands mean. */
static bool is_selected(const struct node *node, const struct swim_member *member, const char *to)
{
    const struct selector selector = read_selector(to);
    struct record record = {0};

    if (!selector.type && !selector.tag)
        return member == node_find_member(node, to);
    (void)node_get_record(member, &record);
    return selector.type ? record_has_type(&record, selector.type)
                         : record_has_tag(&record, selector.tag);
}

static void choose(struct sending *sending)
{
    const char *to = sending->to;
    const struct swim *swim = cluster_get_swim(sending->node->cluster);

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (to ? !is_selected(sending->node, member, to) : member->is_self)
            continue;
        struct receiver *receiver = &sending->receivers[sending->count++];
        *receiver = (struct receiver){.id = member->id,
                                      .state = member->state,
                                      .is_wanted = member->state == SWIM_ALIVE ||
                                                   member->state == SWIM_SUSPECT};
        snprintf(receiver->name, sizeof(receiver->name), "%s", member->name);
    }
}

static void receive_here(struct sending *sending, struct receiver *receiver, const char *text)
{
    const char *name = sending->node->config->node.name;

    journal_message(name, text, false);
    history_add_message(sending->node->history, name, text, node_wall(sending->node));
    receiver->has_received = true;
}

/* Return: 0, or why nothing was sent. */
static int send_text(struct sending *sending, const char *text)
{
    const char *to = sending->to;
    struct node *node = sending->node;
    uint64_t token = 0;
    int r = to ? 0 : cluster_send_message(node->cluster, NULL, text, &token);

    for (size_t i = 0; i < sending->count && r >= 0; i++) {
        struct receiver *receiver = &sending->receivers[i];
        if (node_id_is_equal(&receiver->id, &node->start.id))
            receive_here(sending, receiver, text);
        else if (to && receiver->is_wanted)
            r = cluster_send_message(node->cluster, &receiver->id, text, &receiver->token);
        else
            receiver->token = token;
    }
    return r;
}

static void fail_sending(struct sending *sending, enum error_code code, const char *reason)
{
    struct call *call = sending->call;

    sending_free(sending);
    call_fail(call, code, NULL, "cannot send: %s", reason);
}

/* Sends @text and waits for the receipts, as far as they are wanted. */
static void send_now(struct sending *sending, const char *text)
{
    int r = send_text(sending, text);

    if (r < 0) {
        fail_sending(sending, error_from_errno(r), strerror(-r));
        return;
    }
    sending->watch = (struct node_watch){.on_event = on_event, .data = sending};
    node_watch(sending->node, &sending->watch);
    if (sending->is_not_waiting || count_missing(sending) == 0)
        answer(sending);
    else
        (void)sd_event_add_time_relative(sending->node->event, &sending->timer, CLOCK_MONOTONIC,
                                         PATIENCE_USEC, TIMER_ACCURACY, on_timeout, sending);
}

/* --- A text that no datagram holds goes as a file, and a message that says where it is --- */

static size_t text_max(const struct node *node)
{
    return MIN(swim_message_size_max(cluster_get_swim(node->cluster)),
               (size_t)node->config->messages.text_size_max);
}

/*
 * "The first words... (5000 bytes: p2pctl file get lab-01:message-1.txt -)". Return: false where
 * even that is too long.
 */
static bool describe(const struct sending *sending, char target[static SWIM_MESSAGE_MAX + 1])
{
    char end[SWIM_MESSAGE_MAX], beginning[BEGINNING_MAX + 1];
    size_t max = text_max(sending->node);
    int size = snprintf(end, sizeof(end), "... (%zu bytes: p2pctl file get %s -)",
                        strlen(sending->text), sending->file);

    if (size < 0 || (size_t)size > max)
        return false;
    snprintf(beginning, MIN(sizeof(beginning), max - (size_t)size + 1), "%s", sending->text);
    snprintf(target, SWIM_MESSAGE_MAX + 1, "%s%s", text_mend_end(beginning), end);
    return true;
}

static void on_stored(const struct transfer_end *end, void *data)
{
    struct sending *sending = data;
    char text[SWIM_MESSAGE_MAX + 1];

    sending->transfer = NULL;
    if (end->r < 0) {
        fail_sending(sending, error_from_errno(end->r), end->reason);
        return;
    }
    journal_file_stored(end->info.name, end->info.size, end->info.owner, 1);
    sending->started_usec = node_now(sending->node);
    (void)describe(sending, text);
    send_now(sending, text);
}

/* Return: a descriptor that holds @text, or a negative errno. */
static int hold(const char *text)
{
    _cleanup_close_ int fd = memfd_create("p2pnode-message", MFD_CLOEXEC);
    size_t size = strlen(text);

    if (fd < 0)
        return -errno;
    if (pwrite(fd, text, size, 0) != (ssize_t)size)
        return -EIO;
    return TAKE_FD(fd);
}

static void send_as_file(struct sending *sending)
{
    static const struct transfer_handler handler = {.on_end = on_stored};
    struct node *node = sending->node;
    struct upload_offer offer = {.owner = sending->call->caller.user,
                                 .size = strlen(sending->text),
                                 .overwrite = UPLOAD_NEVER};
    char name[FILES_NAME_MAX + 1], text[SWIM_MESSAGE_MAX + 1];

    snprintf(name, sizeof(name), FILE_NAME, (unsigned long long)node_wall(node));
    snprintf(sending->file, sizeof(sending->file), "%s:%s", node->config->node.name, name);
    if (!describe(sending, text)) {
        fail_sending(sending, ERROR_TOO_LARGE, "messages.size_max has no room for a file's name");
        return;
    }
    offer.name = name;
    int r = hold(sending->text);
    if (r >= 0)
        r = transfers_put(node->transfers, &(struct transfer_place){.is_self = true}, r, &offer,
                          &handler, sending, &sending->transfer);
    if (r < 0)
        fail_sending(sending, error_from_errno(r), strerror(-r));
}

static bool has_wanted(const struct sending *sending)
{
    for (size_t i = 0; i < sending->count; i++)
        if (sending->receivers[i].is_wanted)
            return true;
    return false;
}

void method_send_message(struct node *node, struct call *call)
{
    const char *to = NULL, *text = NULL;
    bool all = false, no_wait = false;
    size_t members = swim_members_count(cluster_get_swim(node->cluster));

    if (!read_string(call, "to", &to) || !need_string(call, "text", &text) ||
        !read_bool(call, "all", &all) || !read_bool(call, "no_wait", &no_wait))
        return;
    if (all == (to != NULL))
        return call_invalid(call, "to");
    if (*text == '\0')
        return call_invalid(call, "text");
    struct sending *sending = calloc(1, sizeof(*sending) + members * sizeof(sending->receivers[0]));
    if (!sending)
        return fail_memory(call);
    *sending = (struct sending){.node = node,
                                .call = call,
                                .to = to,
                                .text = text,
                                .started_usec = node_now(node),
                                .is_one = to && !is_selector(to),
                                .is_not_waiting = no_wait};
    list_init(&sending->watch.link);
    choose(sending);
    if (to && sending->count == 0) {
        free(sending);
        call_fail(call, ERROR_NOT_FOUND, "p2pctl members -o +tags",
                  is_selector(to) ? "no node matches \"%s\"" : "no node is called \"%s\"", to);
        return;
    }
    call_on_gone(call, on_gone, sending);
    if (strlen(text) > text_max(node) && (!to || has_wanted(sending)))
        send_as_file(sending);
    else
        send_now(sending, text);
}

void method_inbox(struct node *node, struct call *call)
{
    history_serve_inbox(node->history, call, node_wall(node));
}

void method_events(struct node *node, struct call *call)
{
    history_serve_events(node->history, call, node_wall(node));
}

void method_monitor(struct node *node, struct call *call)
{
    monitor_serve(node->monitor, call);
}
