/* SPDX-License-Identifier: MIT */
#include "exec/supervisor.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "exec/children.h"
#include "exec/command.h"
#include "exec/confine.h"
#include "exec/inputs.h"
#include "exec/results.h"
#include "exec/root.h"
#include "exec/tree.h"

#define CHILD_STACK_SIZE ((size_t)128 * 1024)
#define OWN_VARIABLES    3
#define FIRST_EXTRA      3 /* descriptor */

#define NAMESPACE_FLAGS (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

/* Everything is as large as the life of the process, which ends with _exit(). */
struct supervisor {
    const struct supervisor_job *job;
    const char *step; /* what is being tried, for the report */
    int control;      /* -EBADF once p2pnode-exec is gone */
    int root_fd;      /* the work root */
    int directory_fd; /* the task's directory in it */
    int work_fd;
    int tmp_fd;
    int stdin_fd;
    int ruleset;
    int failure; /* of a warm task's process: where it tells that it cannot become the task */
    int signals; /* a signalfd for SIGCHLD */
    char **environment;
    pid_t pid; /* of the command */
    int wait_status;
    int error; /* of the command's process before it became the command */
    usec_t begin_usec;
    usec_t end_usec;
};

static usec_t now_usec(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_nsec / 1000;
}

static usec_t from_timeval(struct timeval time)
{
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_usec;
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/*
 * Closes what was inherited, above all the other tasks' control sockets: while a copy of one is
 * open here, its supervisor would not notice the end of p2pnode-exec.
 */
static void close_inherited(const struct supervisor_job *job)
{
    int keep[3 + ARRAY_SIZE(job->stdio) + SUPERVISOR_EXTRA_MAX + FENCE_PATHS_MAX];
    size_t count = 0;
    unsigned from = STDERR_FILENO + 1;

    keep[count++] = job->control;
    for (size_t i = 0; i < ARRAY_SIZE(job->stdio); i++)
        keep[count++] = job->stdio[i];
    if (job->inputs_fd >= 0)
        keep[count++] = job->inputs_fd;
    if (job->results_fd >= 0)
        keep[count++] = job->results_fd;
    for (size_t i = 0; i < job->extra_count; i++)
        keep[count++] = job->extra[i];
    for (size_t i = 0; i < job->fence->paths_count; i++)
        keep[count++] = job->fence->paths[i].fd;
    qsort(keep, count, sizeof(keep[0]), compare_fds);
    for (size_t i = 0; i < count; i++) {
        if ((unsigned)keep[i] > from)
            (void)close_range(from, (unsigned)keep[i] - 1, 0);
        from = (unsigned)keep[i] + 1;
    }
    (void)close_range(from, ~0U, 0);
}

static int open_directory(int parent, const char *name, int *ret)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret = fd;
    return 0;
}

static int make_directories(struct supervisor *supervisor)
{
    const char *name = supervisor->job->name;
    int r;

    supervisor->step = "make the work directory";
    r = open_directory(AT_FDCWD, ".", &supervisor->root_fd);
    if (r < 0)
        return r;
    if (mkdirat(supervisor->root_fd, name, 0700) < 0)
        return -errno;
    r = open_directory(supervisor->root_fd, name, &supervisor->directory_fd);
    if (r < 0)
        return r;
    if (fchdir(supervisor->directory_fd) < 0 || mkdir("work", 0700) < 0 || mkdir("tmp", 0700) < 0)
        return -errno;
    if (supervisor->job->level >= EXEC_NAMESPACES && mkdir("root", 0700) < 0)
        return -errno;
    return 0;
}

