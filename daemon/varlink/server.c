/* SPDX-License-Identifier: MIT */
#include "varlink/server.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/log.h"
#include "varlink/peer.h"

#define CLIENTS_PER_TURN 16 /* liveness has its turn after them */
#define LISTEN_BACKLOG   128

struct client {
    struct list link;
    struct list unsent;    /* in the server's list while a later answer waits to be sent */
    struct server *server; /* borrowed */
    struct varlink *varlink;
    uint32_t events;   /* that the poll waits for */
    struct list calls; /* the one under way: answers have no number, so they keep the order */
    struct peer peer;
    bool is_oneway;  /* of the call under way: it wants no answer */
    bool is_closing; /* flush what is queued, then close */
    bool is_at_work; /* its own event is being handled, and sends what is queued at its end */
    bool is_ended;   /* it sends no more calls; answer those that it sent, then close */
    bool has_more;   /* it sends while a call is under way */
};

struct server {
    struct server_config config; /* strings are owned here */
    sd_event *event;
    sd_event_source *source;
    sd_event_source *clients_source;
    sd_event_source *answers_source; /* sends what methods answered later */
    int poll_fd; /* of all clients; sd-event itself asks for all that are ready after each one */
    int fd;
    int spare_fd;  /* to be closed where there is no other left for a client to be turned away */
    bool is_bound; /* the socket at the path is ours to remove */
    struct list clients;
    struct list unsent; /* of them, those with something for the source above */
    server_dispatch_t dispatch;
    void *data;
    uint64_t answered;
    uint64_t failed;
};

static void client_free(struct client *client)
{
    list_for_each_safe (link, &client->calls)
        call_abandon(list_entry(link, struct call, link));
    list_remove(&client->link);
    list_remove(&client->unsent);
    (void)epoll_ctl(client->server->poll_fd, EPOLL_CTL_DEL, varlink_fd(client->varlink), NULL);
    varlink_free(client->varlink);
    free(client);
}

static void wait_for(struct client *client, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};

    if (events != client->events &&
        epoll_ctl(client->server->poll_fd, EPOLL_CTL_MOD, varlink_fd(client->varlink), &event) == 0)
        client->events = events;
}

/* Sends what the socket takes, asks to be told when it takes more. False: the client is gone. */
static bool client_flush(struct client *client)
{
    int r = varlink_flush(client->varlink);
    bool is_busy = !list_is_empty(&client->calls);
    bool is_done = client->is_closing || (client->is_ended && !is_busy);

    if (r < 0 || (r == 0 && is_done)) {
        client_free(client);
        return false;
    }
    /* What comes while a call is under way waits in the socket; but most clients wait, too, and
     * then nothing changes. */
    bool reads = !client->is_closing && !client->is_ended && !(is_busy && client->has_more);
    wait_for(client, (reads ? (uint32_t)EPOLLIN : 0) | (r > 0 ? (uint32_t)EPOLLOUT : 0));
    return true;
}

static void client_send(struct call *call, const char *error, cJSON *parameters, bool continues,
                        const void *body _unused_, size_t body_size _unused_)
{
    struct client *client = call->connection;
    _cleanup_json_ cJSON *reply =
        error ? varlink_build_error(error, parameters) : varlink_build_reply(parameters, continues);

    if (!continues)
        (*(error ? &client->server->failed : &client->server->answered))++;
    if (!client->is_oneway && (!reply || varlink_queue(client->varlink, reply, NULL, 0) < 0)) {
        /* It does not read what it asked for. Broken off, the socket wakes the loop at once. */
        client->is_closing = true;
        (void)shutdown(varlink_fd(client->varlink), SHUT_RDWR);
    }
    /* Freeing the client here would pull it from under the caller: the loop flushes. */
    if (client->is_at_work)
        return;
    list_remove(&client->unsent);
    list_append(&client->server->unsent, &client->unsent);
    (void)sd_event_source_set_enabled(client->server->answers_source, SD_EVENT_ONESHOT);
}

static size_t client_pending(const struct call *call)
{
    const struct client *client = call->connection;
    return varlink_pending(client->varlink);
}

static int client_guard(const struct call *call)
{
    const struct client *client = call->connection;
    return varlink_fd(client->varlink);
}

static const struct call_transport transport = {
    .send = client_send, .pending = client_pending, .guard = client_guard};

