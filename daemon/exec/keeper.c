/* SPDX-License-Identifier: MIT */
#include "exec/keeper.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "exec/request.h"
#include "exec/root.h"

/* What each task has of its own; the keeper has the rest. */
#define TASK_FLAGS (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC)

#define STACK_SIZE ((size_t)512 * 1024) /* of a supervisor; what it does not use costs nothing */
#define GUARD_SIZE ((size_t)64 * 1024)  /* at its end: pages of any machine */

/* The private root, and nothing of how it was made. The task's name is free as long. */
static int prepare_root(const struct supervisor_job *job, const char **step)
{
    int r;

    *step = "prepare a private root";
    if (mkdirat(job->root_fd, job->name, 0700) < 0)
        return -errno;
    _cleanup_close_ int fd = openat(job->root_fd, job->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fchdir(fd) < 0 || mkdir(ROOT_STAGE, 0700) < 0)
        return -errno;
    r = root_prepare(job->fence, job->root_fd, step);
    (void)unlinkat(fd, ROOT_STAGE, AT_REMOVEDIR);
    (void)unlinkat(job->root_fd, job->name, AT_REMOVEDIR);
    return r;
}

static int prepare(struct supervisor_job *job, const char **step)
{
    *step = "open the work root";
    job->root_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job->root_fd < 0)
        return -errno;
    if (job->level < EXEC_NAMESPACES)
        return 0;
    int r = root_map_user(job->uid, job->gid, step);
    return r < 0 ? r : prepare_root(job, step);
}

static int run_supervisor(void *data)
{
    const struct supervisor_job *job = data;
    bool is_free;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    supervisor_set_up(job);
    (void)supervisor_hold(job, &is_free);
    return EXIT_SUCCESS;
}

/*
 * In this process's memory, of which a copy is most of what another process costs: meanwhile this
 * one only closes descriptors and waits. Return: as clone().
 */
static pid_t start_supervisor(const struct supervisor_job *job)
{
    static char *stack;

    if (!stack) {
        stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack, GUARD_SIZE, PROT_NONE) < 0) {
            stack = NULL;
            return -1;
        }
    }
    return clone(run_supervisor, stack + STACK_SIZE, CLONE_VM | TASK_FLAGS | SIGCHLD,
                 (void *)(uintptr_t)job);
}

/* For a function: a process with a copy of this one's memory, an interpreter's. */
static pid_t fork_supervisor(void)
{
    struct clone_args arguments = {.flags = TASK_FLAGS, .exit_signal = SIGCHLD};

    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

/* Return: as hold(); there can be another task where the supervisor came to its end. */
static bool hold_in_child(const struct supervisor_job *job, const struct supervisor_job *idle,
                          char ***ret_environment)
{
    pid_t pid = job->words ? start_supervisor(job) : fork_supervisor();
    int status = 0;

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        *ret_environment = supervisor_run(job);
        return false;
    }
    if (pid < 0)
        supervisor_report_failure(job->control, "start a supervisor", -errno);
    /* Above all the task's pipes: whoever reads them waits until nobody has them. */
    supervisor_close_others(idle);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* Return: whether there can be another one, and then in *@ret_is_free, whether that was told. Not
 * in the process of a function, which alone gets *@ret_environment. */
static bool hold(const struct supervisor_job *job, bool *ret_is_free, char ***ret_environment)
{
    const struct supervisor_job idle = {
        .fence = job->fence, .control = job->control, .root_fd = job->root_fd};

    *ret_is_free = false;
    if (job->level >= EXEC_NAMESPACES)
        return hold_in_child(job, &idle, ret_environment);
    *ret_environment = supervisor_hold(job, ret_is_free);
    if (*ret_environment)
        return false;
    supervisor_close_others(&idle);
    return true;
}

/* Tells that there is room, and waits for the next task. Return: whether there is one. */
static bool receive(const struct supervisor_job *job, bool is_told, struct request *request)
{
    const struct supervisor_report free_report = {.kind = SUPERVISOR_FREE};
    int r;

    if (!is_told && send(job->control, &free_report, sizeof(free_report), MSG_NOSIGNAL) < 0)
        return false;
    /* Orders for the last task may still be there. */
    do
        r = request_receive(job->control, request);
    while (r == 0);
    return r > 0 && request_read_start(request, 0) == 0;
}

static void take_job(struct supervisor_job *job, const struct request *request)
{
    const struct exec_start *start = &request->head.start;

    job->start = start;
    job->words = start->is_python ? NULL : start->words;
    job->level = request->head.level;
    job->network = request->head.network;
    job->name = request->head.name;
    job->extra_count = 0;
    supervisor_set_fds(job, request->fds);
}

char **keeper_run(const struct supervisor_job *first, struct request *request)
{
    struct supervisor_job job = *first;
    char **environment = NULL;
    const char *step = NULL;
    bool is_free;

    supervisor_set_up(&job);
    int r = prepare(&job, &step);
    if (r < 0) {
        supervisor_report_failure(job.control, step, r);
        _exit(EXIT_FAILURE);
    }
    for (unsigned count = 1;; count++) {
        const bool is_last = count == KEEPER_TASKS_MAX;
        job.is_followed = job.level < EXEC_NAMESPACES && !is_last;
        if (!hold(&job, &is_free, &environment) || is_last)
            break;
        request_forget(request);
        if (!receive(&job, is_free, request))
            break;
        take_job(&job, request);
    }
    if (environment)
        return environment;
    _exit(EXIT_SUCCESS);
}

bool keeper_can_hold(const struct supervisor_job *job)
{
    const bool has_files = job->inputs_fd >= 0 || job->results_fd >= 0;

    if (job->level == EXEC_NAMESPACES)
        return root_can_prepare(job->fence);
    return job->level < EXEC_NAMESPACES && (job->words || !has_files);
}

int keeper_start(const struct supervisor_job *job, pid_t *ret_pid)
{
    static struct request request;
    pid_t pid = supervisor_fork(job->level, job->network, false);

    if (pid == 0)
        (void)keeper_run(job, &request);
    if (pid < 0)
        return pid;
    *ret_pid = pid;
    return 0;
}
