/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "exec/command.h"
#include "exec/confine.h"
#include "exec/group.h"
#include "exec/supervisor_core.h"

#define CHILD_STACK_SIZE ((size_t)128 * 1024)
#define FIRST_EXTRA      3 /* descriptor */

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
    struct exec_limits limits = job->start->limits;
    sigset_t none;
    int r;

    supervisor->step = "set up the process";
    /* A group to be stopped and killed. The session is that of all tasks: with one for each the
     * kernel would give each as much of a processor as all daemons together (autogroup). */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setpgid(0, 0) < 0 ||
        fchdir(supervisor->work_fd) < 0)
        return -errno;
    r = place_descriptors(supervisor);
    if (r < 0)
        return r;
    umask(0022);
    /* The keeper counts as well, being of the same user namespace. */
    if (job->root_fd > 0 && limits.processes > 0)
        limits.processes++;
    r = confine_enter(job->fence, job->level, job->network, &limits, supervisor->ruleset,
                      FIRST_EXTRA + (unsigned)job->extra_count, &supervisor->step);
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
    _cleanup_free_ char *stack = aligned_alloc(64, CHILD_STACK_SIZE);

    if (!stack)
        return -ENOMEM;
    supervisor->begin_usec = supervisor_now();
    supervisor->pid =
        clone(run_command, stack + CHILD_STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, supervisor);
    return supervisor->pid < 0 ? -errno : supervisor->error;
}

/* What a forked process tells, if it cannot become the task; else its pipe just closes. */
struct failure {
    int error;
    const char *step; /* the same memory is there in the supervisor */
};

/* A process in the task's group from its first moment on. */
static pid_t fork_into(int group)
{
    struct clone_args arguments = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)group};

    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

/* An interpreter has to be forked by the C library, and moves by itself. */
static int become_warm_task(struct supervisor *supervisor)
{
    const int group = supervisor->job->group_fd;
    int r = 0;

    if (group > 0) {
        supervisor->step = "enter its control group";
        r = group_join(group);
    }
    return r < 0 ? r : become_task(supervisor);
}

static void fail_to_become(const struct supervisor *supervisor, int error)
{
    struct failure failure = {.error = error, .step = supervisor->step};

    (void)!write(supervisor->failure, &failure, sizeof(failure));
    _exit(EXIT_FAILURE);
}

/* In the new process. Return: 1 in that of a warm task. */
static int run_forked(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    int r = job->words ? become_task(supervisor) : become_warm_task(supervisor);

    if (r < 0)
        fail_to_become(supervisor, r);
    if (job->words)
        _exit(command_run(job->words, supervisor->environment));
    return 1;
}

/* Return: 0; 1 in the process of a warm task; or -errno. */
static int start_forked(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    _cleanup_close_ int ours = -EBADF;
    struct failure failure = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    ours = ends[0];
    supervisor->failure = ends[1];
    supervisor->begin_usec = supervisor_now();
    supervisor->pid = job->words ? fork_into(job->group_fd) : fork();
    if (supervisor->pid == 0) {
        ours = -EBADF; /* closed with all the others */
        return run_forked(supervisor);
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

int supervisor_start_task(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    const bool is_shared = job->words && job->group_fd <= 0; /* then its memory can be ours */

    supervisor->step = "start a process";
    int r = is_shared ? start_command(supervisor) : start_forked(supervisor);
    if (r != 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(job->stdio); i++)
        close_fd(job->stdio[i]);
    for (size_t i = 0; i < job->extra_count; i++)
        close_fd(job->extra[i]);
    return 0;
}
