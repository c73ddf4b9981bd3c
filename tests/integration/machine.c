/* SPDX-License-Identifier: MIT */

/*
 * Preloaded into p2pnode: a machine whose clock is wrong, or that is busy with something else.
 * P2P_CLOCK_AHEAD says by how many seconds, which may be negative. Only the wall clock: the clock
 * of the loop is right on such a machine too. P2P_LOAD names a file with the load average per core.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long ahead(void)
{
    const char *text = getenv("P2P_CLOCK_AHEAD");

    return text ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    long r = syscall(SYS_clock_gettime, id, ret);

    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ret->tv_sec += ahead();
    return (int)r;
}

int gettimeofday(struct timeval *ret, void *zone)
{
    struct timespec now;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return -1;
    ret->tv_sec = now.tv_sec;
    ret->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}

int getloadavg(double *ret, int count)
{
    const char *path = getenv("P2P_LOAD");
    FILE *file = path ? fopen(path, "re") : NULL;
    double load = 0;

    if (file) {
        (void)!fscanf(file, "%lf", &load);
        (void)fclose(file);
    }
    for (int i = 0; i < count; i++)
        ret[i] = load * (double)sysconf(_SC_NPROCESSORS_ONLN);
    return count;
}
