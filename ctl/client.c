/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include "base/text.h"
#include "varlink/varlink.h"
#include "console/failure.h"
#include "find.h"
#include "interrupt.h"
#include "console/render.h"

#define RECONNECT_USEC (100 * USEC_PER_MSEC)
#define PROBE_USEC     USEC_PER_SEC
#define LEAVE_USEC     (3 * USEC_PER_SEC)

struct client {
    struct varlink *varlink; /* owned */
    char name[64];           /* of the instance, for messages */
    char path[FIND_PATH_MAX];
    char asked[NODE_NAME_MAX + 1]; /* which node the current call is for; "" = none was named */
    const char *late_hint;         /* static: it may be done, though late; NULL = ask again */
    bool survives;                 /* as the call */
    usec_t limit_usec;             /* of the current call; USEC_INFINITY = none */
    usec_t deadline_usec;          /* when it must have given its next sign */
    bool is_leaving;               /* who waits for it has had enough */
    bool (*tolerates)(enum error_code code);
    bool is_lost;
};

struct client *client_free(struct client *client)
{
    if (!client)
        return NULL;
    varlink_free(client->varlink);
    free(client);
    return NULL;
}

usec_t client_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

static int tell_not_permitted(const char *path)
{
    struct stat status;
    const struct passwd *user = getpwuid(geteuid());
    const struct group *group = stat(path, &status) == 0 ? getgrgid(status.st_gid) : NULL;
    const char *group_name = group ? group->gr_name : "p2pnode";
    char hint[256], number[16];

    snprintf(number, sizeof(number), "%u", (unsigned)geteuid());
    const char *user_name = user ? user->pw_name : number;
    if (group && !(status.st_mode & S_IWGRP)) {
        const struct passwd *owner = getpwuid(status.st_uid);
        return fail(
            ERROR_NOT_PERMITTED, NULL,
            "let a group in: groupadd p2pnode     (control.user_group), then restart p2pnode",
            "not permitted: only user \"%s\" may use %s", owner ? owner->pw_name : "?", path);
    }
    error_format_group_hint(group_name, user_name, hint, sizeof(hint));
    return fail(ERROR_NOT_PERMITTED, NULL, hint, "not permitted: user \"%s\" is not in group %s",
                user_name, group_name);
}

static int tell_not_running(const char *name, const char *path, int error)
{
    struct instances instances;
    char why[FIND_PATH_MAX + 64], running[256], hints[512];

    find_running(&instances);
    find_list(&instances, name, running, sizeof(running));
    snprintf(why, sizeof(why), "%s: %s", path, strerror(-error));
    snprintf(hints, sizeof(hints), "start it:            systemctl start p2pnode@%s", name);
    if (*running) {
        size_t size = strlen(hints), first = strcspn(running, ",");
        snprintf(hints + size, sizeof(hints) - size,
                 "\nor pick another:     p2pctl -i %.*s status        (running: %s)", (int)first,
                 running, running);
    }
    return fail(ERROR_NOT_RUNNING, why, hints, "cannot connect to p2pnode \"%s\"", name);
}

/* Neither option nor environment says which daemon: the only one, or none. */
static int choose_only(char *name, size_t name_size, char path[static FIND_PATH_MAX])
{
    struct instances instances;
    char running[512], hint[640];

    find_running(&instances);
    if (instances.count == 0)
        return fail(
            ERROR_NOT_RUNNING, "no daemon runs on this machine",
            "start one: systemctl start p2pnode@NAME     (NAME as in /etc/p2pnode/NAME.conf)",
            "cannot connect to p2pnode");
    if (instances.count > 1) {
        find_list(&instances, NULL, running, sizeof(running));
        snprintf(hint, sizeof(hint), "pick one: p2pctl -i %s status", instances.items[0].name);
        return fail(ERROR_USAGE, NULL, hint, "several daemons run on this machine: %s", running);
    }
    snprintf(name, name_size, "%s", instances.items[0].name);
    strcpy(path, instances.items[0].path);
    return 0;
}

/* The name a socket stands for: its file's name without ".sock". */
static void name_of(const char *path, char *target, size_t size)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    size_t length = strlen(file);

    if (length > 5 && strcmp(file + length - 5, ".sock") == 0)
        length -= 5;
    snprintf(target, size, "%.*s", (int)MIN(length, size - 1), file);
}