/* An answer to what is no call; then the connection is closed. */
static void client_refuse(struct client *client, const char *text)
{
    cJSON *parameters = cJSON_CreateObject();
    _cleanup_json_ cJSON *reply = NULL;

    json_add_string(parameters, "message", text);
    json_add_null(parameters, "hint");
    reply = varlink_build_error(error_get_varlink(ERROR_USAGE), parameters);
    if (reply)
        (void)varlink_queue(client->varlink, reply, NULL, 0);
    client->is_closing = true;
}

static void client_dispatch(struct client *client, struct varlink_message *message)
{
    struct varlink_call parsed;
    static const cJSON no_parameters = {.type = cJSON_Object};

    if (varlink_parse_call(message->json, &parsed) < 0) {
        client_refuse(client,
                      "malformed call: an object with method, parameters and more is expected");
        return;
    }
    struct call *call = calloc(1, sizeof(*call));
    if (!call) {
        client->is_closing = true;
        return;
    }
    *call = (struct call){.method = parsed.method,
                          .parameters = parsed.parameters ? parsed.parameters : &no_parameters,
                          .caller = client->peer.caller,
                          .wants_more = parsed.more,
                          .transport = &transport,
                          .connection = client};
    call->fds = TAKE_PTR(message->fds);
    call->fds_count = message->fds_count;
    message->fds_count = 0;
    list_append(&client->calls, &call->link);
    client->is_oneway = parsed.oneway;
    call->json = TAKE_PTR(message->json);
    if (client->peer.may_call)
        client->server->dispatch(call, client->server->data);
    else
        call_fail_group(call, client->server->config.user_group);
}

static const char *explain(int error)
{
    return error == -EMSGSIZE ? "the request is larger than 1 MiB"
           : error == -ELOOP  ? "the request is nested deeper than 32 levels"
           : error == -EILSEQ ? "the request has a NUL (\\u0000) in a text, which none may have"
                              : "the request is not a JSON object";
}

/* Runs the calls that came, one after the other. */
static void client_take_calls(struct client *client)
{
    while (!client->is_closing && list_is_empty(&client->calls)) {
        _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
        int r = varlink_next(client->varlink, &message);
        if (r == 0)
            break;
        if (r < 0)
            client_refuse(client, explain(r));
        else
            client_dispatch(client, &message);
    }
}

/* Runs the calls that came; what there is to be sent waits for answer(). */
static void hear(struct client *client)
{
    client->is_at_work = true;
    client_take_calls(client);
}

static void answer(struct client *client)
{
    client->is_at_work = false;
    list_remove(&client->unsent);
    (void)client_flush(client);
}

/* What came of it is read, and its calls run. False: the client is gone. */
static bool on_client(struct client *client, uint32_t events)
{
    bool is_gone = events & (EPOLLHUP | EPOLLERR);

    if (is_gone && !list_is_empty(&client->calls)) {
        client_free(client);
        return false;
    }
    client->has_more = !list_is_empty(&client->calls) && events & EPOLLIN;
    if (!client->is_closing && !client->has_more && (is_gone || events & EPOLLIN)) {
        int r = varlink_receive(client->varlink);
        if ((r == 0 && is_gone) || (r < 0 && r != -EAGAIN)) {
            client_free(client);
            return false;
        }
        client->is_ended = r == 0;
    }
    hear(client);
    return true;
}

/*
 * Some of the clients that are ready; a client ends none but itself. The others in the next turn.
 * First all are heard, then all are answered: each answer may take the processor for whom it wakes.
 */
static int on_clients(sd_event_source *source _unused_, int fd, uint32_t revents _unused_,
                      void *data _unused_)
{
    struct epoll_event events[CLIENTS_PER_TURN];
    int count = epoll_wait(fd, events, CLIENTS_PER_TURN, 0), heard = 0;

    for (int i = 0; i < count; i++)
        if (on_client(events[i].data.ptr, events[i].events))
            events[heard++] = events[i];
    for (int i = 0; i < heard; i++)
        answer(events[i].data.ptr);
    return 0;
}

