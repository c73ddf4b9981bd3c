/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A disk that can be told to fail: this program's own write, sync, rename, link and unlink calls,
 * which the linker prefers to those of libc, for our code and for SQLite alike. Armed, the call
 * number `at` and all after it (or only as many as `fault_count_max`) fail with `error`; or, with
 * FAULT_CRASH, that call ends the process on the spot, which leaves what a kill at this boundary
 * leaves. Included by one file of a test program.
 */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/macro.h"
#include "base/worker.h"

#define FAULT_CRASH      (-1)
#define FAULT_CRASH_CODE 99

static atomic_int fault_calls;         /* since the last fault_arm or fault_count */
static atomic_int fault_syncs;         /* of those, fsync, syncfs and fdatasync */
static atomic_int fault_at = 0;        /* 0 = never */
static atomic_int fault_count_max = 0; /* 0 = all */
static atomic_int fault_error = 0;
static atomic_bool fault_is_plain =
    false; /* no rename knows a flag, and no file gets a further name */
static atomic_size_t fault_write_max = 0; /* bytes that one write() takes; 0 = all */
static void (*fault_on_sync)(void);       /* what others do meanwhile; NULL = nothing */

_unused_ static void fault_arm(int at, int error)
{
    fault_calls = 0;
    fault_syncs = 0;
    fault_error = error;
    fault_at = at;
}

_unused_ static void fault_disarm(void)
{
    fault_arm(0, 0);
    fault_count_max = 0;
    fault_write_max = 0;
    fault_on_sync = NULL;
}

static bool fault_strikes(void)
{
    int call = ++fault_calls;

    if (fault_at == 0 || call < fault_at ||
        (fault_count_max > 0 && call >= fault_at + fault_count_max))
        return false;
    if (fault_error == FAULT_CRASH)
        _exit(FAULT_CRASH_CODE);
    errno = fault_error;
    return true;
}

ssize_t write(int fd, const void *data, size_t size)
{
    size_t max = fault_write_max;

    return fault_strikes() ? -1 : syscall(SYS_write, fd, data, max > 0 ? MIN(size, max) : size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return fault_strikes() ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return fault_strikes() ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

static void fault_note_sync(void)
{
    fault_syncs++;
    if (fault_on_sync)
        fault_on_sync();
}

int fsync(int fd)
{
    fault_note_sync();
    return fault_strikes() ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    fault_note_sync();
    return fault_strikes() ? -1 : (int)syscall(SYS_syncfs, fd);
}

int fdatasync(int fd)
{
    fault_note_sync();
    return fault_strikes() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *before, const char *after)
{
    return fault_strikes() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, before, AT_FDCWD, after, 0);
}

int renameat2(int fd, const char *before, int other, const char *after, unsigned flags)
{
    if (fault_is_plain && flags != 0) {
        errno = EINVAL;
        return -1;
    }
    return fault_strikes() ? -1 : (int)syscall(SYS_renameat2, fd, before, other, after, flags);
}

int linkat(int fd, const char *before, int other, const char *after, int flags)
{
    if (fault_is_plain) {
        errno = EPERM;
        return -1;
    }
    return fault_strikes() ? -1 : (int)syscall(SYS_linkat, fd, before, other, after, flags);
}

int unlinkat(int fd, const char *path, int flags)
{
    return fault_strikes() ? -1 : (int)syscall(SYS_unlinkat, fd, path, flags);
}

int unlink(const char *path)
{
    return fault_strikes() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* --- A directory of the test's own, and the loop's part of the worker. --- */

/* In memory where there is room for it: what others write to the disk, a syncfs would wait for. */
_unused_ static char *directory_new(void)
{
    char memory[] = "/dev/shm/p2pnode-test-XXXXXX", disk[] = "/tmp/p2pnode-test-XXXXXX";
    char *path = mkdtemp(memory);

    if (!path)
        path = mkdtemp(disk);
    if (!path)
        abort();
    return strdup(path);
}

static int directory_remove_entry(const char *path, const struct stat *status, int type,
                                  struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

_unused_ static char *directory_free(char *path)
{
    if (path)
        (void)nftw(path, directory_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
    return NULL;
}
DEFINE_CLEANUP(char *, directory_free)

/* Dispatches until *@done; false after ten seconds of nothing. */
_unused_ static bool worker_wait(struct worker *worker, const bool *done)
{
    struct pollfd poll_fd = {.fd = worker_get_fd(worker), .events = POLLIN};

    while (!*done) {
        if (poll(&poll_fd, 1, 10000) <= 0)
            return false;
        worker_dispatch(worker);
    }
    return true;
}

/* The exit code of @run(@data) in a process of its own; 1000 + signal where one ended it. */
_unused_ static int in_child(void (*run)(void *data), void *data)
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        run(data);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}