static int choose_socket(const struct globals *globals, struct client *client,
                         char path[static FIND_PATH_MAX])
{
    if (globals->socket) {
        if (strlen(globals->socket) >= FIND_PATH_MAX)
            return fail_usage("the path of the socket is longer than %d bytes", FIND_PATH_MAX - 1);
        strcpy(path, globals->socket);
        name_of(path, client->name, sizeof(client->name));
        return 0;
    }
    if (!globals->instance)
        return choose_only(client->name, sizeof(client->name), path);
    if (find_path(globals->instance, path) < 0)
        return fail_usage("\"%s\" is no name of an instance", globals->instance);
    snprintf(client->name, sizeof(client->name), "%s", globals->instance);
    return 0;
}

int client_connect(struct ctl *ctl)
{
    struct client *client;
    char path[FIND_PATH_MAX];
    int r;

    if (ctl->client)
        return 0;
    client = calloc(1, sizeof(*client));
    if (!client)
        return fail_memory();
    ctl->client = client;
    r = choose_socket(&ctl->globals, client, path);
    if (r == 0) {
        int fd = find_connect(path);
        if (fd == -EACCES || fd == -EPERM)
            r = tell_not_permitted(path);
        else if (fd == -EAGAIN)
            r = fail(ERROR_BUSY, "too many programs are asking", NULL,
                     "cannot connect to p2pnode \"%s\"", client->name);
        else if (fd < 0)
            r = tell_not_running(client->name, path, fd);
        else if (varlink_new(fd, &client->varlink) < 0) {
            close_fd(fd);
            r = fail_memory();
        } else {
            strcpy(client->path, path);
            varlink_set_message_max(client->varlink, VARLINK_OUTPUT_MAX);
        }
    }
    if (r != 0)
        ctl->client = client_free(client);
    return r;
}

cJSON *client_parameters(const struct ctl *ctl)
{
    cJSON *parameters = cJSON_CreateObject();

    if (parameters && ctl->globals.node)
        json_add_string(parameters, "node", ctl->globals.node);
    return parameters;
}

static int tell_lost(struct client *client, int error)
{
    char hint[128];

    client->is_lost = true;
    if (client->survives)
        return CLIENT_LOST;
    snprintf(hint, sizeof(hint), "see what happened: journalctl -u p2pnode@%s -n 50", client->name);
    return fail(ERROR_INTERNAL, error < 0 ? strerror(-error) : "it closed the connection", hint,
                "lost the connection to p2pnode \"%s\"", client->name);
}

bool client_is_lost(const struct ctl *ctl)
{
    return ctl->client && ctl->client->is_lost;
}

static bool is_answering(const struct client *client);

/* Where the daemon itself still answers, it is the node that it asked. */
static int tell_silence(const struct ctl *ctl)
{
    const struct client *client = ctl->client;

    if (*client->asked && is_answering(client))
        return fail(ERROR_UNREACHABLE, NULL,
                    client->late_hint
                        ? client->late_hint
                        : "see how it is:    p2pctl ping --all\n"
                          "to wait longer:   repeat the command with --request-timeout 60s",
                    "%s gave no answer in time", client->asked);
    return fail_with(error_get_exit(ERROR_INTERNAL), ERROR_TIMEOUT, NULL,
                     client->late_hint
                         ? client->late_hint
                         : "to wait longer: repeat the command with --request-timeout 60s",
                     "p2pnode \"%s\" gave no answer in time", ctl->client->name);
}

static int wait_for(const struct client *client, short events)
{
    struct pollfd pollfd = {.fd = varlink_fd(client->varlink), .events = events};

    return interrupt_wait(&pollfd, client->deadline_usec);
}

int client_pause(usec_t usec)
{
    int r = interrupt_wait(NULL, usec_add(client_now(), usec));

    return r == -ETIMEDOUT ? 0 : r;
}

void client_survive(struct ctl *ctl)
{
    ctl->client->survives = true;
}

int client_reconnect(struct ctl *ctl, usec_t limit_usec)
{
    struct client *client = ctl->client;
    usec_t deadline_usec = usec_add(client_now(), limit_usec);
    int fd, r = 0;

    client->varlink = varlink_free(client->varlink);
    /* One that is just going may still accept: a moment first. */
    do {
        r = client_pause(RECONNECT_USEC);
        fd = r == 0 ? find_connect(client->path) : -EINTR;
        if (r == 0 && fd < 0 && client_now() >= deadline_usec)
            r = CLIENT_LOST;
    } while (r == 0 && fd < 0);
    if (fd < 0)
        return r;
    if (varlink_new(fd, &client->varlink) < 0) {
        close_fd(fd);
        return fail_memory();
    }
    varlink_set_message_max(client->varlink, VARLINK_OUTPUT_MAX);
    client->is_lost = false;
    return 0;
}

/* Sends what is queued. Return: 0, as wait_for, or what the socket said. */
static int flush(struct client *client)
{
    int r;

    while ((r = varlink_flush(client->varlink)) > 0)
        if ((r = wait_for(client, POLLOUT)) < 0)
            break;
    return r;
}

