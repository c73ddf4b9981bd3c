/* SPDX-License-Identifier: MIT */

/*
 * Preloaded into p2pnode: ends it by SIGKILL at the n-th write boundary. P2P_CRASH_FILE names a
 * file of two ints: at which boundary (0 = never), and how many were passed since it was set. A
 * boundary is a call that changes a file, or makes a change durable: a kill there leaves what a
 * power cut between two of them could leave, but for what the kernel has not written yet.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
    atomic_int at;
    atomic_int passed;
};

static struct control *control;

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("P2P_CRASH_FILE");
    int fd;

    if (!path || strcmp(program_invocation_short_name, "p2pnode") != 0)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        control = map;
    close(fd);
}

static void pass(void)
{
    if (control && control->at > 0 && ++control->passed >= control->at)
        (void)kill(getpid(), SIGKILL);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    pass();
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    pass();
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

int fsync(int fd)
{
    pass();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    pass();
    return (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *before, const char *after)
{
    pass();
    return (int)syscall(SYS_renameat2, AT_FDCWD, before, AT_FDCWD, after, 0);
}

int ftruncate64(int fd, off64_t size)
{
    pass();
    return (int)syscall(SYS_ftruncate, fd, size);
}

int unlink(const char *path)
{
    pass();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
