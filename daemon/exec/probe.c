/* SPDX-License-Identifier: MIT */
#include "exec/probe.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "exec/server.h"
#include "exec/supervisor.h"

#define PROBE_TIMEOUT_MSEC 5000
#define PROBE_NAME         SERVER_TASK_PREFIX "probe"

static int add_missing(struct probe *probe, const char *format, ...) _printf_(2, 3);

static int add_missing(struct probe *probe, const char *format, ...)
{
    va_list arguments;
    int r;

    va_start(arguments, format);
    r = vasprintf(&probe->missing[probe->missing_count], format, arguments);
    va_end(arguments);
    if (r < 0)
        return -ENOMEM;
    probe->missing_count++;
    return 0;
}

/* Waits for the end of /bin/true. Return: 0 if it succeeded, else -errno with *@status filled. */
static int await_end(int control, struct exec_status *status)
{
    struct pollfd polled = {.fd = control, .events = POLLIN};
    struct supervisor_report report = {0};

    while (report.kind != SUPERVISOR_ENDED) {
        if (poll(&polled, 1, PROBE_TIMEOUT_MSEC) <= 0)
            return -ETIMEDOUT;
        if (recv(control, &report, sizeof(report), 0) != sizeof(report))
            return -ECONNRESET;
    }
    *status = report.status;
    if (status->error < 0)
        return status->error;
    return status->code == 0 ? 0 : -ENOEXEC;
}

/* Runs /bin/true. @group: of that level, or 0. */
static int try_level(const struct fence *fence, const char *work_root, enum exec_level level,
                     int group, struct exec_status *status)
{
    char true_path[] = "/bin/true";
    char *words[] = {true_path, NULL}, *environment[] = {NULL};
    const struct exec_start start = {.words = words, .environment = environment};
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), ours = -EBADF, its = -EBADF;
    int pair[2], r;
    pid_t pid;

    if (null < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ours = pair[0];
    its = pair[1];
    const struct supervisor_job job = {.fence = fence,
                                       .inputs_fd = -EBADF,
                                       .results_fd = -EBADF,
                                       .group_fd = group,
                                       .start = &start,
                                       .words = words,
                                       .level = level,
                                       .uid = geteuid(),
                                       .gid = getegid(),
                                       .control = its,
                                       .stdio = {null, null, null},
                                       .work_root = work_root,
                                       .name = PROBE_NAME};
    r = supervisor_start(&job, &pid);
    if (r < 0)
        return r;
    closep(&its);
    r = await_end(ours, status);
    closep(&ours); /* which also ends it, should it hang */
    if (r == -ETIMEDOUT)
        (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return r;
}

/* With every limit that a task can have. */
static int try_full(const struct fence *fence, const struct groups *groups, const char *work_root,
                    struct exec_status *status)
{
    const struct exec_limits limits = {
        .memory_bytes = (uint64_t)1 << 30, .processes = 16, .cpus_milli = 1000};
    _cleanup_close_ int group = group_new(groups, PROBE_NAME, &limits);
    int r = group;

    if (group >= 0) {
        r = try_level(fence, work_root, EXEC_FULL, group, status);
        group_remove(groups, PROBE_NAME);
    }
    return r;
}

static int tell_failure(struct probe *probe, enum exec_level level, int error,
                        const struct exec_status *status)
{
    const char *name = exec_level_name(level);

    if (status->error < 0)
        return add_missing(probe, "level %s is not to be had: %s", name, status->reason);
    if (error == -ENOEXEC)
        return add_missing(probe, "level %s is not to be had: /bin/true failed (exit %d)", name,
                           status->code);
    return add_missing(probe, "level %s is not to be had: %s", name, strerror(-error));
}

static enum exec_level choose_level(const struct probe *probe, const struct exec_configure *wanted)
{
    if (wanted->is_auto)
        return probe->available > EXEC_NONE ? probe->available : EXEC_REFUSE;
    return wanted->level <= probe->available ? wanted->level : EXEC_REFUSE;
}

static int tell_gaps(struct probe *probe, const struct fence *fence)
{
    int r = 0;

    if (probe->level == EXEC_REFUSE)
        return add_missing(probe, "no task may run: the configured sandbox is not to be had");
    if (probe->level < EXEC_FULL)
        r = add_missing(probe,
                        "the kernel limits the memory of each process; of all processes of a "
                        "task it is looked at ten times a second: no own control group");
    if (probe->level >= EXEC_NAMESPACES || r < 0)
        return r;
    r = add_missing(probe, "other processes can be seen, and the limit of processes is not kept");
    if (r == 0 && probe->level == EXEC_LANDLOCK && fence->landlock_abi < LANDLOCK_SCOPE_ABI)
        r = add_missing(probe, "processes of the same user can be signalled: Landlock ABI %d",
                        fence->landlock_abi);
    if (r == 0 && probe->level < EXEC_LANDLOCK)
        r = add_missing(probe, "files and the network are as open as for any process of the user");
    return r;
}

int probe_init(struct probe *probe, const struct fence *fence, const struct groups *groups,
               const char *work_root)
{
    int r = 0;

    *probe = (struct probe){.available = EXEC_FULL};
    if (groups->fd < 0) {
        probe->available = EXEC_NAMESPACES;
        r = add_missing(probe, "level full is not to be had: %s", groups->reason);
    }
    for (; probe->available > EXEC_NONE && r == 0; probe->available--) {
        struct exec_status status = {0};
        int failed = probe->available == EXEC_FULL
                         ? try_full(fence, groups, work_root, &status)
                         : try_level(fence, work_root, probe->available, 0, &status);
        if (failed == 0)
            break;
        r = tell_failure(probe, probe->available, failed, &status);
    }
    probe->level = choose_level(probe, &fence->configure);
    return r < 0 ? r : tell_gaps(probe, fence);
}

void probe_done(struct probe *probe)
{
    for (size_t i = 0; i < probe->missing_count; i++)
        free(probe->missing[i]);
    *probe = (struct probe){0};
}
