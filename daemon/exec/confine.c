/* SPDX-License-Identifier: MIT */
#include "exec/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#define OPEN_FILES     1024  /* soft, as programs that use select() need it */
#define OPEN_FILES_MAX 65536 /* hard */
#define PROCESSES_MAX  8192  /* against a fork bomb, where the task has no limit of its own */

static int allow(int ruleset, int abi, const char *path, enum landlock_right right)
{
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

    return fd < 0 ? -errno : landlock_allow(ruleset, abi, fd, right);
}

int confine_prepare(const struct fence *fence, enum exec_level level, int work_fd, int tmp_fd)
{
    const int abi = fence->landlock_abi;
    _cleanup_close_ int ruleset = abi < 0 ? abi : landlock_new_ruleset(abi);
    int r;

    if (ruleset < 0)
        return ruleset;
    r = landlock_allow(ruleset, abi, work_fd, LANDLOCK_WRITE);
    if (r == 0)
        r = landlock_allow(ruleset, abi, tmp_fd, LANDLOCK_WRITE);
    for (size_t i = 0; i < fence->paths_count && r == 0; i++)
        r = landlock_allow(ruleset, abi, fence->paths[i].fd, fence->paths[i].right);
    if (r == 0 && level >= EXEC_NAMESPACES) {
        r = allow(ruleset, abi, "/", LANDLOCK_LIST);
        if (r == 0)
            r = allow(ruleset, abi, "/proc", LANDLOCK_PROCESS);
    }
    return r < 0 ? r : TAKE_FD(ruleset);
}

/* @soft and @hard are lowered to what this process may have; 0 leaves the limit alone. */
static int set_limit(__rlimit_resource_t resource, uint64_t soft, uint64_t hard)
{
    struct rlimit limit;

    if (hard == 0)
        return 0;
    if (getrlimit(resource, &limit) < 0)
        return -errno;
    limit.rlim_max = MIN(limit.rlim_max, hard);
    limit.rlim_cur = MIN(limit.rlim_max, soft);
    return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/*
 * As many whole CPUs as hold @cpus_milli, of those that this process may use; each task begins at
 * another one. Programs that ask how many there are start as many threads.
 */
static int set_cpus(uint32_t cpus_milli)
{
    cpu_set_t all, some;
    struct timespec now;
    int left = (int)((cpus_milli + 999) / 1000), count;

    if (sched_getaffinity(0, sizeof(all), &all) < 0)
        return -errno;
    count = CPU_COUNT(&all);
    if (left >= count)
        return 0;
    CPU_ZERO(&some);
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (int skip = (int)(now.tv_nsec / 1000 % count), cpu = 0; left > 0;
         cpu = (cpu + 1) % CPU_SETSIZE)
        if (CPU_ISSET((size_t)cpu, &all) && skip-- <= 0) {
            CPU_SET((size_t)cpu, &some);
            left--;
        }
    return sched_setaffinity(0, sizeof(some), &some) < 0 ? -errno : 0;
}

static int set_limits(const struct exec_limits *limits, enum exec_level level)
{
    const struct rlimit no_core = {0};
    uint64_t processes = PROCESSES_MAX;
    int r;

    if (setrlimit(RLIMIT_CORE, &no_core) < 0)
        return -errno;
    /* In its own user namespace the count is the task's own, and one is the supervisor; without,
     * the count is that of the user, whatever else runs. */
    if (level >= EXEC_NAMESPACES && limits->processes > 0)
        processes = limits->processes + 1;
    r = set_limit(RLIMIT_NPROC, processes, processes);
    if (r == 0)
        r = set_limit(RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES_MAX);
    if (r == 0)
        r = set_limit(RLIMIT_FSIZE, limits->file_size_bytes, limits->file_size_bytes);
    /* Of each process; what all of them have together, the supervisor watches. In a control group
     * the kernel knows what they really use. */
    if (r == 0 && level < EXEC_FULL)
        r = set_limit(RLIMIT_DATA, limits->memory_bytes, limits->memory_bytes);
    return r;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int confine_enter(const struct fence *fence, enum exec_level level, bool network,
                  const struct exec_limits *limits, int ruleset, unsigned first_closed,
                  const char **step)
{
    int r;

    *step = "set limits";
    r = set_limits(limits, level);
    if (r == 0 && level < EXEC_FULL && limits->cpus_milli > 0)
        r = set_cpus(limits->cpus_milli);
    if (r < 0)
        return r;
    *step = "give up privileges";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    r = drop_capabilities();
    if (r < 0)
        return r;
    if (ruleset >= 0) {
        *step = "enter Landlock";
        r = landlock_enter(ruleset);
        if (r < 0)
            return r;
    }
    if (level > EXEC_NONE) {
        *step = "install the system call filter";
        r = filter_install(fence_get_filter(fence, level, network));
        if (r < 0)
            return r;
    }
    *step = "close descriptors";
    return close_range(first_closed, ~0U, 0) < 0 ? -errno : 0;
}