/* Return: 0 with the next message; 1 where the other side has closed; or as flush. */
static int receive(struct client *client, struct varlink_message *ret)
{
    for (;;) {
        int r = varlink_next(client->varlink, ret);
        if (r != 0)
            return MIN(r, 0);
        r = wait_for(client, POLLIN);
        if (r == 0)
            r = varlink_receive(client->varlink);
        if (r == 0)
            return 1;
        if (r < 0 && r != -EAGAIN)
            return r;
    }
}

/* Whether another question to the daemon is answered at once, and by another node than was asked.
 */
static bool is_answering(const struct client *client)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    _cleanup_json_ cJSON *json = varlink_build_call("org.p2pnode.Ping", NULL, false);
    struct client probe = {.deadline_usec = usec_add(client_now(), PROBE_USEC)};
    int fd = json ? find_connect(client->path) : -ENOMEM;
    bool is_other = false;

    if (fd < 0)
        return false;
    if (varlink_new(fd, &probe.varlink) < 0) {
        close_fd(fd);
        return false;
    }
    if (varlink_queue(probe.varlink, json, NULL, 0) >= 0 && flush(&probe) >= 0 &&
        receive(&probe, &message) == 0) {
        const char *name = json_text(json_member(message.json, "parameters"), "name", NULL);
        is_other = name && strcmp(name, client->asked) != 0;
    }
    varlink_free(probe.varlink);
    return is_other;
}

/* Of what a daemon that answers late does nevertheless. */
static const char *find_late_hint(const char *method, const cJSON *parameters)
{
    static const char *const hints[][2] = {
        {"Submit", "it may have been submitted: p2pctl task list --mine"},
        {"SetMemory", "it may have been set: p2pctl mem ls"},
        {"RemoveMemory", "it may have been removed: p2pctl mem ls"},
        {"RemoveFile", "it may have been removed: p2pctl file ls"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(hints) && !json_flag(parameters, "dry_run"); i++)
        if (strcmp(method, hints[i][0]) == 0)
            return hints[i][1];
    return NULL;
}

static int send_call(struct ctl *ctl, struct call call, const int *fds, size_t fds_count, bool more)
{
    _cleanup_json_ cJSON *parameters = call.parameters;
    char method[96];
    int r = client_connect(ctl);

    if (r != 0)
        return r;
    struct client *client = ctl->client;
    snprintf(client->asked, sizeof(client->asked), "%s", json_text(parameters, "node", ""));
    client->late_hint = find_late_hint(call.method, parameters);
    snprintf(method, sizeof(method), "%s%s", strchr(call.method, '.') ? "" : "org.p2pnode.",
             call.method);
    _cleanup_json_ cJSON *json = varlink_build_call(method, TAKE_PTR(parameters), more);
    if (!json)
        return fail_memory();
    _cleanup_free_ char *text = json_format(json);
    if (!text)
        return fail_memory();
    if (strlen(text) > JSON_SIZE_MAX)
        return fail(ERROR_TOO_LARGE, "a request has at most 1 MiB", NULL,
                    "that is too long to ask");
    r = varlink_queue(client->varlink, json, fds, fds_count);
    if (r < 0)
        return tell_lost(client, r);
    client->limit_usec = call.waits ? USEC_INFINITY : ctl->globals.request_timeout_usec;
    client->tolerates = call.tolerates;
    client->deadline_usec = usec_add(client_now(), ctl->globals.request_timeout_usec);
    r = flush(client);
    client->deadline_usec = client->limit_usec == USEC_INFINITY
                                ? USEC_INFINITY
                                : usec_add(client_now(), client->limit_usec);
    if (r == -ETIMEDOUT)
        return tell_silence(ctl);
    /* A server that refuses us may have closed already; its reason is still to be read. */
    return r < 0 && r != -EPIPE ? tell_lost(client, r) : 0;
}

void client_leave(struct ctl *ctl)
{
    struct client *client = ctl->client;

    client->is_leaving = true;
    client->deadline_usec = MIN(client->deadline_usec, usec_add(client_now(), LEAVE_USEC));
}

int client_start(struct ctl *ctl, struct call call)
{
    return send_call(ctl, call, &call.fd, call.fd >= 0, true);
}

int client_start_with(struct ctl *ctl, struct call call, const int *fds, size_t fds_count)
{
    return send_call(ctl, call, fds, fds_count, true);
}

static int next_message(struct ctl *ctl, struct varlink_message *ret)
{
    int r = receive(ctl->client, ret);

    if (r == 0 || r == CLIENT_INTERRUPTED)
        return r;
    if (r == -ETIMEDOUT && ctl->client->is_leaving)
        return CLIENT_INTERRUPTED;
    return r == -ETIMEDOUT ? tell_silence(ctl) : tell_lost(ctl->client, MIN(r, 0));
}

/* The option that @parameter came from, as it was given last; or NULL. */
static const struct option_value *find_given(const struct options *options, const char *parameter)
{
    char name[64];

    snprintf(name, sizeof(name), "%s", parameter);
    for (char *c = name; *c; c++)
        *c = *c == '_' ? '-' : *c;
    for (size_t i = options->values_count; i > 0; i--) {
        const struct option_value *value = &options->values[i - 1];
        if (value->text && strcmp(value->option->name, name) == 0)
            return value;
    }
    return NULL;
}

static int tell_invalid(const struct ctl *ctl, const char *parameter)
{
    const struct option_value *given = find_given(&ctl->options, parameter);

    if (given)
        return fail_usage("\"%s\" is no valid value for --%s", given->text, given->option->name);
    return fail_usage("the daemon does not accept the parameter \"%s\"", parameter);
}

static int tell_error(const struct ctl *ctl, const struct varlink_reply *reply)
{
    enum error_code code = error_from_varlink(reply->error);
    const cJSON *details = json_member(reply->parameters, "details");
    const char *message = json_text(reply->parameters, "message", NULL);
    const char *hint = json_text(reply->parameters, "hint", NULL);

    if (message)
        return fail_in_detail(code, details, hint, "%s", message);
    /* The standard errors of Varlink carry the name of what is wrong instead of a message. */
    const char *name =
        json_text(reply->parameters, "parameter", json_text(reply->parameters, "method", NULL));
    if (name && strcmp(reply->error, "org.varlink.service.InvalidParameter") == 0)
        return tell_invalid(ctl, name);
    return fail(code, NULL, hint, "the daemon answers %s%s%s", reply->error, name ? ": " : "",
                name ? name : "");
}

int client_next(struct ctl *ctl, cJSON **ret, bool *ret_last)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    struct client *client = ctl->client;
    struct varlink_reply reply;
    int r = next_message(ctl, &message);

    if (r != 0)
        return r;
    if (varlink_parse_reply(message.json, &reply) < 0)
        return fail(ERROR_INTERNAL, NULL, NULL, "p2pnode \"%s\" answers what is no Varlink",
                    client->name);
    if (client->limit_usec != USEC_INFINITY)
        client->deadline_usec = usec_add(client_now(), client->limit_usec);
    if (reply.error && client->tolerates && client->tolerates(error_from_varlink(reply.error))) {
        *ret = NULL;
        *ret_last = true;
        return 0;
    }
    if (reply.error)
        return tell_error(ctl, &reply);
    cJSON *parameters = cJSON_DetachItemFromObjectCaseSensitive(message.json, "parameters");
    if (!parameters)
        parameters = cJSON_CreateObject();
    if (!parameters)
        return fail_memory();
    *ret = parameters;
    *ret_last = !reply.continues;
    return 0;
}