static int enter_sandbox(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    const bool is_private = job->level >= EXEC_NAMESPACES;
    int r = 0;

    if (is_private)
        r = root_map_user(job->uid, job->gid, &supervisor->step);
    if (r == 0)
        r = make_directories(supervisor);
    if (r == 0 && is_private)
        r = root_enter(job->fence, &supervisor->step);
    if (r < 0)
        return r;
    supervisor->step = "open the work directory";
    r = open_directory(AT_FDCWD, is_private ? ROOT_WORK : "work", &supervisor->work_fd);
    if (r == 0)
        r = open_directory(AT_FDCWD, is_private ? ROOT_TMP : "tmp", &supervisor->tmp_fd);
    if (r < 0 || job->level < EXEC_LANDLOCK)
        return r;
    supervisor->step = "make the Landlock rules";
    r = confine_prepare(job->fence, job->level, supervisor->work_fd, supervisor->tmp_fd);
    if (r < 0)
        return r;
    supervisor->ruleset = r;
    return 0;
}

static int format_variable(char **ret, const char *key, const struct supervisor_job *job,
                           const char *outside, const char *inside)
{
    int r = job->level >= EXEC_NAMESPACES
                ? asprintf(ret, "%s=%s", key, inside)
                : asprintf(ret, "%s=%s/%s/%s", key, job->work_root, job->name, outside);

    return r < 0 ? -ENOMEM : 0;
}

static bool is_own_variable(const char *variable)
{
    return strncmp(variable, "P2P_INPUT_DIR=", 14) == 0 ||
           strncmp(variable, "P2P_OUTPUT_DIR=", 15) == 0 || strncmp(variable, "TMPDIR=", 7) == 0;
}

/* The task's environment: what it was sent, and its directories. */
static int make_environment(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    size_t count = 0;
    int r;

    supervisor->step = "make the environment";
    for (char **variable = job->start->environment; *variable; variable++)
        count++;
    char **environment = calloc(count + OWN_VARIABLES + 1, sizeof(*environment));
    if (!environment)
        return -ENOMEM;
    supervisor->environment = environment;
    for (char **variable = job->start->environment; *variable; variable++)
        if (!is_own_variable(*variable))
            *environment++ = *variable;
    r = format_variable(environment++, "P2P_INPUT_DIR", job, "work", ROOT_WORK);
    if (r == 0)
        r = format_variable(environment++, "P2P_OUTPUT_DIR", job, "work", ROOT_WORK);
    if (r == 0)
        r = format_variable(environment, "TMPDIR", job, "tmp", ROOT_TMP);
    return r;
}

static int take_inputs(struct supervisor *supervisor)
{
    const int fd = supervisor->job->inputs_fd;

    if (fd < 0)
        return 0;
    supervisor->step = "put the input files into the work directory";
    int r = inputs_unpack(fd, supervisor->work_fd, supervisor->directory_fd, &supervisor->stdin_fd);
    close_fd(fd);
    return r;
}

/* Moves *@fd out of the way of the descriptors that the task gets. */
static int raise_fd(int *fd)
{
    int raised = *fd < 0 ? *fd : fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_EXTRA + SUPERVISOR_EXTRA_MAX);

    if (*fd >= 0 && raised < 0)
        return -errno;
    *fd = raised;
    return 0;
}

static int place_descriptors(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    int extra[SUPERVISOR_EXTRA_MAX], r = 0;

    for (int i = 0; i < (int)ARRAY_SIZE(job->stdio); i++)
        if (dup2(i == STDIN_FILENO ? supervisor->stdin_fd : job->stdio[i], i) < 0)
            return -errno;
    if (job->extra_count == 0)
        return 0;
    memcpy(extra, job->extra, sizeof(extra));
    for (size_t i = 0; i < job->extra_count && r == 0; i++)
        r = raise_fd(&extra[i]);
    if (r == 0)
        r = raise_fd(&supervisor->ruleset);
    if (r == 0)
        r = raise_fd(&supervisor->failure);
    for (int i = 0; i < (int)job->extra_count && r == 0; i++)
        if (dup2(extra[i], FIRST_EXTRA + i) < 0)
            r = -errno;
    return r;
}

