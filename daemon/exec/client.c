/* SPDX-License-Identifier: MIT */
#include "exec/client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/list.h"
#include "base/log.h"
#include "base/table.h"
#include "exec/channel.h"
#include "exec/launch.h"
#include "exec/run.h"

#define RETRY_MIN_USEC      (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC      (30 * USEC_PER_SEC)
#define RETRY_UNIT_USEC     (2 * USEC_PER_SEC) /* at most: to connect costs next to nothing */
#define RETRY_ACCURACY_USEC USEC_PER_MSEC
#define STEADY_USEC         (60 * USEC_PER_SEC) /* up for so long, it starts again without delay */
#define STOP_WAIT_USEC      (15 * USEC_PER_SEC) /* for p2pnode-exec to end its tasks and itself */
#define FREE_WAIT_MSEC      3000

struct exec {
    sd_event *event; /* owned reference */
    struct exec_handler handler;
    void *data;                        /* borrowed */
    char *program, *socket_path;       /* owned, or NULL */
    char *work_root;                   /* owned */
    struct exec_message configuration; /* EXEC_CONFIGURE, owned */
    struct exec_message hello;         /* EXEC_HELLO, owned; the type says whether there is one */
    struct exec_channel *channel;      /* owned; NULL while there is none */
    pid_t pid;                         /* of our child, 0 = none */
    int pidfd;
    sd_event_source *child;
    sd_event_source *timer; /* to launch it, or to kill one that does not end */
    usec_t retry_usec;
    usec_t ready_usec; /* when it last said hello */
    bool is_unit;      /* never a child of ours */
    bool has_failed;
    char problem[192]; /* why there is none */
    const char *problems[2];
    struct table runs; /* by id, of struct exec_run, owned */
    struct exec_runs pipes;
};

static usec_t now_of(const struct exec *exec)
{
    usec_t now = 0;

    (void)sd_event_now(exec->event, CLOCK_MONOTONIC, &now);
    return now;
}

static void arm(struct exec *exec, usec_t delay_usec)
{
    (void)sd_event_source_set_time_relative(exec->timer, delay_usec);
    (void)sd_event_source_set_enabled(exec->timer, SD_EVENT_ONESHOT);
}

static void note_problem(struct exec *exec, const char *what, int error)
{
    char problem[sizeof(exec->problem)];

    if (exec->is_unit)
        snprintf(problem, sizeof(problem), "the task runner does not answer at %s: %s",
                 exec->socket_path, strerror(-error));
    else
        snprintf(problem, sizeof(problem), "p2pnode-exec is not running: %s: %s", what,
                 strerror(-error));
    /* What lasts is said once. */
    if (strcmp(problem, exec->problem) == 0)
        log_debug("%s", problem);
    else
        log_warning("%s", problem);
    snprintf(exec->problem, sizeof(exec->problem), "%s", problem);
}

static void note_failure(struct exec *exec)
{
    exec->has_failed = true;
    exec->handler.on_failed(exec->data);
}

/* When nothing is left of the last p2pnode-exec, another one, later each time. */
static void plan_launch(struct exec *exec)
{
    if (exec->channel || exec->pid > 0)
        return;
    arm(exec, exec->retry_usec);
    exec->retry_usec = MIN(2 * exec->retry_usec, exec->is_unit ? RETRY_UNIT_USEC : RETRY_MAX_USEC);
}

static void on_run_started(struct exec_run *run, const struct exec_started *started)
{
    struct exec *exec = run->owner;

    exec->handler.on_started(run->id, started, exec->data);
}

static void on_run_output(struct exec_run *run, enum exec_stream stream, const void *bytes,
                          size_t size)
{
    struct exec *exec = run->owner;

    exec->handler.on_output(run->id, stream, bytes, size, exec->data);
}

static void on_run_over(struct exec_run *run)
{
    struct exec *exec = run->owner;
    const struct exec_status status = run->status;
    const uint64_t id = run->id;

    (void)table_remove(&exec->runs, &id);
    exec_run_free(run);
    exec->handler.on_exit(id, &status, exec->data);
}

static const struct exec_run_handler run_handler = {on_run_started, on_run_output, on_run_over};

