/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>
#include "control/methods_internal.h"

/*
 * A result of a task that was submitted at another node, into the file of a client here: that node
 * is asked for one piece after the other, and each is written by a thread before the next one is
 * asked for. So a slow disk here and a slow network cost no memory.
 */

struct fetch {
    struct node *node;          /* borrowed */
    struct call *call;          /* borrowed; NULL = the client is gone */
    struct remote_call *remote; /* borrowed, while a piece is asked for */
    struct node_id member;
    char name[NODE_NAME_MAX + 1]; /* of that node */
    int fd;                       /* owned; of the client */
    uint64_t offset;              /* what is written */
    cJSON *reply;                 /* owned: of the last piece */
    uint8_t *piece;               /* owned */
    size_t piece_size;
    int result; /* of writing */
};

static void fetch_free(struct fetch *fetch)
{
    close_fd(fetch->fd);
    cJSON_Delete(fetch->reply);
    free(fetch->piece);
    free(fetch);
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct fetch *fetch = data;

    fetch->call = NULL;
    if (!fetch->remote) /* it is being written */
        return;
    remote_cancel(fetch->remote);
    fetch_free(fetch);
}

/* Takes its call back, to be answered. */
static struct call *end(struct fetch *fetch)
{
    struct call *call = fetch->call;

    fetch_free(fetch);
    return call;
}

static void ask(struct fetch *fetch);

static void run_write(void *data)
{
    struct fetch *fetch = data;

    for (size_t done = 0; done < fetch->piece_size;) {
        ssize_t n = pwrite(fetch->fd, fetch->piece + done, fetch->piece_size - done,
                           (off_t)(fetch->offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fetch->result = -errno;
            return;
        }
        done += (size_t)n;
    }
    fetch->result = 0;
}

/* The size of the whole result, as the last answer has it. */
static uint64_t get_size(const struct fetch *fetch)
{
    const cJSON *files = NULL;
    uint64_t size = 0;

    (void)json_get_array(fetch->reply, "files", &files);
    if (files && files->child)
        (void)json_get_u64(files->child, "size_bytes", UINT64_MAX, &size);
    return size;
}

static void write_done(void *data)
{
    struct fetch *fetch = data;

    if (!fetch->call) {
        fetch_free(fetch);
        return;
    }
    if (fetch->result < 0) {
        int r = fetch->result;
        call_fail(end(fetch), error_from_errno(r), NULL, "cannot write the result: %s",
                  strerror(-r));
        return;
    }
    fetch->offset += fetch->piece_size;
    if (fetch->offset < get_size(fetch)) {
        ask(fetch);
        return;
    }
    cJSON *reply = TAKE_PTR(fetch->reply);
    cJSON_DeleteItemFromObjectCaseSensitive(reply, "value"); /* of one without a byte */
    call_reply(end(fetch), reply);
}

/* Keeps what came. Return: 0, -ENOMEM, -EBADMSG for what is not the next piece. */
static int take_piece(struct fetch *fetch, const struct remote_reply *reply)
{
    free(TAKE_PTR(fetch->piece));
    cJSON_Delete(TAKE_PTR(fetch->reply));
    fetch->reply = cJSON_Duplicate(reply->parameters, true);
    fetch->piece = malloc(reply->body_size + 1);
    if (!fetch->reply || !fetch->piece)
        return -ENOMEM;
    if (reply->body_size > 0)
        memcpy(fetch->piece, reply->body, reply->body_size);
    fetch->piece_size = reply->body_size;
    uint64_t size = get_size(fetch), left = size - MIN(size, fetch->offset);
    return fetch->piece_size > left || (fetch->piece_size == 0 && left > 0) ? -EBADMSG : 0;
}

static void on_piece(const struct remote_reply *reply, void *data)
{
    struct fetch *fetch = data;
    char name[NODE_NAME_MAX + 1];
    int r = reply->r;

    fetch->remote = NULL;
    memcpy(name, fetch->name, sizeof(name));
    if (r < 0) {
        call_fail(end(fetch), ERROR_UNREACHABLE, "p2pctl members", "cannot reach %s: %s", name,
                  remote_explain(r));
        return;
    }
    if (reply->error) {
        call_fail_as(end(fetch), reply->error, cJSON_Duplicate(reply->parameters, true));
        return;
    }
    r = take_piece(fetch, reply);
    if (r >= 0)
        r = worker_submit(fetch->node->worker, WORKER_FILES, run_write, write_done, fetch);
    if (r < 0)
        call_fail(end(fetch), error_from_errno(r), NULL, "cannot take the result from %s: %s", name,
                  strerror(-r));
}

static void ask(struct fetch *fetch)
{
    const struct swim *swim = cluster_get_swim(fetch->node->cluster);
    const struct swim_member *member = swim_find(swim, &fetch->member);
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    const char *id = NULL, *file = NULL;
    int r = -EHOSTUNREACH;

    (void)json_get_string(fetch->call->parameters, "id", &id);
    (void)json_get_string(fetch->call->parameters, "file", &file);
    json_add_string(parameters, "id", id);
    json_add_string(parameters, "file", file);
    json_add_u64(parameters, "offset", fetch->offset);
    if (member)
        r = remote_call(fetch->node->remote,
                        &(struct remote_request){.member = member,
                                                 .method = fetch->call->method,
                                                 .parameters = parameters,
                                                 .caller = &fetch->call->caller,
                                                 .timeout_usec = USEC_INFINITY},
                        on_piece, fetch, &fetch->remote);
    if (r < 0) {
        char name[NODE_NAME_MAX + 1];
        memcpy(name, fetch->name, sizeof(name));
        call_fail(end(fetch), error_from_errno(r), "p2pctl members", "cannot reach %s: %s", name,
                  strerror(-r));
    }
}

void task_fetch(struct node *node, struct call *call, const struct swim_member *member, int fd)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));

    if (!fetch) {
        close_fd(fd);
        fail_memory(call);
        return;
    }
    *fetch = (struct fetch){.node = node, .call = call, .member = member->id, .fd = fd};
    snprintf(fetch->name, sizeof(fetch->name), "%s", member->name);
    call_on_gone(call, on_gone, fetch);
    ask(fetch);
}