/* What the process of the task does before it is the task. */
static int become_task(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    sigset_t none;
    int r;

    supervisor->step = "set up the process";
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setsid() < 0 ||
        fchdir(supervisor->work_fd) < 0)
        return -errno;
    r = place_descriptors(supervisor);
    if (r < 0)
        return r;
    umask(0022);
    r = confine_enter(job->fence, job->level, job->network, &job->start->limits,
                      supervisor->ruleset, FIRST_EXTRA + (unsigned)job->extra_count,
                      &supervisor->step);
    if (r < 0)
        return r;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
}

/* Runs in the supervisor's memory while the supervisor waits: whatever it sets there, that finds.
 */
static int run_command(void *data)
{
    struct supervisor *supervisor = data;

    supervisor->error = become_task(supervisor);
    if (supervisor->error < 0)
        return EXIT_FAILURE;
    return command_run(supervisor->job->words, supervisor->environment);
}

static int start_command(struct supervisor *supervisor)
{
    static char stack[CHILD_STACK_SIZE] __attribute__((aligned(64)));

    supervisor->begin_usec = now_usec();
    supervisor->pid =
        clone(run_command, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, supervisor);
    return supervisor->pid < 0 ? -errno : supervisor->error;
}

/* What the process of a warm task tells, if it cannot become that; else its pipe just closes. */
struct failure {
    int error;
    const char *step; /* the same memory is there in the supervisor */
};

/* Return: 0; 1 in the process of the task; or -errno. */
static int start_warm(struct supervisor *supervisor)
{
    _cleanup_close_ int ours = -EBADF;
    struct failure failure = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    ours = ends[0];
    supervisor->failure = ends[1];
    supervisor->begin_usec = now_usec();
    supervisor->pid = fork();
    if (supervisor->pid == 0) {
        ours = -EBADF; /* closed with all the others */
        failure.error = become_task(supervisor);
        if (failure.error == 0)
            return 1;
        failure.step = supervisor->step;
        (void)!write(supervisor->failure, &failure, sizeof(failure));
        _exit(EXIT_FAILURE);
    }
    supervisor->failure = close_fd(supervisor->failure);
    if (supervisor->pid < 0)
        return -errno;
    if (read(ours, &failure, sizeof(failure)) == sizeof(failure)) {
        supervisor->step = failure.step;
        return failure.error;
    }
    return 0;
}

/* Return: as start_warm(). */
static int start_task(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;

    supervisor->step = "start a process";
    int r = job->words ? start_command(supervisor) : start_warm(supervisor);
    if (r != 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(job->stdio); i++)
        close_fd(job->stdio[i]);
    for (size_t i = 0; i < job->extra_count; i++)
        close_fd(job->extra[i]);
    return 0;
}

static void report(const struct supervisor *supervisor, const struct supervisor_report *report)
{
    (void)send(supervisor->control, report, sizeof(*report), MSG_NOSIGNAL);
}

/* Collects the dead. Return: whether the command is one of them. */
static bool reap(struct supervisor *supervisor)
{
    bool ended = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == supervisor->pid) {
            supervisor->wait_status = status;
            supervisor->end_usec = now_usec();
            ended = true;
        }
    return ended;
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
    /* A pause is of all its processes: where we are the first of their namespace, we reach those
     * that have left the group, too. */
    const pid_t everybody = supervisor->job->level >= EXEC_NAMESPACES ? -1 : -supervisor->pid;
    (void)kill(order.signal == SIGSTOP ? everybody : -supervisor->pid, order.signal);
    /* A stopped task hears nothing. */
    if (order.signal != SIGSTOP && order.signal != SIGTSTP)
        (void)kill(everybody, SIGCONT);
}