static void on_message(struct exec_message *message, int *fds, void *data)
{
    struct exec *exec = data;
    struct exec_run *run;

    (void)fds;
    switch (message->type) {
    case EXEC_HELLO:
        exec_message_done(&exec->hello);
        exec->hello = *message;
        *message = (struct exec_message){.type = _EXEC_MESSAGE_TYPE_MAX};
        exec->ready_usec = now_of(exec);
        exec->has_failed = false;
        exec->problem[0] = '\0';
        exec->handler.on_ready(exec->data);
        break;
    case EXEC_STARTED:
        run = table_find(&exec->runs, &message->id);
        if (run)
            exec_run_begin(run, &message->started);
        break;
    case EXEC_EXITED:
        run = table_find(&exec->runs, &message->id);
        if (run && exec_run_end(run, &message->exited))
            on_run_over(run);
        break;
    case EXEC_CONFIGURE:
    case EXEC_START:
    case EXEC_SIGNAL:
    case _EXEC_MESSAGE_TYPE_MAX:
        log_warning("p2pnode-exec sent a message that is ours to send: ignored");
        break;
    }
}

/* All of them, those that are over at once too. */
static void end_runs(struct exec *exec, const struct exec_status *status)
{
    struct exec_run *run;

    for (size_t i = 0; (run = table_next(&exec->runs, &i));)
        if (exec_run_end(run, status)) {
            on_run_over(run);
            i = 0; /* the table has changed */
        }
}

static void on_closed(int error, void *data)
{
    struct exec *exec = data;
    struct exec_status lost = {.code = -1, .error = -ECONNRESET};
    const bool was_ready = exec_is_ready(exec);

    snprintf(lost.reason, sizeof(lost.reason), "p2pnode-exec ended");
    exec->channel = exec_channel_free(exec->channel);
    exec_message_done(&exec->hello);
    note_problem(exec, "the connection ended", error < 0 ? error : -ECONNRESET);
    if (exec->ready_usec > 0 && usec_sub(now_of(exec), exec->ready_usec) > STEADY_USEC)
        exec->retry_usec = RETRY_MIN_USEC;
    if (exec->pid > 0)
        arm(exec, STOP_WAIT_USEC);
    plan_launch(exec);
    if (!was_ready)
        note_failure(exec);
    end_runs(exec, &lost);
}

static const struct exec_channel_handler channel_handler = {on_message, on_closed};

static void forget_child(struct exec *exec)
{
    exec->child = sd_event_source_disable_unref(exec->child);
    exec->pidfd = close_fd(exec->pidfd);
    exec->pid = 0;
}

static int on_child(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct exec *exec = data;

    (void)source;
    (void)fd;
    (void)events;
    if (waitpid(exec->pid, NULL, WNOHANG) == 0)
        return 0;
    forget_child(exec);
    plan_launch(exec);
    return 0;
}

static int watch_child(struct exec *exec, pid_t pid)
{
    int r;

    exec->pid = pid;
    exec->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (exec->pidfd < 0)
        return -errno;
    r = sd_event_add_io(exec->event, &exec->child, exec->pidfd, EPOLLIN, on_child, exec);
    if (r >= 0)
        r = sd_event_source_set_description(exec->child, "exec-child");
    return r;
}

/* Return: 0; or -errno, with nothing left running. */
static int launch(struct exec *exec)
{
    _cleanup_close_ int fd = -EBADF;
    pid_t pid = 0;
    int r =
        launch_exec(exec->socket_path, !exec->is_unit, exec->program, exec->work_root, &fd, &pid);

    if (r < 0)
        return r;
    if (pid > 0)
        r = watch_child(exec, pid);
    else
        exec->is_unit = true;
    if (r >= 0)
        r = exec_channel_new(exec->event, fd, &channel_handler, exec, &exec->channel);
    if (r < 0) {
        if (pid > 0) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            forget_child(exec);
        }
        return r;
    }
    (void)TAKE_FD(fd);
    return exec_channel_send(exec->channel, &exec->configuration, NULL);
}

static int on_timer(sd_event_source *source, uint64_t now_usec, void *data)
{
    struct exec *exec = data;

    (void)source;
    (void)now_usec;
    if (exec->pid > 0) {
        if (!exec->channel)
            (void)kill(exec->pid, SIGKILL); /* its time to end is over */
        return 0;
    }
    int r = launch(exec);
    if (r < 0) {
        note_problem(exec, "cannot start it", r);
        plan_launch(exec);
        note_failure(exec);
    }
    return 0;
}

