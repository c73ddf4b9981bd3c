/* SPDX-License-Identifier: MIT */
#include "exec/server.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "base/list.h"
#include "base/log.h"
#include "exec/channel.h"
#include "exec/child.h"
#include "exec/children.h"
#include "exec/client.h"
#include "exec/group.h"
#include "exec/helpers.h"
#include "exec/keeper.h"
#include "exec/probe.h"
#include "exec/request.h"
#include "exec/spares.h"

#define TIMER_ACCURACY_USEC USEC_PER_MSEC
#define STOP_WAIT_USEC      (10 * USEC_PER_SEC) /* for all of them, when the client is gone */

struct exec_server {
    sd_event *event;       /* owned reference */
    const char *work_root; /* borrowed */
    int listen_fd;         /* owned, or -EBADF */
    sd_event_source *listener;
    sd_event_source *signals[3];
    sd_event_source *deadline;    /* for the tasks of a client that is gone */
    struct exec_channel *channel; /* owned; NULL without client */
    struct fence *fence;          /* owned; NULL until configured */
    struct helpers *helpers;      /* owned; as the fence, which it borrows */
    struct groups groups;         /* owned */
    struct probe probe;
    struct spares spares; /* keepers without a task */
    struct list tasks;    /* of struct exec_child, owned; also what only has to end */
    size_t tasks_count;
    uint64_t serial;
    bool stopping; /* end the loop when the last task is gone */
};

static void send_message(struct exec_server *server, const struct exec_message *message)
{
    int r;

    if (!server->channel)
        return;
    r = exec_channel_send(server->channel, message, NULL);
    if (r < 0)
        log_error_errno(r, "Cannot answer p2pnode: %m");
}

static void tell_exit(struct exec_server *server, uint64_t id, const struct exec_status *status)
{
    const struct exec_message message = {.type = EXEC_EXITED, .id = id, .exited = *status};

    send_message(server, &message);
}

static void tell_refusal(struct exec_server *server, uint64_t id, int error, const char *reason)
{
    struct exec_status status = {.code = -1, .error = error};

    /* Of what is lost the errno is but a mark. */
    snprintf(status.reason, sizeof(status.reason), error == -ECONNRESET ? "%s" : "%s: %s", reason,
             strerror(-error));
    tell_exit(server, id, &status);
}

static void add_task(struct exec_server *server, struct exec_child *child)
{
    list_append(&server->tasks, &child->link);
    server->tasks_count++;
}

static void remove_task(struct exec_server *server, struct exec_child *child)
{
    list_remove(&child->link);
    server->tasks_count--;
}

/* Of a spare keeper: only its process is left. */
static void on_spare_ended(struct exec_child *child, void *data)
{
    add_task(data, child);
}

/* A keeper is free; the one that has the fence of an older configuration is of no use. */
static void on_free(struct exec_server *server, struct exec_child *child)
{
    if (child->is_retired) {
        exec_child_abandon(child);
        return;
    }
    remove_task(server, child);
    spares_put(&server->spares, child);
}

static void on_report(struct exec_child *child, const struct supervisor_report *report)
{
    const struct exec_message started = {
        .type = EXEC_STARTED,
        .id = child->id,
        .started = {.pid = (uint64_t)child->pid, .wall_usec = report->status.wall_usec}};

    switch (report->kind) {
    case SUPERVISOR_STARTED:
        send_message(child->owner, &started);
        break;
    case SUPERVISOR_ENDED:
        tell_exit(child->owner, child->id, &report->status);
        if (report->is_free)
            on_free(child->owner, child);
        break;
    case SUPERVISOR_FREE:
        on_free(child->owner, child);
        break;
    }
}

/* Children that are there on purpose. */
static bool is_known(pid_t pid, void *data)
{
    struct exec_server *server = data;

    if (helpers_has(server->helpers, pid) || spares_find(&server->spares, pid))
        return true;
    list_for_each (link, &server->tasks)
        if (list_entry(link, struct exec_child, link)->pid == pid)
            return true;
    return false;
}

/* Of a task's directories and control group. Returns @target. */
static char *format_name(uint64_t serial, char target[static REQUEST_NAME_MAX])
{
    snprintf(target, REQUEST_NAME_MAX, SERVER_TASK_PREFIX "%" PRIu64, serial);
    return target;
}