static void wait_for_command(struct supervisor *supervisor)
{
    struct pollfd polled[] = {{.fd = supervisor->signals, .events = POLLIN},
                              {.fd = supervisor->control, .events = POLLIN}};
    struct signalfd_siginfo info;

    for (;;) {
        polled[1].fd = supervisor->control;
        if (poll(polled, ARRAY_SIZE(polled), -1) < 0)
            continue;
        if (polled[0].revents != 0) {
            (void)!read(supervisor->signals, &info, sizeof(info));
            if (reap(supervisor))
                return;
        }
        if (polled[1].revents != 0)
            obey(supervisor);
    }
}

/* The command has ended; now all that it left behind ends too. */
static void kill_rest(const struct supervisor *supervisor)
{
    if (supervisor->job->level >= EXEC_NAMESPACES) {
        (void)kill(-1, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
            ;
        return;
    }
    (void)kill(-supervisor->pid, SIGKILL);
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno != EINTR)
            return;
        /* Children of those who die become ours, and are found in the next round. */
        if (pid == 0 && children_kill(NULL, NULL) > 0)
            (void)waitpid(-1, NULL, 0);
    }
}

static void report_end(const struct supervisor *supervisor)
{
    const int status = supervisor->wait_status;
    struct supervisor_report end = {.kind = SUPERVISOR_ENDED};
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_CHILDREN, &usage);
    end.status.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end.status.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end.status.wall_usec = usec_sub(supervisor->end_usec, supervisor->begin_usec);
    end.status.user_usec = from_timeval(usage.ru_utime);
    end.status.system_usec = from_timeval(usage.ru_stime);
    end.status.memory_peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    /* Once p2pnode-exec is gone, nobody wants them. */
    if (supervisor->job->results_fd >= 0 && supervisor->control >= 0)
        results_pack(supervisor->work_fd, supervisor->job->results_fd, supervisor->job->start,
                     &end.status.results);
    report(supervisor, &end);
}

static void report_failure(const struct supervisor *supervisor, int error)
{
    struct supervisor_report end = {.kind = SUPERVISOR_ENDED};

    end.status = (struct exec_status){.code = -1, .error = error};
    snprintf(end.status.reason, sizeof(end.status.reason), "%s: %s", supervisor->step,
             strerror(-error));
    report(supervisor, &end);
}

static void remove_directory(const struct supervisor *supervisor)
{
    if (supervisor->directory_fd < 0)
        return;
    if (tree_empty(supervisor->directory_fd) < 0 && supervisor->job->level >= EXEC_NAMESPACES) {
        root_leave(); /* a configured path was mounted in there */
        (void)tree_empty(supervisor->directory_fd);
    }
    (void)unlinkat(supervisor->root_fd, supervisor->job->name, AT_REMOVEDIR);
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

char **supervisor_run(const struct supervisor_job *job)
{
    struct supervisor supervisor = {.job = job,
                                    .control = job->control,
                                    .root_fd = -EBADF,
                                    .directory_fd = -EBADF,
                                    .stdin_fd = job->stdio[STDIN_FILENO],
                                    .ruleset = -EBADF,
                                    .failure = -EBADF};
    const struct supervisor_report started = {.kind = SUPERVISOR_STARTED};
    sigset_t children, all;
    int r;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    close_inherited(job);
    (void)prctl(PR_SET_NAME, "p2pnode-task", 0, 0, 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    supervisor.step = "watch processes";
    supervisor.signals = signalfd(-1, &children, SFD_CLOEXEC);
    r = supervisor.signals < 0 ? -errno : make_environment(&supervisor);
    if (r == 0)
        r = enter_sandbox(&supervisor);
    if (r == 0)
        r = take_inputs(&supervisor);
    if (r == 0)
        r = start_task(&supervisor);
    if (r > 0)
        return supervisor.environment;
    if (r < 0) {
        report_failure(&supervisor, r);
    } else {
        report(&supervisor, &started);
        wait_for_command(&supervisor);
        kill_rest(&supervisor);
        report_end(&supervisor);
    }
    remove_directory(&supervisor);
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