/* Some of those to whom something was answered later, and what they asked meanwhile. */
static int on_answers(sd_event_source *source, void *data)
{
    struct server *server = data;

    for (int i = 0; i < CLIENTS_PER_TURN && !list_is_empty(&server->unsent); i++) {
        struct client *client = list_first(&server->unsent, struct client, unsent);
        client->has_more = false;
        hear(client);
        answer(client);
    }
    if (!list_is_empty(&server->unsent))
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/*
 * Whether there is a place for one more. A single user never gets all of them, whatever it forgets
 * to close, and who may not call at all takes none of those who may. Else *@ret_why says why not.
 * @peer NULL: for anybody.
 */
static bool has_place(const struct server *server, const struct peer *peer, const char **ret_why)
{
    size_t max = server->config.clients_max, reserve = max / 8, all = 0, count = 0, of_user = 0;

    list_for_each (link, &server->clients) {
        const struct client *other = list_entry(link, struct client, link);
        all++;
        if (!peer)
            continue;
        count += other->peer.may_call == peer->may_call;
        of_user += other->peer.uid == peer->uid;
    }
    *ret_why = "too many clients at the control socket";
    if (!peer)
        return all < max + MAX(reserve, (size_t)1);
    if (!peer->may_call)
        return count < MAX(reserve, (size_t)1);
    if (count < max && of_user >= max - reserve)
        *ret_why = "too many clients of this user at the control socket";
    return count < max && of_user < max - reserve;
}

static void open_spare(struct server *server)
{
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* A client that is left waiting would wake the loop again and again. */
static void turn_away(struct server *server)
{
    server->spare_fd = close_fd(server->spare_fd);
    (void)close_fd(accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    open_spare(server);
}

static void send_busy(int fd, const char *why)
{
    char text[160];
    int size = snprintf(text, sizeof(text),
                        "{\"error\":\"org.p2pnode.Busy\",\"parameters\":{\"message\":\"%s\","
                        "\"hint\":null}}",
                        why);

    /* With the NUL that ends a message. */
    (void)send(fd, text, (size_t)size + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int accept_client(struct server *server)
{
    _cleanup_close_ int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int r;

    if (fd < 0) {
        r = errno == EAGAIN || errno == ECONNABORTED ? 0 : -errno;
        if (r == -EMFILE || r == -ENFILE)
            turn_away(server);
        return r;
    }
    struct peer peer;
    const char *why;
    /* Who it is takes a look at the system's users: only where anybody has a place. */
    r = !has_place(server, NULL, &why)
            ? -EBUSY
            : peer_identify(fd, server->config.user_group, server->config.admin_group, &peer);
    if (r < 0 && r != -EBUSY)
        return r;
    if (r == -EBUSY || !has_place(server, &peer, &why)) {
        send_busy(fd, why);
        return 0;
    }
    _cleanup_free_ struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->server = server;
    client->peer = peer;
    list_init(&client->link);
    list_init(&client->unsent);
    list_init(&client->calls);
    r = varlink_new(fd, &client->varlink);
    if (r < 0)
        return r;
    struct epoll_event event = {.events = client->events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(server->poll_fd, EPOLL_CTL_ADD, TAKE_FD(fd), &event) < 0) {
        r = -errno;
        varlink_free(client->varlink);
        return r;
    }
    list_append(&server->clients, &client->link);
    TAKE_PTR(client);
    return 0;
}

static int on_accept(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                     void *data)
{
    int r = accept_client(data);

    if (r < 0)
        log_warning_errno(r, "Cannot accept a client at the control socket: %m");
    return 0;
}

/* Whether somebody listens at the path already. */
static bool is_served(const struct sockaddr_un *address)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
}

/*
 * A socket is born with the group of its process, and stays with it: a service, as ours, may not be
 * allowed to give anything away, not even to itself. Return: 0 or -errno.
 */
static int give_to_group(const char *path, gid_t group)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (status.st_gid != group && chown(path, (uid_t)-1, group) < 0)
        return -errno;
    return 0;
}

static int set_access(const struct server_config *config)
{
    const struct group *group = *config->user_group ? getgrnam(config->user_group) : NULL;
    mode_t mode = group ? config->mode : config->mode & 0700;
    int r = group ? give_to_group(config->path, group->gr_gid) : 0;

    if (!group && *config->user_group)
        log_warning("No group \"%s\": the control socket is for its owner only",
                    config->user_group);
    else if (r < 0) {
        log_warning_errno(r, "Cannot give the control socket to group \"%s\": %m",
                          config->user_group);
        mode &= 0700;
    }
    return chmod(config->path, mode) < 0 ? -errno : 0;
}

static int bind_socket(const struct server_config *config, int *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -EBADF;
    int r;

    if (strlen(config->path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, config->path);
    if (is_served(&address))
        return -EADDRINUSE;
    if (unlink(config->path) < 0 && errno != ENOENT)
        return -errno;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    mode_t mask = umask(0177);
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    umask(mask);
    if (r < 0)
        return r;
    r = set_access(config);
    if (r < 0)
        return r;
    if (listen(fd, LISTEN_BACKLOG) < 0)
        return -errno;
    *ret = TAKE_FD(fd);
    return 0;
}

int server_new(sd_event *event, const struct server_config *config, server_dispatch_t dispatch,
               void *data, struct server **ret)
{
    _cleanup_(server_freep) struct server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return -ENOMEM;
    *server = (struct server){.config = *config,
                              .fd = -EBADF,
                              .poll_fd = -EBADF,
                              .spare_fd = -EBADF,
                              .dispatch = dispatch,
                              .data = data};
    list_init(&server->clients);
    list_init(&server->unsent);
    server->event = sd_event_ref(event);
    server->config.path = strdup(config->path);
    server->config.user_group = strdup(config->user_group);
    server->config.admin_group = strdup(config->admin_group);
    if (!server->config.path || !server->config.user_group || !server->config.admin_group)
        return -ENOMEM;
    server->fd = config->listen_fd;
    open_spare(server);
    if (server->fd < 0) {
        r = bind_socket(&server->config, &server->fd);
        if (r < 0)
            return r;
        server->is_bound = true;
    }
    r = sd_event_add_io(event, &server->source, server->fd, EPOLLIN, on_accept, server);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(server->source, "control-listener");
    server->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->poll_fd < 0)
        return -errno;
    r = sd_event_add_io(event, &server->clients_source, server->poll_fd, EPOLLIN, on_clients,
                        server);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(server->clients_source, "control-clients");
    r = sd_event_add_defer(event, &server->answers_source, on_answers, server);
    if (r < 0)
        return r;
    (void)sd_event_source_set_enabled(server->answers_source, SD_EVENT_OFF);
    (void)sd_event_source_set_description(server->answers_source, "control-answers");
    (void)sd_event_source_set_exit_on_failure(server->source, true);
    *ret = TAKE_PTR(server);
    return 0;
}

int server_set_access(struct server *server, const struct server_config *config)
{
    struct server_config *own = &server->config;
    char *user_group = strdup(config->user_group), *admin_group = strdup(config->admin_group);
    bool has_changed =
        own->mode != config->mode || strcmp(own->user_group, config->user_group) != 0;

    if (!user_group || !admin_group) {
        free(user_group);
        free(admin_group);
        return -ENOMEM;
    }
    free((char *)(uintptr_t)own->user_group);
    free((char *)(uintptr_t)own->admin_group);
    own->user_group = user_group;
    own->admin_group = admin_group;
    own->mode = config->mode;
    own->clients_max = config->clients_max;
    return server->is_bound && has_changed ? set_access(own) : 0;
}

struct server *server_free(struct server *server)
{
    if (!server)
        return NULL;
    /* What was answered in the last turn is sent by none that follows. */
    list_for_each_safe (link, &server->unsent)
        (void)client_flush(list_entry(link, struct client, unsent));
    list_for_each_safe (link, &server->clients)
        client_free(list_entry(link, struct client, link));
    sd_event_source_disable_unref(server->source);
    sd_event_source_disable_unref(server->clients_source);
    sd_event_source_disable_unref(server->answers_source);
    close_fd(server->poll_fd);
    close_fd(server->fd);
    close_fd(server->spare_fd);
    if (server->is_bound)
        (void)unlink(server->config.path);
    sd_event_unref(server->event);
    free((char *)(uintptr_t)server->config.path);
    free((char *)(uintptr_t)server->config.user_group);
    free((char *)(uintptr_t)server->config.admin_group);
    free(server);
    return NULL;
}

void server_get_statistics(const struct server *server, uint64_t *ret_answered,
                           uint64_t *ret_failed)
{
    *ret_answered = server->answered;
    *ret_failed = server->failed;
}