static void remove_group(const struct exec_server *server, uint64_t serial)
{
    char name[REQUEST_NAME_MAX];

    if (server->groups.fd < 0)
        return;
    group_remove(&server->groups, format_name(serial, name));
    if (list_is_empty(&server->tasks))
        groups_sweep(&server->groups);
}

/* The last task of a client that is gone has ended. */
static void finish_stop(struct exec_server *server)
{
    server->deadline = sd_event_source_disable_unref(server->deadline);
    if (server->stopping)
        (void)sd_event_exit(server->event, 0);
    else
        (void)sd_event_source_set_enabled(server->listener, SD_EVENT_ON);
}

static void on_supervisor_gone(struct exec_server *server, struct exec_child *task)
{
    exec_child_take_reports(task);
    if (spares_find(&server->spares, task->pid)) {
        spares_forget(&server->spares, task);
        return;
    }
    remove_task(server, task);
    if (!task->ended) {
        /* Killed, by whomever: its task, no longer watched, has become our child. */
        (void)children_kill(is_known, server);
        tell_refusal(server, task->id, -ECONNRESET, "its supervisor was killed (out of memory?)");
    }
    remove_group(server, task->serial);
    exec_child_free(task);
    if (!server->channel && list_is_empty(&server->tasks))
        finish_stop(server);
}

static struct exec_child *find_task(const struct exec_server *server, uint64_t id)
{
    list_for_each (link, &server->tasks) {
        struct exec_child *task = list_entry(link, struct exec_child, link);
        if (task->id == id && !task->ended)
            return task;
    }
    return NULL;
}

static int on_sigchld(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
    struct exec_server *server = data;
    bool has_strays = false;
    pid_t pid;

    (void)source;
    (void)info;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        struct exec_child *task = NULL;
        list_for_each (link, &server->tasks)
            if (list_entry(link, struct exec_child, link)->pid == pid)
                task = list_entry(link, struct exec_child, link);
        struct exec_child *spare = spares_find(&server->spares, pid);
        if (task)
            on_supervisor_gone(server, task);
        else if (spare)
            spares_forget(&server->spares, spare);
        else if (!helpers_forget(server->helpers, pid))
            has_strays = true;
    }
    /* What the children of a killed supervisor's task leave behind comes to us in turn. */
    if (has_strays)
        (void)children_kill(is_known, server);
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t now_usec, void *data)
{
    struct exec_server *server = data;

    (void)source;
    (void)now_usec;
    list_for_each (link, &server->tasks)
        (void)kill(list_entry(link, struct exec_child, link)->pid, SIGKILL);
    return 0;
}

/* The client is gone: so are its tasks, as soon as their supervisors see the sockets close. */
static void drop_client(struct exec_server *server)
{
    server->channel = exec_channel_free(server->channel);
    server->helpers = helpers_free(server->helpers);
    server->fence = fence_free(server->fence);
    spares_end(&server->spares);
    list_for_each (link, &server->tasks)
        exec_child_abandon(list_entry(link, struct exec_child, link));
    if (list_is_empty(&server->tasks))
        finish_stop(server);
    else
        (void)sd_event_add_time_relative(server->event, &server->deadline, CLOCK_MONOTONIC,
                                         STOP_WAIT_USEC, TIMER_ACCURACY_USEC, on_deadline, server);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
    struct exec_server *server = data;

    (void)source;
    (void)info;
    server->stopping = true;
    if (server->channel)
        drop_client(server);
    else if (list_is_empty(&server->tasks))
        (void)sd_event_exit(server->event, 0);
    return 0;
}

static void say_hello(struct exec_server *server)
{
    char version[] = P2PNODE_VERSION;
    struct exec_message message = {.type = EXEC_HELLO};

    message.hello = (struct exec_hello){.version = version,
                                        .level = server->probe.level,
                                        .available = server->probe.available,
                                        .missing = server->probe.missing};
    send_message(server, &message);
}