static int copy_strings(const char *const *strings, char ***ret)
{
    size_t count = 0;

    while (strings && strings[count])
        count++;
    char **copy = calloc(count + 1, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    for (size_t i = 0; i < count; i++) {
        copy[i] = strdup(strings[i]);
        if (!copy[i])
            return -ENOMEM;
    }
    return 0;
}

static int copy_string(const char *string, char **ret)
{
    if (!string)
        return 0;
    *ret = strdup(string);
    return *ret ? 0 : -ENOMEM;
}

static int copy_python(const struct exec_config *config, struct exec_python *ret)
{
    ret->workers = config->workers;
    ret->jobs_max = config->jobs_max;
    ret->idle_usec = config->helper_idle_usec;
    int r = copy_strings(config->modules, &ret->modules);
    return r < 0 ? r : copy_string(config->interpreter, &ret->interpreter);
}

static int set_configuration(struct exec *exec, const struct exec_config *config)
{
    struct exec_message message = {.type = EXEC_CONFIGURE};
    _cleanup_free_ void *data = NULL;
    size_t size;
    int r;

    message.configure.is_auto = config->is_auto;
    message.configure.level = config->level;
    message.configure.network = config->network;
    r = copy_strings(config->read, &message.configure.read);
    if (r == 0)
        r = copy_strings(config->write, &message.configure.write);
    if (r == 0)
        r = copy_python(config, &message.configure.python);
    if (r == 0)
        r = exec_message_encode(&message, &data, &size);
    if (r < 0) {
        exec_message_done(&message);
        return r;
    }
    exec_message_done(&exec->configuration);
    exec->configuration = message;
    return 0;
}

int exec_new(sd_event *event, const struct exec_config *config, const struct exec_handler *handler,
             void *data, struct exec **ret)
{
    _cleanup_(exec_freep) struct exec *exec = calloc(1, sizeof(*exec));
    int r;

    if (!exec)
        return -ENOMEM;
    exec->event = sd_event_ref(event);
    exec->handler = *handler;
    exec->data = data;
    exec->pidfd = -EBADF;
    exec->retry_usec = RETRY_MIN_USEC;
    exec->is_unit = config->is_unit;
    exec->hello.type = exec->configuration.type = _EXEC_MESSAGE_TYPE_MAX;
    exec->problems[0] = exec->problem;
    snprintf(exec->problem, sizeof(exec->problem), "p2pnode-exec is not running yet");
    table_init(&exec->runs, sizeof(uint64_t), 0);
    r = copy_string(config->program, &exec->program);
    if (r == 0)
        r = copy_string(config->socket_path, &exec->socket_path);
    if (r == 0)
        r = copy_string(config->work_root, &exec->work_root);
    if (r == 0)
        r = set_configuration(exec, config);
    if (r == 0)
        r = exec_runs_init(&exec->pipes, event);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &exec->timer, CLOCK_MONOTONIC, 0, RETRY_ACCURACY_USEC,
                                       on_timer, exec);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(exec->timer, "exec-launch");
    *ret = TAKE_PTR(exec);
    return 0;
}

/* With its socket closed it ends its tasks and itself. */
static void await_child(struct exec *exec)
{
    struct pollfd polled = {.fd = exec->pidfd, .events = POLLIN};

    if (poll(&polled, 1, FREE_WAIT_MSEC) <= 0)
        (void)kill(exec->pid, SIGKILL);
    (void)waitpid(exec->pid, NULL, 0);
    forget_child(exec);
}

struct exec *exec_free(struct exec *exec)
{
    if (!exec)
        return NULL;
    exec->channel = exec_channel_free(exec->channel);
    if (exec->pid > 0)
        await_child(exec);
    table_for_each (&exec->runs, struct exec_run *, run)
        exec_run_free(run);
    table_done(&exec->runs);
    exec_runs_done(&exec->pipes);
    sd_event_source_disable_unref(exec->timer);
    exec_message_done(&exec->hello);
    exec_message_done(&exec->configuration);
    free(exec->program);
    free(exec->socket_path);
    free(exec->work_root);
    sd_event_unref(exec->event);
    free(exec);
    return NULL;
}

int exec_configure(struct exec *exec, const struct exec_config *config)
{
    _cleanup_free_ void *before = NULL, *after = NULL;
    size_t size, after_size = 0;
    int r = exec_message_encode(&exec->configuration, &before, &size);

    if (r == 0)
        r = set_configuration(exec, config);
    if (r == 0)
        r = exec_message_encode(&exec->configuration, &after, &after_size);
    /* The same again would make it probe all of the sandbox once more. */
    if (r == 0 && exec->channel && (size != after_size || memcmp(before, after, size) != 0))
        r = exec_channel_send(exec->channel, &exec->configuration, NULL);
    return r;
}

