/* SPDX-License-Identifier: MIT */

/*
 * How fast this machine starts and reaps /bin/true: what bench-tasks is measured against.
 * usage: task_limit spawn|clone COUNT IN_FLIGHT. Prints {"rate": per second, "p50_us": ...,
 * "p99_us": ...}; clone is clone3 into new user, pid, mount, ipc, uts and net namespaces.
 */

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 1024
#define NAMESPACES                                                                                 \
    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET)

static char *const words[] = {(char[]){"true"}, NULL};
static char *const nothing[] = {NULL};

struct flight {
    pid_t pid;
    double begin;
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static pid_t start(int is_clone)
{
    struct clone_args arguments = {.flags = NAMESPACES, .exit_signal = SIGCHLD};
    pid_t pid;

    if (!is_clone)
        return posix_spawn(&pid, "/bin/true", NULL, NULL, words, nothing) == 0 ? pid : -1;
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0) {
        execve("/bin/true", words, nothing);
        _exit(127);
    }
    return pid;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct flight flights[IN_FLIGHT_MAX];
    long count = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    long in_flight = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    int is_clone = argc == 4 && strcmp(argv[1], "clone") == 0, status = 0;
    long begun = 0, ended = 0;

    if (count < 1 || in_flight < 1 || in_flight > IN_FLIGHT_MAX)
        return 2;
    double *times = calloc((size_t)count, sizeof(*times)), begin = now();
    while (times && ended < count) {
        for (long i = 0; i < in_flight && begun < count; i++)
            if (flights[i].pid == 0) {
                flights[i] = (struct flight){.begin = now()};
                flights[i].pid = start(is_clone);
                if (flights[i].pid < 0) {
                    perror("cannot start a process");
                    return 1;
                }
                begun++;
            }
        pid_t pid = waitpid(-1, &status, 0);
        for (long i = 0; i < in_flight; i++)
            if (flights[i].pid == pid) {
                times[ended++] = now() - flights[i].begin;
                flights[i].pid = 0;
            }
    }
    double whole = now() - begin;
    qsort(times, (size_t)count, sizeof(*times), compare);
    printf("{\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", (double)count / whole * 1e6,
           times[count / 2], times[count * 99 / 100]);
    free(times);
    return 0;
}
