/* SPDX-License-Identifier: MIT */
#include "exec/child.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "exec/request.h"

#define TIMER_ACCURACY_USEC USEC_PER_MSEC
#define KILL_WAIT_USEC      (5 * USEC_PER_SEC) /* for a supervisor to kill its task */

enum step {
    STEP_TIMEOUT,    /* TERM */
    STEP_KILL,       /* KILL */
    STEP_SUPERVISOR, /* kill the supervisor, which has not done its work */
};

/* A full socket loses the order: then the supervisor is stuck, and STEP_SUPERVISOR comes. */
static void send_order(struct exec_child *child, int number)
{
    const struct supervisor_order order = {.signal = number};

    (void)send(child->control, &order, sizeof(order), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void arm(struct exec_child *child, enum step step, usec_t delay_usec)
{
    child->step = (int)step;
    (void)sd_event_source_set_time_relative(child->timer, delay_usec);
    (void)sd_event_source_set_enabled(child->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t now_usec, void *data)
{
    struct exec_child *child = data;

    (void)source;
    (void)now_usec;
    switch ((enum step)child->step) {
    case STEP_TIMEOUT:
        child->timed_out = true;
        send_order(child, SIGTERM);
        arm(child, STEP_KILL, child->grace_usec);
        break;
    case STEP_KILL:
        send_order(child, SIGKILL);
        arm(child, STEP_SUPERVISOR, KILL_WAIT_USEC);
        break;
    case STEP_SUPERVISOR:
        (void)kill(child->pid, SIGKILL);
        break;
    }
    return 0;
}

/* Return: whether the report is one that may come now. */
static bool take_report(struct exec_child *child, struct supervisor_report *report)
{
    if (child->ended)
        return report->kind == SUPERVISOR_FREE;
    /* Its time begins when it does, however long the sandbox took; but it may be told to end before
     * that is heard. */
    if (report->kind == SUPERVISOR_STARTED && child->timeout_usec > 0 &&
        sd_event_source_get_enabled(child->timer, NULL) == 0)
        arm(child, STEP_TIMEOUT, usec_sub(child->timeout_usec, report->status.wall_usec));
    if (report->kind == SUPERVISOR_ENDED) {
        child->ended = true;
        report->status.pid = (uint64_t)child->pid;
        report->status.timed_out = child->timed_out;
        (void)sd_event_source_set_enabled(child->timer, SD_EVENT_OFF);
    }
    return report->kind != SUPERVISOR_FREE;
}

void exec_child_take_reports(struct exec_child *child)
{
    struct supervisor_report report;
    ssize_t size;

    if (child->control < 0)
        return;
    while ((size = recv(child->control, &report, sizeof(report), MSG_DONTWAIT)) > 0) {
        if (size != sizeof(report) || !take_report(child, &report))
            continue;
        child->on_report(child, &report);
        if (report.kind == SUPERVISOR_FREE || report.is_free)
            return;
    }
    /* At the end of the connection its process is to be waited for. */
    if (size == 0 || (errno != EAGAIN && errno != EINTR))
        (void)sd_event_source_set_enabled(child->reports, SD_EVENT_OFF);
}

static int on_reports(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                      void *data)
{
    exec_child_take_reports(data);
    return 0;
}

static int watch(struct exec_child *child, sd_event *event)
{
    int r = sd_event_add_io(event, &child->reports, child->control, EPOLLIN, on_reports, child);

    if (r >= 0)
        r = sd_event_add_time_relative(event, &child->timer, CLOCK_MONOTONIC, 0,
                                       TIMER_ACCURACY_USEC, on_timer, child);
    return r < 0 ? r : sd_event_source_set_enabled(child->timer, SD_EVENT_OFF);
}

int exec_child_new(sd_event *event, uint64_t id, struct supervisor_job *job,
                   exec_child_start_t start, void *data, struct exec_child **ret)
{
    _cleanup_(exec_child_freep) struct exec_child *child = calloc(1, sizeof(*child));
    _cleanup_close_ int its = -EBADF;
    int pair[2], r;

    if (!child)
        return -ENOMEM;
    *child = (struct exec_child){.id = id,
                                 .control = -EBADF,
                                 .is_private = job->level >= EXEC_NAMESPACES,
                                 .has_network = job->network,
                                 .is_python = job->start->is_python,
                                 .timeout_usec = job->start->limits.timeout_usec,
                                 .grace_usec = job->start->limits.grace_usec};
    list_init(&child->link);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    child->control = pair[0];
    its = pair[1];
    job->control = its;
    r = watch(child, event);
    if (r < 0)
        return r;
    r = start(job, data, &child->pid);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(child);
    return 0;
}

bool exec_child_fits(const struct exec_child *child, const struct supervisor_job *job)
{
    return child->is_python == job->start->is_python &&
           child->is_private == (job->level >= EXEC_NAMESPACES) &&
           (!child->is_private || child->has_network == job->network);
}

int exec_child_give(struct exec_child *child, uint64_t id, const struct supervisor_job *job,
                    const int *fds)
{
    int r = request_send(child->control, job, -EBADF, fds);

    if (r < 0)
        return r;
    child->id = id;
    child->timeout_usec = job->start->limits.timeout_usec;
    child->grace_usec = job->start->limits.grace_usec;
    child->timed_out = child->ended = false;
    return 0;
}

void exec_child_abandon(struct exec_child *child)
{
    child->reports = sd_event_source_disable_unref(child->reports);
    child->timer = sd_event_source_disable_unref(child->timer);
    child->control = close_fd(child->control);
    child->ended = true;
}

struct exec_child *exec_child_free(struct exec_child *child)
{
    if (!child)
        return NULL;
    exec_child_abandon(child);
    free(child);
    return NULL;
}

void exec_child_signal(struct exec_child *child, int number, usec_t grace_usec)
{
    send_order(child, number);
    if (number == SIGKILL)
        arm(child, STEP_SUPERVISOR, KILL_WAIT_USEC);
    else if (grace_usec != USEC_INFINITY)
        arm(child, STEP_KILL, grace_usec);
}