static void configure(struct exec_server *server, struct exec_configure *configure)
{
    _cleanup_(fence_freep) struct fence *fence = NULL;
    _cleanup_(helpers_freep) struct helpers *helpers = NULL;
    struct probe probe;
    int r = fence_new(configure, &fence);

    if (r == 0)
        r = helpers_new(server->event, fence, &helpers);
    if (r == 0)
        r = probe_init(&probe, fence, &server->groups, server->work_root);
    if (r < 0) {
        log_error_errno(r, "Cannot prepare the sandbox: %m");
        (void)sd_event_exit(server->event, r);
        return;
    }
    spares_end(&server->spares);
    list_for_each (link, &server->tasks)
        list_entry(link, struct exec_child, link)->is_retired = true;
    helpers_free(server->helpers);
    server->helpers = TAKE_PTR(helpers);
    fence_free(server->fence);
    server->fence = TAKE_PTR(fence);
    probe_done(&server->probe);
    server->probe = probe;
    say_hello(server);
}

static int start_command(struct supervisor_job *job, void *data _unused_, pid_t *ret_pid)
{
    return keeper_can_hold(job) ? keeper_start(job, ret_pid) : supervisor_start(job, ret_pid);
}

struct function_start {
    struct exec_server *server;
    const int *fds; /* of the start message */
    pid_t helper;   /* the one that was asked; 0 = none */
};

/* In a warm helper where there is one, else in an interpreter of its own. */
static int start_function(struct supervisor_job *job, void *data, pid_t *ret_pid)
{
    struct function_start *function = data;
    struct helpers *helpers = function->server->helpers;
    const bool is_warm = helpers_can_run(job->start);

    if (is_warm && helpers_start(helpers, job, function->fds, &function->helper, ret_pid) == 0)
        return 0;
    job->words = helpers_get_words(helpers, !is_warm);
    job->extra[job->extra_count++] = helpers_get_text_fd(helpers);
    return supervisor_start(job, ret_pid);
}

/* A keeper of functions shares the end of the helper that forked it. */
static bool is_of_use(const struct exec_server *server, const struct exec_child *keeper)
{
    return !keeper->is_python || helpers_use(server->helpers, keeper->helper);
}

/* By a keeper that has no task, where there is one. */
static struct exec_child *give_task(struct exec_server *server, uint64_t id,
                                    const struct supervisor_job *job, const int *fds)
{
    struct exec_child *child;

    if (!keeper_can_hold(job) || (!job->words && !helpers_can_run(job->start)))
        return NULL;
    while ((child = spares_take(&server->spares, job))) {
        if (is_of_use(server, child) && exec_child_give(child, id, job, fds) == 0)
            return child;
        exec_child_abandon(child);
        add_task(server, child);
    }
    return NULL;
}

static int start_task(struct exec_server *server, uint64_t id, const struct exec_start *start,
                      const int *fds)
{
    struct function_start function = {.server = server, .fds = fds};
    const enum exec_level level = MAX(server->probe.level, start->level);
    const uint64_t serial = server->serial++;
    _cleanup_close_ int group = -EBADF;
    char name[REQUEST_NAME_MAX];
    int r = 0;

    format_name(serial, name);
    if (level == EXEC_FULL)
        r = group = group_new(&server->groups, name, &start->limits);
    if (r < 0)
        return r;
    struct supervisor_job job = {.fence = server->fence,
                                 .start = start,
                                 .words = start->is_python ? NULL : start->words,
                                 .level = level,
                                 .group_fd = MAX(group, 0),
                                 .network = start->network && server->fence->configure.network,
                                 .uid = geteuid(),
                                 .gid = getegid(),
                                 .work_root = server->work_root,
                                 .name = name};
    supervisor_set_fds(&job, fds);
    struct exec_child *child = give_task(server, id, &job, fds);
    if (!child) {
        r = exec_child_new(server->event, id, &job,
                           start->is_python ? start_function : start_command, &function, &child);
        if (r < 0) {
            remove_group(server, serial);
            return r;
        }
        child->helper = function.helper;
    }
    child->owner = server;
    child->serial = serial;
    child->on_report = on_report;
    add_task(server, child);
    return 0;
}

static void on_start(struct exec_server *server, uint64_t id, const struct exec_start *start,
                     const int *fds)
{
    int r;

    if (!server->fence)
        return tell_refusal(server, id, -EAGAIN, "not configured");
    if (server->probe.level == EXEC_REFUSE)
        return tell_refusal(server, id, -EPERM, "the configured sandbox is not to be had");
    if (start->level > server->probe.available)
        return tell_refusal(server, id, -EOPNOTSUPP, "the wanted sandbox is not to be had");
    if (find_task(server, id))
        return tell_refusal(server, id, -EEXIST, "the task runs already");
    if (server->tasks_count >= EXEC_TASKS_MAX)
        return tell_refusal(server, id, -EBUSY, "too many tasks");
    r = start_task(server, id, start, fds);
    if (r < 0)
        tell_refusal(server, id, r, "cannot start a process");
}

