/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include "exec/children.h"
#include "exec/group.h"
#include "exec/results.h"
#include "exec/supervisor_core.h"
#include "exec/tree.h"
#include "exec/usage.h"

#define BRIEF_MSEC 20  /* a task that is over by then is not told to have started */
#define WATCH_MSEC 100 /* between two looks at the memory of a task without a group */

/* What it may have above its limit: stacks, which the limit of a process does not count, so that
 * one that is at its limit is refused more, and not killed as well. */
#define STACKS_SIZE ((uint64_t)4 << 20)

#define NAMESPACE_FLAGS (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

static usec_t from_timeval(struct timeval time)
{
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_usec;
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void keep(int *kept, size_t *count, int fd)
{
    if (fd > STDERR_FILENO)
        kept[(*count)++] = fd;
}

/*
 * Above all the other tasks' control sockets: while a copy of one is open here, its supervisor
 * would not notice the end of p2pnode-exec.
 */
void supervisor_close_others(const struct supervisor_job *job)
{
    int kept[5 + ARRAY_SIZE(job->stdio) + SUPERVISOR_EXTRA_MAX + FENCE_PATHS_MAX];
    size_t count = 0;
    unsigned from = STDERR_FILENO + 1;

    keep(kept, &count, job->control);
    keep(kept, &count, job->root_fd);
    for (size_t i = 0; i < ARRAY_SIZE(job->stdio); i++)
        keep(kept, &count, job->stdio[i]);
    keep(kept, &count, job->inputs_fd);
    keep(kept, &count, job->results_fd);
    keep(kept, &count, job->group_fd);
    for (size_t i = 0; i < job->extra_count; i++)
        keep(kept, &count, job->extra[i]);
    for (size_t i = 0; i < job->fence->paths_count; i++)
        keep(kept, &count, job->fence->paths[i].fd);
    qsort(kept, count, sizeof(kept[0]), compare_fds);
    for (size_t i = 0; i < count; i++) {
        const unsigned fd = (unsigned)kept[i];
        if (fd > from)
            (void)close_range(from, fd - 1, 0);
        from = fd + 1;
    }
    (void)close_range(from, ~0U, 0);
}

static void report(const struct supervisor *supervisor, const struct supervisor_report *report)
{
    (void)send(supervisor->control, report, sizeof(*report), MSG_NOSIGNAL);
}

/* Waits as waitpid() does, for any child, and adds up what the dead have used: a keeper has had
 * children of other tasks, too. */
static pid_t wait_for_any(struct supervisor *supervisor, int *status, int options)
{
    struct rusage usage = {0};
    pid_t pid = wait4(-1, status, options, &usage);

    if (pid > 0) {
        timeradd(&supervisor->usage.ru_utime, &usage.ru_utime, &supervisor->usage.ru_utime);
        timeradd(&supervisor->usage.ru_stime, &usage.ru_stime, &supervisor->usage.ru_stime);
        supervisor->usage.ru_maxrss = MAX(supervisor->usage.ru_maxrss, usage.ru_maxrss);
    }
    return pid;
}

/* Collects the dead. Return: whether the command is one of them. */
static bool reap(struct supervisor *supervisor)
{
    bool ended = false;
    int status;
    pid_t pid;

    while ((pid = wait_for_any(supervisor, &status, WNOHANG)) > 0)
        if (pid == supervisor->pid) {
            supervisor->wait_status = status;
            supervisor->end_usec = supervisor_now();
            ended = true;
        }
    supervisor->is_alone = pid < 0 && errno == ECHILD;
    return ended;
}

/* All of the task's processes that we reach: where we are the first of their namespace, those too
 * that have left the command's group. */
static pid_t get_everybody(const struct supervisor *supervisor)
{
    return supervisor->job->level >= EXEC_NAMESPACES ? -1 : -supervisor->pid;
}

/* A stopped task hears nothing, so what is to be heard sets it going again. */
static void pass_on(const struct supervisor *supervisor, int signal)
{
    (void)kill(signal == SIGSTOP ? get_everybody(supervisor) : -supervisor->pid, signal);
    if (signal != SIGSTOP && signal != SIGTSTP)
        (void)kill(get_everybody(supervisor), SIGCONT);
}

/* The task does not notice the pause, and nothing in it can end it. */
static void pass_on_to_group(const struct supervisor *supervisor, int signal)
{
    const int group = supervisor->job->group_fd;

    if (signal == SIGKILL)
        (void)group_kill(group);
    else if (signal == SIGSTOP || signal == SIGCONT)
        (void)group_freeze(group, signal == SIGSTOP);
    else
        pass_on(supervisor, signal);
    if (signal != SIGSTOP)
        (void)group_freeze(group, false);
}

static void obey(struct supervisor *supervisor)
{
    struct supervisor_order order = {0};
    ssize_t size = recv(supervisor->control, &order, sizeof(order), MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size != sizeof(order)) {
        order.signal = SIGKILL; /* p2pnode-exec is gone, and nobody wants the task any more */
        supervisor->control = close_fd(supervisor->control);
    }
    if (supervisor->job->group_fd > 0)
        pass_on_to_group(supervisor, order.signal);
    else
        pass_on(supervisor, order.signal);
}

/* Without a group the kernel limits each process; of all of them together we take care. */
static void watch_memory(struct supervisor *supervisor)
{
    const uint64_t limit = supervisor->job->start->limits.memory_bytes;

    if (supervisor->is_oom || !usage_is_above(limit + limit / 32 + STACKS_SIZE))
        return;
    supervisor->is_oom = true;
    (void)kill(get_everybody(supervisor), SIGKILL);
}

static void report_start(const struct supervisor *supervisor, usec_t now)
{
    struct supervisor_report started = {.kind = SUPERVISOR_STARTED};

    started.status.wall_usec = usec_sub(now, supervisor->begin_usec);
    report(supervisor, &started);
}

static void wait_for_command(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    const bool is_watched = job->start->limits.memory_bytes > 0 && job->group_fd <= 0;
    bool is_told = false;
    struct pollfd polled[] = {{.fd = supervisor->signals, .events = POLLIN},
                              {.fd = supervisor->control, .events = POLLIN}};
    struct signalfd_siginfo info;
    usec_t look_usec = supervisor->begin_usec;
    int patience_msec = BRIEF_MSEC;

    for (;;) {
        polled[1].fd = supervisor->control;
        int count = poll(polled, ARRAY_SIZE(polled), patience_msec);
        if (count < 0)
            continue;
        if (polled[0].revents != 0) {
            (void)!read(supervisor->signals, &info, sizeof(info));
            if (reap(supervisor))
                return;
        }
        if (polled[1].revents != 0)
            obey(supervisor);
        const usec_t now = supervisor_now();
        if (!is_told &&
            (count == 0 || now - supervisor->begin_usec >= BRIEF_MSEC * USEC_PER_MSEC)) {
            report_start(supervisor, now);
            is_told = true;
            patience_msec = is_watched ? WATCH_MSEC : -1;
        }
        if (is_watched && now - look_usec >= WATCH_MSEC * USEC_PER_MSEC) {
            look_usec = now;
            watch_memory(supervisor);
        }
    }
}

/* The command has ended; now all that it left behind ends too. */
static void kill_rest(struct supervisor *supervisor)
{
    int status;

    if (supervisor->job->group_fd > 0)
        (void)group_kill(supervisor->job->group_fd);
    /* Whatever outlives its parent is a child of ours. */
    if (supervisor->is_alone)
        return;
    if (supervisor->job->level >= EXEC_NAMESPACES) {
        (void)kill(-1, SIGKILL);
        while (wait_for_any(supervisor, &status, 0) > 0 || errno == EINTR)
            ;
        return;
    }
    (void)kill(-supervisor->pid, SIGKILL);
    for (;;) {
        pid_t pid = wait_for_any(supervisor, &status, WNOHANG);
        if (pid < 0 && errno != EINTR)
            return;
        /* Children of those who die become ours, and are found in the next round. */
        if (pid == 0 && children_kill(NULL, NULL) > 0)
            (void)wait_for_any(supervisor, &status, 0);
    }
}

/* Most tasks leave nothing. Return: whether that is so, and the directories are gone. */
static bool remove_empty(const struct supervisor *supervisor)
{
    return unlinkat(supervisor->root_fd, supervisor->job->name, AT_REMOVEDIR) == 0 &&
           unlinkat(supervisor->root_fd, supervisor->tmp_name, AT_REMOVEDIR) == 0;
}

static void report_end(struct supervisor *supervisor)
{
    const int status = supervisor->wait_status, group = supervisor->job->group_fd;
    const uint64_t peak = group > 0 ? group_get_peak(group) : 0;
    const struct rusage *usage = &supervisor->usage;
    struct supervisor_report end = {.kind = SUPERVISOR_ENDED};

    end.status.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end.status.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end.status.wall_usec = usec_sub(supervisor->end_usec, supervisor->begin_usec);
    end.status.user_usec = from_timeval(usage->ru_utime);
    end.status.system_usec = from_timeval(usage->ru_stime);
    end.status.memory_peak_bytes = peak > 0 ? peak : (uint64_t)usage->ru_maxrss * 1024;
    end.status.is_oom = supervisor->is_oom || (group > 0 && group_has_run_out(group));
    /* Once p2pnode-exec is gone, nobody wants them. */
    if (supervisor->job->results_fd >= 0 && supervisor->control >= 0)
        results_pack(supervisor->work_fd, supervisor->job->results_fd, supervisor->job->start,
                     &end.status.results);
    if (supervisor->job->is_followed)
        end.is_free = supervisor->is_free = remove_empty(supervisor);
    report(supervisor, &end);
}

void supervisor_report_failure(int control, const char *step, int error)
{
    struct supervisor_report end = {.kind = SUPERVISOR_ENDED};

    end.status = (struct exec_status){.code = -1, .error = error};
    snprintf(end.status.reason, sizeof(end.status.reason), "%s: %s", step, strerror(-error));
    (void)send(control, &end, sizeof(end), MSG_NOSIGNAL);
}

static int empty(int fd)
{
    return fd < 0 ? 0 : tree_empty(fd);
}

static void remove_directories(const struct supervisor *supervisor)
{
    if (supervisor->root_fd < 0 || supervisor->is_free || remove_empty(supervisor))
        return;
    /* Opened before the task could take away the right to. */
    const int work = empty(supervisor->work_fd), tmp = empty(supervisor->tmp_fd);
    if ((work < 0 || tmp < 0) && supervisor->job->level >= EXEC_NAMESPACES)
        root_leave(); /* a configured path was mounted in there */
    (void)tree_remove(supervisor->root_fd, supervisor->job->name);
    (void)tree_remove(supervisor->root_fd, supervisor->tmp_name);
}

void supervisor_set_fds(struct supervisor_job *job, const int *fds)
{
    for (size_t i = 0; i < ARRAY_SIZE(job->stdio); i++)
        job->stdio[i] = *fds++;
    job->inputs_fd = job->start->has_inputs ? *fds++ : -EBADF;
    job->results_fd = job->start->outs && job->start->outs[0] ? *fds++ : -EBADF;
    if (job->start->is_python)
        job->extra[job->extra_count++] = *fds;
}

void supervisor_set_up(const struct supervisor_job *job)
{
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    supervisor_close_others(job);
    (void)prctl(PR_SET_NAME, "p2pnode-task", 0, 0, 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

char **supervisor_hold(const struct supervisor_job *job, bool *ret_is_free)
{
    struct supervisor supervisor = {.job = job,
                                    .step = "watch processes",
                                    .control = job->control,
                                    .root_fd = -EBADF,
                                    .work_fd = -EBADF,
                                    .tmp_fd = -EBADF,
                                    .stdin_fd = job->stdio[STDIN_FILENO],
                                    .ruleset = -EBADF,
                                    .failure = -EBADF};
    sigset_t children;
    int r;

    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    supervisor.signals = signalfd(-1, &children, SFD_CLOEXEC);
    r = supervisor.signals < 0 ? -errno : supervisor_make_room(&supervisor);
    if (r == 0)
        r = supervisor_start_task(&supervisor);
    if (r > 0)
        return supervisor.environment;
    if (r < 0) {
        (void)reap(&supervisor); /* what could not become the task */
        supervisor_report_failure(supervisor.control, supervisor.step, r);
    } else {
        wait_for_command(&supervisor);
        kill_rest(&supervisor);
        report_end(&supervisor);
    }
    remove_directories(&supervisor);
    supervisor_free_environment(&supervisor);
    *ret_is_free = supervisor.is_free;
    return NULL;
}

char **supervisor_run(const struct supervisor_job *job)
{
    char **environment;
    bool is_free;

    supervisor_set_up(job);
    environment = supervisor_hold(job, &is_free);
    if (environment)
        return environment;
    _exit(EXIT_SUCCESS);
}

pid_t supervisor_fork(enum exec_level level, bool network, bool is_sibling)
{
    struct clone_args arguments = {.exit_signal = is_sibling ? 0 : SIGCHLD};
    pid_t pid;

    if (level >= EXEC_NAMESPACES)
        arguments.flags = NAMESPACE_FLAGS | (network ? 0 : CLONE_NEWNET);
    if (is_sibling)
        arguments.flags |= CLONE_PARENT; /* and the signal that our own end sends */
    if (arguments.flags == 0)
        pid = fork();
    else
        pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    return pid < 0 ? -errno : pid;
}

int supervisor_start(const struct supervisor_job *job, pid_t *ret_pid)
{
    pid_t pid = supervisor_fork(job->level, job->network, false);

    if (pid == 0)
        (void)supervisor_run(job);
    if (pid < 0)
        return pid;
    *ret_pid = pid;
    return 0;
}