bool exec_is_ready(const struct exec *exec)
{
    return exec->channel && exec->hello.type == EXEC_HELLO;
}

bool exec_has_failed(const struct exec *exec)
{
    return exec->has_failed;
}

bool exec_is_unit(const struct exec *exec)
{
    return exec->is_unit;
}

enum exec_level exec_get_level(const struct exec *exec)
{
    return exec_is_ready(exec) ? exec->hello.hello.level : EXEC_REFUSE;
}

enum exec_level exec_get_available(const struct exec *exec)
{
    return exec_is_ready(exec) ? exec->hello.hello.available : EXEC_REFUSE;
}

const char *const *exec_get_missing(const struct exec *exec)
{
    if (!exec_is_ready(exec))
        return exec->problems;
    return (const char *const *)exec->hello.hello.missing;
}

static int send_start(struct exec *exec, uint64_t id, const struct exec_task *task,
                      const int outputs[static _EXEC_STREAM_MAX])
{
    const char *const none[] = {NULL};
    const char *const *environment = task->environment ? task->environment : none;
    _cleanup_close_ int null = -EBADF;
    int input = task->stdin_fd;
    struct exec_message message = {.type = EXEC_START, .id = id};

    if (input < 0) {
        input = null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null < 0)
            return -errno;
    }
    /* Only read: a message that goes out owns nothing. */
    message.start = (struct exec_start){.is_python = task->is_python,
                                        .words = (char **)(uintptr_t)task->words,
                                        .environment = (char **)(uintptr_t)environment,
                                        .network = task->network,
                                        .level = MAX(task->level, EXEC_NONE),
                                        .limits = task->limits,
                                        .has_inputs = task->has_inputs,
                                        .outs = (char **)(uintptr_t)task->outs,
                                        .results_max = task->results_max,
                                        .reserve = task->reserve};
    int fds[EXEC_FDS_MAX] = {input, outputs[EXEC_STDOUT], outputs[EXEC_STDERR]};
    size_t count = 3;
    if (task->has_inputs)
        fds[count++] = task->inputs_fd;
    if (task->outs && task->outs[0])
        fds[count++] = task->results_fd;
    if (task->is_python)
        fds[count] = task->job_fd;
    int r = exec_channel_send(exec->channel, &message, fds);
    return r == -ENOBUFS ? -EBUSY : r;
}

int exec_start(struct exec *exec, uint64_t id, const struct exec_task *task)
{
    _cleanup_(exec_run_freep) struct exec_run *run = NULL;
    int outputs[_EXEC_STREAM_MAX];
    int r;

    if (!exec_is_ready(exec))
        return -EAGAIN;
    if (exec_get_level(exec) == EXEC_REFUSE)
        return -EPERM;
    if (task->level > exec_get_available(exec))
        return -EOPNOTSUPP;
    if (task->is_python ? task->words[0] != NULL : !task->words[0] || task->words[0][0] == '\0')
        return -EINVAL;
    if (id > EXEC_ID_MAX)
        return -EINVAL;
    if (exec->runs.count >= EXEC_TASKS_MAX)
        return -EBUSY;
    if (table_find(&exec->runs, &id))
        return -EEXIST;
    r = exec_run_new(&exec->pipes, id, &run_handler, exec, &run, outputs);
    if (r < 0)
        return r;
    r = table_insert(&exec->runs, &run->id, run);
    if (r == 0) {
        r = send_start(exec, id, task, outputs);
        if (r < 0)
            (void)table_remove(&exec->runs, &id);
    }
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        close_fd(outputs[i]);
    if (r < 0)
        return r;
    run = NULL; /* the table's */
    return 0;
}

int exec_signal(struct exec *exec, uint64_t id, int signal_number, usec_t grace_usec)
{
    const struct exec_run *run = table_find(&exec->runs, &id);
    struct exec_message message = {.type = EXEC_SIGNAL, .id = id};

    if (!run || run->has_status || !exec->channel)
        return -ESRCH;
    message.signal = (struct exec_signal){.number = signal_number, .grace_usec = grace_usec};
    return exec_channel_send(exec->channel, &message, NULL);
}

int exec_set_reading(struct exec *exec, uint64_t id, bool reading)
{
    struct exec_run *run = table_find(&exec->runs, &id);

    if (!run)
        return -ESRCH;
    exec_run_set_reading(run, reading);
    return 0;
}