static void on_signal(struct exec_server *server, uint64_t id, const struct exec_signal *message)
{
    struct exec_child *task = find_task(server, id);

    /* Else it ended while this was on its way. */
    if (task)
        exec_child_signal(task, message->number, message->grace_usec);
}

static void on_message(struct exec_message *message, int *fds, void *data)
{
    struct exec_server *server = data;

    switch (message->type) {
    case EXEC_CONFIGURE:
        configure(server, &message->configure);
        break;
    case EXEC_START:
        on_start(server, message->id, &message->start, fds);
        break;
    case EXEC_SIGNAL:
        on_signal(server, message->id, &message->signal);
        break;
    case EXEC_HELLO:
    case EXEC_STARTED:
    case EXEC_EXITED:
    case _EXEC_MESSAGE_TYPE_MAX:
        log_warning("p2pnode sent a message that is ours to send: ignored");
        break;
    }
}

static void on_closed(int error, void *data)
{
    struct exec_server *server = data;

    if (error < 0)
        log_error_errno(error, "Connection to p2pnode broke: %m");
    if (server->listen_fd < 0)
        server->stopping = true;
    drop_client(server);
}

static const struct exec_channel_handler channel_handler = {on_message, on_closed};

/* The next client waits in the backlog until this one is gone. */
static int on_listener(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct exec_server *server = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    if (client < 0)
        return 0;
    int r = exec_channel_new(server->event, client, &channel_handler, server, &server->channel);
    if (r < 0) {
        close_fd(client);
        log_error_errno(r, "Cannot serve p2pnode: %m");
        return 0;
    }
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    return 0;
}

static int watch_signals(struct exec_server *server)
{
    static const struct {
        int number;
        sd_event_signal_handler_t handler;
    } watched[] = {{SIGCHLD, on_sigchld}, {SIGTERM, on_stop}, {SIGINT, on_stop}};
    int r = 0;

    static_assert(ARRAY_SIZE(watched) == ARRAY_SIZE(((struct exec_server *)NULL)->signals),
                  "one source per signal");
    for (size_t i = 0; i < ARRAY_SIZE(watched) && r >= 0; i++)
        r = sd_event_add_signal(server->event, &server->signals[i], watched[i].number,
                                watched[i].handler, server);
    return r;
}

int exec_server_new(sd_event *event, const char *work_root, int socket_fd, bool is_listening,
                    struct exec_server **ret)
{
    _cleanup_(exec_server_freep) struct exec_server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return -ENOMEM;
    *server = (struct exec_server){
        .event = sd_event_ref(event), .work_root = work_root, .listen_fd = -EBADF};
    list_init(&server->tasks);
    groups_open(&server->groups);
    /* Should a supervisor be killed, its task comes to us. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return -errno;
    r = spares_init(&server->spares, event, on_spare_ended, server);
    if (r >= 0)
        r = watch_signals(server);
    if (r < 0)
        return r;
    if (is_listening) {
        r = sd_event_add_io(event, &server->listener, socket_fd, EPOLLIN, on_listener, server);
        if (r >= 0)
            server->listen_fd = socket_fd;
    } else {
        r = exec_channel_new(event, socket_fd, &channel_handler, server, &server->channel);
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(server);
    return 0;
}

struct exec_server *exec_server_free(struct exec_server *server)
{
    if (!server)
        return NULL;
    exec_channel_free(server->channel);
    spares_done(&server->spares);
    list_for_each_safe (link, &server->tasks)
        exec_child_free(list_entry(link, struct exec_child, link));
    for (size_t i = 0; i < ARRAY_SIZE(server->signals); i++)
        sd_event_source_disable_unref(server->signals[i]);
    sd_event_source_disable_unref(server->deadline);
    sd_event_source_disable_unref(server->listener);
    close_fd(server->listen_fd);
    probe_done(&server->probe);
    groups_done(&server->groups);
    helpers_free(server->helpers);
    fence_free(server->fence);
    sd_event_unref(server->event);
    free(server);
    return NULL;
}
