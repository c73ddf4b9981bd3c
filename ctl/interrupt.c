/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <signal.h>
#include "base/macro.h"
#include "client.h"

static const int ends[] = {SIGHUP, SIGTERM};
static volatile sig_atomic_t interrupted, ended_by;

static void on_interrupt(int number)
{
    interrupted = 1;
    if (number != SIGINT)
        ended_by = number;
}

static void catch_signal(int number)
{
    struct sigaction action = {.sa_handler = on_interrupt}, before;

    /* Who ignores it, as under nohup, goes on doing so. */
    if (number == SIGINT || (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN))
        sigaction(number, &action, NULL);
}

void interrupt_catch(void)
{
    catch_signal(SIGINT);
}

void interrupt_catch_end(void)
{
    catch_signal(SIGINT);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        catch_signal(ends[i]);
    /* What grows above the user's limit is an error that names its file. */
    (void)signal(SIGXFSZ, SIG_IGN);
}

void interrupt_end_as_told(void)
{
    if (ended_by == 0)
        return;
    (void)signal(ended_by, SIG_DFL);
    (void)raise(ended_by);
}

int interrupt_wait(struct pollfd *pollfd, usec_t deadline_usec)
{
    sigset_t blocked, before;
    int r;

    /* Blocked outside of ppoll, so that a Ctrl-C just before it is not missed. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        sigaddset(&blocked, ends[i]);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    do {
        usec_t usec = usec_sub(deadline_usec, client_now());
        struct timespec left = {(time_t)(usec / USEC_PER_SEC), (long)(usec % USEC_PER_SEC * 1000)};
        r = interrupted ? -1
                        : ppoll(pollfd, pollfd ? 1 : 0,
                                deadline_usec == USEC_INFINITY ? NULL : &left, &before);
    } while (r < 0 && !interrupted && errno == EINTR);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (r > 0)
        return 0;
    if (interrupted) {
        interrupted = 0;
        return -EINTR;
    }
    return r == 0 ? -ETIMEDOUT : -error;
}