int client_call(struct ctl *ctl, struct call call, cJSON **ret)
{
    return client_list(ctl, call, NULL, ret);
}

/* Adds the entries of a further part to the first one. Return: whether they belong together. */
static bool merge_arrays(cJSON *first, cJSON *part)
{
    json_for_each (rows, part) {
        cJSON *target = cJSON_GetObjectItemCaseSensitive(first, rows->string);
        if (cJSON_IsArray(rows) != cJSON_IsArray(target))
            return false;
        while (cJSON_IsArray(rows) && rows->child)
            cJSON_AddItemToArray(target, cJSON_DetachItemViaPointer(rows, rows->child));
    }
    return true;
}

int client_each(struct ctl *ctl, struct call call,
                int (*take)(struct ctl *ctl, cJSON *part, void *data), void *data)
{
    bool last = false;
    int r = client_start(ctl, call);

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *part = NULL;
        r = client_next(ctl, &part, &last);
        if (r == 0)
            r = take(ctl, part, data);
    }
    return r;
}

int client_list(struct ctl *ctl, struct call call, const char *list, cJSON **ret)
{
    _cleanup_json_ cJSON *first = NULL;
    bool last = false;
    int r = send_call(ctl, call, &call.fd, call.fd >= 0, list != NULL);

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *part = NULL;
        r = client_next(ctl, &part, &last);
        if (r != 0)
            break;
        if (!first) {
            first = TAKE_PTR(part);
            continue;
        }
        if (!list || !merge_arrays(first, part))
            return fail(ERROR_INTERNAL, NULL, NULL, "the daemon answers more than was asked");
    }
    if (r == 0)
        *ret = TAKE_PTR(first);
    return r;
}
